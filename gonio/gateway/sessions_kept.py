"""The journal's tables: the sessions that are not over, with what of them is on the disk.

Functions on an open database, for :class:`gonio.gateway.store.KitStore`, which calls them in a transaction.
"""

import json
import sqlite3
import uuid
from typing import Any, TypeAlias

from gonio.gateway.outbox import capture_row
from gonio.gateway.records import Capture, OpenSession
from gonio.messages import RepReport

_Row: TypeAlias = tuple[Any, ...]


def journal(db: sqlite3.Connection, session: OpenSession, first_rep: int, first_point: int) -> None:
    """Write what is new of a session; see ``KitStore.journal``."""
    key = str(session.record_id)
    db.execute(
        "INSERT INTO open_session VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (record_id) DO UPDATE SET head = excluded.head",
        (key, *capture_row(session.capture), session.head),
    )
    db.executemany(
        "INSERT INTO open_rep VALUES (?, ?, ?)",
        [(key, n, r.model_dump_json(exclude_defaults=True)) for n, r in enumerate(session.reps, first_rep)],
    )
    if session.curve:
        points = json.dumps(session.curve, separators=(",", ":"))
        db.execute("INSERT INTO open_curve VALUES (?, ?, ?)", (key, first_point, points))


def forget(db: sqlite3.Connection, record_id: uuid.UUID) -> None:
    """Take a session out of the journal: it is a record now."""
    db.execute("DELETE FROM open_session WHERE record_id = ?", (str(record_id),))


def open_ids(db: sqlite3.Connection) -> list[uuid.UUID]:
    """Name the sessions in the journal, oldest first."""
    rows = db.execute("SELECT record_id FROM open_session ORDER BY record_id").fetchall()
    return [uuid.UUID(row[0]) for row in rows]


def read(db: sqlite3.Connection, record_id: uuid.UUID) -> OpenSession:
    """Give all that the journal knows of a session; errors as ``KitStore.open_session``."""
    row = db.execute(
        "SELECT record_id, boot_id, monotonic_ns, captured_at, clock, head FROM open_session WHERE record_id = ?",
        (str(record_id),),
    ).fetchone()
    if row is None:
        raise KeyError(record_id)
    return _open_session(db, row)


def _open_session(db: sqlite3.Connection, row: _Row) -> OpenSession:
    reps = db.execute("SELECT rep FROM open_rep WHERE record_id = ? ORDER BY number", (row[0],))
    pieces = db.execute("SELECT first, points FROM open_curve WHERE record_id = ? ORDER BY first", (row[0],))
    curve: list[int | None] = []
    for first, points in pieces:
        curve.extend([None] * (first - len(curve)))
        curve.extend(json.loads(points))
    return OpenSession(
        record_id=uuid.UUID(row[0]),
        capture=Capture(uuid.UUID(row[1]), row[2], row[3], row[4]),
        head=row[5],
        reps=tuple(RepReport.model_validate_json(rep) for (rep,) in reps),
        curve=tuple(curve),
    )
