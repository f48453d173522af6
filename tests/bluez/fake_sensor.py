"""A sensor behind the fake BlueZ: the firmware of a virtual one, without a radio."""

import asyncio
import time
from collections.abc import Callable
from typing import Final

import numpy as np
from bumble.att import ATT_Error

from gonio.drivers.codec import StreamEncoder
from gonio.firmware_profiles import get_profile
from gonio.simulators.peripheral_families import sensor_address, sensor_name, virtual_family
from gonio.simulators.peripheral_firmware import Surroundings
from tests.bluez.numbering import numbered

_TICK_S: Final = 0.01


class FakeSensor:
    """One sensor, from power-on; its samples tell their own number.

    Attributes:
        profile: its family.
        address: its Bluetooth address.
        name: as advertised.
        connected: whether somebody is connected to it.
        sent: numbers of the samples that it has sent.
    """

    def __init__(self, family: str = "movella_dot", number: int = 1, *, speed: float = 5.0) -> None:
        """Power on.

        Args:
            family: of its profile.
            number: among those of its family.
            speed: its seconds in a real one.
        """
        self.profile = get_profile(family)
        self.address = sensor_address(family, number)
        self.name = sensor_name(family, number)
        self.connected = False
        self.sent: list[int] = []
        self._firmware = virtual_family(family).firmware(self.profile, Surroundings(self.address))
        self._speed = speed
        self._subscribed: set[str] = set()
        self._began_s = time.monotonic()

    def read(self, role: str) -> bytes:
        """Give the value of a characteristic, or raise ``ATT_Error``."""
        return self._firmware.read(role)

    def write(self, role: str, data: bytes) -> list[tuple[str, bytes]]:
        """Obey a write, or raise ``ATT_Error``; give the notifications that answer it."""
        return self._firmware.write(role, data)

    def subscribe(self, role: str, *, on: bool) -> None:
        """Let a characteristic notify from now on, or no more."""
        (self._subscribed.add if on else self._subscribed.discard)(role)

    def subscribed(self, role: str) -> bool:
        """Tell whether a characteristic notifies."""
        return role in self._subscribed

    def lose_link(self) -> None:
        """Notice that the link is gone."""
        self.connected = False
        self._subscribed.clear()
        self._firmware.disconnected()

    async def stream(self, notify: Callable[[str, bytes], None]) -> None:
        """Send what is due, for ever."""
        rate_hz = self._firmware.rate_hz
        encoder = StreamEncoder(self.profile, self._firmware.settings)
        number = 0
        while True:
            await asyncio.sleep(_TICK_S)
            due = int((time.monotonic() - self._began_s) * self._speed * rate_hz)
            numbers, number = range(number, due), due
            role = self._firmware.stream_role()
            if role is None or not self.connected or role not in self._subscribed:
                continue
            acc = numbered(np.array(numbers, float).reshape(-1))
            for value in encoder.encode(acc, np.zeros_like(acc), np.array(numbers, float) / rate_hz):
                notify(role, value)
            self.sent += numbers


def refusal(error: ATT_Error) -> str:
    """Say a sensor's refusal as BlueZ does."""
    return f"Operation failed with ATT error: 0x{error.error_code:02x}"
