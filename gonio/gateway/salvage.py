"""Saves what can be read of a damaged database into a new one, which then takes its place.

Every row that stands on a readable page is kept if it says what a kit can have written: records under their ids,
outboxes and numbers, their state, the kit's name, pairing, calibrations, open sessions. A record whose state is lost
is sent again, the clinic takes it once. New records go into a new outbox, because nobody can say which numbers the
old one had given; what is known of the old one stays in ``ended_outbox`` for the clinic.
"""

import logging
import sqlite3
import uuid
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from gonio.errors import UsageError
from gonio.gateway.cipher import DatabaseError, IntegrityError, connect, is_plain
from gonio.gateway.ended import account
from gonio.gateway.finds import find_rows, schema_version
from gonio.gateway.layout import Found, layouts
from gonio.gateway.nameplate import read_plate
from gonio.gateway.pages import PageImage
from gonio.gateway.swap import aside_name, discard, new_file, prune, swap

log = logging.getLogger(__name__)

#: The clinic has these: that it does could be read, they themselves could not.
_SETTLED: Final = """
    INSERT OR IGNORE INTO compacted
    SELECT head.outbox_id, outbox.sequence, outbox.sequence FROM outbox, salvaged_head AS head
    WHERE outbox.state = 'acknowledged' AND outbox.record_id NOT IN (SELECT record_id FROM record) AND NOT EXISTS (
        SELECT 1 FROM compacted AS known
        WHERE known.outbox_id = head.outbox_id AND outbox.sequence BETWEEN known.first AND known.last)
"""
_SENT_AGAIN: Final = """
    INSERT INTO outbox (record_id, sequence) SELECT record_id, sequence FROM record
    WHERE record_id NOT IN (SELECT record_id FROM outbox) ORDER BY outbox_id, sequence
"""
_REPAIRS: Final = (
    _SETTLED,
    "DELETE FROM outbox WHERE record_id NOT IN (SELECT record_id FROM record)",
    _SENT_AGAIN,
    "DELETE FROM open_session WHERE record_id IN (SELECT record_id FROM record)",
    "DELETE FROM open_rep WHERE record_id NOT IN (SELECT record_id FROM open_session)",
    "DELETE FROM open_curve WHERE record_id NOT IN (SELECT record_id FROM open_session)",
)


def salvage(path: Path, key: bytes, migrations: Sequence[str], application_id: int) -> None:
    """Replace a damaged database by a new one with all that can be read of it; the damaged one is set aside.

    The caller holds the directory's lock.

    Args:
        path: the damaged database.
        key: its key, and the new one's.
        migrations: what makes the newest schema.
        application_id: tells a kit's database from another program's.

    Raises:
        UsageError: it lies in the clear and does not say that it is a kit's.
        sqlcipher3's DatabaseError, OSError: the disk is full or failing; nothing was moved.
    """
    aside = aside_name(path)
    new = new_file(path)
    try:
        with PageImage(path, None if is_plain(path) else key) as image:
            _require_ours(image, path, application_id)
            db = connect(new, key)
            try:
                saved, lost = _fill(db, image, migrations, path, aside)
                db.execute(f"PRAGMA application_id = {application_id}")
                db.execute("COMMIT")
            finally:
                db.close()
        swap(path, new, aside)
        prune(path)
    except BaseException:
        discard(new)
        raise
    log.warning(
        "the kit's database was damaged: %d records are saved, %d are known to be lost; the damaged one is kept as %s",
        saved,
        lost,
        aside,
    )


def _require_ours(image: PageImage, path: Path, application_id: int) -> None:
    """Leave another program's database alone; one that our key opens is ours."""
    first = image.read(1)
    if is_plain(path) and (first is None or int.from_bytes(first[68:72], "big") != application_id):
        raise UsageError(f"{path} is damaged, and nothing says that it is a kit's: name another data directory")


def _fill(
    db: sqlite3.Connection, image: PageImage, migrations: Sequence[str], path: Path, aside: str
) -> tuple[int, int]:
    """Fill the new database, and leave the transaction open.

    Returns:
        How many records were saved and how many are known to be lost.
    """
    known = schema_version(image)
    version = known if known is not None and 1 <= known <= len(migrations) else _best_version(image, migrations)
    db.execute("PRAGMA auto_vacuum = INCREMENTAL")
    db.execute("PRAGMA foreign_keys = OFF")
    db.execute("BEGIN IMMEDIATE")
    for statements in migrations[:version]:
        _run(db, statements)
    _insert(db, find_rows(image, layouts(db)))
    for statements in migrations[version:]:
        _run(db, statements)
    db.execute(f"PRAGMA user_version = {len(migrations)}")
    return _settle(db, path, aside)


def _best_version(image: PageImage, migrations: Sequence[str]) -> int:
    """Find the schema of a database whose first page is lost: the newest under which most can be read."""
    counts = {}
    for version in range(len(migrations), 0, -1):
        with sqlite3.connect(":memory:") as empty:
            for statements in migrations[:version]:
                empty.executescript(statements)
            counts[version] = sum(1 for _ in find_rows(image, layouts(empty)))
        empty.close()
    return max(counts, key=lambda version: (counts[version], version))


def _run(db: sqlite3.Connection, statements: str) -> None:
    """Execute the statements of a migration within the transaction that is open (``executescript`` would end it)."""
    statement = ""
    for line in statements.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            db.execute(statement)
            statement = ""
    if statement.strip():
        db.execute(statement)


def _insert(db: sqlite3.Connection, found: Iterable[tuple[str, Found]]) -> None:
    for table, values in found:
        names, marks = ", ".join(values), ", ".join("?" * len(values))
        try:
            db.execute(f"INSERT OR IGNORE INTO {table} ({names}) VALUES ({marks})", tuple(values.values()))  # noqa: S608 - names of our schema
        except IntegrityError:  # of another type than the table takes
            continue


def _settle(db: sqlite3.Connection, path: Path, aside: str) -> tuple[int, int]:
    """Make the saved rows fit one another, end the old outboxes and begin a new one."""
    head = db.execute("SELECT outbox_id, last_sequence FROM outbox_head").fetchone() or _newest(db)
    db.execute("CREATE TEMP TABLE salvaged_head (outbox_id TEXT)")
    if head is not None:
        db.execute("INSERT INTO salvaged_head VALUES (?)", (head[0],))
    for repair in _REPAIRS:
        db.execute(repair)
    plate = read_plate(path.parent)
    if plate is not None:
        db.execute("INSERT OR IGNORE INTO kit VALUES (1, ?)", (plate.kit_id,))
    answer = account(db, head, datetime.now(UTC).isoformat(timespec="seconds"), aside)
    db.execute("DELETE FROM outbox_head")
    db.execute("INSERT INTO outbox_head VALUES (1, ?, 0)", (str(uuid.uuid4()),))
    return answer


def _newest(db: sqlite3.Connection) -> tuple[str, int] | None:
    """Give the outbox that was in use as far as records tell, and the highest number known in it."""
    row = db.execute(
        "SELECT outbox_id, max(sequence) FROM record WHERE outbox_id NOT IN (SELECT outbox_id FROM ended_outbox) "
        "GROUP BY outbox_id ORDER BY max(record_id) DESC LIMIT 1"
    ).fetchone()
    return None if row is None else (str(row[0]), int(row[1]))


def unbelieved(path: Path, db: sqlite3.Connection) -> str | None:
    """Name a table of a database in the clear that holds a row which no kit can have written; None where none does.

    Raises:
        sqlcipher3's DatabaseError: it is damaged so that SQLite itself sees it.
    """
    known = layouts(db)
    with PageImage(path, None) as image:
        found = Counter(table for table, _ in find_rows(image, known))
    for table in known:
        (count,) = db.execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608 - a name of our schema
        if found[table] < count:
            return f"a row of {table} cannot be read"
    return None


def is_damage(error: BaseException) -> bool:
    """Tell whether an error of SQLite's says that the file is damaged."""
    code = getattr(error, "sqlite_errorcode", 0)
    unread = {sqlite3.SQLITE_IOERR_READ, sqlite3.SQLITE_IOERR_SHORT_READ}
    damaged = code & 0xFF in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB} or code in unread
    return isinstance(error, DatabaseError) and damaged
