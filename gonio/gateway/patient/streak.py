"""How many prescribed days in a row something prescribed was done.

Rest days and pauses neither add nor break. A rest for pain keeps the streak. One missed day is bridged in each streak;
what lies before a second one counts no more. All is computed from the days themselves, so a session that arrives late
mends a streak by itself, and never shortens it.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import Enum, auto

from gonio.gateway.patient.schedule import Given, prescribed_on
from gonio.messages.patient import Pause


class DayKind(Enum):
    """What a day is to a streak."""

    DONE = auto()
    MISSED = auto()
    RESTED = auto()  # for pain: it was tried, or said
    FREE = auto()  # nothing was prescribed, or a pause
    OPEN = auto()  # today, and not over


@dataclass(frozen=True, slots=True)
class Streak:
    """A streak as it stands.

    Attributes:
        days: prescribed days done in a row.
        best: the longest ever, this one included.
        repaired: the missed day that was bridged; None where the repair is still there.
        broken: the missed day before which days done count no more, or None.
    """

    days: int
    best: int
    repaired: date | None
    broken: date | None


def day_kinds(
    programs: Sequence[Given],
    pauses: Sequence[Pause],
    done: Collection[date],
    rested: Collection[date],
    *,
    first: date,
    today: date,
) -> list[tuple[date, DayKind]]:
    """Say of each day from ``first`` to ``today``, inclusive, what it is.

    Args:
        programs: in the order in which the clinic made them.
        pauses: of the patient.
        done: dates on which something prescribed was done.
        rested: dates on which the patient stopped or rested for pain.
        first: where to begin.
        today: the date now, in the patient's time zone.
    """
    kinds = []
    for number in range((today - first).days + 1):
        day = first + timedelta(days=number)
        if not prescribed_on(programs, pauses, day):
            kind = DayKind.FREE
        elif day in done:
            kind = DayKind.DONE
        elif day in rested:
            kind = DayKind.RESTED
        else:
            kind = DayKind.OPEN if day == today else DayKind.MISSED
        kinds.append((day, kind))
    return kinds


def streak(days: Sequence[tuple[date, DayKind]]) -> Streak:
    """Count; ``days`` in their order. A streak reaches back to the second missed day before its end."""
    best, so_far = 0, 0
    since_last, since_second = 0, 0  # days done up to the last missed day, and up to the one before
    missed: list[date] = []
    length = 0
    for day, kind in days:
        if kind is DayKind.DONE:
            so_far += 1
        elif kind is DayKind.MISSED:
            missed.append(day)
            since_last, since_second = so_far, since_last
        length = so_far - since_second
        best = max(best, length)
    bridged = length > 0 and since_last > since_second
    broken = missed[-2] if len(missed) > 1 and since_second > 0 else None
    return Streak(length, best, missed[-1] if bridged else None, broken)
