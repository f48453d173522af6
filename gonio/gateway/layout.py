"""The tables of a kit's database as their rows lie on a page, and what a row must be to be believed."""

import json
import sqlite3
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from gonio.gateway.calibrations import read_calibration
from gonio.gateway.nameplate import is_kit_id
from gonio.gateway.rows import Row, Value
from gonio.messages import Envelope, Kind, RepReport

Found: TypeAlias = dict[str, Value]

_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "TEXT": (str,),
    "INTEGER": (int,),
    "INT": (int,),
    "REAL": (float, int),
    "BLOB": (bytes,),
    "ANY": (str, int, float, bytes),
}
_ANY_KIT: Final = "kit-0000000000000000"


@dataclass(frozen=True, slots=True)
class Layout:
    """A table's columns in the order of the disk.

    Attributes:
        table: its name.
        names: the columns.
        types: what each may hold.
        may_be_null: whether each may hold nothing.
        alias: the column that is the row's number; None where none is.
        rowid: whether rows have a number.
    """

    table: str
    names: tuple[str, ...]
    types: tuple[str, ...]
    may_be_null: tuple[bool, ...]
    alias: int | None
    rowid: bool

    def fit(self, row: Row) -> Found | None:
        """Give a row's values by column; None where the row cannot be this table's."""
        if self.rowid != (row.rowid is not None) or not row.values or len(row.values) > len(self.names):
            return None
        found: Found = {}
        for index, value in enumerate(row.values):
            if index == self.alias:
                if value is not None:
                    return None
                found[self.names[index]] = row.rowid
            elif value is None:
                if not self.may_be_null[index]:
                    return None
                found[self.names[index]] = None
            elif isinstance(value, _TYPES[self.types[index]]):
                found[self.names[index]] = value
            else:
                return None
        return found


def layouts(db: sqlite3.Connection) -> dict[str, Layout]:
    """Give the layout of every table of an open database."""
    tables = db.execute("SELECT name, wr FROM pragma_table_list WHERE schema = 'main' AND type = 'table'").fetchall()
    return {name: _layout(db, name, rowid=not wr) for name, wr in tables if not name.startswith("sqlite_")}


def _layout(db: sqlite3.Connection, table: str, *, rowid: bool) -> Layout:
    columns = db.execute('SELECT name, type, "notnull", pk FROM pragma_table_info(?)', (table,)).fetchall()
    keys = [column for column in columns if column[3]]
    alias = None
    if not rowid:  # the key's columns come first
        columns = sorted(keys, key=lambda column: int(column[3])) + [column for column in columns if not column[3]]
    elif len(keys) == 1 and keys[0][1] == "INTEGER":
        alias = columns.index(keys[0])
    return Layout(
        table=table,
        names=tuple(column[0] for column in columns),
        types=tuple(column[1] for column in columns),
        may_be_null=tuple(not column[2] and not (column[3] and not rowid) for column in columns),
        alias=alias,
        rowid=rowid,
    )


def believed(table: str, found: Found) -> bool:
    """Tell whether a row says something that a kit can have written there."""
    check = _CHECKS.get(table)
    try:
        return check is None or check(found)
    except (ValueError, TypeError, KeyError, RecursionError):  # pydantic's ValidationError is a ValueError
        return False


def checked(table: str) -> bool:
    """Tell whether rows of a table can be told by what they say, and not only by their shape."""
    return table in _CHECKS


def _record(found: Found) -> bool:
    Envelope.model_validate(_loose(found) | {"kit_id": _ANY_KIT})
    return True


def _open_session(found: Found) -> bool:
    if not isinstance(json.loads(str(found["head"])), dict):
        return False
    given = {name: value for name, value in _loose(found).items() if name != "head"}
    Envelope.model_validate(
        given
        | {"kit_id": _ANY_KIT, "kind": Kind.SESSION, "schema_version": 1, "payload": found["head"]}
        | {"outbox_id": uuid.UUID(int=0), "sequence": 1}
    )
    return True


def _loose(found: Found) -> dict[str, Any]:
    """Make the values of the columns what a message has in their place."""
    given: dict[str, Any] = dict(found)
    for name in ("record_id", "outbox_id", "boot_id"):
        if name in given:
            given[name] = uuid.UUID(given[name])
    if "kind" in given:
        given["kind"] = Kind(given["kind"])
    return given


def _rep(found: Found) -> bool:
    uuid.UUID(str(found["record_id"]))
    RepReport.model_validate_json(str(found["rep"]))
    return True


def _curve(found: Found) -> bool:
    uuid.UUID(str(found["record_id"]))
    points = json.loads(str(found["points"]))
    return isinstance(points, list) and all(point is None or isinstance(point, int) for point in points)


def _calibration(found: Found) -> bool:
    uuid.UUID(str(found["record_id"]))
    read_calibration(str(found["calibration"]))
    return True


def _named(*columns: str) -> Callable[[Found], bool]:
    """Give a check that these columns hold ids."""

    def check(found: Found) -> bool:
        return all(uuid.UUID(str(found[column])) is not None for column in columns)

    return check


def _sensor(found: Found) -> bool:
    return found["segment"] in {"thigh", "shank"}


def _kit(found: Found) -> bool:
    return found["one"] == 1 and is_kit_id(str(found["kit_id"]))


_CHECKS: Final[Mapping[str, Callable[[Found], bool]]] = {
    "kit": _kit,
    "outbox_head": _named("outbox_id"),
    "sensor": _sensor,
    "record": _record,
    "outbox": _named("record_id"),
    "open_session": _open_session,
    "open_rep": _rep,
    "open_curve": _curve,
    "calibration": _calibration,
    "compacted": _named("outbox_id"),
    "inbox": _named("record_id", "outbox_id"),
    "forged": _named("record_id"),
    "ended_outbox": _named("outbox_id"),
}
