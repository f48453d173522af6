"""Boxes as CSV, for whoever packs them; no cell is ever taken for a formula by a spreadsheet."""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from gonio.errors import UsageError

#: Cells that begin so are formulas to a spreadsheet; an apostrophe before them makes them text.
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\uff1d", "\uff0b", "\uff0d", "\uff20")
#: Lines of one import; far beyond a delivery of kits, and bounded in memory.
MAX_LINES: Final = 10_000
MAX_CHARACTERS: Final = 5_000_000
_COLUMNS: Final = ("label", "serial", "thigh_sensor", "shank_sensor")


@dataclass(frozen=True, slots=True)
class NewBox:
    """A box to be entered; sensors are addresses, or "" for none."""

    label: str
    serial: str
    thigh_sensor: str
    shank_sensor: str


def safe(cell: str) -> str:
    """Give a cell that a spreadsheet takes for text."""
    return f"'{cell}" if cell.lstrip("'").startswith(_FORMULA) else cell


def plain(cell: str) -> str:
    """Give back what ``safe`` was given."""
    return cell[1:] if cell.startswith("'") and cell[1:].lstrip("'").startswith(_FORMULA) else cell


def write_csv(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write a table, safe cell by cell."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(header)
    writer.writerows([safe(cell) for cell in row] for row in rows)
    return out.getvalue()


def read_boxes(text: str) -> list[NewBox]:
    """Read boxes to be entered: a header with ``label``, and ``serial``, ``thigh_sensor``, ``shank_sensor`` if wanted.

    Other columns are ignored, so that a table that was exported can be changed and read.

    Raises:
        UsageError: it is no such table; the text names the line.
    """
    if len(text) > MAX_CHARACTERS:
        raise UsageError(f"the file is over {MAX_CHARACTERS // 1_000_000} MB: enter fewer boxes at once")
    reader = csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""), strict=True)
    boxes: list[NewBox] = []
    try:
        header = [name.strip().casefold().replace(" ", "_") for name in next(reader, [])]
        if "label" not in header:
            raise UsageError(f"line 1: name the columns: {', '.join(_COLUMNS)}; only the first is needed")
        for row in reader:
            if not any(cell.strip() for cell in row):
                continue
            if len(boxes) == MAX_LINES:
                raise UsageError(f"over {MAX_LINES} boxes: enter fewer at once")
            if len(row) > len(header):
                raise UsageError(f"line {reader.line_num}: {len(row)} cells under {len(header)} columns")
            found = {name: plain(cell).strip() for name, cell in zip(header, row, strict=False)}
            boxes.append(NewBox(*(found.get(name, "") for name in _COLUMNS)))
    except csv.Error as error:
        raise UsageError(f"line {reader.line_num}: this is no CSV ({error})") from error
    return boxes
