"""Who may open which page: one table, and a page without a row in it does not exist.

Clinical pages (a patient's sessions, curves, what they said) are for those who treat: therapist and assistant. Others
who have a reason open one patient for an hour, and everybody who looks after the log sees it (HIPAA's emergency access,
45 CFR 164.312(a)(2)(ii)). A biller sees who has how many days with data, and whether all records are here. Boxes
are moved by those who treat and by administrators.
"""

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from gonio.cloud_sink.accounts import Role

EVERYBODY: Final = frozenset(Role)
TREATING: Final = frozenset({Role.THERAPIST, Role.ASSISTANT})
LISTS: Final = TREATING | {Role.BILLER}
OVERSIGHT: Final = frozenset({Role.ADMIN, Role.AUDITOR})
PACKING: Final = TREATING | {Role.ADMIN}
STOCK: Final = TREATING | OVERSIGHT
NOBODY: Final = frozenset[Role]()

Subject: TypeAlias = Literal["patient", "session"]


@dataclass(frozen=True, slots=True)
class Rule:
    """What a request needs.

    Attributes:
        roles: who may.
        public: whoever may, signed in or not.
        subject: what the address names of whom data are read: each look is noted, and opened by breaking the glass.
    """

    roles: frozenset[Role] = NOBODY
    public: bool = False
    subject: Subject | None = None


_PUBLIC: Final = Rule(public=True)
_ALL: Final = Rule(EVERYBODY)
_ADMIN: Final = Rule(frozenset({Role.ADMIN}))

RULES: Final[dict[tuple[str, str], Rule]] = {
    ("GET", "/"): _ALL,
    ("GET", "/sign-in"): _PUBLIC,
    ("POST", "/sign-in"): _PUBLIC,
    ("GET", "/sign-in/factor"): _PUBLIC,
    ("POST", "/sign-in/factor"): _PUBLIC,
    ("GET", "/sign-in/set-up"): _PUBLIC,
    ("POST", "/sign-in/set-up"): _PUBLIC,
    ("POST", "/sign-in/set-up/passkey"): _PUBLIC,
    ("POST", "/sign-in/passkey"): _PUBLIC,
    ("POST", "/sign-out"): _PUBLIC,
    ("GET", "/join/{token}"): _PUBLIC,
    ("POST", "/join/{token}"): _PUBLIC,
    ("GET", "/patients"): Rule(LISTS),
    ("GET", "/patients/{patient_id}"): Rule(TREATING, subject="patient"),
    ("GET", "/sessions/{record_id}"): Rule(TREATING, subject="session"),
    ("GET", "/break-glass/{patient_id}"): Rule(EVERYBODY - TREATING),
    ("POST", "/break-glass/{patient_id}"): Rule(EVERYBODY - TREATING),
    ("GET", "/completeness"): _ALL,
    ("GET", "/completeness/kits/{kit_id}"): _ALL,
    ("GET", "/completeness/quarantine"): _ALL,
    ("GET", "/stock"): Rule(STOCK),
    ("GET", "/stock.csv"): Rule(STOCK),
    ("GET", "/stock/{item_id}"): Rule(STOCK),
    ("POST", "/stock/{item_id}"): Rule(PACKING),
    ("GET", "/log"): Rule(OVERSIGHT),
    ("GET", "/log/check"): _ALL,
    ("POST", "/log/export"): Rule(OVERSIGHT),
    ("GET", "/account"): _ALL,
    ("POST", "/account/password"): _ALL,
    ("POST", "/account/recovery-codes"): _ALL,
    ("POST", "/account/sessions/end"): _ALL,
    ("POST", "/account/passkeys/remove"): _ALL,
    ("GET", "/users"): _ADMIN,
    ("POST", "/users/invite"): _ADMIN,
    ("POST", "/users/{user_id}"): _ADMIN,
}
