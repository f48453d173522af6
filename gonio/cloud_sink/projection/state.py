"""What the points of queued records must be, by the book as it is now."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeAlias
from uuid import UUID

from pydantic import ValidationError
from sqlalchemy import Connection, Row, func, select

from gonio.cloud_sink.bulk import in_slices
from gonio.cloud_sink.projection.lines import NONE
from gonio.cloud_sink.projection.marks import SeenHealth
from gonio.cloud_sink.projection.points import Drawn, Header, UnfitError, draw_check_in, draw_health, draw_session
from gonio.cloud_sink.schema import KIT_BINDINGS, RECORDS, SESSIONS, UtcDateTime
from gonio.cloud_sink.schema_kinds import CHECK_INS
from gonio.messages import CheckIn, HealthReport, Kind, SessionSummary


@dataclass(frozen=True, slots=True)
class Queued:
    """A row of the queue; ``ticket`` is what it must still have to be taken away."""

    record_id: UUID
    clinic_id: UUID
    kind: str
    ticket: UUID
    content: str | None


@dataclass(frozen=True, slots=True)
class Gone:
    """The record has no points: it was struck out, or is no longer in the book."""


@dataclass(frozen=True, slots=True)
class Unfit:
    """The record cannot have points, and why."""

    reason: str


GONE: Final = Gone()
Wanted: TypeAlias = Drawn | Gone | Unfit


@dataclass(frozen=True, slots=True)
class _Binding:
    binding_id: UUID
    patient_id: UUID
    bound_from: datetime
    bound_to: datetime | None


def wanted(connection: Connection, queued: Sequence[Queued]) -> dict[UUID, tuple[str, Wanted]]:
    """Say for each queued record which kit's it is and what points it must have; one that is gone has kit "".

    Args:
        connection: of a transaction that sees one moment of the book, in which ``queued`` was read.
        queued: rows of the queue.
    """
    found: dict[UUID, tuple[str, Wanted]] = {row.record_id: ("", GONE) for row in queued}
    for row in queued:
        if row.content is not None:
            seen = SeenHealth.from_text(row.content)
            found[row.record_id] = (seen.kit_id, _health(row.record_id, seen))
    records = list(_records(connection, [row.record_id for row in queued if row.content is None]))
    bindings = _bindings(connection, sorted({record.kit_id for record in records}))
    for record in records:
        found[record.record_id] = (record.kit_id, _record(record, bindings.get(record.kit_id, ())))
    return found


def _records(connection: Connection, ids: Sequence[UUID]) -> Sequence[Row[Any]]:
    columns = RECORDS.c
    query = select(
        columns.record_id,
        columns.kit_id,
        columns.kind,
        columns.received_at,
        columns.payload,
        func.coalesce(SESSIONS.c.started_at, CHECK_INS.c.at, type_=UtcDateTime).label("at"),
        func.coalesce(SESSIONS.c.clock, CHECK_INS.c.clock).label("clock"),
        func.coalesce(SESSIONS.c.voided, CHECK_INS.c.voided).label("voided"),
    ).select_from(
        RECORDS.join(SESSIONS, SESSIONS.c.record_id == columns.record_id, isouter=True).join(
            CHECK_INS, CHECK_INS.c.record_id == columns.record_id, isouter=True
        )
    )
    return list(in_slices(ids, lambda some: connection.execute(query.where(columns.record_id.in_(some)))))


def _bindings(connection: Connection, kits: Sequence[str]) -> Mapping[str, list[_Binding]]:
    columns = KIT_BINDINGS.c
    found: dict[str, list[_Binding]] = {}
    rows = in_slices(
        kits,
        lambda some: connection.execute(
            select(columns.kit_id, columns.binding_id, columns.patient_id, columns.bound_from, columns.bound_to)
            .where(columns.kit_id.in_(some))
            .order_by(columns.bound_from)
        ),
    )
    for kit_id, *rest in rows:
        found.setdefault(kit_id, []).append(_Binding(*rest))
    return found


def _record(record: Row[Any], bindings: Sequence[_Binding]) -> Wanted:
    if record.at is None or record.voided:  # nothing derives from it, or it was struck out
        return GONE
    header = Header(record.record_id, record.kit_id, _episode(record, bindings), record.at, record.clock)
    try:
        if record.kind == Kind.SESSION:
            return draw_session(header, SessionSummary.model_validate_json(record.payload))
        return draw_check_in(header, CheckIn.model_validate_json(record.payload))
    except ValidationError:
        return Unfit("its payload is of an older gonio than this one can read")
    except UnfitError as error:
        return Unfit(str(error))


def _health(record_id: UUID, seen: SeenHealth) -> Wanted:
    try:
        return draw_health(record_id, seen.kit_id, seen.as_of, HealthReport.model_validate_json(seen.payload))
    except ValidationError:
        return Unfit("its payload is of an older gonio than this one can read")
    except UnfitError as error:
        return Unfit(str(error))


def _episode(record: Row[Any], bindings: Sequence[_Binding]) -> str:
    """Name the binding in force, by the rule of `derive.whose`: a clock that cannot say when leaves no choice."""
    if record.clock == "unsynchronised":
        possible = [binding for binding in bindings if binding.bound_from <= record.received_at]
        in_force = possible[-1:] if len({binding.patient_id for binding in possible}) == 1 else []
    else:
        in_force = [b for b in bindings if b.bound_from <= record.at and (b.bound_to is None or record.at < b.bound_to)]
    return str(in_force[0].binding_id) if in_force else NONE
