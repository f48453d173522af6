"""Which exercise a repetition looks like, from the posture at its rest and at its far end.

The thigh's inclination is 0 in standing, 90° when it points forward (sitting) or up from the couch (lying supine), -90°
prone; the shank's is that less the flexion. Postures tell most exercises apart; what they cannot (a lunge from a
squat) goes to the commoner one, and a posture that fits none is named after the nearest and marked unclear.
"""

import math

from gonio.signal.exercises import ExerciseRule
from gonio.signal.reps import Pose

_LEVEL = range(50, 131)  # degrees: a thigh or shank that lies rather than stands


def guess(rule: ExerciseRule, rest: Pose, far: Pose) -> tuple[str, bool]:
    """Name the exercise of one repetition and say whether its posture is clear.

    Args:
        rule: the undeclared rule that found it.
        rest: flexion and thigh's inclination at rest, rad.
        far: the same at the far end.
    """
    if any(map(math.isnan, (*rest, *far))):
        return ("mini-squat" if rule.moves == "flexes" else "long-arc-quad"), False
    knee0, thigh0 = (round(math.degrees(v)) for v in rest)
    knee1, thigh1 = (round(math.degrees(v)) for v in far)
    if rule.moves == "flexes":
        return _flexing(thigh0, thigh0 - knee0, thigh1, knee1)
    return _extending(knee0, thigh0, thigh1)


def _flexing(thigh0: int, shank0: int, thigh1: int, knee1: int) -> tuple[str, bool]:
    if thigh0 in _LEVEL and shank0 in _LEVEL:
        return "heel-slide", True
    if -thigh0 in _LEVEL:
        return "hamstring-curl", True
    if thigh1 < 0.25 * knee1:  # the thigh stays, the heel comes up
        return "hamstring-curl", thigh1 < 0.15 * knee1
    return "mini-squat", abs(thigh0) < _LEVEL[0]


def _extending(knee0: int, thigh0: int, thigh1: int) -> tuple[str, bool]:
    if thigh0 in _LEVEL and thigh1 in _LEVEL:
        return ("long-arc-quad" if knee0 >= _LEVEL[0] + 10 else "short-arc-quad"), True
    if thigh0 in _LEVEL:
        return ("sit-to-stand" if knee0 >= _LEVEL[0] + 20 else "step-up"), True
    return "terminal-knee-extension", abs(thigh0) < _LEVEL[0]
