"""The outbox's rows: records under the next number of a gapless sequence, and how each stands with the clinic.

Functions on an open database, for :class:`gonio.gateway.store.KitStore`, which calls them in a transaction.

A row's ``number`` is its place on this kit, whatever outbox it came from; its ``sequence`` is gapless within its
outbox. Records go to the clinic by priority first, then by number.
"""

import sqlite3
import uuid
from collections.abc import Collection, Iterable
from typing import Any, Final, TypeAlias

from gonio.gateway.kit_key import Signer
from gonio.gateway.records import Capture, Draft, OutboxCounts, OutboxHead, Priority, RejectedRecord
from gonio.identity.signatures import sign
from gonio.messages import Ack, AckStatus, Envelope, Kind

Row: TypeAlias = tuple[Any, ...]

_COLUMNS = (
    "record_id, kind, r.outbox_id, r.sequence, boot_id, monotonic_ns, captured_at, clock, schema_version, key_id, "
    "signature, payload"
)
_AT_ONCE: Final = 500  # records that are signed in one transaction


def insert(db: sqlite3.Connection, who: Signer, draft: Draft) -> Envelope:
    """Put a record into the outbox, signed.

    Raises:
        ValueError: the record would not be accepted on the wire (pydantic's ValidationError).
    """
    (outbox_id, sequence) = db.execute(
        "UPDATE outbox_head SET last_sequence = last_sequence + 1 RETURNING outbox_id, last_sequence"
    ).fetchone()
    envelope = Envelope(
        record_id=draft.record_id,
        kind=draft.kind,
        kit_id=who.kit_id,
        outbox_id=uuid.UUID(outbox_id),
        sequence=sequence,
        boot_id=draft.capture.boot_id,
        monotonic_ns=draft.capture.monotonic_ns,
        captured_at=draft.capture.captured_at,
        clock=draft.capture.clock,
        schema_version=draft.schema_version,
        payload=draft.payload,
    )
    envelope = sign(envelope, who.key)
    record_id, place = str(draft.record_id), (outbox_id, sequence, *capture_row(draft.capture))
    signed = (draft.schema_version, envelope.key_id, envelope.signature, draft.payload)
    db.execute(
        "INSERT INTO record (record_id, kind, outbox_id, sequence, boot_id, monotonic_ns, captured_at, clock, "
        "schema_version, key_id, signature, payload) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (record_id, draft.kind.value, *place, *signed),
    )
    db.execute(
        "INSERT INTO outbox (record_id, sequence, priority) VALUES (?, ?, ?)",
        (record_id, sequence, int(draft.priority)),
    )
    return envelope


def sign_unsigned(db: sqlite3.Connection, who: Signer) -> int:
    """Sign some records that a gonio made which did not sign yet; gives how many, 0 when none is left."""
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM record AS r WHERE signature IS NULL LIMIT {_AT_ONCE}"  # noqa: S608 - constants
    ).fetchall()
    signed = [sign(_envelope(who.kit_id, row), who.key) for row in rows]
    db.executemany(
        "UPDATE record SET key_id = ?, signature = ? WHERE record_id = ?",
        [(envelope.key_id, envelope.signature, str(envelope.record_id)) for envelope in signed],
    )
    return len(signed)


def stored(db: sqlite3.Connection, kit_id: str, record_id: uuid.UUID) -> Envelope | None:
    """Give a record by its id; None where there is none."""
    row = db.execute(
        f"SELECT {_COLUMNS} FROM record AS r WHERE record_id = ?",  # noqa: S608 - a constant
        (str(record_id),),
    ).fetchone()
    return _envelope(kit_id, row) if row else None


def pending(db: sqlite3.Connection, limit: int, most: Priority) -> list[int]:
    """Give the numbers of records that wait for the clinic's word; see ``KitStore.pending``."""
    rows = db.execute(
        "SELECT number FROM outbox WHERE state = 'pending' AND priority <= ? ORDER BY priority, number LIMIT ?",
        (int(most), limit),
    ).fetchall()
    return [row[0] for row in rows]


def numbered(db: sqlite3.Connection, kit_id: str, numbers: Collection[int]) -> list[tuple[int, Envelope]]:
    """Give records with their numbers, in the order asked; a number that nothing has is passed over."""
    marks = ",".join("?" * len(numbers))
    rows = db.execute(
        f"SELECT {_COLUMNS}, number FROM outbox AS o JOIN record AS r USING (record_id) "  # noqa: S608 - question marks
        f"WHERE number IN ({marks})",
        tuple(numbers),
    ).fetchall()
    found = {row[-1]: _envelope(kit_id, row) for row in rows}
    return [(number, found[number]) for number in numbers if number in found]


def newest(db: sqlite3.Connection, kit_id: str, limit: int) -> list[tuple[Envelope, str]]:
    """Give the newest records with their states; see ``KitStore.newest``."""
    rows = db.execute(
        f"SELECT {_COLUMNS}, state FROM outbox AS o JOIN record AS r USING (record_id) "  # noqa: S608 - a constant
        "ORDER BY number DESC LIMIT ?",
        (limit,),
    ).fetchall()
    return [(_envelope(kit_id, row), row[-1]) for row in rows]


def of_kinds(
    db: sqlite3.Connection, kit_id: str, kinds: Collection[Kind], after: int
) -> list[tuple[int, Envelope, str]]:
    """Give the records of some kinds behind a number, in their order, each with number and state."""
    marks = ",".join("?" * len(kinds))
    rows = db.execute(
        f"SELECT {_COLUMNS}, state, number FROM outbox AS o JOIN record AS r USING (record_id) "  # noqa: S608 - marks
        f"WHERE kind IN ({marks}) AND number > ? ORDER BY number",
        (*(kind.value for kind in kinds), after),
    ).fetchall()
    return [(row[-1], _envelope(kit_id, row), row[-2]) for row in rows]


def states(db: sqlite3.Connection, record_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, str]:
    """Give the state of records: pending, acknowledged or rejected; those that are not here are left out."""
    marks = ",".join("?" * len(record_ids))
    rows = db.execute(
        f"SELECT record_id, state FROM outbox WHERE record_id IN ({marks})",  # noqa: S608 - question marks
        [str(one) for one in record_ids],
    ).fetchall()
    return {uuid.UUID(row[0]): row[1] for row in rows}


def count_resends(db: sqlite3.Connection, numbers: Iterable[int]) -> None:
    """Note that records had to be sent once more."""
    db.executemany("UPDATE outbox SET resends = resends + 1 WHERE number = ?", [(n,) for n in numbers])


def settle(db: sqlite3.Connection, acks: Iterable[Ack]) -> list[int]:
    """Take the clinic's word on records; see ``KitStore.settle``."""
    settled = []
    for ack in acks:
        state = "rejected" if ack.status is AckStatus.REJECTED else "acknowledged"
        reason = (ack.reason or "no reason given") if state == "rejected" else None
        db.execute(
            "UPDATE outbox SET state = ?, reason = ? WHERE record_id = ? AND state <> 'acknowledged'",
            (state, reason, str(ack.record_id)),
        )
        row = db.execute("SELECT number FROM outbox WHERE record_id = ?", (str(ack.record_id),)).fetchone()
        if row is not None:
            settled.append(int(row[0]))
    return settled


def send_again(db: sqlite3.Connection, outbox_id: uuid.UUID, first: int, last: int) -> int:
    """Let records of an outbox that the clinic has answered wait for its word again; gives how many there are.

    Also refused ones: who asks for them may be able to take them by now, or never have refused them. They go after
    everything else: what is new is wanted sooner.
    """
    return db.execute(
        "UPDATE outbox SET state = 'pending', priority = ?, reason = NULL, seen_acknowledged = NULL "
        "WHERE state <> 'pending' AND record_id IN "
        "(SELECT record_id FROM record WHERE outbox_id = ? AND sequence BETWEEN ? AND ?)",
        (int(Priority.BULK), str(outbox_id), first, last),
    ).rowcount


def send_one_again(db: sqlite3.Connection, record_id: str) -> bool:
    """Let a record wait for the clinic's word again where it was acknowledged; False where there is no such record."""
    db.execute(
        "UPDATE outbox SET state = 'pending', seen_acknowledged = NULL WHERE state = 'acknowledged' AND record_id = ?",
        (record_id,),
    )
    return db.execute("SELECT 1 FROM outbox WHERE record_id = ?", (record_id,)).fetchone() is not None


def count_between(db: sqlite3.Connection, outbox_id: uuid.UUID, first: int, last: int) -> int:
    """Count the records of an outbox that are here, between two of its numbers, inclusive."""
    (found,) = db.execute(
        "SELECT count(*) FROM record WHERE outbox_id = ? AND sequence BETWEEN ? AND ?", (str(outbox_id), first, last)
    ).fetchone()
    return int(found)


def counts(db: sqlite3.Connection) -> OutboxCounts:
    """Count the records by state."""
    by_state = dict(db.execute("SELECT state, count(*) FROM outbox GROUP BY state").fetchall())
    return OutboxCounts(*(by_state.get(state, 0) for state in ("pending", "acknowledged", "rejected")))


def head(db: sqlite3.Connection) -> OutboxHead:
    """Tell how far the outbox has come."""
    outbox_id, last = db.execute("SELECT outbox_id, last_sequence FROM outbox_head").fetchone()
    (oldest,) = db.execute(
        "SELECT min(r.sequence) FROM outbox AS o JOIN record AS r USING (record_id) "
        "WHERE state = 'pending' AND outbox_id = ?",
        (outbox_id,),
    ).fetchone()
    return OutboxHead(uuid.UUID(outbox_id), int(last), oldest)


def rejected(db: sqlite3.Connection) -> list[RejectedRecord]:
    """Give the records that the clinic refused, oldest first, with its reasons."""
    rows = db.execute(
        "SELECT record_id, r.sequence, kind, captured_at, reason FROM outbox AS o JOIN record AS r "
        "USING (record_id) WHERE state = 'rejected' ORDER BY number"
    ).fetchall()
    return [RejectedRecord(uuid.UUID(row[0]), *row[1:]) for row in rows]


def capture_row(capture: Capture) -> tuple[str, int, str, str]:
    """Give a capture as its columns: boot_id, monotonic_ns, captured_at, clock."""
    return (str(capture.boot_id), capture.monotonic_ns, capture.captured_at, capture.clock)


def _envelope(kit_id: str, row: Row) -> Envelope:
    return Envelope(
        record_id=uuid.UUID(row[0]),
        kind=Kind(row[1]),
        kit_id=kit_id,
        outbox_id=uuid.UUID(row[2]),
        sequence=row[3],
        boot_id=uuid.UUID(row[4]),
        monotonic_ns=row[5],
        captured_at=row[6],
        clock=row[7],
        schema_version=row[8],
        key_id=row[9],
        signature=row[10],
        payload=row[11],
    )
