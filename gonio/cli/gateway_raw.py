"""What ``gonio gateway record --raw`` does: the packets of any one Bluetooth sensor into a file, as they come."""

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Final

from bleak.backends.client import BaseBleakClient
from bleak.backends.scanner import BaseBleakScanner

from gonio.drivers.capture import capture
from gonio.drivers.link_errors import SensorNotFoundError
from gonio.drivers.scan import FoundSensor, listening
from gonio.firmware_profiles import get_profile, known_profiles

LISTEN_S: Final = 20.0


async def record_raw(
    sensor: str,
    directory: Path,
    stop: asyncio.Event,
    say: Callable[[str], None],
    *,
    scanner_backend: type[BaseBleakScanner] | None = None,
    client_backend: type[BaseBleakClient] | None = None,
) -> None:
    """Find a sensor, of a known family or not, and write what it sends until ``stop`` is set.

    Args:
        sensor: its address, or how its advertised name begins.
        directory: where the capture goes.
        stop: ends it.
        say: is given a line for the person.
        scanner_backend: bleak's scanner, where it is not the system's.
        client_backend: bleak's client likewise.

    Raises:
        SensorNotFoundError: it is not heard.
        PeerError: it cannot be connected, or refuses.
        UsageError: the folder cannot be written.
    """
    found = await _find(sensor, scanner_backend)
    profile = get_profile(found.family) if found.family else None
    say(f"{found.name} ({found.address}): {found.family or 'of no known family, so only listened to'}")
    captured = await capture(found, directory, stop=stop, profile=profile, client_backend=client_backend)
    for uuid, count in sorted(captured.notifications.items()):
        say(f"{count} notifications of {uuid}")
    for uuid, why in sorted(captured.refused.items()):
        say(f"no notifications of {uuid}: {why}")
    if captured.lost is not None:
        say(f"it ended before its time: {captured.lost}")
    say(f"in {captured.path}; look at it before you give it away: the packets may tell of who wears the sensor")


async def _find(sensor: str, scanner_backend: type[BaseBleakScanner] | None) -> FoundSensor:
    heard: asyncio.Future[FoundSensor] = asyncio.get_running_loop().create_future()

    def on_found(one: FoundSensor) -> None:
        named = one.name.lower().startswith(sensor.lower()) or one.address.upper() == sensor.upper()
        if named and not heard.done():
            heard.set_result(one)

    async with listening(known_profiles(), on_found, scanner_backend=scanner_backend, others=True):
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LISTEN_S):
                return await heard
    raise SensorNotFoundError(f"no sensor {sensor} is heard: see that it is on, charged, near, and not connected")
