"""Deleting what the clinic has had for long: which records may go, and what stays known of them.

Functions on an open database, for :class:`gonio.gateway.store.KitStore`, which calls them in a transaction.

Only acknowledged records are ever deleted, the oldest first, and never the last one of the outbox. Their numbers stay
in ``compacted``, so that a number without a record is never taken for a loss.

How long a record has been acknowledged is counted from the first time that a synchronised clock saw it so: a kit whose
clock stood in 1970, or jumped, deletes nothing because of it.
"""

import sqlite3
from collections import defaultdict
from collections.abc import Iterable
from typing import Any, Final

from gonio.gateway.records import DatabaseSize

BATCH: Final = 200  # records of one transaction: some hundred pages in the log, a few milliseconds

_INCREMENTAL: Final = 2  # PRAGMA auto_vacuum

_CANDIDATES: Final = (
    "SELECT number, o.record_id, r.outbox_id, r.sequence FROM outbox AS o JOIN record AS r USING (record_id) "
    "WHERE state = 'acknowledged' AND (r.outbox_id, r.sequence) NOT IN "
    "(SELECT outbox_id, last_sequence FROM outbox_head)"
)


def stamp(db: sqlite3.Connection, now_s: int) -> None:
    """Note of acknowledged records that they are so; a stamp from the future (the clock went back) begins anew.

    Args:
        db: the database.
        now_s: the moment by a synchronised clock, s since 1970.
    """
    db.execute(
        "UPDATE outbox SET seen_acknowledged = ? WHERE state = 'acknowledged' "
        "AND (seen_acknowledged IS NULL OR seen_acknowledged > ?)",
        (now_s, now_s),
    )


def drop_older(db: sqlite3.Connection, before_s: int) -> int:
    """Delete up to ``BATCH`` records that were acknowledged before a moment; gives how many."""
    return _drop(db, db.execute(f"{_CANDIDATES} AND seen_acknowledged < ? ORDER BY number LIMIT {BATCH}", (before_s,)))


def drop_oldest(db: sqlite3.Connection) -> int:
    """Delete the ``BATCH`` oldest acknowledged records, whatever their age; gives how many there were."""
    return _drop(db, db.execute(f"{_CANDIDATES} ORDER BY number LIMIT {BATCH}"))


def size(db: sqlite3.Connection, since: str) -> DatabaseSize:
    """Tell how large the database is; see ``KitStore.size``."""
    page_bytes, pages, free = (
        int(db.execute(f"PRAGMA {name}").fetchone()[0]) for name in ("page_size", "page_count", "freelist_count")
    )
    records, recent = db.execute(
        "SELECT count(*), count(*) FILTER (WHERE captured_at >= ?) FROM record", (since,)
    ).fetchone()
    return DatabaseSize(page_bytes, pages, free, records, recent)


def give_back_pages(db: sqlite3.Connection, *, rebuild: bool) -> None:
    """Give free pages back to the disk; not in a transaction. See ``KitStore.give_back_pages``."""
    (mode,) = db.execute("PRAGMA auto_vacuum").fetchone()
    if int(mode) != _INCREMENTAL:
        if not rebuild:
            return
        db.execute(f"PRAGMA auto_vacuum = {_INCREMENTAL}")
        db.execute("VACUUM")
    db.execute("PRAGMA incremental_vacuum").fetchall()
    db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()


def _drop(db: sqlite3.Connection, rows: Iterable[tuple[Any, ...]]) -> int:
    dropped = list(rows)
    db.executemany("DELETE FROM outbox WHERE number = ?", [(row[0],) for row in dropped])
    db.executemany("DELETE FROM record WHERE record_id = ?", [(row[1],) for row in dropped])
    by_outbox: defaultdict[str, list[int]] = defaultdict(list)
    for _, _, outbox_id, sequence in dropped:
        by_outbox[outbox_id].append(sequence)
    for outbox_id, sequences in by_outbox.items():
        _note(db, outbox_id, sequences)
    return len(dropped)


def _note(db: sqlite3.Connection, outbox_id: str, sequences: Iterable[int]) -> None:
    known = db.execute("SELECT first, last FROM compacted WHERE outbox_id = ?", (outbox_id,)).fetchall()
    ranges = merged([*known, *((n, n) for n in sequences)])
    db.execute("DELETE FROM compacted WHERE outbox_id = ?", (outbox_id,))
    db.executemany("INSERT INTO compacted VALUES (?, ?, ?)", [(outbox_id, first, last) for first, last in ranges])


def merged(ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Put ranges of whole numbers (first, last, inclusive) together: in order, apart, as few as can be."""
    found: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        if found and first <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(found[-1][1], last))
        else:
            found.append((first, last))
    return found
