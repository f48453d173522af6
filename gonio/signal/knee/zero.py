"""The postures seen so far, and where among them the straight leg is.

The history keeps "up" in both sensors' frames a few times a second, so that the sense of flexion (see
``sense``) and the zero can be asked for again whenever the axis is known better, of everything seen.

Zero
    From standing, recognised as stillness with both segments upright by their lever arms, or from what was straighter
    than it; without standing from the straightest seen alone.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from gonio.signal.consts import BoolArray, FloatArray
from gonio.signal.knee.axis import Axes
from gonio.signal.knee.percentiles import percentiles
from gonio.signal.knee.sense import Seen, along, arm_seen, sense
from gonio.signal.knee.tracker import KneeFrame, inclination, wrap
from gonio.signal.reps.exercises import ExerciseRule

#: Flexion of quiet standing, and of the straightest in which an upright leg was seen: what straightens the leg more of
#: the two is believed. People stand softer than is thought (two recordings with optical truth: 10 and 15 degrees;
#: a third about 5) and walk about as straight as textbooks of gait draw it (the same two: 7 to 8). An assumption, no
#: better than some 3 to 5 degrees, whose error goes whole into every flexion: so the summary says where the zero came
#: from, and a guided pose is better.
STANDING_FLEXION, STRAIGHTEST_FLEXION = math.radians(7.0), math.radians(6.0)
#: Flexion at the straightest of a session without standing, rad: an exercise extends further than a step does.
RANGE_FLEXION: Final = math.radians(3.0)

#: Difference of the axis's two elevations (sines, 95th percentile of all postures) from which on the sensors did not
#: sit all the time as they do: legs, simulated and recorded, stay below 0.115.
_MOST_APART: Final = 0.15

_BIN_S: Final = 0.2
_MAX_BINS: Final = 3000  # 10 min at 5 a second; beyond, every second one is dropped
_STILL_RAD_S: Final = 0.15  # quiet standing sways by less (measured 0.01 to 0.08)
_STILL_BINS: Final = 4  # so long still before it is a posture
_MIN_STANDING_BINS, _SETTLED_BINS = 3, 20
_UPRIGHT: Final = math.cos(math.radians(38.0))
_SOFT_STANDING: Final = math.radians(15.0)  # a knee more bent than that from the straightest stand is no stand
_HYPEREXTENSION: Final = math.radians(30.0)
#: Axis more upright than that in one of the sensors: the inclinations about it tell nothing.
_STEEP: Final = math.cos(math.radians(35.0))
#: Log-odds of the sense from which on it is known: 12 to 1. What is in use is kept until they stand against it.
KNOWN_SENSE, _AGAINST = 2.5, 1.0
#: What is in use is kept until the knee was seen straighter by so much, rad: it was not straight then.
_STRAIGHTER: Final = math.radians(6.0)
#: A knee that rests no more bent than that may be called straight, degrees.
_STRAIGHT_REST_DEG: Final = 45.0
#: Range from which on its straightest may be called straight where no exercise was declared: walking has as much, rad.
_WIDE: Final = math.radians(45.0)


@dataclass(frozen=True, slots=True, eq=False)
class Zeroed:
    """Frame and its grounds.

    Attributes:
        frame: what turns attitudes into flexion.
        source: "standing" or "range".
        sense: log-odds of flexion's sense, 0 or more.
        plausible: whether what was seen allows to call the straightest straight.
        stands: number of postures in which somebody stood.
    """

    frame: KneeFrame
    source: str
    sense: float
    plausible: bool
    stands: int

    @property
    def trusted(self) -> bool:
        """Whether the zero is more than a guess."""
        return self.plausible or self.source not in ("standing", "range")


class Postures:
    """The postures seen, thinned; bounded in size however long the session.

    Attributes:
        blocks: number of blocks taken.
    """

    def __init__(self, rate_hz: float, *, begins: bool = True) -> None:
        """Begin empty, for a grid of a rate in Hz; ``begins``: with the session, not in its midst."""
        self._begins = begins
        self._per_bin = max(1, round(_BIN_S * rate_hz))
        self._up = np.empty((_MAX_BINS, 6))
        self._still = np.empty(_MAX_BINS, dtype=np.bool_)
        self._block = np.empty(_MAX_BINS, dtype=np.int64)
        self.blocks = 0
        self._size = self._taken = 0
        self._latest: tuple[Axes, int, tuple[FloatArray, FloatArray, BoolArray, FloatArray]] | None = None
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
        self.blocks += 1

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
            self._block[:half] = self._block[1::2]
            self._size = half
            self._every *= 2
        self._up[self._size] = up
        self._still[self._size] = self._quiet >= _STILL_BINS
        self._block[self._size] = self.blocks
        self._size += 1
        self._taken += 1
        self._skipped = 0

    def __len__(self) -> int:
        return self._size

    def seen(self, *, last: bool = False) -> tuple[FloatArray, FloatArray, BoolArray]:
        """Give "up" in both frames (n, 3) and stillness (n,) of all postures, or the last block's, in their order."""
        begin = int(np.searchsorted(self._block[: self._size], self.blocks - 1)) if last else 0
        part = slice(begin, self._size)
        return self._up[part, :3], self._up[part, 3:], self._still[part]

    def _level(self, axes: Axes) -> tuple[FloatArray, FloatArray, BoolArray, FloatArray]:
        """Give "up" in both frames (n, 3), stillness (n,) and bend (n,) of the postures with the axis not steep."""
        if self._latest is None or self._latest[0] is not axes or self._latest[1] != self._taken:
            up1, up2, still = self.seen()
            level = (np.abs(up1 @ axes.thigh) < _STEEP) & (np.abs(up2 @ axes.shank) < _STEEP)
            up1, up2 = up1[level], up2[level]
            bend = _bends(up1, up2, axes) if len(up1) else np.empty(0)
            self._latest = axes, self._taken, (up1, up2, still[level], bend)
        return self._latest[2]

    def span(self, axes: Axes) -> float:
        """Give how far the knee would have bent with an axis, rad; 0 when nothing was seen."""
        up1, _, _, bend = self._level(axes)
        if len(up1) == 0:
            return 0.0
        low, high = percentiles(bend, 1.0, 99.0)
        return high - low

    def change(self, one: KneeFrame, other: KneeFrame) -> float:
        """Give by how much two frames differ over the postures seen, rad: the flexion's 95th percentile."""
        up1, up2 = self._up[: self._size, :3], self._up[: self._size, 3:]
        flexion = [inclination(up2, f.shank) - inclination(up1, f.thigh) - f.straight for f in (one, other)]
        steep = [(np.abs(up1 @ f.thigh) > _STEEP) | (np.abs(up2 @ f.shank) > _STEEP) for f in (one, other)]
        apart = np.abs(wrap(flexion[0] - flexion[1]))[~(steep[0] & steep[1])]
        return percentiles(apart, 95.0)[0] if len(apart) else math.inf

    def misfit(self, frame: KneeFrame) -> int | None:
        """Give the number of the last block in which the axis's elevation was not the same in both sensors (``watch``).

        None when so few postures are such that the sensors may well have sat all the time as they do.
        """
        up1, up2 = self._up[: self._size, :3], self._up[: self._size, 3:]
        apart = np.abs(up1 @ frame.thigh - up2 @ frame.shank)
        if percentiles(apart, 95.0)[0] <= _MOST_APART:
            return None
        return int(self._block[np.flatnonzero(apart > _MOST_APART)[-1]])

    def forget(self, block: int) -> None:
        """Drop all postures up to a block, itself included: it was another mounting."""
        kept = self._block[: self._size] > block
        self._size = int(np.count_nonzero(kept))
        for column in (self._up, self._still, self._block):
            column[: self._size] = column[: len(kept)][kept]
        self._begins, self._latest = False, None

    def zero(self, axes: Axes, rule: ExerciseRule | None, held: Zeroed | None) -> Zeroed | None:
        """Find sense and zero for an axis; None when nothing was seen.

        Args:
            axes: the axis, either way round.
            rule: the declared exercise.
            held: what is in use; its sense and its zero are kept until much speaks against them.
        """
        up1, up2, still, bend = self._level(axes)
        if len(up1) == 0:
            return None
        upright = _upright(up1, up2, axes)
        standing = still & upright
        odds = sense(Seen(bend, up1, up2, still, standing, self._begins), axes, rule)
        if held is not None and (held.frame.thigh @ axes.thigh) * (held.frame.shank @ axes.shank) > 0:
            way = math.copysign(1.0, float(held.frame.thigh @ axes.thigh))
            odds = way * max(held.sense, abs(odds)) if way * odds > -_AGAINST else odds
        else:
            held = None
        flip = -1.0 if odds < 0 else 1.0
        if held is not None and held.frame.thigh @ axes.thigh * flip < 0:
            held = None
        thigh, shank = flip * axes.thigh, flip * axes.shank
        flexion = flip * bend
        low, high = percentiles(flexion, 2.0, 98.0)
        stands = int(np.count_nonzero(standing))
        stood = stands >= _MIN_STANDING_BINS
        if stood:
            poses = flexion[standing]
            quiet = float(np.median(poses[poses < poses.min() + _SOFT_STANDING]))
            (least,) = percentiles(flexion[upright], 1.0)
            straight = min(quiet - STANDING_FLEXION, least - STRAIGHTEST_FLEXION)
        else:
            straight = low - RANGE_FLEXION
        source = "standing" if stood else "range"
        # with both axes reversed each inclination changes its sign and its origin: take the zero over by one posture
        straight += float(wrap(inclination(up2[:1], shank) - inclination(up1[:1], thigh))[0] - flexion[0])
        if held is not None and (not stood or (held.source == source and held.stands >= _SETTLED_BINS)):
            kept = _carried(held.frame, thigh, shank, up1, up2)
            if float(wrap(np.array([kept - straight]))[0]) < _STRAIGHTER:
                straight, source = kept, held.source
        stance = math.nan
        if stood:
            seen = inclination(up1[standing], thigh)
            stance = math.atan2(float(np.mean(np.sin(seen))), float(np.mean(np.cos(seen))))
        elif arm_seen(axes.thigh_arm, axes.thigh):
            stance = float(inclination(-axes.thigh_arm[None], thigh)[0])
        frame = KneeFrame(thigh, shank, straight, stance)
        return Zeroed(frame, source, abs(odds), _plausible(high - low, rule, source), stands)


def _carried(held: KneeFrame, thigh: FloatArray, shank: FloatArray, up1: FloatArray, up2: FloatArray) -> float:
    """Give the zero for other axes that leaves the straightest quarter of the postures with the flexion it had."""
    before = wrap(inclination(up2, held.shank) - inclination(up1, held.thigh) - held.straight)
    straightest = before <= percentiles(before, 25.0)[0]
    now = inclination(up2[straightest], shank) - inclination(up1[straightest], thigh)
    moved = now - before[straightest]
    return math.atan2(float(np.mean(np.sin(moved))), float(np.mean(np.cos(moved))))


def _plausible(span: float, rule: ExerciseRule | None, source: str) -> bool:
    """Whether what was seen allows for the zero, for a range of the knee in rad.

    Where an exercise rests on a bent leg the range must lead from straight to such a rest: who gets up by half only, or
    extends by half, was never straight. Elsewhere standing is straight enough, and without it so is the straight leg
    that an exercise rests on, or the straightest of a wide range.
    """
    if rule is None:
        return source != "range" or span >= _WIDE
    least, most = rule.rest[0].knee
    if rule.moves == "flexes" or most <= _STRAIGHT_REST_DEG:
        return source != "range" or most <= _STRAIGHT_REST_DEG
    if source != "range" and not rule.closed:
        return True
    return span + RANGE_FLEXION >= math.radians(least + (most - least) / 3.0)


def _bends(up1: FloatArray, up2: FloatArray, axes: Axes) -> FloatArray:
    """Give the difference of the inclinations (n,) in rad, without a jump within less than a turn around their mean."""
    bend = inclination(up2, axes.shank) - inclination(up1, axes.thigh)
    middle = math.atan2(float(np.mean(np.sin(bend))), float(np.mean(np.cos(bend))))
    return wrap(bend - middle) + middle


def _upright(up1: FloatArray, up2: FloatArray, axes: Axes) -> BoolArray:
    """Which postures (n,) are of a leg that stands or walks: both segments upright by their arms."""
    if not arm_seen(axes.thigh_arm, axes.thigh):
        return np.zeros(len(up1), dtype=np.bool_)
    upright = along(up1, -axes.thigh_arm, axes.thigh) > _UPRIGHT  # the joint is below the thigh's sensor
    if arm_seen(axes.shank_arm, axes.shank):
        upright &= along(up2, axes.shank_arm, axes.shank) > _UPRIGHT  # and above the shank's
    return np.asarray(upright)
