"""The knee's flexion from two inclinations and two gyroscopes, causal, once the axis is known.

The inclination of a segment about the knee's axis is the direction of "up" in the plane normal to the axis, seen
from the sensor. The difference of the two is the flexion, but for a constant: no heading is needed and nothing can
drift. It loses its meaning when the axis comes near the vertical (lying on the side): there the angle is carried on
by the bias-corrected gyroscopes about the axis. How far it may have gone astray so is kept account of: a share of all
turning (the axis is not exact) and the gyroscopes' drift. So is what the inclinations are good for: the steeper the
axis in the sensor that sees it worse, the more an error of its direction shows in them. The blend is a complementary
filter whose gain depends on which of the two doubts is the larger, steeply, so that an angle known well is not given
up for one known badly.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np

from gonio.signal.consts import FloatArray

#: Time constant of the inclination's hold on the angle with the axis horizontal, s.
_BLEND_S: Final = 0.1
#: What carrying the angle on by the gyroscopes adds to its doubt: a share of the turning, and a drift, rad/s.
_ASTRAY, _DRIFT_RAD_S = 0.01, 0.0015
#: Error of the axis's direction in one of the sensors, rad: with the axis at 45° the inclinations are off by as much.
_AXIS_ERROR: Final = math.radians(4.5)
#: Doubt from which on the angle may not be shown, rad.
_MOST_DOUBT: Final = math.radians(5.0)
_TINY: Final = 1e-6
_TWO_PI: Final = 2.0 * math.pi

Vector: TypeAlias = Sequence[float]


def plane(axis: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Give two unit vectors (3,) that span the plane normal to a unit axis, right-handed with it."""
    x, y, z = axis.tolist()
    sides = ((0.0, z, -y), (-z, 0.0, x), (y, -x, 0.0))  # the axis crossed with x, y and z
    a, b, c = max(sides, key=lambda side: _dot(side, side))
    norm = math.sqrt(a * a + b * b + c * c)
    a, b, c = a / norm, b / norm, c / norm
    return np.array((a, b, c)), np.array((y * c - z * b, z * a - x * c, x * b - y * a))


def inclination(up: FloatArray, axis: FloatArray) -> FloatArray:
    """Give the direction (n,) in rad of "up" (n, 3) about a unit axis (3,), from a basis fixed to the sensor."""
    first, second = plane(axis)
    return np.arctan2(up @ second, up @ first)


def wrap(angle: FloatArray) -> FloatArray:
    """Bring angles in rad into -pi to pi."""
    return np.asarray((angle + np.pi) % _TWO_PI - np.pi)


@dataclass(frozen=True, slots=True, eq=False)
class KneeFrame:
    """What turns two sensors' attitudes into flexion.

    Attributes:
        thigh: (3,) the knee's unit axis in the thigh sensor's frame, turned so that flexion comes out positive.
        shank: (3,) the same in the shank sensor's frame.
        straight: difference of the inclinations of the straight leg, rad.
        upright: the thigh's inclination in standing, rad; NaN when it is not known.
    """

    thigh: FloatArray
    shank: FloatArray
    straight: float
    upright: float


class KneeTracker:
    """The angle, sample after sample, in plain floats: the same whatever the chunks."""

    def __init__(self, frame: KneeFrame, rate_hz: float) -> None:
        """Begin with the first sample's inclinations.

        Args:
            frame: the axes and zeros.
            rate_hz: rate of the grid, Hz.
        """
        self._dt = 1.0 / rate_hz
        self._gain = min(1.0, self._dt / _BLEND_S)
        self._angle: float | None = None
        self._doubt = 0.0
        self._set(frame)

    def _set(self, frame: KneeFrame) -> None:
        self.frame = frame
        self._thigh, self._shank = (
            (*(v.tolist() for v in plane(axis)), axis.tolist()) for axis in (frame.thigh, frame.shank)
        )

    def retune(self, frame: KneeFrame, up1: Vector, up2: Vector) -> float:
        """Take a better frame from here on, given "up" now; returns by how much the angle moves, rad."""
        before = self._difference(up1, up2)
        kept = self._angle
        self._set(frame)
        if kept is None:
            return 0.0
        moved = self._difference(up1, up2) - before
        moved = (moved + math.pi) % _TWO_PI - math.pi
        self._angle = kept + moved
        return moved

    def _difference(self, up1: Vector, up2: Vector) -> float:
        one, two = (
            math.atan2(_dot(up, second), _dot(up, first))
            for up, (first, second, _) in ((up1, self._thigh), (up2, self._shank))
        )
        return (two - one - self.frame.straight + math.pi) % _TWO_PI - math.pi

    def run(
        self,
        up1: Sequence[Vector],
        up2: Sequence[Vector],
        gyr1: Sequence[Vector],
        gyr2: Sequence[Vector],
        speed: Sequence[float],
    ) -> tuple[list[float], list[float], list[bool]]:
        """Take consecutive samples.

        Args:
            up1: "up" in the thigh sensor's frame.
            up2: "up" in the shank sensor's frame.
            gyr1: angular velocity of the thigh's sensor, rad/s, in its frame.
            gyr2: angular velocity of the shank's sensor, rad/s, in its frame.
            speed: angular speed of the faster sensor, rad/s.

        Returns:
            Flexion and the thigh's inclination, rad, and whether the flexion has not been carried on by the gyroscopes
            for too long.
        """
        # the dot products are written out and the names are local: this runs for every sample
        (a, b, c), (d, e, f), (g, h, i) = self._thigh
        (j, k, m), (n, p, q), (r, s, t) = self._shank
        atan2, sqrt, pi = math.atan2, math.sqrt, math.pi
        dt, blend, straight, upright = self._dt, self._gain, self.frame.straight, self.frame.upright
        angle, doubt = self._angle, self._doubt
        flexion, thigh, sure = [], [], []
        samples = zip(up1, gyr1, up2, gyr2, speed, strict=True)
        for (x1, y1, z1), (u1, v1, w1), (x2, y2, z2), (u2, v2, w2), turning in samples:
            one = atan2(d * x1 + e * y1 + f * z1, a * x1 + b * y1 + c * z1)
            seen = atan2(n * x2 + p * y2 + q * z2, j * x2 + k * y2 + m * z2) - one - straight
            if angle is None:
                angle = (seen + pi) % _TWO_PI - pi
            along1, along2 = g * x1 + h * y1 + i * z1, r * x2 + s * y2 + t * z2
            steep = max(along1 * along1, along2 * along2)
            poor = _AXIS_ERROR * sqrt(steep / (1.0 - steep + _TINY))
            angle += (g * u1 + h * v1 + i * w1 - (r * u2 + s * v2 + t * w2)) * dt
            doubt += (_DRIFT_RAD_S + _ASTRAY * turning) * dt
            trust = doubt / (doubt + poor + _TINY)
            trust *= trust
            gain = blend * trust * trust * trust
            angle += gain * ((seen - angle + pi) % _TWO_PI - pi)
            doubt += gain * (poor - doubt)
            flexion.append(angle)
            thigh.append((upright - one + pi) % _TWO_PI - pi)
            sure.append(doubt < _MOST_DOUBT)
        self._angle, self._doubt = angle, doubt
        return flexion, thigh, sure


def _dot(a: Vector, b: Vector) -> float:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
