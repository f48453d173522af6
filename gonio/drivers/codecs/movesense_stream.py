"""The running stream of a Movesense sensor: packets of acceleration and angular velocity (IMU6), whole or in two.

A packet is whole when it holds the samples that its rate asks for. One with fewer can be the first part of one, or a
whole one of a firmware that sends fewer: it is kept until the next packet tells. Parts carry no number: where the
second part of one packet and the first of the next are both lost, only the time between the two that are left shows
that they do not belong together.
"""

import itertools
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np

from gonio.drivers.codecs.base import Notification
from gonio.drivers.codecs.clock import SensorClock
from gonio.drivers.codecs.movesense_data import SAMPLES_AT, STAMP, Path, write_payload
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
_MOST_DPS: Final = 2100.0
_MOST: Final = np.array([[_MOST_ACC], [_MOST_DPS]])

#: The second part follows the first at once, the next packet's after its own samples: later than this share of a
#: packet's time it is believed to be another's.
_SOON: Final = 0.75

_TICK_S: Final = 0.001
_BITS: Final = 32


class _Payload(NamedTuple):
    """The bytes behind a packet's head, parts put together, and when the last of them came."""

    data: bytes
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
        self._held: _Payload | None = None  # may go on in the next notification

    @property
    def restarts(self) -> int:
        """Times the sensor's clock began anew."""
        return self._clock.restarts

    def feed_all(self, notifications: Sequence[Notification]) -> SampleChunk | None:
        """Give the samples that notifications complete, or None; answers to commands are passed over."""
        ready: list[_Payload] = []
        for notification in notifications:
            self._take(notification.data, notification.arrival_ns, ready)
        return self._chunk(ready)

    def finish(self) -> SampleChunk | None:
        """End the stream: give the packet that was kept, if it is whole."""
        ready: list[_Payload] = []
        self._release(ready)
        return self._chunk(ready)

    def _take(self, data: bytes, arrival_ns: int, ready: list[_Payload]) -> None:
        """Add the payloads that a notification completes."""
        if len(data) < HEAD_BYTES or data[0] not in (RESULT, DATA, DATA_PART_2):
            self.malformed += 1
            return
        code, reference, payload = data[0], data[1], data[HEAD_BYTES:]
        if code == RESULT or reference != REFERENCE:
            return
        if code == DATA_PART_2:
            held, self._held = self._held, None
            if held is None or arrival_ns - held.arrival_ns > self._soon_ns:
                self.malformed += 1
            else:
                ready.append(_Payload(held.data + payload, arrival_ns))
            return
        self._release(ready)
        if len(payload) < self._whole_bytes:
            self._held = _Payload(payload, arrival_ns)
        else:
            ready.append(_Payload(payload, arrival_ns))

    def _release(self, ready: list[_Payload]) -> None:
        """Add the packet that was kept: nothing followed that belongs to it."""
        if self._held is not None:
            ready.append(self._held)
            self._held = None

    def _chunk(self, ready: list[_Payload]) -> SampleChunk | None:
        """Give the samples of payloads, those of one size at once; what is not whole or cannot be meant is counted."""
        parts: list[tuple[FloatArray, FloatArray, FloatArray, FloatArray]] = []
        for size, group in itertools.groupby(ready, key=lambda payload: len(payload.data)):
            payloads = list(group)
            if self._path.is_whole(size):
                parts.append(self._samples(payloads, size))
            else:
                self.malformed += len(payloads)
        columns = parts[0] if len(parts) == 1 else [np.concatenate(column) for column in zip(*parts, strict=True)]
        return SampleChunk(*columns) if parts and len(columns[0]) else None

    def _samples(self, payloads: list[_Payload], size: int) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """Give acceleration (n, 3), angular velocity (n, 3), sensor's time (n,) and arrival (n,) of whole payloads."""
        each = (size - STAMP.size) // self._path.row_bytes
        kind = np.dtype([("stamp", "<u4"), ("values", "<f4", (2, each * 3))])
        packets = np.frombuffer(b"".join([payload.data for payload in payloads]), kind)
        arrival_ns = np.array([payload.arrival_ns for payload in payloads], np.int64)
        with np.errstate(invalid="ignore"):  # a signalling NaN warns when it is converted
            values = packets["values"].astype(np.float64)
        good = (np.abs(values) <= _MOST).all(axis=(1, 2))  # no number compares as not within
        if not good.all():
            self.malformed += int(np.count_nonzero(~good))
            packets, values, arrival_ns = packets[good], values[good], arrival_ns[good]
        begins_s = self._clock.unwrap_all(packets["stamp"], arrival_ns)
        sensor_s = (begins_s[:, np.newaxis] + np.arange(each) * self._step_s).ravel()
        acc, gyr = values[:, 0].reshape(-1, 3), values[:, 1].reshape(-1, 3) * TO_SI["dps"]
        return acc, gyr, sensor_s, np.repeat(arrival_ns * 1e-9, each)


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
        inside_gyr = (np.clip(gyr / TO_SI["dps"], -_MOST_DPS, _MOST_DPS)).tolist()
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
