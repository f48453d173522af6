"""A virtual sensor on the air, and a Bluetooth client that is connected to it."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import numpy as np
from bleak import BleakClient
from bleak.backends.characteristic import BleakGATTCharacteristic

from gonio.drivers.codec import decode_packet
from gonio.drivers.commands import encode_command
from gonio.firmware_profiles import Profile, get_profile
from gonio.signal.consts import FloatArray
from gonio.simulators.bleak_backend import backends
from gonio.simulators.peripheral import Feed, VirtualSensor
from gonio.simulators.radio import Radio
from gonio.simulators.world import World


def feed(t_s: FloatArray) -> tuple[FloatArray, FloatArray]:
    return np.tile([0.0, 0.0, 9.80665], (len(t_s), 1)), np.zeros((len(t_s), 3))


class Heard(list[bytes]):
    """Values that have been notified, oldest first."""

    def __init__(self) -> None:
        super().__init__()
        self.arrived = asyncio.Event()


async def until(heard: Heard, count: int = 1) -> None:
    """Wait until so many values have been heard, however busy the computer is."""
    async with asyncio.timeout(20.0):
        while len(heard) < count:
            heard.arrived.clear()
            await heard.arrived.wait()


@dataclass
class Bench:
    world: World
    radio: Radio
    profile: Profile
    sensor: VirtualSensor
    client: BleakClient

    def uuid(self, role: str) -> str:
        return self.profile.characteristic(role).uuid

    async def read(self, role: str) -> dict[str, object]:
        return decode_packet(self.profile, role, bytes(await self.client.read_gatt_char(self.uuid(role))))

    async def command(self, name: str, **parameters: object) -> None:
        role = self.profile.commands[name].role
        data = encode_command(self.profile, name, self.profile.resolve() | parameters)
        await self.client.write_gatt_char(self.uuid(role), data, response=True)

    async def listen(self, role: str) -> Heard:
        heard = Heard()

        def on_value(_: BleakGATTCharacteristic, data: bytearray) -> None:
            heard.append(bytes(data))
            heard.arrived.set()

        await self.client.start_notify(self.uuid(role), on_value)
        return heard


@contextlib.asynccontextmanager
async def bench(
    family: str, *, speed: float = 10.0, moved_by: Feed = feed, now_s: Callable[[], float] = time.monotonic
) -> AsyncIterator[Bench]:
    """Connect a client to a virtual sensor that lies still, or is moved by something else."""
    world, radio, profile = World(speed), Radio(), get_profile(family)
    central = await radio.device("phone", "F0:00:00:00:00:02")
    _, client_backend = backends(central)
    async with VirtualSensor(radio, profile, moved_by, world, duration_s=60.0, now_s=now_s) as sensor:
        async with BleakClient(sensor.address, backend=client_backend) as client:
            yield Bench(world, radio, profile, sensor, client)
        assert not client.is_connected
    await radio.remove(central)
