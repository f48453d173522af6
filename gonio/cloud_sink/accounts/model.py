"""What the accounts give to those who ask: users, sessions, the outcome of signing in, and what can go wrong."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from gonio.errors import GonioError, UsageError


class Role(StrEnum):
    """What a user of a clinic is there for; what each may see is decided by the pages."""

    THERAPIST = "therapist"
    ASSISTANT = "assistant"
    BILLER = "biller"
    ADMIN = "admin"
    AUDITOR = "auditor"


class UserState(StrEnum):
    """Whether a user may sign in."""

    INVITED = "invited"  # has no password yet, or none any more
    ACTIVE = "active"
    DISABLED = "disabled"


class Stage(StrEnum):
    """How far the owner of a session has come."""

    FACTOR = "factor"  # the password was right: the second factor must be given
    ENROL = "enrol"  # the password was right and there is no second factor: one must be set up
    FULL = "full"


class Outcome(StrEnum):
    """What became of an attempt to sign in, or of giving a second factor."""

    REFUSED = "refused"  # wrong; it is never said what
    WAIT = "wait"  # not looked at: there were too many failures, try again in ``wait_s``
    FACTOR = "factor"  # right so far: the second factor comes next
    ENROL = "enrol"  # right so far: a second factor must be set up
    DONE = "done"


@dataclass(frozen=True, slots=True)
class SignIn:
    """The outcome of one step of signing in.

    Attributes:
        outcome: what became of it.
        token: the session's new token, for its cookie; None where nothing changed. The one before opens nothing more.
        device: the browser's token, for its long-lived cookie; None where it has the right one.
        wait_s: seconds until the next attempt is looked at; 0 where there is no delay.
        recovery_codes: fresh codes to be shown once, where some were made.
    """

    outcome: Outcome
    token: str | None = None
    device: str | None = None
    wait_s: float = 0.0
    recovery_codes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Identity:
    """Who is signed in, as every page gets it.

    Attributes:
        user_id: the user.
        clinic_id: the one clinic whose data they may see.
        role: what they are there for.
        login: their e-mail address.
        name: their name.
        session_id: the session, as its list names it.
        factor_at: when they last gave a second factor, aware; None in a session that never had one (the demo's).
        stepped_up: whether that is recent enough for what needs it.
    """

    user_id: UUID
    clinic_id: UUID
    role: Role
    login: str
    name: str
    session_id: UUID
    factor_at: datetime | None
    stepped_up: bool

    @property
    def actor(self) -> str:
        """The name in the audit log."""
        return f"user:{self.user_id}"


@dataclass(frozen=True, slots=True)
class Pending:
    """A session on its way: the password was right.

    Attributes:
        stage: FACTOR, ENROL or FULL.
        user_id: whose it is.
        login: their e-mail address.
        totp: whether they have an authenticator app.
        passkeys: how many passkeys they have.
        recovery_codes: how many unused recovery codes they have.
    """

    stage: Stage
    user_id: UUID
    login: str
    totp: bool
    passkeys: int
    recovery_codes: int


@dataclass(frozen=True, slots=True)
class User:
    """A user as an administrator sees them."""

    user_id: UUID
    clinic_id: UUID
    login: str
    name: str
    role: Role
    state: UserState
    totp: bool
    passkeys: int
    added_at: datetime


@dataclass(frozen=True, slots=True)
class Clinic:
    """A clinic."""

    clinic_id: UUID
    name: str
    time_zone: str


@dataclass(frozen=True, slots=True)
class Invitation:
    """A fresh invitation: the token is shown once and kept nowhere."""

    user_id: UUID
    token: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Invited:
    """Whom an invitation is for, as the page that takes it shows it."""

    login: str
    name: str
    clinic: str


@dataclass(frozen=True, slots=True)
class WebSession:
    """One of a user's own sessions; ``session_id`` ends it and opens nothing."""

    session_id: UUID
    label: str
    started_at: datetime
    seen_at: datetime


@dataclass(frozen=True, slots=True)
class Passkey:
    """One of a user's own passkeys."""

    passkey_id: UUID
    name: str
    added_at: datetime
    used_at: datetime | None


@dataclass(frozen=True, slots=True)
class TotpSecret:
    """A secret for an authenticator app that is not in force yet: in base 32, and as the line of its QR code."""

    secret: str
    uri: str


@dataclass(frozen=True, slots=True)
class Grant:
    """One breaking of the glass: one patient, opened to one user for an hour."""

    grant_id: UUID
    user_id: UUID
    user_name: str
    patient_id: UUID
    reason: str
    at: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Site:
    """Where the pages are, as passkeys are bound to it.

    Attributes:
        host: the name in the address, without port: ``review.clinic.example``.
        origin: scheme, host and port as a browser says them: ``https://review.clinic.example:8600``.
    """

    host: str
    origin: str


class AccountError(GonioError):
    """Something about an account is not as asked; its text may be shown to the person who asked."""


class PasswordRefusedError(AccountError, UsageError):
    """The new password will not do; the text says why."""


class NotAllowedError(AccountError):
    """This user may not do that."""


class StepUpNeededError(NotAllowedError):
    """The second factor must be given again first."""


class SignedOutError(AccountError):
    """The session has ended, or is not as far as this needs: sign in again."""


class NoSuchError(AccountError, UsageError):
    """There is no such user, session, passkey or patient in this clinic."""


class InvitationError(AccountError, UsageError):
    """The invitation is used, expired, replaced or was never made: which of these is not said."""


class LastAdminError(AccountError, UsageError):
    """The clinic would be left without an administrator."""


class LastFactorError(AccountError, UsageError):
    """The user would be left without a second factor."""


class FactorRefusedError(AccountError, UsageError):
    """What the authenticator app or the passkey said in setting it up is not right."""
