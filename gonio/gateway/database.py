"""The kit's SQLite file: one process writes it, every commit is on the disk before it counts, every fault is told.

WAL with ``synchronous=FULL``: a commit that returned survives a power cut. File and log are encrypted, see
:mod:`gonio.gateway.cipher`. A lock file beside the database, held with ``flock`` for as long as the kit runs, keeps a
second kit out; readers (``gonio gateway status``) need no lock.
"""

import contextlib
import errno
import fcntl
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from gonio.errors import GonioError, RetryableError, UsageError
from gonio.gateway.cipher import DatabaseError, connect, is_plain
from gonio.gateway.conversion import encrypt_in_place
from gonio.gateway.keyfile import KeySource, key_check
from gonio.gateway.log_file import read_log
from gonio.gateway.nameplate import read_plate
from gonio.gateway.pages import opens
from gonio.gateway.salvage import is_damage, salvage, unbelieved
from gonio.gateway.swap import finish_swap
from gonio.gateway.tables import APPLICATION_ID, MIGRATIONS
from gonio.identity.keys import KeyFaultError

DATABASE_NAME: Final = "kit.sqlite3"
LOCK_NAME: Final = "kit.lock"


class StoreWriteError(RetryableError):
    """The disk did not take a commit (full, read-only, failing); nothing was written, and it can be tried again."""


class StoreFullError(StoreWriteError):
    """The disk is full: nothing was written, and it can be tried again when there is space."""


class StoreDamagedError(UsageError):
    """The database is damaged; the kit's next start sets it aside and saves what can be read."""


@contextlib.contextmanager
def faults_named(path: Path) -> Iterator[None]:
    """Turn SQLite's errors into ours: what happened, to which file, what to do."""
    try:
        yield
    except DatabaseError as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
            raise StoreDamagedError(
                f"{path} is damaged ({error}): start the kit again, it sets the file aside and saves what can be read"
            ) from error
        if code == sqlite3.SQLITE_FULL:
            raise StoreFullError(f"the disk that holds {path} is full: free some space on it") from error
        if code in {sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_BUSY}:
            raise StoreWriteError(f"{path} cannot be written ({error}): check the disk and its permissions") from error
        raise


_DISK: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO})


def refused(error: OSError, said: str) -> GonioError:
    """Give the error to raise for one of the operating system: a full or failing disk passes, a wrong place does not.

    Args:
        error: what the system said.
        said: what to tell, with what to do, where waiting cannot help.
    """
    if error.errno in _DISK:
        return StoreWriteError(f"{said.partition(':')[0]}: free some space on its disk, or check the disk")
    return UsageError(said)


class DirectoryLock:
    """Exclusive use of a data directory, from construction until ``release()`` or the end of the process."""

    def __init__(self, directory: Path) -> None:
        """Make the directory (mode 0700) where it is missing, and lock it.

        Raises:
            UsageError: it cannot be made or written, or another kit uses it.
            StoreWriteError: its disk is full or failing.
        """
        path = directory / LOCK_NAME
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            directory.chmod(0o700)
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise refused(
                error,
                f"the kit's data directory {directory} cannot be written ({error.strerror}): make it writable, or "
                f"name another with --data-dir or GONIO_KIT_DATA_DIR",
            ) from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._file)
            raise UsageError(
                f"another kit already runs on {directory}: stop it first, or name another directory with --data-dir"
            ) from error

    def release(self) -> None:
        """Let another process have the directory."""
        os.close(self._file)


def kit_runs(directory: Path) -> bool:
    """Tell whether a process has a data directory."""
    try:
        file = os.open(directory / LOCK_NAME, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(file)
    return False


def open_database(path: Path, keys: KeySource) -> tuple[sqlite3.Connection, bytes]:
    """Open the kit's database for writing; create, encrypt and migrate it as needed.

    The caller holds the directory's lock.

    Returns:
        The connection, and the key.

    Raises:
        UsageError: the file cannot be opened, is damaged, is another program's, or a newer gonio's.
        KeyFaultError: its key is missing or another; nothing was touched.
        StoreWriteError: the disk is full or failing.
    """
    try:
        finish_swap(path)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        path.chmod(0o600)
        key = _key_for(path, keys)
        with faults_named(path):
            try:
                connection = _open(path, key)
            except (DatabaseError, StoreDamagedError) as error:
                if not (is_damage(error) or isinstance(error, StoreDamagedError)):
                    raise
                salvage(path, key, MIGRATIONS, APPLICATION_ID)
                connection = _open(path, key)
    except OSError as error:
        raise refused(error, f"{path} cannot be written ({error.strerror}): check its permissions") from error
    return connection, key


def open_for_reading(path: Path, keys: KeySource) -> sqlite3.Connection:
    """Open the database of a kit that may be running, to look and not to touch.

    Raises:
        UsageError: there is none, or it is damaged or of another version.
        KeyFaultError: its key is missing or another.
    """
    if not path.exists():
        raise UsageError(f"there is no kit in {path.parent}: run 'gonio gateway run' first, or name its --data-dir")
    if is_plain(path):
        raise UsageError(f"{path} is of another version of gonio: start the kit once to bring it up to date")
    key = keys.read()
    if key is None:
        raise _no_key(path, keys)
    with faults_named(path):
        connection = connect(path, key, readonly=True)
        try:
            _require_current(connection, path)
        except BaseException:
            connection.close()
            raise
    return connection


def _key_for(path: Path, keys: KeySource) -> bytes:
    """Give a database's key; make it for one that is new or still in the clear. An encrypted one needs its own."""
    key = keys.read()
    if path.stat().st_size == 0 or is_plain(path):
        return _new_key(keys) if key is None else key
    if key is None:
        raise _no_key(path, keys)
    plate = read_plate(path.parent)
    if opens(path, key) or (plate is not None and plate.key_check == key_check(key)):
        return key
    raise KeyFaultError(
        f"the key in {keys.name} does not open {path}, or that is no kit's database: put back the key that the kit "
        f"had; where there is none, move the database aside, the kit then begins a new one"
    )


def _new_key(keys: KeySource) -> bytes:
    try:
        return keys.make()
    except OSError as error:
        said = f"the kit's key {keys.name} cannot be written ({error.strerror})"
        raise refused(error, f"{said}: make that place writable, or name another with GONIO_KIT_KEY_FILE") from error


def _no_key(path: Path, keys: KeySource) -> KeyFaultError:
    return KeyFaultError(
        f"the key of {path} is missing: put it back at {keys.name}, or name it with GONIO_KIT_KEY_FILE; where there "
        f"is none any more, move the database aside: nobody can read it, and the kit begins a new one"
    )


def _open(path: Path, key: bytes) -> sqlite3.Connection:
    if is_plain(path):
        _require_sound(path)
        encrypt_in_place(path, key)
    log = read_log(path.with_name(f"{path.name}-wal"))
    if log.damaged or (log.pages and path.stat().st_size == 0):  # beside an empty file SQLite deletes the log
        raise StoreDamagedError(f"the log of {path} is damaged, or the file that it belongs to")
    connection = connect(path, key)
    try:
        _prepare(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    connection.execute("PRAGMA foreign_keys = ON")
    version = _version(connection, path)
    if version == 0:
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        raise StoreDamagedError(f"{path} is damaged ({verdict})")
    for number, script in enumerate(MIGRATIONS[version:], start=version + 1):
        connection.executescript(
            f"BEGIN IMMEDIATE;{script};PRAGMA application_id = {APPLICATION_ID};PRAGMA user_version = {number};COMMIT;"
        )
    _require_whole(connection, path)


def _require_whole(connection: sqlite3.Connection, path: Path) -> None:
    """Check what pages that are sound by themselves may still get wrong: that no number can be given twice."""
    (given_twice,) = connection.execute(
        "SELECT EXISTS (SELECT 1 FROM record JOIN outbox_head USING (outbox_id) WHERE sequence > last_sequence)"
    ).fetchone()
    (nowhere,) = connection.execute(
        "SELECT (SELECT count(*) FROM record) <> (SELECT count(*) FROM record JOIN outbox USING (record_id))"
    ).fetchone()
    if given_twice or nowhere:
        raise StoreDamagedError(f"{path} is damaged: its outbox and its records do not agree")


def _require_sound(path: Path) -> None:
    """Refuse to encrypt what is another program's, or damaged; in the clear a changed byte has no other sign."""
    connection = connect(path, None)
    try:
        _version(connection, path)
        (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        unreadable = verdict if verdict != "ok" else unbelieved(path, connection)
        if unreadable:
            raise StoreDamagedError(f"{path} is damaged ({unreadable})")
    finally:
        connection.close()


def _require_current(connection: sqlite3.Connection, path: Path) -> None:
    if _version(connection, path) != len(MIGRATIONS):
        raise UsageError(f"{path} is of another version of gonio: start the kit once to bring it up to date")


def _version(connection: sqlite3.Connection, path: Path) -> int:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if application != APPLICATION_ID and (tables or version):
        raise UsageError(f"{path} is the database of another program: name another data directory")
    if version > len(MIGRATIONS):
        raise UsageError(f"{path} was written by a newer gonio (schema {version}): update gonio on this kit")
    return int(version)
