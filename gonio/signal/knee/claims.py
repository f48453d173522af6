"""What has been claimed of flexion's sense before: grounds that come out both ways are not to be trusted.

The grounds of the sense (see ``sense``) are asked again as the axis, the lever arms and the postures become better
known. When they claimed one sense and now claim the other, what they rest on is not known well, the arms above all:
where thigh and shank turn as one, they are hardly seen. The later claim must then outweigh the earlier one.
"""

import math
from typing import Final

from gonio.signal.knee.tracker import KneeFrame
from gonio.signal.knee.zero import KNOWN_SENSE, Zeroed

#: Axes further apart than that are other axes, and what was claimed of one says nothing of the other.
_SAME_AXIS: Final = math.cos(math.radians(45.0))


class Claims:
    """The strongest claim for each sense of the axis in use."""

    def __init__(self) -> None:
        """Begin without a claim."""
        self._claims: list[tuple[KneeFrame, float]] = []

    def contest(self, now: Zeroed) -> bool:
        """Take a claim in; tell whether an earlier one of the other sense stands against it."""
        against = max((odds for frame, odds in self._claims if _same(frame, now.frame, -1.0)), default=0.0)
        if now.sense >= KNOWN_SENSE:
            same = [odds for frame, odds in self._claims if _same(frame, now.frame, 1.0)]
            reverse = [claim for claim in self._claims if _same(claim[0], now.frame, -1.0)]
            self._claims = [*reverse, (now.frame, max([now.sense, *same]))]
        return against > 0.0 and now.sense < against + KNOWN_SENSE


def _same(one: KneeFrame, other: KneeFrame, way: float) -> bool:
    return min(way * float(one.thigh @ other.thigh), way * float(one.shank @ other.shank)) > _SAME_AXIS
