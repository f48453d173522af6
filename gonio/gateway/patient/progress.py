"""How far the knee bends and straightens over the weeks, against milestones, and what of it may be called a change.

Milestones are of knee replacement, where protocols disagree: the lower line is what sources call the least acceptable
(80° at 14 days: Ebert 2014, Arch Phys Med Rehabil 95:1135; 90° at 4 weeks; 100° at 7 weeks: Ebert 2014), the upper one
what they aim for (90° at 2 weeks, 110° at 6, 115° at 12). What is used in exercise is not the most that a knee can do:
only a test of range is held against them.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import Enum, auto
from itertools import pairwise
from typing import Final

#: Below this no change between two sessions is claimed, degrees: two goniometers differ by as much.
REAL_CHANGE_DEG: Final = 5.0


@dataclass(frozen=True, slots=True)
class Milestone:
    """Flexion that is looked for so many days after surgery, degrees: the least, and the aim."""

    day: int
    least_deg: float
    aim_deg: float


AFTER_REPLACEMENT: Final = (
    Milestone(14, 80, 90),
    Milestone(28, 90, 100),
    Milestone(42, 97, 110),
    Milestone(49, 100, 110),
    Milestone(84, 105, 115),
)


@dataclass(frozen=True, slots=True)
class RangeDay:
    """The best of a day: the largest and the smallest flexion, degrees; None where not measured."""

    day: date
    bend_deg: float | None
    straight_deg: float | None


class Standing(Enum):
    """Where a tested bend stands."""

    BEHIND = auto()
    ON_WAY = auto()
    AHEAD = auto()


class Word(Enum):
    """What may be said of a day's best bend."""

    FIRST = auto()
    SAME = auto()  # no change beyond the error of measurement
    MORE = auto()
    LESS = auto()
    REACHED = auto()  # the goal, as measured


def best_of_days(found: Iterable[tuple[date, float | None, float | None]]) -> list[RangeDay]:
    """Give the best of each day, in order; each item is a session's date, largest and smallest flexion, degrees."""
    bends: dict[date, list[float]] = {}
    straights: dict[date, list[float]] = {}
    for day, largest, smallest in found:
        bends.setdefault(day, []).extend([] if largest is None else [largest])
        straights.setdefault(day, []).extend([] if smallest is None else [smallest])
    return [RangeDay(day, max(bends[day], default=None), min(straights[day], default=None)) for day in sorted(bends)]


def corridor(day: int, milestones: Sequence[Milestone] = AFTER_REPLACEMENT) -> tuple[float, float] | None:
    """Give the least and the aim of a day after surgery, degrees, straight between milestones.

    None before the first, and of no milestones; after the last it stays.
    """
    if not milestones or day < milestones[0].day:
        return None
    for first, second in pairwise(milestones):
        if day <= second.day:
            share = (day - first.day) / (second.day - first.day)
            return (
                first.least_deg + share * (second.least_deg - first.least_deg),
                first.aim_deg + share * (second.aim_deg - first.aim_deg),
            )
    return milestones[-1].least_deg, milestones[-1].aim_deg


def standing(tested_deg: float, day: int, milestones: Sequence[Milestone] = AFTER_REPLACEMENT) -> Standing | None:
    """Say where a tested bend stands, so many days after surgery; None where no milestone speaks of that day."""
    lines = corridor(day, milestones)
    if lines is None:
        return None
    return Standing.BEHIND if tested_deg < lines[0] else Standing.AHEAD if tested_deg > lines[1] else Standing.ON_WAY


def word_of_bend(
    days: Sequence[RangeDay],
    today: date,
    *,
    goal_deg: float | None = None,
    ceiling_deg: float | None = None,
    may_praise: bool = True,
    real_change_deg: float = REAL_CHANGE_DEG,
) -> Word | None:
    """Say what today's best bend may be called beside the best of the seven days before.

    Args:
        days: the best of days, in order.
        today: the date.
        goal_deg: what the therapist hopes for.
        ceiling_deg: what the surgeon allows: nothing beyond it is called good.
        may_praise: whether nothing hurts, see ``discomfort.Guidance``.
        real_change_deg: the least that is a change with these sensors.

    Returns:
        None where there is nothing to say, or nothing that may be said.
    """
    best = {one.day: one.bend_deg for one in days}
    now = best.get(today)
    if now is None or not may_praise or (ceiling_deg is not None and now > ceiling_deg):
        return None
    if goal_deg is not None and now >= goal_deg:
        return Word.REACHED
    before = _week_before(best, today)
    return _word(now - max(before), real_change_deg) if before else Word.FIRST


def word_of_straight(
    days: Sequence[RangeDay],
    today: date,
    *,
    goal_deg: float | None = None,
    may_praise: bool = True,
    real_change_deg: float = REAL_CHANGE_DEG,
) -> Word | None:
    """Say what today's best straightening may be called, likewise; MORE is straighter, a smaller flexion.

    Args:
        days: the best of days, in order.
        today: the date.
        goal_deg: the flexion to which the therapist hopes that the knee is straightened.
        may_praise: whether nothing hurts.
        real_change_deg: the least that is a change with these sensors.
    """
    best = {one.day: one.straight_deg for one in days}
    now = best.get(today)
    if now is None or not may_praise:
        return None
    if goal_deg is not None and now <= goal_deg:
        return Word.REACHED
    before = _week_before(best, today)
    return _word(min(before) - now, real_change_deg) if before else Word.FIRST


def _week_before(best: Mapping[date, float | None], today: date) -> list[float]:
    week = timedelta(days=7)
    return [value for day, value in best.items() if value is not None and timedelta(0) < today - day <= week]


def _word(change: float, real_change_deg: float) -> Word:
    """Name a change; a positive one is what is hoped for."""
    if abs(change) <= real_change_deg:
        return Word.SAME
    return Word.MORE if change > 0 else Word.LESS
