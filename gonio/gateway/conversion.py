"""Encrypts, in place, a database that an older gonio left in the clear.

A kill at any moment leaves either the old database, whole, or the new one: the copy is complete and on the disk
before one rename puts it in place. What was in the clear is then deleted; on flash memory its blocks may be readable
with the right tools until the medium reuses them.
"""

import sqlite3
from pathlib import Path
from typing import Final

from gonio.durable import sync
from gonio.errors import UsageError
from gonio.gateway.cipher import connect, key_clause

_SUFFIX: Final = "-encrypting"


def encrypt_in_place(path: Path, key: bytes) -> None:
    """Put an encrypted copy in the place of a database in the clear. The caller holds the directory's lock.

    Raises:
        UsageError: another program reads the old one.
        sqlcipher3's DatabaseError: the old database is damaged, or the disk is full; the old one stays.
        OSError: the disk refuses; likewise.
    """
    new = path.with_name(path.name + _SUFFIX)
    _discard(new)
    old = connect(path, None)
    try:
        _empty_log(old, path)
        _copy(old, new, key)
    except BaseException:
        old.close()
        _discard(new)
        raise
    old.close()  # nothing is left in its log, and SQLite deletes it
    sync(new)
    new.replace(path)
    sync(path.parent)


def _empty_log(old: sqlite3.Connection, path: Path) -> None:
    """Bring the log's content into the file: the log would be read as part of what takes the file's place."""
    (busy, _, _) = old.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    if busy:
        raise UsageError(f"{path} is being read by another program: end that, then start the kit again")


def _copy(old: sqlite3.Connection, new: Path, key: bytes) -> None:
    new.touch(mode=0o600)
    (version,) = old.execute("PRAGMA user_version").fetchone()
    (application,) = old.execute("PRAGMA application_id").fetchone()
    old.execute(f"ATTACH DATABASE ? AS sealed KEY {key_clause(key)}", (str(new),))
    old.execute("PRAGMA sealed.auto_vacuum = INCREMENTAL")  # so that what is given up can be given back to the disk
    old.execute("SELECT sqlcipher_export('sealed')").fetchall()
    old.execute(f"PRAGMA sealed.user_version = {version}")
    old.execute(f"PRAGMA sealed.application_id = {application}")
    old.execute("DETACH DATABASE sealed")


def _discard(new: Path) -> None:
    for suffix in ("", "-journal", "-wal", "-shm"):
        new.with_name(new.name + suffix).unlink(missing_ok=True)
