"""Tables: for the terminal and, as Markdown, for the docs."""

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Table:
    """Figures in rows.

    Attributes:
        title: what they are.
        columns: their names.
        rows: cells as text.
        note: what one has to know to read them.
    """

    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    note: str = ""

    def text(self) -> str:
        """Write for a terminal."""
        cells = [self.columns, *self.rows]
        widths = [max(len(row[k]) for row in cells) for k in range(len(self.columns))]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells
        ]
        lines.insert(1, "  ".join("-" * width for width in widths))
        note = [self.note] if self.note else []
        return "\n".join([f"== {self.title}", *note, "", *lines, ""])

    def markdown(self) -> str:
        """Write for the docs."""
        cells = [self.columns, ("---",) * len(self.columns), *self.rows]
        lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in cells]
        note = [self.note, ""] if self.note else []
        return "\n".join([f"## {self.title}", "", *note, *lines, ""])


def number(value: float, digits: int = 2, unit: str = "") -> str:
    """Write a number; a dash where there is none."""
    return "-" if math.isnan(value) else f"{value:.{digits}f}{unit}"


def angle(value: float, digits: int = 2) -> str:
    """Write degrees."""
    return number(value, digits, "°")
