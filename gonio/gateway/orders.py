"""What every kit can do of what its clinic asks: be wiped, change its key, take a list of sensors."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from gonio.errors import UsageError
from gonio.gateway.allowed_sensors import AllowedSensors, keep_allowed
from gonio.gateway.commands import Command, CommandHook, CommandName
from gonio.gateway.database import DirectoryLock, refused
from gonio.gateway.keyfile import KeySource
from gonio.gateway.records import Capture
from gonio.gateway.rotation import CredentialKeeper
from gonio.gateway.store import KitStore
from gonio.gateway.wiping import WipeMark, end, finish_erasing, read_mark
from gonio.messages import AllowSensors, DownEnvelope, DownKind, MessageError, Wipe, read_down

log = logging.getLogger(__name__)


class Orders:
    """Carries out a kit's commands that change the kit itself."""

    def __init__(
        self,
        store: KitStore,
        credentials: CredentialKeeper | None,
        *,
        drained: Callable[[], Awaitable[None]],
        stop_session: Callable[[], None],
    ) -> None:
        """Prepare.

        Args:
            store: the kit's.
            credentials: its key and certificate; None for a kit that no clinic has claimed.
            drained: waits until the clinic has answered every record.
            stop_session: ends a session that runs.
        """
        self._store = store
        self._data_dir = store.path.parent
        self._credentials = credentials
        self._drained = drained
        self._stop_session = stop_session
        self._mark = read_mark(self._data_dir)
        self._sessions = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._due = asyncio.Event()

    def hooks(self) -> Mapping[CommandName, CommandHook]:
        """Give what can be carried out."""
        return {
            "identify": self._identify,
            "wipe": self._wipe,
            "rotate-credentials": self._rotate,
            "sensors": self._sensors,
        }

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Use the sensors: a wipe waits until that is over.

        Raises:
            UsageError: the kit is being wiped.
        """
        if self._mark is not None:
            raise UsageError("this kit is being wiped, as its clinic asked: it takes no session until that is over")
        self._sessions += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._sessions -= 1
            if self._sessions == 0:
                self._idle.set()

    async def wiped(self) -> None:
        """Wait until the store is to be closed, because a wipe goes on with what it erases.

        Raises:
            StoreWriteError: the disk did not take it; the next start goes on.
        """
        if self._mark is not None and self._mark.stage == "leave":
            await self._drained()
            self._keep(self._mark.at("gone"))
        else:
            await self._due.wait()

    @property
    def gone(self) -> bool:
        """Whether nothing is to be begun anew, because the kit is decommissioned."""
        return self._mark is not None and self._mark.stage == "gone"

    async def _identify(self, _: Command) -> None:
        raise MessageError("this kit has no screen, lamp or sound in use to show which one it is")

    async def _wipe(self, command: Command) -> None:
        if not isinstance(command, Wipe):
            raise MessageError("this is no command to wipe")
        envelope = await asyncio.to_thread(_waiting, self._store, command)
        if command.at_once:
            self._stop_session()
            await self._idle.wait()
        else:
            await self._empty()
        self._keep(WipeMark(stage="erase", decommission=command.decommission, command=envelope))
        self._due.set()
        await _for_ever()  # the store is closed under this task: the answer comes from the next one

    async def _empty(self) -> None:
        """Wait until no session runs and the clinic has everything."""
        while True:
            await self._idle.wait()
            await self._drained()
            if self._idle.is_set():
                return

    async def _rotate(self, _: Command) -> None:
        if self._credentials is None:
            raise MessageError("this kit is not enrolled: it has no certificate to renew")
        await self._credentials.rotate()

    async def _sensors(self, command: Command) -> None:
        if not isinstance(command, AllowSensors):
            raise MessageError("this is no list of sensors")
        with _disk_of(self._data_dir):
            await asyncio.to_thread(keep_allowed, self._data_dir, command)
        allowed = AllowedSensors(command.thigh.upper(), command.shank.upper())
        if not allowed.fit(await asyncio.to_thread(self._store.pairing)):
            await asyncio.to_thread(self._store.pair, ())

    def _keep(self, mark: WipeMark) -> None:
        with _disk_of(self._data_dir):
            mark.keep(self._data_dir)
        self._mark = mark


def answer_wipe(store: KitStore, capture: Capture) -> None:
    """Tell the clinic, as the first record of the new outbox, that the wipe was done; without one it does nothing.

    Raises:
        StoreWriteError: the disk did not take it; the next start goes on.
    """
    data_dir = store.path.parent
    with _disk_of(data_dir):
        mark = read_mark(data_dir)
    if mark is None or mark.stage != "answer" or mark.command is None:
        return
    store.receive([mark.command], capture)
    try:
        store.answer(mark.command.record_id, "applied", capture)
    except KeyError:  # the clinic's key has changed: the clinic asks again, and is answered by another wipe
        log.error("the wipe was done, and cannot be answered")  # noqa: TRY400 - told in words
    with _disk_of(data_dir):
        if mark.decommission:
            mark.at("leave").keep(data_dir)
        else:
            end(data_dir)


def wipe_here(data_dir: Path, keys: KeySource, *, decommission: bool) -> None:
    """Wipe a kit that does not run, because a person at it wants so; nobody is told.

    Raises:
        UsageError: there is no kit, or it runs, or the directory cannot be written.
    """
    if not data_dir.is_dir():
        raise UsageError(f"there is no kit in {data_dir}: name its --data-dir")
    lock = DirectoryLock(data_dir)
    try:
        with _disk_of(data_dir):
            WipeMark(stage="gone" if decommission else "erase").keep(data_dir)
            finish_erasing(data_dir, keys)
    finally:
        lock.release()


def forget_all(data_dir: Path, keys: KeySource) -> None:
    """Erase all that a kit that is gone still has, its name, key and certificate among it.

    Raises:
        UsageError: the directory is in use.
        StoreWriteError: the disk refuses; the next start goes on.
    """
    lock = DirectoryLock(data_dir)
    try:
        with _disk_of(data_dir):
            finish_erasing(data_dir, keys)
    finally:
        lock.release()


@contextmanager
def _disk_of(data_dir: Path) -> Iterator[None]:
    """Say in words what the disk refuses."""
    try:
        yield
    except OSError as error:
        said = f"{data_dir} cannot be written ({error.strerror}): make it writable; the next start goes on"
        raise refused(error, said) from error


def _waiting(store: KitStore, command: Wipe) -> DownEnvelope:
    """Give the clinic's record of a command that waits to be carried out."""
    for one in store.clinic_records(DownKind.COMMAND):
        if one.state == "received" and read_down(one.envelope) == command:
            return one.envelope
    raise MessageError("no such command waits")


async def _for_ever() -> NoReturn:
    while True:
        await asyncio.Event().wait()
