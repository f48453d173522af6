"""Many virtual sensors whose samples are numbered, and a kit's links to them: what came, what did not, what came twice.

Every sample of a sensor carries its number in the acceleration, so that neither the sensors' clocks nor ours are
needed to tell what is missing. The air tells what was under way when a link was lost.
"""

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from gonio.drivers.codec import StreamEncoder
from gonio.drivers.link_errors import SensorLostError
from gonio.firmware_profiles import Profile, get_profile
from gonio.gateway.links.hub import LinkHub, LinkOptions
from gonio.gateway.links.keeper import SensorKeeper
from gonio.gateway.links.service import AdapterPort, FixedBluetooth
from gonio.gateway.links.stream import KeptStream
from gonio.gateway.records import PairedSensor
from gonio.signal.consts import SEGMENTS, FloatArray
from gonio.simulators.bleak_adapter import VirtualAdapter
from gonio.simulators.bleak_backend import backends
from gonio.simulators.peripheral import VirtualSensor, sensor_address, sensor_name
from gonio.simulators.radio import Radio
from gonio.simulators.world import World

#: Rate of all sensors, Hz.
RATE_HZ: Final = 100.0
#: Digits of a number, each as an acceleration on an axis of its own: so many steps of this size, m/s².
_DIGIT: Final = 250
_STEP: Final = 0.1
_NOTIFICATION: Final = b"\x04\x00\x1b"  # channel of the attribute protocol, handle value notification


def numbered(t_s: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Give samples (n, 3) m/s², rad/s whose acceleration tells their number; up to 43 hours of them."""
    k = np.rint(t_s * RATE_HZ).astype(np.int64)
    digits = np.stack((k % _DIGIT, k // _DIGIT % _DIGIT, k // _DIGIT**2), axis=1)
    acc: FloatArray = (digits - _DIGIT // 2).astype(np.float64) * _STEP
    return acc, np.zeros((len(t_s), 3))


def numbers(acc: FloatArray) -> npt.NDArray[np.int64]:
    """Read the numbers off accelerations (n, 3), m/s²."""
    digits = np.rint(acc / _STEP).astype(np.int64) + _DIGIT // 2
    return np.asarray(digits @ np.array([1, _DIGIT, _DIGIT**2]))


@dataclass(slots=True)
class Tally:
    """What came of one sensor.

    Attributes:
        came: how often each sample came, by its number.
        sent: samples that the sensor put on the air.
        died: samples that were in the air when the link was lost.
        away_s: real seconds from each loss to the first sample after it.
    """

    came: Counter[int] = field(default_factory=Counter)
    sent: int = 0
    died: int = 0
    away_s: list[float] = field(default_factory=list)

    @property
    def doubled(self) -> int:
        """Samples that came more than once."""
        return sum(count - 1 for count in self.came.values())


class Crowd:
    """Sensors, air, and the kit's links.

    Attributes:
        world: the clock; the motion begins when all stream.
        radio: the air.
        adapters: what hears them.
        bluetooth: the computer's Bluetooth, as the kit sees it.
        sensors: the virtual sensors, by address.
        profiles: their families, likewise.
        tallies: what came of each.
        sentences: what the kit told.
    """

    def __init__(self, families: Sequence[str], *, speed: float, duration_s: float, adapters: int, seed: int) -> None:
        """Prepare; ``crowd`` puts them on the air."""
        self.world = World(speed)
        self.radio = Radio(seed=seed)
        self.adapters: list[VirtualAdapter] = []
        self.bluetooth = FixedBluetooth(())
        self.sensors: dict[str, VirtualSensor] = {}
        self.profiles: dict[str, Profile] = {}
        self.tallies: dict[str, Tally] = {}
        self.sentences: list[str] = []
        self._encoders: dict[str, StreamEncoder] = {}
        self._lost_at_s: dict[str, float] = {}
        self._adapter_count = adapters
        for number, family in enumerate(families, 1):
            profile = get_profile(family)
            address = sensor_address(family, number)
            self.sensors[address] = VirtualSensor(
                self.radio,
                profile,
                numbered,
                self.world,
                duration_s=duration_s,
                name=sensor_name(family, number),
                address=address,
            )
            self.profiles[address] = profile
            self.tallies[address] = Tally()
            self._encoders[address] = StreamEncoder(profile, profile.resolve({}))
        self.radio.on_air = self._on_air
        self.radio.on_died = self._on_died

    def _samples_in(self, address: str, packet: bytes) -> int:
        if address not in self._encoders or packet[2:5] != _NOTIFICATION:
            return 0
        profile = self.profiles[address]
        handle = self.sensors[address].handle(profile.stream(profile.resolve({})).role)
        if int.from_bytes(packet[5:7], "little") != handle:
            return 0
        return self._encoders[address].samples_in(packet[7:]) or 0

    def _on_air(self, address: str, packet: bytes) -> None:
        if (samples := self._samples_in(address, packet)) > 0:
            self.tallies[address].sent += samples

    def _on_died(self, address: str, packet: bytes) -> None:
        if (samples := self._samples_in(address, packet)) > 0:
            self.tallies[address].died += samples

    def drop(self, address: str) -> None:
        """Lose the link of a sensor."""
        self._lost_at_s.setdefault(address, asyncio.get_running_loop().time())
        self.radio.drop(address)

    async def open(self, stack: contextlib.AsyncExitStack) -> None:
        """Put sensors and adapters on the air."""
        for sensor in self.sensors.values():
            await stack.enter_async_context(sensor)
        ports = []
        for number in range(self._adapter_count):
            central = await self.radio.device(f"adapter {number}", f"C0:00:00:00:00:{number + 1:02X}")
            stack.push_async_callback(self.radio.remove, central)
            adapter = VirtualAdapter(central, self.radio)
            self.adapters.append(adapter)
            ports.append(AdapterPort(f"adapter {number}", *backends(adapter)))
        self.bluetooth.change(ports)

    def hub(self, options: LinkOptions | None = None) -> LinkHub:
        """Make the kit's links; enter it."""
        return LinkHub(
            self.bluetooth,
            list({profile.family: profile for profile in self.profiles.values()}.values()),
            monotonic_ns=self.world.monotonic_ns,
            options=options or LinkOptions(rng=random.Random(1)),  # noqa: S311 - pauses need no secret
            tell=self.sentences.append,
        )

    def keep(self, hub: LinkHub, address: str) -> SensorKeeper:
        """Keep the link to one of them."""
        sensor, profile = self.sensors[address], self.profiles[address]
        segment = SEGMENTS[list(self.sensors).index(address) % len(SEGMENTS)]
        return hub.keep(PairedSensor(segment, address, profile.family, sensor.name), profile)

    async def listen(self, keeper: SensorKeeper, stop: asyncio.Event) -> None:
        """Take a sensor's samples, over as many connections as it takes, until told to stop."""
        tally = self.tallies[keeper.address]
        stopped = asyncio.create_task(stop.wait())
        try:
            while not stop.is_set():
                taking = asyncio.create_task(self._take(keeper, tally))
                await asyncio.wait({taking, stopped}, return_when=asyncio.FIRST_COMPLETED)
                if not taking.done():
                    keeper.halt()
                    if keeper.connected:
                        await taking
                    else:
                        taking.cancel()
                        await asyncio.gather(taking, return_exceptions=True)
        finally:
            stopped.cancel()

    async def _take(self, keeper: SensorKeeper, tally: Tally) -> None:
        stream = KeptStream(keeper)
        await stream.start()
        lost_at_s = self._lost_at_s.pop(keeper.address, None)
        with contextlib.suppress(SensorLostError):
            async for chunk in stream.chunks():
                if lost_at_s is not None:
                    tally.away_s.append(asyncio.get_running_loop().time() - lost_at_s)
                    lost_at_s = None
                tally.came.update(numbers(chunk.acc).tolist())


@contextlib.asynccontextmanager
async def crowd(
    families: Sequence[str], *, duration_s: float, speed: float = 1.0, adapters: int = 1, seed: int = 0
) -> AsyncIterator[Crowd]:
    """Put numbered virtual sensors on the air, with adapters that hear them.

    Args:
        families: of each sensor; all must be able to send at RATE_HZ by default.
        duration_s: how long each sends, on the world's clock, s.
        speed: of the world.
        adapters: how many.
        seed: of the air.
    """
    made = Crowd(families, speed=speed, duration_s=duration_s, adapters=adapters, seed=seed)
    async with contextlib.AsyncExitStack() as stack:
        await made.open(stack)
        yield made
