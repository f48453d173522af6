"""A book in a PostgreSQL database: several workers, on several computers, write to it at once.

Transactions that write run at READ COMMITTED: what two of them could do to each other is settled by the tables' keys
(a record is inserted once, whoever comes second finds it) and by a lock on the kit's row (`intake.lock_kits`). All
take their locks in one order, so that they cannot wait for each other in a circle.
"""

import logging
from typing import Any, Final

from sqlalchemy import URL, Connection, Engine, create_engine, event, text
from sqlalchemy.exc import DBAPIError

from gonio.cloud_sink.address import shown
from gonio.errors import UsageError

#: A dead server or network is noticed within this, however quietly it died.
CONNECT_TIMEOUT_S: Final = 10
SILENCE_TIMEOUT_MS: Final = 30_000
#: How long one writer waits for a lock of another: far above the longest transaction of intake.
LOCK_TIMEOUT: Final = "30s"
#: A worker that vanished in mid transaction holds its locks no longer than this.
IDLE_TIMEOUT: Final = "60s"
#: The lock under which tables are made; any number will do, and no other program's is likely to be it.
_MIGRATION_LOCK: Final = 0x676F6E696F  # "gonio"

_log = logging.getLogger(__name__)


def postgres_engine(url: URL) -> Engine:
    """Make the connections' pool of a database; nothing is connected yet."""
    engine = create_engine(
        url,
        hide_parameters=True,
        pool_pre_ping=True,  # a page asked for after the server was restarted is no error
        connect_args={
            "application_name": "gonio",
            "client_encoding": "utf8",
            "connect_timeout": CONNECT_TIMEOUT_S,
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            "tcp_user_timeout": SILENCE_TIMEOUT_MS,
        },
    )
    event.listen(engine, "connect", _configure)
    return engine


def postgres_reader(engine: Engine) -> Engine:
    """Give the same engine for transactions that read: each sees one moment of the book throughout, as on SQLite."""
    return engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)


def lock_migrations(connection: Connection) -> None:
    """Wait until no other process makes tables here, until the end of the transaction."""
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})


def check_server(connection: Connection, url: URL) -> None:
    """Refuse a database that cannot keep all text; warn of a server that may forget what it said is on disk.

    Raises:
        UsageError: the database's encoding is not UTF-8.
    """
    encoding, fsync = connection.execute(
        text("SELECT current_setting('server_encoding'), current_setting('fsync')")
    ).one()
    if encoding != "UTF8":
        raise UsageError(
            f"the database {shown(url)} is in {encoding}: make one with ENCODING 'UTF8' TEMPLATE template0"
        )
    if fsync != "on":
        _log.warning("%s runs with fsync=off: at a power cut it loses what it said is stored; turn it on", shown(url))


def why_no_postgres(url: URL, error: DBAPIError) -> str:
    """Say why a database cannot be opened as a book, and what to do."""
    said = str(error.orig).strip().splitlines()[0] if str(error.orig).strip() else "no answer"
    return f"the store {shown(url)} cannot be opened ({said}): check the address, the server, user and password"


def _configure(dbapi_connection: Any, _record: object) -> None:  # noqa: ANN401 - the driver's own connection
    with dbapi_connection.cursor() as cursor:
        cursor.execute(
            "SELECT set_config('TimeZone', 'UTC', false), set_config('lock_timeout', %s, false), "
            "set_config('idle_in_transaction_session_timeout', %s, false), "
            # the server's or the role's "off" would acknowledge what is not on disk; stricter settings stay
            "set_config('synchronous_commit', "
            "coalesce(nullif(current_setting('synchronous_commit'), 'off'), 'on'), false)",
            (LOCK_TIMEOUT, IDLE_TIMEOUT),
        )
    dbapi_connection.commit()
