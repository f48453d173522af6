"""The tables of who may use the clinic's pages: users, their factors, sessions and browsers; see ``accounts``.

Whatever would let somebody in (passwords, tokens, recovery codes) is kept as a hash, and the secret of a
time-based code is sealed with a key that is not in the book.
"""

from typing import Final

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, LargeBinary, String, Table, Uuid

from gonio.cloud_sink.schema import METADATA, UtcDateTime


def _clinic() -> Column[object]:
    return Column("clinic_id", Uuid, ForeignKey("clinics.clinic_id"), nullable=False)


def _user(*, primary_key: bool = False) -> Column[object]:
    return Column("user_id", Uuid, ForeignKey("users.user_id"), nullable=False, primary_key=primary_key)


USERS: Final = Table(
    "users",
    METADATA,
    Column("user_id", Uuid, primary_key=True),
    _clinic(),
    Column("login", String(254), nullable=False, unique=True),  # an e-mail address, casefolded
    Column("name", String(200), nullable=False),
    Column("role", String(16), nullable=False),
    Column("state", String(16), nullable=False),  # invited, active, disabled
    Column("password_hash", String(200), nullable=True),  # Argon2id with its parameters and salt
    Column("totp_sealed", LargeBinary, nullable=True),  # the secret in force
    Column("totp_step", BigInteger, nullable=True),  # the last time step whose code was used
    Column("totp_pending", LargeBinary, nullable=True),  # a secret that no code has confirmed yet
    Column("added_at", UtcDateTime, nullable=False),
    Index(None, "clinic_id"),
)

RECOVERY_CODES: Final = Table(
    "recovery_codes",
    METADATA,
    Column("code_hash", LargeBinary(32), primary_key=True),
    _clinic(),
    _user(),
    Column("made_at", UtcDateTime, nullable=False),
    Column("used_at", UtcDateTime, nullable=True),
    Index(None, "user_id"),
)

PASSKEYS: Final = Table(
    "passkeys",
    METADATA,
    Column("passkey_id", Uuid, primary_key=True),
    _clinic(),
    _user(),
    Column("credential_id", LargeBinary, nullable=False, unique=True),
    Column("public_key", LargeBinary, nullable=False),  # COSE
    Column("sign_count", BigInteger, nullable=False),
    Column("name", String(100), nullable=False),
    Column("added_at", UtcDateTime, nullable=False),
    Column("used_at", UtcDateTime, nullable=True),
    Index(None, "user_id"),
)

INVITATIONS: Final = Table(
    "invitations",
    METADATA,
    Column("token_hash", LargeBinary(32), primary_key=True),
    _clinic(),
    _user(),
    Column("made_at", UtcDateTime, nullable=False),
    Column("made_by", String(128), nullable=False),  # as in the audit log
    Column("expires_at", UtcDateTime, nullable=False),
    Column("used_at", UtcDateTime, nullable=True),
    Index(None, "user_id"),
)

#: Sessions that have not ended: one that ends is removed.
WEB_SESSIONS: Final = Table(
    "web_sessions",
    METADATA,
    Column("token_hash", LargeBinary(32), primary_key=True),
    Column("session_id", Uuid, nullable=False, unique=True),  # what lists show; it opens nothing
    _clinic(),
    _user(),
    Column("stage", String(16), nullable=False),  # factor: must be given; enrol: must be set up; full
    Column("device_hash", LargeBinary(32), nullable=True),  # the known browser
    Column("label", String(100), nullable=False),  # what the browser calls itself
    Column("started_at", UtcDateTime, nullable=False),
    Column("seen_at", UtcDateTime, nullable=False),
    Column("factor_at", UtcDateTime, nullable=True),  # when a second factor was last given
    Column("challenge", LargeBinary, nullable=True),  # of a passkey that is asked for
    Column("challenge_for", String(16), nullable=True),  # register, authenticate
    Column("challenge_at", UtcDateTime, nullable=True),
    Index(None, "user_id"),
    Index(None, "started_at"),
)

KNOWN_DEVICES: Final = Table(
    "known_devices",
    METADATA,
    _user(primary_key=True),
    Column("device_hash", LargeBinary(32), primary_key=True),
    _clinic(),
    Column("made_at", UtcDateTime, nullable=False),
    Column("seen_at", UtcDateTime, nullable=False),
)

#: Grants of one patient to one user for an hour; none is removed.
BREAK_GLASS: Final = Table(
    "break_glass",
    METADATA,
    Column("grant_id", Uuid, primary_key=True),
    _clinic(),
    _user(),
    Column("patient_id", Uuid, ForeignKey("patients.patient_id"), nullable=False),
    Column("reason", String(500), nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("until", UtcDateTime, nullable=False),
    Index(None, "clinic_id", "at"),
    Index(None, "user_id", "patient_id"),
)

#: Failed attempts; see ``accounts.throttle`` for why there are at most so many rows.
THROTTLE: Final = Table(
    "throttle",
    METADATA,
    Column("scope", String(16), primary_key=True),
    Column("bucket", String(128), primary_key=True),
    _clinic(),
    Column("failures", Integer, nullable=False),
    Column("last_at", UtcDateTime, nullable=False),
    Column("next_at", UtcDateTime, nullable=False),  # no attempt is looked at before
    Index(None, "last_at"),
)
