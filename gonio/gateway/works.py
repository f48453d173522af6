"""All that works on one database of a kit: made when it is opened, and made anew when the kit was wiped."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

from gonio.gateway.clock import KitClock
from gonio.gateway.commands import CommandDesk, CommandHook, CommandName
from gonio.gateway.housekeeping import Housekeeper
from gonio.gateway.identity_folder import IdentityFolder
from gonio.gateway.keeper import RecordKeeper
from gonio.gateway.links.board import StatusBoard
from gonio.gateway.moment import KnownMoment
from gonio.gateway.orders import Orders, answer_wipe
from gonio.gateway.rotation import CredentialKeeper
from gonio.gateway.session import recover
from gonio.gateway.settings import KitSettings
from gonio.gateway.spool import SpoolKeeper
from gonio.gateway.store import KitStore
from gonio.gateway.uplink import Uplink, UplinkHooks, UplinkTiming
from gonio.gateway.uplink_status import UplinkBoard
from gonio.gateway.way import Way
from gonio.messages import Envelope

log = logging.getLogger(__name__)

DRAIN_S: Final = 3600.0  # one stretch of waiting for the clinic
RETRY_S: Final = 5.0  # after the disk refused a record that a wipe waits for


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the kit gives to all that works for it.

    Attributes:
        settings: data directory, broker.
        clock: the kit's.
        timing: how patient the uplink is.
        commands: what of the clinic's commands the kit's owner carries out.
        health: makes a record of how the kit is.
        stop_session: ends a session that runs.
    """

    settings: KitSettings
    clock: KitClock
    timing: UplinkTiming | None
    commands: Mapping[CommandName, CommandHook]
    health: Callable[[], Awaitable[Envelope]]
    stop_session: Callable[[], None]


class Works:
    """A store and what works on it; made by :meth:`open`.

    Attributes:
        store: the kit's durable state.
        recovered: the sessions that had been cut off and were closed on opening.
        keeper: holds what the disk refuses.
        housekeeper: watches the disk.
        board: tells other processes how the links are.
        credentials: key and certificate; None for a kit that no clinic has.
        orders: carries out what changes the kit itself.
        desk: the clinic's commands.
        uplink: the way to the clinic.
    """

    def __init__(self, store: KitStore, around: Surroundings) -> None:
        """Take over an open store.

        Raises:
            UsageError: the broker's address or its files cannot be used.
        """
        settings, clock = around.settings, around.clock
        address = settings.broker_address()
        self.store = store
        self.recovered: Sequence[Envelope] = ()
        self.keeper = RecordKeeper(store)
        self.housekeeper = Housekeeper(store, clock, settings.keep_days)
        self.board = StatusBoard(settings.data_dir, now=clock.now)
        way = Way(address, KnownMoment(settings.data_dir), now=clock.now)
        enrolment = IdentityFolder(settings.data_dir).enrolment()
        self.credentials: CredentialKeeper | None = None
        if enrolment is not None:
            renewed = settings.broker_address
            self.credentials = CredentialKeeper(store, enrolment, way, address=renewed, now=clock.now)
        self.orders = Orders(store, self.credentials, drained=self._drained, stop_session=around.stop_session)
        self.desk = CommandDesk(store, clock, {**self.orders.hooks(), **around.commands})
        self.uplink = Uplink(
            store,
            way,
            store.kit_id,
            mqtt_version=settings.mqtt_version,
            timing=around.timing,
            health=around.health,
            hooks=UplinkHooks(
                capture=clock.capture,
                on_down=self.desk.called,
                on_change=UplinkBoard(settings.data_dir).changed,
            ),
        )
        self._spool = SpoolKeeper(store, settings.keys())
        self._tasks: list[asyncio.Task[object]] = []

    @classmethod
    async def open(cls, around: Surroundings) -> Self:
        """Open the kit's store, answer a wipe that was done, close what was cut off.

        Raises:
            UsageError: the data directory or the broker's address cannot be used.
            StoreWriteError: the disk is full or failing.
        """
        settings = around.settings
        store = await asyncio.to_thread(KitStore.open, settings.data_dir, settings.keys())
        try:
            await asyncio.to_thread(answer_wipe, store, around.clock.capture())
            works = cls(store, around)
            works.recovered = await asyncio.to_thread(recover, store)
            await works.housekeeper.look()
        except BaseException:
            store.close()
            raise
        return works

    def begin(self, group: asyncio.TaskGroup) -> None:
        """Start to work, in tasks of this group."""
        work: dict[str, Coroutine[Any, Any, object]] = {
            "kit-uplink": self.uplink.run(),
            "kit-keeper": self.keeper.run(),
            "kit-housekeeper": self.housekeeper.run(),
            "kit-commands": self.desk.run(),
            "kit-spool": self._spool.run(),
        }
        if self.credentials is not None:
            work["kit-credentials"] = self.credentials.run()
        self._tasks = [group.create_task(one, name=name) for name, one in work.items()]

    def stop(self) -> None:
        """Let the tasks end."""
        for task in self._tasks:
            task.cancel()

    async def end(self) -> None:
        """Stop, and close the store once nothing works on it any more."""
        self.stop()
        if self._tasks:
            await asyncio.wait(self._tasks)
        self.store.close()

    async def try_the_disk_once_more(self) -> None:
        """Commit what the disk has refused; what it refuses again is told."""
        await self.keeper.retry()
        if self.keeper.held:
            lost = "of %d sessions only what the journal holds is left: %s"
            log.error(lost, self.keeper.held, self.keeper.trouble)

    async def _drained(self) -> None:
        """Wait until the clinic has answered every record, those that the disk has refused so far among them."""
        while True:
            await self.keeper.retry()
            if await self.uplink.drain(DRAIN_S) and not self.keeper.held:
                return
            if self.keeper.held:
                await asyncio.sleep(RETRY_S)
