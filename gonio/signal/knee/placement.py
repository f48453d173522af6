"""Whether the two sensors sit on each other's segment: the thigh's on the shank, the shank's on the thigh.

Grounds
    The joint lies below the thigh's sensor and above the shank's as long as the leg is upright. With the sensors
    exchanged every upright posture, and all of walking, shows both the other way round (the lever arms point from each
    sensor to the joint). A straight leg that is raised steeply looks the same, so only a knee that bent tells.
    In a seated or lying knee extension and a curl the thigh rests: the busier sensor sits on the shank.
What cannot be known
    Without an upright posture and without a declared exercise whose thigh rests nothing tells the segments apart: the
    two see the same joint. The knee's angle itself is right then, only the thigh's inclination is the shank's.
"""

import math
from typing import Final

import numpy as np

from gonio.signal.consts import FloatArray
from gonio.signal.knee.axis import Axes
from gonio.signal.knee.zero import Postures
from gonio.signal.reps.exercises import ExerciseRule

#: Cosine between lever arm and "up" from which a segment is upright.
_UPRIGHT: Final = math.cos(math.radians(38.0))
_SHORTEST_M, _LONGEST_M = 0.06, 0.32  # a lever arm beyond was not seen
_LEAST_BINS: Final = 10  # 2 s upright
_MOST_RIGHT: Final = 0.1  # of the upright postures may be the right way round: the arms' errors
#: Where one arm alone was seen its segment must be the wrong way round for this share of the session: a thigh may
#: stand with the knee up, and a shank with the foot up, but not for most of the time.
_MOSTLY: Final = 0.6
_BENT: Final = math.radians(30.0)
#: The thigh's share of turning (mean squares) above which it is no thigh that rests, over how many blocks.
_BUSIER, _BUSY_BLOCKS = 6.0, 3
_RESTING_THIGH: Final = frozenset({"long-arc-quad", "short-arc-quad", "hamstring-curl"})


class Placement:
    """Collects what tells the segments apart.

    Attributes:
        exchanged: whether each sensor sits on the other's segment.
    """

    def __init__(self, rule: ExerciseRule | None) -> None:
        """Begin with the declared exercise."""
        self.exchanged = False
        self._resting = rule is not None and rule.name in _RESTING_THIGH
        self._lifted = rule is not None and rule.moves == "lifts"
        self._busy: list[bool] = []

    def take(self, gyr: tuple[FloatArray, FloatArray]) -> None:
        """Take the turning, (n, 3) rad/s each, of a block of motion."""
        if self._resting:
            one, two = (float(np.mean(g * g)) for g in gyr)
            self._busy = [*self._busy[1 - _BUSY_BLOCKS :], one > _BUSIER * two]
            if len(self._busy) == _BUSY_BLOCKS and all(self._busy):
                self.exchanged = True

    def look(self, axes: Axes, postures: Postures) -> None:
        """Look at all postures with the axis as it is known now."""
        if postures.span(axes) < _BENT:
            return
        up1, up2, _ = postures.seen()
        thigh = _along(up1, -axes.thigh_arm, axes.thigh)
        shank = _along(up2, axes.shank_arm, axes.shank)
        if thigh is not None and shank is not None:
            right = np.count_nonzero((thigh > _UPRIGHT) & (shank > _UPRIGHT))
            inverted = np.count_nonzero((thigh < -_UPRIGHT) & (shank < -_UPRIGHT))
            if inverted >= _LEAST_BINS and right <= _MOST_RIGHT * inverted:
                self.exchanged = True
        elif not self._lifted:
            for one in (thigh, shank):
                if one is not None and np.count_nonzero(one < -_UPRIGHT) >= max(_LEAST_BINS, _MOSTLY * len(one)):
                    self.exchanged = True


def _along(up: FloatArray, arm: FloatArray, axis: FloatArray) -> FloatArray | None:
    """Give the cosine (n,) of "up" (n, 3) with a lever arm (3,), both across the axis; None where no arm was seen."""
    flat, flat_arm = up - (up @ axis)[:, None] * axis, arm - float(arm @ axis) * axis
    length = float(np.linalg.norm(flat_arm))
    if not _SHORTEST_M <= length <= _LONGEST_M:
        return None
    return np.asarray(flat @ flat_arm / (np.linalg.norm(flat, axis=1) * length + 1e-9))
