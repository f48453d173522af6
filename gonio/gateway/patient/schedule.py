"""What is prescribed on a day, and what of it is left.

A day is a date in the patient's time zone: a session counts on the date on which it started, wherever the patient was.
Of one program the newest version that has begun is in force, and once that has ended none; of several programs the one
that was made last. No version counts on days before the one on which it was made: nobody missed what was not asked.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal
from zoneinfo import ZoneInfo

from gonio.messages.down import Prescribed, Program
from gonio.messages.patient import Pause


@dataclass(frozen=True, slots=True)
class Given:
    """A program as the clinic gave it, and the day on which it was made; None: it counts from its own first day."""

    program: Program
    made: date | None = None

    @property
    def since(self) -> date:
        """The first day on which it counts."""
        return self.program.valid_from if self.made is None else max(self.program.valid_from, self.made)


@dataclass(frozen=True, slots=True)
class Done:
    """What was done in one go, by sensors or by hand.

    Attributes:
        at: the start, aware.
        exercise: its name.
        side: the leg.
        sets: as they were counted or told.
        reps: complete repetitions in all; they stand for as many sets as were prescribed of them. None: not counted.
    """

    at: datetime
    exercise: str
    side: Literal["left", "right"]
    sets: int = 1
    reps: int | None = None

    def __post_init__(self) -> None:
        if self.at.tzinfo is None:
            raise ValueError("the start of what was done has an offset")
        if self.sets < 0 or (self.reps or 0) < 0:
            raise ValueError("nobody does fewer than no sets")

    def sets_of(self, wanted: Prescribed) -> int:
        """Say for how many prescribed sets it stands: sets done without a rest between them count as well."""
        return max(self.sets, self.reps // wanted.reps if self.reps and wanted.reps else 0)


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


def in_force(programs: Sequence[Given], day: date) -> Program | None:
    """Give the program of a day; None where none has begun, or the one in force has ended.

    Args:
        programs: in the order in which the clinic made them.
        day: the date.
    """
    newest: dict[object, Program] = {}
    for one in programs:
        if one.since > day:
            continue
        before = newest.pop(one.program.program_id, None)
        newest[one.program.program_id] = before if before and before.version > one.program.version else one.program
    covering = [program for program in newest.values() if program.valid_to is None or day <= program.valid_to]
    return covering[-1] if covering else None


def is_paused(pauses: Iterable[Pause], day: date) -> bool:
    """Tell whether the patient has said that nothing is to be expected on a day."""
    return any(pause.since <= day and (pause.until is None or day <= pause.until) for pause in pauses)


def prescribed_on(programs: Sequence[Given], pauses: Iterable[Pause], day: date) -> tuple[Prescribed, ...]:
    """Give what is prescribed on a day: nothing on rest days, in pauses of the patient and of the clinic."""
    program = in_force(programs, day)
    if program is None or program.paused or is_paused(pauses, day):
        return ()
    return tuple(one for one in program.exercises if day.isoweekday() in one.weekdays)


def due_on(
    programs: Sequence[Given], pauses: Iterable[Pause], done: Iterable[Done], day: date, zone: ZoneInfo
) -> tuple[Due, ...]:
    """Give a day's exercises with what was done of each; exercises that nobody prescribed are not in it.

    Args:
        programs: in the order in which the clinic made them.
        pauses: of the patient.
        done: what was done, on any day.
        day: the date, in ``zone``.
        zone: the patient's.
    """
    today: dict[tuple[str, str], list[Done]] = {}
    for one in done:
        if one.at.astimezone(zone).date() == day:
            today.setdefault((one.exercise, one.side), []).append(one)
    found: list[Due] = []
    taken: dict[tuple[str, str], int] = {}
    for wanted in prescribed_on(programs, pauses, day):
        total = wanted.sets * wanted.times_a_day
        key = (wanted.exercise, wanted.side)
        # two lines of one exercise share its sets in their order
        left = sum(one.sets_of(wanted) for one in today.get(key, ())) - taken.get(key, 0)
        took = min(total, max(0, left))
        taken[key] = taken.get(key, 0) + took
        found.append(Due(wanted, total, took))
    return tuple(found)
