"""Whether the sensors still sit as they sat when the axis was found: looked at ten times a second.

What is looked at
    Thigh and shank share the knee's axis, so its elevation is the same seen from both sensors, in every posture and
    in motion, whatever the two headings are: up · j1 = up · j2. A sensor that is turned on the leg sees another
    elevation as soon as "up" has a part across the turning. On all legs measured here and simulated, walking and
    cutting included, the two stay within 0.11 of each other (over 0.2 s; a hinge rig: 0.02).
    Likewise both sensors see as much turning across the axis (Seel et al. 2014, doi 10.3390/s140406891, use that to
    find the axis). A sensor in somebody's hand turns alone: at most 0.6 of all turning is unshared on a leg.
What follows
    Where they begin to be apart the angle is not ok as long as they are. Doubt: it is not ok from that moment on. What
    was known is then treated as a stored calibration is (``agree``): motion after it confirms it, and the angle is
    known again, or contradicts it, and the sensors were moved.
What cannot be seen
    A sensor turned about the knee's axis alone shifts the zero and nothing else. A sensor turned about the leg's length
    shows once the leg is not upright, or from the motion (the axis no longer fits). The same turn of both sensors by
    180° about the leg's length changes flexion's sense only.
"""

import math
from collections.abc import Sequence
from typing import Final, TypeAlias

from gonio.signal.knee.tracker import KneeFrame, Vector

Vectors: TypeAlias = Sequence[Vector]

_LOOK_HZ: Final = 10.0
#: Difference of the axis's two elevations (as sines) from which the frame is in doubt, and over what time, s: twice
#: the largest of a leg, 11.5°. A joint that is no hinge at all (a hip turned out in a deep squat) may get there too,
#: and is then no angle to be shown either.
_APART, _APART_S = 0.2, 0.2
#: From here on the angle is not shown, until the elevations are nearer again: for a sensor that is being turned passes
#: by here. No doubt yet: cutting came to 0.15 for a moment.
_WARY: Final = 0.12
#: Unshared part of the turning across the axis, over what time, s, and the turning, rad/s, that counts as none: the
#: largest of a leg was 0.59, of a sensor turned alone at 2 rad/s it is 0.8.
_ALONE, _ALONE_S, _ALONE_FLOOR = 0.72, 0.5, 0.5


class Watch:
    """The running look at one frame.

    Attributes:
        doubt: True from the moment on at which the sensors no longer fit the frame; until ``hold``.
    """

    def __init__(self, rate_hz: float) -> None:
        """Begin with nothing to look at, for a grid of a rate in Hz."""
        self._every = max(1, round(rate_hz / _LOOK_HZ))
        step_s = self._every / rate_hz
        self._apart_share = 1.0 - math.exp(-step_s / _APART_S)
        self._alone_share = 1.0 - math.exp(-step_s / _ALONE_S)
        self._thigh: list[float] = []
        self._shank: list[float] = []
        self._count = 0
        self._apart = self._unshared = self._turning = 0.0
        self._wary = False
        self.doubt = False

    def hold(self, frame: KneeFrame, *, anew: bool) -> None:
        """Look at a frame from here on; ``anew``: after a time without one, or in place of one in doubt."""
        self._thigh, self._shank = frame.thigh.tolist(), frame.shank.tolist()
        if anew:
            self._apart = self._unshared = self._turning = 0.0
            self._wary = self.doubt = False

    def feed(self, up1: Vectors, up2: Vectors, gyr1: Vectors, gyr2: Vectors) -> list[bool]:
        """Take consecutive samples, "up" and rad/s in the sensors' frames; tell of each whether there is no doubt."""
        n = len(up1)
        fits, wary = [not (self.doubt or self._wary)] * n, self._wary
        (a, b, c), (d, e, f) = self._thigh, self._shank
        apart, unshared, turning = self._apart, self._unshared, self._turning
        for k in range(self._every - 1 - self._count, n, self._every):
            (x, y, z), (u, v, w) = up1[k], up2[k]
            apart += self._apart_share * (a * x + b * y + c * z - d * u - e * v - f * w - apart)
            (x, y, z), (u, v, w) = gyr1[k], gyr2[k]
            along = a * x + b * y + c * z
            one = math.sqrt(max(0.0, x * x + y * y + z * z - along * along))
            along = d * u + e * v + f * w
            two = math.sqrt(max(0.0, u * u + v * v + w * w - along * along))
            unshared += self._alone_share * (abs(one - two) - unshared)
            turning += self._alone_share * (one + two - turning)
            if abs(apart) > _APART or unshared > _ALONE * (turning + _ALONE_FLOOR):
                self.doubt = True
            if self.doubt or wary is not (abs(apart) > _WARY):
                wary = abs(apart) > _WARY
                fits[k:] = [not (self.doubt or wary)] * (n - k)
        self._apart, self._unshared, self._turning, self._wary = apart, unshared, turning, wary
        self._count = (self._count + n) % self._every
        return fits
