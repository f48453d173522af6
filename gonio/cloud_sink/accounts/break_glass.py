"""Emergency access: one patient, opened to one user for an hour, with a reason, said loudly in the audit log."""

from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Connection, Select, insert, select

from gonio.cloud_sink import audit_log
from gonio.cloud_sink.accounts.model import Grant, Identity, NoSuchError, Role
from gonio.cloud_sink.accounts.notes import Event
from gonio.cloud_sink.audit_log import Entry
from gonio.cloud_sink.schema import PATIENTS
from gonio.cloud_sink.schema_accounts import BREAK_GLASS, USERS
from gonio.errors import UsageError
from gonio.messages import new_record_id

OPEN_FOR: Final = timedelta(hours=1)
#: How long administrators and auditors are told.
SHOWN_FOR: Final = timedelta(days=7)
MIN_REASON: Final = 10
#: Who treats sees every patient anyway: for them there is no glass.
_TREATING: Final = frozenset({Role.THERAPIST, Role.ASSISTANT})
MAX_REASON: Final = 500


def grant(connection: Connection, identity: Identity, patient_id: UUID, reason: str, now: datetime) -> Grant:
    """Open a patient of the user's own clinic to them.

    Raises:
        UsageError: no proper reason, or a role that needs none.
        NoSuchError: the clinic has no such patient.
    """
    if identity.role in _TREATING:
        raise UsageError("whoever treats opens the patient's page as always: nothing was opened")
    reason = reason.strip()
    if not MIN_REASON <= len(reason) <= MAX_REASON or not reason.isprintable():
        raise UsageError(f"say why, in {MIN_REASON} to {MAX_REASON} printable characters: it stands in the audit log")
    mine = (PATIENTS.c.patient_id == patient_id, PATIENTS.c.clinic_id == identity.clinic_id)
    if connection.execute(select(PATIENTS.c.patient_id).where(*mine)).first() is None:
        raise NoSuchError("the clinic has no such patient")
    given = Grant(new_record_id(), identity.user_id, identity.name, patient_id, reason, now, now + OPEN_FOR)
    row = {
        "grant_id": given.grant_id,
        "clinic_id": identity.clinic_id,
        "user_id": identity.user_id,
        "patient_id": patient_id,
        "reason": reason,
        "at": now,
        "until": given.until,
    }
    connection.execute(insert(BREAK_GLASS).values(row))
    detail = {"role": str(identity.role), "until": given.until.isoformat()}
    entry = Entry(
        identity.clinic_id, identity.actor, Event.BREAK_GLASS, "patient", str(patient_id), reason=reason, detail=detail
    )
    audit_log.append(connection, [entry], at=now)
    return given


def opened(connection: Connection, identity: Identity, patient_id: UUID, now: datetime) -> Grant | None:
    """Give the grant by which a patient is open to a user now, or None."""
    columns = BREAK_GLASS.c
    query = (
        _grants()
        .where(columns.clinic_id == identity.clinic_id, columns.user_id == identity.user_id)
        .where(columns.patient_id == patient_id, columns.at <= now, columns.until > now)
        .order_by(columns.until.desc())
    )
    row = connection.execute(query).first()
    return None if row is None else Grant(*row)


def recent(connection: Connection, clinic_id: UUID, now: datetime) -> list[Grant]:
    """Give a clinic's grants of the last seven days, the newest first."""
    columns = BREAK_GLASS.c
    query = _grants().where(columns.clinic_id == clinic_id, columns.at > now - SHOWN_FOR)
    return [Grant(*row) for row in connection.execute(query.order_by(columns.at.desc(), columns.grant_id))]


def _grants() -> Select[Any]:
    columns = BREAK_GLASS.c
    return select(
        columns.grant_id, columns.user_id, USERS.c.name, columns.patient_id, columns.reason, columns.at, columns.until
    ).join_from(BREAK_GLASS, USERS, columns.user_id == USERS.c.user_id)
