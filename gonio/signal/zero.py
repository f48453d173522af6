"""Which way is flexion, and where is straight: from the postures seen so far.

The history keeps "up" in both sensors' frames a few times a second, so that both questions can be asked again
whenever the axis is known better, of everything seen.

Sense
    A knee hyperextends little: from the straight leg all excursions go one way. The straight leg is known from
    standing; roughly (within some 30°, depending on where on the leg the sensors sit) from the lever arms, which
    point from each sensor to the joint; and a declared exercise says whether its rest is a straight or a bent leg.
    The three are added up, and when they do not agree clearly the sense is not known.
Zero
    From standing, recognised as stillness with both segments upright by their lever arms, or from what was straighter
    than it; without standing from the straightest seen alone.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from gonio.signal.axis import Axes
from gonio.signal.consts import BoolArray, FloatArray
from gonio.signal.exercises import ExerciseRule
from gonio.signal.knee import KneeFrame, inclination, wrap

#: Flexion at the straightest of a session with standing, rad: of the standing itself or, where somebody stands softer
#: than that, of what came after (textbooks of gait draw about as much at initial contact and in terminal stance:
#: general knowledge, not measured here). An assumption, no better than some 3°, and its error goes whole into every
#: flexion, so the summary says where the zero came from.
STRAIGHTEST_FLEXION: Final = math.radians(5.0)
#: Flexion at the straightest of a session without standing, rad: an exercise extends further than a step does.
RANGE_FLEXION: Final = math.radians(3.0)

_BIN_S: Final = 0.2
_MAX_BINS: Final = 3000  # 10 min at 5 a second; beyond, every second one is dropped
_STILL_RAD_S: Final = 0.15  # quiet standing sways by less (measured 0.01 to 0.08)
_STILL_BINS: Final = 4  # so long still before it is a posture
_FIRST_BINS: Final = 10  # the session's beginning
_MIN_STANDING_BINS: Final = 3
_UPRIGHT: Final = math.cos(math.radians(38.0))
_MIN_ARM_M, _MAX_ARM_M = 0.06, 0.32  # shorter or longer: the motion did not show where the joint is
_LEVER_ERROR: Final = math.radians(15.0)  # of where the lever arms say that the leg is straight
#: Most that the lever arms say about the sense; not enough alone where somebody steps up or stands up, for there the
#: bent leg rests as upright as the straight one.
_LEVER_SCORE, _LEVER_SCORE_RISING = 1.5, 0.9
_SOFT_STANDING: Final = math.radians(15.0)  # a knee more bent than that from the straightest stand is no stand
_HYPEREXTENSION: Final = math.radians(30.0)
#: Axis more upright than that in one of the sensors: the inclinations about it tell nothing.
_STEEP: Final = math.cos(math.radians(35.0))
_SAME_THIGH: Final = math.cos(math.radians(30.0))
_MIN_RANGE: Final = math.radians(18.0)


@dataclass(frozen=True, slots=True, eq=False)
class Zeroed:
    """Frame and its grounds.

    Attributes:
        frame: what turns attitudes into flexion.
        source: "standing" or "range".
        sense: how clearly flexion's sense is known; below 1 it is not.
        span: how far the knee was seen to move, rad.
    """

    frame: KneeFrame
    source: str
    sense: float
    span: float


class Postures:
    """The postures seen, thinned; bounded in size however long the session."""

    def __init__(self, rate_hz: float) -> None:
        """Begin empty, for a grid of a rate in Hz."""
        self._per_bin = max(1, round(_BIN_S * rate_hz))
        self._up = np.empty((_MAX_BINS, 6))
        self._still = np.empty(_MAX_BINS, dtype=np.bool_)
        self._size = 0
        self._every, self._skipped = 1, 0
        self._quiet = 0
        self._rest: tuple[FloatArray, FloatArray, BoolArray] | None = None

    def feed(self, up1: FloatArray, up2: FloatArray, motion: FloatArray, measured: BoolArray) -> None:
        """Take a block of samples, which must be cut by sample index.

        Args:
            up1: (n, 3) "up" in the thigh sensor's frame.
            up2: (n, 3) likewise, shank.
            motion: (n,) angular speed of the faster sensor, rad/s.
            measured: (n,) False inside a long gap.
        """
        both = np.concatenate((up1, up2), axis=1)
        if self._rest is not None:
            ups, motions, wholes = self._rest
            both, motion = np.concatenate((ups, both)), np.concatenate((motions, motion))
            measured = np.concatenate((wholes, measured))
        width = self._per_bin
        n = len(both) // width
        self._rest = both[n * width :], motion[n * width :], measured[n * width :]
        means = both[: n * width].reshape(n, width, 6).mean(axis=1)
        quiet = motion[: n * width].reshape(n, width).mean(axis=1) < _STILL_RAD_S
        whole = np.asarray(measured[: n * width].reshape(n, width).all(axis=1))
        for k in range(n):
            self._take(means[k], still=bool(quiet[k]), whole=bool(whole[k]))

    def _take(self, up: FloatArray, *, still: bool, whole: bool) -> None:
        """Take the mean (6,) of one bin in, if its turn has come."""
        self._quiet = self._quiet + 1 if whole and still else 0
        self._skipped += 1
        if not whole or self._skipped < self._every:
            return
        if self._size == _MAX_BINS:
            half = _MAX_BINS // 2
            self._up[:half] = self._up[1::2]
            self._still[:half] = self._still[1::2]
            self._size = half
            self._every *= 2
        self._up[self._size] = up
        self._still[self._size] = self._quiet >= _STILL_BINS
        self._size += 1
        self._skipped = 0

    def __len__(self) -> int:
        return self._size

    def seen(self) -> tuple[FloatArray, FloatArray, BoolArray]:
        """Give "up" in both frames (n, 3) and stillness (n,) of all postures, in their order."""
        return self._up[: self._size, :3], self._up[: self._size, 3:], self._still[: self._size]

    def _level(self, axes: Axes) -> tuple[FloatArray, FloatArray, BoolArray]:
        """Give "up" in both frames (n, 3) and stillness (n,) of the postures in which the axis is not steep."""
        up1, up2 = self._up[: self._size, :3], self._up[: self._size, 3:]
        level = (np.abs(up1 @ axes.thigh) < _STEEP) & (np.abs(up2 @ axes.shank) < _STEEP)
        return up1[level], up2[level], self._still[: self._size][level]

    def span(self, axes: Axes) -> float:
        """Give how far the knee would have bent with an axis, rad; 0 when nothing was seen."""
        up1, up2, _ = self._level(axes)
        if len(up1) == 0:
            return 0.0
        low, high = np.percentile(_bends(up1, up2, axes), (1.0, 99.0))
        return float(high - low)

    def change(self, one: KneeFrame, other: KneeFrame) -> float:
        """Give by how much two frames differ over the postures seen, rad: the flexion's 95th percentile."""
        up1, up2 = self._up[: self._size, :3], self._up[: self._size, 3:]
        flexion = [inclination(up2, f.shank) - inclination(up1, f.thigh) - f.straight for f in (one, other)]
        steep = [(np.abs(up1 @ f.thigh) > _STEEP) | (np.abs(up2 @ f.shank) > _STEEP) for f in (one, other)]
        apart = np.abs(wrap(flexion[0] - flexion[1]))[~(steep[0] & steep[1])]
        return float(np.percentile(apart, 95.0)) if len(apart) else math.inf

    def zero(self, axes: Axes, rule: ExerciseRule | None, held: KneeFrame | None) -> Zeroed | None:
        """Find sense and zero for an axis; None when nothing was seen.

        Args:
            axes: the axis, either way round.
            rule: the declared exercise.
            held: what is in use; its sense is kept until the knee would hyperextend as none does.
        """
        up1, up2, still = self._level(axes)
        if len(up1) == 0:
            return None
        bend = _bends(up1, up2, axes)
        low, high = np.percentile(bend, (2.0, 98.0))
        standing = _standing(up1, up2, still, axes)
        sense = _sense(bend, up1, still, standing, _lever_straight(axes), rule)
        if held is not None and (held.thigh @ axes.thigh) * (held.shank @ axes.shank) > 0:
            kept = math.copysign(max(1.0, abs(sense)), float(held.thigh @ axes.thigh))
            sense = kept if kept * sense > 0 or not _hyperextends(bend, kept, standing) else sense
        flip = -1.0 if sense < 0 else 1.0
        thigh, shank = flip * axes.thigh, flip * axes.shank
        source = "standing" if np.count_nonzero(standing) >= _MIN_STANDING_BINS else "range"
        if source == "standing":
            poses = flip * bend[standing]
            stood = float(np.median(poses[poses < poses.min() + _SOFT_STANDING]))
            reached = min(stood, float(np.percentile(flip * bend, 0.5)))
            straight = reached - STRAIGHTEST_FLEXION
        else:
            straight = float(low if flip > 0 else -high) - RANGE_FLEXION
        # with both axes reversed each inclination changes its sign and its origin: take the zero over by one posture
        offset = wrap(inclination(up2[:1], shank) - inclination(up1[:1], thigh))[0] - flip * bend[0]
        upright = math.nan
        if source == "standing":
            seen = inclination(up1[standing], thigh)
            upright = math.atan2(float(np.mean(np.sin(seen))), float(np.mean(np.cos(seen))))
        elif _seen(axes.thigh_arm, axes.thigh):
            upright = float(inclination(-axes.thigh_arm[None], thigh)[0])
        frame = KneeFrame(thigh, shank, straight + float(offset), upright)
        return Zeroed(frame, source, abs(sense), float(high - low))


def _hyperextends(bend: FloatArray, sign: float, standing: BoolArray) -> bool:
    """Tell whether a sense makes the knee of the straightest standing hyperextend as no knee does."""
    if not standing.any():
        return False
    flexion = sign * bend
    return bool(np.percentile(flexion, 3.0) < flexion[standing].min() - _HYPEREXTENSION)


def _bends(up1: FloatArray, up2: FloatArray, axes: Axes) -> FloatArray:
    """Give the difference of the inclinations (n,) in rad, without a jump within the range seen."""
    return np.asarray(np.unwrap(wrap(inclination(up2, axes.shank) - inclination(up1, axes.thigh))))


def _standing(up1: FloatArray, up2: FloatArray, still: BoolArray, axes: Axes) -> BoolArray:
    """Which postures (n,) are quiet standing: both segments upright by their lever arms."""
    if not _seen(axes.thigh_arm, axes.thigh):
        return np.zeros(len(still), dtype=np.bool_)
    standing = still & (_along(up1, -axes.thigh_arm, axes.thigh) > _UPRIGHT)  # the joint is below the thigh's sensor
    if _seen(axes.shank_arm, axes.shank):
        standing &= _along(up2, axes.shank_arm, axes.shank) > _UPRIGHT  # and above the shank's
    return np.asarray(standing)


def _sagittal(vectors: FloatArray, axis: FloatArray) -> FloatArray:
    """Take the part along the axis out of vectors (..., 3): no rotation about it shows that part of a lever arm."""
    return np.asarray(vectors - (vectors @ axis)[..., None] * axis)


def _seen(arm: FloatArray, axis: FloatArray) -> bool:
    return bool(_MIN_ARM_M <= np.linalg.norm(_sagittal(arm, axis)) <= _MAX_ARM_M)


def _along(up: FloatArray, arm: FloatArray, axis: FloatArray) -> FloatArray:
    """Give the cosine (n,) between "up" (n, 3) and a lever arm (3,), seen along the axis."""
    flat, flat_arm = _sagittal(up, axis), _sagittal(arm, axis)
    return np.asarray(flat @ flat_arm / (np.linalg.norm(flat, axis=1) * np.linalg.norm(flat_arm)))


def _lever_straight(axes: Axes) -> float:
    """Difference of the inclinations when the lever arms are in line, rad; NaN when they are not known."""
    if not (_seen(axes.thigh_arm, axes.thigh) and _seen(axes.shank_arm, axes.shank)):
        return math.nan
    one = inclination(-axes.thigh_arm[None], axes.thigh)[0]
    two = inclination(axes.shank_arm[None], axes.shank)[0]
    return float(two - one)


def _sense(
    bend: FloatArray, thigh: FloatArray, still: BoolArray, standing: BoolArray, lever: float, rule: ExerciseRule | None
) -> float:
    """Weigh the grounds for flexion being where ``bend`` (n,) grows: positive for, negative against."""
    low, high = (float(v) for v in np.percentile(bend, (3.0, 97.0)))
    span = high - low
    if span < _MIN_RANGE:
        return 0.0
    score = 0.0
    if not math.isnan(lever):
        off = float(wrap(np.array([0.5 * (low + high) - lever]))[0])
        most = _LEVER_SCORE_RISING if rule is not None and rule.closed and rule.moves == "extends" else _LEVER_SCORE
        score += max(-most, min(most, off / _LEVER_ERROR))
    if np.count_nonzero(standing) >= _MIN_STANDING_BINS:
        stood = float(np.median(bend[standing]))
        score += 3.0 * ((high - stood) - (stood - low)) / span
    elif rule is not None and rule.moves == "flexes":
        calm = np.flatnonzero(still[:_FIRST_BINS])  # the straight leg that it begins from, at rest if it did rest
        first = bend[calm] if len(calm) else bend[:_STILL_BINS]
        score += 2.0 * (high + low - 2.0 * float(np.median(first))) / span
    elif rule is not None and rule.moves == "extends" and not (rule.closed or rule.faint):
        usual = np.median(thigh, axis=0)
        near = thigh @ (usual / np.linalg.norm(usual)) > _SAME_THIGH  # not the standing that went before
        hanging = bend[near & still]
        low, high = (float(v) for v in np.percentile(bend[near], (3.0, 97.0))) if near.any() else (0.0, 0.0)
        if len(hanging) and high - low >= _MIN_RANGE:
            score += 2.0 * (2.0 * float(np.median(hanging[:10])) - high - low) / (high - low)
    return score
