"""A table as values: its columns say what they hold, so that one that has nothing to show is left out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from markupsafe import Markup

from gonio.web.words import UNKNOWN, Level


@dataclass(frozen=True, slots=True)
class Cell:
    """What stands in one place; with a level it is a mark, its shape before the words."""

    text: str | Markup
    level: Level | None = None


@dataclass(frozen=True, slots=True)
class Column:
    """A column.

    Attributes:
        head: its name.
        cells: one for each row.
        css: classes of its cells: ``n`` for numbers.
        meaning: what an abbreviated head stands for.
        hidden: the head is read aloud and not shown.
    """

    head: str
    cells: tuple[Cell, ...]
    css: str = "n"
    meaning: str = ""
    hidden: bool = False

    @property
    def tells(self) -> bool:
        """Whether anything stands in it."""
        return any(cell.text not in ("", UNKNOWN) for cell in self.cells)


@dataclass(frozen=True, slots=True)
class Table:
    """Columns of equal length, the first of which names the rows."""

    columns: tuple[Column, ...]

    @classmethod
    def of(cls, columns: Sequence[Column]) -> Self:
        """Put a table together from the columns that tell something."""
        return cls(tuple(column for column in columns if column.tells))

    @property
    def rows(self) -> tuple[tuple[tuple[Column, Cell], ...], ...]:
        """The cells row by row, each with its column."""
        length = len(self.columns[0].cells) if self.columns else 0
        return tuple(tuple((column, column.cells[k]) for column in self.columns) for k in range(length))


def texts(values: Sequence[str]) -> tuple[Cell, ...]:
    """Make cells of texts."""
    return tuple(Cell(value) for value in values)
