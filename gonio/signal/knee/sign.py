"""Which relative sign of the two axes is right: the vote of several grounds.

Acceleration
    The joint's acceleration seen from both sides (see ``axis``): strong in walking and brisk motion, weak in slow.
Anatomy
    A knee bends through less than 160°. With the wrong sign a change of posture (from standing to lying both segments
    turn by 90° the same way) counts twice in place of not at all.
The exercise
    Where the foot keeps to the floor or the couch, thigh and shank turn against each other as the knee bends; the wrong
    sign makes the knee of such an exercise move less.
"""

import math
from typing import Final

from gonio.signal.knee.axis import Axes
from gonio.signal.knee.zero import Postures
from gonio.signal.reps.exercises import ExerciseRule

#: More than any knee bends, with the sensors' and the fit's errors on top, rad.
_WIDEST: Final = math.radians(160.0)
_ANATOMY_VOTE: Final = 4.0
_CLOSED_WEIGHT, _CLOSED_VOTE = 4.0, 12.0


def sign_vote(one: Axes, other: Axes, acceleration: float, postures: Postures, rule: ExerciseRule | None) -> float:
    """Add the grounds up: positive for ``one``, negative for ``other``; its size says how sure.

    Args:
        one: the first hypothesis.
        other: the second.
        acceleration: the vote of the joint's acceleration.
        postures: everything seen so far.
        rule: the declared exercise.
    """
    vote = acceleration
    wide = [postures.span(axes) > _WIDEST for axes in (one, other)]
    vote += _ANATOMY_VOTE * (wide[1] - wide[0])
    if rule is not None and rule.closed:
        ratio = math.log((one.rotation + 1e-3) / (other.rotation + 1e-3))
        vote += max(-_CLOSED_VOTE, min(_CLOSED_VOTE, _CLOSED_WEIGHT * ratio))
    return vote
