"""What a simulated patient did and when: adherence, missed days, flares, travel, a kit's clock that is wrong at times.

Everything is drawn from the fleet's seed and the kit's number, so that a fleet that was killed goes on with the very
moments it would have had. Nothing here is measured from anybody; the figures are merely plausible.
"""

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Final, Literal
from zoneinfo import ZoneInfo

from gonio.messages import Kind

ZONES: Final = (
    "America/New_York",
    "America/Chicago",
    "America/Denver",
    "America/Phoenix",
    "America/Los_Angeles",
    "Europe/Berlin",
)
LONGEST_DAYS: Final = 800  # of exercise in a history; a larger number of records means busier days
_SITTINGS_H: Final = (7, 15)  # local hours at which the sittings of a day may begin; each has SITTING_S to end
_SITTING_S: Final = 5 * 3600
_PAUSE_S: Final = 360.0  # from one session's start to the next of its sitting, at most
_FADING_DAYS: Final = 120  # in which adherence comes down by _FADING
_FADING: Final = 0.3
# shares of days (an illness or a holiday three or four times a year), of missed days, of sittings and of sessions
_FALLS_ILL: Final = 0.01
_FLARES: Final = 0.012
_BY_HAND: Final = 0.15
_WRITES: Final = 0.02
_PREFERS: Final = 0.005
_NOT_ME: Final = 0.01
_AFTER: Final = (0.92, 0.95, 0.98)  # of the pause after a session: the check-in, a void, a message


@dataclass(frozen=True, slots=True)
class Patient:
    """A simulated patient and the habits of the kit that he or she has.

    Attributes:
        side: the treated knee.
        zone: where the patient lives (IANA name).
        away_zone: where the patient travels to.
        trips: days of the history on which the patient is there.
        adherence: share of days with exercise in the beginning; it fades.
        per_day: sessions on a day with exercise.
        flexion_deg: largest flexion at the first session and in the end.
        deficit_deg: extension deficit at the first session and in the end.
        recovery_days: time constant of the recovery, days.
        clock_trouble: share of the kit's boots with a clock that is not synchronised at first.
        talks: share of sittings after which the patient checks in.
    """

    side: Literal["left", "right"]
    zone: str
    away_zone: str
    trips: tuple[range, ...]
    adherence: float
    per_day: int
    flexion_deg: tuple[float, float]
    deficit_deg: tuple[float, float]
    recovery_days: float
    clock_trouble: float
    talks: float

    def zone_on(self, day: int) -> ZoneInfo:
        """Give the time zone in which the patient is on a day of the history."""
        return ZoneInfo(self.away_zone if any(day in trip for trip in self.trips) else self.zone)

    def recovered(self, day: float) -> float:
        """Give how much of the recovery is done on a day of the history, 0 to 1."""
        return 1.0 - math.exp(-day / self.recovery_days)


@dataclass(frozen=True, slots=True)
class Moment:
    """When something was, at a kit.

    Attributes:
        day: of the history, 0 is the first.
        sitting: of the kit, 0 is the first.
        true_utc: when it really was.
        shown: what the kit's clock showed, with UTC offset; the same moment where the clock was synchronised.
        clock: whether it was.
        boot: of the kit, 0 is the first.
        monotonic_ns: since that boot.
        room_s: time to the next session's start at least, s.
    """

    day: int
    sitting: int
    true_utc: datetime
    shown: datetime
    clock: Literal["synchronised", "unsynchronised"]
    boot: int
    monotonic_ns: int
    room_s: float


def patient(seed: int, kit: int) -> Patient:
    """Draw the patient of a kit."""
    rng = _rng(seed, kit, "patient")
    zone = rng.choice(ZONES)
    first_away = rng.randrange(5, 60)
    trips = rng.choice((0, 0, 0, 0, 1, 6))  # one in three travels, and half of these again and again
    flexion = rng.gauss(68, 8), rng.gauss(122, 8)
    deficit = rng.uniform(6, 18), rng.uniform(-2, 4)
    return Patient(
        side=rng.choice(("left", "right")),
        zone=zone,
        away_zone=rng.choice([other for other in ZONES if other != zone]),
        trips=tuple(
            range(begin, begin + rng.randrange(3, 12)) for begin in range(first_away, first_away + 150 * trips, 150)
        ),
        adherence=rng.betavariate(5, 2),
        per_day=rng.choice((1, 2, 2, 3, 3, 4)),
        flexion_deg=(min(flexion), max(flexion)),
        deficit_deg=deficit,
        recovery_days=rng.uniform(12, 40),
        clock_trouble=rng.choice((0.0, 0.0, 0.0, 0.0, 0.1, 0.6)),
        talks=rng.betavariate(4, 3),
    )


@dataclass(frozen=True, slots=True)
class About:
    """The session that something else is about: its record's number, and the time that its kit showed."""

    sequence: int
    shown: datetime


@dataclass(frozen=True, slots=True)
class Happening:
    """What one record of a kit tells of.

    Attributes:
        kind: of the record.
        moment: when.
        flare: how bad the knee is beside its recovery, 0 (not at all) to 1.
        about: the session that a check-in follows, a void strikes out or a message is about, or None.
    """

    kind: Kind
    moment: Moment
    flare: float
    about: About | None = None


def history(seed: int, kit: int, records: int, until: datetime) -> list[Happening]:
    """Give all that the records of a kit tell of, oldest first, no two at the same time, all before ``until``.

    Args:
        seed: of the fleet.
        kit: its number.
        records: how many.
        until: aware; the history ends within a few days before it.
    """
    who = patient(seed, kit)
    plan = list(_days(_rng(seed, kit, "days"), who, records))
    rng = _rng(seed, kit, "times")
    last = until.astimezone(UTC).date() - timedelta(days=2 + rng.randrange(3))
    clock = _KitClock(_rng(seed, kit, "clock"), who.clock_trouble)
    told: list[Happening] = []
    sitting = 0
    for day in plan:
        zone, on = who.zone_on(day.number), last - timedelta(days=plan[-1].number - day.number)
        clock.new_day()
        for kinds, times, room_s in _timed(rng, day, on, zone):
            about: About | None = None
            for kind, true_utc in zip(kinds, times, strict=True):
                moment = clock.moment(day.number, sitting, true_utc, zone, room_s)
                told.append(Happening(kind, moment, day.flare, None if kind is Kind.SESSION else about))
                if kind is Kind.SESSION:
                    about = About(len(told), moment.shown)
            sitting += 1
    return told


def _rng(seed: int, kit: int, use: str) -> random.Random:
    return random.Random(f"{seed}/{kit}/{use}")  # noqa: S311 - a simulation


@dataclass(slots=True)
class _Day:
    """What is told of on one day: by sitting, or of a day without sensors in one piece without sessions."""

    number: int
    flare: float
    sittings: list[list[Kind]] = field(default_factory=list)

    def cut(self, left: int) -> None:
        """Leave out what is more than so many records."""
        for kinds in self.sittings:
            del kinds[max(0, left) :]
            left -= len(kinds)


def _days(rng: random.Random, who: Patient, records: int) -> Iterator[_Day]:
    """Give the days of which there is something to tell, so many records in all."""
    crowd = max(1, math.ceil(records / (LONGEST_DAYS * who.per_day)))
    left, number, pause, flare = records, 0, 0, 0.0
    while left:
        flare = flare * 0.6 if flare > 0.1 else rng.uniform(0.4, 1.0) * (rng.random() < _FLARES)  # noqa: PLR2004 - over
        day = _Day(number, flare)
        if pause:
            pause -= 1
        elif rng.random() < _FALLS_ILL:
            pause = rng.randrange(3, 11)
            day.sittings.append([Kind.PREFERENCE])
        elif rng.random() < max(0.4, who.adherence * (1.0 - _FADING * min(1.0, number / _FADING_DAYS))):
            usual = who.per_day * crowd
            count = max(1, usual - (rng.random() < 0.2))  # noqa: PLR2004 - one fewer on a fifth of the days
            day.sittings = _sittings(rng, who, count)
        elif rng.random() < _BY_HAND:
            day.sittings.append([Kind.CHECK_IN])
        day.cut(left)
        told = sum(map(len, day.sittings))
        left -= told
        if told:
            yield day
        number += 1


def _sittings(rng: random.Random, who: Patient, count: int) -> list[list[Kind]]:
    """Spread a day's sessions over its sittings, and add what is told beside them."""
    single = count == 1 or rng.random() < 0.3  # noqa: PLR2004 - a third does all at once
    parts = 1 if single and count * _PAUSE_S <= _SITTING_S else len(_SITTINGS_H)
    sittings = []
    for part in range(parts):
        kinds = [Kind.SESSION] * (count // parts + (part < count % parts))
        kinds += [Kind.CHECK_IN] * (rng.random() < who.talks)
        kinds += [Kind.VOID] * (rng.random() < _NOT_ME * count)
        kinds += [rng.choice((Kind.MESSAGE, Kind.PREFERENCE))] * (rng.random() < _WRITES + _PREFERS)
        sittings.append(kinds)
    return sittings


def _timed(
    rng: random.Random, day: _Day, on: date, zone: ZoneInfo
) -> Iterator[tuple[list[Kind], list[datetime], float]]:
    """Give each sitting's kinds with their true moments (UTC), and the time from one session to the next."""
    hours = (rng.choice(_SITTINGS_H),) if len(day.sittings) == 1 else _SITTINGS_H
    for kinds, hour in zip(day.sittings, hours, strict=True):
        size = kinds.count(Kind.SESSION)
        step_s = min(_PAUSE_S, _SITTING_S / (size + 1))
        first = datetime.combine(on, time(hour), zone).astimezone(UTC)
        begin_s = rng.uniform(0, _SITTING_S - (size + 1) * step_s)
        after_s = [(max(0, size - 1) + share) * step_s for share in _AFTER]
        offsets_s = [n * step_s for n in range(size)] + after_s[: len(kinds) - size]
        yield kinds, [first + timedelta(milliseconds=int((begin_s + s) * 1000)) for s in offsets_s], step_s


class _KitClock:
    """A kit's clocks over the days: when it was switched on, and what its wall clock showed.

    A kit without a battery for its clock begins each boot where its clock stood when it was last used, and is wrong
    by the time between until a time server is reached: what a Raspberry Pi does.
    """

    def __init__(self, rng: random.Random, trouble: float) -> None:
        self._rng = rng
        self._trouble = trouble
        self._boot = -1
        self._booted: datetime | None = None
        self._shown_last = datetime(1970, 1, 1, tzinfo=UTC)
        self._behind = timedelta()
        self._wrong_left = 0

    def new_day(self) -> None:
        if self._rng.random() < 0.2:  # noqa: PLR2004 - switched off now and then
            self._booted = None

    def moment(self, day: int, sitting: int, true_utc: datetime, zone: ZoneInfo, room_s: float) -> Moment:
        if self._booted is None:
            self._boot += 1
            self._booted = true_utc - timedelta(milliseconds=self._rng.randrange(40_000, 3_000_000))
            self._wrong_left = self._rng.randrange(1, 9) if self._rng.random() < self._trouble else 0
            self._behind = self._booted - self._shown_last
        wrong = self._wrong_left > 0
        self._wrong_left -= wrong
        shown_utc = true_utc - self._behind if wrong else true_utc
        self._shown_last = shown_utc
        return Moment(
            day=day,
            sitting=sitting,
            true_utc=true_utc,
            shown=shown_utc.astimezone(zone),
            clock="unsynchronised" if wrong else "synchronised",
            boot=self._boot,
            monotonic_ns=(true_utc - self._booted) // timedelta(microseconds=1) * 1000,
            room_s=room_s,
        )
