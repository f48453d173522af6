"""Accounts with a clock of the test's own and cheap passwords, on both stores."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pyotp
import pytest
from sqlalchemy import select

from gonio.cloud_sink.accounts import Accounts, Identity, Invitation, Outcome, Passwords, Role, SignIn
from gonio.cloud_sink.engine import open_engine
from gonio.cloud_sink.schema import HOME_CLINIC
from gonio.cloud_sink.schema_audit import AUDIT_LOG

KEY = bytes(range(32))
PASSWORD = "nine bicycles under water"  # noqa: S105 - of a test
CHEAP = Passwords(time_cost=1, memory_kib=8, parallelism=1)


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = datetime(2026, 3, 5, 18, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def move(self, **by: float) -> None:
        self.now += timedelta(**by)


@dataclass
class Person:
    """A user with an authenticator app and a browser of their own."""

    accounts: Accounts
    clock: Clock
    login: str
    secret: str = ""
    token: str = ""
    device: str | None = None
    codes: tuple[str, ...] = ()
    password: str = PASSWORD
    source: str = "192.0.2.7"
    used: list[str] = field(default_factory=list)

    def accept(self, invitation: Invitation) -> SignIn:
        """Take an invitation and set an authenticator app up."""
        first = self.accounts.accept_invitation(invitation.token, self.password, source=self.source)
        assert first.outcome is Outcome.ENROL
        assert first.token is not None
        self.secret = self.accounts.begin_totp(first.token).secret
        done = self.accounts.confirm_totp(first.token, self.code())
        assert done.outcome is Outcome.DONE
        assert done.token is not None
        self.token, self.device, self.codes = done.token, done.device, done.recovery_codes
        return done

    def code(self) -> str:
        """Read the app, once it shows a code that was not used."""
        code = pyotp.TOTP(self.secret).at(self.clock.now)
        if code in self.used:
            self.clock.move(seconds=30)
            code = pyotp.TOTP(self.secret).at(self.clock.now)
        self.used.append(code)
        return code

    def try_password(self, password: str | None = None, *, device: str | None = None, source: str = "") -> SignIn:
        """Sign in as far as the password goes, from any browser."""
        return self.accounts.sign_in(
            self.login, password or self.password, source=source or self.source, device=device, label="Firefox"
        )

    def sign_in(self) -> Identity:
        """Sign in with the own browser."""
        step = self.try_password(device=self.device)
        assert step.outcome is Outcome.FACTOR, step
        assert step.token is not None
        done = self.accounts.second_factor(step.token, self.code(), source=self.source, device=self.device)
        assert done.outcome is Outcome.DONE, done
        assert done.token is not None
        self.token, self.device = done.token, done.device or self.device
        return self.identity

    @property
    def identity(self) -> Identity:
        """Who the person is by their session."""
        found = self.accounts.session(self.token)
        assert found is not None
        return found


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def accounts(store_url: str, clock: Clock) -> Iterator[Accounts]:
    engine = open_engine(store_url, create=True)
    yield Accounts(engine, KEY, passwords=CHEAP, clock=clock)
    engine.dispose()


@dataclass
class People:
    """Whoever a test needs."""

    accounts: Accounts
    clock: Clock

    def add(self, login: str = "ann@clinic.example", role: Role = Role.THERAPIST, clinic: UUID = HOME_CLINIC) -> Person:
        """Enter somebody who has signed in once."""
        person = Person(self.accounts, self.clock, login)
        person.accept(self.accounts.administration_of(clinic, "operator:test").invite(login, "Ann Example", role))
        return person

    def notes(self, *actions: str) -> list[Any]:
        """Read the audit log, all of it or some actions."""
        query = select(AUDIT_LOG).order_by(AUDIT_LOG.c.clinic_id, AUDIT_LOG.c.number)
        with self.accounts._reader.connect() as connection:
            return [row for row in connection.execute(query) if not actions or row.action in actions]


@pytest.fixture
def people(accounts: Accounts, clock: Clock) -> People:
    return People(accounts, clock)
