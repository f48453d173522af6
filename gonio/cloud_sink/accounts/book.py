"""What all calls of the accounts share: the open book, the clock, the vault, and transactions that try again."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from gonio.cloud_sink.accounts import sessions
from gonio.cloud_sink.accounts.model import (
    Identity,
    SignedOutError,
    Stage,
    StepUpNeededError,
)
from gonio.cloud_sink.accounts.passwords import Passwords
from gonio.cloud_sink.accounts.sessions import Lifetimes, Session
from gonio.cloud_sink.accounts.vault import Vault
from gonio.cloud_sink.engine import clashed, reader, store_errors, writer

T = TypeVar("T")

#: How long ago the second factor may have been given for what needs it anew.
STEP_UP_LIFE: Final = timedelta(minutes=10)
#: Where a database ends one of two transactions that clashed, that one tries so often in all.
_TRIES: Final = 5


def wall_clock() -> datetime:
    """Give the moment, aware."""
    return datetime.now(UTC)


class AccountBook:
    """The accounts' part of the book. Calls block; several threads and processes may make them at once."""

    def __init__(
        self,
        engine: Engine,
        key: bytes,
        *,
        lifetimes: Lifetimes | None = None,
        passwords: Passwords | None = None,
        clock: Callable[[], datetime] = wall_clock,
    ) -> None:
        """Take an open book.

        Args:
            engine: as ``open_engine`` gives it.
            key: 32 bytes that do not lie in the book (``pages.key``).
            lifetimes: of sessions.
            passwords: how they are hashed; tests take cheaper ones.
            clock: gives the moment, aware.
        """
        self._reader = reader(engine)
        self._writer = writer(engine)
        self._vault = Vault(key)
        self._lifetimes = lifetimes or Lifetimes()
        self._passwords = passwords or Passwords()
        self._clock = clock

    @property
    def lifetimes(self) -> Lifetimes:
        """How long sessions last."""
        return self._lifetimes

    def _read(self, ask: Callable[[Connection], T]) -> T:
        with store_errors(), self._reader.connect() as connection:
            return ask(connection)

    def _write(self, change: Callable[[Connection], T]) -> T:
        with store_errors():
            for _ in range(_TRIES - 1):
                try:
                    with self._writer.begin() as connection:
                        return change(connection)
                except DBAPIError as error:
                    if not clashed(error):
                        raise
            with self._writer.begin() as connection:
                return change(connection)

    def _find(self, connection: Connection, token: str, now: datetime, *, lock: bool = False) -> Session:
        session = sessions.find(connection, token, now, self._lifetimes, lock=lock)
        if session is None:
            raise SignedOutError("this session has ended: sign in again")
        return session

    def _may_change_factors(self, session: Session, now: datetime) -> None:
        if session.stage is Stage.FACTOR:
            raise SignedOutError("give the second factor first")
        if session.stage is Stage.FULL:
            need_step_up(stepped_up=is_recent(session.factor_at, now))


def is_recent(factor_at: datetime | None, now: datetime) -> bool:
    """Tell whether a second factor was given recently enough for what needs it."""
    return factor_at is not None and now - factor_at < STEP_UP_LIFE


def need_step_up(*, stepped_up: bool) -> None:
    """Raise StepUpNeededError where the second factor was not given recently."""
    if not stepped_up:
        raise StepUpNeededError("this needs your second factor again")


def identity_of(session: Session, now: datetime) -> Identity:
    """Give the identity that pages get."""
    return Identity(
        session.user_id,
        session.clinic_id,
        session.role,
        session.login,
        session.name,
        session.session_id,
        session.factor_at,
        is_recent(session.factor_at, now),
    )
