"""Virtual sensors on somebody else's controller: here bumble's, behind a TCP connection."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import numpy as np
import pytest
from bumble.transport.tcp_server import open_tcp_server_transport_with_socket

from gonio.drivers.link import SensorLink, scan
from gonio.errors import UsageError
from gonio.firmware_profiles import get_profile
from gonio.signal.consts import FloatArray
from gonio.simulators.bleak_backend import backends
from gonio.simulators.peripheral import VirtualSensor
from gonio.simulators.radio import Radio, VirtualController
from gonio.simulators.radio_transport import open_airs
from gonio.simulators.world import World


def feed(t_s: FloatArray) -> tuple[FloatArray, FloatArray]:
    return np.tile([0.0, 0.0, 9.80665], (len(t_s), 1)), np.zeros((len(t_s), 3))


@contextlib.asynccontextmanager
async def controller_on_tcp(radio: Radio) -> AsyncIterator[str]:
    """Serve a controller on the radio by TCP, as an emulator or a remote board does."""
    listening = socket.create_server(("127.0.0.1", 0))
    transport = await open_tcp_server_transport_with_socket(listening)
    controller = VirtualController("board", host_source=transport.source, host_sink=transport.sink, link=radio)
    yield f"tcp-client:127.0.0.1:{listening.getsockname()[1]}"
    controller.le_legacy_advertiser.stop()
    radio.remove_controller(controller)
    server = transport.server  # type: ignore[attr-defined]  # bumble forgets to close it
    server.close()
    await server.wait_closed()


async def test_a_sensor_on_a_controller_behind_tcp_is_found_and_streams() -> None:
    radio, world, profile = Radio(), World(5.0), get_profile("movella_dot")
    central = await radio.device("kit", "F0:00:00:00:00:01")
    scanner, client = backends(central)
    async with controller_on_tcp(radio) as spec, open_airs([spec], 2) as airs:
        assert len(airs) == 1  # a controller carries one sensor
        async with VirtualSensor(airs[0], profile, feed, world, duration_s=2.0) as sensor:
            (found,) = await scan([profile], timeout_s=5.0, scanner_backend=scanner, want=1)
            link = SensorLink(found, profile, monotonic_ns=world.monotonic_ns, client_backend=client)
            async with link:
                await link.start()
                await sensor.wait_for_listener()
                world.begin_motion()
                await sensor.wait_for_end()
                await asyncio.sleep(0.2)
                await link.stop()
                received = [chunk async for chunk in link.chunks()]
            assert sum(map(len, received)) == 121
    await radio.remove(central)


@pytest.mark.parametrize(
    ("specs", "advice"),
    [
        (["vhci:/nowhere/vhci"], "modprobe hci_vhci"),
        (["tcp-client:127.0.0.1:1"], "see that a controller listens"),
        (["no-such-thing"], "transports are vhci"),
        (["vhci", "usb:0"], "vhci carries all sensors"),
    ],
)
async def test_a_transport_that_cannot_be_opened_says_what_to_do(specs: list[str], advice: str) -> None:
    with pytest.raises(UsageError, match=advice):
        async with open_airs(specs, 2):
            pass
