"""Firmware of virtual sensors with flat packets and few commands: Thingy:52, SensorTag, micro:bit, BlueST, InfiniTime.

They send to whoever has switched the notifications on; there is no other start. Each clips and refuses as the real
one does. Only the motion output is simulated: nothing taps them, and they do not walk.
"""

import struct
from collections.abc import Callable
from typing import ClassVar, Final

import numpy as np
from bumble.att import ErrorCode

from gonio.drivers.codec import StreamEncoder
from gonio.firmware_profiles import Profile
from gonio.signal.consts import STANDARD_GRAVITY, BoolArray, FloatArray
from gonio.simulators.peripheral_firmware import Firmware, MotionEncoder, Replies, Surroundings, refuse

_BATTERY: Final = bytes((87,))


class PlainFirmware(Firmware):
    """Values that are read and written; what a write must be like is the family's.

    Attributes:
        values: what can be read, by role.
    """

    delivered_hz: ClassVar[float]

    def __init__(self, profile: Profile, around: Surroundings, rate_hz: float | None = None) -> None:
        """Power on, measuring."""
        super().__init__(profile, around, rate_hz or self.delivered_hz)
        self.measuring = True
        self.values: dict[str, bytes] = {"battery": _BATTERY, "firmware_revision": b"1.0.0 SIM"}
        self._rate_hz = float(self.settings["rate_hz"])

    @property
    def rate_hz(self) -> float:
        """Nominal sample rate on the sensor's own clock, Hz; one that was written need not be in the profile."""
        return self._rate_hz

    def take_rate(self, rate_hz: float) -> None:
        """Measure at another rate from now on."""
        if rate_hz != self._rate_hz:
            self._rate_hz = rate_hz
            self.starts += 1

    def read(self, role: str) -> bytes:
        """Give the value of a characteristic."""
        if role not in self.values:
            raise refuse(ErrorCode.READ_NOT_PERMITTED)
        return self.values[role]

    def write(self, role: str, data: bytes) -> Replies:
        """Take a value of the right length that the sensor accepts."""
        if len(data) != len(self.values.get(role, b"")):
            raise refuse(ErrorCode.INVALID_ATTRIBUTE_LENGTH)
        self.accept(role, data)
        self.values[role] = data
        return []

    def accept(self, role: str, data: bytes) -> None:  # noqa: ARG002 - by default nothing can be written
        """Act on a value of the right length that is being written.

        Raises:
            ATT_Error: the sensor refuses it.
        """
        raise refuse(ErrorCode.WRITE_NOT_PERMITTED)


class _Shaped:
    """An encoder behind something that the sensor does to the samples first."""

    def __init__(
        self, encoder: StreamEncoder, shape: Callable[[FloatArray, FloatArray], tuple[FloatArray, FloatArray]]
    ) -> None:
        self._encoder = encoder
        self._shape = shape

    def encode(self, acc: FloatArray, gyr: FloatArray, sensor_s: FloatArray | None = None) -> list[bytes]:
        return self._encoder.encode(*self._shape(acc, gyr), sensor_s)

    def finish(self) -> list[bytes]:
        return self._encoder.finish()


def _clipped(acc: FloatArray, gyr: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Clip the acceleration at the 2 g that an accelerometer measures, though its packet could hold more."""
    return np.clip(acc, -2 * STANDARD_GRAVITY, 2 * STANDARD_GRAVITY), gyr


class ThingyFirmware(PlainFirmware):
    """A Nordic Thingy:52, after the maker's firmware 2.2.0: a configuration out of bounds is refused as a whole."""

    delivered_hz = 10
    _BOUNDS: Final = ((100, 5000), (100, 5000), (100, 1000), (5, 200), (0, 1))
    _MTU: Final = (23, 276)

    def __init__(self, profile: Profile, around: Surroundings, rate_hz: float | None = None) -> None:
        super().__init__(profile, around, rate_hz)
        self.values |= {
            "firmware_version": bytes((2, 2, 0)),
            "motion_config": struct.pack("<4HB", 1000, 500, 500, int(self.rate_hz), 1),
            "connection_parameters": struct.pack("<4H", 6, 24, 0, 320),
            "mtu_request": struct.pack("<BH", 0, 276),
        }

    def accept(self, role: str, data: bytes) -> None:
        """Take a configuration, a wish for the link, or a request for an MTU."""
        match role:
            case "motion_config":
                fields = struct.unpack("<4HB", data)
                if any(not least <= value <= most for value, (least, most) in zip(fields, self._BOUNDS, strict=True)):
                    raise refuse()
                self.take_rate(float(fields[3]))
            case "connection_parameters":
                shortest, longest, _, timeout = struct.unpack("<4H", data)
                if not (6 <= shortest <= longest <= 3200 and 10 <= timeout <= 3200):  # noqa: PLR2004 - Bluetooth's
                    raise refuse()
            case "mtu_request":
                perform, mtu = struct.unpack("<BH", data)
                if perform > 1 or not self._MTU[0] <= mtu <= self._MTU[1]:
                    raise refuse()
            case _:
                raise refuse(ErrorCode.WRITE_NOT_PERMITTED)

    def encoder(self, mtu: int) -> MotionEncoder:  # noqa: ARG002 - a packet fits into every MTU
        """Write raw motion."""
        return _Shaped(StreamEncoder(self.profile, self.settings), _clipped)


class SensorTagFirmware(PlainFirmware):
    """A TI SensorTag CC2650: silent until axes are switched on, those that are off read 0, 100 ms at the fastest."""

    delivered_hz = 1
    _SHORTEST_TENS_MS: Final = 10
    _GYRO, _ACCELEROMETER, _MEASURED = 0x0007, 0x0038, 0x007F

    def __init__(self, profile: Profile, around: Surroundings, rate_hz: float | None = None) -> None:
        super().__init__(profile, around, rate_hz)
        self.measuring = False
        self._config = 0
        self.values |= {
            "movement": bytes(18),
            "movement_config": bytes(2),
            "movement_period": bytes((round(100 / self.rate_hz),)),
        }

    def accept(self, role: str, data: bytes) -> None:
        """Switch axes on and off and take the range, or take the period."""
        match role:
            case "movement_config":
                self._config = int.from_bytes(data, "little")
                self.settings["range_g"] = 2 << (self._config >> 8 & 3)
                self.measuring = bool(self._config & self._MEASURED)
                self.starts += 1
            case "movement_period":
                if data[0] < self._SHORTEST_TENS_MS:
                    raise refuse()
                self.take_rate(100 / data[0])
            case _:
                raise refuse(ErrorCode.WRITE_NOT_PERMITTED)

    def encoder(self, mtu: int) -> MotionEncoder:  # noqa: ARG002 - a packet fits into every MTU
        """Write the axes that are on."""
        gyr_on: BoolArray = np.array([self._config >> bit & 1 for bit in (2, 1, 0)], np.bool_)
        acc_on: BoolArray = np.array([self._config >> bit & 1 for bit in (5, 4, 3)], np.bool_)
        return _Shaped(StreamEncoder(self.profile, self.settings), lambda acc, gyr: (acc * acc_on, gyr * gyr_on))


class MicrobitFirmware(PlainFirmware):
    """A BBC micro:bit with the accelerometer service: no gyroscope, 2 g, eight periods."""

    delivered_hz = 50

    def __init__(self, profile: Profile, around: Surroundings, rate_hz: float | None = None) -> None:
        super().__init__(profile, around, rate_hz)
        self.values |= {
            "accelerometer": bytes(6),
            "accelerometer_period": struct.pack("<H", round(1000 / self.rate_hz)),
            "magnetometer": bytes(6),
            "magnetometer_period": struct.pack("<H", 80),
            "bearing": bytes(2),
        }

    def accept(self, role: str, data: bytes) -> None:
        """Take one of the periods."""
        period_ms = int.from_bytes(data, "little")
        if not role.endswith("_period") or period_ms not in self.profile.settings["rate_hz"].values.values():
            raise refuse()
        if role == "accelerometer_period":
            self.take_rate(1000 / period_ms)

    def encoder(self, mtu: int) -> MotionEncoder:  # noqa: ARG002 - a packet fits into every MTU
        """Write acceleration."""
        return _Shaped(StreamEncoder(self.profile, self.settings), _clipped)


class InfiniTimeFirmware(PlainFirmware):
    """A PineTime with InfiniTime: acceleration, at a rate of its own."""

    delivered_hz = 10

    def __init__(self, profile: Profile, around: Surroundings, rate_hz: float | None = None) -> None:
        super().__init__(profile, around, rate_hz)
        self.values |= {"steps": struct.pack("<I", 1234), "motion": bytes(6)}

    def encoder(self, mtu: int) -> MotionEncoder:  # noqa: ARG002 - a packet fits into every MTU
        """Write acceleration."""
        return _Shaped(StreamEncoder(self.profile, self.settings), _clipped)


class BlueStFirmware(PlainFirmware):
    """A SensorTile with a program that sends all three motion features in one characteristic."""

    delivered_hz = 50
    _TICK_S: Final = 0.008

    def __init__(self, profile: Profile, around: Surroundings, rate_hz: float | None = None) -> None:
        super().__init__(profile, around, rate_hz)
        self.values["battery"] = struct.pack("<HHHhB", 0, 870, 3950, -12, 1)

    def encoder(self, mtu: int) -> MotionEncoder:  # noqa: ARG002 - a packet fits into every MTU
        """Write motion with its ticks."""
        return _Ticking(StreamEncoder(self.profile, self.settings), self._TICK_S)


class _Ticking:
    """An encoder that writes the ticks, which the profile does not take for a clock, in front of each sample."""

    def __init__(self, encoder: StreamEncoder, tick_s: float) -> None:
        self._encoder = encoder
        self._tick_s = tick_s

    def encode(self, acc: FloatArray, gyr: FloatArray, sensor_s: FloatArray | None = None) -> list[bytes]:
        times = np.zeros(len(acc)) if sensor_s is None else sensor_s
        ticks = (np.floor(times / self._tick_s).astype(np.int64) % 65536).tolist()
        packets = self._encoder.encode(acc, gyr)
        return [struct.pack("<H", tick) + packet[2:] for tick, packet in zip(ticks, packets, strict=True)]

    def finish(self) -> list[bytes]:
        return self._encoder.finish()
