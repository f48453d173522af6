"""What is prescribed on a day, and what of it is left.

A day is a date in the patient's time zone: a session counts on the date on which it started, wherever the patient was.
Of several programs the one that came last is in force from its first day on; until then the one before it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal
from zoneinfo import ZoneInfo

from gonio.messages.down import Prescribed, Program
from gonio.messages.patient import Pause


@dataclass(frozen=True, slots=True)
class Done:
    """Sets that were done, by sensors or by hand; ``at`` is the start, aware."""

    at: datetime
    exercise: str
    side: Literal["left", "right"]
    sets: int = 1

    def __post_init__(self) -> None:
        if self.at.tzinfo is None:
            raise ValueError("the start of what was done has an offset")
        if self.sets < 0:
            raise ValueError("nobody does fewer than no sets")


@dataclass(frozen=True, slots=True)
class Due:
    """One exercise of a day: how many sets are prescribed in all, and how many were done."""

    prescribed: Prescribed
    sets: int
    done: int

    @property
    def left(self) -> int:
        """Sets that are left; never fewer than none."""
        return max(0, self.sets - self.done)


def in_force(programs: Sequence[Program], day: date) -> Program | None:
    """Give the program of a day; None where none has begun, or the one in force has ended.

    Args:
        programs: in the order in which they came.
        day: the date.
    """
    begun = [program for program in programs if program.valid_from <= day]
    if not begun:
        return None
    last = begun[-1]
    return None if last.valid_to is not None and day > last.valid_to else last


def is_paused(pauses: Iterable[Pause], day: date) -> bool:
    """Tell whether the patient has said that nothing is to be expected on a day."""
    return any(pause.since <= day and (pause.until is None or day <= pause.until) for pause in pauses)


def prescribed_on(programs: Sequence[Program], pauses: Iterable[Pause], day: date) -> tuple[Prescribed, ...]:
    """Give what is prescribed on a day: nothing on rest days, in pauses of the patient and of the clinic."""
    program = in_force(programs, day)
    if program is None or program.paused or is_paused(pauses, day):
        return ()
    return tuple(one for one in program.exercises if day.isoweekday() in one.weekdays)


def due_on(
    programs: Sequence[Program], pauses: Iterable[Pause], done: Iterable[Done], day: date, zone: ZoneInfo
) -> tuple[Due, ...]:
    """Give a day's exercises with what was done of each; exercises that nobody prescribed are not in it.

    Args:
        programs: in the order in which they came.
        pauses: of the patient.
        done: what was done, on any day.
        day: the date, in ``zone``.
        zone: the patient's.
    """
    sets: dict[tuple[str, str], int] = {}
    for one in done:
        if one.at.astimezone(zone).date() == day:
            sets[(one.exercise, one.side)] = sets.get((one.exercise, one.side), 0) + one.sets
    found = []
    for wanted in prescribed_on(programs, pauses, day):
        total = wanted.sets * wanted.times_a_day
        key = (wanted.exercise, wanted.side)
        # two lines of one exercise share its sets in their order
        taken = min(total, sets.get(key, 0))
        sets[key] = sets.get(key, 0) - taken
        found.append(Due(wanted, total, taken))
    return tuple(found)
