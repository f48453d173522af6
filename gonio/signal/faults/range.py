"""Samples at the end of the sensor's range: saturation.

A clipped curve has a flat top: the same number several times in a row, larger than any before, entered and left by
steps. That number is the sensor's range on that side; from then on every sample that reaches it is clipped. (A range
is not taken from a profile: firmware can be set to another one.)
"""

from operator import ge, neg
from typing import Final

import numpy as np

from gonio.signal.consts import BoolArray, FloatArray
from gonio.signal.faults.looks import Look

#: Ranges smaller than these do not exist (2 g, 125 °/s), nor do resting sensors reach them, m/s² and rad/s.
_LEAST: Final = (14.0, 14.0, 14.0, 1.7, 1.7, 1.7)
#: Samples at the end of the range that prove it, two of them at once.
_PROOF: Final = 3
#: What enters or leaves a flat top is a step of this share at least; a slow motion's round top is not.
_STEP_SHARE: Final = 0.02
_AXES: Final = 3


class RangeWatch:
    """Finds each axis's range on either side, and the samples that reach it.

    Attributes:
        known: whether any range has been found.
    """

    def __init__(self) -> None:
        self._top = [list(_LEAST), list(_LEAST)]  # the largest value seen, upwards and downwards
        self._hits = [[0] * 6, [0] * 6]
        self._pair = [[False] * 6, [False] * 6]
        self._limits = np.full((2, 6), np.inf)
        self.known = False

    def look(self, look: Look) -> bool:
        """Take the next look; tell whether a range was found in it (then its own samples are clipped)."""
        found = False
        up, down = self._top
        low = list(map(neg, look.low))
        if not (any(map(ge, look.high, up)) or any(map(ge, low, down))):
            return False
        for side, values in enumerate((look.high, low)):
            top = self._top[side]
            for axis in range(6):
                if values[axis] >= top[axis]:
                    found = self._reach(side, axis, values[axis], look.rows) or found
        return found

    def _reach(self, side: int, axis: int, value: float, rows: FloatArray) -> bool:
        if value > self._top[side][axis]:  # it was no limit
            self._top[side][axis] = value
            self._hits[side][axis] = 0
            self._pair[side][axis] = False
            if np.isfinite(self._limits[side, axis]):
                self._limits[side, axis] = np.inf
                self.known = bool(np.isfinite(self._limits).any())
        if np.isfinite(self._limits[side, axis]):
            return False
        x = rows[:, axis] if side == 0 else -rows[:, axis]
        at = np.flatnonzero(x == value)
        self._hits[side][axis] += len(at)
        if len(at) > 1 and (np.diff(at) == 1).any():
            around = x[max(0, int(at[0]) - 1) : int(at[-1]) + 2]
            low = float(around.min())
            self._pair[side][axis] = self._pair[side][axis] or len(at) == len(x) or low < value * (1 - _STEP_SHARE)
        if self._hits[side][axis] < _PROOF or not self._pair[side][axis]:
            return False
        self._limits[side, axis] = value
        self.known = True
        return True

    def reaches(self, axis: int, value: float) -> bool:
        """Tell whether a value of an axis is the largest seen on its side, and large enough to be a range."""
        return value >= self._top[0][axis] or -value >= self._top[1][axis]

    def clipped(self, acc: FloatArray, gyr: FloatArray) -> tuple[BoolArray, BoolArray]:
        """Tell which samples (n,) reach the range of the accelerometer, and which that of the gyroscope."""
        up, down = self._limits
        a = ((acc >= up[:_AXES]) | (-acc >= down[:_AXES])).any(axis=1)
        g = ((gyr >= up[_AXES:]) | (-gyr >= down[_AXES:])).any(axis=1)
        return np.asarray(a), np.asarray(g)
