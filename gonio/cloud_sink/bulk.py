"""Many rows with few statements, the same on both databases.

SQLAlchemy's own insert builds a dictionary of parameters for each row, which costs more than the database does. Here
the values are converted column by column, by the converters of the column's type, and handed to the driver at once.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import itemgetter
from typing import Any, Final, TypeAlias, TypeVar

from sqlalchemy import Connection, Table

Row: TypeAlias = dict[str, Any]  # one row of a table, by column name

Key = TypeVar("Key")
Found = TypeVar("Found")

#: Values in one IN list: well under the 32,766 variables of an SQLite statement.
_SLICE: Final = 500

ON_CONFLICT_SKIP: Final = "ON CONFLICT DO NOTHING"


def insert_rows(connection: Connection, table: Table, rows: Sequence[Row], on_conflict: str = "") -> int:
    """Insert rows; each has every column of the table.

    Args:
        connection: within a transaction.
        table: where to.
        rows: what, in the order in which they are to be written.
        on_conflict: SQL that says what happens to a row whose key is there; without it that is an error.

    Returns:
        How many were written.
    """
    if not rows:
        return 0
    dialect = connection.dialect
    columns = list(table.columns)
    mark = "?" if dialect.paramstyle == "qmark" else "%s"
    statement = (
        f"INSERT INTO {table.name} ({', '.join(column.name for column in columns)}) "  # noqa: S608 - names of the schema
        f"VALUES ({', '.join([mark] * len(columns))}) {on_conflict}"
    )
    by_column: list[Any] = []
    for column in columns:
        values = map(itemgetter(column.name), rows)
        convert = column.type.dialect_impl(dialect).bind_processor(dialect)
        by_column.append(values if convert is None else map(convert, values))
    return connection.exec_driver_sql(statement, list(zip(*by_column, strict=True))).rowcount


def in_slices(keys: Sequence[Key], look_up: Callable[[Sequence[Key]], Iterable[Found]]) -> Iterator[Found]:
    """Look many keys up, some at a time."""
    for start in range(0, len(keys), _SLICE):
        yield from look_up(keys[start : start + _SLICE])
