"""Kits' keys in the book: entered when a kit is claimed or renews, superseded by newer ones, revoked.

A key is never removed: what it has signed is proven with it for as long as the records are kept. All functions work
within the caller's transaction.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Self
from uuid import UUID

from sqlalchemy import Connection, select, update

from gonio.cloud_sink.bulk import ON_CONFLICT_SKIP, insert_rows
from gonio.cloud_sink.schema import HOME_CLINIC, KITS
from gonio.cloud_sink.schema_identity import KIT_KEYS
from gonio.errors import UsageError
from gonio.identity.authority import Revoked
from gonio.identity.certificates import Certificate
from gonio.identity.keys import key_id as name_of


class KeyState(StrEnum):
    """Whether a key counts."""

    ACTIVE = "active"
    SUPERSEDED = "superseded"  # a newer one is there; what this one signed counts
    REVOKED = "revoked"  # what comes with it now does not count


@dataclass(frozen=True, slots=True)
class KitKey:
    """A kit's key as the book has it.

    Attributes:
        key_id: its name.
        clinic_id: whose kit it is.
        kit_id: the kit.
        public_key: SubjectPublicKeyInfo in DER.
        request: the certificate request that it came with, PEM.
        certificate: its certificate, PEM; None where none was issued yet.
        serial: that certificate's serial number, hexadecimal.
        not_before: that certificate is valid from, aware.
        not_after: and to.
        state: whether it counts.
        issued_at: when it was entered, aware.
        ended_at: since when it is superseded or revoked.
        reason: why it was revoked.
    """

    key_id: str
    clinic_id: UUID
    kit_id: str
    public_key: bytes
    request: str | None
    certificate: str | None
    serial: str | None
    not_before: datetime | None
    not_after: datetime | None
    state: KeyState
    issued_at: datetime
    ended_at: datetime | None
    reason: str

    @classmethod
    def of(cls, row: Any) -> Self:  # noqa: ANN401 - SQLAlchemy's row
        """Read a row of ``kit_keys``."""
        return cls(**(dict(row._mapping) | {"state": KeyState(row.state)}))  # noqa: SLF001 - SQLAlchemy's public name


def register(
    connection: Connection,
    kit_id: str,
    public_key: bytes,
    *,
    at: datetime,
    clinic_id: UUID = HOME_CLINIC,
    certificate: Certificate | None = None,
    request: str | None = None,
) -> str:
    """Enter a kit's key as active, and the kit where nobody has; older active keys of it become superseded.

    A key that is there already stays as it is, but for a certificate that it lacks.

    Args:
        connection: within a transaction that writes.
        kit_id: the kit.
        public_key: SubjectPublicKeyInfo in DER.
        at: the moment, aware.
        clinic_id: whose kit it is, where it is new.
        certificate: what was issued for the key, where it was.
        request: the certificate request that it came with, PEM.

    Returns:
        The key's name.

    Raises:
        UsageError: the key is another kit's, or was revoked.
    """
    key_id = name_of(public_key)
    kit = {"kit_id": kit_id, "clinic_id": clinic_id, "label": "", "first_seen_at": at}
    insert_rows(connection, KITS, [kit | {"has_voids": False, "has_unsynchronised": False}], ON_CONFLICT_SKIP)
    owner = connection.execute(select(KITS.c.clinic_id).where(KITS.c.kit_id == kit_id).with_for_update()).scalar_one()
    row = {"key_id": key_id, "clinic_id": owner, "kit_id": kit_id, "public_key": public_key, "issued_at": at}
    fresh = (
        row
        | _issued(certificate)
        | {"request": request}
        | {"state": KeyState.ACTIVE.value, "ended_at": None, "reason": ""}
    )
    if not insert_rows(connection, KIT_KEYS, [fresh], ON_CONFLICT_SKIP):
        known = key(connection, key_id)
        if known is None or known.kit_id != kit_id:
            raise UsageError("this key is another kit's: a kit makes its own")
        if known.state is KeyState.REVOKED:
            raise UsageError("this key was revoked: the kit needs a new one, by a new claim code")
        if certificate is not None and known.certificate is None:
            certify(connection, key_id, certificate)
    older = (KIT_KEYS.c.kit_id == kit_id, KIT_KEYS.c.key_id != key_id, KIT_KEYS.c.state == KeyState.ACTIVE.value)
    connection.execute(update(KIT_KEYS).where(*older).values(state=KeyState.SUPERSEDED.value, ended_at=at))
    return key_id


def certify(connection: Connection, key_id: str, certificate: Certificate) -> None:
    """Enter the certificate of a key that has none yet."""
    lacking = (KIT_KEYS.c.key_id == key_id, KIT_KEYS.c.certificate.is_(None))
    connection.execute(update(KIT_KEYS).where(*lacking).values(_issued(certificate)))


def _issued(certificate: Certificate | None) -> dict[str, Any]:
    return {
        "certificate": certificate.pem if certificate else None,
        "serial": certificate.serial if certificate else None,
        "not_before": certificate.not_before if certificate else None,
        "not_after": certificate.not_after if certificate else None,
    }


def revoke(connection: Connection, kit_id: str, *, reason: str, at: datetime) -> list[str]:
    """Let none of a kit's keys count any more; gives the names of those that did until now."""
    columns = KIT_KEYS.c
    counted = (columns.kit_id == kit_id, columns.state != KeyState.REVOKED.value)
    names = list(connection.execute(select(columns.key_id).where(*counted).order_by(columns.key_id)).scalars())
    values = {"state": KeyState.REVOKED.value, "ended_at": at, "reason": reason}
    connection.execute(update(KIT_KEYS).where(*counted).values(values))
    return names


def key(connection: Connection, key_id: str) -> KitKey | None:
    """Give one key, or None."""
    row = connection.execute(select(KIT_KEYS).where(KIT_KEYS.c.key_id == key_id)).first()
    return None if row is None else KitKey.of(row)


def keys_of(connection: Connection, kit_id: str) -> list[KitKey]:
    """Give all keys of a kit, the newest first."""
    rows = connection.execute(
        select(KIT_KEYS).where(KIT_KEYS.c.kit_id == kit_id).order_by(KIT_KEYS.c.issued_at.desc(), KIT_KEYS.c.key_id)
    )
    return [KitKey.of(row) for row in rows]


def active_kits(connection: Connection) -> Sequence[str]:
    """Name the kits that may connect: those with an active key, sorted."""
    query = select(KIT_KEYS.c.kit_id).where(KIT_KEYS.c.state == KeyState.ACTIVE.value).distinct()
    return connection.execute(query.order_by(KIT_KEYS.c.kit_id)).scalars().all()


def revoked_serials(connection: Connection) -> list[Revoked]:
    """Give the certificates that no longer count, for the authority's revocation list."""
    columns = KIT_KEYS.c
    rows = connection.execute(
        select(columns.serial, columns.ended_at)
        .where(columns.state == KeyState.REVOKED.value, columns.serial.is_not(None))
        .order_by(columns.serial)
    )
    return [Revoked(serial, at) for serial, at in rows]
