"""Records that another process hands to the kit: what a command at the terminal says beside a kit that runs.

Only one process may write the kit's database. So a command puts its record into a file of its own, durably, and rings
a bell (a named pipe) that the running kit hears; where no kit runs, the command commits what lies there itself. A file
goes only after its record is committed, and a record is committed once by its id: whatever is killed, each one gets
into the outbox, once. The files are encrypted with the kit's key, as the database is.
"""

import asyncio
import contextlib
import hashlib
import logging
import os
import secrets
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, Literal, NoReturn

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pydantic import TypeAdapter

from gonio.durable import replace_file, sync
from gonio.errors import UsageError
from gonio.gateway.database import DATABASE_NAME, StoreWriteError, kit_runs
from gonio.gateway.keyfile import KeySource
from gonio.gateway.records import Draft
from gonio.gateway.store import KitStore
from gonio.messages import MAX_PAYLOAD_BYTES

log = logging.getLogger(__name__)

SPOOL_NAME: Final = "spool"
BELL_NAME: Final = "kit.bell"
LARGEST: Final = 4 * MAX_PAYLOAD_BYTES  # bytes of a file; a payload as JSON in JSON at most doubles
RETRY_S: Final = 5.0  # after the disk refused
PATIENCE_S: Final = 3.0  # with another command that has the kit for a moment
_NONCE: Final = 12
_DRAFT: Final[TypeAdapter[Draft]] = TypeAdapter(Draft)


class Spool:
    """The files of one kit."""

    def __init__(self, data_dir: Path, keys: KeySource) -> None:
        """Name them; nothing is read or made yet."""
        self._data_dir = data_dir
        self._folder = data_dir / SPOOL_NAME
        self._keys = keys

    def put(self, draft: Draft) -> None:
        """Keep a record durably until it is committed.

        Raises:
            KeyFaultError: the kit's key is missing or unreadable.
            StoreWriteError: the disk did not take it.
        """
        name = f"{draft.record_id}.draft"
        nonce = secrets.token_bytes(_NONCE)
        sealed = nonce + self._cipher().encrypt(nonce, _DRAFT.dump_json(draft), name.encode())
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            sync(self._data_dir)
            replace_file(self._folder / name, sealed)
        except OSError as error:
            raise StoreWriteError(f"{self._folder} cannot be written ({error.strerror}): check the disk") from error

    def commit_to(self, store: KitStore) -> int:
        """Commit every record that lies here, oldest first; gives how many. One that cannot be read is set aside.

        Raises:
            StoreWriteError: the disk did not take one; it stays, with those after it.
        """
        files = sorted(self._folder.glob("*.draft"))
        for file in files:
            try:
                store.commit(self._read(file))
            except (ValueError, InvalidTag) as error:  # ValueError: no draft, or none that the wire would take
                log.error("%s cannot be read and is set aside (%s)", file, type(error).__name__)  # noqa: TRY400
                file.replace(file.with_suffix(".unreadable"))
            else:
                file.unlink(missing_ok=True)
        return len(files)

    def _read(self, file: Path) -> Draft:
        with file.open("rb") as opened:
            sealed = opened.read(LARGEST + 1)
        if len(sealed) > LARGEST:
            raise ValueError("larger than any record")
        nonce, text = sealed[:_NONCE], sealed[_NONCE:]
        return _DRAFT.validate_json(self._cipher().decrypt(nonce, text, file.name.encode()))

    def _cipher(self) -> AESGCM:
        key = self._keys.read()
        if key is None:
            raise UsageError(f"the kit's key is missing: put it back at {self._keys.name}")
        return AESGCM(hashlib.sha256(b"gonio kit spool" + key).digest())


def submit(data_dir: Path, keys: KeySource, draft: Draft) -> Literal["committed", "handed over"]:
    """Bring a record into a kit's outbox from another process than the kit's.

    Returns:
        Whether it is in the outbox, or lies durably where the kit that runs takes it from (at the latest when it is
        started the next time).

    Raises:
        UsageError: there is no kit in the directory, or it cannot be used.
        StoreWriteError: the disk did not take it.
    """
    if not (data_dir / DATABASE_NAME).exists():
        raise UsageError(f"there is no kit in {data_dir}: run 'gonio gateway run' first, or name its --data-dir")
    spool = Spool(data_dir, keys)
    spool.put(draft)
    until_s = time.monotonic() + PATIENCE_S
    while True:
        if not kit_runs(data_dir):
            with contextlib.suppress(UsageError):  # another process was faster to have the kit
                with KitStore.open(data_dir, keys) as store:
                    spool.commit_to(store)
                return "committed"
        if _ring(data_dir) or time.monotonic() > until_s:
            return "handed over"
        time.sleep(0.05)  # a command, no kit, has it: that is over in a moment


def _ring(data_dir: Path) -> bool:
    """Tell a running kit that something lies there; False where none listens."""
    try:
        bell = os.open(data_dir / BELL_NAME, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        os.write(bell, b"\a")
    except BlockingIOError:  # it has been rung thousands of times and the kit is about to look
        pass
    finally:
        os.close(bell)
    return True


class SpoolKeeper:
    """Takes over what commands hand to a running kit; :meth:`run` is a task of its own."""

    def __init__(self, store: KitStore, keys: KeySource) -> None:
        """Prepare; the bell hangs while :meth:`run` runs."""
        self._store = store
        self._spool = Spool(store.path.parent, keys)
        self._due = asyncio.Event()

    async def run(self) -> NoReturn:
        """Commit what lies there, and what comes, for ever."""
        with _bell(self._store.path.parent / BELL_NAME, self._due.set):
            while True:
                self._due.clear()
                try:
                    await asyncio.to_thread(self._spool.commit_to, self._store)
                except (StoreWriteError, OSError) as error:
                    log.warning("what a command handed over waits for the disk: %s", error)
                    await asyncio.sleep(RETRY_S)
                else:
                    await self._due.wait()


@contextlib.contextmanager
def _bell(path: Path, ring: Callable[[], None]) -> Iterator[None]:
    """Call a function whenever another process rings; on a disk without named pipes nobody can."""
    try:
        path.unlink(missing_ok=True)
        os.mkfifo(path, 0o600)
        bell = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)  # for writing too: else it ends with the first
    except OSError as error:
        log.warning("commands beside this kit are heard at its next start only: %s (%s)", path.name, error.strerror)
        yield
        return

    def heard() -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(bell, 65_536)
        ring()

    loop = asyncio.get_running_loop()
    loop.add_reader(bell, heard)
    try:
        yield
    finally:
        loop.remove_reader(bell)
        os.close(bell)
        path.unlink(missing_ok=True)
