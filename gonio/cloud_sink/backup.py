"""A backup of the book while workers go on writing: one moment of it, in a file that says of itself what it holds.

The file is an SQLite book (``backup_file``), whichever database the book is in. From SQLite its pages are copied, from
PostgreSQL its rows, both within one transaction that sees one moment and holds up no writer. The manifest is made from
the book itself in that same transaction, the finished file is read back and held against it, and only then does the
file get its name.
"""

import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Engine, create_engine

from gonio import __version__
from gonio.cloud_sink import book_rows
from gonio.cloud_sink.audit import Audit, audit
from gonio.cloud_sink.audit_log import Action, Entry, LogCheck, append, verify
from gonio.cloud_sink.backup_cipher import encrypt
from gonio.cloud_sink.backup_file import About, Manifest, Progress, check_file, open_read_only, write_manifest
from gonio.cloud_sink.book_rows import Digest, RawRow, Shape, digest, postgres_chunks, shape_of, sqlite_chunks, tables
from gonio.cloud_sink.engine import open_engine, reader, store_errors, writer
from gonio.cloud_sink.part_file import part_file, refuse_taken
from gonio.cloud_sink.schema import HOME_CLINIC, REVISION

#: Pages copied between two words of progress: 8 MB.
_STEP_PAGES: Final = 2048


@dataclass(frozen=True, slots=True)
class Backup:
    """What was made.

    Attributes:
        path: the file.
        manifest: what it holds.
        size: in bytes.
        audit: what an audit of the backup itself says.
        log: whether the audit log in it is unchanged; a log that was changed in the book is so in its backup.
    """

    path: Path
    manifest: Manifest
    size: int
    audit: Audit
    log: LogCheck


def back_up(url: str, to: Path, *, actor: str, progress: Progress, passphrase: bytes | None = None) -> Backup:
    """Write a backup of a book.

    Args:
        url: the book's address.
        to: the file; nothing may be there. It holds patients' names: it is the owner's alone.
        actor: who does it, for the audit log, in which the backup is noted before the file gets its name.
        progress: told how far it is.
        passphrase: encrypts the file; the plain copy is made in the folder for temporary files and removed.

    Raises:
        UsageError: the book or the file's place is of no use.
        StoreUnavailableError: the book cannot be read just now.
        BackupDamagedError: what was written does not read back as it was.
    """
    refuse_taken(to)
    engine = open_engine(url, create=False)
    try:
        with part_file(to, ".part") as part, ExitStack() as stack:
            plain = part
            if passphrase is not None:
                plain = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gonio-backup-"))) / "book"
                plain.touch(mode=0o600)
            with store_errors():
                manifest = _copy(engine, plain, progress)
            check_file(plain, progress)
            found, log = _audit(plain)
            if passphrase is not None:
                _encrypt(plain, part, passphrase, progress)
            size = part.stat().st_size
            _note(engine, manifest, actor, encrypted=passphrase is not None)
    finally:
        engine.dispose()
    return Backup(to, manifest, size, found, log)


def _copy(engine: Engine, plain: Path, progress: Progress) -> Manifest:
    is_sqlite = engine.dialect.name == "sqlite"
    if not is_sqlite:
        open_engine(f"sqlite:///{plain}", create=True).dispose()
    with closing(sqlite3.connect(plain, isolation_level=None)) as target:
        with reader(engine).connect() as source, source.begin():
            found = (_copy_pages if is_sqlite else _copy_rows)(source, target, progress)
        made_at = datetime.now(UTC).isoformat(timespec="seconds")
        about = About(made_at, REVISION, __version__, engine.dialect.name, book_rows.CHUNK_ROWS)
        manifest = Manifest(about, tuple(map(shape_of, tables())), tuple(found))
        target.execute("PRAGMA journal_mode=DELETE")  # one file, with nothing beside it
        write_manifest(target, manifest)
    return manifest


def _copy_pages(source: Connection, target: sqlite3.Connection, progress: Progress) -> list[Digest]:
    driver: Any = source.connection.dbapi_connection
    source.exec_driver_sql(
        "SELECT count(*) FROM sqlite_schema"
    ).scalar_one()  # from here on this moment is what is read
    driver.backup(
        target, pages=_STEP_PAGES, progress=lambda _, left, pages: progress("copying pages", pages - left, pages)
    )
    return [
        part for table in tables() for part in _digests(sqlite_chunks(driver, shape_of(table)), table.name, progress)
    ]


def _copy_rows(source: Connection, target: sqlite3.Connection, progress: Progress) -> list[Digest]:
    target.execute("PRAGMA synchronous=OFF")  # synced as a whole before it gets its name
    target.execute("BEGIN")
    for table in reversed(tables()):
        target.execute(f"DELETE FROM {table.name}")  # noqa: S608 - what the migrations put in; the backup has its own
    found: list[Digest] = []
    for table in tables():
        found += _digests(postgres_chunks(source, table), table.name, progress, _insert(target, shape_of(table)))
    target.execute("COMMIT")
    return found


def _insert(target: sqlite3.Connection, shape: Shape) -> Callable[[list[RawRow]], object]:
    marks = ", ".join("?" * len(shape.columns))
    statement = f"INSERT INTO {shape.table} ({', '.join(shape.columns)}) VALUES ({marks})"  # noqa: S608 - names of the schema
    return lambda rows: target.executemany(statement, rows)


def _digests(
    chunks: Iterator[list[RawRow]],
    table: str,
    progress: Progress,
    also: Callable[[list[RawRow]], object] = lambda _rows: None,
) -> Iterator[Digest]:
    done = 0
    for rows in chunks:
        also(rows)
        yield digest(table, done + 1, rows)
        done += len(rows)
        progress(f"reading {table}", done, 0)
    if not done:
        yield digest(table, 1, ())


def _audit(plain: Path) -> tuple[Audit, LogCheck]:
    engine = create_engine("sqlite://", creator=lambda: open_read_only(plain), hide_parameters=True)
    try:
        with store_errors(), engine.connect() as connection:
            return audit(connection), verify(connection)
    finally:
        engine.dispose()


def _encrypt(plain: Path, part: Path, passphrase: bytes, progress: Progress) -> None:
    total = plain.stat().st_size
    with plain.open("rb") as reading, part.open("r+b") as writing:
        encrypt(reading, writing, passphrase, lambda done: progress("encrypting", done, total))


def _note(engine: Engine, manifest: Manifest, actor: str, *, encrypted: bool) -> None:
    detail = {"backup": manifest.sha256, "records": manifest.rows("records"), "encrypted": encrypted}
    with store_errors(), writer(engine).begin() as connection:
        append(connection, [Entry(HOME_CLINIC, actor, Action.BACKUP, "store", "book", detail=detail)])
