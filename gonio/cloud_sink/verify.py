"""Proof of stored records: whether each is, to the letter, what a key of its kit's has signed.

A record is proven by the columns that the book keeps of it, a key in the book's ``kit_keys`` (whatever became of the
key since) and nothing else. What a kit sent while nobody had claimed it is unproven, and stays so.
"""

import hashlib
from calendar import monthrange
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Any, Final, TypeAlias
from uuid import UUID

from sqlalchemy import Connection, RowMapping, Select, or_, select

from gonio.cloud_sink.enrolment.keys import KitKey
from gonio.cloud_sink.schema import DAY_ENTRIES, RECORDS
from gonio.cloud_sink.schema_identity import KIT_KEYS
from gonio.identity.keys import PublicKey
from gonio.identity.signatures import signed_by
from gonio.messages import Envelope, Kind

#: Records that are named one by one; all are counted.
MAX_NAMED: Final = 1000
_AT_ONCE: Final = 500  # rows that are in memory

KeysByKit: TypeAlias = Mapping[str, Sequence[PublicKey]]


class Standing(StrEnum):
    """What can be said of a stored record."""

    PROVEN = "proven"
    UNSIGNED = "unsigned"  # it bears no signature
    NO_KEY = "no key"  # it is signed, and no key of its kit's of that name is known
    WRONG = "wrong"  # its content, signature or hash is not what was signed


@dataclass(frozen=True, slots=True)
class Doubt:
    """A record that is not proven."""

    record_id: UUID
    kit_id: str
    standing: Standing


@dataclass(frozen=True, slots=True)
class Verification:
    """What came of looking at some records.

    Attributes:
        records: how many were looked at.
        counts: how many stand how.
        doubts: those that are not proven, the first ``MAX_NAMED``.
    """

    records: int
    counts: Mapping[Standing, int]
    doubts: tuple[Doubt, ...]

    @property
    def proven(self) -> bool:
        """Whether all are."""
        return self.counts[Standing.PROVEN] == self.records


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which records; None is all.

    Attributes:
        kit_id: of this kit.
        month: of the month that begins on this day: captured in it by the kit's clock, or counted on a day of it.
        record_id: this one.
    """

    kit_id: str | None = None
    month: date | None = None
    record_id: UUID | None = None


def verify(connection: Connection, wanted: Wanted) -> Verification:
    """Look at records in the book, one after another."""
    keys = public_keys(known_keys(connection, wanted.kit_id))
    looked_at = ((row["record_id"], row["kit_id"], standing_of_row(row, keys)) for row in rows(connection, wanted))
    return summed(looked_at)


def summed(looked_at: Iterable[tuple[UUID, str, Standing]]) -> Verification:
    """Count records with how they stand."""
    counts = dict.fromkeys(Standing, 0)
    doubts: list[Doubt] = []
    for record_id, kit_id, standing in looked_at:
        counts[standing] += 1
        if standing is not Standing.PROVEN and len(doubts) < MAX_NAMED:
            doubts.append(Doubt(record_id, kit_id, standing))
    return Verification(sum(counts.values()), counts, tuple(doubts))


def rows(connection: Connection, wanted: Wanted) -> Iterator[RowMapping]:
    """Give the rows of ``records`` that are wanted, by kit, outbox and sequence."""
    found = connection.execution_options(stream_results=True, yield_per=_AT_ONCE).execute(_query(wanted))
    yield from found.mappings()


def _query(wanted: Wanted) -> Select[Any]:
    columns = RECORDS.c
    query = select(*(columns[name] for name in Envelope.model_fields), columns.content_hash, columns.received_at)
    if wanted.kit_id is not None:
        query = query.where(columns.kit_id == wanted.kit_id)
    if wanted.record_id is not None:
        query = query.where(columns.record_id == wanted.record_id)
    if wanted.month is not None:
        last = wanted.month.replace(day=monthrange(wanted.month.year, wanted.month.month)[1])
        day = DAY_ENTRIES.c.local_date
        counted = select(DAY_ENTRIES.c.record_id).where(day.between(wanted.month, last))
        captured = columns.captured_at.startswith(f"{wanted.month:%Y-%m}-")
        query = query.where(or_(captured, columns.record_id.in_(counted)))
    return query.order_by(columns.kit_id, columns.outbox_id, columns.sequence)


def standing_of_row(row: RowMapping, keys: KeysByKit) -> Standing:
    """Say how a row of ``records`` stands."""
    try:
        envelope = envelope_of(row)
    except ValueError:  # pydantic's ValidationError: no kit can have sent this
        return Standing.WRONG
    if hashlib.sha256(envelope.signed_bytes()).digest() != row["content_hash"]:
        return Standing.WRONG
    return standing_of(envelope, keys)


def standing_of(envelope: Envelope, keys: KeysByKit) -> Standing:
    """Say how a record stands."""
    if envelope.signature is None:
        return Standing.UNSIGNED
    key = next((one for one in keys.get(envelope.kit_id, ()) if one.key_id == envelope.key_id), None)
    if key is None:
        return Standing.NO_KEY
    return Standing.PROVEN if signed_by(envelope, key) else Standing.WRONG


def envelope_of(row: RowMapping) -> Envelope:
    """Give a row of ``records`` as the record that its kit sent.

    Raises:
        ValueError: it can be none (pydantic's ValidationError).
    """
    return Envelope(**{name: row[name] for name in Envelope.model_fields} | {"kind": Kind(row["kind"])})


def known_keys(connection: Connection, kit_id: str | None = None) -> list[KitKey]:
    """Give all keys of the book, or of a kit, whatever became of them."""
    query = select(KIT_KEYS).order_by(KIT_KEYS.c.kit_id, KIT_KEYS.c.key_id)
    if kit_id is not None:
        query = query.where(KIT_KEYS.c.kit_id == kit_id)
    return [KitKey.of(row) for row in connection.execute(query)]


def public_keys(keys: Iterable[KitKey]) -> KeysByKit:
    """Give the public halves by kit."""
    found: dict[str, list[PublicKey]] = {}
    for key in keys:
        found.setdefault(key.kit_id, []).append(PublicKey(key.public_key))
    return found
