"""Which way round the axis is: does the knee flex or extend as the angle about it grows?

Nothing in the two sensors' motion says it by itself; a knee seen in a mirror moves as well. What tells it is anatomy,
gravity and what the exercise is known to be. Each ground gives the logarithm of its odds, the grounds are added up, and
while the sum is small the sense is not known.

Arms
    A knee hardly hyperextends, so from the straight leg all excursions go one way. The arms from both sensors to the
    joint are in line when the leg is straight, but for how far in front of the bones the sensors sit; so a small range
    around it tells nothing, and a large one much.
Standing
    Standing is nearly straight: what goes far beyond it is flexion. A bent leg can rest as upright as a straight one (a
    foot on a step); so a small range from it tells little, and where the exercise itself rests so, nothing. There it
    counts at which end the leg moves on beyond its rest: none does beyond straight.
Gravity
    In many exercises one segment rises or sinks as the knee bends, whatever the patient's range and pace.
Rest
    Some exercises begin from a straight leg, others leave the knee as it is.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from gonio.signal.consts import BoolArray, FloatArray
from gonio.signal.knee.axis import Axes
from gonio.signal.knee.tracker import inclination, wrap
from gonio.signal.reps.exercises import ExerciseRule

_MIN_ARM_M, _MAX_ARM_M = 0.07, 0.30  # shorter or longer: the motion did not show where the joint is
_MIN_RANGE: Final = math.radians(18.0)

#: Flexion at which the arms are in line: sensors sit in front of the bones and beside them, by some 5 cm at 15 cm from
#: the joint (0 to 20 degrees on the recordings at hand, 42 on a simulated leg with both in front); the spread takes in
#: sensors behind the bones and the fit's own errors. A knee hyperextends to some -10 degrees.
_ARMS_MEAN, _ARMS_SPREAD = math.radians(15.0), math.radians(20.0)
_HYPEREXTENSION: Final = math.radians(10.0)
_ARMS_MOST: Final = 4.0
#: Formal uncertainty of the angle between the arms from which on it is worth less, rad: where thigh and shank turn in
#: proportion one arm can stand for the other. On simulated legs the angle was within 32 degrees of its mean below, and
#: up to 90 beyond.
_ARMS_KNOWN: Final = math.radians(36.0)

_MIN_STANDING_BINS: Final = 3
#: Excursion beyond standing from which on it counts as flexion, and how much more of it makes one unit: where the
#: exercise rests in standing or somebody stood still for long, and where nothing is known of a short rest, which may be
#: on a bent leg.
_BEYOND, _BEYOND_UNIT = math.radians(20.0), math.radians(12.0)
_BEYOND_ANY, _BEYOND_ANY_UNIT = math.radians(35.0), math.radians(12.0)
_STANDING_MOST: Final = 5.0
_LONG_BINS: Final = 12
#: A thigh that rests no further from upright than that may be taken for a standing one, degrees.
_MISTAKEN_DEG: Final = 58.0
_MIN_RESTS, _TWO_ENDS = 4, math.radians(18.0)
_BEYOND_REST_UNIT, _BEYOND_REST_MOST = math.radians(3.0), 3.0
_BEYOND_BOTH: Final = math.radians(8.0)
#: By how much a leg may straighten beyond a soft stand: people stood at 5 to 15 degrees (optical truth).
_SOFT_REST: Final = math.radians(12.0)

_LAG_BINS, _RECENT_BINS = 3, 150
_MIN_TURN: Final = 0.3  # change of a cosine over a repetition from which on gravity is asked
_GRAVITY_UNIT, _GRAVITY_MOST = 10.0, 4.0

#: What the rest is worth where the exercise moves the knee from it, and where it leaves the knee as it is: the second
#: is not enough alone, for nothing of the knee's motion shows that it is that exercise.
_REST_SCORE, _LEFT_SCORE = 3.0, 2.0
_FIRST_BINS: Final = 3
#: A knee that rests no more bent than that may be called straight, degrees.
_STRAIGHT_REST_DEG: Final = 45.0


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """The postures in which the angle means something.

    Attributes:
        bend: (n,) angle about the axis, rad, of either sense, without a jump.
        up1: (n, 3) "up" in the thigh sensor's frame.
        up2: (n, 3) in the shank's.
        still: (n,) whether the leg was at rest.
        standing: (n,) whether it looks like quiet standing.
        begins: whether the first of them is the session's.
    """

    bend: FloatArray
    up1: FloatArray
    up2: FloatArray
    still: BoolArray
    standing: BoolArray
    begins: bool


def sense(seen: Seen, axes: Axes, rule: ExerciseRule | None) -> float:
    """Give the log-odds that the knee flexes as ``seen.bend`` grows.

    Args:
        seen: the postures, one at least.
        axes: the axis with the arms.
        rule: the declared exercise.
    """
    low, high = (float(v) for v in np.percentile(seen.bend, (3.0, 97.0)))
    if high - low < _MIN_RANGE:
        return 0.0
    return sum(grounds(seen, axes, rule, low, high))


def grounds(seen: Seen, axes: Axes, rule: ExerciseRule | None, low: float, high: float) -> tuple[float, ...]:
    """Give the log-odds of each ground, in the order of the module's text, for a range from low to high, rad."""
    return (
        _by_arms(low, high, axes),
        _by_standing(seen, rule, low, high),
        _by_gravity(seen, axes, rule),
        _by_rest(seen, rule, low, high),
    )


def _by_arms(low: float, high: float, axes: Axes) -> float:
    in_line = lever_straight(axes)
    if math.isnan(in_line):
        return 0.0
    middle = float(wrap(np.array([0.5 * (low + high) - in_line]))[0])
    half = 0.5 * (high - low)
    room = _ARMS_MEAN + _HYPEREXTENSION
    spread = _ARMS_SPREAD * max(1.0, axes.arms_spread / _ARMS_KNOWN) ** 2
    odds = _log_normal((room + middle - half) / spread) - _log_normal((room - middle - half) / spread)
    return max(-_ARMS_MOST, min(_ARMS_MOST, odds))


def _log_normal(z: float) -> float:
    """Give the logarithm of the probability that a normal deviate is below z."""
    return math.log(max(0.5 * math.erfc(-z / math.sqrt(2.0)), 1e-12))


def _by_standing(seen: Seen, rule: ExerciseRule | None, low: float, high: float) -> float:
    if np.count_nonzero(seen.standing) < _MIN_STANDING_BINS:
        return 0.0
    if _may_be_mistaken(rule):
        return _beyond_rests(seen)
    standing, free, unit = seen.standing, _BEYOND, _BEYOND_UNIT
    if rule is None:
        long = _long(standing)
        if long.any():
            standing = long
        else:
            free, unit = _BEYOND_ANY, _BEYOND_ANY_UNIT
    least, most = (float(v) for v in np.percentile(seen.bend[standing], (10.0, 90.0)))
    odds = (max(0.0, high - most - free) - max(0.0, least - low - free)) / unit
    return max(-_STANDING_MOST, min(_STANDING_MOST, odds))


def _long(standing: BoolArray) -> BoolArray:
    """Which of the postures (n,) of standing are of a long stand."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], standing.astype(np.int8), [0]))))
    long = np.zeros(len(standing), dtype=np.bool_)
    for start, end in zip(edges[::2], edges[1::2], strict=True):
        long[start:end] = end - start >= _LONG_BINS
    return long


def _may_be_mistaken(rule: ExerciseRule | None) -> bool:
    """Whether the exercise rests on a bent leg that may look like a standing one."""
    return rule is not None and rule.closed and rule.moves == "extends" and rule.rest[0].thigh[0] < _MISTAKEN_DEG


def _beyond_rests(seen: Seen) -> float:
    """Ask at which of two ends the leg moves on beyond where it rests: none does beyond straight.

    A foot is lifted higher than the step that it is put on. People also stand on a soft knee and straighten it as they
    move: so little further tells nothing.
    """
    rests = np.sort(seen.bend[seen.still])
    if len(rests) < _MIN_RESTS:
        return 0.0
    gap = int(np.argmax(np.diff(rests)))
    low, high = float(np.median(rests[: gap + 1])), float(np.median(rests[gap + 1 :]))
    if high - low < _TWO_ENDS:
        return 0.0
    above, below = float(seen.bend.max()) - high, low - float(seen.bend.min())
    if min(above, below) > _BEYOND_BOTH:  # neither is straight
        return 0.0
    odds = (max(0.0, above - _SOFT_REST) - max(0.0, below - _SOFT_REST)) / _BEYOND_REST_UNIT
    return max(-_BEYOND_REST_MOST, min(_BEYOND_REST_MOST, odds))


def _by_gravity(seen: Seen, axes: Axes, rule: ExerciseRule | None) -> float:
    """Ask whether thigh and shank rise and sink with the bend as they do in the exercise."""
    if rule is None or rule.turn is None or rule.signal != "knee":
        return 0.0
    recent = slice(-_RECENT_BINS, None)
    bend = seen.bend[recent]
    if len(bend) <= _LAG_BINS:
        return 0.0
    change = bend[_LAG_BINS:] - bend[:-_LAG_BINS]
    size = float(change @ change)
    odds = 0.0
    for up, arm, axis, expected in zip(
        (seen.up1[recent], seen.up2[recent]),
        (axes.thigh_arm, axes.shank_arm),
        (axes.thigh, axes.shank),
        _expected_turns(rule),
        strict=True,
    ):
        if abs(expected) < _MIN_TURN or not arm_seen(arm, axis) or size == 0.0:
            continue
        height = along(up, arm, axis)
        slope = float((height[_LAG_BINS:] - height[:-_LAG_BINS]) @ change) / size
        odds += _GRAVITY_UNIT * slope * math.copysign(min(1.0, abs(expected)), expected)
    return max(-_GRAVITY_MOST, min(_GRAVITY_MOST, odds))


def _expected_turns(rule: ExerciseRule) -> tuple[float, float]:
    """Give by how much each arm's cosine with "up" grows from the extended to the flexed end of a repetition."""
    if rule.turn is None:
        return 0.0, 0.0
    thigh = 0.5 * sum(rule.rest[0].thigh)
    shank = thigh - 0.5 * sum(rule.rest[0].knee)
    at_rest = -_cos(thigh), _cos(shank)
    far = -_cos(thigh + rule.turn[0]), _cos(shank + rule.turn[1])
    way = 1.0 if rule.moves == "flexes" else -1.0
    return way * (far[0] - at_rest[0]), way * (far[1] - at_rest[1])


def _cos(degrees: float) -> float:
    return math.cos(math.radians(degrees))


def _by_rest(seen: Seen, rule: ExerciseRule | None, low: float, high: float) -> float:
    if rule is None:
        return 0.0
    still = np.flatnonzero(seen.still)
    if not len(still):
        return 0.0
    middle = 0.5 * (high + low)
    if rule.moves == "flexes":  # begins from a straight leg: so the session does, and so does what first is still
        if not seen.begins:
            return 0.0
        after = np.flatnonzero(np.diff(still) > 1)
        rest = float(np.median(seen.bend[still[: after[0] + 1] if len(after) else still]))
        straight, score = True, _REST_SCORE
        if (rest - middle) * (float(np.median(seen.bend[:_FIRST_BINS])) - middle) < 0:
            return 0.0
    elif rule.signal == "thigh" or rule.faint:  # leaves the knee as it is
        rest = float(np.median(seen.bend[still]))
        straight, score = rule.rest[0].knee[1] <= _STRAIGHT_REST_DEG, _LEFT_SCORE
    else:
        return 0.0
    odds = 2.0 * score * (middle - rest) / (high - low)
    return odds if straight else -odds


def sagittal(vectors: FloatArray, axis: FloatArray) -> FloatArray:
    """Take the part along the axis out of vectors (..., 3): no rotation about it shows that part of an arm."""
    return np.asarray(vectors - (vectors @ axis)[..., None] * axis)


def arm_seen(arm: FloatArray, axis: FloatArray) -> bool:
    """Tell whether an arm (3,) is known and of a length that a sensor's distance to the joint can have."""
    return bool(_MIN_ARM_M <= np.linalg.norm(sagittal(arm, axis)) <= _MAX_ARM_M)


def along(up: FloatArray, arm: FloatArray, axis: FloatArray) -> FloatArray:
    """Give the cosine (n,) between "up" (n, 3) and an arm (3,), seen along the axis."""
    flat, flat_arm = sagittal(up, axis), sagittal(arm, axis)
    return np.asarray(flat @ flat_arm / (np.linalg.norm(flat, axis=1) * np.linalg.norm(flat_arm)))


def lever_straight(axes: Axes) -> float:
    """Difference of the inclinations when the arms are in line, rad; NaN when they are not known."""
    if not (arm_seen(axes.thigh_arm, axes.thigh) and arm_seen(axes.shank_arm, axes.shank)):
        return math.nan
    one = inclination(-axes.thigh_arm[None], axes.thigh)[0]
    two = inclination(axes.shank_arm[None], axes.shank)[0]
    return float(two - one)
