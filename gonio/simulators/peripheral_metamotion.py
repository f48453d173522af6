"""Firmware of virtual MetaMotion sensors, after the MetaWear API specification.

Odd addresses are MetaMotion RL (BMI160), even ones MetaMotion S (BMI270): a pair of sensors speaks both. All that was
switched on belongs to the sensor and outlives the link, running streams too, of which the specification does not say
it. Samples are sent while accelerometer and gyroscope are each configured (to one rate), enabled, started and
subscribed to as packed data; other signals (single samples, fusion, magnetometer) are never sent. What it does not
understand it passes over without a word, as the real ones do.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from bumble.att import ErrorCode

from gonio.drivers.codecs.mbient_registers import (
    ACCELEROMETER,
    AMBIENT_LIGHT,
    BAROMETER,
    DEBUG,
    FRAME_BYTES,
    FUSION,
    GYRO,
    HEAD_BYTES,
    LED,
    LOGGING,
    MAGNETOMETER,
    MODULES,
    READ,
    REGISTER_BITS,
    SETTINGS,
    SWITCH,
    TEMPERATURE,
    packed_register,
)
from gonio.drivers.codecs.mbient_stream import IMPLEMENTATIONS
from gonio.firmware_profiles import Profile
from gonio.firmware_profiles.parts import Number
from gonio.simulators.peripheral_firmware import Firmware, Replies, Surroundings, refuse

_BATTERY_PERCENT: Final = 87
_BATTERY_MV: Final = 4012
_TEMPERATURE_EIGHTHS: Final = 196  # 24.5 °C
_SAMPLES_EACH: Final = 3

# registers
_INFO, _POWER, _ENABLE, _CONFIG, _BATTERY, _CONNECTION = 0x00, 0x01, 0x02, 0x03, 0x0C, 0x09
_LED_PLAY, _LED_STOP = 0x01, 0x02


class Board(NamedTuple):
    """What differs between the sensors.

    Attributes:
        model: model number, as text.
        hardware: version of the board.
        implementation: of the accelerometer.
        modules: implementation and revision by module; the others are absent.
    """

    model: bytes
    hardware: bytes
    implementation: int
    modules: Mapping[int, tuple[int, int]]


_COMMON: Final = {
    SWITCH: (0, 0),
    LED: (0, 1),
    TEMPERATURE: (1, 0),
    LOGGING: (0, 3),
    SETTINGS: (0, 10),
    MAGNETOMETER: (0, 2),
    FUSION: (0, 3),
    DEBUG: (0, 6),
}
RL: Final = Board(b"5", b"0.5", 1, {**_COMMON, ACCELEROMETER: (1, 2), GYRO: (0, 1)})
S: Final = Board(
    b"8",
    b"0.1",
    4,
    {**_COMMON, ACCELEROMETER: (4, 0), GYRO: (1, 0), BAROMETER: (0, 0), AMBIENT_LIGHT: (0, 0)},
)


@dataclass
class _Sensor:
    """State of accelerometer or gyroscope.

    Attributes:
        rates: rate by its code.
        ranges: range by its code.
        configured: rate and range; None before the first configuration.
        written: that configuration's bytes.
        enabled: whether it tells that it has measured.
        on: whether it measures.
        subscribed: registers that are sent.
    """

    rates: Mapping[int, Number]
    ranges: Mapping[int, Number]
    configured: tuple[Number, Number] | None = None
    written: bytes = b"\0\0"
    enabled: bool = False
    on: bool = False
    subscribed: set[int] = field(default_factory=set)

    def configure(self, data: bytes) -> None:
        """Take rate and range, if both are its own."""
        if len(data) == 2 and data[0] in self.rates and data[1] in self.ranges:  # noqa: PLR2004 - rate and range
            self.configured, self.written = (self.rates[data[0]], self.ranges[data[1]]), data

    def obey(self, register: int, data: bytes) -> None:
        """Take a write."""
        if register == _CONFIG:
            self.configure(data)
        elif register == _ENABLE and len(data) == 2:  # noqa: PLR2004 - bits to set, bits to clear
            self.enabled = (self.enabled or bool(data[0] & 1)) and not data[1] & 1
        elif register == _POWER and len(data) == 1:
            self.on = data[0] == 1 and self.configured is not None
        elif len(data) == 1:
            (self.subscribed.add if data[0] else self.subscribed.discard)(register)


class MetaMotionFirmware(Firmware):
    """A MetaMotion RL or S.

    Attributes:
        board: which of them.
        light_on: whether the LED plays a pattern.
        logging: whether samples are recorded on board.
        fusion_on: whether the orientation is computed on board.
        connection_parameters: shortest and longest interval, latency and time-out that were asked for, as sent.
    """

    def __init__(self, profile: Profile, around: Surroundings, rate_hz: float | None = None) -> None:
        super().__init__(profile, around, rate_hz)
        self.packets_together = 2
        self.board = RL if int(around.address[-1], 16) % 2 else S
        self.settings["implementation"] = self.board.implementation
        self.light_on = False
        self.logging = False
        self.fusion_on = False
        self.connection_parameters: tuple[int, ...] = ()
        name = IMPLEMENTATIONS[self.board.implementation]
        codes = {n: {code: value for value, code in s.values.items()} for n, s in profile.settings.items()}
        own = profile.commands[f"configure_accelerometer_{name.lower()}"].parameters
        codes_acc = {n: {code: value for value, code in p.codes.items()} for n, p in own.items() if p.codes} or codes
        self._sensors = {
            ACCELEROMETER: _Sensor(codes_acc["rate_hz"], codes_acc["range_g"]),
            GYRO: _Sensor(codes["rate_hz"], codes["range_dps"]),
        }
        self._packed = {module: packed_register(module, name) for module in self._sensors}

    def read(self, role: str) -> bytes:
        """Give the value of a characteristic."""
        values = {
            "command": b"",
            "notification": b"",
            "model_number": self.board.model,
            "firmware_revision": b"1.7.2",
            "hardware_revision": self.board.hardware,
            "battery_level": bytes((_BATTERY_PERCENT,)),
        }
        return values[role]

    def write(self, role: str, data: bytes) -> Replies:
        """Obey a command; what is none is passed over."""
        if role != "command":
            raise refuse(ErrorCode.WRITE_NOT_PERMITTED)
        if len(data) > FRAME_BYTES:
            raise refuse(ErrorCode.INVALID_ATTRIBUTE_LENGTH)
        if len(data) < HEAD_BYTES or data[0] not in MODULES:
            return []
        module, register, rest = data[0], data[1] & REGISTER_BITS, data[HEAD_BYTES:]
        if data[1] & READ:
            answer = self._answer(module, register, rest)
            return [] if answer is None else [("notification", bytes((module, READ | register)) + answer)]
        if module in self._sensors:
            self._sensors[module].obey(register, rest)
            self._measure()
        else:
            self._obey(module, register, rest)
        return []

    def _answer(self, module: int, register: int, rest: bytes) -> bytes | None:
        """Give what a read is answered with behind the head; an absent module has nothing to say of itself."""
        if register == _INFO:
            return bytes(self.board.modules.get(module, ()))
        if (module, register) == (SETTINGS, _BATTERY):
            return struct.pack("<BH", _BATTERY_PERCENT, _BATTERY_MV)
        if (module, register) == (TEMPERATURE, 1) and len(rest) == 1:
            return struct.pack("<Bh", rest[0], _TEMPERATURE_EIGHTHS)
        if (module, register) == (SWITCH, 1):
            return b"\0"
        if module in self._sensors and register == _CONFIG:
            return self._sensors[module].written
        return None

    def _obey(self, module: int, register: int, data: bytes) -> None:
        """Take a write to what is no sensor of motion."""
        if (module, register) == (SETTINGS, _CONNECTION) and len(data) == struct.calcsize("<4H"):
            self.connection_parameters = struct.unpack("<4H", data)
        elif len(data) == 1 and (module, register) in ((LED, _LED_PLAY), (LED, _LED_STOP)):
            self.light_on = register == _LED_PLAY and data[0] != 0
        elif len(data) == 1 and (module, register) == (LOGGING, _POWER):
            self.logging = data[0] != 0
        elif len(data) == 1 and (module, register) == (FUSION, _POWER):
            self.fusion_on = data[0] != 0

    def _measure(self) -> None:
        """See whether samples flow now."""
        acc, gyr = self._sensors[ACCELEROMETER], self._sensors[GYRO]
        before, self.measuring = self.measuring, False
        if acc.configured is None or gyr.configured is None or acc.configured[0] != gyr.configured[0]:
            return
        self.settings.update(rate_hz=acc.configured[0], range_g=acc.configured[1], range_dps=gyr.configured[1])
        self.measuring = all(
            sensor.enabled and sensor.on and self._packed[module] in sensor.subscribed
            for module, sensor in self._sensors.items()
        )
        self.starts += self.measuring and not before

    def stream_role(self) -> str | None:
        """Give the characteristic that carries the motion now, or None while none is sent."""
        return "notification" if self.measuring else None

    def samples_per_notification(self) -> int:
        """Give the samples of a packet."""
        return _SAMPLES_EACH
