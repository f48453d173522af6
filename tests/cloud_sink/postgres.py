"""A PostgreSQL server of the test's own: a private cluster in a temporary folder, reached by a unix socket."""

import contextlib
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from gonio.cloud_sink.store import open_store


def find_postgres() -> Path | None:
    """Find the folder of the server's programs: in Debian they are not on the path."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    found = debian[-1] if debian else shutil.which("initdb")
    return Path(found).parent if found else None


def installed_postgres() -> Path:
    """Give the folder of the server's programs; without one skip the test, but not in CI."""
    found = find_postgres()
    if found is not None:
        return found
    reason = "postgresql is not installed (apt-get install postgresql)"
    if os.environ.get("GONIO_REQUIRE_PEERS") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


class PostgresCluster:
    """One server with databases that are copies of an empty book; it can be killed and started again."""

    def __init__(self, programs: Path, folder: Path, **settings: str) -> None:
        """Make a cluster.

        Args:
            programs: the folder of ``initdb`` and ``postgres``.
            folder: a new one, of a short path: a socket's name has 107 characters at most.
            settings: of the server, beside those that make it private.
        """
        self._programs = programs
        self.folder = folder
        self._settings = {"listen_addresses": "", "unix_socket_directories": str(folder)} | settings
        self._user: dict[str, Any] = {}
        if os.geteuid() == 0:  # the server refuses to run as root
            user = pwd.getpwnam("postgres" if _is_user("postgres") else "nobody")
            os.chown(folder, user.pw_uid, user.pw_gid)
            self._user = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        self._numbers = itertools.count(1)
        self._server: subprocess.Popen[bytes] | None = None
        self._run("initdb", "-D", str(folder / "data"), "-U", "gonio", "-A", "trust", "-E", "UTF8", "--no-sync")

    def url(self, database: str) -> str:
        """Give the address of a database."""
        return f"postgresql://gonio@/{database}?host={self.folder}"

    def start(self) -> None:
        """Start the server and wait until it can be asked."""
        options = [part for name, value in self._settings.items() for part in ("-c", f"{name}={value}")]
        with (self.folder / "log").open("ab") as log:
            self._server = subprocess.Popen(
                [self._programs / "postgres", "-D", self.folder / "data", *options],
                stdout=log,
                stderr=log,
                cwd=self.folder,
                **self._user,
            )
        while True:
            if self._server.poll() is not None:
                raise RuntimeError((self.folder / "log").read_text(encoding="utf-8"))
            with contextlib.suppress(psycopg.OperationalError), self.connect("postgres"):
                return

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End the server: SIGINT breaks all connections and closes cleanly, SIGQUIT does neither."""
        if self._server is not None:
            self._server.send_signal(how)
            self._server.wait()
            self._server = None

    def connect(self, database: str) -> "psycopg.Connection[Any]":
        """Open a connection of the test's own."""
        return psycopg.connect(host=str(self.folder), user="gonio", dbname=database, autocommit=True)

    def create(self, *, template: str | None = None) -> str:
        """Make a database, empty or a copy, and give its address."""
        name = f"book_{next(self._numbers)}"
        with self.connect("postgres") as connection:
            copied = f"TEMPLATE {template} STRATEGY FILE_COPY" if template else ""
            connection.execute(f"CREATE DATABASE {name} {copied}".encode())
        return self.url(name)

    def drop(self, url: str) -> None:
        """Remove a database, whoever still uses it."""
        name = url.partition("@/")[2].partition("?")[0]
        with self.connect("postgres") as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [self._programs / program, *arguments], check=True, capture_output=True, cwd=self.folder, **self._user
        )


@contextmanager
def running_cluster(programs: Path, **settings: str) -> Iterator[PostgresCluster]:
    """Run a server as long as the context lasts."""
    folder = Path(tempfile.mkdtemp(prefix="gonio-pg-"))
    try:
        cluster = PostgresCluster(programs, folder, **settings)
        cluster.start()
        try:
            yield cluster
        finally:
            cluster.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def make_template(cluster: PostgresCluster) -> str:
    """Make an empty book to be copied, and give its database's name: quicker than making one for each test."""
    url = cluster.create()
    open_store(url).close()
    return url.partition("@/")[2].partition("?")[0]


def _is_user(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True
