"""A sensor's samples summed up a quarter of a second at a time: what the watches for faults look at."""

import math
from operator import sub
from typing import Final, NamedTuple

import numpy as np

from gonio.signal.chunks import TimedChunk
from gonio.signal.consts import FloatArray

#: How much time one look sums up, s: a fault is named that late, and a leg that moves at 60 °/s turns 15° meanwhile.
LOOK_S: Final = 0.25
#: Samples of a look at least, so that its spread means something at low rates.
MIN_SAMPLES: Final = 5
#: A look is still when no axis of the accelerometer varies by more than this, m/s², and none of the gyroscope, rad/s:
#: above the noise of every wearable's sensor (0.02 rad/s at most in ten recordings), below a leg that does something.
STILL_ACC, STILL_GYR = 0.4, 0.06


class Look(NamedTuple):
    """Consecutive samples of one sensor, summed up; lists hold the accelerometer's axes, then the gyroscope's.

    Attributes:
        begin_s: kit's clock at the first sample, s.
        end_s: at the last.
        low: smallest value of each axis, m/s² and rad/s.
        high: largest.
        mean: mean.
        acc_spread: largest range of an axis of the accelerometer, m/s².
        gyr_spread: likewise of the gyroscope, rad/s.
        held: how many axes of accelerometer and gyroscope did not change by a single bit.
        rows: (n, 6) the samples.
    """

    begin_s: float
    end_s: float
    low: list[float]
    high: list[float]
    mean: list[float]
    acc_spread: float
    gyr_spread: float
    held: tuple[int, int]
    rows: FloatArray

    @property
    def still(self) -> bool:
        """Whether nothing moved."""
        return self.acc_spread < STILL_ACC and self.gyr_spread < STILL_GYR

    @property
    def force(self) -> float:
        """Length of the mean specific force, m/s²."""
        x, y, z = self.mean[:3]
        return math.sqrt(x * x + y * y + z * z)


def angle(one: list[float], other: list[float]) -> float:
    """Give the angle between the mean forces of two looks, rad."""
    ax, ay, az = one[:3]
    bx, by, bz = other[:3]
    size = math.sqrt((ax * ax + ay * ay + az * az) * (bx * bx + by * by + bz * bz))
    return math.acos(max(-1.0, min(1.0, (ax * bx + ay * by + az * bz) / size))) if size > 0 else 0.0


class Looker:
    """Cuts a stream into looks, by the number of the sample."""

    def __init__(self, rate_hz: float) -> None:
        """Begin a stream of a nominal rate, Hz."""
        self.samples = max(MIN_SAMPLES, round(LOOK_S * rate_hz))
        self._rows = np.empty((self.samples, 6))
        self._begin_s = 0.0
        self._filled = 0

    @property
    def room(self) -> int:
        """Samples until the look is complete."""
        return self.samples - self._filled

    def add(self, chunk: TimedChunk, part: slice) -> Look | None:
        """Take no more samples of a chunk than there is room for; give the look that they complete."""
        begin = self._filled
        end = self._filled = begin + part.stop - part.start
        if begin == 0:
            self._begin_s = chunk.t_s.item(part.start)
        self._rows[begin:end, :3] = chunk.acc[part]
        self._rows[begin:end, 3:] = chunk.gyr[part]
        if end < self.samples:
            return None
        rows, n = self._rows, self.samples
        self._rows, self._filled = np.empty((n, 6)), 0
        low, high = np.minimum.reduce(rows).tolist(), np.maximum.reduce(rows).tolist()
        mean = [total / n for total in np.add.reduce(rows).tolist()]
        ax, ay, az, gx, gy, gz = map(sub, high, low)
        return Look(
            self._begin_s,
            chunk.t_s.item(part.stop - 1),
            low,
            high,
            mean,
            max(ax, ay, az),
            max(gx, gy, gz),
            ((ax == 0.0) + (ay == 0.0) + (az == 0.0), (gx == 0.0) + (gy == 0.0) + (gz == 0.0)),
            rows,
        )
