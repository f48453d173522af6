"""Runs a piece of a kit in a process of its own and kills it, as ``kill -9`` does, at its Nth change of the disk.

A change is what the interpreter's audit events tell of: a file opened for writing, renamed, deleted, a folder made or
removed, and a statement that a database commits with. Run as ``python -m tests.gateway.killed N DATA_DIR WHAT [ARG]``.
"""

import asyncio
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gonio.gateway.clock import KitClock
from gonio.gateway.enrolment import enrol
from gonio.gateway.identity_folder import IdentityFolder
from gonio.gateway.keyfile import KeyFile
from gonio.gateway.orders import answer_wipe
from gonio.gateway.rotation import CredentialKeeper
from gonio.gateway.settings import KitSettings
from gonio.gateway.store import KitStore
from gonio.gateway.way import Way
from gonio.identity.claim import ClaimTicket

_CHANGES = frozenset({"os.rename", "os.remove", "os.rmdir", "os.mkdir", "shutil.rmtree", "os.link", "os.truncate"})
_WRITES = os.O_WRONLY | os.O_RDWR


def run_killed(at: int, data_dir: Path, what: str, *arguments: str) -> bool:
    """Run it; True where it was killed, False where it ended before its Nth change.

    Raises:
        RuntimeError: it failed.
    """
    command = [sys.executable, "-m", "tests.gateway.killed", str(at), str(data_dir), what, *arguments]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode not in {0, -signal.SIGKILL}:
        raise RuntimeError(done.stderr[-2000:])
    return done.returncode == -signal.SIGKILL


def _arm(at: int, data_dir: Path) -> None:
    below = str(data_dir.resolve())
    left = at

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal left
        opened = event == "open" and isinstance(arguments[2], int) and arguments[2] & _WRITES
        if (event in _CHANGES or opened) and str(arguments[0]).startswith(below):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def _enrol(data_dir: Path, line: str) -> None:
    enrol(data_dir, KeyFile(data_dir / "kit.key"), ClaimTicket.parse(line), say=lambda _: None)


async def rotate(data_dir: Path) -> None:
    """Change an enrolled kit's key and certificate."""

    settings = KitSettings(data_dir=data_dir)
    with KitStore.open(data_dir) as store:
        enrolment = IdentityFolder(data_dir).enrolment()
        if enrolment is None:
            raise SystemExit("not enrolled")
        way = Way(settings.broker_address())
        keeper = CredentialKeeper(store, enrolment, way, address=settings.broker_address, now=lambda: datetime.now(UTC))
        await keeper.rotate()


def _open(data_dir: Path) -> None:

    with KitStore.open(data_dir) as store:
        answer_wipe(store, KitClock().capture())


def main() -> None:
    """Do as the command line says."""
    at, data_dir, what, *rest = sys.argv[1:]
    directory = Path(data_dir)
    _arm(int(at), directory)
    if what == "enrol":
        _enrol(directory, *rest)
    elif what == "rotate":
        asyncio.run(rotate(directory))
    elif what == "open":
        _open(directory)
    else:
        raise SystemExit(what)


if __name__ == "__main__":
    main()
