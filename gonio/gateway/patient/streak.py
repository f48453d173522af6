"""How many prescribed days in a row something prescribed was done.

Rest days and pauses neither add nor break. A rest for pain keeps the streak. One missed day is bridged in each streak;
a second one ends it. All is computed from the days themselves, so a session that arrives late mends it by itself.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import Enum, auto

from gonio.gateway.patient.schedule import prescribed_on
from gonio.messages.down import Program
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
        broken: the last missed day that ended a streak, or None.
    """

    days: int
    best: int
    repaired: date | None
    broken: date | None


def day_kinds(
    programs: Sequence[Program],
    pauses: Sequence[Pause],
    done: Collection[date],
    rested: Collection[date],
    *,
    first: date,
    today: date,
) -> list[tuple[date, DayKind]]:
    """Say of each day from ``first`` to ``today``, inclusive, what it is.

    Args:
        programs: in the order in which they came.
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
    """Count; ``days`` in their order."""
    length, best = 0, 0
    repaired: date | None = None
    broken: date | None = None
    for day, kind in days:
        if kind is DayKind.DONE:
            length += 1
            best = max(best, length)
        elif kind is DayKind.MISSED and length > 0:
            if repaired is None:
                repaired = day
            else:
                length, repaired, broken = 0, None, day
    return Streak(length, best, repaired, broken)
