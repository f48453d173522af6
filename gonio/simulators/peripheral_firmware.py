"""What a virtual sensor's firmware is: the part that differs between families."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Final, TypeAlias

from bumble.att import ATT_Error, ErrorCode

from gonio.firmware_profiles import Profile

#: First of the error codes that a device may use as it likes.
APPLICATION_ERROR: Final = 0x80

#: What a write may answer: notifications as (role of the characteristic, value).
Replies: TypeAlias = list[tuple[str, bytes]]


def refuse(code: ErrorCode | int = APPLICATION_ERROR) -> ATT_Error:
    """Make the error with which a sensor refuses a read or write."""
    return ATT_Error(int(code))


class Firmware(ABC):
    """State of one sensor between power-on and power-off, driven by reads and writes of its characteristics.

    Attributes:
        profile: the family.
        settings: the settings in force, complete (as ``Profile.resolve`` gives them).
        measuring: whether samples are being taken and sent to whoever listens.
    """

    def __init__(
        self,
        profile: Profile,
        *,
        address: str,
        rate_hz: float | None = None,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Power on.

        Args:
            profile: the family.
            address: the sensor's Bluetooth address.
            rate_hz: sample rate that was saved in the sensor; None for the rate it is delivered with.
            now_s: clock for whatever expires, real s.

        Raises:
            UsageError: the family has no such rate.
        """
        self.profile = profile
        self.settings: dict[str, int | float] = profile.resolve({} if rate_hz is None else {"rate_hz": rate_hz})
        self.measuring = False
        self._address = address
        self._now_s = now_s

    @property
    def rate_hz(self) -> float:
        """Nominal sample rate on the sensor's own clock, Hz."""
        return float(self.settings["rate_hz"])

    @abstractmethod
    def read(self, role: str) -> bytes:
        """Give the value of a characteristic.

        Raises:
            ATT_Error: it cannot be read.
        """

    @abstractmethod
    def write(self, role: str, data: bytes) -> Replies:
        """Obey a write.

        Returns:
            Notifications that answer it.

        Raises:
            ATT_Error: the sensor refuses it.
        """
