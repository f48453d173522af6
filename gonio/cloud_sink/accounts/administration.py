"""The administration of one clinic's users, by an administrator of it or by the operator of the book."""

from collections.abc import Callable
from datetime import datetime
from typing import TypeVar
from uuid import UUID

from sqlalchemy import Connection

from gonio.cloud_sink import audit_log
from gonio.cloud_sink.accounts import sessions, throttle, users
from gonio.cloud_sink.accounts.book import AccountBook, need_step_up
from gonio.cloud_sink.accounts.model import (
    Identity,
    Invitation,
    LastAdminError,
    NoSuchError,
    NotAllowedError,
    Role,
    User,
    UserState,
)
from gonio.cloud_sink.accounts.notes import Event
from gonio.cloud_sink.audit_log import Entry
from gonio.errors import UsageError

T = TypeVar("T")

_LAST = "this is the clinic's last administrator: make somebody else one first"


class Administration:
    """What can be done to the users of one clinic; another clinic's users are not there (NoSuchError).

    Every change raises StepUpNeededError where an administrator did not give the second factor recently, and
    NotAllowedError where they are none any more.
    """

    def __init__(self, book: AccountBook, clinic_id: UUID, actor: str, identity: Identity | None) -> None:
        """Take the accounts; ``identity`` is None where the operator of the book acts."""
        self._book = book
        self._clinic_id = clinic_id
        self._actor = actor
        self._identity = identity

    def users(self) -> list[User]:
        """Give the clinic's users, by name."""
        return self._book._read(lambda connection: users.listed(connection, self._clinic_id))  # noqa: SLF001 - its other half

    def user(self, user_id: UUID) -> User:
        """Give one of the clinic's users."""
        return self._book._read(lambda connection: users.get(connection, self._clinic_id, user_id))  # noqa: SLF001 - its other half

    def find(self, login: str) -> User:
        """Give the clinic's user with a login."""

        def ask(connection: Connection) -> User:
            row = users.by_login(connection, users.fold_login(login))
            if row is None or row.clinic_id != self._clinic_id:
                raise NoSuchError("the clinic has no user with this e-mail address: `gonio clinic user list`")
            return users.get(connection, self._clinic_id, row.user_id)

        return self._book._read(ask)  # noqa: SLF001 - its other half

    def invite(self, login: str, name: str, role: Role) -> Invitation:
        """Enter a user, and make an invitation for them.

        Raises:
            UsageError: no e-mail address, no name, or the address is taken.
        """

        def change(connection: Connection, now: datetime) -> tuple[Invitation, Entry]:
            user_id = users.add_user(connection, self._clinic_id, login, name, role, now)
            return self._invite(connection, user_id, now), self._entry(Event.INVITED, user_id, role=str(role))

        return self._change(change)

    def invite_again(self, user_id: UUID) -> Invitation:
        """Make a new invitation for somebody who has not taken the one before, which ends.

        Raises:
            UsageError: they have a password, or are disabled.
        """

        def change(connection: Connection, now: datetime) -> tuple[Invitation, Entry]:
            user = users.get(connection, self._clinic_id, user_id, lock=True)
            if user.state is not UserState.INVITED:
                raise UsageError(f"this user is {user.state}: `reset` ends password and factors and invites anew")
            return self._invite(connection, user_id, now), self._entry(Event.INVITED, user_id, role=str(user.role))

        return self._change(change)

    def set_role(self, user_id: UUID, role: Role) -> None:
        """Give a user another role, which ends their sessions.

        Raises:
            LastAdminError: nobody would be left to administer the clinic.
        """

        def change(connection: Connection, now: datetime) -> tuple[None, Entry | None]:  # noqa: ARG001 - one of several
            user = users.get(connection, self._clinic_id, user_id, lock=True)
            if user.role is role:
                return None, None
            if users.is_last_admin(connection, user):
                raise LastAdminError(_LAST)
            users.change(connection, user_id, role=str(role))
            sessions.end(connection, user_id)
            return None, self._entry(Event.ROLE_CHANGED, user_id, before=str(user.role), after=str(role))

        self._change(change)

    def disable(self, user_id: UUID) -> None:
        """Let a user sign in no more: sessions and invitations end; password and factors stay for ``enable``.

        Raises:
            LastAdminError: nobody would be left to administer the clinic.
        """

        def change(connection: Connection, now: datetime) -> tuple[None, Entry | None]:  # noqa: ARG001 - one of several
            user = users.get(connection, self._clinic_id, user_id, lock=True)
            if user.state is UserState.DISABLED:
                return None, None
            if users.is_last_admin(connection, user):
                raise LastAdminError(_LAST)
            users.change(connection, user_id, state=str(UserState.DISABLED))
            sessions.end(connection, user_id)
            users.drop_invitations(connection, user_id)
            return None, self._entry(Event.DISABLED, user_id)

        self._change(change)

    def enable(self, user_id: UUID) -> None:
        """Let a disabled user sign in again; one without a password needs ``invite_again``."""

        def change(connection: Connection, now: datetime) -> tuple[None, Entry | None]:  # noqa: ARG001 - one of several
            user = users.get(connection, self._clinic_id, user_id, lock=True)
            if user.state is not UserState.DISABLED:
                return None, None
            state = UserState.ACTIVE if users.has_password(connection, user_id) else UserState.INVITED
            users.change(connection, user_id, state=str(state))
            return None, self._entry(Event.ENABLED, user_id)

        self._change(change)

    def reset(self, user_id: UUID) -> Invitation:
        """Take all from a user that lets them in (password, factors, sessions, browsers), and invite them anew.

        Raises:
            LastAdminError: an administrator would do so to the last one; the operator of the book may.
        """

        def change(connection: Connection, now: datetime) -> tuple[Invitation, Entry]:
            user = users.get(connection, self._clinic_id, user_id, lock=True)
            if self._identity is not None and users.is_last_admin(connection, user):
                raise LastAdminError(_LAST)
            users.drop_credentials(connection, user_id)
            users.change(connection, user_id, state=str(UserState.INVITED))
            return self._invite(connection, user_id, now), self._entry(Event.RESET, user_id)

        return self._change(change)

    def unlock(self, user_id: UUID) -> None:
        """Forget the failures of a user, so that the next attempt is looked at without delay."""

        def change(connection: Connection, now: datetime) -> tuple[None, Entry]:  # noqa: ARG001 - one of several
            user = users.get(connection, self._clinic_id, user_id, lock=True)
            throttle.clear(connection, [throttle.of_login(self._book._vault, user.login)])  # noqa: SLF001 - its other half
            throttle.clear_user(connection, user_id)
            return None, self._entry(Event.UNLOCKED, user_id)

        self._change(change)

    def _invite(self, connection: Connection, user_id: UUID, now: datetime) -> Invitation:
        token, until = users.make_invitation(connection, self._clinic_id, user_id, self._actor, now)
        return Invitation(user_id, token, until)

    def _entry(self, event: Event, user_id: UUID, **detail: str) -> Entry:
        return Entry(self._clinic_id, self._actor, event, "user", str(user_id), detail=detail)

    def _change(self, change: Callable[[Connection, datetime], tuple[T, Entry | None]]) -> T:
        """Do a change while nobody else changes the clinic's users, and note it."""
        if self._identity is not None:
            need_step_up(stepped_up=self._identity.stepped_up)

        def do(connection: Connection) -> T:
            now = self._book._clock()  # noqa: SLF001 - its other half
            users.clinic(connection, self._clinic_id, lock=True)
            if self._identity is not None:
                by = users.get(connection, self._clinic_id, self._identity.user_id)
                if by.role is not Role.ADMIN or by.state is not UserState.ACTIVE:
                    raise NotAllowedError("only an administrator may do this")
            done, entry = change(connection, now)
            if entry is not None:
                audit_log.append(connection, [entry], at=now)
            return done

        return self._book._write(do)  # noqa: SLF001 - its other half
