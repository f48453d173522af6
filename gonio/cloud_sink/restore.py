"""A backup becomes a book again, on either database: whole and held against its manifest, or not at all.

On SQLite the copy gets the book's name only when it is whole; on PostgreSQL all happens in one transaction. A process
that is killed leaves either no book or an empty database. A backup of an older software is brought up to date on the
way.
"""

import sqlite3
import tempfile
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import URL, Connection, func, select, text
from sqlalchemy.exc import DBAPIError

from gonio.cloud_sink.address import parse_address, shown
from gonio.cloud_sink.audit_log import Action, Entry, append
from gonio.cloud_sink.backup_cipher import decrypt, is_encrypted
from gonio.cloud_sink.backup_file import (
    Manifest,
    Progress,
    check_file,
    check_rows,
    compared,
    drop_manifest,
    open_read_only,
)
from gonio.cloud_sink.book_rows import (
    Digest,
    convert,
    digest,
    digests,
    from_sqlite,
    postgres_chunks,
    shape_of,
    sqlite_chunks,
    tables,
)
from gonio.cloud_sink.down import begin_again
from gonio.cloud_sink.engine import open_engine, store_errors, writer
from gonio.cloud_sink.part_file import part_file
from gonio.cloud_sink.postgres_book import lock_migrations
from gonio.cloud_sink.schema import CLINICS, HOME_CLINIC, REVISION
from gonio.errors import UsageError


def restore(source: Path, url: str, *, actor: str, progress: Progress, passphrase: bytes | None = None) -> Manifest:
    """Make a book from a backup.

    Args:
        source: the backup's file.
        url: the new book's address: a file that is not there, or an empty database.
        actor: who does it, for the audit log.
        progress: told how far it is.
        passphrase: of an encrypted backup; its plain copy is made in the folder for temporary files and removed.

    Returns:
        The backup's manifest.

    Raises:
        UsageError: the file or the target is of no use, a passphrase is missing.
        BackupDamagedError: the backup is not what was written, with the place.
        StoreUnavailableError: the database cannot be written just now; nothing was changed.
    """
    where = parse_address(url)
    if not source.is_file():
        raise UsageError(f"there is no backup at {source}")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gonio-restore-")))
        plain = _plain(source, folder, passphrase, progress)
        if isinstance(where, URL):
            manifest = check_file(plain, progress)
            up_to_date = plain
            if manifest.about.revision != REVISION:
                up_to_date = folder / "up-to-date"
                up_to_date.touch(mode=0o600)
                _copy_pages(plain, up_to_date, manifest, progress)
            _fill_database(up_to_date, where, url, manifest, actor, progress)
        else:
            with part_file(where, ".restoring") as part:
                manifest = check_file(plain, progress)
                _copy_pages(plain, part, manifest, progress)
                _finish_file(part, manifest, actor)
    return manifest


def _plain(source: Path, folder: Path, passphrase: bytes | None, progress: Progress) -> Path:
    try:
        sealed = is_encrypted(source)
    except OSError as error:
        raise UsageError(f"{source} cannot be read: {error.strerror}") from error
    if not sealed:
        return source
    if passphrase is None:
        raise UsageError(f"{source} is encrypted: give its passphrase with --passphrase-file")
    plain = folder / "backup"
    plain.touch(mode=0o600)
    total = source.stat().st_size
    with source.open("rb") as reading, plain.open("wb") as writing:
        decrypt(reading, writing, passphrase, lambda done: progress("decrypting", done, total))
    return plain


def _copy_pages(plain: Path, path: Path, manifest: Manifest, progress: Progress) -> None:
    """Copy a backup to a file, hold that against the manifest, and make it an up-to-date book."""
    with closing(sqlite3.connect(path)) as target:
        with closing(open_read_only(plain)) as backup:
            backup.backup(target)
        check_rows(target, manifest, path.name, progress)
        drop_manifest(target)
    open_engine(f"sqlite:///{path}", create=False).dispose()


def _finish_file(path: Path, manifest: Manifest, actor: str) -> None:
    engine = open_engine(f"sqlite:///{path}", create=False)
    try:
        with store_errors(), writer(engine).begin() as connection:
            _finish(connection, manifest, actor)
        with engine.connect() as connection:  # what a log still holds would stay under the old name
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        engine.dispose()


def _fill_database(path: Path, where: URL, url: str, manifest: Manifest, actor: str, progress: Progress) -> None:
    engine = open_engine(url, create=True)
    try:
        with store_errors(), writer(engine).begin() as connection, closing(open_read_only(path)) as backup:
            lock_migrations(connection)
            names = ", ".join(table.name for table in tables())
            connection.execute(text(f"LOCK TABLE {names} IN ACCESS EXCLUSIVE MODE"))
            _refuse_content(connection, where)
            connection.execute(CLINICS.delete())
            written = _copy_rows(backup, connection, progress)
            _set_counters(connection)
            for table in tables():
                found = digests(shape_of(table), postgres_chunks(connection, table))
                for part in compared(written[table.name], found, f"what {shown(where)} took"):
                    progress(f"checking {table.name}", part.first + part.rows - 1, manifest.rows(table.name))
            _finish(connection, manifest, actor)
        with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
            connection.execute(text("ANALYZE"))  # its planner knows nothing of rows that came at once
    finally:
        engine.dispose()


def _refuse_content(connection: Connection, where: URL) -> None:
    for table in tables():
        count = connection.execute(select(func.count()).select_from(table)).scalar_one()
        allowed = 1 if table is CLINICS else 0  # the clinic that every book has from its first migration
        if count > allowed:
            raise UsageError(f"{shown(where)} has a book in it, which is not overwritten: name an empty database")


def _copy_rows(backup: sqlite3.Connection, connection: Connection, progress: Progress) -> dict[str, list[Digest]]:
    written: dict[str, list[Digest]] = {}
    for table in tables():
        shape = shape_of(table)
        converters = [from_sqlite(column.type) for column in table.columns]
        parts = written[table.name] = []
        statement = f"COPY {shape.table} ({', '.join(shape.columns)}) FROM STDIN"
        cursor: Any = connection.connection.cursor()
        done = 0
        try:
            with closing(cursor), cursor.copy(statement) as copy:
                for rows in sqlite_chunks(backup, shape):
                    for row in convert(rows, converters):
                        copy.write_row(row)
                    parts.append(digest(table.name, done + 1, rows))
                    done += len(rows)
                    progress(f"writing {table.name}", done, 0)
        except psycopg.Error as error:  # SQLAlchemy does not see this call: give it the error that it would have raised
            raise DBAPIError.instance(
                statement, None, error, psycopg.Error, hide_parameters=True, dialect=connection.dialect
            ) from error
        if not done:
            parts.append(digest(table.name, 1, ()))
    return written


def _set_counters(connection: Connection) -> None:
    """Let columns that the database numbers go on where the backup stopped."""
    for table in tables():
        column = table.autoincrement_column
        if column is None:
            continue
        counter = connection.execute(select(func.pg_get_serial_sequence(table.name, column.name))).scalar_one()
        last = connection.execute(select(func.max(column))).scalar_one()
        if counter is not None and last is not None:
            connection.execute(select(func.setval(counter, last)))


def _finish(connection: Connection, manifest: Manifest, actor: str) -> None:
    """Note the restore, and number anew what is sent to kits: they have seen numbers that this copy does not know."""
    begin_again(connection)
    detail = {"backup": manifest.sha256, "made_at": manifest.about.made_at, "records": manifest.rows("records")}
    append(connection, [Entry(HOME_CLINIC, actor, Action.RESTORE, "store", "book", detail=detail)])
