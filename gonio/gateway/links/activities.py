"""What a kit does with one sensor over Bluetooth, each doing ending in an event of the table."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NoReturn

from gonio.drivers.link import SensorInfo, SensorLink
from gonio.drivers.link_errors import SensorLostError
from gonio.drivers.scan import FoundSensor
from gonio.errors import PeerError
from gonio.firmware_profiles import Profile
from gonio.gateway.links.adapter import Adapter
from gonio.gateway.links.choice import Candidate, choose
from gonio.gateway.links.statistics import LinkStatistics
from gonio.gateway.links.table import Event

if TYPE_CHECKING:
    from gonio.gateway.links.hub import LinkHub

#: After a silence, s: when it was this program that stood still, what has come meanwhile is delivered only now.
_GRACE_S: Final = 0.2


@dataclass(frozen=True, slots=True)
class Sighting:
    """A sensor as one adapter heard it."""

    adapter: Adapter
    found: FoundSensor


class Activities:
    """The doings with one sensor; one at a time.

    Attributes:
        link: the connection, where there is one.
        adapter: through which it is, or was last, connected.
        info: what the sensor said of itself at the last connection; None before.
        rssi: its signal when it was last heard advertising, dBm; None before.
        statistics: what has come.
        full: no adapter that heard it had room.
        steady: it has streamed for so long that earlier failures mean nothing any more.
    """

    def __init__(
        self,
        hub: "LinkHub",
        address: str,
        profile: Profile,
        *,
        label: str,
        on_lost: Callable[[SensorLostError], None],
    ) -> None:
        """Prepare.

        Args:
            hub: for adapters and options.
            address: the sensor's, in capitals.
            profile: its family.
            label: its name and address, for errors.
            on_lost: told that the link broke.
        """
        self.link: SensorLink | None = None
        self.adapter: Adapter | None = None
        self.info: SensorInfo | None = None
        self.rssi: int | None = None
        self.statistics = LinkStatistics()
        self.full = False
        self.steady = False
        self._hub = hub
        self._address = address
        self._profile = profile
        self._label = label
        self._on_lost = on_lost
        self._timing = hub.options.timing
        self._sightings: dict[str, Sighting] = {}
        self._heard = asyncio.Event()
        self._failures_at: Counter[str] = Counter()

    def now_s(self) -> float:
        """Give the clock that stamps arrivals, s."""
        return self._hub.monotonic_ns() * 1e-9

    def heard(self, sighting: Sighting) -> None:
        """Take note that an adapter hears the sensor."""
        self._sightings[sighting.adapter.port.name] = sighting
        self.rssi = sighting.found.rssi
        self._heard.set()

    def adapter_gone(self, adapter: Adapter) -> SensorLostError | None:
        """Take note that an adapter is there no more; give the error where the sensor's link went with it."""
        self._sightings.pop(adapter.port.name, None)
        if self.adapter is not adapter or self.link is None:
            return None
        return SensorLostError(f"{self._label} is gone: the Bluetooth adapter {adapter.port.name} went away")

    def failed_here(self) -> None:
        """Take note that an attempt through the adapter failed: another one may do better."""
        if self.adapter is not None:
            self._failures_at[self.adapter.port.name] += 1

    async def search(self, patience_s: float) -> Event:
        """Listen for the sensor, and take a place on the best adapter that hears it.

        Args:
            patience_s: how long, s.
        """
        self._sightings.clear()
        self._heard.clear()
        self._hub.look_for(self._address, self.heard)
        try:
            async with asyncio.timeout(patience_s):
                await self._heard.wait()
            if len(self._hub.adapters) > 1:
                await asyncio.sleep(self._timing.settle_s)
        except TimeoutError:
            return Event.UNHEARD
        finally:
            self._hub.found(self._address)
        return self._take_adapter()

    def _take_adapter(self) -> Event:
        heard = self._sightings
        name = choose(
            {
                name: Candidate(one.found.rssi, len(one.adapter.held), one.adapter.slots, self._failures_at[name])
                for name, one in heard.items()
            }
        )
        self.full = name is None
        if name is None:
            return Event.FULL
        self.adapter = heard[name].adapter
        self.rssi = heard[name].found.rssi
        self.adapter.held.add(self._address)
        self.link = SensorLink(
            heard[name].found,
            self._profile,
            monotonic_ns=self._hub.monotonic_ns,
            client_backend=self.adapter.port.client_backend,
            patience=self._hub.options.patience,
            on_lost=self._on_lost,
        )
        return Event.HEARD

    def _linked(self) -> tuple[SensorLink, Adapter]:
        if self.link is None or self.adapter is None:
            raise RuntimeError(f"{self._label} has no link")
        return self.link, self.adapter

    async def connect(self) -> Event:
        """Make one connection attempt, when it is the adapter's turn."""
        link, adapter = self._linked()
        async with adapter.turn():
            await link.connect()
        return Event.CONNECTED

    async def prepare(self) -> Event:
        """Stop whatever the sensor did, read what it is, configure it."""
        link, _ = self._linked()
        await link.prepare()
        self.info = link.info
        self.statistics.connected(link.info.rate_hz, self.now_s())
        return Event.PREPARED

    async def start(self) -> Event:
        """Let it stream."""
        link, _ = self._linked()
        await link.start()
        return Event.STARTED

    async def quieten(self) -> None:
        """Let it stream no more."""
        link, _ = self._linked()
        await link.stop()
        self.statistics.halted()

    async def watch(self) -> Event:
        """Wait for silence, whether or not anybody takes the samples."""
        link, _ = self._linked()
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        if link.last_arrival_s is None:
            try:
                async with asyncio.timeout(self._timing.first_data_s):
                    await link.next_arrival()
            except TimeoutError:
                return Event.SILENT
        limit_s = self._timing.suspect_after_s(link.period_s)
        graced = False
        while True:
            last_s = link.last_arrival_s or began_s
            if last_s - began_s > self._timing.steady_s:
                self.steady = True
                self._failures_at.clear()
            left_s = last_s + limit_s - loop.time()
            if left_s > 0:
                graced = False
                await asyncio.sleep(left_s)
            elif graced:
                return Event.SILENT
            else:
                graced = True
                await asyncio.sleep(_GRACE_S)

    async def ask(self) -> Event:
        """Ask a silent sensor something; a link that stands may bring data again, for a while."""
        link, _ = self._linked()
        asking = asyncio.ensure_future(link.probe())
        coming = asyncio.ensure_future(link.next_arrival())
        try:
            async with asyncio.timeout(self._timing.silence_s):
                await asyncio.wait({asking, coming}, return_when=asyncio.FIRST_COMPLETED)
                if not coming.done():
                    asking.result()
                await coming
        except TimeoutError:
            return Event.SILENT
        finally:
            asking.cancel()
            coming.cancel()
            await asyncio.gather(asking, coming, return_exceptions=True)
        return Event.DATA

    async def close(self, give_up: str | None) -> None:
        """Close what connection there is, also one that is lost: or the next would be delivered everything twice.

        Args:
            give_up: why a link that stands is taken for lost, as the end of a sentence; None to say goodbye.
        """
        link, self.link = self.link, None
        self.steady = False
        if link is None:
            return
        if give_up is not None:
            link.give_up(give_up)
        with contextlib.suppress(PeerError):
            await link.close()
        self.statistics.disconnected(self.now_s())
        if self.adapter is not None:
            self.adapter.held.discard(self._address)


async def news_only() -> NoReturn:
    """Do nothing until news from outside end it."""
    await asyncio.Event().wait()
    raise AssertionError
