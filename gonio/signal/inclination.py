"""A sensor without a gyroscope: which way is up, from its accelerometer alone.

Method
    The specific force is gravity while the segment does not accelerate, and gravity with something added while it does.
    It is smoothed by two first-order low-passes in a row; its direction is taken for "up". The turning of that
    direction gives the part of the angular velocity that is level; turning about the vertical is not seen at all.
What it is good for
    To see a leg leave its rest and come back: repetitions, and how far each tilts the leg (within 6° of the truth in
    the simulator). Their times are late by both time constants, 0.3 s.
Why no knee angle is made of it
    Even with both axes and the zero taken from gyroscopes, the difference of two such inclinations was off by 13.5°
    (RMSE) in recorded slow knee bends with walking between them, by 50° at the worst, and in fast cutting by 12.3° and
    69°. Smoothing half as much takes 4° off the RMSE of the bends and leaves 45° at the worst, and 90° in cutting. And
    without gyroscopes axes, flexion's sense and zero would have to be learnt from the same.
"""

import math
from typing import Final

import numpy as np

from gonio.signal.consts import FloatArray
from gonio.signal.orient import Attitude

#: Time constant of each of the two low-passes, s.
_SMOOTH_S: Final = 0.15
_TINY: Final = 1e-9


class InclinationFilter:
    """One sensor's "up", sample after sample, in plain floats: the same whatever the chunks."""

    def __init__(self, rate_hz: float) -> None:
        """Begin without knowledge.

        Args:
            rate_hz: rate of the grid, Hz, above 0.
        """
        if not rate_hz > 0:
            raise ValueError("rate_hz must be above 0")
        self._rate = rate_hz
        self._share = 1.0 - math.exp(-1.0 / (_SMOOTH_S * rate_hz))
        self._first: tuple[float, float, float] | None = None  # after the first low-pass, m/s²
        self._second = (0.0, 0.0, 0.0)
        self._up = (0.0, 0.0, 1.0)

    def feed(self, acc: FloatArray) -> Attitude:
        """Take consecutive samples of the specific force (n, 3), m/s².

        Returns:
            "Up" and the level part of the angular velocity; the quaternion, whose heading nothing tells, is NaN.
        """
        n = len(acc)
        ups, turns = np.empty((n, 3)), np.empty((n, 3))
        share, rate = self._share, self._rate
        for i, (x, y, z) in enumerate(acc.tolist()):
            begins = self._first is None
            a, b, c = (x, y, z) if self._first is None else self._first
            d, e, f = (x, y, z) if begins else self._second
            a += share * (x - a)
            b += share * (y - b)
            c += share * (z - c)
            d += share * (a - d)
            e += share * (b - e)
            f += share * (c - f)
            self._first, self._second = (a, b, c), (d, e, f)
            p, q, r = self._up
            size = math.sqrt(d * d + e * e + f * f)
            u, v, w = (d / size, e / size, f / size) if size > _TINY else (p, q, r)
            self._up = u, v, w
            ups[i] = u, v, w
            # "up" moves in the sensor's frame by up x w: what is level of w is (its rate) x up
            du, dv, dw = (0.0, 0.0, 0.0) if begins else ((u - p) * rate, (v - q) * rate, (w - r) * rate)
            turns[i] = dv * w - dw * v, dw * u - du * w, du * v - dv * u
        return Attitude(np.full((n, 4), math.nan), ups, turns)
