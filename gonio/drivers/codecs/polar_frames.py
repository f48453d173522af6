"""The data frames of Polar's measurement service (PMD): header, samples, and what ``gonio decode`` shows of them.

Source: Polar's ``online_measurement.pdf`` (August 2024); the layouts of ECG, PPG and pulse intervals as public H10
and OH1 clients read them.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np

from gonio.drivers.codecs.polar_delta import Unpacked, Whole, unpack
from gonio.drivers.codecs.polar_time import EPOCH_UNIX_S
from gonio.drivers.errors import CodecError
from gonio.signal.consts import FloatArray

#: Measurements by their number on the wire, which is also their bit among the features.
MEASUREMENTS: Final[Mapping[int, str]] = {
    0: "ecg",
    1: "ppg",
    2: "acc",
    3: "ppi",
    5: "gyro",
    6: "mag",
    7: "skin_temperature",
    9: "sdk_mode",
    10: "location",
    11: "pressure",
    12: "temperature",
    13: "offline_recording",
    14: "offline_hr",
}

HEADER: Final = struct.Struct("<BQB")
COMPRESSED: Final = 0x80
_TYPE_BITS: Final = 0x7F


@dataclass(frozen=True, slots=True)
class Layout:
    """How the samples of one kind of frame lie.

    Attributes:
        channels: numbers in a sample.
        bits: of a number (of the reference, where the frame is compressed).
        pattern: the number is the bit pattern of a float32.
    """

    channels: int
    bits: int
    pattern: bool = False


#: By measurement, whether it is compressed, and type.
LAYOUTS: Final[Mapping[tuple[str, bool, int], Layout]] = {
    ("ecg", False, 0): Layout(1, 24),
    ("ppg", False, 0): Layout(4, 24),
    ("ppg", True, 0): Layout(4, 24),
    ("acc", False, 0): Layout(3, 8),
    ("acc", False, 1): Layout(3, 16),
    ("acc", False, 2): Layout(3, 24),
    ("acc", True, 0): Layout(3, 16),
    ("acc", True, 1): Layout(3, 16),
    ("gyro", True, 0): Layout(3, 16),
    ("gyro", True, 1): Layout(3, 32, pattern=True),
    ("mag", True, 0): Layout(3, 16),
    ("mag", True, 1): Layout(4, 16),
}


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """A data frame.

    Attributes:
        measurement: what was measured.
        compressed: whether the samples were compressed.
        kind: the frame's type.
        timestamp_ns: when the last sample was taken, ns since 2000 on the sensor's clock.
        layout: how the samples lie; None for a kind that is not known.
        content: the bytes behind the header.
        unpacked: the samples; None for a kind that is not known.
    """

    measurement: str
    compressed: bool
    kind: int
    timestamp_ns: int
    layout: Layout | None
    content: bytes
    unpacked: Unpacked | None

    @property
    def title(self) -> str:
        """Name of the frame's kind."""
        title = f"{'compressed' if self.compressed else 'raw'} type {self.kind}"
        if self.layout is not None and self.layout.pattern:
            title += " (deltas are applied to the IEEE-754 bit pattern)"
        return title

    @property
    def time_utc(self) -> str | None:
        """The time as a calendar's, to µs; None after its end."""
        since = timedelta(microseconds=round(self.timestamp_ns / 1000))
        try:
            moment = datetime.fromtimestamp(EPOCH_UNIX_S, UTC) + since
        except OverflowError:
            return None
        return moment.replace(tzinfo=None).isoformat()

    def values(self, scale: float) -> FloatArray:
        """Give (n, channels) the samples times a factor; a float32 by its bit pattern."""
        if self.unpacked is None or self.layout is None:
            return np.empty((0, 0))
        numbers = self.unpacked.samples
        if self.layout.pattern:
            with np.errstate(invalid="ignore"):  # a signalling NaN warns when it is converted
                return (numbers & 0xFFFFFFFF).astype(np.uint32).view(np.float32).astype(np.float64) * scale
        values: FloatArray = numbers.astype(np.float64) * scale
        return values


def read_frame(data: bytes, *, resolution_bits: int | None = None, channels: int | None = None) -> Frame:
    """Take a frame apart.

    Args:
        data: the notification.
        resolution_bits: of a compressed frame's numbers, where it is not the usual one for its kind.
        channels: of a compressed frame, likewise.

    Raises:
        CodecError: no whole header, an unknown measurement, or blocks that no sensor sends.
    """
    if len(data) < HEADER.size:
        raise CodecError(f"{len(data)} bytes are less than the header of a frame")
    number, timestamp_ns, kind = HEADER.unpack_from(data)
    measurement = MEASUREMENTS.get(number & _TYPE_BITS)
    if measurement is None:
        raise CodecError(f"no measurement has the number {number & _TYPE_BITS}")
    compressed, kind = bool(kind & COMPRESSED), kind & _TYPE_BITS
    layout = LAYOUTS.get((measurement, compressed, kind))
    content = data[HEADER.size :]
    if layout is None:
        return Frame(measurement, compressed, kind, timestamp_ns, None, content, None)
    if compressed:
        layout = Layout(channels or layout.channels, resolution_bits or layout.bits, layout.pattern)
        unpacked = unpack(content, layout.channels, (layout.bits + 7) // 8)
    else:
        unpacked = _raw_samples(content, layout.channels, layout.bits // 8)
    return Frame(measurement, compressed, kind, timestamp_ns, layout, content, unpacked)


def _raw_samples(content: bytes, channels: int, size: int) -> Unpacked:
    """Read the whole samples of a frame that is not compressed."""
    count = len(content) // (channels * size)
    octets = np.frombuffer(content, np.uint8, count * channels * size).reshape(-1, size)
    numbers = np.zeros(len(octets), np.int64)
    for place in range(size):
        numbers |= octets[:, place].astype(np.int64) << (8 * place)
    numbers -= (numbers >> (8 * size - 1)) << (8 * size)
    return Unpacked(numbers.reshape(count, channels), (), truncated=len(content) != count * channels * size)


def write_frame(measurement: str, timestamp_ns: int, frame_type: int, content: bytes) -> bytes:
    """Put a frame together.

    Args:
        measurement: as in ``MEASUREMENTS``.
        timestamp_ns: when the last sample was taken, ns since 2000.
        frame_type: type, with ``COMPRESSED`` where it is.
        content: the samples' bytes.

    Raises:
        CodecError: no such measurement, or a time or type that does not fit.
    """
    number = next((code for code, name in MEASUREMENTS.items() if name == measurement), None)
    if number is None or not 0 <= timestamp_ns < 2**64 or not 0 <= frame_type < 256:  # noqa: PLR2004 - the wire's sizes
        raise CodecError(f"no frame of {measurement!r} with type {frame_type} at {timestamp_ns} ns can be written")
    return HEADER.pack(number, timestamp_ns, frame_type) + content


def raw_content(samples: Whole, size: int) -> bytes:
    """Write samples that are not compressed.

    Args:
        samples: (n, channels) numbers.
        size: bytes of each.

    Raises:
        CodecError: a number does not fit.
    """
    if len(samples) and not -(1 << (8 * size - 1)) <= samples.min() <= samples.max() < 1 << (8 * size - 1):
        raise CodecError(f"a number does not fit into {size} bytes")
    octets = (samples.reshape(-1, 1) >> (8 * np.arange(size))) & 0xFF
    return octets.astype(np.uint8).tobytes()
