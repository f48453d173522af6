"""A book in a file of its own: SQLite with a write-ahead log, each commit on disk."""

from pathlib import Path
from typing import Any, Final

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError, OperationalError

from gonio.errors import UsageError

BUSY_TIMEOUT_MS: Final = 10_000  # how long one writer waits for another: far above the longest transaction
_BEGIN: Final = "gonio_begin"


def sqlite_engine(path: Path, *, create: bool) -> Engine:
    """Open a file, or make an empty one.

    Raises:
        UsageError: there is none and none shall be made, or it cannot be one.
    """
    if path.is_dir():
        raise UsageError(f"{path} is a folder where the store's file should be: name a file, or move the folder aside")
    if not path.exists():
        _create(path, create=create)
    elif not create and path.is_file() and path.stat().st_size == 0:
        raise UsageError(f"{path} is empty and no store: name another file")
    engine = create_engine(URL.create("sqlite", database=str(path)), hide_parameters=True)
    event.listen(engine, "connect", _configure)
    event.listen(engine, "begin", _begin)
    return engine


def sqlite_writer(engine: Engine) -> Engine:
    """Give the same engine for transactions that write: they take SQLite's write lock at their beginning.

    A transaction that reads first and takes the lock later can be refused halfway; this one waits at its start.
    """
    return engine.execution_options(**{_BEGIN: "BEGIN IMMEDIATE"})


def why_no_sqlite(path: Path, error: DBAPIError) -> str:
    """Say why a file cannot be opened as a book, and what to do."""
    said = str(error.orig)
    if not isinstance(error, OperationalError):
        return f"{path} is not a gonio store or is damaged ({said}): name another file or restore a backup"
    if "locked" in said:
        return f"another program holds the store {path}: stop it, or try again when it is done"
    if "readonly" in said or "unable to open" in said:
        return f"the store {path} cannot be written: make the file and its folder writable for this user"
    if "disk is full" in said:
        return f"the disk that holds the store {path} is full: free some space on it"
    return f"the store {path} cannot be opened ({said}): check the disk and its permissions"


def _create(path: Path, *, create: bool) -> None:
    if not create:
        raise UsageError(f"there is no store at {path}")
    if not path.parent.is_dir():
        raise UsageError(f"the folder {path.parent} does not exist: create it or name another file")
    try:
        path.touch(mode=0o600, exist_ok=True)  # patients' names: for the owner's eyes only, its WAL likewise
    except OSError as error:
        raise UsageError(f"the store {path} cannot be created: {error.strerror}") from error


def _configure(dbapi_connection: Any, _record: object) -> None:  # noqa: ANN401 - the driver's own connection
    dbapi_connection.isolation_level = None  # SQLAlchemy begins transactions, see _begin, not the driver
    cursor = dbapi_connection.cursor()
    try:
        for pragma in (
            f"busy_timeout={BUSY_TIMEOUT_MS}",
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
        ):
            cursor.execute(f"PRAGMA {pragma}")
    finally:
        cursor.close()


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get(_BEGIN, "BEGIN"))
