"""One Bluetooth adapter: it does one thing at a time, listening or connecting, and carries so many connections."""

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator, Callable, Sequence
from typing import NoReturn

from gonio.drivers.link_errors import BluetoothUnavailableError
from gonio.drivers.scan import FoundSensor, listening
from gonio.firmware_profiles import Profile
from gonio.gateway.links.pauses import LinkTiming
from gonio.gateway.links.service import AdapterPort

#: Told of a sensor that an adapter hears.
OnHeard = Callable[["Adapter", FoundSensor], None]


class Adapter:
    """An adapter, shared by all sensors.

    Two connection attempts at once make BlueZ fail both, and some controllers cannot connect while they scan: so both
    need the adapter's turn, which one task has at a time, in the order in which they asked.

    Attributes:
        port: which it is.
        held: addresses of the sensors that are connected, or being connected, through it.
        trouble: why it cannot be used; None while it can.
        tried: whether anything has been tried with it.
    """

    def __init__(
        self,
        port: AdapterPort,
        profiles: Sequence[Profile],
        *,
        slots: int,
        timing: LinkTiming,
        on_heard: OnHeard,
        on_change: Callable[[], None],
        on_deaf: "Callable[[Adapter], None]",
    ) -> None:
        """Prepare.

        Args:
            port: which it is.
            profiles: families to listen for.
            slots: connections that it may carry.
            timing: how long to listen at a stretch, and to pause where that is not possible.
            on_heard: told of every advertisement.
            on_change: told when ``trouble`` begins or ends.
            on_deaf: told when it has heard nobody for long.
        """
        self.port = port
        self.slots = slots
        self.held: set[str] = set()
        self.trouble: str | None = None
        self.tried = False
        self._profiles = profiles
        self._timing = timing
        self._on_heard = on_heard
        self._on_change = on_change
        self._on_deaf = on_deaf
        self._deaf_s = 0.0  # of listening, since anybody was heard
        self._turn = asyncio.Lock()
        self._asking = 0  # tasks that have the turn for a connection, or wait for it
        self._asked_for = asyncio.Event()  # somebody waits for the turn, or nobody is looked for any more
        self._wanted = asyncio.Event()

    def listen(self, *, wanted: bool) -> None:
        """Listen from now on, or listen no more."""
        if wanted:
            self._wanted.set()
        else:
            self._wanted.clear()
            self._asked_for.set()

    @contextlib.asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Have the adapter for oneself; listening ends for it and goes on afterwards."""
        self._asking += 1
        self._asked_for.set()
        try:
            async with self._turn:
                yield
        finally:
            self._asking -= 1

    async def run(self) -> NoReturn:
        """Listen while somebody is looked for, and for the adapter to come back while it cannot be used."""
        failed = False
        while True:
            await self._wanted.wait()
            try:
                async with self._turn:
                    await self._listen()
                failed = False
            except BluetoothUnavailableError as error:
                if failed or not self.tried:  # once, where it has worked before, it may only have been busy
                    self._note(str(error))
                failed = True
                await asyncio.sleep(self._timing.unavailable_s)

    async def _listen(self) -> None:
        if self._asking or not self._wanted.is_set():  # the turn goes to whoever asked before
            return
        self._asked_for.clear()
        async with listening(
            self._profiles,
            self._on_found,
            scanner_backend=self.port.scanner_backend,
            adapter=self.port.bluez,
            others=True,
        ):
            self._note(None)
            loop = asyncio.get_running_loop()
            began_s, deaf_s = loop.time(), self._deaf_s
            self._deaf_s = math.inf  # until somebody is heard
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._timing.slice_s):
                    await self._asked_for.wait()
            if math.isinf(self._deaf_s):
                self._deaf_s = deaf_s + loop.time() - began_s
        if self._deaf_s >= self._timing.deaf_s:
            self._deaf_s = 0.0
            self._on_deaf(self)

    def _on_found(self, found: FoundSensor) -> None:
        self._deaf_s = 0.0
        if found.family:
            self._on_heard(self, found)

    def _note(self, trouble: str | None) -> None:
        changed = not self.tried or trouble != self.trouble
        self.tried, self.trouble = True, trouble
        if changed:
            self._on_change()
