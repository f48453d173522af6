"""Clinics, users and invitations as rows; within the caller's transaction."""

import re
import unicodedata
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, Select, delete, func, insert, select, update

from gonio.cloud_sink.accounts import factors, passkeys, sessions, throttle
from gonio.cloud_sink.accounts.model import Clinic, NoSuchError, Role, User, UserState
from gonio.cloud_sink.accounts.vault import new_token, token_hash
from gonio.cloud_sink.bulk import ON_CONFLICT_SKIP, insert_rows
from gonio.cloud_sink.schema import CLINICS
from gonio.cloud_sink.schema_accounts import INVITATIONS, PASSKEYS, USERS
from gonio.errors import UsageError
from gonio.messages import new_record_id

INVITATION_LIFE: Final = timedelta(days=7)
MAX_NAME: Final = 200
MAX_LOGIN: Final = 254  # RFC 5321's longest path
_LOGIN: Final = re.compile(r"[^@\s]{1,64}@[^@\s]+")


def fold_login(login: str) -> str:
    """Give a login as it is kept and compared: composed and casefolded, without spaces around it."""
    folded = unicodedata.normalize("NFKC", login[: 2 * MAX_LOGIN]).strip().casefold()
    storable = unicodedata.normalize("NFKC", folded).encode(errors="backslashreplace").decode()
    return storable.replace("\0", "\N{REPLACEMENT CHARACTER}")  # what no database takes is nobody's login


def check_login(login: str) -> str:
    """Give a new user's login as it is kept.

    Raises:
        UsageError: it is no e-mail address.
    """
    folded = fold_login(login)
    if len(login) > MAX_LOGIN or len(folded) > MAX_LOGIN or not folded.isprintable() or not _LOGIN.fullmatch(folded):
        raise UsageError("a user's login is an e-mail address such as ann@clinic.example")
    return folded


def check_name(name: str, what: str) -> str:
    """Give a name without spaces around it.

    Raises:
        UsageError: it has no printable character, too many, or others.
    """
    name = name.strip()
    if not 1 <= len(name) <= MAX_NAME or not name.isprintable():
        raise UsageError(f"{what} has 1 to {MAX_NAME} printable characters")
    return name


# --- clinics ---


def add_clinic(connection: Connection, name: str, time_zone: str) -> UUID:
    """Enter a clinic.

    Raises:
        UsageError: no name, or no such time zone.
    """
    name = check_name(name, "a clinic's name")
    try:
        ZoneInfo(time_zone)
    except (KeyError, ValueError, OSError) as error:
        raise UsageError(f"{time_zone!r} is no time zone: write one like America/Chicago or Europe/Berlin") from error
    clinic_id = new_record_id()
    connection.execute(insert(CLINICS).values(clinic_id=clinic_id, name=name, time_zone=time_zone))
    return clinic_id


def clinics(connection: Connection) -> list[Clinic]:
    """Give all clinics, by name."""
    columns = (CLINICS.c.clinic_id, CLINICS.c.name, CLINICS.c.time_zone)
    return [Clinic(*row) for row in connection.execute(select(*columns).order_by(CLINICS.c.name, CLINICS.c.clinic_id))]


def clinic(connection: Connection, clinic_id: UUID, *, lock: bool = False) -> Clinic:
    """Give a clinic; ``lock`` lets nobody else change its users meanwhile.

    Raises:
        NoSuchError: there is none.
    """
    query = select(CLINICS.c.clinic_id, CLINICS.c.name, CLINICS.c.time_zone).where(CLINICS.c.clinic_id == clinic_id)
    row = connection.execute(query.with_for_update(key_share=True) if lock else query).first()
    if row is None:
        raise NoSuchError(f"there is no clinic {clinic_id}: `gonio clinic list` shows them")
    return Clinic(*row)


# --- users ---


def add_user(connection: Connection, clinic_id: UUID, login: str, name: str, role: Role, at: datetime) -> UUID:
    """Enter a user who has no password yet.

    Raises:
        UsageError: no e-mail address, no name, or the address is taken.
    """
    user_id = new_record_id()
    row = {
        "user_id": user_id,
        "clinic_id": clinic_id,
        "login": check_login(login),
        "name": check_name(name, "a user's name"),
        "role": str(role),
        "state": str(UserState.INVITED),
        "password_hash": None,
        "totp_sealed": None,
        "totp_step": None,
        "totp_pending": None,
        "added_at": at,
    }
    if not insert_rows(connection, USERS, [row], ON_CONFLICT_SKIP):
        raise UsageError("this e-mail address cannot be used: a user has it already")
    return user_id


def listed(connection: Connection, clinic_id: UUID) -> list[User]:
    """Give a clinic's users, by name."""
    rows = connection.execute(_users().where(USERS.c.clinic_id == clinic_id).order_by(USERS.c.name, USERS.c.user_id))
    return [_user(row) for row in rows]


def get(connection: Connection, clinic_id: UUID, user_id: UUID, *, lock: bool = False) -> User:
    """Give one of a clinic's users.

    Raises:
        NoSuchError: the clinic has no such user; another's is not told apart from none.
    """
    mine = (USERS.c.clinic_id == clinic_id, USERS.c.user_id == user_id)
    if lock:
        connection.execute(select(USERS.c.user_id).where(*mine).with_for_update(key_share=True))
    row = connection.execute(_users().where(*mine)).first()
    if row is None:
        raise NoSuchError("the clinic has no such user")
    return _user(row)


def by_login(connection: Connection, login: str) -> Any:  # noqa: ANN401 - SQLAlchemy's row
    """Give the row of a user by a folded login, or None."""
    return connection.execute(select(USERS).where(USERS.c.login == login)).first()


def change(connection: Connection, user_id: UUID, **values: Any) -> None:  # noqa: ANN401 - columns
    """Change columns of a user."""
    connection.execute(update(USERS).where(USERS.c.user_id == user_id).values(values))


def has_password(connection: Connection, user_id: UUID) -> bool:
    """Tell whether a user has set a password."""
    query = select(USERS.c.password_hash).where(USERS.c.user_id == user_id)
    return connection.execute(query).scalar_one_or_none() is not None


def is_last_admin(connection: Connection, user: User) -> bool:
    """Tell whether a user is the one active administrator of their clinic."""
    if user.role is not Role.ADMIN or user.state is not UserState.ACTIVE:
        return False
    others = (USERS.c.clinic_id == user.clinic_id, USERS.c.user_id != user.user_id)
    query = select(func.count()).where(*others, USERS.c.role == Role.ADMIN, USERS.c.state == UserState.ACTIVE)
    return connection.execute(query).scalar_one() == 0


def drop_credentials(connection: Connection, user_id: UUID) -> None:
    """Take all from a user that lets them in: password, factors, sessions, browsers, invitations."""
    change(connection, user_id, password_hash=None, totp_sealed=None, totp_step=None, totp_pending=None)
    factors.drop_recovery_codes(connection, user_id)
    passkeys.remove(connection, user_id)
    sessions.end(connection, user_id)
    sessions.forget_devices(connection, user_id)
    throttle.clear_user(connection, user_id)
    drop_invitations(connection, user_id)


def _users() -> Select[Any]:
    columns = USERS.c
    keys = select(func.count()).where(PASSKEYS.c.user_id == columns.user_id).scalar_subquery()
    return select(
        columns.user_id,
        columns.clinic_id,
        columns.login,
        columns.name,
        columns.role,
        columns.state,
        columns.totp_sealed.is_not(None),
        keys,
        columns.added_at,
    )


def _user(row: Any) -> User:  # noqa: ANN401 - SQLAlchemy's row
    user_id, clinic_id, login, name, role, state, totp, keys, added_at = row
    return User(user_id, clinic_id, login, name, Role(role), UserState(state), bool(totp), keys, added_at)


# --- invitations ---


def make_invitation(
    connection: Connection, clinic_id: UUID, user_id: UUID, by: str, now: datetime
) -> tuple[str, datetime]:
    """Make a user's invitation in place of any before it; give its token and until when it is good."""
    drop_invitations(connection, user_id)
    token = new_token()
    row = {
        "token_hash": token_hash(token),
        "clinic_id": clinic_id,
        "user_id": user_id,
        "made_at": now,
        "made_by": by,
        "expires_at": now + INVITATION_LIFE,
        "used_at": None,
    }
    connection.execute(insert(INVITATIONS).values(row))
    return token, now + INVITATION_LIFE


def invited(connection: Connection, token: str, now: datetime) -> Any:  # noqa: ANN401 - SQLAlchemy's row
    """Give user_id, clinic_id, login, name and clinic of whom a good invitation is for, or None."""
    columns = INVITATIONS.c
    query = (
        select(USERS.c.user_id, USERS.c.clinic_id, USERS.c.login, USERS.c.name, CLINICS.c.name.label("clinic"))
        .join_from(INVITATIONS, USERS, columns.user_id == USERS.c.user_id)
        .join(CLINICS, USERS.c.clinic_id == CLINICS.c.clinic_id)
        .where(columns.token_hash == token_hash(token), columns.used_at.is_(None), columns.expires_at > now)
        .where(USERS.c.state == UserState.INVITED)
    )
    return connection.execute(query).first()


def use_invitation(connection: Connection, token: str, now: datetime) -> bool:
    """Mark an invitation used; whether this call did."""
    columns = INVITATIONS.c
    used = connection.execute(
        update(INVITATIONS)
        .where(columns.token_hash == token_hash(token), columns.used_at.is_(None), columns.expires_at > now)
        .values(used_at=now)
    )
    return used.rowcount == 1


def drop_invitations(connection: Connection, user_id: UUID) -> None:
    """Let no invitation of a user be good any more."""
    connection.execute(delete(INVITATIONS).where(INVITATIONS.c.user_id == user_id))
