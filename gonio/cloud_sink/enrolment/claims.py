"""Claims: a clinic gives a code with a box, and the first kit that shows it, with a key of its own, is the clinic's.

A code counts once. The kit that used it is answered again as often as it asks with the same key, because an answer can
be lost; with another key, or from another kit, it is refused and noted. All functions work within the caller's
transaction.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID, uuid4

from sqlalchemy import Connection, insert, select, update

from gonio.cloud_sink.enrolment.keys import KeyState, KitKey, key, keys_of
from gonio.cloud_sink.schema import KITS
from gonio.cloud_sink.schema_stock import KIT_CLAIMS, STOCK
from gonio.cloud_sink.stock_states import BoxState
from gonio.errors import PeerError, UsageError
from gonio.identity.claim import digest, new_code
from gonio.identity.keys import key_id as name_of

LIFE: Final = timedelta(hours=24)
LONGEST_LIFE: Final = timedelta(days=14)
_GONE: Final = frozenset({BoxState.LOST.value, BoxState.RETIRED.value})


class ClaimRefusedError(PeerError):
    """A kit may not be claimed so; the text is for the person who holds the kit."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A code that was given out, as the book has it; by whom it was used is None until it is."""

    claim_id: UUID
    clinic_id: UUID
    item_id: UUID
    expires_at: datetime
    used_at: datetime | None
    kit_id: str | None
    key_id: str | None


def make(connection: Connection, item_id: UUID, *, by: str, at: datetime, life: timedelta = LIFE) -> str:
    """Make a code for a box; codes of it that were not used count no more.

    Args:
        connection: within a transaction that writes.
        item_id: the box.
        by: who asks for it, as in the audit log.
        at: the moment, aware.
        life: how long it counts.

    Returns:
        The code, which is kept nowhere.

    Raises:
        UsageError: no such box, one that is lost or retired, or a life beyond LONGEST_LIFE.
    """
    if not timedelta(0) < life <= LONGEST_LIFE:
        raise UsageError(f"a claim code counts for at most {LONGEST_LIFE.days} days")
    box = connection.execute(
        select(STOCK.c.clinic_id, STOCK.c.state).where(STOCK.c.item_id == item_id).with_for_update()
    ).first()
    if box is None:
        raise UsageError("there is no such box: list them with `gonio clinic stock list`")
    if box.state in _GONE:
        raise UsageError(f"this box is {box.state}: its kit is claimed no more (gonio clinic stock history)")
    clinic_id = box.clinic_id
    unused = (KIT_CLAIMS.c.item_id == item_id, KIT_CLAIMS.c.used_at.is_(None), KIT_CLAIMS.c.expires_at > at)
    connection.execute(update(KIT_CLAIMS).where(*unused).values(expires_at=at))
    code = new_code()
    row = {"claim_id": uuid4(), "clinic_id": clinic_id, "item_id": item_id, "code_hash": digest(code)}
    connection.execute(
        insert(KIT_CLAIMS).values(row | {"made_at": at, "expires_at": at + life, "made_by": by, "used_at": None})
    )
    return code


def find(connection: Connection, code: str) -> Claim | None:
    """Find the claim of a code and hold it, so that of two kits that show it one waits; None where there is none."""
    columns = KIT_CLAIMS.c
    row = connection.execute(
        select(
            columns.claim_id,
            columns.clinic_id,
            columns.item_id,
            columns.expires_at,
            columns.used_at,
            columns.kit_id,
            columns.key_id,
        )
        .where(columns.code_hash == digest(code))
        .with_for_update()
    ).first()
    return None if row is None else Claim(*row)


def check(connection: Connection, claim: Claim, kit_id: str, public_key: bytes, *, at: datetime) -> KitKey | None:
    """Hold a claim against the kit that shows it; gives its key where it was claimed with it before.

    Raises:
        ClaimRefusedError: it may not have it.
    """
    key_id = name_of(public_key)
    if claim.used_at is not None:
        if (claim.kit_id, claim.key_id) != (kit_id, key_id):
            raise ClaimRefusedError("this claim code was used by another kit: ask the clinic for a new one")
        known = key(connection, key_id)
        if known is None or known.state is KeyState.REVOKED:
            raise ClaimRefusedError("this kit's key was revoked: ask the clinic for a new claim code")
        return known
    if claim.expires_at <= at:
        raise ClaimRefusedError("this claim code is too old: ask the clinic for a new one")
    box, state = connection.execute(select(STOCK.c.kit_id, STOCK.c.state).where(STOCK.c.item_id == claim.item_id)).one()
    if state in _GONE:
        raise ClaimRefusedError(f"the clinic has entered this box as {state}: ask it for a new claim code")
    if box not in {None, kit_id} and any(one.state is not KeyState.REVOKED for one in keys_of(connection, box)):
        raise ClaimRefusedError("this claim code is of a box with another kit: ask the clinic for a new one")
    owner = connection.execute(select(KITS.c.clinic_id).where(KITS.c.kit_id == kit_id)).scalar_one_or_none()
    if owner not in {None, claim.clinic_id}:
        raise ClaimRefusedError("this kit is another clinic's: that one has to let it go first")
    if box != kit_id and keys_of(connection, kit_id):
        raise ClaimRefusedError("a kit of this name is enrolled already: use the code of its own box")
    if (known := key(connection, key_id)) is not None and (known.kit_id != kit_id or known.state is KeyState.REVOKED):
        raise ClaimRefusedError("this key does not count any more: wipe the kit (gonio gateway wipe), then claim it")
    return None


def use(connection: Connection, claim: Claim, kit_id: str, public_key: bytes, *, at: datetime) -> None:
    """Note that a kit has claimed: the code counts no more, and the box has this kit. The kit's row must be there."""
    values = {"used_at": at, "kit_id": kit_id, "key_id": name_of(public_key)}
    connection.execute(update(KIT_CLAIMS).where(KIT_CLAIMS.c.claim_id == claim.claim_id).values(values))
    connection.execute(update(STOCK).where(STOCK.c.item_id == claim.item_id).values(kit_id=kit_id))
