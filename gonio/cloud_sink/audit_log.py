"""The audit log of a clinic: who did what to what, when and why, in rows that nobody can change unseen.

Each row carries the SHA-256 of its own content and of the row before it, so that a row that was changed, removed, put
in or moved breaks the chain at its place; the clinic's head row keeps the last number and hash, so that a log cut at
its end is seen too. The database refuses to change and delete rows (triggers), but its owner can take triggers away:
the proof is the chain. Whoever owns the database could also write a whole new chain, head included: against that, keep
what ``gonio sink audit`` prints of the head elsewhere and hold the log against it later (``verify``'s ``anchors``).

The log has opaque ids, never a patient's name or content.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Connection, select, update

from gonio.cloud_sink.bulk import ON_CONFLICT_SKIP, insert_rows
from gonio.cloud_sink.schema_audit import AUDIT_HEADS, AUDIT_LOG

#: What the first row is chained to.
NOTHING: Final = bytes(32)
#: Faults told of one log; the rest is counted.
MAX_FAULTS: Final = 100
_DOMAIN: Final = "gonio-audit-row-v1"


class Action(StrEnum):
    """What can have been done."""

    PATIENT_ADDED = "patient-added"
    KIT_ADDED = "kit-added"
    KIT_BOUND = "kit-bound"
    KIT_UNBOUND = "kit-unbound"
    REDERIVED = "derived-tables-made-again"
    PROJECTION_REBUILT = "projection-rebuilt"
    BACKUP = "backup-made"
    RESTORE = "restored-from-backup"
    RETENTION = "deleted-by-retention"
    ALARM = "record-refused"  # the reason says which alarm, the detail which record
    CLAIM_MADE = "claim-code-made"
    CLAIM_REFUSED = "claim-refused"
    KIT_CLAIMED = "kit-claimed"
    KEY_RENEWED = "key-renewed"
    KEYS_REVOKED = "keys-revoked"
    CERTIFICATE_ENTERED = "certificate-entered"
    BOX_ENTERED = "box-entered"
    BOX_MOVED = "box-moved"
    BOX_SENSORS = "box-sensors-named"


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing to note.

    Attributes:
        clinic_id: whose log.
        actor: who did it: ``operator:LOGIN`` or ``system:PART``, at most 128 characters.
        action: what was done; ``Action``, or a word of a later part, at most 64 characters.
        subject_kind: what it was done to: ``patient``, ``kit``, ``record``, ``store``.
        subject_id: which one, an opaque id, at most 128 characters.
        reason: why, at most 500 characters.
        detail: more, as a JSON object; nothing of a patient's content.
    """

    clinic_id: UUID
    actor: str
    action: str
    subject_kind: str
    subject_id: str
    reason: str = ""
    detail: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        bounds = {"actor": 128, "action": 64, "subject_kind": 32, "subject_id": 128, "reason": 500}
        for name, most in bounds.items():
            if len(getattr(self, name)) > most:
                raise ValueError(f"the {name} of an audit entry has at most {most} characters")


@dataclass(frozen=True, slots=True)
class Head:
    """The end of a clinic's log: its last row's number (0: no row) and hash."""

    clinic_id: UUID
    number: int
    row_hash: bytes


@dataclass(frozen=True, slots=True)
class Fault:
    """Where a log was tampered with, and how it shows; ``number`` is the first row that does not fit."""

    clinic_id: UUID
    number: int
    what: str


@dataclass(frozen=True, slots=True)
class LogCheck:
    """The outcome of a verification: rows read, the heads as kept, the first MAX_FAULTS faults, and how many in all."""

    rows: int
    heads: tuple[Head, ...]
    faults: tuple[Fault, ...]
    fault_count: int

    @property
    def intact(self) -> bool:
        """Whether every row is the one that was written, in its place, and none lacks."""
        return self.fault_count == 0


def append(connection: Connection, entries: Sequence[Entry], *, at: datetime | None = None) -> None:
    """Add entries to their clinics' logs, as part of the caller's transaction.

    The last thing that a transaction does: it locks the log's head until the commit, and all who do so after their
    other locks cannot wait for each other in a circle.

    Args:
        connection: within a transaction that writes.
        entries: what to note, in this order.
        at: when, aware; now if not given.
    """
    moment = at or datetime.now(UTC)
    for clinic_id in sorted({entry.clinic_id for entry in entries}):
        head = _lock_head(connection, clinic_id)
        rows = []
        number, previous = head.number, head.row_hash
        for entry in entries:
            if entry.clinic_id != clinic_id:
                continue
            number += 1
            row = _row(entry, number, moment, previous)
            previous = row["row_hash"]
            rows.append(row)
        insert_rows(connection, AUDIT_LOG, rows)
        connection.execute(
            update(AUDIT_HEADS)
            .where(AUDIT_HEADS.c.clinic_id == clinic_id)
            .values({"number": number, "row_hash": previous})
        )


def verify(connection: Connection, anchors: Iterable[Head] = (), *, clinic_id: UUID | None = None) -> LogCheck:
    """Read all logs, or one clinic's, and hold every row against its hash, its neighbours and the heads.

    Args:
        connection: a transaction that reads.
        anchors: heads that were noted earlier, elsewhere: each must still be a row of its log.
        clinic_id: of this clinic's only.
    """
    heads = {head.clinic_id: head for head in _heads(connection) if clinic_id in {None, head.clinic_id}}
    expected = {(anchor.clinic_id, anchor.number): anchor.row_hash for anchor in anchors}
    faults = _Faults()
    ends: dict[UUID, tuple[int, bytes]] = {}
    count = 0
    for row in _rows(connection, clinic_id):
        count += 1
        clinic_id, number, row_hash = row["clinic_id"], row["number"], row["row_hash"]
        last, previous = ends.get(clinic_id, (0, NOTHING))
        if number != last + 1:
            faults.add(clinic_id, last + 1, f"rows {last + 1} to {number - 1} are missing")
        elif row["previous_hash"] != previous:
            faults.add(clinic_id, number, "it does not follow the row before it")
        if row_hash != _hash(row, row["previous_hash"]):
            faults.add(clinic_id, number, "its content is not what was written")
        if expected.pop((clinic_id, number), row_hash) != row_hash:
            faults.add(clinic_id, number, "it is not the row that was noted earlier")
        ends[clinic_id] = (number, row_hash)
    for clinic_id in sorted(ends.keys() | heads.keys()):
        _check_end(ends.get(clinic_id, (0, NOTHING)), heads.get(clinic_id), clinic_id, faults)
    for clinic_id, number in expected:
        if number:
            faults.add(clinic_id, number, "the row that was noted earlier is not there")
    return LogCheck(count, tuple(heads[key] for key in sorted(heads)), tuple(faults.told), faults.count)


def export(connection: Connection, clinic_id: UUID | None = None) -> Iterator[str]:
    """Give every row, or one clinic's, as a line of JSON: what is hashed, by its names, and both hashes in hex."""
    for row in _rows(connection, clinic_id):
        line = {
            **_hashed(row),
            "previous_hash": row["previous_hash"].hex(),
            "row_hash": row["row_hash"].hex(),
        }
        yield json.dumps(line, ensure_ascii=False)


class _Faults:
    """Faults in the order in which they were met, the first MAX_FAULTS of them kept."""

    def __init__(self) -> None:
        self.told: list[Fault] = []
        self.count = 0

    def add(self, clinic_id: UUID, number: int, what: str) -> None:
        self.count += 1
        if len(self.told) < MAX_FAULTS:
            self.told.append(Fault(clinic_id, number, what))


def _check_end(end: tuple[int, bytes], head: Head | None, clinic_id: UUID, faults: _Faults) -> None:
    number, row_hash = end
    if head is None:
        faults.add(clinic_id, number, "the log has rows and its head is missing")
    elif head.number > number:
        faults.add(clinic_id, number + 1, f"the log was cut: rows {number + 1} to {head.number} are missing at its end")
    elif head.number < number:
        faults.add(clinic_id, head.number + 1, "rows stand behind the log's head")
    elif head.row_hash != row_hash:
        faults.add(clinic_id, number, "the head names another last row")


def _lock_head(connection: Connection, clinic_id: UUID) -> Head:
    columns = AUDIT_HEADS.c
    query = select(columns.number, columns.row_hash).where(columns.clinic_id == clinic_id).with_for_update()
    found = connection.execute(query).first()
    if found is None:
        first = {"clinic_id": clinic_id, "number": 0, "row_hash": NOTHING}
        insert_rows(connection, AUDIT_HEADS, [first], ON_CONFLICT_SKIP)
        found = connection.execute(query).one()
    return Head(clinic_id, *found)


def _row(entry: Entry, number: int, at: datetime, previous: bytes) -> dict[str, Any]:
    row = {
        "clinic_id": entry.clinic_id,
        "number": number,
        "at": at,
        "actor": entry.actor,
        "action": str(entry.action),
        "subject_kind": entry.subject_kind,
        "subject_id": entry.subject_id,
        "reason": entry.reason,
        "detail": json.dumps(dict(entry.detail), sort_keys=True, separators=(",", ":"), ensure_ascii=False),
        "previous_hash": previous,
    }
    return row | {"row_hash": _hash(row, previous)}


def _hashed(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "clinic_id": str(row["clinic_id"]),
        "number": row["number"],
        "at": row["at"].astimezone(UTC).isoformat(timespec="microseconds"),
        **{name: row[name] for name in ("actor", "action", "subject_kind", "subject_id", "reason", "detail")},
    }


def _hash(row: Mapping[str, Any], previous: bytes) -> bytes:
    """Hash a row's content and the hash before it: a JSON list, so that no value can pass for a part of another."""
    content = json.dumps([_DOMAIN, *_hashed(row).values(), previous.hex()], separators=(",", ":"))
    return hashlib.sha256(content.encode()).digest()


def _heads(connection: Connection) -> list[Head]:
    return [Head(*row) for row in connection.execute(select(AUDIT_HEADS).order_by(AUDIT_HEADS.c.clinic_id))]


def _rows(connection: Connection, clinic_id: UUID | None = None) -> Iterator[dict[str, Any]]:
    query = select(AUDIT_LOG).order_by(AUDIT_LOG.c.clinic_id, AUDIT_LOG.c.number)
    if clinic_id is not None:
        query = query.where(AUDIT_LOG.c.clinic_id == clinic_id)
    for row in connection.execution_options(yield_per=1000).execute(query):
        yield row._asdict()
