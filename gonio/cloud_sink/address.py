"""Where a book is: a file, or a database of a PostgreSQL server that may be spoken to safely.

A server on another computer is spoken to in TLS only, its certificate and name checked (``sslmode=verify-full``); on
this one (loopback or a unix socket) TLS is as the address says. Passwords may stand in the address, in ``PGPASSWORD``
or in ``~/.pgpass``; they are never shown again.
"""

from pathlib import Path
from typing import Final

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from gonio.errors import UsageError
from gonio.identity.broker import is_loopback

HELP: Final = "write sqlite:///path/to/file or postgresql://user@host/database"

#: What may stand after the question mark; ``host`` is the folder of a unix socket. Everything else (services, other
#: hosts, the server's options) could undo what is promised here.
_PARAMETERS: Final = frozenset({"host", "sslmode", "sslrootcert", "sslcert", "sslkey"})
_VERIFIED: Final = "verify-full"


def parse_address(url: str) -> Path | URL:
    """Read a book's address.

    Returns:
        The absolute path of an SQLite file, or the URL of a PostgreSQL database with the driver and the TLS mode in it.

    Raises:
        UsageError: it is no such address, or would send patients' data in plain text; no password is repeated.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:  # ValueError: a port that is no number
        raise UsageError(f"the store's address cannot be read: {HELP}") from error
    if parsed.drivername == "sqlite":
        return _file(parsed)
    if parsed.drivername in {"postgresql", "postgresql+psycopg"}:
        return _server(parsed)
    raise UsageError(f"a store cannot be {parsed.drivername}: {HELP}")


def shown(url: URL) -> str:
    """Name a server's database for people: without user, password and parameters."""
    host = url.query.get("host") or url.host
    return f"{url.database} on {host}" + (f":{url.port}" if url.port else "")


def _file(url: URL) -> Path:
    if not url.database or url.database == ":memory:" or url.query:
        raise UsageError("the store's address must name a file: write sqlite:///path/to/file")
    return Path(url.database).absolute()


def _server(url: URL) -> URL:
    if not url.database:
        raise UsageError("the store's address names no database: write postgresql://user@host/database")
    odd = sorted(set(url.query) - _PARAMETERS)
    if odd or not all(isinstance(value, str) for value in url.query.values()):
        raise UsageError(
            f"the store's address has parameters that are not taken ({', '.join(odd) or 'repeated ones'}): "
            f"these are, once each: {', '.join(sorted(_PARAMETERS))}"
        )
    folder = url.query.get("host")
    if bool(folder) == bool(url.host) or (folder and not str(folder).startswith("/")):
        raise UsageError(
            "the store's address must name one host: postgresql://user@host/database, "
            "or the folder of a unix socket: postgresql://user@/database?host=/run/postgresql"
        )
    if url.host and "," in url.host:
        raise UsageError("the store's address names several hosts: name one")
    if url.host and not is_loopback(url.host):
        mode = url.query.get("sslmode", _VERIFIED)
        if mode != _VERIFIED:
            raise UsageError(
                f"sslmode={mode} to {url.host} would not prove that patients' data goes to that server, and unread: "
                f"leave it out or write sslmode={_VERIFIED}, and name the authority with sslrootcert=FILE"
            )
        url = url.update_query_dict({"sslmode": _VERIFIED})
    return url.set(drivername="postgresql+psycopg")
