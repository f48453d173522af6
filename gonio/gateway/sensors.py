"""The kit's two sensors: find them, connect them, get a lost one back."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

from bleak.backends.client import BaseBleakClient
from bleak.backends.scanner import BaseBleakScanner

from gonio.drivers.link import FoundSensor, SensorLink, scan
from gonio.drivers.link_errors import SensorNotFoundError
from gonio.errors import RetryableError
from gonio.firmware_profiles import builtin_profiles, get_profile
from gonio.gateway.records import PairedSensor
from gonio.signal.consts import SEGMENTS, Segment

log = logging.getLogger(__name__)

LISTEN_S: Final = 2.0  # one stretch of listening for sensors
REGAIN_PAUSE_S: Final = 1.0  # between two attempts to get a lost sensor back


class Sensors:
    """Finds and connects sensors through one Bluetooth adapter.

    Attributes:
        batteries: last known charge by segment, 0 to 100.
    """

    def __init__(
        self,
        *,
        scan_s: float,
        monotonic_ns: Callable[[], int],
        scanner_backend: type[BaseBleakScanner] | None = None,
        client_backend: type[BaseBleakClient] | None = None,
    ) -> None:
        """Prepare.

        Args:
            scan_s: how long to look where nothing else is said, s.
            monotonic_ns: the clock that stamps arrivals, ns.
            scanner_backend: bleak's scanner, where it is not the system's.
            client_backend: bleak's client likewise.
        """
        self.batteries: dict[Segment, int] = {}
        self._scan_s = scan_s
        self._monotonic_ns = monotonic_ns
        self._scanner_backend = scanner_backend
        self._client_backend = client_backend

    async def scan(self, timeout_s: float | None = None) -> list[FoundSensor]:
        """Look for sensors of every family that gonio knows.

        Raises:
            BluetoothUnavailableError: scanning is not possible.
        """
        return await scan(
            builtin_profiles(), timeout_s=timeout_s or self._scan_s, scanner_backend=self._scanner_backend
        )

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
            heard = await scan(
                builtin_profiles(),
                timeout_s=min(LISTEN_S, end_s - loop.time()),
                scanner_backend=self._scanner_backend,
                want=None if found else len(addresses),  # strangers must not end the listening again and again
            )
            found |= {one.address.upper(): one for one in heard}
        return found

    async def _connect(self, sensor: PairedSensor, found: FoundSensor | None, stack: AsyncExitStack) -> SensorLink:
        if found is None:
            raise _not_heard(sensor.segment, sensor.address)
        link = SensorLink(
            found,
            get_profile(sensor.family),
            monotonic_ns=self._monotonic_ns,
            client_backend=self._client_backend,
        )
        await stack.enter_async_context(link)
        if link.info.battery_percent is not None:
            self.batteries[sensor.segment] = link.info.battery_percent
        return link

    async def regain(self, sensor: PairedSensor, stack: AsyncExitStack) -> SensorLink:
        """Try for ever to get a lost sensor to stream again; the session cancels it when it has waited enough."""
        await stack.aclose()
        while True:
            try:
                found = await self._hear({sensor.address.upper()}, None)
                link = await self._connect(sensor, found.get(sensor.address.upper()), stack)
                await link.start()
            except RetryableError as error:
                log.warning("%s sensor: %s", sensor.segment, error)
                await stack.aclose()
                await asyncio.sleep(REGAIN_PAUSE_S)
            else:
                return link

    @asynccontextmanager
    async def worn(
        self, pairing: Mapping[Segment, PairedSensor]
    ) -> AsyncIterator[tuple[dict[Segment, SensorLink], dict[Segment, AsyncExitStack]]]:
        """Connect the paired sensors; each has a stack of its own, so that one can be connected anew."""
        async with AsyncExitStack() as both:
            stacks = {segment: await both.enter_async_context(AsyncExitStack()) for segment in SEGMENTS}
            heard = await self._hear({sensor.address.upper() for sensor in pairing.values()}, None)
            links = {
                segment: await self._connect(pairing[segment], heard.get(pairing[segment].address.upper()), stack)
                for segment, stack in stacks.items()
            }
            yield links, stacks


def _not_heard(segment: Segment, address: str) -> SensorNotFoundError:
    return SensorNotFoundError(f"the {segment} sensor {address} is not heard: see that it is on, charged and near")


def _only_one(segment: Segment, candidates: Sequence[FoundSensor]) -> FoundSensor:
    if not candidates:
        raise SensorNotFoundError(f"no second sensor for the {segment} is heard: see that both are on and charged")
    if len(candidates) > 1:
        addresses = ", ".join(one.address for one in candidates)
        raise SensorNotFoundError(f"several sensors could be the one on the {segment} ({addresses}): name its address")
    return candidates[0]
