"""What a virtual sensor's firmware is: the part that differs between families.

A family's firmware is one class below ``Firmware`` and one line in ``peripheral_families.py``. What it must do is
answer reads and writes; what it may do beyond has a default here: which characteristic streams and when, what writes
the stream, what happens at a subscription and at a lost link, and switching off.
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeAlias

from bumble.att import ATT_Error, ErrorCode

from gonio.drivers.codec import StreamEncoder
from gonio.firmware_profiles import Profile
from gonio.signal.consts import FloatArray
from gonio.simulators.peripheral_clock import NO_CLOCK, OwnClock

#: First of the error codes that a device may use as it likes.
APPLICATION_ERROR: Final = 0x80

#: What a write may answer: notifications or indications, as (role of the characteristic, value), sent in this order.
Replies: TypeAlias = list[tuple[str, bytes]]


def refuse(code: ErrorCode | int = APPLICATION_ERROR) -> ATT_Error:
    """Make the error with which a sensor refuses a read or write."""
    return ATT_Error(int(code))


class MotionEncoder(Protocol):
    """Makes a stream's notifications; ``StreamEncoder`` is one."""

    def encode(self, acc: FloatArray, gyr: FloatArray, sensor_s: FloatArray | None = None) -> list[bytes]:
        """Give the notifications that these samples fill: (n, 3) m/s², (n, 3) rad/s, (n,) s on the own clock."""
        ...

    def finish(self) -> list[bytes]:
        """Give what was kept."""
        ...


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Where a sensor lives.

    Attributes:
        address: its Bluetooth address.
        now_s: clock for whatever expires, s.
        world_s: the simulated world's clock, s.
        clock: the sensor's own clock.
        neighbours: the other sensors' firmware on the same air, by address; it changes as they come and go.
    """

    address: str
    now_s: Callable[[], float] = time.monotonic
    world_s: Callable[[], float] = time.monotonic
    clock: OwnClock = NO_CLOCK
    neighbours: Mapping[str, "Firmware"] = field(default_factory=dict)


class Firmware(ABC):
    """State of one sensor between power-on and power-off, driven by reads and writes of its characteristics.

    Attributes:
        profile: the family.
        settings: the settings in force, complete (as ``Profile.resolve`` gives them).
        measuring: whether samples are being taken and sent to whoever listens.
        starts: times that measuring was begun; a new one begins the stream anew.
        around: where the sensor lives.
        powered: False once it has switched itself off: it then says goodbye and leaves the air.
        packets_together: notifications that only together make samples (2 where acceleration and angular velocity
            travel apart).
    """

    packets_together: int = 1

    def __init__(self, profile: Profile, around: Surroundings, rate_hz: float | None = None) -> None:
        """Power on.

        Args:
            profile: the family.
            around: where the sensor lives.
            rate_hz: sample rate that was saved in the sensor; None for the rate it is delivered with.

        Raises:
            UsageError: the family has no such rate.
        """
        self.profile = profile
        self.settings: dict[str, int | float] = profile.resolve({} if rate_hz is None else {"rate_hz": rate_hz})
        self.measuring = False
        self.starts = 0
        self.powered = True
        self.around = around

    @property
    def rate_hz(self) -> float:
        """Nominal sample rate on the sensor's own clock, Hz."""
        return float(self.settings["rate_hz"])

    # -- what every family answers -----------------------------------------------------------------------------------

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
            Notifications or indications that answer it.

        Raises:
            ATT_Error: the sensor refuses it.
        """

    # -- what has a default ------------------------------------------------------------------------------------------

    def stream_role(self) -> str | None:
        """Give the characteristic that carries the motion now, or None while none is sent."""
        return self.profile.stream_packet(self.settings)[1].role if self.measuring else None

    def encoder(self, mtu: int) -> MotionEncoder:  # noqa: ARG002 - for those that fill what the link carries
        """Make what writes the stream that begins now, over a link of this ATT MTU."""
        return StreamEncoder(self.profile, self.settings)

    def samples_per_notification(self) -> int:
        """Give how many samples a notification of the stream holds; 1 where that varies."""
        return self.profile.stream_packet(self.settings)[1].frames_in(self.settings)

    def samples_in(self, value: bytes) -> int | None:  # noqa: ARG002 - for those that tell
        """Give how many samples a notification of the stream completes; None where they are even."""
        return None

    def subscribed(self, role: str, on: bool) -> Replies:  # noqa: ARG002, FBT001 - a switch, as the host sets it
        """Notice that the host wants a characteristic's notifications, or no longer; may answer with some."""
        return []

    def disconnected(self) -> None:  # noqa: B027 - most have nothing to do
        """Notice that the link is gone; by default the sensor goes on with what it was doing."""
