"""The running stream of a Movesense sensor: packets of acceleration and angular velocity (IMU6), whole or in two.

A packet is whole when it holds the samples that its rate asks for. One with fewer can be the first part of one, or a
whole one of a firmware that sends fewer: it is kept until the next packet tells. Parts carry no number: where the
second part of one packet and the first of the next are both lost, only the time between the two that are left shows
that they do not belong together.
"""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np

from gonio.drivers.codecs.base import Notification
from gonio.drivers.codecs.clock import SensorClock
from gonio.drivers.codecs.movesense_data import SAMPLES_AT, STAMP, Path, motion_rows, write_payload
from gonio.drivers.codecs.movesense_packets import DATA, DATA_PART_2, HEAD_BYTES, RESULT, write_data
from gonio.drivers.fields import TO_SI
from gonio.errors import UsageError
from gonio.firmware_profiles.parts import Number
from gonio.signal.chunks import SampleChunk
from gonio.signal.consts import FloatArray

#: Reference of the motion's subscription, as the profile's commands have it.
REFERENCE: Final = 1

#: Bytes of a notification at most, with the MTU of 161 that the maker's sensors ask for.
NOTIFICATION_BYTES: Final = 158

#: The sensor's largest ranges (16 g, 2000 dps), with some room.
_MOST_ACC: Final = 16.5 * TO_SI["g"]
_MOST_GYR: Final = 2100 * TO_SI["dps"]

#: The second part follows the first at once, the next packet's after its own samples: later than this share of a
#: packet's time it is believed to be another's.
_SOON: Final = 0.75

_TICK_S: Final = 0.001
_BITS: Final = 32


class _Samples(NamedTuple):
    """Those of one packet: (n, 3) m/s², (n, 3) rad/s, (n,) s, and when it came."""

    acc: FloatArray
    gyr: FloatArray
    sensor_s: FloatArray
    arrival_ns: int


class MovesenseReader:
    """Reads the notifications of one stream (``MotionReader``). It holds back one packet at most.

    Attributes:
        malformed: packets that are none of the stream, parts without the other part, and impossible values.
    """

    def __init__(self, settings: Mapping[str, Number]) -> None:
        """Begin with a stream at ``rate_hz``."""
        rate_hz = settings["rate_hz"]
        self.malformed = 0
        self._path = Path("", "imu6", int(rate_hz))
        self._step_s = 1.0 / rate_hz
        self._whole_bytes = STAMP.size + SAMPLES_AT[int(rate_hz)] * self._path.row_bytes
        self._soon_ns = _SOON * SAMPLES_AT[int(rate_hz)] / rate_hz * 1e9
        self._clock = SensorClock(_TICK_S, _BITS)
        self._held: tuple[bytes, int] | None = None  # a payload that may go on, and its arrival

    @property
    def restarts(self) -> int:
        """Times the sensor's clock began anew."""
        return self._clock.restarts

    def feed_all(self, notifications: Sequence[Notification]) -> SampleChunk | None:
        """Give the samples that notifications complete, or None; answers to commands are passed over."""
        parts: list[_Samples | None] = []
        for notification in notifications:
            parts += self._take(notification.data, notification.arrival_ns)
        return _chunk([part for part in parts if part is not None])

    def finish(self) -> SampleChunk | None:
        """End the stream: give the packet that was kept, if it is whole."""
        last = self._release()
        return None if last is None else _chunk([last])

    def _take(self, data: bytes, arrival_ns: int) -> list[_Samples | None]:
        if len(data) < HEAD_BYTES or data[0] not in (RESULT, DATA, DATA_PART_2):
            self.malformed += 1
            return []
        code, reference, payload = data[0], data[1], data[HEAD_BYTES:]
        if code == RESULT or reference != REFERENCE:
            return []
        if code == DATA_PART_2:
            held, self._held = self._held, None
            together = held is not None and arrival_ns - held[1] <= self._soon_ns
            return [self._samples(held[0] + payload if held and together else b"", arrival_ns)]
        before = [self._release()]
        if len(payload) < self._whole_bytes:
            self._held = payload, arrival_ns
            return before
        return [*before, self._samples(payload, arrival_ns)]

    def _release(self) -> _Samples | None:
        """Give the packet that was kept: nothing followed that belongs to it."""
        held, self._held = self._held, None
        return None if held is None else self._samples(*held)

    def _samples(self, payload: bytes, arrival_ns: int) -> _Samples | None:
        """Give the samples of a whole payload, or count it."""
        if self._path.is_whole(len(payload)):
            acc, gyr = motion_rows(self._path, payload)
            gyr = gyr * TO_SI["dps"]
            if (np.abs(acc) <= _MOST_ACC).all() and (np.abs(gyr) <= _MOST_GYR).all():  # no number is not within
                begin_s = self._clock.unwrap(STAMP.unpack_from(payload)[0], arrival_ns)
                return _Samples(acc, gyr, begin_s + np.arange(len(acc), dtype=np.float64) * self._step_s, arrival_ns)
        self.malformed += 1
        return None


def _chunk(parts: list[_Samples]) -> SampleChunk | None:
    if not parts:
        return None
    counts = [len(part.acc) for part in parts]
    return SampleChunk(
        np.concatenate([part.acc for part in parts]),
        np.concatenate([part.gyr for part in parts]),
        np.concatenate([part.sensor_s for part in parts]),
        np.repeat(np.array([part.arrival_ns for part in parts]) * 1e-9, counts),
    )


class MovesenseWriter:
    """Writes what a sensor streams (``MotionWriter``).

    Attributes:
        parts: notifications that a packet takes.
    """

    def __init__(self, settings: Mapping[str, Number], limit: int = NOTIFICATION_BYTES) -> None:
        """Prepare for a stream.

        Args:
            settings: ``rate_hz``.
            limit: bytes of a notification at most.
        """
        rate_hz = int(settings["rate_hz"])
        self._path = Path("", "imu6", rate_hz)
        self._each = SAMPLES_AT[rate_hz]
        self._limit = limit
        self.parts = 1 if HEAD_BYTES + STAMP.size + self._each * self._path.row_bytes <= limit else 2
        self._rows: list[tuple[list[float], list[float], float]] = []

    def encode(self, acc: FloatArray, gyr: FloatArray, sensor_s: FloatArray | None = None) -> list[bytes]:
        """Give the notifications that samples fill."""
        if sensor_s is None:
            raise UsageError("the family sends its clock: sensor_s is needed")
        inside_acc = np.clip(acc, -_MOST_ACC, _MOST_ACC).tolist()
        inside_gyr = (np.clip(gyr, -_MOST_GYR, _MOST_GYR) / TO_SI["dps"]).tolist()
        self._rows += zip(inside_acc, inside_gyr, sensor_s.tolist(), strict=True)
        values: list[bytes] = []
        while len(self._rows) >= self._each:
            values += self._packet(self._each)
        return values

    def finish(self) -> list[bytes]:
        """Give what was kept, as the last packet."""
        return self._packet(len(self._rows)) if self._rows else []

    def samples_in(self, value: bytes) -> int:
        """Samples that a notification of this writer completes: a packet's last part stands for all of them."""
        if value[0] == DATA_PART_2:
            return self._each
        size = len(value) - HEAD_BYTES
        return (size - STAMP.size) // self._path.row_bytes if size != self._limit - HEAD_BYTES else 0

    def _packet(self, count: int) -> list[bytes]:
        rows, self._rows = self._rows[:count], self._rows[count:]
        values = {
            "timestamp_ms": round(rows[0][2] / _TICK_S) % (1 << _BITS),
            "accel_m_s2": [row[0] for row in rows],
            "gyro_dps": [row[1] for row in rows],
        }
        return write_data(REFERENCE, write_payload(self._path, values), self._limit)
