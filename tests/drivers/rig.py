"""A virtual sensor in the air and the link to it, as the tests of every family's link need them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from bleak.backends.client import BaseBleakClient
from bleak.backends.scanner import BaseBleakScanner

from gonio.drivers.link import SensorLink
from gonio.drivers.link_values import Patience
from gonio.drivers.scan import FoundSensor, scan
from gonio.firmware_profiles import Profile, get_profile
from gonio.signal.chunks import SampleChunk
from gonio.signal.consts import FloatArray
from gonio.simulators.bleak_backend import backends
from gonio.simulators.peripheral import Feed, VirtualSensor, sensor_address, sensor_name
from gonio.simulators.radio import Radio
from gonio.simulators.world import World

QUICK = Patience(connect_s=5.0, attempts=2, backoff_s=0.01, operation_s=1.0, silence_s=0.4, disconnect_s=1.0, mtu_s=0.2)


def feed(t_s: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Give every moment values of its own."""
    acc = np.stack([9.8 * np.sin(t_s), 9.8 * np.cos(t_s), t_s / 10], axis=1)
    gyr = np.stack([np.cos(3 * t_s), np.sin(2 * t_s), -t_s / 20], axis=1)
    return acc, gyr


@dataclass
class Rig:
    world: World
    radio: Radio
    profile: Profile
    sensor: VirtualSensor
    scanner: type[BaseBleakScanner]
    client: type[BaseBleakClient]
    patience: Patience

    async def find(self) -> FoundSensor:
        (found,) = await scan([self.profile], timeout_s=5.0, scanner_backend=self.scanner, want=1)
        return found

    async def link(
        self,
        *,
        profile: Profile | None = None,
        patience: Patience | None = None,
        **chosen: Any,  # noqa: ANN401 - the link's own arguments
    ) -> SensorLink:
        return SensorLink(
            await self.find(),
            profile or self.profile,
            monotonic_ns=self.world.monotonic_ns,
            client_backend=self.client,
            patience=patience or self.patience,
            **chosen,
        )

    async def whole_motion(self, link: SensorLink) -> list[SampleChunk]:
        """Begin the motion with the stream, and give all that comes of it."""
        await link.start()
        await self.sensor.wait_for_listener()
        self.world.begin_motion()
        async with asyncio.TaskGroup() as tasks:
            reader = tasks.create_task(collect(link))
            await self.motion_over(link)
            await link.stop()
        return reader.result()

    async def motion_over(self, link: SensorLink) -> None:
        """Wait until the motion's last sample was sent, and nothing more comes."""
        await self.sensor.wait_for_end()
        before = -1
        while link.counters.notifications > before:  # what is still in the air
            before = link.counters.notifications
            await asyncio.sleep(0.2)


@contextlib.asynccontextmanager
async def rig(
    family: str,
    number: int = 1,
    *,
    moved_by: Feed = feed,
    speed: float = 10.0,
    duration_s: float = 5.0,
    clock_ppm: float = 0.0,
    patience: Patience = QUICK,
) -> AsyncIterator[Rig]:
    """Put a family's virtual sensor of this number on the air."""
    world, radio, profile = World(speed), Radio(seed=7), get_profile(family)
    central = await radio.device("kit", "F0:00:00:00:00:01")
    scanner, client = backends(central)
    sensor = VirtualSensor(
        radio,
        profile,
        moved_by,
        world,
        duration_s=duration_s,
        name=sensor_name(family, number),
        address=sensor_address(family, number),
        clock_ppm=clock_ppm,
    )
    async with sensor:
        yield Rig(world, radio, profile, sensor, scanner, client, patience)
    await radio.remove(central)


async def collect(link: SensorLink, into: list[SampleChunk] | None = None) -> list[SampleChunk]:
    chunks = [] if into is None else into
    async for chunk in link.chunks():
        chunks.append(chunk)
    return chunks


def columns(chunks: list[SampleChunk], name: str) -> FloatArray:
    values: FloatArray = np.concatenate([getattr(chunk, name) for chunk in chunks])
    return values
