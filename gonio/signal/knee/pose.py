"""Guided poses: for some seconds the patient holds the knee at a known flexion, and that sets the zero.

Samples of the time that was told are kept in short bins; the pose is the longest stretch of them in which both sensors
were still. What lies before and after it is the patient's getting into the pose and out of it. A pose without such a
stretch, or in which the segments crept on while they were slow, sets nothing.
"""

import math
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from gonio.signal.consts import FloatArray
from gonio.signal.knee.tracker import KneeFrame, inclination, plane, wrap
from gonio.signal.knee.zero import Zeroed
from gonio.signal.orient import rotation_matrices

_BIN_S: Final = 0.2
#: Mean turning in a bin below which a held leg is still, rad/s: quiet standing sways at 0.01 to 0.08 (measured).
_STILL_RAD_S: Final = 0.15
#: The stillness must last this long, s, and fill this share of the time that was told.
_LEAST_S, _LEAST_SHARE = 0.8, 0.5
#: How far "up" may stray from its mean in a pose: what a bent knee that is held, or a swaying stand, does; rad.
_CREEP: Final = math.radians(4.0)
_LONGEST_S: Final = 60.0  # of a pose: bounds what is kept
_MOST_WAITING: Final = 16  # poses told and not yet over
#: Axis more upright than that in one of the sensors: the inclinations about it tell no flexion.
_STEEP: Final = math.cos(math.radians(35.0))
#: From a pose so straight or straighter, which way the knee moves tells flexion's sense, rad.
_STRAIGHT: Final = math.radians(15.0)
_MIN_SPAN: Final = math.radians(18.0)
_SENSE_SCORE: Final = 3.0  # as standing counts in ``zero``


@dataclass(frozen=True, slots=True, eq=False)
class HeldPose:
    """A pose that was held.

    Attributes:
        thigh: (3,) mean "up" in the thigh sensor's frame.
        shank: (3,) in the shank sensor's frame.
        flexion: of the knee, rad.
    """

    thigh: FloatArray
    shank: FloatArray
    flexion: float


@dataclass(slots=True, eq=False)
class _Told:
    start_s: float
    end_s: float
    flexion: float
    bins: dict[int, list[float]]  # by number of 0.2 s since the start: sums of up 1, up 2, speed, and the count
    whole: bool = True


class Poses:
    """The poses told, and the last that was held.

    Attributes:
        held: what sets the zero now; None before any pose.
        flags: "pose-moved" when the sensors moved in a pose, "pose-missed" when they were not heard throughout.
    """

    def __init__(self) -> None:
        """Begin without a pose."""
        self.held: HeldPose | None = None
        self.flags: set[str] = set()
        self._told: list[_Told] = []

    def tell(self, start_s: float, end_s: float, flexion: float) -> None:
        """Take note of a pose, before its samples come: kit's clock in s, flexion in rad.

        Raises:
            ValueError: the times or the angle cannot be, or too many poses are waiting.
        """
        if not (math.isfinite(start_s) and 0.0 < end_s - start_s <= _LONGEST_S):
            raise ValueError(f"a pose lasts up to {_LONGEST_S:g} s from its start on")
        if not -math.pi / 2 < flexion < math.pi:
            raise ValueError("no knee is held at such a flexion")
        if len(self._told) == _MOST_WAITING:
            raise ValueError("too many poses are waiting")
        self._told.append(_Told(start_s, end_s, flexion, {}))

    def take(
        self,
        t_s: FloatArray,
        quat: tuple[FloatArray, FloatArray],
        gyr: tuple[FloatArray, FloatArray],
        *,
        measured: bool,
    ) -> bool:
        """Take a full block in; True when it completes a pose that sets the zero from here on.

        Args:
            t_s: (n,) kit's clock, s.
            quat: (n, 4) each, thigh first, as in ``orient.Attitude``.
            gyr: (n, 3) each, rad/s.
            measured: False when a gap fell into the block.
        """
        if not self._told:
            return False
        up = [rotation_matrices(q)[:, 2] for q in quat]
        speed = np.maximum(*(np.sqrt(np.sum(g * g, axis=1)) for g in gyr))
        first, last = float(t_s[0]), float(t_s[-1])
        step = (last - first) / max(1, len(t_s) - 1)
        new = False
        for told in sorted(self._told, key=lambda pose: pose.end_s):
            if told.start_s <= last and told.end_s >= first:
                told.whole = told.whole and measured
                _collect(told, t_s, up, speed)
            if told.end_s < last + step:
                self._told.remove(told)
                new = self._settle(told) or new
        return new

    def _settle(self, told: _Told) -> bool:
        bins = max(1, round((told.end_s - told.start_s) / _BIN_S))
        if not told.whole or len(told.bins) < bins - 1:
            self.flags.add("pose-missed")
            return False
        stretch = _longest_still(told)
        still_s = len(stretch) * _BIN_S
        if still_s < max(_LEAST_S, _LEAST_SHARE * (told.end_s - told.start_s)):
            self.flags.add("pose-moved")
            return False
        ups = np.array([[part / row[7] for part in row[:6]] for row in stretch])
        means = [_unit(ups[:, part].mean(axis=0)) for part in (slice(0, 3), slice(3, 6))]
        for part, mean in zip((slice(0, 3), slice(3, 6)), means, strict=True):
            if float(np.min(ups[:, part] @ mean)) < math.cos(_CREEP):
                self.flags.add("pose-moved")
                return False
        self.held = HeldPose(means[0], means[1], told.flexion)
        return True

    def correct(self, zeroed: Zeroed, bends: FloatArray) -> Zeroed:
        """Take zero, and from a straight pose the sense, from the pose held; as it was without one.

        Args:
            zeroed: what else is known.
            bends: (n,) the flexion of all postures in its frame, rad.
        """
        pose, frame = self.held, zeroed.frame
        if pose is None or abs(pose.thigh @ frame.thigh) > _STEEP or abs(pose.shank @ frame.shank) > _STEEP:
            return zeroed
        here = _difference(pose, frame)
        sense = zeroed.sense
        if abs(pose.flexion) <= _STRAIGHT and len(bends):
            low, high = (float(v) for v in np.percentile(bends + frame.straight - here, (3.0, 97.0)))
            if high - low >= _MIN_SPAN:
                score = zeroed.sense + _SENSE_SCORE * (high + low) / (high - low)
                if score < 0:
                    frame = reversed_frame(frame)
                    here = _difference(pose, frame)
                sense = abs(score)
        return replace(zeroed, frame=replace(frame, straight=here - pose.flexion), source="pose", sense=sense)


def reversed_frame(frame: KneeFrame) -> KneeFrame:
    """Give the frame with flexion's sense the other way; the straight leg is not taken over."""
    first, second = plane(frame.thigh)
    standing = math.cos(frame.upright) * first + math.sin(frame.upright) * second
    return KneeFrame(-frame.thigh, -frame.shank, math.nan, float(inclination(standing[None], -frame.thigh)[0]))


def _difference(pose: HeldPose, frame: KneeFrame) -> float:
    seen = inclination(pose.shank[None], frame.shank) - inclination(pose.thigh[None], frame.thigh)
    return float(wrap(seen)[0])


def _collect(told: _Told, t_s: FloatArray, up: list[FloatArray], speed: FloatArray) -> None:
    inside = (t_s >= told.start_s) & (t_s <= told.end_s)
    number = ((t_s[inside] - told.start_s) / _BIN_S).astype(int).tolist()
    rows = np.column_stack((up[0][inside], up[1][inside], speed[inside])).tolist()
    for k, row in zip(number, rows, strict=True):
        sums = told.bins.setdefault(k, [0.0] * 8)
        for i, value in enumerate(row):
            sums[i] += value
        sums[7] += 1.0


def _longest_still(told: _Told) -> list[list[float]]:
    best: list[list[float]] = []
    run: list[list[float]] = []
    for k in sorted(told.bins):
        row = told.bins[k]
        run = [*run, row] if row[6] < _STILL_RAD_S * row[7] else []
        if len(run) > len(best):
            best = run
    return best


def _unit(v: FloatArray) -> FloatArray:
    return np.asarray(v / np.linalg.norm(v))
