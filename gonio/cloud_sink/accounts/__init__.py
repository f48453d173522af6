"""Who may use the clinic's pages: users, factors, sessions, and what keeps guessing slow.

``facade.Accounts`` is all of it; ``model`` has the values that it gives and the errors that it raises.
"""

from gonio.cloud_sink.accounts.administration import Administration
from gonio.cloud_sink.accounts.facade import Accounts
from gonio.cloud_sink.accounts.model import (
    AccountError,
    Clinic,
    FactorRefusedError,
    Grant,
    Identity,
    Invitation,
    InvitationError,
    Invited,
    LastAdminError,
    LastFactorError,
    NoSuchError,
    NotAllowedError,
    Outcome,
    Passkey,
    PasswordRefusedError,
    Pending,
    Role,
    SignedOutError,
    SignIn,
    Site,
    Stage,
    StepUpNeededError,
    TotpSecret,
    User,
    UserState,
    WebSession,
)
from gonio.cloud_sink.accounts.passwords import Passwords
from gonio.cloud_sink.accounts.sessions import Lifetimes

__all__ = [
    "AccountError",
    "Accounts",
    "Administration",
    "Clinic",
    "FactorRefusedError",
    "Grant",
    "Identity",
    "Invitation",
    "InvitationError",
    "Invited",
    "LastAdminError",
    "LastFactorError",
    "Lifetimes",
    "NoSuchError",
    "NotAllowedError",
    "Outcome",
    "Passkey",
    "PasswordRefusedError",
    "Passwords",
    "Pending",
    "Role",
    "SignIn",
    "SignedOutError",
    "Site",
    "Stage",
    "StepUpNeededError",
    "TotpSecret",
    "User",
    "UserState",
    "WebSession",
]
