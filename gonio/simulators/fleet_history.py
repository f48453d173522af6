"""When a simulated patient exercised: adherence, missed days, travel, and a kit's clock that is not always right.

Everything is drawn from the fleet's seed and the kit's number, so that a fleet that was killed goes on with the very
moments it would have had. Nothing here is measured from anybody; the figures are merely plausible.
"""

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final, Literal
from zoneinfo import ZoneInfo

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


@dataclass(frozen=True, slots=True)
class Patient:
    """A simulated patient and the habits of the kit that he or she has.

    Attributes:
        side: the treated knee.
        zone: where the patient lives (IANA name).
        away_zone: where the patient travels to.
        away_days: days of the history on which the patient is there.
        adherence: share of days with exercise in the beginning; it fades.
        per_day: sessions on a day with exercise.
        flexion_deg: largest flexion at the first session and in the end.
        deficit_deg: extension deficit at the first session and in the end.
        recovery_days: time constant of the recovery, days.
        clock_trouble: share of the kit's boots with a clock that is not synchronised at first.
    """

    side: Literal["left", "right"]
    zone: str
    away_zone: str
    away_days: range
    adherence: float
    per_day: int
    flexion_deg: tuple[float, float]
    deficit_deg: tuple[float, float]
    recovery_days: float
    clock_trouble: float

    def recovered(self, day: float) -> float:
        """Give how much of the recovery is done on a day of the history, 0 to 1."""
        return 1.0 - math.exp(-day / self.recovery_days)


@dataclass(frozen=True, slots=True)
class Moment:
    """When one session began.

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
    travels = rng.random() < 0.2  # noqa: PLR2004 - one in five travels
    flexion = rng.gauss(68, 8), rng.gauss(122, 8)
    deficit = rng.uniform(6, 18), rng.uniform(-2, 4)
    return Patient(
        side=rng.choice(("left", "right")),
        zone=zone,
        away_zone=rng.choice([other for other in ZONES if other != zone]),
        away_days=range(first_away, first_away + (rng.randrange(3, 12) if travels else 0)),
        adherence=rng.betavariate(5, 2),
        per_day=rng.choice((1, 2, 2, 3, 3, 4)),
        flexion_deg=(min(flexion), max(flexion)),
        deficit_deg=deficit,
        recovery_days=rng.uniform(12, 40),
        clock_trouble=rng.choice((0.0, 0.0, 0.0, 0.0, 0.1, 0.6)),
    )


def history(seed: int, kit: int, records: int, until: datetime) -> list[Moment]:
    """Give the starts of all sessions of a kit, oldest first, no two at the same time, all before ``until``.

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
    moments: list[Moment] = []
    clock = _KitClock(_rng(seed, kit, "clock"), who.clock_trouble)
    sitting = 0
    for day, count in plan:
        zone = ZoneInfo(who.away_zone if day in who.away_days else who.zone)
        clock.new_day()
        for starts, room_s in _sittings(rng, last - timedelta(days=plan[-1][0] - day), zone, count):
            moments += [clock.moment(day, sitting, true_utc, zone, room_s) for true_utc in starts]
            sitting += 1
    return moments


def _rng(seed: int, kit: int, use: str) -> random.Random:
    return random.Random(f"{seed}/{kit}/{use}")  # noqa: S311 - a simulation


def _days(rng: random.Random, who: Patient, records: int) -> Iterator[tuple[int, int]]:
    """Give the days with exercise and their numbers of sessions."""
    crowd = max(1, math.ceil(records / (LONGEST_DAYS * who.per_day)))
    usual = who.per_day * crowd
    left, day, pause = records, 0, 0
    while left:
        fading = 1.0 - 0.3 * min(1.0, day / 120)
        if pause:
            pause -= 1
        elif rng.random() < 0.01:  # noqa: PLR2004 - an illness or a holiday, three or four times a year
            pause = rng.randrange(3, 11)
        elif rng.random() < max(0.4, who.adherence * fading):
            count = min(left, max(1, usual - (rng.random() < 0.2)))  # noqa: PLR2004 - one fewer on a fifth of the days
            yield day, count
            left -= count
        day += 1


def _sittings(rng: random.Random, on: date, zone: ZoneInfo, count: int) -> Iterator[tuple[list[datetime], float]]:
    """Give the true starts (UTC) of a day's sessions, by sitting, with the time from one to the next."""
    single = count == 1 or rng.random() < 0.3  # noqa: PLR2004 - a third does all at once
    hours = (rng.choice(_SITTINGS_H),) if single and count * _PAUSE_S <= _SITTING_S else _SITTINGS_H
    for part, hour in enumerate(hours):
        size = count // len(hours) + (part < count % len(hours))
        step_s = min(_PAUSE_S, _SITTING_S / (size + 1))
        first = datetime.combine(on, time(hour), zone).astimezone(UTC)
        begin = first + timedelta(milliseconds=int(rng.uniform(0, _SITTING_S - size * step_s) * 1000))
        yield [begin + timedelta(milliseconds=int(n * step_s * 1000)) for n in range(size)], step_s


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
