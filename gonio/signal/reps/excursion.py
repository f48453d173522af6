"""What goes up and comes down again, and is no repetition for all that.

A *stride* goes round where a repetition comes back the way it went (``gait.roundness``), and it is one of many:
what is too short to be told from a stride waits until the leg stops, or until the windows of ``gait`` around it are
known. A *landing*, a knock on the sensor or a quick dip before a jump shakes both sensors. Whoever *sits or lies
down* ends in another posture than he began in. A *rebound* follows a repetition at once, is much smaller and soon
over.
"""

import math
from itertools import chain
from typing import Final

import numpy as np

from gonio.signal.consts import FloatArray, RepSignal
from gonio.signal.reps.gait import roundness
from gonio.signal.reps.moments import Moments, Vector

_SHORTEST_S: Final = 0.45  # between leaving the rest and being back
#: Longest duration of what could be a stride, s (slow walking has strides of 2 s), and how round one is at least.
_STRIDE_S, _ROUND = 2.5, 0.35
_THERE_AND_BACK: Final = 0.15  # a knee that goes round by less has not stepped (simulated repetitions: below 0.1)
TWO_STRIDES_S: Final = 5.0  # shorter may be a step with what was before or after it
#: Mean shaking, m/s², from which on a short excursion may be a step and waits to be judged; so does one that no other
#: came before for so long, s: it may be the first step of a walk.
_STEP_SHAKE, _PAUSE_S = 0.12, 10.0
#: Longest duration, s, and mean shaking, m/s², above which it is no repetition: dips before a jump (0.4 to 0.6 s) were
#: measured to have 0.8 to 0.95, landings 4 and more; simulated repetitions of 1.2 s 0.7, jerky ones of 5 s 0.9.
_TOO_SHAKEN: Final = ((0.8, 0.62), (1.6, 1.0), (math.inf, 2.0))
#: A repetition ends in the posture it began in: both segments are back within 40° (lying down from standing is 90°),
#: those of a small one in the knee within a share of its range (a foot that is put forward ends where it never was).
_SAME_POSTURE, _LEAST_POSTURE, _POSTURE_SHARE = math.radians(40.0), math.radians(12.0), 0.5
#: A rebound starts within this time after a repetition, s; it is shorter than so long, s, and smaller than that share.
_REBOUND_S: Final = 0.8
_REBOUNDS: Final = ((0.8, 0.4), (1.6, 0.25))


def doubt(past: Moments, part: slice, rom: float, signal: RepSignal, last: tuple[float, float]) -> bool | None:
    """Judge an excursion, from leaving the rest to being back.

    Args:
        past: the samples.
        part: those of the excursion.
        rom: its range, rad.
        signal: what is counted.
        last: end (kit's clock, s) and range (rad) of the one before.

    Returns:
        None when it is no repetition, True when it may be a step and more must be seen first, else False.
    """
    t, up1, up2, shaking = past.t[part], past.up1[part], past.up2[part], past.shake[part]
    duration = t[-1] - t[0]
    shake = sum(shaking) / len(t)
    if duration < _SHORTEST_S or shake > next(most for longest, most in _TOO_SHAKEN if duration < longest):
        return None
    within = _SAME_POSTURE
    if signal == "knee":
        within = min(within, max(_LEAST_POSTURE, _POSTURE_SHARE * rom))
    if _turned(up1[0], up1[-1]) > within or _turned(up2[0], up2[-1]) > within:
        return None
    pause_s = t[0] - last[0]
    small = any(duration < longest and rom < share * last[1] for longest, share in _REBOUNDS)
    if pause_s < _REBOUND_S and small:
        return None
    if duration >= TWO_STRIDES_S:
        return False
    round_by = roundness(_rows(up1), _rows(up2))
    if duration < _STRIDE_S and signal == "knee" and round_by > _ROUND:
        return None
    like_a_step = shake > _STEP_SHAKE and (signal == "thigh" or round_by > _THERE_AND_BACK)
    return like_a_step or pause_s > _PAUSE_S


def _rows(vectors: list[Vector]) -> FloatArray:
    """Give vectors as (n, 3); numpy by itself takes twice as long over lists of lists."""
    return np.fromiter(chain.from_iterable(vectors), np.float64, 3 * len(vectors)).reshape(-1, 3)


def _turned(one: Vector, other: Vector) -> float:
    dot = one[0] * other[0] + one[1] * other[1] + one[2] * other[2]
    return math.acos(max(-1.0, min(1.0, dot)))
