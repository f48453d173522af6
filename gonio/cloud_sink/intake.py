"""Taking deliveries into the book, within a transaction that the caller holds: each record once, nothing in silence."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, Final, TypeVar

from sqlalchemy import Connection, insert, select, tuple_, update

from gonio.cloud_sink.derive import Binding, Derived, Row, Source, derive
from gonio.cloud_sink.judge import Accepted, Refused, refuse
from gonio.cloud_sink.model import QUARANTINE_BYTES
from gonio.cloud_sink.schema import (
    DERIVED,
    HOME_CLINIC,
    KIT_BINDINGS,
    KIT_HEALTH,
    KITS,
    PATIENTS,
    QUARANTINE,
    RECORDS,
)
from gonio.messages import Ack, AckStatus, Kind, new_record_id

#: Values in one IN list: well under the 32,766 variables of an SQLite statement.
_SLICE: Final = 500

Key = TypeVar("Key")
Found = TypeVar("Found")


class Intake:
    """One transaction's worth of intake.

    Looks up in a few statements all that a batch could clash with, then decides record by record in the order of
    arrival, then writes in a few statements.
    """

    def __init__(
        self, connection: Connection, batch: Sequence[tuple[str | None, Accepted | Refused, datetime]]
    ) -> None:
        """Look up what the batch touches.

        Args:
            connection: within a transaction that holds the right to write.
            batch: judged elements with the kit of their topic and the moment of their arrival.
        """
        self._connection = connection
        self._batch = batch
        numbered = [j.envelope for _, j, _ in batch if isinstance(j, Accepted) and j.envelope.kind is not Kind.HEALTH]
        self._by_id = dict(
            _in_slices(
                [e.record_id for e in numbered],
                lambda ids: connection.execute(
                    select(RECORDS.c.record_id, RECORDS.c.content_hash).where(RECORDS.c.record_id.in_(ids))
                ),
            )
        )
        self._taken: set[tuple[object, object]] = set(
            _in_slices(
                [(e.outbox_id, e.sequence) for e in numbered],
                lambda places: connection.execute(
                    select(RECORDS.c.outbox_id, RECORDS.c.sequence).where(
                        tuple_(RECORDS.c.outbox_id, RECORDS.c.sequence).in_(places)
                    )
                ),
            )
        )
        kits = sorted({kit for kit, _, _ in batch if kit is not None})
        self._clinic_of = dict(
            _in_slices(
                kits,
                lambda ids: connection.execute(select(KITS.c.kit_id, KITS.c.clinic_id).where(KITS.c.kit_id.in_(ids))),
            )
        )
        self._bindings = bindings_of(connection, kits)
        self._records: list[Row] = []
        self._new_kits: list[Row] = []
        self._derived = Derived()
        self._health: dict[str, Accepted] = {}
        self._refused: list[tuple[str | None, Refused, datetime]] = []

    def run(self) -> list[Ack | None]:
        """Decide and write; one answer for each element, None where no record id could be read to answer to."""
        answers = [self._decide(kit, judged, received_at) for kit, judged, received_at in self._batch]
        self._write(KITS, self._new_kits)
        self._write(RECORDS, self._records)
        for table in reversed(DERIVED):
            self._write(table, self._derived.rows[table])
        for kit, health in self._health.items():
            self._write_health(kit, health)
        self._write_quarantine()
        return answers

    def _write(self, table: Any, rows: list[Row]) -> None:  # noqa: ANN401 - any Table
        if rows:
            self._connection.execute(insert(table), rows)

    def _decide(self, kit: str | None, judged: Accepted | Refused, received_at: datetime) -> Ack | None:
        if isinstance(judged, Refused):
            return self._refuse(kit, judged, received_at)
        envelope = judged.envelope
        self._know_kit(envelope.kit_id, received_at)
        if envelope.kind is Kind.HEALTH:
            return Ack(record_id=envelope.record_id, status=self._take_health(judged))
        known = self._by_id.get(envelope.record_id)
        if known == judged.content_hash:
            return Ack(record_id=envelope.record_id, status=AckStatus.REPEATED)
        place = (envelope.outbox_id, envelope.sequence)
        if known is not None:
            reason = "this record id is already in the book with other content"
        elif place in self._taken:
            reason = "this sequence of this outbox is already in the book under another id"
        else:
            self._by_id[envelope.record_id] = judged.content_hash
            self._taken.add(place)
            self._take(judged)
            return Ack(record_id=envelope.record_id, status=AckStatus.STORED)
        return self._refuse(kit, refuse(envelope, reason), received_at)

    def _know_kit(self, kit_id: str, received_at: datetime) -> None:
        """Register a kit that the broker let in and nobody has entered: its records wait for a patient, unlost."""
        if kit_id not in self._clinic_of:
            self._clinic_of[kit_id] = HOME_CLINIC
            self._new_kits.append(
                {"kit_id": kit_id, "clinic_id": HOME_CLINIC, "label": "", "first_seen_at": received_at}
            )

    def _take(self, judged: Accepted) -> None:
        envelope = judged.envelope
        clinic_id = self._clinic_of[envelope.kit_id]
        self._records.append(
            {
                "record_id": envelope.record_id,
                "clinic_id": clinic_id,
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
        )
        source = Source(
            envelope.record_id,
            clinic_id,
            envelope.kit_id,
            envelope.kind.value,
            judged.captured_utc,
            judged.received_at,
            envelope.clock,
            judged.summary,
        )
        derive(source, self._bindings.get(envelope.kit_id, ()), self._derived)

    def _refuse(self, kit: str | None, refused: Refused, received_at: datetime) -> Ack | None:
        self._refused.append((kit, refused, received_at))
        if refused.record_id is None:
            return None
        return Ack(record_id=refused.record_id, status=AckStatus.REJECTED, reason=refused.reason)

    # --- health: the newest of each kit ---

    def _take_health(self, judged: Accepted) -> AckStatus:
        kit = judged.envelope.kit_id
        other = self._health.get(kit)
        if other is not None:
            newer = _is_newer(_health_row(judged), _health_row(other))
        else:
            stored = self._connection.execute(select(KIT_HEALTH).where(KIT_HEALTH.c.kit_id == kit)).mappings().first()
            newer = stored is None or _is_newer(_health_row(judged), dict(stored))
        if newer:
            self._health[kit] = judged
        return AckStatus.STORED if newer else AckStatus.REPEATED

    def _write_health(self, kit: str, judged: Accepted) -> None:
        row = {"kit_id": kit, "clinic_id": self._clinic_of[kit], **_health_row(judged)}
        if not self._connection.execute(update(KIT_HEALTH).where(KIT_HEALTH.c.kit_id == kit).values(row)).rowcount:
            self._connection.execute(insert(KIT_HEALTH).values(row))

    # --- quarantine: a repeated refusal is counted, not kept again ---

    def _write_quarantine(self) -> None:
        rows: dict[tuple[str, bytes], Row] = {}
        for kit, refused, received_at in self._refused:
            digest = hashlib.sha256(refused.content).digest()
            row = rows.setdefault((kit or "", digest), self._quarantine_row(kit, refused, received_at, digest))
            row["times"] += 1
            row["last_received_at"] = received_at
        places = tuple_(QUARANTINE.c.topic_kit, QUARANTINE.c.content_hash)
        present = dict(
            _in_slices(
                list(rows),
                lambda keys: (
                    ((kit, digest), quarantine_id)
                    for kit, digest, quarantine_id in self._connection.execute(
                        select(QUARANTINE.c.topic_kit, QUARANTINE.c.content_hash, QUARANTINE.c.quarantine_id).where(
                            places.in_(keys)
                        )
                    )
                ),
            )
        )
        for key, quarantine_id in present.items():
            row = rows.pop(key)
            self._connection.execute(
                update(QUARANTINE)
                .where(QUARANTINE.c.quarantine_id == quarantine_id)
                .values(times=QUARANTINE.c.times + row["times"], last_received_at=row["last_received_at"])
            )
        self._write(QUARANTINE, list(rows.values()))

    def _quarantine_row(self, kit: str | None, refused: Refused, received_at: datetime, digest: bytes) -> Row:
        return {
            "quarantine_id": new_record_id(),
            "clinic_id": self._clinic_of.get(kit, HOME_CLINIC) if kit else HOME_CLINIC,
            "topic_kit": kit or "",
            "record_id": refused.record_id,
            "outbox_id": refused.outbox_id,
            "sequence": refused.sequence,
            "reason": refused.reason,
            "content": refused.content[:QUARANTINE_BYTES],
            "content_bytes": len(refused.content),
            "content_hash": digest,
            "first_received_at": received_at,
            "last_received_at": received_at,
            "times": 0,
        }


def bindings_of(connection: Connection, kits: Sequence[str]) -> dict[str, list[Binding]]:
    """Give the bindings of some kits, each kit's in order of time."""
    found: dict[str, list[Binding]] = {}
    rows = _in_slices(
        kits,
        lambda ids: connection.execute(
            select(
                KIT_BINDINGS.c.kit_id,
                KIT_BINDINGS.c.patient_id,
                PATIENTS.c.time_zone,
                KIT_BINDINGS.c.bound_from,
                KIT_BINDINGS.c.bound_to,
            )
            .join(PATIENTS, PATIENTS.c.patient_id == KIT_BINDINGS.c.patient_id)
            .where(KIT_BINDINGS.c.kit_id.in_(ids))
            .order_by(KIT_BINDINGS.c.bound_from)
        ),
    )
    for kit_id, patient_id, time_zone, bound_from, bound_to in rows:
        found.setdefault(kit_id, []).append(Binding(patient_id, time_zone, bound_from, bound_to))
    return found


def _in_slices(keys: Sequence[Key], look_up: Callable[[Sequence[Key]], Iterable[Found]]) -> Iterator[Found]:
    for start in range(0, len(keys), _SLICE):
        yield from look_up(keys[start : start + _SLICE])


def _health_row(judged: Accepted) -> Row:
    envelope = judged.envelope
    synchronised = envelope.clock == "synchronised"
    return {
        "record_id": envelope.record_id,
        "as_of": min(judged.captured_utc, judged.received_at) if synchronised else judged.received_at,
        "received_at": judged.received_at,
        "boot_id": envelope.boot_id,
        "monotonic_ns": envelope.monotonic_ns,
        "captured_at": envelope.captured_at,
        "clock": envelope.clock,
        "payload": envelope.payload,
    }


def _is_newer(row: Row, other: dict[Any, Any]) -> bool:
    """Compare two health records of a kit: within one boot its monotonic clock knows, else the time of capture."""
    if row["boot_id"] == other["boot_id"]:
        return bool(row["monotonic_ns"] > other["monotonic_ns"])
    return bool((row["as_of"], row["record_id"]) > (other["as_of"], other["record_id"]))
