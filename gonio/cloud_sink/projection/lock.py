"""One projector at a time: two could write an older state of a record after a newer one.

On PostgreSQL an advisory lock that lives as long as its connection, on SQLite a lock on a file beside the book; both
are free at once when their process ends, however it ends.
"""

import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sqlalchemy import Engine, text

from gonio.cloud_sink.engine import store_errors
from gonio.errors import UsageError


@contextmanager
def only_projector(engine: Engine, name: str) -> Iterator[Callable[[], None]]:
    """Hold the lock; gives a check that it still is held.

    Raises:
        UsageError: another process projects under this name.
        StoreUnavailableError: the book cannot be asked, also by the check.
    """
    held = f"another process projects {name!r} out of this store already: one is enough, stop the other to take over"
    if engine.dialect.name == "postgresql":
        with store_errors(), engine.connect() as plain:
            connection = plain.execution_options(isolation_level="AUTOCOMMIT")
            if not connection.execute(text("SELECT pg_try_advisory_lock(:key)"), {"key": _key(name)}).scalar():
                raise UsageError(held)

            def check() -> None:
                with store_errors():
                    connection.execute(text("SELECT 1"))

            try:
                yield check
            finally:
                connection.invalidate()  # a connection back in the pool would keep the lock
        return
    descriptor = os.open(f"{engine.url.database}.{hashlib.sha256(name.encode()).hexdigest()[:8]}.lock", _FLAGS, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UsageError(held) from error
        yield lambda: None
    finally:
        os.close(descriptor)


_FLAGS = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC


def _key(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(f"gonio projection {name}".encode(), digest_size=8).digest(), signed=True)
