"""Patients, kits, who has which, and what follows for the derived tables; within the caller's transaction."""

from datetime import UTC, datetime
from typing import Final, Literal
from uuid import UUID
from zoneinfo import ZoneInfo

from pydantic import TypeAdapter, ValidationError
from sqlalchemy import Connection, insert, select, update

from gonio.cloud_sink.audit_log import Entry, append
from gonio.cloud_sink.bulk import ON_CONFLICT_SKIP, insert_rows
from gonio.cloud_sink.derivation import derive_kit, strike
from gonio.cloud_sink.kits import bindings_of, lock_kits
from gonio.cloud_sink.schema import HOME_CLINIC, KIT_BINDINGS, KITS, PATIENTS, RECORDS
from gonio.cloud_sink.schema_kinds import STAFF_VOIDS
from gonio.errors import UsageError
from gonio.messages import Kind, KitId, new_record_id

MAX_NAME: Final = 200
MAX_REASON: Final = 500
RECORD_VOIDED: Final = "record-voided"  # in the audit log
_KIT_ID: Final[TypeAdapter[str]] = TypeAdapter(KitId)


def add_patient(connection: Connection, name: str, time_zone: str, clinic_id: UUID) -> UUID:
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
        "clinic_id": clinic_id,
        "name": name,
        "time_zone": time_zone,
        "added_at": datetime.now(UTC),
    }
    connection.execute(insert(PATIENTS).values(row))
    return patient_id


def add_kit(connection: Connection, kit_id: str, label: str | None) -> bool:
    """Enter a kit, or give a known one a label (None leaves it); see ``Store.add_kit``; whether that changed it."""
    try:
        _KIT_ID.validate_python(kit_id)
    except ValidationError as error:
        raise UsageError(f"{kit_id!r} is no kit id: 3 to 64 small letters, digits and dashes") from error
    row = {
        "kit_id": kit_id,
        "clinic_id": HOME_CLINIC,
        "label": label or "",
        "first_seen_at": datetime.now(UTC),
        "has_voids": False,
        "has_unsynchronised": False,
    }
    if insert_rows(connection, KITS, [row], ON_CONFLICT_SKIP):
        return True
    if label is None:
        return False
    columns = KITS.c
    changed = connection.execute(
        update(KITS).where(columns.kit_id == kit_id, columns.label != label).values(label=label)
    )
    return changed.rowcount > 0


def bind_kit(
    connection: Connection, kit_id: str, patient_id: UUID, *, since: datetime, side: Literal["left", "right"] | None
) -> bool:
    """Give a kit to a patient from a moment on; see ``Store.bind_kit``; whether that changed anything."""
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
            return False
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
    return True


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


def void_record(connection: Connection, record_id: UUID, reason: str, by: str) -> bool:
    """Strike out a session or a check-in; see ``Store.void_record``."""
    reason = reason.strip()
    if not 1 <= len(reason) <= MAX_REASON or not reason.isprintable():
        raise UsageError(f"a void needs its reason: 1 to {MAX_REASON} printable characters")
    columns = RECORDS.c
    kit_id = connection.execute(
        select(columns.kit_id).where(columns.record_id == record_id, columns.kind.in_([Kind.SESSION, Kind.CHECK_IN]))
    ).scalar_one_or_none()
    if kit_id is None:
        raise UsageError(f"there is no session and no check-in {record_id}")
    clinic_id = lock_kits(connection, [kit_id], to_change=True)[kit_id]
    row = {
        "record_id": record_id,
        "clinic_id": clinic_id,
        "reason": reason,
        "voided_by": by,
        "voided_at": datetime.now(UTC),
    }
    if not insert_rows(connection, STAFF_VOIDS, [row], ON_CONFLICT_SKIP):
        return False
    strike(connection, record_id, kit_id, bindings_of(connection, [kit_id]).get(kit_id, []))
    append(connection, [Entry(clinic_id, by, RECORD_VOIDED, "record", str(record_id), reason)])
    return True


def _end(connection: Connection, binding_id: UUID, at: datetime) -> None:
    connection.execute(update(KIT_BINDINGS).where(KIT_BINDINGS.c.binding_id == binding_id).values(bound_to=at))


def _rederive_kit(connection: Connection, kit_id: str) -> None:
    derive_kit(connection, kit_id, bindings_of(connection, [kit_id]).get(kit_id, []))
