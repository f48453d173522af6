"""Opening the book: from a URL to a database whose tables are those this software knows."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from sqlalchemy import URL, Connection, Engine, inspect, text
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from gonio.cloud_sink.address import parse_address, shown
from gonio.cloud_sink.postgres_book import (
    check_server,
    lock_migrations,
    postgres_engine,
    postgres_reader,
    why_no_postgres,
)
from gonio.cloud_sink.schema_all import REVISION
from gonio.cloud_sink.sqlite_book import sqlite_engine, sqlite_writer, why_no_sqlite
from gonio.errors import GonioError, RetryableError, UsageError

_MIGRATIONS: Final = Path(__file__).parent / "migrations"

#: PostgreSQL's own words for "try that again": serialization failure, deadlock.
_CLASHES: Final = frozenset({"40001", "40P01"})
#: Classes of its errors that pass without anybody changing the book or this software: connections, transactions
#: that a failover or a timeout ended, clashes, resources (full disk, too many connections), an operator, I/O.
_PASSING: Final = frozenset({"08", "25", "40", "53", "55", "57", "58"})


class StoreUnavailableError(RetryableError):
    """The book cannot be reached or written just now (locked, disk full, I/O error, server gone).

    Nothing was changed, but where the connection broke during the commit itself: then nobody can say, and the same
    call again is safe for whatever the book knows by an id.
    """


class StoreError(GonioError):
    """The book refused a change that it should have taken, or is damaged; nothing was changed."""


def open_engine(url: str, *, create: bool) -> Engine:
    """Open a database and bring its tables up to date.

    Args:
        url: ``sqlite:///path/to/file`` or ``postgresql://user[:password]@host[:port]/database``.
        create: whether a missing file, or the tables of an empty database, are made.

    Raises:
        UsageError: the address or what is there is of no use, with what to do about it.
    """
    where = parse_address(url)
    engine = postgres_engine(where) if isinstance(where, URL) else sqlite_engine(where, create=create)
    try:
        _migrate(engine, where, create=create)
    except DBAPIError as error:
        engine.dispose()
        why = why_no_postgres(where, error) if isinstance(where, URL) else why_no_sqlite(where, error)
        raise UsageError(why) from error
    except GonioError:
        engine.dispose()
        raise
    return engine


def writer(engine: Engine) -> Engine:
    """Give the same engine for transactions that write."""
    return sqlite_writer(engine) if engine.dialect.name == "sqlite" else engine


def reader(engine: Engine) -> Engine:
    """Give the same engine for transactions that read; each sees one moment of the book."""
    return engine if engine.dialect.name == "sqlite" else postgres_reader(engine)


@contextmanager
def store_errors() -> Iterator[None]:
    """Raise what the database raises as our own errors; their text has no content of the book."""
    try:
        yield
    except PoolTimeoutError as error:
        raise StoreUnavailableError("the store cannot be used just now: all its connections are busy") from error
    except DBAPIError as error:
        if passes(error):
            raise StoreUnavailableError(f"the store cannot be used just now: {_said(error)}") from error
        raise StoreError(f"the store refused: {_said(error)}") from error


def passes(error: DBAPIError) -> bool:
    """Tell whether the same may succeed later."""
    state = _state(error)
    if state is None:  # SQLite; or the connection is gone
        return error.connection_invalidated or isinstance(error, OperationalError | InterfaceError)
    return state[:2] in _PASSING


def clashed(error: DBAPIError) -> bool:
    """Tell whether two transactions met, so that the same should be tried again at once."""
    return _state(error) in _CLASHES


def _state(error: DBAPIError) -> str | None:
    state = getattr(error.orig, "sqlstate", None)
    return state if isinstance(state, str) else None


def _said(error: DBAPIError) -> str:
    """Give the database's own words without the detail, which may repeat a row."""
    diagnosis = getattr(error.orig, "diag", None)
    primary = getattr(diagnosis, "message_primary", None)
    return primary or " ".join(str(error.orig).split())


def _migrate(engine: Engine, where: Path | URL, *, create: bool) -> None:
    with engine.connect() as reading:
        if isinstance(where, URL):
            check_server(reading, where)
        if _revision(reading) == REVISION:
            return
    from alembic import command, config, util  # noqa: PLC0415 - takes longer to load than all else, and is rarely needed

    settings = config.Config()
    settings.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    with writer(engine).begin() as connection:
        if isinstance(where, URL):
            lock_migrations(connection)
        found = _revision(connection)
        if found is None:
            _refuse_what_is_no_store(connection, where, create=create)
        settings.attributes["connection"] = connection
        try:
            command.upgrade(settings, REVISION)
        except util.CommandError as error:
            raise UsageError("the store was made by a newer gonio: update this one") from error


def _refuse_what_is_no_store(connection: Connection, where: Path | URL, *, create: bool) -> None:
    if inspect(connection).get_table_names():
        if isinstance(where, URL):
            raise UsageError(f"{shown(where)} has tables of another program: make a database for gonio alone")
        raise UsageError("the store's file is another program's database: name another file")
    if isinstance(where, URL) and not create:
        raise UsageError(f"there is no store in {shown(where)}")


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    revision: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return revision
