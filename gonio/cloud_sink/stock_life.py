"""What happened to boxes, as part of the caller's transaction: only ever added to."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, insert, select, update

from gonio.cloud_sink.schema_stock import KIT_LIFE, STOCK
from gonio.cloud_sink.stock_states import BoxEvent, BoxState, check_ready
from gonio.messages import new_record_id


@dataclass(frozen=True, slots=True)
class LifeEvent:
    """One line of a box's life: a state that it came to, or an event; with the patient who had it then, if any."""

    what: BoxState | BoxEvent
    at: datetime
    by: str
    reason: str
    patient_id: UUID | None


def note(
    connection: Connection,
    box: Row[Any],
    what: BoxState | BoxEvent,
    *,
    by: str,
    at: datetime,
    reason: str = "",
    patient_id: UUID | None = None,
) -> None:
    """Add a line, and where it is a state, let the box be in it; ``box`` is its row of ``stock``, held."""
    line = {"event_id": new_record_id(), "clinic_id": box.clinic_id, "item_id": box.item_id, "state": what.value}
    connection.execute(insert(KIT_LIFE).values(line | {"at": at, "by": by, "reason": reason, "patient_id": patient_id}))
    if isinstance(what, BoxState):
        connection.execute(update(STOCK).where(STOCK.c.item_id == box.item_id).values(state=what.value, changed_at=at))


def hold(connection: Connection, item_id: UUID) -> Row[Any] | None:
    """Give a box's row and hold it until the transaction ends; None where there is none."""
    return connection.execute(select(STOCK).where(STOCK.c.item_id == item_id).with_for_update()).first()


def hold_of_kit(connection: Connection, kit_id: str) -> Row[Any] | None:
    """Give the row of a kit's box and hold it; None for a kit that came in no box of ours."""
    return connection.execute(select(STOCK).where(STOCK.c.kit_id == kit_id).with_for_update()).first()


def given(connection: Connection, kit_id: str, patient_id: UUID, *, by: str, at: datetime) -> Row[Any] | None:
    """Note that a kit was bound to a patient; gives its box. The kit is held.

    Raises:
        UsageError: its box is not ready for a patient.
    """
    box = hold_of_kit(connection, kit_id)
    if box is not None:
        check_ready(BoxState(box.state))
        note(connection, box, BoxState.ACTIVE, by=by, at=at, patient_id=patient_id)
    return box


def taken(connection: Connection, kit_id: str, *, by: str, at: datetime) -> None:
    """Note that a kit was taken from its patient: somebody still has it. The kit is held."""
    box = hold_of_kit(connection, kit_id)
    if box is not None and box.state == BoxState.ACTIVE.value:
        note(connection, box, BoxState.DELIVERED, by=by, at=at, reason="taken from its patient")


def claimed(connection: Connection, item_id: UUID, *, by: str, at: datetime) -> None:
    """Note that the kit in a box was claimed; one that was on its way has arrived."""
    box = hold(connection, item_id)
    if box is None:
        return
    if box.state == BoxState.SHIPPED.value:
        note(connection, box, BoxState.DELIVERED, by=by, at=at, reason="its kit was switched on and claimed")
    else:
        note(connection, box, BoxEvent.CLAIMED, by=by, at=at)


def life_of(connection: Connection, item_id: UUID) -> Sequence[LifeEvent]:
    """Give the lines of a box, the oldest first."""
    columns = KIT_LIFE.c
    rows = connection.execute(select(KIT_LIFE).where(columns.item_id == item_id).order_by(columns.at, columns.event_id))
    return [LifeEvent(_what(row.state), row.at, row.by, row.reason, row.patient_id) for row in rows]


def _what(word: str) -> BoxState | BoxEvent:
    return BoxState(word) if word in set(BoxState) else BoxEvent(word)
