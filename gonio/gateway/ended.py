"""Outboxes that ended because the database was damaged: what they held, what was saved of it, what is known lost."""

import json
import sqlite3
import uuid
from collections.abc import Iterable
from typing import Final, TypeAlias

from gonio.messages import EndedOutbox

Range: TypeAlias = tuple[int, int]

_MAX_RANGES: Final = 64  # EndedOutbox.lost
_MAX_OUTBOXES: Final = 16  # HealthReport.ended


def ended_outboxes(db: sqlite3.Connection) -> tuple[EndedOutbox, ...]:
    """Give what the clinic is to be told, newest first."""
    rows = db.execute(
        "SELECT outbox_id, last_sequence, saved, lost FROM ended_outbox ORDER BY ended_at DESC, outbox_id LIMIT ?",
        (_MAX_OUTBOXES,),
    ).fetchall()
    return tuple(
        EndedOutbox(outbox_id=uuid.UUID(row[0]), last_sequence=row[1], saved=row[2], lost=_largest(json.loads(row[3])))
        for row in rows
    )


def account(db: sqlite3.Connection, head: tuple[str, int] | None, ended_at: str, file: str) -> tuple[int, int]:
    """Write down, in a salvaged database, what became of every outbox that it has traces of.

    Args:
        db: the new database with all that was saved, in a transaction.
        head: the outbox that took new records and its last number; None where that could not be read.
        ended_at: this moment, UTC.
        file: where the damaged database lies.

    Returns:
        How many records were saved, and how many are known to be lost.
    """
    outboxes = {
        row[0]
        for row in db.execute(
            "SELECT outbox_id FROM record UNION SELECT outbox_id FROM compacted "
            "UNION SELECT outbox_id FROM ended_outbox"
        )
    }
    if head is not None:
        outboxes.add(head[0])
    saved_all = lost_all = 0
    for outbox_id in sorted(outboxes):
        known = db.execute("SELECT last_sequence FROM ended_outbox WHERE outbox_id = ?", (outbox_id,)).fetchone()
        kept = [
            (row[0], row[0])
            for row in db.execute("SELECT sequence FROM record WHERE outbox_id = ? ORDER BY 1", (outbox_id,))
        ]
        settled = db.execute("SELECT first, last FROM compacted WHERE outbox_id = ?", (outbox_id,)).fetchall()
        last = max((end for _, end in [*kept, *settled]), default=0)
        last = max(last, known[0] if known else 0, head[1] if head is not None and head[0] == outbox_id else 0)
        lost = gaps([*kept, *settled], last)
        db.execute(
            "INSERT INTO ended_outbox VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (outbox_id) DO UPDATE SET "
            "last_sequence = excluded.last_sequence, saved = excluded.saved, lost = excluded.lost",
            (outbox_id, last, len(kept), json.dumps(lost), ended_at, file),
        )
        saved_all += len(kept)
        lost_all += sum(end - start + 1 for start, end in lost)
    return saved_all, lost_all


def gaps(there: Iterable[Range], last: int) -> list[Range]:
    """Give the ranges of 1 to ``last`` that none of these ranges covers."""
    missing, following = [], 1
    for first, end in sorted(there):
        if first > following:
            missing.append((following, first - 1))
        following = max(following, end + 1)
    if last >= following:
        missing.append((following, last))
    return missing


def _largest(ranges: list[list[int]]) -> tuple[Range, ...]:
    """Give no more than a report takes, the longest: the clinic finds every gap itself by ``last_sequence``."""
    longest = sorted(ranges, key=lambda one: one[0] - one[1])[:_MAX_RANGES]
    return tuple((first, last) for first, last in sorted(longest))
