"""Whether a sensor sits otherwise than in the repetitions before: seen where its axis shows nothing.

A sensor that is turned about the knee's own axis leaves everything as it was but the zero. The repetitions tell: each
ends where it rested and at its far end, and both sensors know these two postures by "up". A sensor that was turned has
both of them elsewhere, as far from each other as before, while the other sensor has both where they were. A leg that
rests otherwise, or a repetition of another size, moves one of the two ends, or both sensors.
"""

import math
from collections.abc import Sequence
from typing import Final

from gonio.signal.knee.tracker import Vector
from gonio.signal.reps.recognise import Look

#: Turned by more than the first in both ends; the other sensor's ends, and the angle between this one's, the same
#: within the second; and none of the last repetitions that has both of its ends within the second, rad. In 1600
#: simulated and 250 recorded repetitions of sensors that sat still this never was so; with 10 degrees once.
_TURNED, _SAME = math.radians(12.0), math.radians(6.0)
#: So many repetitions before are compared with.
BEFORE: Final = 4


def slipped(before: Sequence[Look], now: Look) -> bool:
    """Tell whether a sensor sits otherwise in a repetition than in those before it, the last ``BEFORE`` at most."""
    alike = [one for one in before[-BEFORE:] if one.signal == now.signal]
    return any(_turned(alike, now, sensor) for sensor in (0, 1))


def _turned(before: Sequence[Look], now: Look, sensor: int) -> bool:
    ends = [(angle(one.rest[sensor], now.rest[sensor]), angle(one.far[sensor], now.far[sensor])) for one in before]
    if min((max(both) for both in ends), default=0.0) < _SAME:
        return False
    other = 1 - sensor
    between = angle(now.rest[sensor], now.far[sensor])
    return any(
        min(both) > _TURNED
        and angle(one.rest[other], now.rest[other]) < _SAME
        and angle(one.far[other], now.far[other]) < _SAME
        and abs(angle(one.rest[sensor], one.far[sensor]) - between) < _SAME
        for one, both in zip(before, ends, strict=True)
    )


def angle(one: Vector, other: Vector) -> float:
    """Give the angle between two unit vectors, rad."""
    return math.acos(max(-1.0, min(1.0, one[0] * other[0] + one[1] * other[1] + one[2] * other[2])))
