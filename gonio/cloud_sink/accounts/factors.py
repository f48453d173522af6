"""Second factors: authenticator apps (TOTP, RFC 6238) and recovery codes; within the caller's transaction.

Every one is good once: a code's time step only moves forward, and a recovery code is used by whoever marks it first.
"""

import hmac
import re
import secrets
from datetime import datetime
from typing import Final
from uuid import UUID

import pyotp
from sqlalchemy import Connection, delete, func, or_, select, update

from gonio.cloud_sink.accounts.sessions import Session
from gonio.cloud_sink.accounts.vault import Vault
from gonio.cloud_sink.bulk import insert_rows
from gonio.cloud_sink.schema_accounts import PASSKEYS, RECOVERY_CODES, USERS

STEP_S: Final = 30
#: Steps to either side of now whose code is taken: clocks differ, and people type slowly.
WINDOW: Final = 1
RECOVERY_CODES_MADE: Final = 10
_ISSUER: Final = "gonio"
_TOTP_CODE: Final = re.compile(r"[0-9]{6}", re.ASCII)
_RECOVERY_CODE: Final = re.compile(r"[A-Z2-7]{16}", re.ASCII)  # base 32: 80 bits
_ALPHABET: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"


# --- authenticator apps ---


def new_secret() -> str:
    """Make a secret of 160 bits, in base 32 as authenticator apps take it."""
    return pyotp.random_base32()


def uri(secret: str, login: str) -> str:
    """Give the line of the QR code that brings a secret into an authenticator app."""
    return pyotp.TOTP(secret, interval=STEP_S).provisioning_uri(name=login, issuer_name=_ISSUER)


def matching_step(secret: str, code: str, now: datetime) -> int | None:
    """Give the newest time step within the window whose code this is, or None."""
    typed = "".join(code.split())
    if not _TOTP_CODE.fullmatch(typed):
        return None
    clock = pyotp.TOTP(secret, interval=STEP_S)
    step = int(now.timestamp()) // STEP_S
    matches = [s for s in range(step - WINDOW, step + WINDOW + 1) if hmac.compare_digest(clock.at(s * STEP_S), typed)]
    return max(matches, default=None)


def use_totp(connection: Connection, vault: Vault, session: Session, code: str, now: datetime) -> bool:
    """Tell whether it is a code of the user's app that was not used before, and use it."""
    if session.totp_sealed is None:
        return False
    step = matching_step(vault.unseal(session.user_id, session.totp_sealed).decode(), code, now)
    if step is None:
        return False
    columns = USERS.c
    used = connection.execute(
        update(USERS)
        .where(columns.user_id == session.user_id, columns.totp_sealed == session.totp_sealed)
        .where(or_(columns.totp_step.is_(None), columns.totp_step < step))
        .values(totp_step=step)
    )
    return used.rowcount == 1


# --- recovery codes ---


def make_recovery_codes(
    connection: Connection, vault: Vault, user_id: UUID, clinic_id: UUID, now: datetime
) -> tuple[str, ...]:
    """Make ten fresh codes, of 80 bits each, in place of all that were there; they are shown once."""
    drop_recovery_codes(connection, user_id)
    codes = ["".join(secrets.choice(_ALPHABET) for _ in range(16)) for _ in range(RECOVERY_CODES_MADE)]
    common = {"clinic_id": clinic_id, "user_id": user_id, "made_at": now, "used_at": None}
    rows = [{"code_hash": _mark(vault, user_id, code), **common} for code in codes]
    insert_rows(connection, RECOVERY_CODES, rows)
    return tuple("-".join(code[n : n + 4] for n in range(0, 16, 4)) for code in codes)


def use_recovery_code(connection: Connection, vault: Vault, user_id: UUID, code: str, now: datetime) -> bool:
    """Tell whether it is an unused recovery code of the user, and use it."""
    typed = "".join(code.replace("-", " ").split()).upper()
    if not _RECOVERY_CODE.fullmatch(typed):
        return False
    columns = RECOVERY_CODES.c
    used = connection.execute(
        update(RECOVERY_CODES)
        .where(columns.code_hash == _mark(vault, user_id, typed))
        .where(columns.user_id == user_id, columns.used_at.is_(None))
        .values(used_at=now)
    )
    return used.rowcount == 1


def count_recovery_codes(connection: Connection, user_id: UUID) -> int:
    """Count the codes that are left."""
    columns = RECOVERY_CODES.c
    query = select(func.count()).where(columns.user_id == user_id, columns.used_at.is_(None))
    return connection.execute(query).scalar_one()


def drop_recovery_codes(connection: Connection, user_id: UUID) -> None:
    """Let no recovery code of a user be good any more."""
    connection.execute(delete(RECOVERY_CODES).where(RECOVERY_CODES.c.user_id == user_id))


def _mark(vault: Vault, user_id: UUID, code: str) -> bytes:
    return vault.mark("recovery", f"{user_id.hex}:{code}")


# --- both, and passkeys ---


def count_passkeys(connection: Connection, user_id: UUID) -> int:
    """Count a user's passkeys."""
    return connection.execute(select(func.count()).where(PASSKEYS.c.user_id == user_id)).scalar_one()


def has_factor(connection: Connection, session: Session) -> bool:
    """Tell whether the owner of a session has a second factor."""
    return session.totp_sealed is not None or count_passkeys(connection, session.user_id) > 0
