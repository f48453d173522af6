"""What the audit log says of accounts: ids, counts and kinds; never a login, a name, a token or a code."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final
from uuid import UUID

from gonio.cloud_sink.accounts import throttle
from gonio.cloud_sink.audit_log import Entry
from gonio.cloud_sink.schema import HOME_CLINIC

SYSTEM: Final = "system:accounts"


class Event(StrEnum):
    """The actions of accounts in the audit log."""

    CLINIC_ADDED = "clinic-added"
    INVITED = "user-invited"
    INVITATION_TAKEN = "invitation-taken"
    ROLE_CHANGED = "role-changed"
    DISABLED = "user-disabled"
    ENABLED = "user-enabled"
    RESET = "user-reset"
    UNLOCKED = "user-unlocked"
    PASSWORD_RIGHT = "password-accepted"  # noqa: S105 - the name of an event
    SIGNED_IN = "signed-in"
    STEPPED_UP = "stepped-up"
    SIGNED_OUT = "signed-out"
    SESSIONS_ENDED = "sessions-ended"
    FAILED = "sign-in-failed"  # so many failures since the last entry, and the delay that begins
    RECOVERY_CODE_USED = "recovery-code-used"
    RECOVERY_CODES_MADE = "recovery-codes-made"
    FACTOR_ADDED = "second-factor-added"
    FACTOR_REMOVED = "second-factor-removed"
    PASSWORD_CHANGED = "password-changed"  # noqa: S105 - the name of an event
    BREAK_GLASS = "break-glass"


def by_user(event: Event, clinic_id: UUID, user_id: UUID, detail: Mapping[str, Any] = MappingProxyType({})) -> Entry:
    """Note what a user did with their own account."""
    return Entry(clinic_id, f"user:{user_id}", event, "user", str(user_id), detail=detail)


def failure(attempt: throttle.Attempt, user: tuple[UUID, UUID] | None, what: str) -> list[Entry]:
    """Note failures, in bundles: when delays begin, and at each doubling of the count.

    Args:
        attempt: the attempt that failed.
        user: the user's id and their clinic's; None where there is no such login.
        what: ``password`` or ``second factor``.
    """
    entries = []
    for counter, failures in sorted(attempt.failures.items()):
        if not throttle.is_milestone(counter.scope, failures):
            continue
        delay_s = throttle.delay_s(counter.scope, failures)
        detail = {"counted": str(counter.scope), "failures": failures, "delay_s": delay_s, "of": what}
        subject, clinic_id = ("login", "unknown"), HOME_CLINIC
        if counter.scope is throttle.Scope.ADDRESS:
            subject = ("address", counter.bucket)
        elif user is not None:
            subject, clinic_id = ("user", str(user[0])), user[1]
        entries.append(Entry(clinic_id, SYSTEM, Event.FAILED, *subject, detail=detail))
    return entries
