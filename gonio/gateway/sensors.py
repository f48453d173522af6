"""The kit's two sensors: find them, choose which is where, keep their links while they are worn."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final

from gonio.drivers.link import FoundSensor, scan
from gonio.drivers.link_errors import BluetoothUnavailableError, SensorNotFoundError
from gonio.errors import GonioError
from gonio.firmware_profiles import get_profile, known_profiles
from gonio.gateway.events import Concern, Trouble
from gonio.gateway.groups import first_error
from gonio.gateway.links.hub import LinkHub, LinkOptions
from gonio.gateway.links.keeper import SensorKeeper
from gonio.gateway.links.service import BluetoothService
from gonio.gateway.links.stream import KeptStream
from gonio.gateway.links.table import State
from gonio.gateway.links.words import battery_words
from gonio.gateway.records import PairedSensor
from gonio.signal.consts import SEGMENTS, Segment

LISTEN_S: Final = 2.0  # one stretch of listening for sensors
START_S: Final = 30.0  # how long a connected sensor may take to stream
ATTEMPTS: Final = 4  # to connect a sensor before a session is given up that has not begun


class Sensors:
    """Finds and connects sensors.

    Attributes:
        batteries: last known charge by segment, 0 to 100.
    """

    def __init__(
        self,
        bluetooth: BluetoothService,
        *,
        scan_s: float,
        monotonic_ns: Callable[[], int],
        options: LinkOptions | None = None,
        tell: Callable[[str], None] = lambda _: None,
        on_change: Callable[[LinkHub | None], None] = lambda _: None,
    ) -> None:
        """Prepare.

        Args:
            bluetooth: the computer's.
            scan_s: how long to look where nothing else is said, s.
            monotonic_ns: the clock that stamps arrivals, ns.
            options: how links are kept.
            tell: is given a sentence for whatever a support person would want to know.
            on_change: given the links when one of them has changed, None when they are no more.
        """
        self.batteries: dict[Segment, int] = {}
        self._bluetooth = bluetooth
        self._scan_s = scan_s
        self._monotonic_ns = monotonic_ns
        self._options = options
        self._tell = tell
        self._on_change = on_change

    async def scan(self, timeout_s: float | None = None) -> list[FoundSensor]:
        """Look for sensors of every family that gonio knows.

        Raises:
            BluetoothUnavailableError: scanning is not possible.
        """
        return await self._listen(timeout_s or self._scan_s)

    async def _listen(self, timeout_s: float, want: int | None = None) -> list[FoundSensor]:
        ports = self._bluetooth.adapters()
        backend = ports[0].scanner_backend if ports else None
        return await scan(known_profiles(), timeout_s=timeout_s, scanner_backend=backend, want=want)

    def warnings(self) -> list[Trouble]:
        """Say which sensor's charge is low."""
        about: dict[Segment, Concern] = {"thigh": "thigh-battery", "shank": "shank-battery"}
        told = {segment: battery_words(charge) for segment, charge in self.batteries.items()}
        return [Trouble(f"the {segment} sensor {words}", about[segment]) for segment, words in told.items() if words]

    async def choose(self, wanted: Mapping[Segment, str], timeout_s: float | None) -> dict[Segment, FoundSensor]:
        """Find the sensor of each segment, given the address (in capitals) of one or both.

        Raises:
            SensorNotFoundError: not both were found, or more than one could be the other.
            BluetoothUnavailableError: scanning is not possible.
        """
        if len(wanted) == len(SEGMENTS):
            found = await self._hear(set(wanted.values()), timeout_s)
        else:  # to the end: a third sensor would make the choice of the other unsafe
            found = {one.address.upper(): one for one in await self.scan(timeout_s)}
        chosen = {segment: found.pop(address) for segment, address in wanted.items() if address in found}
        for segment in SEGMENTS:
            if segment in wanted and segment not in chosen:
                raise _not_heard(segment, wanted[segment])
            if segment not in chosen:
                chosen[segment] = _only_one(segment, list(found.values()))
        return chosen

    async def _hear(self, addresses: set[str], timeout_s: float | None) -> dict[str, FoundSensor]:
        """Listen until all of some addresses (in capitals) are heard, or the time is over."""
        loop = asyncio.get_running_loop()
        end_s = loop.time() + (timeout_s or self._scan_s)
        found: dict[str, FoundSensor] = {}
        while not addresses <= found.keys() and loop.time() < end_s:
            heard = await self._listen(
                min(LISTEN_S, end_s - loop.time()),
                None if found else len(addresses),  # strangers must not end the listening again and again
            )
            found |= {one.address.upper(): one for one in heard}
        return found

    @asynccontextmanager
    async def worn(
        self, pairing: Mapping[Segment, PairedSensor]
    ) -> AsyncIterator[tuple[Mapping[Segment, KeptStream], Callable[[Segment], Awaitable[KeptStream]]]]:
        """Keep the links to the paired sensors; begins when all are connected, and ends with all disconnected.

        Yields:
            A stream for each, and a function that gives the stream of one that was lost, once it is back.

        Raises:
            PeerError: one is not there, or refuses.
        """
        hub = LinkHub(
            self._bluetooth,
            known_profiles(),
            monotonic_ns=self._monotonic_ns,
            options=self._options,
            tell=self._tell,
            on_change=lambda: self._on_change(hub),
        )
        try:
            async with hub:
                keepers = {segment: hub.keep(one, get_profile(one.family)) for segment, one in pairing.items()}
                for keeper in keepers.values():
                    await self._connected(hub, keeper)

                async def again(segment: Segment) -> KeptStream:
                    stream = KeptStream(keepers[segment])
                    await stream.start()
                    return stream

                yield {segment: KeptStream(keeper, patience_s=START_S) for segment, keeper in keepers.items()}, again
        except* GonioError as group:
            raise first_error(group) from None
        finally:
            self._on_change(None)

    async def _connected(self, hub: LinkHub, keeper: SensorKeeper) -> None:
        """Wait until a sensor is connected; it is not looked for longer than for a scan, nor tried for ever."""

        def settled() -> bool:
            tried = keeper.failures >= ATTEMPTS or keeper.state is State.REFUSED
            return keeper.connected or tried or hub.trouble is not None

        heard = False
        try:
            async with asyncio.timeout(self._scan_s):
                await keeper.until(lambda: keeper.rssi is not None or settled())
                heard = True
        except TimeoutError:
            pass
        if not heard:
            raise _not_heard(keeper.sensor.segment, keeper.sensor.address)
        await keeper.until(settled)
        if keeper.connected:
            if keeper.info is not None and keeper.info.battery_percent is not None:
                self.batteries[keeper.sensor.segment] = keeper.info.battery_percent
            return
        raise keeper.error or BluetoothUnavailableError(hub.trouble or "Bluetooth cannot be used")


def _not_heard(segment: Segment, address: str) -> SensorNotFoundError:
    return SensorNotFoundError(f"the {segment} sensor {address} is not heard: see that it is on, charged and near")


def _only_one(segment: Segment, candidates: Sequence[FoundSensor]) -> FoundSensor:
    if not candidates:
        raise SensorNotFoundError(f"no second sensor for the {segment} is heard: see that both are on and charged")
    if len(candidates) > 1:
        addresses = ", ".join(one.address for one in candidates)
        raise SensorNotFoundError(f"several sensors could be the one on the {segment} ({addresses}): name its address")
    return candidates[0]
