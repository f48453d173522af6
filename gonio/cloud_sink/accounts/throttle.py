"""Guessing is made slow by delays that grow with failures, counted so that nobody can lock a colleague out.

There are separate counters (after OWASP's device cookies): one for a login tried from browsers that it does not know,
one for an address from which unknown browsers come, and one for each known browser of a login. An attempt from a known
browser looks at its own counter and at no other, so whatever others do elsewhere, it is not delayed by them. An
attempt is counted as a failure before it is looked at, and the count is taken back when it was right: any number of
attempts at once gets no further than one after the other.

Counters are rows of the book: they outlast a restart, and all processes share them. They are bounded: logins and
addresses are spread over 65,536 places each, by a keyed mark that nobody outside can aim with (two that meet in a place
share their delay); the others are as many as users and their known browsers.
"""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Connection, and_, case, delete, or_, select, update

from gonio.cloud_sink.accounts.vault import Vault
from gonio.cloud_sink.bulk import ON_CONFLICT_SKIP, insert_rows
from gonio.cloud_sink.schema import HOME_CLINIC
from gonio.cloud_sink.schema_accounts import THROTTLE

#: A counter without a failure for so long starts anew.
FORGOTTEN_AFTER: Final = timedelta(hours=24)
#: The longest delay of all: whoever was kept out waits no longer than this.
MAX_DELAY_S: Final = 900.0
_MARK_BYTES: Final = 2  # 65,536 places
_MAX_DOUBLINGS: Final = 32
_MAX_FAILURES: Final = 1_000_000_000  # within the column's Integer


class Scope(StrEnum):
    """What failures are counted of."""

    LOGIN = "login"  # a login, from browsers that it does not know
    ADDRESS = "address"  # from which unknown browsers come
    DEVICE = "device"  # one known browser of one user
    FACTOR = "factor"  # second factors of one user, from browsers that it does not know
    DEVICE_FACTOR = "device-factor"  # and from one known browser


#: Failures that cost nothing: people mistype, and many sit behind one address.
_FREE: Final = dict.fromkeys(Scope, 5) | {Scope.ADDRESS: 30}


def delay_s(scope: Scope, failures: int) -> float:
    """Give the delay in seconds after so many failures: none at first, then 1 s, doubled each time, to MAX_DELAY_S."""
    beyond = failures - _FREE[scope]
    return 0.0 if beyond < 0 else min(2.0 ** min(beyond, _MAX_DOUBLINGS), MAX_DELAY_S)


def is_milestone(scope: Scope, failures: int) -> bool:
    """Tell whether this failure is noted in the audit log: those at which delays begin, and each doubling of that."""
    times, rest = divmod(failures, _FREE[scope])
    return rest == 0 and times > 0 and times & (times - 1) == 0


@dataclass(frozen=True, slots=True, order=True)
class Counter:
    """One counter: what it counts, and of whom."""

    scope: Scope
    bucket: str
    clinic_id: UUID = HOME_CLINIC


def of_login(vault: Vault, login: str) -> Counter:
    """Name the counter of a login from unknown browsers."""
    return Counter(Scope.LOGIN, vault.mark("login", login)[:_MARK_BYTES].hex())


def of_address(vault: Vault, source: str) -> Counter:
    """Name the counter of an address: of IPv6 the /64, which is one line's."""
    return Counter(Scope.ADDRESS, vault.mark("address", _line(source))[:_MARK_BYTES].hex())


def of_device(user_id: UUID, clinic_id: UUID, device_hash: bytes) -> Counter:
    """Name the counter of a user's known browser."""
    return Counter(Scope.DEVICE, f"{user_id.hex}:{device_hash.hex()}", clinic_id)


def of_factor(user_id: UUID, clinic_id: UUID, device_hash: bytes | None) -> Counter:
    """Name the counter of a user's second factors: from a known browser, or from all others."""
    if device_hash is None:
        return Counter(Scope.FACTOR, user_id.hex, clinic_id)
    return Counter(Scope.DEVICE_FACTOR, f"{user_id.hex}:{device_hash.hex()}", clinic_id)


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt that was admitted and counted, or must wait.

    Attributes:
        wait_s: seconds until one is admitted; 0 where this one was.
        failures: the failures of each counter, with this one.
    """

    wait_s: float
    failures: dict[Counter, int]


def admit(connection: Connection, counters: Sequence[Counter], now: datetime) -> Attempt:
    """Count an attempt in each of some counters, unless one of them says to wait: then nothing is changed."""
    rows = {counter: _locked(connection, counter, now) for counter in sorted(counters)}
    wait_s = max((row.next_at - now).total_seconds() if _is_fresh(row, now) else 0.0 for row in rows.values())
    if wait_s > 0:
        return Attempt(min(wait_s, MAX_DELAY_S), {})
    failures = {}
    for counter, row in rows.items():
        count = min(row.failures + 1, _MAX_FAILURES) if _is_fresh(row, now) else 1
        failures[counter] = count
        next_at = now + timedelta(seconds=delay_s(counter.scope, count))
        values = {"failures": count, "last_at": now, "next_at": next_at}
        connection.execute(update(THROTTLE).where(_is(counter)).values(values))
    return Attempt(0.0, failures)


def take_back(connection: Connection, attempt: Attempt, now: datetime) -> None:
    """Take an admitted attempt back that was right; failures of others that came meanwhile stay."""
    columns = THROTTLE.c
    for counter, count in sorted(attempt.failures.items()):
        values = {
            "failures": case((columns.failures > 0, columns.failures - 1), else_=0),
            "next_at": case((columns.failures == count, now), else_=columns.next_at),
        }
        connection.execute(update(THROTTLE).where(_is(counter)).values(values))


def clear(connection: Connection, counters: Sequence[Counter]) -> int:
    """Let some counters start anew; gives the failures that they had counted."""
    failures = 0
    for counter in sorted(counters):
        columns = THROTTLE.c
        found = connection.execute(select(columns.failures).where(_is(counter)).with_for_update()).scalar_one_or_none()
        failures += found or 0
        connection.execute(delete(THROTTLE).where(_is(counter)))
    return failures


def clear_user(connection: Connection, user_id: UUID) -> None:
    """Remove all counters of a user and of their known browsers."""
    columns = THROTTLE.c
    connection.execute(
        delete(THROTTLE).where(
            or_(
                and_(columns.scope == Scope.FACTOR, columns.bucket == user_id.hex),
                and_(
                    columns.scope.in_([Scope.DEVICE, Scope.DEVICE_FACTOR]),
                    columns.bucket.like(f"{user_id.hex}:%"),
                ),
            )
        )
    )


def purge(connection: Connection, now: datetime) -> None:
    """Remove the counters that would start anew."""
    connection.execute(delete(THROTTLE).where(THROTTLE.c.last_at < now - FORGOTTEN_AFTER))


def _is(counter: Counter) -> Any:  # noqa: ANN401 - a SQLAlchemy condition
    return and_(THROTTLE.c.scope == counter.scope, THROTTLE.c.bucket == counter.bucket)


def _is_fresh(row: Any, now: datetime) -> bool:  # noqa: ANN401 - SQLAlchemy's row
    """Tell whether a counter still counts; one of the future (a clock was set back) starts anew too."""
    return bool(abs(now - row.last_at) < FORGOTTEN_AFTER and row.next_at - now <= timedelta(seconds=MAX_DELAY_S))


def _locked(connection: Connection, counter: Counter, now: datetime) -> Any:  # noqa: ANN401 - SQLAlchemy's row
    columns = THROTTLE.c
    query = select(columns.failures, columns.last_at, columns.next_at).where(_is(counter)).with_for_update()
    found = connection.execute(query).first()
    if found is None:
        row = {"scope": str(counter.scope), "bucket": counter.bucket, "clinic_id": counter.clinic_id}
        fresh = row | {"failures": 0, "last_at": now, "next_at": now}
        insert_rows(connection, THROTTLE, [fresh], ON_CONFLICT_SKIP)
        found = connection.execute(query).one()
    return found


def _line(source: str) -> str:
    try:
        address = ipaddress.ip_address(source.partition("%")[0])
    except ValueError:
        return source
    if address.version == 6:  # noqa: PLR2004 - IPv6
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)
