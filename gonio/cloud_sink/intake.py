"""Taking deliveries into the book, within a transaction that the caller holds: each record once, nothing in silence.

Two workers may do this at once on PostgreSQL. What keeps them apart: a record is inserted under its keys or not at all,
and what derives from it is written by whoever inserted it; a kit's bindings are read under a lock on its row that
`admin` takes exclusively to change them. Locks are taken in one order: kits, records, health, quarantine, each by key,
and at last the audit log's head.
"""

import hashlib
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TypeAlias
from uuid import UUID

from sqlalchemy import Connection, select, tuple_
from sqlalchemy.exc import IntegrityError

from gonio.cloud_sink.alarm import Alarm
from gonio.cloud_sink.bulk import Row, in_slices, insert_rows
from gonio.cloud_sink.clock_evidence import keep_first_ticks
from gonio.cloud_sink.derivation import concerns_others, derive_new
from gonio.cloud_sink.health import NewestHealth
from gonio.cloud_sink.judge import Accepted, Refused, refuse
from gonio.cloud_sink.kits import KnownKit, bindings_of, know_kits
from gonio.cloud_sink.projection.marks import mark_new
from gonio.cloud_sink.quarantine import Quarantine
from gonio.cloud_sink.schema import RECORDS
from gonio.cloud_sink.schema_places import RECORD_PLACES
from gonio.messages import Ack, AckStatus, Envelope, Kind

Judged: TypeAlias = tuple[str | None, Accepted | Refused, datetime]  # with the kit of its topic and its arrival
Place: TypeAlias = tuple[UUID | None, int | None]  # outbox and sequence


class Intake:
    """One transaction's worth of intake.

    Looks up in a few statements what a batch touches, inserts what is new, answers record by record in the order of
    arrival, and writes all that derives in a few statements.
    """

    def __init__(self, connection: Connection, batch: Sequence[Judged]) -> None:
        """Take up a batch.

        Args:
            connection: within a transaction that writes.
            batch: judged elements.
        """
        self._connection = connection
        self._batch = batch
        self._quarantine = Quarantine()

    def run(self) -> list[Ack | None]:
        """Decide and write; one answer for each element, None where no record id could be read to answer to."""
        kits = _know(self._connection, self._batch)
        self._clinic_of = {kit_id: kit.clinic_id for kit_id, kit in kits.items()}
        bindings = bindings_of(self._connection, sorted(kits))
        numbered = [j for _, j, _ in self._batch if isinstance(j, Accepted) and j.envelope.kind is not Kind.HEALTH]
        self._hash_of: dict[UUID, bytes] = {}
        self._removed: set[UUID] = set()  # ids of which only the place is left: retention took the record
        self._new = self._insert_new(numbered)
        reports = [j for _, j, _ in self._batch if isinstance(j, Accepted) and j.envelope.kind is Kind.HEALTH]
        self._health = NewestHealth(self._connection, reports)
        ticks = keep_first_ticks(self._connection, self._health.may_be_first(reports), self._clinic_of)
        derive_new(self._connection, list(self._new.values()), kits, bindings, ticks)
        answers = [self._answer(kit, judged, received_at) for kit, judged, received_at in self._batch]
        self._health.write(self._connection, self._clinic_of)
        self._quarantine.write(self._connection, self._clinic_of)
        mark_new(self._connection, self._stored(answers), self._clinic_of)
        return answers

    def _stored(self, answers: Sequence[Ack | None]) -> list[Accepted]:
        return [
            judged
            for (_, judged, _), ack in zip(self._batch, answers, strict=True)
            if isinstance(judged, Accepted) and ack is not None and ack.status is AckStatus.STORED
        ]

    # --- records ---

    def _insert_new(self, numbered: Sequence[Accepted]) -> dict[int, Accepted]:
        """Insert every record whose id and place are free, the first of a batch first; give those, by identity.

        Round by round: the first of each id and place is inserted, or none of them where another worker or an earlier
        record has an id or a place (one that is about to commit is waited for). Those are looked up and left out.
        """
        new: dict[int, Accepted] = {}
        taken: set[Place] = set()
        waiting = list(numbered)
        self._look_up_ids(waiting)
        while waiting := [j for j in waiting if j.envelope.record_id not in self._hash_of and _place(j) not in taken]:
            first = _first_of_each(waiting)
            rows = [self._record_row(j) for j in sorted(first, key=lambda j: j.envelope.record_id)]
            attempt = self._connection.begin_nested()
            try:
                insert_rows(self._connection, RECORD_PLACES, sorted(map(_place_row, rows), key=_by_place))
                insert_rows(self._connection, RECORDS, rows)
            except IntegrityError:  # any other error ends the whole transaction, on SQLite perhaps by itself
                attempt.rollback()
                known = len(self._hash_of) + len(taken)
                # places first: of a record that another worker commits in between, the id must be known with the place
                owners = self._look_up_places(first)
                self._look_up_ids(first)
                taken |= owners.keys()
                self._removed |= {record_id for record_id in owners.values() if record_id not in self._hash_of}
                if len(self._hash_of) + len(taken) == known:
                    raise
            else:
                attempt.commit()
                new |= {id(j): j for j in first}
                self._hash_of |= {j.envelope.record_id: j.content_hash for j in first}
                taken |= {_place(j) for j in first}
        return new

    def _look_up_ids(self, judged: Sequence[Accepted]) -> None:
        columns = RECORDS.c
        found = in_slices(
            [j.envelope.record_id for j in judged],
            lambda ids: self._connection.execute(
                select(columns.record_id, columns.content_hash).where(columns.record_id.in_(ids))
            ),
        )
        self._hash_of |= dict(found)

    def _look_up_places(self, judged: Sequence[Accepted]) -> dict[Place, UUID]:
        columns = RECORD_PLACES.c
        found = in_slices(
            [_place(j) for j in judged],
            lambda places: self._connection.execute(
                select(columns.outbox_id, columns.sequence, columns.record_id).where(
                    tuple_(columns.outbox_id, columns.sequence).in_(places)
                )
            ),
        )
        return {(outbox_id, sequence): record_id for outbox_id, sequence, record_id in found}

    def _record_row(self, judged: Accepted) -> Row:
        envelope = judged.envelope
        return {
            "record_id": envelope.record_id,
            "clinic_id": self._clinic_of[envelope.kit_id],
            "kit_id": envelope.kit_id,
            "outbox_id": envelope.outbox_id,
            "sequence": envelope.sequence,
            "kind": envelope.kind.value,
            "captured_at": envelope.captured_at,
            "captured_utc": judged.captured_utc,
            "received_at": judged.received_at,
            "boot_id": envelope.boot_id,
            "monotonic_ns": envelope.monotonic_ns,
            "clock": envelope.clock,
            "schema_version": envelope.schema_version,
            "key_id": envelope.key_id,
            "signature": envelope.signature,
            "payload": envelope.payload,
            "content_hash": judged.content_hash,
        }

    # --- answers ---

    def _answer(self, kit: str | None, judged: Accepted | Refused, received_at: datetime) -> Ack | None:
        if isinstance(judged, Refused):
            return self._refuse(kit, judged, received_at)
        envelope = judged.envelope
        if envelope.kind is Kind.HEALTH:
            return Ack(record_id=envelope.record_id, status=self._health.take(judged))
        if id(judged) in self._new:
            return Ack(record_id=envelope.record_id, status=AckStatus.STORED)
        known = self._hash_of.get(envelope.record_id)
        if known == judged.content_hash or envelope.record_id in self._removed or known == _unsigned_hash(envelope):
            return Ack(record_id=envelope.record_id, status=AckStatus.REPEATED)
        if known is not None:
            reason, alarm = "this record id is already in the book with other content", Alarm.SAME_ID
        else:
            reason, alarm = "this sequence of this outbox is already in the book under another id", Alarm.SAME_SEQUENCE
        return self._refuse(kit, refuse(envelope, reason, alarm), received_at)

    def _refuse(self, kit: str | None, refused: Refused, received_at: datetime) -> Ack | None:
        """Keep it aside, and tell the kit, unless the kit has not sent it: it may yet send this very record."""
        self._quarantine.add(kit, refused, received_at)
        if refused.record_id is None or refused.alarm is Alarm.FORGED:
            return None
        return Ack(record_id=refused.record_id, status=AckStatus.REJECTED, reason=refused.reason)


def _know(connection: Connection, batch: Sequence[Judged]) -> dict[str, KnownKit]:
    """Lock and know the kits of a batch."""
    new: dict[str, datetime] = {}
    for _, judged, received_at in batch:
        if isinstance(judged, Accepted):
            new.setdefault(judged.envelope.kit_id, received_at)
    alone = {j.envelope.kit_id for _, j, _ in batch if isinstance(j, Accepted) and concerns_others(j)}
    return know_kits(connection, sorted({kit for kit, _, _ in batch if kit is not None}), new, alone)


def _unsigned_hash(envelope: Envelope) -> bytes:
    """Give the hash that a record had before its kit signed: a kit signs what waits when it is updated."""
    return hashlib.sha256(envelope.model_copy(update={"key_id": None}).signed_bytes()).digest()


def _place(judged: Accepted) -> Place:
    return judged.envelope.outbox_id, judged.envelope.sequence


def _place_row(row: Row) -> Row:
    return {column.name: row[column.name] for column in RECORD_PLACES.columns}


def _by_place(row: Row) -> tuple[UUID, int]:
    return row["outbox_id"], row["sequence"]


def _first_of_each(judged: Iterable[Accepted]) -> list[Accepted]:
    """Give those before which no other asks for the same id or the same place."""
    ids: set[UUID] = set()
    places: set[Place] = set()
    first = []
    for j in judged:
        if j.envelope.record_id not in ids and _place(j) not in places:
            first.append(j)
        ids.add(j.envelope.record_id)
        places.add(_place(j))
    return first
