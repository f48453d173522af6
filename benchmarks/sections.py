"""What the parts of the benchmark share: how work is spread over the processors, and what a part gives back."""

from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

from tables import Table

_T = TypeVar("_T")
_R = TypeVar("_R")


@dataclass(frozen=True, slots=True)
class Aim:
    """One line of the aims: what was asked and what was reached; ``met`` is None where it was not measured."""

    what: str
    on: str
    wanted: str
    reached: str
    met: bool | None


@dataclass(frozen=True, slots=True)
class Section:
    """What one part of the benchmark found."""

    tables: list[Table] = field(default_factory=list)
    aims: list[Aim] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Bench:
    """How much is to be measured, and by whom.

    Attributes:
        pool: the processes that work.
        full: True to take the time that a final figure deserves.
        mounts: random mountings of each trial.
    """

    pool: ProcessPoolExecutor
    full: bool
    mounts: int

    def spread(self, function: Callable[[_T], _R], items: Iterable[_T]) -> list[_R]:
        """Give the function's value for each item, in order."""
        return list(self.pool.map(function, items))


def verdict(met: bool | None) -> str:  # noqa: FBT001 - it is the one thing that is said
    """Put a verdict into words."""
    return "not measured" if met is None else "reached" if met else "missed"
