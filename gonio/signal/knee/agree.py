"""Whether motion agrees with axes and zero that were found before: in an earlier session, or before a doubt.

Agreement asks for less motion than finding out does, for a wrong candidate has to pass in every respect: the axis's
elevation is the same from both sensors in all postures; the knee turns about the axis as well as about any that
motion would choose; the relative sign has the acceleration, the exercise or anatomy on its side; flexion stays within
what knees do; and where flexion's sense shows, it is the same. One clear contradiction is enough to drop it.

What cannot be known
    A sensor turned about the knee's axis shifts the zero only. Standing or a pose of this session overrules the
    candidate's zero; without them a zero that nothing contradicts is kept, and named as what it is ("stored").
    That the sensors sit on the other leg shows only when they sit on the leg's outer sides in both sessions, with the
    same end up: then "up" in standing is as it was and flexion's sense is reversed. The same is seen when both are
    moved to the inner side of the same leg, so the flag means one or the other. Sensors on the front of the leg sit on
    both legs alike, and nothing in their signals tells left from right.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np

from gonio.signal.consts import FloatArray
from gonio.signal.knee.axis import Axes, fit_axes, hold_axes
from gonio.signal.knee.blocks import BlockSums
from gonio.signal.knee.percentiles import percentiles
from gonio.signal.knee.sign import sign_vote
from gonio.signal.knee.stored import StoredCalibration
from gonio.signal.knee.tracker import KneeFrame, inclination, plane, wrap
from gonio.signal.knee.zero import KNOWN_SENSE, RANGE_FLEXION, STRAIGHTEST_FLEXION, Postures, Zeroed
from gonio.signal.reps.exercises import ExerciseRule

Verdict = Literal["agrees", "open", "contradicts"]

_FEW_BINS: Final = 10  # 2 s of postures
#: Difference of the axis's two elevations (sines; see ``watch``): nearly all postures stay below the first when it
#: agrees (largest of a leg 0.09 over a second), most are above the second when it does not.
_NEAR, _APART = 0.13, 0.2
#: Share of the knee's rotation about the axis: least, what it may stay behind a fresh fit's, and what contradicts.
_MIN_HINGE, _HINGE_LESS, _HINGE_FAR_LESS = 0.7, 0.06, 0.15
_MIN_FRESH_HINGE: Final = 0.75
_TURNS: Final = 0.04  # mean squared rotation from which the knee turns at all, (rad/s)²
_SIGN, _SIGN_AGAINST = 0.6, -1.5
#: Flexion of knees, rad, with errors of zero and attitude on top.
_STRAIGHTEST, _DEEPEST = math.radians(-15.0), math.radians(155.0)
_IMPOSSIBLE_BINS: Final = 5
#: Axes further apart than that are other axes, rad: fits from different exercises differ by up to half of it.
OTHER_AXES: Final = math.radians(25.0)
_STEEP: Final = math.cos(math.radians(35.0))  # axis more upright than that: its inclinations tell nothing
#: Standing by "up" as it was in the standing of then: within this, in so many bins (0.6 s); of several stands the
#: straightest and those not more bent than that count, as in ``zero``.
_STANDING, _STANDING_BINS, _SOFT_STANDING = math.cos(math.radians(30.0)), 3, math.radians(15.0)
#: Disagreement about the straight leg that is more than exercises differ in what they reach, rad.
_DISPUTE: Final = math.radians(8.0)
_WHOLE_BINS: Final = 75  # 15 s of postures: a whole repetition, rest included, of nearly everybody
#: A sensor turned further than that about the knee's axis is another mounting, rad.
SLIP: Final = math.radians(20.0)
_SAME_UP: Final = math.cos(math.radians(25.0))


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """What was known before, to be confirmed.

    Attributes:
        frame: axes and zeros.
        source: where its zero came from, as a result names it.
        origin: where it came from first: "standing", "pose" or "range".
        straightest: least flexion seen with it, rad; NaN where that is not known.
    """

    frame: KneeFrame
    source: str
    origin: str
    straightest: float = math.nan


def proposed(stored: StoredCalibration) -> Candidate:
    """Make a candidate of a stored calibration; a zero that was only assumed then is no better than one of today."""
    thigh, shank = (np.asarray(axis) / math.hypot(*axis) for axis in (stored.thigh, stored.shank))
    frame = KneeFrame(thigh, shank, stored.straight, stored.upright)
    return Candidate(frame, "range" if stored.zero == "range" else "stored", stored.zero)


def judge(
    candidate: KneeFrame, sums: Sequence[BlockSums], postures: Postures, rule: ExerciseRule | None
) -> tuple[Verdict, Axes | None]:
    """Hold a candidate against motion; with "agrees" comes its axis as this motion shows it.

    Args:
        candidate: the frame.
        sums: blocks of motion since.
        postures: postures since.
        rule: the declared exercise.
    """
    up1, up2, _ = postures.seen()
    if not sums or len(up1) < _FEW_BINS:
        return "open", None
    held, turned, vote = hold_axes(sums, candidate.thigh, candidate.shank)
    best = max(fit_axes(sums)[:2], key=lambda axes: axes.hinge)
    sign = sign_vote(held, turned, vote, postures, rule)
    apart = np.abs(up1 @ candidate.thigh - up2 @ candidate.shank)
    turns = best.rotation >= _TURNS
    if turns and best.hinge >= _MIN_FRESH_HINGE and held.hinge < best.hinge - _HINGE_FAR_LESS:
        return "contradicts", None
    if float(np.median(apart)) > _APART or sign <= _SIGN_AGAINST:
        return "contradicts", None
    fits = held.hinge >= max(_MIN_HINGE, best.hinge - _HINGE_LESS) if turns else held.rotation < _TURNS
    if not fits or sign < _SIGN or percentiles(apart, 95.0)[0] > _NEAR:
        return "open", None
    return "agrees", held


def flexions(postures: Postures, frame: KneeFrame, *, last: bool = False) -> FloatArray:
    """Give the flexion (n,) in rad of the postures seen (``last``: in the last block), where the axis is not steep."""
    up1, up2, _ = postures.seen(last=last)
    steep = np.maximum(np.abs(up1 @ frame.thigh), np.abs(up2 @ frame.shank))
    bend = inclination(up2, frame.shank) - inclination(up1, frame.thigh) - frame.straight
    return np.asarray(wrap(bend)[steep < _STEEP])


def straightest(postures: Postures, frame: KneeFrame) -> float:
    """Give the least flexion seen, rad; NaN when nothing was seen."""
    bends = flexions(postures, frame)
    return percentiles(bends, 2.0)[0] if len(bends) else math.nan


def as_straight(candidate: Candidate, postures: Postures, frame: KneeFrame) -> bool:
    """Tell whether the leg has been about as straight since as before: a sensor turned about the axis bends it."""
    return not straightest(postures, frame) > candidate.straightest + _DISPUTE


def plausible(postures: Postures, frame: KneeFrame, slack: float = 0.0) -> bool:
    """Tell whether all flexion seen is a knee's, with a zero that may be off by ``slack`` rad."""
    bends = flexions(postures, frame)
    if len(bends) == 0:
        return True
    low, high = percentiles(bends, 2.0, 98.0)
    return low > _STRAIGHTEST - slack and high < _DEEPEST + slack


def impossible(postures: Postures, zeroed: Zeroed) -> bool:
    """Tell whether flexion of the last block is none of a knee's for a second and longer.

    A zero that was only assumed follows what is seen, so nothing is held against it.
    """
    if zeroed.source == "range":
        return False
    bends = flexions(postures, zeroed.frame, last=True)
    return int(np.count_nonzero((bends < _STRAIGHTEST) | (bends > _DEEPEST))) >= _IMPOSSIBLE_BINS


def carried(frame: KneeFrame, thigh: FloatArray, shank: FloatArray, postures: Postures) -> KneeFrame:
    """Give the frame with slightly other axes and the same zeros, over the postures seen."""
    up1, up2, _ = postures.seen()
    one = inclination(up1, thigh) - inclination(up1, frame.thigh)
    two = inclination(up2, shank) - inclination(up2, frame.shank)
    return KneeFrame(thigh, shank, frame.straight + _mean(two - one), frame.upright + _mean(one))


def with_kept_zero(
    own: Zeroed | None, kept: Candidate, axes: Axes, rule: ExerciseRule | None, postures: Postures
) -> Zeroed:
    """Choose between the zero of the postures since and the candidate's; standing goes first.

    Standing is also recognised by "up" being, in both sensors, about where it was in the standing of then. Where nobody
    stood but the exercise is one that reaches a straight leg, its straightest shows a slip: an earlier standing took
    the leg for as straight as this one does. After an earlier pose, which measures, a leg may be less straight.
    """
    way = math.copysign(1.0, float(kept.frame.thigh @ axes.thigh))
    frame = carried(kept.frame, way * axes.thigh, way * axes.shank, postures)
    held = Zeroed(frame, kept.source, KNOWN_SENSE, plausible=True, stands=0)
    if own is None or float(own.frame.thigh @ frame.thigh) < 0:
        own = postures.zero(axes, rule, held)  # the sense goes with what was known
        if own is not None and own.source == kept.source:  # and its zero did too: look for the straightest of today
            (low,) = percentiles(flexions(postures, frame), 2.0)
            straightest = replace(frame, straight=frame.straight + low - RANGE_FLEXION)
            own = replace(own, frame=straightest, source="range")
    if own is None:
        return held
    if float(own.frame.thigh @ frame.thigh) < 0:
        return own
    own = replace(own, sense=max(own.sense, KNOWN_SENSE))
    stood = _stood(kept, frame, postures)
    if own.source != "standing" and not math.isnan(stood):
        return replace(
            own, frame=replace(frame, straight=frame.straight + stood - STRAIGHTEST_FLEXION), source="standing"
        )
    return (
        own
        if own.source == "standing" or _overruled(frame, kept, own, postures)
        else replace(own, frame=frame, source=kept.source)
    )


def _overruled(frame: KneeFrame, kept: Candidate, own: Zeroed, postures: Postures) -> bool:
    """Tell whether the straightest of today speaks against the zero of then, both without standing today."""
    further = float(wrap(np.array([frame.straight - own.frame.straight]))[0])  # above 0: then would hyperextend today
    if not plausible(postures, frame):
        return True
    if kept.origin == "range":
        return further > 0
    whole = kept.origin == "standing" and len(postures) >= _WHOLE_BINS
    return own.plausible and (further > _DISPUTE or (whole and further < -_DISPUTE))


def _stood(kept: Candidate, frame: KneeFrame, postures: Postures) -> float:
    """Give the flexion in rad, in a frame, at the straightest of a session with standing; NaN without standing."""
    if kept.origin != "standing" or math.isnan(kept.frame.upright):
        return math.nan
    up1, up2, still = postures.seen()
    thigh, shank = _standing(kept.frame)
    bends = wrap(inclination(up2, frame.shank) - inclination(up1, frame.thigh) - frame.straight)
    poses = bends[still & (up1 @ thigh > _STANDING) & (up2 @ shank > _STANDING)]
    everywhere = flexions(postures, frame)
    if len(poses) < _STANDING_BINS or not len(everywhere):
        return math.nan
    stood = float(np.median(poses[poses < poses.min() + _SOFT_STANDING]))
    (reached,) = percentiles(everywhere, 0.5)
    return min(stood, reached) if reached > stood - 2.0 * _SOFT_STANDING else math.nan


def axes_apart(one: KneeFrame, other: KneeFrame) -> bool:
    """Tell whether two frames have other axes, or the same ones the other way round."""
    cosines = (float(one.thigh @ other.thigh), float(one.shank @ other.shank))
    return min(cosines) < math.cos(OTHER_AXES)


def other_leg(before: KneeFrame, now: Zeroed) -> bool:
    """Tell whether a frame with standing is what an earlier one looks like on the other leg (see the module's head)."""
    frame = now.frame
    if now.source != "standing" or math.isnan(before.upright) or math.isnan(frame.upright):
        return False
    reversed_axes = max(float(before.thigh @ frame.thigh), float(before.shank @ frame.shank)) < -math.cos(OTHER_AXES)
    same_up = all(float(a @ b) > _SAME_UP for a, b in zip(_standing(before), _standing(frame), strict=True))
    return reversed_axes and same_up


def _standing(frame: KneeFrame) -> tuple[FloatArray, FloatArray]:
    """Give "up" in standing, in both sensors' frames."""
    ups = []
    for axis, angle in ((frame.thigh, frame.upright), (frame.shank, frame.upright + frame.straight)):
        first, second = plane(axis)
        ups.append(math.cos(angle) * first + math.sin(angle) * second)
    return ups[0], ups[1]


def _mean(angles: FloatArray) -> float:
    return math.atan2(float(np.mean(np.sin(angles))), float(np.mean(np.cos(angles))))
