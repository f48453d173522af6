"""Firmware of a virtual sensor that speaks gonio-ref, written after docs/gonio-ref.md and not after its codec.

It has the scale factors of an LSM6DSO, which are not the range over 32768, and no beacon.
"""

import struct
from typing import Final

import numpy as np
from bumble.att import ErrorCode

from gonio.firmware_profiles import Profile
from gonio.signal.consts import STANDARD_GRAVITY, FloatArray
from gonio.simulators.peripheral_firmware import Firmware, MotionEncoder, Replies, Surroundings, refuse

_VERSION: Final = 1
_HEADER: Final = struct.Struct("<BBHI")
_SAMPLE: Final = 12
_ATT_HEADER: Final = 3
_IDENTIFY: Final = 0x02  # of the abilities
_FIRST, _CLIPPED = 0x01, 0x04  # of the flags

_NO_SUCH_COMMAND, _NOT_OFFERED, _NOT_NOW = 0x80, 0x81, 0x82

#: m/s² and rad/s a count, by range in g and dps, of an LSM6DSO.
_ACC_SCALES: Final = {g: g * 0.0305e-3 * STANDARD_GRAVITY for g in (2, 4, 8, 16)}
_GYR_SCALES: Final = {dps: float(np.radians(dps * 35e-6)) for dps in (250, 500, 1000, 2000)}


class GonioRefFirmware(Firmware):
    """A sensor of one's own."""

    def __init__(self, profile: Profile, around: Surroundings, rate_hz: float | None = None) -> None:
        super().__init__(profile, around, rate_hz)
        self._samples_wanted = 0  # as many as fit
        self._mtu = 23
        self._began = _Began()

    def read(self, role: str) -> bytes:
        """Give the value of a characteristic."""
        values = {
            "configuration": self._configuration(),
            "battery": bytes((87,)),
            "manufacturer_name": b"gonio (simulated)",
            "model_number": b"SIM",
            "firmware_revision": b"1.0.0 SIM",
        }
        if role not in values:
            raise refuse(ErrorCode.READ_NOT_PERMITTED)
        return values[role]

    def _configuration(self) -> bytes:
        range_g, range_dps = int(self.settings["range_g"]), int(self.settings["range_dps"])
        scales = _ACC_SCALES[range_g], _GYR_SCALES[range_dps]
        begin = (_VERSION, int(self.measuring), _IDENTIFY, self._samples_wanted)
        return struct.pack("<4BHHffB3x", *begin, int(self.rate_hz), range_dps, *scales, range_g)

    def write(self, role: str, data: bytes) -> Replies:
        """Obey a command."""
        if role != "control":
            raise refuse(ErrorCode.WRITE_NOT_PERMITTED)
        command = data[:1]
        sizes = {b"\x01": 7, b"\x02": 1, b"\x03": 1, b"\x04": 2}
        if command not in sizes:
            raise refuse(_NO_SUCH_COMMAND)
        if len(data) != sizes[command]:
            raise refuse(ErrorCode.INVALID_ATTRIBUTE_LENGTH)
        match command:
            case b"\x01":
                self._configure(*struct.unpack("<HBHB", data[1:]))
            case b"\x02":
                if not self.measuring:
                    self.measuring, self._began = True, _Began()
                    self.starts += 1
            case b"\x03":
                self.measuring = False
            case _:
                return []
        return [("configuration", self._configuration())]

    def _configure(self, rate_hz: int, range_g: int, range_dps: int, samples: int) -> None:
        if self.measuring:
            raise refuse(_NOT_NOW)
        chosen = {"rate_hz": rate_hz, "range_g": range_g, "range_dps": range_dps}
        if any(value not in self.profile.settings[name].values for name, value in chosen.items()):
            raise refuse(_NOT_OFFERED)
        self.settings.update(chosen)
        self._samples_wanted = samples

    def disconnected(self) -> None:
        """Stop: a host that comes back finds the sensor idle."""
        self.measuring = False

    def encoder(self, mtu: int) -> MotionEncoder:
        """Write packets of as many samples as were asked for and fit."""
        self._mtu = mtu
        range_g, range_dps = int(self.settings["range_g"]), int(self.settings["range_dps"])
        scales = _ACC_SCALES[range_g], _GYR_SCALES[range_dps]
        return _Packets(*scales, self.samples_per_notification(), self.rate_hz, self._began)

    def samples_per_notification(self) -> int:
        """Give the number of samples in a packet."""
        fitting = (self._mtu - _ATT_HEADER - _HEADER.size) // _SAMPLE
        return min(self._samples_wanted or fitting, fitting)


class _Began:
    """When the first sample since a start was taken, on the sensor's clock, s; None before it."""

    def __init__(self) -> None:
        self.first_s: float | None = None


class _Packets:
    """Motion packets; samples that nobody listened to since the start have been counted too."""

    def __init__(self, acc_scale: float, gyr_scale: float, samples: int, rate_hz: float, began: _Began) -> None:
        self._scales = np.repeat((acc_scale, gyr_scale), 3)
        self._each = samples
        self._rate_hz = rate_hz
        self._began = began
        self._held = np.empty((0, 6), "<i2")
        self._held_s: FloatArray = np.empty(0)

    def encode(self, acc: FloatArray, gyr: FloatArray, sensor_s: FloatArray | None = None) -> list[bytes]:
        counts = np.clip(np.rint(np.hstack((acc, gyr)) / self._scales), -32768, 32767).astype("<i2")
        self._held = np.vstack((self._held, counts))
        self._held_s = np.concatenate((self._held_s, np.zeros(len(acc)) if sensor_s is None else sensor_s))
        return [self._take(self._each) for _ in range(len(self._held) // self._each)]

    def finish(self) -> list[bytes]:
        """Give the samples that fill no packet in a shorter one."""
        return [self._take(len(self._held))] if len(self._held) else []

    def _take(self, count: int) -> bytes:
        samples, self._held = self._held[:count], self._held[count:]
        time_s = float(self._held_s[0])
        self._held_s = self._held_s[count:]
        flags = _CLIPPED if np.isin(samples, (-32768, 32767)).any() else 0
        if self._began.first_s is None:
            self._began.first_s = time_s
            flags |= _FIRST
        number = round((time_s - self._began.first_s) * self._rate_hz)
        return _HEADER.pack(_VERSION, flags, number % 65536, round(time_s * 1e6) % 2**32) + samples.tobytes()
