"""All links of a kit: its adapters, who is looked for on them, and one keeper for each sensor."""

import asyncio
import contextlib
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from gonio.drivers.link_values import Patience
from gonio.drivers.scan import FoundSensor
from gonio.firmware_profiles import Profile
from gonio.gateway.links import words
from gonio.gateway.links.activities import Sighting
from gonio.gateway.links.adapter import Adapter
from gonio.gateway.links.choice import SLOTS
from gonio.gateway.links.keeper import SensorKeeper
from gonio.gateway.links.pauses import LinkTiming
from gonio.gateway.links.service import BluetoothService
from gonio.gateway.records import PairedSensor


@dataclass(frozen=True, slots=True)
class LinkOptions:
    """How links are kept.

    Attributes:
        timing: how patient the kit is with a sensor.
        patience: how patient one connection is; how often it tries is the keeper's, not the connection's.
        slots: connections that an adapter may carry.
        rng: of the pauses.
    """

    timing: LinkTiming = field(default_factory=LinkTiming)
    patience: Patience = field(default_factory=lambda: Patience(attempts=1))
    slots: int = SLOTS
    rng: random.Random = field(default_factory=random.Random)


class LinkHub:
    """The kit's links, from ``async with`` on; leaving it stops and disconnects every sensor."""

    def __init__(
        self,
        service: BluetoothService,
        profiles: Sequence[Profile],
        *,
        monotonic_ns: Callable[[], int],
        options: LinkOptions | None = None,
        tell: Callable[[str], None] = lambda _: None,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        """Prepare.

        Args:
            service: the computer's Bluetooth.
            profiles: of the families to listen for.
            monotonic_ns: the clock that stamps arrivals, ns.
            options: how links are kept.
            tell: is given a sentence for whatever a support person would want to know.
            on_change: called when the state of a link has changed.
        """
        self.options = options or LinkOptions()
        self.monotonic_ns = monotonic_ns
        self.tell = tell
        self.on_change = on_change
        self.service = service
        self._profiles = profiles
        self._adapters: dict[str, tuple[Adapter, asyncio.Task[object]]] = {}
        self._keepers: dict[str, SensorKeeper] = {}
        self._searching: dict[str, Callable[[Sighting], None]] = {}
        self._stack = contextlib.AsyncExitStack()
        self._tasks: asyncio.TaskGroup
        self._keeping: list[asyncio.Task[None]] = []
        self._was_usable = True
        self._revived_s: dict[str, float] = {}  # by adapter; nobody has more than a few

    async def __aenter__(self) -> Self:
        """Take the adapters that are there."""
        async with contextlib.AsyncExitStack() as stack:
            self._tasks = await stack.enter_async_context(asyncio.TaskGroup())
            stack.push_async_callback(self._end)
            await stack.enter_async_context(self.service.watched(self._on_service))
            self._stack = stack.pop_all()
        self._on_service()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop and disconnect every sensor."""
        if isinstance(error, asyncio.CancelledError):
            await self._stack.__aexit__(kind, error, traceback)
        else:  # an error of the body is the body's: a TaskGroup that saw it would wrap it
            await self._stack.aclose()

    async def _end(self) -> None:
        for keeper in self._keepers.values():
            keeper.release()
        if self._keeping:
            await asyncio.wait(self._keeping)
        for _, task in self._adapters.values():
            task.cancel()

    def keep(self, sensor: PairedSensor, profile: Profile) -> SensorKeeper:
        """Look for a sensor from now on and keep its link; once for each sensor.

        Raises:
            UsageError: its family gives no motion stream.
        """
        keeper = SensorKeeper(self, sensor, profile)
        self._keepers[sensor.address.upper()] = keeper
        self._keeping.append(self._tasks.create_task(keeper.run(), name=f"link-{sensor.segment}"))
        keeper.want()
        return keeper

    @property
    def keepers(self) -> Sequence[SensorKeeper]:
        """The sensors whose links are kept."""
        return tuple(self._keepers.values())

    @property
    def adapters(self) -> Sequence[Adapter]:
        """The adapters that can be used, or may be."""
        return tuple(adapter for adapter, _ in self._adapters.values())

    @property
    def trouble(self) -> str | None:
        """Why Bluetooth cannot be used; None while it can, or nobody knows yet."""
        if not self._adapters:
            return f"no Bluetooth adapter is there and switched on: {words.UNAVAILABLE}"
        troubles = [adapter.trouble for adapter in self.adapters]
        return next((one for one in troubles if one), None) if all(troubles) else None

    # --- who is looked for -------------------------------------------------------------------------------------------

    def look_for(self, address: str, heard: Callable[[Sighting], None]) -> None:
        """Listen for a sensor (its address in capitals) on every adapter, until ``found``; each sighting is told."""
        self._searching[address] = heard
        self._listen()

    def found(self, address: str) -> None:
        """Listen for it no more."""
        self._searching.pop(address, None)
        self._listen()

    def _listen(self) -> None:
        for adapter in self.adapters:
            adapter.listen(wanted=bool(self._searching))

    def _on_heard(self, adapter: Adapter, found: FoundSensor) -> None:
        heard = self._searching.get(found.address.upper())
        if heard is not None:
            heard(Sighting(adapter, found))

    # --- what Bluetooth can be used ----------------------------------------------------------------------------------

    def _on_service(self) -> None:
        """Follow the adapters that are there; a link whose adapter is gone is lost, though nobody tells."""
        ports = {port.name: port for port in self.service.adapters()}
        for name in [name for name in self._adapters if name not in ports]:
            gone, task = self._adapters.pop(name)
            task.cancel()
            for keeper in self._keepers.values():
                keeper.adapter_gone(gone)
        for name, port in ports.items():
            if name not in self._adapters:
                adapter = Adapter(
                    port,
                    self._profiles,
                    slots=self.options.slots,
                    timing=self.options.timing,
                    on_heard=self._on_heard,
                    on_change=self._on_usable,
                    on_deaf=self._on_deaf,
                )
                task = self._tasks.create_task(adapter.run(), name=f"adapter-{name}")
                self._adapters[name] = (adapter, task)
        self._listen()
        self._on_usable()

    def _on_deaf(self, adapter: Adapter) -> None:
        """Switch an adapter off and on that hears nobody at all, where no link would be lost by it, now and then."""
        name, now_s = adapter.port.name, asyncio.get_running_loop().time()
        if adapter.held or now_s - self._revived_s.get(name, -math.inf) < self.options.timing.revive_s:
            return
        self._revived_s[name] = now_s
        # A task of its own: the adapter's ends when the adapter is off.
        self._tasks.create_task(self._revive(adapter), name=f"revive-{name}")

    async def _revive(self, adapter: Adapter) -> None:
        if await self.service.revive(adapter.port):
            self.tell(f"the Bluetooth adapter {adapter.port.name} heard nobody at all: it was switched off and on")

    def _on_usable(self) -> None:
        usable = self.trouble is None
        if usable != self._was_usable:
            self._was_usable = usable
            self.tell(
                "the kit's Bluetooth is back" if usable else f"the kit's Bluetooth cannot be used: {self.trouble}"
            )
        for keeper in self._keepers.values():
            keeper.bluetooth(usable=usable, there=bool(self._adapters))
        self._listen()
