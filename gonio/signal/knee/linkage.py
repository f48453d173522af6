"""Whether the two sensors sit on two segments that one hinge links: a thigh and a shank, and of one leg.

What is looked at, in the last blocks of motion
    *The hinge.* Nearly all of a knee's rotation is about its axis (0.79 to 1.0 of it in five-second blocks of the
    recordings at hand). Where a large part is not, the angle about the axis is not the knee's.
    *The joint.* Both sensors see the acceleration of one joint, once what comes of their arms is taken off: on a leg
    0.01 to 0.15 of what they feel is left over (the same recordings), between the legs of two people more than half.
    *One segment.* Two sensors on the same segment turn as one: of all turning 0.003 or less is between them, while a
    leg raised with a straight knee leaves 0.01 to 0.05. Only motion in which no block shows more is called so.
"""

import math
from typing import Final

import numpy as np

from gonio.signal.knee.axis import Axes, look_axes
from gonio.signal.knee.blocks import BlockSums

_RECENT: Final = 3  # blocks of motion
_MIN_HINGE, _TURNS = 0.65, 0.1
_MOST_UNLINKED: Final = 0.3
#: Blocks that were odd, and their share, from which on it is said of the session.
_SAY, _SAY_SHARE = 2, 0.1
#: Share of the turning that is between the sensors: in every block, and in half of them; blocks that it takes, and
#: mean squared turning, (rad/s)², that one of them must reach.
_APART, _APART_USUAL = 0.03, 0.01
_MIN_BLOCKS, _MIN_ENERGY = 4, 0.05


class Linkage:
    """The running look.

    Attributes:
        odd: whether the last blocks of motion are not of one hinge between two segments.
    """

    def __init__(self) -> None:
        """Begin with nothing seen."""
        self.odd = False
        self._recent: list[BlockSums] = []
        self._apart: list[float] = []
        self._energy = 0.0
        self._looks = self._odd_looks = 0

    @property
    def one_segment(self) -> bool:
        """Whether all motion so far is of two sensors on the same segment."""
        if len(self._apart) < _MIN_BLOCKS or self._energy < _MIN_ENERGY:
            return False
        return max(self._apart) < _APART and float(np.median(self._apart)) < _APART_USUAL

    @property
    def flags(self) -> set[str]:
        """Name what was found."""
        if self.one_segment:
            return {"same-segment"}
        return {"not-a-hinge"} if self._odd_looks >= max(_SAY, _SAY_SHARE * self._looks) else set()

    def take(self, sums: BlockSums) -> None:
        """Take a block of motion in."""
        self._recent = [*self._recent[1 - _RECENT :], sums]
        if not self._apart or max(self._apart) < _APART:  # one block that shows more settles it
            self._apart.append(sums.apart)
            self._energy = max(self._energy, sums.energy)

    def look(self, axes: Axes) -> None:
        """Hold the last blocks against the axis."""
        found = look_axes(self._recent, axes)
        loose = found.rotation > _TURNS and found.hinge < _MIN_HINGE
        self.odd = loose or (not math.isnan(found.unlinked) and found.unlinked > _MOST_UNLINKED)
        self._looks += 1
        self._odd_looks += self.odd
