"""What a kit's own records tell about its patient: sessions, check-ins, wishes, messages; pure, and without words.

Nothing that was struck out is in it. A record counts on the date of its capture in the patient's time zone, or on the
date that the patient names.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from itertools import pairwise
from typing import Final, TypeAlias
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
    """A session of this kit's.

    Attributes:
        record_id: its record.
        at: its start, aware.
        summary: without repetitions and curve: a year of those would fill a small kit's memory.
        complete: complete repetitions.
        on_target: repetitions that reached what was asked; None where nothing was, or it could not be told.
    """

    record_id: UUID
    at: datetime
    summary: SessionSummary
    complete: int
    on_target: int | None

    @property
    def sure(self) -> bool:
        """Whether its angles may be compared with those of other days."""
        found = self.summary
        measured = found.zero in {"standing", "pose", "stored"} and found.ok_fraction >= _KNOWN_SHARE
        return measured and not SPOILT.intersection(found.flags)

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
class KeptVoid:
    """What was struck out."""

    void: VoidReport


@dataclass(frozen=True, slots=True)
class KeptPreference:
    """What the patient preferred from a moment on."""

    at: datetime
    preference: Preference


Kept: TypeAlias = KeptSession | KeptCheckIn | KeptMessage | KeptVoid | KeptPreference


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
    preferences: tuple[KeptPreference, ...] = ()

    @property
    def preference(self) -> Preference:
        """The newest."""
        return self.preferences[-1].preference if self.preferences else Preference()

    @property
    def simulated(self) -> bool:
        """Whether anything in it was made by no person: every screen must say so."""
        return any(one.summary.simulated for one in self.sessions) or any(
            one.check_in.simulated for one in self.check_ins
        )

    def pauses(self, zone: ZoneInfo) -> tuple[Pause, ...]:
        """Give all pauses that ever were, each only for as long as the patient left it in force."""
        told = [(one.at.astimezone(zone).date(), one.preference.pause) for one in self.preferences]
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
        done: dict[date, set[tuple[str, str]]] = {}
        for one in self.done(zone):
            if one.sets:
                done.setdefault(one.at.astimezone(zone).date(), set()).add((one.exercise, one.side))
        pauses = self.pauses(zone)
        return {
            day
            for day, names in done.items()
            if any((wanted.exercise, wanted.side) in names for wanted in prescribed_on(programs, pauses, day))
        }

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

    def check_in_after(self, record_id: UUID) -> KeptCheckIn | None:
        """Give what was told about a session, or None."""
        return next((one for one in self.check_ins if one.check_in.follows == record_id), None)


def kept(envelope: Envelope, payload: Payload) -> Kept | None:
    """Take from a record what the patient's page needs of it; None where that is nothing."""
    record_id, at = envelope.record_id, envelope.captured
    match payload:
        case SessionSummary():
            told = [rep.on_target for rep in payload.reps if rep.on_target is not None]
            slim = payload.model_copy(update={"reps": (), "curve": None})
            complete = sum(rep.complete for rep in payload.reps)
            return KeptSession(record_id, at, slim, complete, sum(told) if told else None)
        case CheckIn():
            return KeptCheckIn(record_id, at, payload)
        case PatientMessage():
            return KeptMessage(record_id, at, payload)
        case VoidReport():
            return KeptVoid(payload)
        case Preference():
            return KeptPreference(at, payload)
        case _:
            return None


def history_of(records: Iterable[Kept]) -> History:
    """Sort what was kept, in the order of the outboxes, into what it tells."""
    found = list(records)
    struck_out = {one.void.record_id: one.void for one in found if isinstance(one, KeptVoid)}
    sessions = [one for one in found if isinstance(one, KeptSession) and one.record_id not in struck_out]
    check_ins = [one for one in found if isinstance(one, KeptCheckIn) and one.record_id not in struck_out]
    return History(
        sessions=tuple(sorted(sessions, key=lambda one: one.at)),
        struck_out=struck_out,
        check_ins=tuple(sorted(check_ins, key=lambda one: one.at)),
        messages=tuple(one for one in found if isinstance(one, KeptMessage)),
        preferences=tuple(one for one in found if isinstance(one, KeptPreference)),
    )
