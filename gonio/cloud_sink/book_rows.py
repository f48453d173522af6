"""The rows of a book in one form for both databases, and digests of them: what copies are made of and held against.

The form is SQLite's own: numbers, text, bytes and null, with ids as 32 hexadecimal digits and moments as text in UTC.
Rows stand in the order of their primary key, text compared byte by byte, so that two books with the same content give
the same rows whichever database holds them.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from sqlalchemy import Connection, LargeBinary, String, Table
from sqlalchemy.dialects import sqlite

from gonio.cloud_sink.schema_all import METADATA

RawRow: TypeAlias = tuple[Any, ...]
Converter: TypeAlias = Callable[[Any], Any] | None

#: Rows under one digest: a difference is found to within so many rows. Also what is read at once. A backup says of
#: itself how many it was made with.
CHUNK_ROWS: Final = 5_000

_SQLITE: Final = sqlite.dialect()


@dataclass(frozen=True, slots=True)
class Shape:
    """A table's name, columns and primary key, in the order in which its rows are read."""

    table: str
    columns: tuple[str, ...]
    key: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Digest:
    """SHA-256 of some rows of a table, from the ``first`` (counted from 1) on."""

    table: str
    first: int
    rows: int
    sha256: str

    @property
    def place(self) -> str:
        """Name the rows for people."""
        return f"table {self.table}, rows {self.first} to {self.first + max(self.rows, 1) - 1}"


def shape_of(table: Table) -> Shape:
    """Describe a table of the schema."""
    return Shape(table.name, tuple(c.name for c in table.columns), tuple(c.name for c in table.primary_key))


def tables() -> list[Table]:
    """Give all tables of the schema, each after those that it refers to."""
    return list(METADATA.sorted_tables)


def digest(table: str, first: int, rows: Sequence[RawRow]) -> Digest:
    """Digest some rows; each counts as Python writes it in ASCII, which keeps types and every bit apart."""
    sha = hashlib.sha256()
    for row in rows:
        sha.update(ascii(row).encode())
        sha.update(b"\n")
    return Digest(table, first, len(rows), sha.hexdigest())


def digests(shape: Shape, chunks: Iterable[Sequence[RawRow]]) -> Iterator[Digest]:
    """Digest a table's rows chunk by chunk; an empty table has one digest, of no row."""
    first = 1
    for rows in chunks:
        yield digest(shape.table, first, rows)
        first += len(rows)
    if first == 1:
        yield digest(shape.table, first, ())


def sqlite_chunks(
    connection: Any,  # noqa: ANN401 - the driver's
    shape: Shape,
    size: int | None = None,
) -> Iterator[list[RawRow]]:
    """Read a table of an SQLite database through its driver's connection, ``size`` (CHUNK_ROWS) rows at once."""
    cursor = connection.cursor()
    cursor.execute(f"SELECT {_names(shape.columns)} FROM {shape.table} ORDER BY {_names(shape.key)}")  # noqa: S608 - names of the schema
    while rows := cursor.fetchmany(size or CHUNK_ROWS):
        yield rows


def postgres_chunks(connection: Connection, table: Table) -> Iterator[list[RawRow]]:
    """Read a table of a PostgreSQL database, within a transaction that sees one moment of it."""
    shape = shape_of(table)
    converters = [to_sqlite(column.type) for column in table.columns]
    order = ", ".join(
        f'{c.name} COLLATE "C"' if isinstance(c.type, String) else c.name for c in table.primary_key.columns
    )
    cursor: Any = connection.connection.cursor(name="gonio_copy")  # psycopg's: the server keeps it
    with closing(cursor):
        cursor.execute(f"SELECT {_names(shape.columns)} FROM {shape.table} ORDER BY {order}")  # noqa: S608 - as above
        while rows := cursor.fetchmany(CHUNK_ROWS):
            yield convert(rows, converters)


def convert(rows: Sequence[RawRow], converters: Sequence[Converter]) -> list[RawRow]:
    """Convert rows column by column."""
    columns = [
        values if converter is None else map(converter, values)
        for converter, values in zip(converters, zip(*rows, strict=True), strict=True)
    ]
    return list(zip(*columns, strict=True))


def to_sqlite(kind: Any) -> Converter:  # noqa: ANN401 - SQLAlchemy's type, whichever
    """Give the conversion of a column's Python values to SQLite's form; None where there is none to do."""
    if isinstance(kind, LargeBinary):
        return None  # the driver's own wrapper would be put around the bytes
    converter: Converter = kind.dialect_impl(_SQLITE).bind_processor(_SQLITE)
    return converter


def from_sqlite(kind: Any) -> Converter:  # noqa: ANN401 - as above
    """Give the conversion of a column's values in SQLite's form to Python's; None where there is none to do."""
    converter: Converter = kind.dialect_impl(_SQLITE).result_processor(_SQLITE, None)
    return converter


def _names(names: Iterable[str]) -> str:
    return ", ".join(names)
