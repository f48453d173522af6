"""Patients, kits, who has which, and what follows for the derived tables; within the caller's transaction."""

from datetime import UTC, datetime
from typing import Final, Literal
from uuid import UUID
from zoneinfo import ZoneInfo

from pydantic import TypeAdapter, ValidationError
from sqlalchemy import Connection, delete, insert, select, update

from gonio.cloud_sink.bulk import ON_CONFLICT_SKIP, insert_rows
from gonio.cloud_sink.derive import Derived, Source, derive
from gonio.cloud_sink.intake import bindings_of, lock_kits
from gonio.cloud_sink.schema import DERIVED, HOME_CLINIC, KIT_BINDINGS, KITS, PATIENTS, RECORDS
from gonio.errors import UsageError
from gonio.messages import Kind, KitId, SessionSummary, new_record_id

MAX_NAME: Final = 200
_KIT_ID: Final[TypeAdapter[str]] = TypeAdapter(KitId)


def add_patient(connection: Connection, name: str, time_zone: str) -> UUID:
    """Enter a patient; see ``Store.add_patient``."""
    name = name.strip()
    if not 1 <= len(name) <= MAX_NAME or not name.isprintable():
        raise UsageError(f"a patient's name has 1 to {MAX_NAME} printable characters")
    try:
        ZoneInfo(time_zone)
    except (KeyError, ValueError, OSError) as error:
        raise UsageError(f"{time_zone!r} is no time zone: write one like America/Chicago or Europe/Berlin") from error
    patient_id = new_record_id()
    row = {
        "patient_id": patient_id,
        "clinic_id": HOME_CLINIC,
        "name": name,
        "time_zone": time_zone,
        "added_at": datetime.now(UTC),
    }
    connection.execute(insert(PATIENTS).values(row))
    return patient_id


def add_kit(connection: Connection, kit_id: str, label: str | None) -> None:
    """Enter a kit, or give a known one a label (None leaves it); see ``Store.add_kit``."""
    try:
        _KIT_ID.validate_python(kit_id)
    except ValidationError as error:
        raise UsageError(f"{kit_id!r} is no kit id: 3 to 64 small letters, digits and dashes") from error
    row = {"kit_id": kit_id, "clinic_id": HOME_CLINIC, "label": label or "", "first_seen_at": datetime.now(UTC)}
    known = not insert_rows(connection, KITS, [row], ON_CONFLICT_SKIP)
    if known and label is not None:
        connection.execute(update(KITS).where(KITS.c.kit_id == kit_id).values(label=label))


def bind_kit(
    connection: Connection, kit_id: str, patient_id: UUID, *, since: datetime, side: Literal["left", "right"] | None
) -> None:
    """Give a kit to a patient from a moment on; see ``Store.bind_kit``."""
    add_kit(connection, kit_id, None)
    kit_clinic = lock_kits(connection, [kit_id], to_change=True)[kit_id]
    patient_clinic = connection.execute(
        select(PATIENTS.c.clinic_id).where(PATIENTS.c.patient_id == patient_id)
    ).scalar_one_or_none()
    if patient_clinic != kit_clinic:
        raise UsageError(f"the clinic of kit {kit_id} has no patient {patient_id}")
    columns = KIT_BINDINGS.c
    last = (
        connection.execute(select(KIT_BINDINGS).where(columns.kit_id == kit_id).order_by(columns.bound_from.desc()))
        .mappings()
        .first()
    )
    if last is not None and last["bound_to"] is None and last["bound_from"] <= since:
        held = (last["patient_id"], last["side"])
        if held == (patient_id, side):
            return
    if last is not None and last["bound_from"] >= since:
        raise UsageError(
            f"kit {kit_id} was given to somebody at {last['bound_from'].isoformat()}: bind it from later on"
        )
    if last is not None and (last["bound_to"] is None or last["bound_to"] > since):
        _end(connection, last["binding_id"], since)
    row = {
        "binding_id": new_record_id(),
        "clinic_id": kit_clinic,
        "kit_id": kit_id,
        "patient_id": patient_id,
        "side": side,
        "bound_from": since,
        "bound_to": None,
    }
    connection.execute(insert(KIT_BINDINGS).values(row))
    _rederive_kit(connection, kit_id)


def unbind_kit(connection: Connection, kit_id: str, *, at: datetime) -> None:
    """Take a kit back from a moment on; see ``Store.unbind_kit``."""
    lock_kits(connection, [kit_id], to_change=True)
    columns = KIT_BINDINGS.c
    held = connection.execute(
        select(columns.binding_id).where(columns.kit_id == kit_id, columns.bound_to.is_(None), columns.bound_from < at)
    ).scalar_one_or_none()
    if held is None:
        raise UsageError(f"nobody has kit {kit_id} at {at.isoformat()}")
    _end(connection, held, at)
    _rederive_kit(connection, kit_id)


def rederive(connection: Connection) -> None:
    """Make all derived tables again; see ``Store.rederive``."""
    kits = connection.execute(select(KITS.c.kit_id)).scalars().all()
    for kit_id in lock_kits(connection, sorted(kits), to_change=True):
        _rederive_kit(connection, kit_id)


def _end(connection: Connection, binding_id: UUID, at: datetime) -> None:
    connection.execute(update(KIT_BINDINGS).where(KIT_BINDINGS.c.binding_id == binding_id).values(bound_to=at))


def _rederive_kit(connection: Connection, kit_id: str) -> None:
    columns = RECORDS.c
    ids = select(columns.record_id).where(columns.kit_id == kit_id)
    for table in DERIVED:
        connection.execute(delete(table).where(table.c.record_id.in_(ids)))
    bindings = bindings_of(connection, [kit_id]).get(kit_id, [])
    derived = Derived()
    rows = connection.execute(
        select(
            columns.record_id,
            columns.clinic_id,
            columns.kit_id,
            columns.kind,
            columns.captured_utc,
            columns.received_at,
            columns.clock,
            columns.payload,
        ).where(columns.kit_id == kit_id)
    )
    for row in rows.mappings():
        header = {name: value for name, value in row.items() if name != "payload"}
        is_session = row["kind"] == Kind.SESSION
        summary = SessionSummary.model_validate_json(row["payload"]) if is_session else None
        derive(Source(**header, summary=summary), bindings, derived)
    for table in reversed(DERIVED):
        insert_rows(connection, table, derived.rows[table])
