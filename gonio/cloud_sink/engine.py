"""Opening the book: from a URL to a database whose tables are those this software knows."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from sqlalchemy import URL, Connection, Engine, create_engine, event, inspect, make_url, text
from sqlalchemy.exc import ArgumentError, DatabaseError, OperationalError

from gonio.cloud_sink.schema import REVISION
from gonio.errors import GonioError, RetryableError, UsageError

BUSY_TIMEOUT_MS: Final = 10_000  # how long one writer waits for another: far above the longest transaction
_MIGRATIONS: Final = Path(__file__).parent / "migrations"
_BEGIN: Final = "gonio_begin"


class StoreUnavailableError(RetryableError):
    """The book cannot be reached or written just now (locked, disk full, I/O error); nothing was changed."""


class StoreError(GonioError):
    """The book refused a change that it should have taken, or is damaged; nothing was changed."""


def open_engine(url: str, *, create: bool) -> Engine:
    """Open a database and bring its tables up to date.

    Args:
        url: ``sqlite:///path/to/file``.
        create: whether a missing file is made.

    Raises:
        UsageError: the URL, the path or the file is of no use, with what to do about it.
    """
    path = _sqlite_path(_parse(url))
    if path.is_dir():
        raise UsageError(f"{path} is a folder where the store's file should be: name a file, or move the folder aside")
    if not path.exists():
        _create(path, create=create)
    elif not create and path.is_file() and path.stat().st_size == 0:
        raise UsageError(f"{path} is empty and no store: name another file")
    engine = create_engine(URL.create("sqlite", database=str(path)))
    event.listen(engine, "connect", _configure)
    event.listen(engine, "begin", _begin)
    try:
        _migrate(writer(engine))
    except OperationalError as error:
        engine.dispose()
        raise UsageError(_cannot_open(path, error)) from error
    except DatabaseError as error:
        engine.dispose()
        raise UsageError(
            f"{path} is not a gonio store or is damaged ({error.orig}): name another file or restore a backup"
        ) from error
    except GonioError:
        engine.dispose()
        raise
    return engine


def writer(engine: Engine) -> Engine:
    """Give the same engine for transactions that write: they take SQLite's write lock at their beginning.

    A transaction that reads first and takes the lock later can be refused halfway; this one waits at its start.
    """
    return engine.execution_options(**{_BEGIN: "BEGIN IMMEDIATE"})


@contextmanager
def store_errors() -> Iterator[None]:
    """Raise what the database raises as our own errors."""
    try:
        yield
    except OperationalError as error:
        raise StoreUnavailableError(f"the store cannot be used just now: {error.orig}") from error
    except DatabaseError as error:
        raise StoreError(f"the store refused: {error.orig}") from error


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise UsageError("the store's address cannot be read: write sqlite:///path/to/file") from error
    if parsed.get_backend_name() == "postgresql":
        raise UsageError("PostgreSQL is not supported yet: use sqlite:///path/to/file")
    if parsed.get_backend_name() != "sqlite":
        raise UsageError(f"a store cannot be {parsed.get_backend_name()}: write sqlite:///path/to/file")
    return parsed


def _sqlite_path(url: URL) -> Path:
    if not url.database or url.database == ":memory:" or url.query:
        raise UsageError("the store's address must name a file: write sqlite:///path/to/file")
    return Path(url.database).absolute()


def _create(path: Path, *, create: bool) -> None:
    if not create:
        raise UsageError(f"there is no store at {path}")
    if not path.parent.is_dir():
        raise UsageError(f"the folder {path.parent} does not exist: create it or name another file")
    try:
        path.touch(mode=0o600, exist_ok=True)  # patients' names: for the owner's eyes only, its WAL likewise
    except OSError as error:
        raise UsageError(f"the store {path} cannot be created: {error.strerror}") from error


def _cannot_open(path: Path, error: OperationalError) -> str:
    said = str(error.orig)
    if "locked" in said:
        return f"another program holds the store {path}: stop it, or try again when it is done"
    if "readonly" in said or "unable to open" in said:
        return f"the store {path} cannot be written: make the file and its folder writable for this user"
    if "disk is full" in said:
        return f"the disk that holds the store {path} is full: free some space on it"
    return f"the store {path} cannot be opened ({said}): check the disk and its permissions"


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


def _migrate(engine: Engine) -> None:
    with engine.connect() as reading:
        if _revision(reading) == REVISION:
            return
    from alembic import command, config, util  # noqa: PLC0415 - takes longer to load than all else, and is rarely needed

    settings = config.Config()
    settings.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    with engine.begin() as connection:
        if inspect(connection).get_table_names() and _revision(connection) is None:
            raise UsageError("the store's file is another program's database: name another file")
        settings.attributes["connection"] = connection
        try:
            command.upgrade(settings, REVISION)
        except util.CommandError as error:
            raise UsageError("the store was made by a newer gonio: update this one") from error


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    revision: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return revision
