"""Marking records for the projection, in the transaction that changes them: the one door by which intake knows it.

A mark says "look at this record again", not what happened: whoever projects reads the book as it then is. A record is
in the queue once however often it is marked, and each marking gives it a new ticket, so that a projector that has
written an older state does not take the row away. Nothing is kept of the order in which transactions commit: a mark is
seen when its transaction is, and taken away when it is done with, so none can be skipped.
"""

import json
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Self
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, literal, select

from gonio.cloud_sink.bulk import Row, in_slices, insert_rows
from gonio.cloud_sink.judge import Accepted
from gonio.cloud_sink.schema import RECORDS
from gonio.cloud_sink.schema_projection import PROJECTION_QUEUE, PROJECTIONS
from gonio.messages import Kind

#: The kinds of record that have points, beside ``health``.
PROJECTED: Final = frozenset({Kind.SESSION, Kind.CHECK_IN})

#: A row that is there is marked anew, also one that was refused.
MARK_ANEW: Final = (
    "ON CONFLICT (projection, record_id) DO UPDATE SET "
    "ticket = excluded.ticket, due_at = excluded.due_at, reason = NULL, content = excluded.content"
)


@dataclass(frozen=True, slots=True)
class SeenHealth:
    """A health report on its way to the projection: the book itself keeps the newest of each kit only."""

    kit_id: str
    as_of: datetime
    payload: str

    def to_text(self) -> str:
        """Write it for the queue."""
        return json.dumps([self.kit_id, self.as_of.isoformat(), self.payload])

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Read what ``to_text`` wrote."""
        kit_id, as_of, payload = json.loads(text)
        return cls(kit_id, datetime.fromisoformat(as_of), payload)


def mark_new(connection: Connection, stored: Iterable[Accepted], clinic_of: Mapping[str, Any]) -> None:
    """Queue what a batch of intake has stored; nothing where no projection is registered.

    Args:
        connection: within the transaction that stores them.
        stored: new records, and health reports that were newer than the one in the book.
        clinic_of: each kit's clinic.
    """
    registered = _registered(connection)
    if not registered:
        return
    rows: dict[tuple[str, UUID], Row] = {}  # a batch may have a report twice
    stamp = {"ticket": uuid.uuid4(), "due_at": datetime.now(UTC), "reason": None}
    for judged in stored:
        envelope = judged.envelope
        is_health = envelope.kind is Kind.HEALTH
        if not is_health and envelope.kind not in PROJECTED:
            continue
        row = stamp | {
            "record_id": envelope.record_id,
            "clinic_id": clinic_of[envelope.kit_id],
            "kind": envelope.kind.value,
            "content": _seen(judged).to_text() if is_health else None,
        }
        for name, clinic in registered:
            if clinic == row["clinic_id"]:
                rows[name, envelope.record_id] = row | {"projection": name}
    # a void in the same batch may have marked its target already, and a report may come again while it waits here
    insert_rows(connection, PROJECTION_QUEUE, [rows[key] for key in sorted(rows)], MARK_ANEW)


def mark_again(connection: Connection, record_ids: Sequence[UUID]) -> None:
    """Queue records already in the book whose derived state has changed: voided, their clock repaired."""
    registered = _registered(connection)
    if registered:
        slices = in_slices(record_ids, lambda ids: [RECORDS.c.record_id.in_(ids)])
        for these in slices:
            _mark_where(connection, registered, these)


def mark_kit(connection: Connection, kit_id: str) -> None:
    """Queue all records of a kit: who has it has changed."""
    registered = _registered(connection)
    if registered:
        _mark_where(connection, registered, RECORDS.c.kit_id == kit_id)


def _registered(connection: Connection) -> list[tuple[str, UUID]]:
    """Ask in this very transaction: whoever registers waits for all that asked before (see `queue.register`)."""
    rows = connection.execute(select(PROJECTIONS.c.projection, PROJECTIONS.c.clinic_id).order_by("projection"))
    return [(name, clinic) for name, clinic in rows]


def _mark_where(connection: Connection, registered: Sequence[tuple[str, UUID]], which: ColumnElement[bool]) -> None:
    columns = RECORDS.c
    stamp = {"ticket": uuid.uuid4(), "due_at": datetime.now(UTC), "reason": None, "content": None}
    for name, clinic in registered:
        found = connection.execute(
            select(literal(name).label("projection"), columns.record_id, columns.clinic_id, columns.kind)
            .where(which, columns.clinic_id == clinic, columns.kind.in_(sorted(PROJECTED)))
            .order_by(columns.record_id)
        )
        insert_rows(connection, PROJECTION_QUEUE, [dict(row) | stamp for row in found.mappings()], MARK_ANEW)


def _seen(judged: Accepted) -> SeenHealth:
    """Place a report in time as the book does: by its own clock where that was right, else by its arrival."""
    known = judged.envelope.clock == "synchronised"
    as_of = min(judged.captured_utc, judged.received_at) if known else judged.received_at
    return SeenHealth(judged.envelope.kit_id, as_of, judged.envelope.payload)
