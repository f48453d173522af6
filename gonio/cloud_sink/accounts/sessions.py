"""Web sessions and the browsers that users are known by; within the caller's transaction.

A session's token is 256 random bits of which the book has the hash. Each step of signing in gives a new one and ends
the one before (against session fixation), and of two who take the same step at once one gets it. A session ends after a
time without activity, at its age, when it is signed out of, and with a change of password, role or state.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Connection, and_, delete, insert, or_, select, update

from gonio.cloud_sink.accounts.model import Role, Stage, UserState, WebSession
from gonio.cloud_sink.accounts.vault import new_token, token_hash
from gonio.cloud_sink.bulk import ON_CONFLICT_SKIP, insert_rows
from gonio.cloud_sink.schema_accounts import KNOWN_DEVICES, THROTTLE, USERS, WEB_SESSIONS
from gonio.messages import new_record_id

#: How long the way from the password to the second factor may take, and to setting one up.
STAGE_LIFE: Final = {Stage.FACTOR: timedelta(minutes=10), Stage.ENROL: timedelta(minutes=30)}
#: Sessions of one user; the oldest makes room.
MAX_SESSIONS: Final = 20
#: Browsers that one user is known by; the one not seen for longest makes room.
MAX_DEVICES: Final = 10
#: A browser that was not seen for so long is no longer known.
DEVICE_LIFE: Final = timedelta(days=180)
#: Activity is written down at most so often: a session may end by so much early.
SEEN_EVERY: Final = timedelta(seconds=30)
MAX_LABEL: Final = 100


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """How long a session lasts: without activity, and in all."""

    idle: timedelta = timedelta(minutes=15)
    absolute: timedelta = timedelta(hours=12)


@dataclass(frozen=True, slots=True)
class Session:
    """A living session with its user, as the book has them."""

    token_hash: bytes
    session_id: UUID
    stage: Stage
    device_hash: bytes | None
    started_at: datetime
    seen_at: datetime
    factor_at: datetime | None
    challenge: bytes | None
    challenge_for: str | None
    challenge_at: datetime | None
    user_id: UUID
    clinic_id: UUID
    role: Role
    login: str
    name: str
    password_hash: str | None
    totp_sealed: bytes | None
    totp_step: int | None
    totp_pending: bytes | None


def find(
    connection: Connection, token: str, now: datetime, lifetimes: Lifetimes, *, lock: bool = False
) -> Session | None:
    """Give the living session that a token opens, or None; ``lock`` keeps it and its user as they are meanwhile."""
    sessions, users = WEB_SESSIONS.c, USERS.c
    hashed = token_hash(token)
    if lock:  # the user first, as in every transaction that changes both
        owner = select(sessions.user_id).where(sessions.token_hash == hashed).scalar_subquery()
        connection.execute(select(users.user_id).where(users.user_id == owner).with_for_update(key_share=True))
    query = (
        select(
            sessions.token_hash,
            sessions.session_id,
            sessions.stage,
            sessions.device_hash,
            sessions.started_at,
            sessions.seen_at,
            sessions.factor_at,
            sessions.challenge,
            sessions.challenge_for,
            sessions.challenge_at,
            users.user_id,
            users.clinic_id,
            users.role,
            users.login,
            users.name,
            users.password_hash,
            users.totp_sealed,
            users.totp_step,
            users.totp_pending,
        )
        .join_from(WEB_SESSIONS, USERS, sessions.user_id == users.user_id)
        .where(sessions.token_hash == hashed, users.state == UserState.ACTIVE)
    )
    row = connection.execute(query.with_for_update(key_share=True) if lock else query).first()
    if row is None:
        return None
    session = Session(**(dict(row._mapping) | {"stage": Stage(row.stage), "role": Role(row.role)}))  # noqa: SLF001 - SQLAlchemy's public name
    return session if _lives(session, now, lifetimes) else None


def _lives(session: Session, now: datetime, lifetimes: Lifetimes) -> bool:
    age = now - session.started_at
    if session.stage is not Stage.FULL:
        return age < STAGE_LIFE[session.stage]
    return age < lifetimes.absolute and now - session.seen_at < lifetimes.idle


def open_session(
    connection: Connection, user_id: UUID, clinic_id: UUID, stage: Stage, now: datetime, label: str
) -> str:
    """Open a session, give its token, and clear away what is too old or too much."""
    _make_room(connection, user_id, now)
    token = new_token()
    row = {
        "token_hash": token_hash(token),
        "session_id": new_record_id(),
        "clinic_id": clinic_id,
        "user_id": user_id,
        "stage": stage,
        "device_hash": None,
        "label": "".join(c for c in label if c.isprintable())[:MAX_LABEL],
        "started_at": now,
        "seen_at": now,
        "factor_at": None,
        "challenge": None,
        "challenge_for": None,
        "challenge_at": None,
    }
    connection.execute(insert(WEB_SESSIONS).values(row))
    return token


def promote(connection: Connection, session: Session, now: datetime, device_hash: bytes | None) -> str:
    """Make a session full, or take note that its owner gave a second factor again; give its new token.

    The caller holds the session (``find`` with ``lock``), so that of two at once the second finds it under no token.
    """
    token = new_token()
    values: dict[str, Any] = {
        "token_hash": token_hash(token),
        "stage": Stage.FULL,
        "seen_at": now,
        "factor_at": now,
        "device_hash": device_hash,
        "challenge": None,
        "challenge_for": None,
        "challenge_at": None,
    }
    if session.stage is not Stage.FULL:
        values["started_at"] = now
    connection.execute(update(WEB_SESSIONS).where(WEB_SESSIONS.c.token_hash == session.token_hash).values(values))
    return token


def renew(connection: Connection, session: Session, now: datetime) -> str:
    """Give a session a new token, with all else as it is; the caller holds the session."""
    token = new_token()
    values = {"token_hash": token_hash(token), "seen_at": now}
    connection.execute(update(WEB_SESSIONS).where(WEB_SESSIONS.c.token_hash == session.token_hash).values(values))
    return token


def touch(connection: Connection, session: Session, now: datetime) -> None:
    """Write down that the owner of a session is active."""
    connection.execute(update(WEB_SESSIONS).where(WEB_SESSIONS.c.token_hash == session.token_hash).values(seen_at=now))


def end(connection: Connection, user_id: UUID, *, session_id: UUID | None = None, but: UUID | None = None) -> int:
    """End one of a user's sessions, or all, or all but one; gives how many."""
    columns = WEB_SESSIONS.c
    which = [columns.user_id == user_id]
    if session_id is not None:
        which.append(columns.session_id == session_id)
    if but is not None:
        which.append(columns.session_id != but)
    return connection.execute(delete(WEB_SESSIONS).where(*which)).rowcount


def listed(connection: Connection, user_id: UUID, now: datetime, lifetimes: Lifetimes) -> list[WebSession]:
    """Give a user's full sessions that live, the one seen last first."""
    columns = WEB_SESSIONS.c
    rows = connection.execute(
        select(columns.session_id, columns.label, columns.started_at, columns.seen_at)
        .where(
            columns.user_id == user_id,
            columns.stage == Stage.FULL,
            columns.started_at > now - lifetimes.absolute,
            columns.seen_at > now - lifetimes.idle,
        )
        .order_by(columns.seen_at.desc(), columns.session_id)
    )
    return [WebSession(*row) for row in rows]


# --- browsers ---


def known_device(connection: Connection, user_id: UUID, device: str | None, now: datetime) -> bytes | None:
    """Give the hash of a browser's token where the user is known by it."""
    if device is None:
        return None
    columns = KNOWN_DEVICES.c
    found: bytes | None = connection.execute(
        select(columns.device_hash).where(
            columns.user_id == user_id,
            columns.device_hash == token_hash(device),
            columns.seen_at > now - DEVICE_LIFE,
        )
    ).scalar_one_or_none()
    return found


def remember_device(
    connection: Connection, user_id: UUID, clinic_id: UUID, device: str | None, now: datetime
) -> tuple[bytes, str | None]:
    """Let a user be known by the browser they signed in with.

    Returns:
        The hash of its token, and a new token where it needs one: one that we did not make ourselves is never taken.
    """
    columns = KNOWN_DEVICES.c
    ours = device is not None and (
        connection.execute(select(columns.user_id).where(columns.device_hash == token_hash(device)).limit(1)).first()
        is not None
    )
    token = device if ours and device is not None else new_token()
    hashed = token_hash(token)
    row = {"user_id": user_id, "device_hash": hashed, "clinic_id": clinic_id, "made_at": now, "seen_at": now}
    if not insert_rows(connection, KNOWN_DEVICES, [row], ON_CONFLICT_SKIP):
        this = and_(columns.user_id == user_id, columns.device_hash == hashed)
        connection.execute(update(KNOWN_DEVICES).where(this).values(seen_at=now))
    _forget_devices(connection, user_id, now)
    return hashed, None if token == device else token


def forget_devices(connection: Connection, user_id: UUID) -> None:
    """Let a user be known by no browser."""
    connection.execute(delete(KNOWN_DEVICES).where(KNOWN_DEVICES.c.user_id == user_id))


def _forget_devices(connection: Connection, user_id: UUID, now: datetime) -> None:
    columns = KNOWN_DEVICES.c
    rows = connection.execute(
        select(columns.device_hash, columns.seen_at)
        .where(columns.user_id == user_id)
        .order_by(columns.seen_at.desc(), columns.made_at.desc(), columns.device_hash)
    ).all()
    gone = [row.device_hash for n, row in enumerate(rows) if n >= MAX_DEVICES or row.seen_at <= now - DEVICE_LIFE]
    for device_hash in gone:
        connection.execute(delete(KNOWN_DEVICES).where(columns.user_id == user_id, columns.device_hash == device_hash))
        connection.execute(delete(THROTTLE).where(THROTTLE.c.bucket == f"{user_id.hex}:{device_hash.hex()}"))


def _make_room(connection: Connection, user_id: UUID, now: datetime) -> None:
    columns = WEB_SESSIONS.c
    old = or_(
        columns.started_at < now - timedelta(days=1),
        and_(columns.stage != Stage.FULL, columns.started_at < now - max(STAGE_LIFE.values())),
    )
    connection.execute(delete(WEB_SESSIONS).where(columns.user_id == user_id, old))
    rows = connection.execute(
        select(columns.token_hash)
        .where(columns.user_id == user_id)
        .order_by(columns.started_at.desc(), columns.session_id.desc())
        .offset(MAX_SESSIONS - 1)
    ).scalars()
    for hashed in rows.all():
        connection.execute(delete(WEB_SESSIONS).where(columns.token_hash == hashed))
