"""What a kit's own records tell about its patient: sessions, check-ins, wishes, messages; pure, and without words.

Nothing that was struck out is in it. A record counts on the date of its capture in the patient's time zone, or on the
date that the patient names.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from itertools import pairwise
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

from gonio.gateway.calibrations import SPOILT
from gonio.gateway.patient.discomfort import DEFAULT_LIMITS
from gonio.gateway.patient.progress import RangeDay, best_of_days
from gonio.gateway.patient.schedule import Done, Given, is_paused, prescribed_on
from gonio.messages import Envelope, Payload
from gonio.messages.check_in import CheckIn, VoidReport
from gonio.messages.patient import PatientMessage, Pause, Preference
from gonio.messages.session import SessionSummary

#: A session of which the angle was known for less than this share shows no range worth a comparison.
_KNOWN_SHARE: Final = 0.2
_WEEK: Final = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class KeptSession:
    """A session of this kit's."""

    record_id: UUID
    at: datetime
    summary: SessionSummary

    @property
    def sure(self) -> bool:
        """Whether its angles may be compared with those of other days."""
        found = self.summary
        measured = found.zero in {"standing", "pose", "stored"} and found.ok_fraction >= _KNOWN_SHARE
        return measured and not SPOILT.intersection(found.flags)

    @property
    def complete(self) -> int:
        """Complete repetitions."""
        return sum(rep.complete for rep in self.summary.reps)

    def done(self) -> Done:
        """Say what of a program it may stand for."""
        sets = sum(1 for one in self.summary.sets if one.complete)
        count = max(sets, min(1, self.complete))
        return Done(self.at, self.summary.exercise, self.summary.side, count, self.complete)


@dataclass(frozen=True, slots=True)
class KeptCheckIn:
    """What the patient told."""

    record_id: UUID
    at: datetime
    check_in: CheckIn

    def day(self, zone: ZoneInfo) -> date:
        """Give the day that it is about."""
        return self.check_in.about or self.at.astimezone(zone).date()

    @property
    def rests(self) -> bool:
        """Whether it is a reason to rest: it hurts too much, or something needs a doctor first."""
        told = self.check_in
        return told.stop_reason == "pain" or bool(told.red_flags) or (told.worst_pain or 0) >= DEFAULT_LIMITS.stop


@dataclass(frozen=True, slots=True)
class KeptMessage:
    """What the patient wrote."""

    record_id: UUID
    at: datetime
    message: PatientMessage


@dataclass(frozen=True, slots=True)
class History:
    """All of it, each in the order of its records.

    Attributes:
        sessions: without those that were struck out.
        struck_out: ids of what was struck out, with the reason.
        check_ins: likewise without those that were struck out.
        messages: to the therapist.
        preferences: each newer one replaces the older.
    """

    sessions: tuple[KeptSession, ...] = ()
    struck_out: dict[UUID, VoidReport] = field(default_factory=dict)
    check_ins: tuple[KeptCheckIn, ...] = ()
    messages: tuple[KeptMessage, ...] = ()
    preferences: tuple[tuple[datetime, Preference], ...] = ()

    @property
    def preference(self) -> Preference:
        """The newest."""
        return self.preferences[-1][1] if self.preferences else Preference()

    @property
    def simulated(self) -> bool:
        """Whether anything in it was made by no person: every screen must say so."""
        return any(one.summary.simulated for one in self.sessions) or any(
            one.check_in.simulated for one in self.check_ins
        )

    def pauses(self, zone: ZoneInfo) -> tuple[Pause, ...]:
        """Give all pauses that ever were, each only for as long as the patient left it in force."""
        told = [(at.astimezone(zone).date(), one.pause) for at, one in self.preferences]
        found = []
        for (_, pause), (next_day, next_pause) in pairwise(told):
            if pause is None or pause == next_pause:
                continue
            last = next_day - timedelta(days=1)
            until = last if pause.until is None else min(pause.until, last)
            if until >= pause.since:
                found.append(pause.model_copy(update={"until": until}))
        if told and told[-1][1] is not None:
            found.append(told[-1][1])
        return tuple(found)

    def done(self, zone: ZoneInfo) -> list[Done]:
        """Give all that was done, by sensors and by hand."""
        found = [one.done() for one in self.sessions]
        for told in self.check_ins:
            at = told.at
            if told.check_in.about is not None:
                at = datetime.combine(told.check_in.about, time(12), tzinfo=zone)
            found += [
                Done(at, one.exercise, one.side, one.sets, None if one.reps is None else one.reps * one.sets)
                for one in told.check_in.by_hand
            ]
        return found

    def days_done(self, programs: Sequence[Given], zone: ZoneInfo) -> set[date]:
        """Give the dates on which something that was prescribed on them was done."""
        pauses = self.pauses(zone)
        found = set()
        for one in self.done(zone):
            day = one.at.astimezone(zone).date()
            wanted = prescribed_on(programs, pauses, day)
            if one.sets and any((w.exercise, w.side) == (one.exercise, one.side) for w in wanted):
                found.add(day)
        return found

    def days_rested(self, zone: ZoneInfo) -> set[date]:
        """Give the dates on which the patient stopped or rested because of pain, or was to see a doctor."""
        return {one.day(zone) for one in self.check_ins if one.rests}

    def paused_on(self, day: date, zone: ZoneInfo) -> bool:
        """Tell whether nothing is expected on a day."""
        return is_paused(self.pauses(zone), day)

    def usual_pain(self, before: datetime) -> list[int]:
        """Give the worst pains told in the seven days before a moment."""
        recent = (one for one in self.check_ins if timedelta(0) < before - one.at <= _WEEK)
        return [pain for one in recent if (pain := one.check_in.worst_pain) is not None]

    def worst_pain_by_day(self, zone: ZoneInfo) -> dict[date, int]:
        """Give each day's worst pain, of days on which one was told."""
        found: dict[date, int] = {}
        for one in self.check_ins:
            pain = one.check_in.worst_pain
            if pain is not None:
                day = one.day(zone)
                found[day] = max(pain, found.get(day, pain))
        return dict(sorted(found.items()))

    def range_days(self, zone: ZoneInfo, side: str | None = None) -> list[RangeDay]:
        """Give the best bend and straightening of each day, of sessions whose angles are sure.

        Args:
            zone: the patient's.
            side: of one knee only; None for all.
        """
        return best_of_days(
            (one.at.astimezone(zone).date(), one.summary.max_flexion_deg, one.summary.min_flexion_deg)
            for one in self.sessions
            if one.sure and side in {None, one.summary.side}
        )

    def first_day(self, zone: ZoneInfo) -> date | None:
        """Give the first date that it knows of; None of an empty one."""
        moments = [*(one.at for one in self.sessions), *(one.at for one in self.check_ins)]
        return min((at.astimezone(zone).date() for at in moments), default=None)


def history_of(records: Iterable[tuple[Envelope, Payload]]) -> History:
    """Sort records, in the order of their outboxes, into what they tell."""
    kept = list(records)
    struck_out = {payload.record_id: payload for _, payload in kept if isinstance(payload, VoidReport)}
    live = [(envelope, payload) for envelope, payload in kept if envelope.record_id not in struck_out]
    sessions = [KeptSession(e.record_id, e.captured, p) for e, p in live if isinstance(p, SessionSummary)]
    check_ins = [KeptCheckIn(e.record_id, e.captured, p) for e, p in live if isinstance(p, CheckIn)]
    return History(
        sessions=tuple(sorted(sessions, key=lambda one: one.at)),
        struck_out=struck_out,
        check_ins=tuple(sorted(check_ins, key=lambda one: one.at)),
        messages=tuple(KeptMessage(e.record_id, e.captured, p) for e, p in live if isinstance(p, PatientMessage)),
        preferences=tuple((e.captured, p) for e, p in live if isinstance(p, Preference)),
    )
