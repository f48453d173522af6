"""Modules and registers of MbientLab's MetaMotion, as tables: what a packet from the sensor holds.

A packet is ``[module][register][data...]``, at most 20 bytes, numbers little-endian. Bit 7 of the register marks a
read and its answer, bit 6 a read that names a channel. Some registers mean different things in sensors with a BMI160
(MetaMotion R, RL, C) and with a BMI270 (MetaMotion S): only the answer to a read of register 0 tells which it is.
Source: MetaWear API specification (docs.mbientlab.com, github mbientlab/MetaWear-API).
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from gonio.signal.consts import STANDARD_GRAVITY

Implementation: TypeAlias = Literal["BMI160", "BMI270"]

#: What a scale that depends on a chosen range is called by, and the values of such a range.
RangeName: TypeAlias = Literal["range_g", "range_dps"]

FRAME_BYTES: Final = 20
HEAD_BYTES: Final = 2
READ: Final = 0x80
REGISTER_BITS: Final = 0x3F

SWITCH, LED, ACCELEROMETER, TEMPERATURE = 0x01, 0x02, 0x03, 0x04
LOGGING, SETTINGS, BAROMETER, GYRO, AMBIENT_LIGHT = 0x0B, 0x11, 0x12, 0x13, 0x14
MAGNETOMETER, FUSION, DEBUG = 0x15, 0x19, 0xFE

MODULES: Final[Mapping[int, str]] = {
    SWITCH: "switch",
    LED: "LED",
    ACCELEROMETER: "accelerometer",
    TEMPERATURE: "temperature",
    0x05: "GPIO",
    0x07: "iBeacon",
    0x08: "haptic",
    0x09: "data processor",
    0x0A: "event",
    LOGGING: "logging",
    0x0C: "timer",
    0x0D: "I2C",
    0x0F: "macro",
    SETTINGS: "settings",
    BAROMETER: "barometer",
    GYRO: "gyro",
    AMBIENT_LIGHT: "ambient light",
    MAGNETOMETER: "magnetometer",
    0x16: "humidity",
    FUSION: "fusion",
    DEBUG: "debug",
}

#: Names of the chips by module and implementation.
CHIPS: Final[Mapping[int, Mapping[int, str]]] = {
    ACCELEROMETER: {1: "BMI160", 3: "BMA255", 4: "BMI270"},
    BAROMETER: {0: "BMP280", 1: "BME280"},
    GYRO: {0: "BMI160", 1: "BMI270"},
    AMBIENT_LIGHT: {0: "LTR-329"},
    MAGNETOMETER: {0: "BMM150"},
}

#: Units for each count on the wire, by range: acceleration in g, angular velocity in dps.
SCALES: Final[Mapping[RangeName, Mapping[int, float]]] = {
    "range_g": {2: 1 / 16384, 4: 1 / 8192, 8: 1 / 4096, 16: 1 / 2048},
    "range_dps": {2000: 1 / 16.4, 1000: 1 / 32.8, 500: 1 / 65.6, 250: 1 / 131.2, 125: 1 / 262.4},
}

SAMPLES_EACH: Final = 3  # in a packed packet, the oldest first


@dataclass(frozen=True, slots=True)
class Quantity:
    """One quantity in a packet.

    Attributes:
        key: name in decoded packets, with its unit.
        code: of ``struct`` for one number.
        count: numbers that belong together, given as a list where more than one.
        samples: how many of these follow each other, given as a list of lists where more than one.
        scale: unit for each count on the wire, or the range on which it depends.
        labels: names of whole numbers.
    """

    key: str
    code: Literal["b", "B", "h", "H", "i", "I", "f"]
    count: int = 1
    samples: int = 1
    scale: float | RangeName = 1
    labels: Mapping[int, str] | None = None

    @property
    def number_bytes(self) -> int:
        """Bytes of one number."""
        return struct.calcsize(f"<{self.code}")

    @property
    def size(self) -> int:
        """Bytes of all its numbers."""
        return self.number_bytes * self.count * self.samples


@dataclass(frozen=True, slots=True)
class Register:
    """One meaning of a register.

    Attributes:
        name: in decoded packets.
        quantities: what it holds, in order.
        implementation: the sensors that have it, None for both kinds.
    """

    name: str
    quantities: tuple[Quantity, ...]
    implementation: Implementation | None = None

    @property
    def size(self) -> int:
        """Bytes of data behind the head."""
        return sum(quantity.size for quantity in self.quantities)


_ACCEL: Final = Quantity("accel_g", "h", 3, scale="range_g")
_ACCEL_PACKED: Final = Quantity("accel_g", "h", 3, SAMPLES_EACH, scale="range_g")
_GYRO: Final = Quantity("gyro_dps", "h", 3, scale="range_dps")
_GYRO_PACKED: Final = Quantity("gyro_dps", "h", 3, SAMPLES_EACH, scale="range_dps")
_MAG: Final = Quantity("mag_ut", "h", 3, scale=1 / 16)
_MAG_PACKED: Final = Quantity("mag_ut", "h", 3, SAMPLES_EACH, scale=1 / 16)
_STEPS: Final = (Quantity("steps", "H"),)
_ACCURACY: Final = Quantity("accuracy", "B")

#: Meanings by module and register; more than one where it depends on the implementation.
REGISTERS: Final[Mapping[tuple[int, int], tuple[Register, ...]]] = {
    (SWITCH, 0x01): (Register("state", (Quantity("switch", "B", labels={0: "released", 1: "pressed"}),)),),
    (ACCELEROMETER, 0x04): (Register("data", (_ACCEL,)),),
    (ACCELEROMETER, 0x05): (Register("packed_data", (_ACCEL_PACKED,), "BMI270"),),
    (ACCELEROMETER, 0x09): (Register("motion", (Quantity("motion_bits", "B"),), "BMI270"),),
    (ACCELEROMETER, 0x0A): (Register("wrist", (Quantity("wrist_bits", "B"),), "BMI270"),),
    (ACCELEROMETER, 0x0B): (
        Register("motion", (Quantity("motion_bits", "B"),), "BMI160"),
        Register("step_count", _STEPS, "BMI270"),
    ),
    (ACCELEROMETER, 0x0C): (Register("activity", (Quantity("activity_bits", "B"),), "BMI270"),),
    (ACCELEROMETER, 0x0E): (Register("tap", (Quantity("tap_bits", "B"),), "BMI160"),),
    (ACCELEROMETER, 0x11): (Register("orientation", (Quantity("orientation_bits", "B"),), "BMI160"),),
    (ACCELEROMETER, 0x19): (Register("step_detector", (Quantity("step_bits", "B"),), "BMI160"),),
    (ACCELEROMETER, 0x1A): (Register("step_count", _STEPS, "BMI160"),),
    (ACCELEROMETER, 0x1C): (Register("packed_data", (_ACCEL_PACKED,), "BMI160"),),
    (TEMPERATURE, 0x01): (
        Register("temperature", (Quantity("channel", "B"), Quantity("temperature_c", "h", scale=1 / 8))),
    ),
    (LOGGING, 0x04): (Register("time", (Quantity("ticks", "I"), Quantity("reset_uid", "B"))),),
    (SETTINGS, 0x0C): (Register("battery", (Quantity("battery_percent", "B"), Quantity("battery_mv", "H"))),),
    (SETTINGS, 0x11): (Register("power_status", (Quantity("powered", "B", labels={0: "no", 1: "yes"}),)),),
    (SETTINGS, 0x12): (Register("charge_status", (Quantity("charging", "B", labels={0: "no", 1: "yes"}),)),),
    (BAROMETER, 0x01): (Register("pressure", (Quantity("pressure_pa", "I", scale=1 / 256),)),),
    (BAROMETER, 0x02): (Register("altitude", (Quantity("altitude_m", "i", scale=1 / 256),)),),
    (GYRO, 0x04): (Register("data", (_GYRO,), "BMI270"),),
    (GYRO, 0x05): (Register("data", (_GYRO,), "BMI160"), Register("packed_data", (_GYRO_PACKED,), "BMI270")),
    (GYRO, 0x07): (Register("packed_data", (_GYRO_PACKED,), "BMI160"),),
    (AMBIENT_LIGHT, 0x03): (Register("illuminance", (Quantity("illuminance_lx", "I", scale=1 / 1000),)),),
    (MAGNETOMETER, 0x05): (Register("data", (_MAG,)),),
    (MAGNETOMETER, 0x09): (Register("packed_data", (_MAG_PACKED,)),),
    # The maker's own texts disagree about the unit of the corrected acceleration; its code divides by 1000 for g.
    (FUSION, 0x04): (Register("corrected_accel", (Quantity("accel_g", "f", 3, scale=1 / 1000), _ACCURACY)),),
    (FUSION, 0x05): (Register("corrected_gyro", (Quantity("gyro_dps", "f", 3), _ACCURACY)),),
    (FUSION, 0x06): (Register("corrected_mag", (Quantity("mag_ut", "f", 3), _ACCURACY)),),
    (FUSION, 0x07): (Register("quaternion", (Quantity("quaternion_wxyz", "f", 4),)),),
    (FUSION, 0x08): (
        Register(
            "euler",
            tuple(Quantity(f"{angle}_deg", "f") for angle in ("heading", "pitch", "roll", "yaw")),
        ),
    ),
    (FUSION, 0x09): (Register("gravity", (Quantity("gravity_g", "f", 3, scale=1 / STANDARD_GRAVITY),)),),
    (FUSION, 0x0A): (Register("linear_accel", (Quantity("linear_accel_g", "f", 3, scale=1 / STANDARD_GRAVITY),)),),
    (FUSION, 0x0B): (
        Register(
            "calibration_state",
            tuple(Quantity(f"{sensor}_calibration", "B") for sensor in ("accel", "gyro", "mag")),
        ),
    ),
}


def packed_register(module: int, implementation: Implementation) -> int:
    """Give the register that carries three samples of accelerometer or gyro."""
    return next(
        register
        for (owner, register), meanings in REGISTERS.items()
        if owner == module and any(m.name == "packed_data" and m.implementation == implementation for m in meanings)
    )
