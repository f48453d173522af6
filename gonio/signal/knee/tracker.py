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

    @property
    def sure(self) -> bool:
        """Whether the angle has not been carried on by the gyroscopes for too long."""
        return self._doubt < _MOST_DOUBT

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

    def step(self, up1: Vector, up2: Vector, gyr1: Vector, gyr2: Vector) -> tuple[float, float]:
        """Take one sample ("up" and rad/s in the sensors' frames); give flexion and the thigh's inclination, rad."""
        # the dot products are written out: this runs for every sample
        x, y, z = up1
        u, v, w = gyr1
        (a, b, c), (d, e, f), (g, h, i) = self._thigh
        one = math.atan2(d * x + e * y + f * z, a * x + b * y + c * z)
        along1, rate, turning = g * x + h * y + i * z, g * u + h * v + i * w, u * u + v * v + w * w
        x, y, z = up2
        u, v, w = gyr2
        (a, b, c), (d, e, f), (g, h, i) = self._shank
        two = math.atan2(d * x + e * y + f * z, a * x + b * y + c * z)
        along2 = g * x + h * y + i * z
        rate -= g * u + h * v + i * w
        turning = math.sqrt(max(turning, u * u + v * v + w * w))
        seen = two - one - self.frame.straight
        if self._angle is None:
            self._angle = (seen + math.pi) % _TWO_PI - math.pi
        steep = max(along1 * along1, along2 * along2)
        flat = 1.0 - steep
        angle = self._angle + rate * self._dt
        gap = (seen - angle + math.pi) % _TWO_PI - math.pi
        doubt = self._doubt + (_DRIFT_RAD_S + _ASTRAY * turning) * self._dt
        poor = _AXIS_ERROR * math.sqrt(steep / (flat + _TINY))
        trust = doubt / (doubt + poor + _TINY)
        trust *= trust
        gain = self._gain * trust * trust * trust
        self._angle = angle = angle + gain * gap
        self._doubt = doubt + gain * (poor - doubt)
        return angle, (self.frame.upright - one + math.pi) % _TWO_PI - math.pi


def _dot(a: Vector, b: Vector) -> float:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
