"""Polar's data frames, written: single ones from decoded values, and the running stream that a sensor sends."""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from gonio.drivers.codecs.polar_delta import Packer, Whole
from gonio.drivers.codecs.polar_frames import COMPRESSED, LAYOUTS, Layout, raw_content, read_frame, write_frame
from gonio.drivers.codecs.polar_show import CALIBRATIONS
from gonio.drivers.codecs.polar_time import NANOSECONDS
from gonio.drivers.errors import CodecError
from gonio.drivers.fields import TO_SI
from gonio.errors import UsageError
from gonio.firmware_profiles.parts import Number
from gonio.signal.consts import FloatArray

_MILLI: Final = 1000

#: Bytes of a frame at most: what the maker's MTU of 232 carries.
FRAME_BYTES: Final = 229
_HEADER_BYTES: Final = 10

#: Samples of a compressed frame at most: captured ones have 60 and 63 at 52 Hz, though the first had room for more.
FRAME_SAMPLES: Final = 60

#: Where the sensor's calendar stands after it was without power: 2019-01-01, in ns since 2000.
POWER_ON_NS: Final = 599_616_000 * NANOSECONDS

_KEYS: Final[Mapping[str, str]] = {
    "acc": "samples_mg",
    "gyro": "samples_dps",
    "mag": "samples_gauss",
    "ecg": "samples_uv",
    "ppg": "samples_raw",
}


def write_decoded(values: Mapping[str, object]) -> bytes:
    """Write a frame from values in the form of ``show_frame``.

    Args:
        values: ``measurement``, ``frame`` ("raw type 1"), ``timestamp_ns``, the samples, and ``factor`` (default 1).

    Raises:
        CodecError: a value is missing or does not fit.
    """
    try:
        measurement, timestamp_ns = str(values["measurement"]), values["timestamp_ns"]
        packing, _, kind, *_ = str(values["frame"]).split()
        compressed = packing == "compressed"
        layout = LAYOUTS[measurement, compressed, int(kind)]
        numbers = _numbers(measurement, int(kind), layout, values)
        if not isinstance(timestamp_ns, int):
            raise CodecError(f"timestamp_ns is a whole number, not {timestamp_ns!r}")
    except (KeyError, ValueError, TypeError, OverflowError) as error:
        raise CodecError(f"no frame can be written from {', '.join(values)}: {error}") from error
    content = pack(numbers, layout) if compressed else raw_content(numbers, layout.bits // 8)
    return write_frame(measurement, timestamp_ns, int(kind) | (COMPRESSED if compressed else 0), content)


def _numbers(measurement: str, kind: int, layout: Layout, values: Mapping[str, object]) -> Whole:
    """Give the numbers on the wire (n, channels)."""
    exact = measurement == "acc" and "samples_raw" in values
    key = "samples_raw" if exact else _KEYS[measurement]
    shown = np.array(values[key], np.float64)
    shown = shown.reshape(-1, 1) if measurement == "ecg" else shown.reshape(-1, min(layout.channels, shown.shape[-1]))
    if exact or measurement in ("ecg", "ppg"):
        return np.rint(shown).astype(np.int64)
    if measurement == "acc":
        factor = float(str(values["factor"])) * _MILLI if "factor" in values else 1.0
        return np.rint(shown / factor).astype(np.int64)
    if measurement == "mag" and kind == 1:
        status = [CALIBRATIONS.index(str(name)) for name in _listed(values["calibration_status"])]
        return np.column_stack((np.rint(shown * _MILLI).astype(np.int64), status))
    plain = shown / float(str(values.get("factor", 1.0)))
    return _patterns(plain) if layout.pattern else np.rint(plain).astype(np.int64)


def _listed(value: object) -> Sequence[object]:
    if not isinstance(value, list | tuple):
        raise CodecError(f"a list is needed, not {value!r}")
    return value


def _patterns(values: FloatArray) -> Whole:
    """Give the bit patterns of float32 as signed numbers."""
    patterns: Whole = values.astype(np.float32).view(np.int32).astype(np.int64)
    return patterns


def pack(numbers: Whole, layout: Layout) -> bytes:
    """Compress numbers (n, channels), n at least 1.

    Raises:
        CodecError: the first sample does not fit, or there is none.
    """
    packer = Packer(layout.channels, (layout.bits + 7) // 8)
    for sample in numbers.tolist():
        packer.add(sample)
    try:
        return packer.bytes() if packer.samples else _nothing()
    except OverflowError as error:
        raise CodecError(f"a number does not fit into {layout.bits} bits") from error


def _nothing() -> bytes:
    raise CodecError("a compressed frame has at least one sample")


class PolarWriter:
    """Writes what a sensor streams (``MotionWriter``): frames of acceleration, each with one of angular velocity.

    A Verity Sense compresses; how far a frame reaches depends on what is in it. Acceleration and angular velocity are
    sent in frames of the same samples here, which a real one need not do. A sensor without a gyroscope (H10, OH1)
    does not compress.
    """

    def __init__(self, settings: Mapping[str, Number], *, gyro: bool, limit: int = FRAME_BYTES) -> None:
        """Prepare for a stream.

        Args:
            settings: ``factor_acc`` and ``factor_gyr``; with 1 the frames carry mg and float32, else counts of it.
            gyro: whether the sensor has one.
            limit: bytes of a frame at most, 60 at least.
        """
        self._gyro = gyro
        self._limit = limit - _HEADER_BYTES
        acc_factor, gyr_factor = float(settings.get("factor_acc", 1.0)), float(settings.get("factor_gyr", 1.0))
        self._acc_type = (COMPRESSED if gyro else 0) | (1 if acc_factor == 1 or not gyro else 0)
        self._gyr_type = COMPRESSED | (1 if gyr_factor == 1 else 0)
        self._acc_step = TO_SI["mg"] if self._acc_type & 1 else acc_factor * TO_SI["g"]
        self._gyr_step = gyr_factor * TO_SI["dps"]
        self._acc_layout = LAYOUTS["acc", gyro, self._acc_type & 1]
        self._gyr_layout = LAYOUTS["gyro", True, self._gyr_type & 1]
        self._most = FRAME_SAMPLES if gyro else self._limit // 6
        self._begin()

    def _begin(self) -> None:
        self._acc = Packer(3, self._acc_layout.bits // 8)
        self._gyr = Packer(3, self._gyr_layout.bits // 8)
        self._plain: list[list[int]] = []
        self._last_ns = 0

    def encode(self, acc: FloatArray, gyr: FloatArray, sensor_s: FloatArray | None = None) -> list[bytes]:
        """Give the notifications that samples fill."""
        if sensor_s is None:
            raise UsageError("the family sends its clock: sensor_s is needed")
        times = (np.rint(sensor_s * NANOSECONDS).astype(np.int64) + POWER_ON_NS).tolist()
        acc_wire = _clipped(acc / self._acc_step).tolist()
        gyr_wire = self._gyr_wire(gyr).tolist() if self._gyro else [[]] * len(times)
        values: list[bytes] = []
        for time_ns, acc_sample, gyr_sample in zip(times, acc_wire, gyr_wire, strict=True):
            if not self._takes(acc_sample, gyr_sample):
                values += self.finish()
                self._takes(acc_sample, gyr_sample)
            self._last_ns = time_ns
            if len(self._plain) == self._most:
                values += self.finish()
        return values

    def _gyr_wire(self, gyr: FloatArray) -> Whole:
        return _patterns(gyr / self._gyr_step) if self._gyr_layout.pattern else _clipped(gyr / self._gyr_step)

    def _takes(self, acc: list[int], gyr: list[int]) -> bool:
        """Take a sample into the frames that are being filled, unless it makes one too long."""
        if self._gyro:
            if max(self._acc.size_with(acc), self._gyr.size_with(gyr)) > self._limit:
                return False
            self._acc.add(acc)
            self._gyr.add(gyr)
        self._plain.append(acc)
        return True

    def samples_in(self, value: bytes) -> int:
        """Samples that a notification of this writer completes: those of the kind that comes last."""
        frame = read_frame(value)
        if frame.unpacked is None or (self._gyro and frame.measurement == "acc"):
            return 0
        return len(frame.unpacked.samples)

    def finish(self) -> list[bytes]:
        """Give what was kept."""
        if not self._plain:
            return []
        if self._gyro:
            values = [
                write_frame("acc", self._last_ns, self._acc_type, self._acc.bytes()),
                write_frame("gyro", self._last_ns, self._gyr_type, self._gyr.bytes()),
            ]
        else:
            content = raw_content(np.array(self._plain, np.int64), self._acc_layout.bits // 8)
            values = [write_frame("acc", self._last_ns, self._acc_type, content)]
        self._begin()
        return values


def _clipped(wire: FloatArray) -> Whole:
    """Round to whole numbers of 16 bits; beyond their range they stay at its end."""
    clipped: Whole = np.clip(np.rint(wire), -(2**15), 2**15 - 1).astype(np.int64)
    return clipped
