"""The rows on single pages of an SQLite database, without the tree above them.

Whatever stands on a page is tried and never trusted: a cell that cannot be one gives no row.
Format: https://www.sqlite.org/fileformat2.html, sections 1.6 and 2.
"""

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

Value: TypeAlias = int | float | str | bytes | None
ReadPage: TypeAlias = Callable[[int], bytes | None]

TABLE_LEAF: Final = 0x0D
TABLE_INTERIOR: Final = 0x05
INDEX_LEAF: Final = 0x0A
INDEX_INTERIOR: Final = 0x02
_HEADER_SIZE: Final = {TABLE_LEAF: 8, INDEX_LEAF: 8, TABLE_INTERIOR: 12, INDEX_INTERIOR: 12}
_FIRST_PAGE: Final = 100  # page 1 begins with the database's own header
MAX_ROW: Final = 32 * 1024 * 1024  # bytes of a row: far above what a kit writes, and it bounds what a page can ask for
_INTEGERS: Final = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}
_FLOAT: Final = 7
_MORE: Final = 0x80  # the bit that says that a varint goes on


@dataclass(frozen=True, slots=True)
class Row:
    """A row: its number (None in an index and in a table WITHOUT ROWID) and its values in the order of the disk."""

    rowid: int | None
    values: tuple[Value, ...]


def page_type(number: int, page: bytes) -> int:
    """Give a page's type; 0 for one that is of no tree."""
    kind = page[_FIRST_PAGE if number == 1 else 0]
    return kind if kind in _HEADER_SIZE else 0


def children(number: int, page: bytes) -> list[int]:
    """Give the pages below an interior page; none below a leaf."""
    kind = page_type(number, page)
    if kind not in {TABLE_INTERIOR, INDEX_INTERIOR}:
        return []
    start = _FIRST_PAGE if number == 1 else 0
    below = [int.from_bytes(page[at : at + 4], "big") for at in _cells(start, page, kind)]
    return [*below, int.from_bytes(page[start + 8 : start + 12], "big")]


def rows(number: int, page: bytes, usable: int, read: ReadPage) -> Iterator[Row]:
    """Give the rows on a page.

    Args:
        number: the page's, from 1.
        page: its content.
        usable: bytes of a page that SQLite uses.
        read: gives another page, None where it cannot be read: for what a long row continues on.
    """
    kind = page_type(number, page)
    if kind in {0, TABLE_INTERIOR}:
        return
    for at in _cells(_FIRST_PAGE if number == 1 else 0, page, kind):
        try:
            yield _row(page, at + 4 if kind == INDEX_INTERIOR else at, usable, read, table=kind == TABLE_LEAF)
        except (ValueError, IndexError, struct.error):
            continue


def _cells(start: int, page: bytes, kind: int) -> list[int]:
    (count,) = struct.unpack_from(">H", page, start + 3)
    first = start + _HEADER_SIZE[kind]
    count = min(count, (len(page) - first) // 2)
    return [at for at in struct.unpack_from(f">{count}H", page, first) if at < len(page) - 4]


def _row(page: bytes, at: int, usable: int, read: ReadPage, *, table: bool) -> Row:
    size, at = _varint(page, at)
    rowid = None
    if table:
        number, at = _varint(page, at)
        rowid = number - (1 << 64) if number >> 63 else number
    if not 0 < size <= MAX_ROW:
        raise ValueError("no row is so long")
    local = _local(size, usable, table=table)
    if at + local + (0 if local == size else 4) > usable:
        raise ValueError("a row ends on its page")
    body = page[at : at + local]
    if local < size:
        body += _overflow(int.from_bytes(page[at + local : at + local + 4], "big"), size - local, usable, read)
    return Row(rowid, _values(body))


def _local(size: int, usable: int, *, table: bool) -> int:
    """Give how many bytes of a row stand on its own page (section 1.6)."""
    most = usable - 35 if table else (usable - 12) * 64 // 255 - 23
    if size <= most:
        return size
    least = (usable - 12) * 32 // 255 - 23
    wanted = least + (size - least) % (usable - 4)
    return wanted if wanted <= most else least


def _overflow(number: int, wanted: int, usable: int, read: ReadPage) -> bytes:
    pieces: list[bytes] = []
    seen: set[int] = set()
    while wanted > 0:
        page = read(number) if number > 0 and number not in seen else None
        if page is None:
            raise ValueError("the rest of the row cannot be read")
        seen.add(number)
        pieces.append(page[4 : min(usable, 4 + wanted)])
        wanted -= len(pieces[-1])
        number = int.from_bytes(page[:4], "big")
    return b"".join(pieces)


def _values(body: bytes) -> tuple[Value, ...]:
    end, at = _varint(body, 0)
    kinds = []
    while at < end:
        kind, at = _varint(body, at)
        kinds.append(kind)
    values, at = [], end
    for kind in kinds:
        value, at = _value(body, at, kind)
        values.append(value)
    if at != len(body):
        raise ValueError("a row is as long as its values")
    return tuple(values)


def _value(body: bytes, at: int, kind: int) -> tuple[Value, int]:
    if kind == 0:
        return None, at
    if kind in {8, 9}:
        return kind - 8, at
    size = _INTEGERS.get(kind, 8 if kind == _FLOAT else (kind - 12) // 2)
    piece = body[at : at + size]
    if kind in {10, 11} or len(piece) < size:
        raise ValueError("no such value")
    if kind in _INTEGERS:
        return int.from_bytes(piece, "big", signed=True), at + size
    if kind == _FLOAT:
        return float(struct.unpack(">d", piece)[0]), at + size
    return (piece.decode("utf-8") if kind % 2 else piece), at + size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for count in range(8):
        byte = data[at + count]
        value = value << 7 | byte & 0x7F
        if byte < _MORE:
            return value, at + count + 1
    return value << 8 | data[at + 8], at + 9
