"""From two aligned sensors to the knee's angle, its repetitions and the session's result.

The angle is causal. Until the knee's axis, its sign, flexion's sense and the zero are known, and a second fit from more
motion agrees with the first, the angle is NaN and not ok; whenever a later fit disagrees, or the gyroscopes alone have
carried the angle for too long, it is not ok again. Once it is known the samples kept meanwhile are gone through again,
so that the repetitions that taught the chain the axis are counted too (and reported late). Whatever looks at many
samples at once does so on blocks cut by sample index.
"""

import math
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final, TypeAlias

import numpy as np

from gonio.signal.chunks import AlignedChunk, KneeAngleChunk, RepEvent, SessionResult, StreamDefects, trusted
from gonio.signal.consts import FloatArray
from gonio.signal.curve import Curve
from gonio.signal.inclination import InclinationFilter
from gonio.signal.knee.calibration import Block, Calibration
from gonio.signal.knee.stored import StoredCalibration
from gonio.signal.knee.tracker import KneeFrame, KneeTracker
from gonio.signal.orient import Attitude, AttitudeFilter, attitudes
from gonio.signal.reps.counting import Counting
from gonio.signal.reps.exercises import RULES
from gonio.signal.reps.goal import Goal
from gonio.signal.reps.moments import Moments, Vector
from gonio.signal.reps.recognise import Verdict
from gonio.signal.reps.sets import sets_of

Output: TypeAlias = KneeAngleChunk | RepEvent

_BLOCK_S: Final = 5.0
#: The counters take so much at once, s: the angle is given at once, a repetition at the end of such a block.
_COUNT_S: Final = 0.2
#: Blocks kept for the replay after calibration: repetitions of the last three minutes before it are not lost.
REPLAY_BLOCKS: Final = 36
_SHAKE_S: Final = 0.05  # time constant below which motion counts as shaking
_SHAKE_MEAN_S: Final = 0.75


@dataclass(slots=True, eq=False)
class _Kept:
    """Samples as the tracker needs them, with what else is told of each; all lists have the same length."""

    t: list[float] = field(default_factory=list)
    up1: list[Vector] = field(default_factory=list)
    up2: list[Vector] = field(default_factory=list)
    gyr1: list[Vector] = field(default_factory=list)
    gyr2: list[Vector] = field(default_factory=list)
    speed: list[float] = field(default_factory=list)
    shake: list[float] = field(default_factory=list)
    measured: list[bool] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class _Filling:
    """The samples of the block that is filling.

    Attributes:
        parts: lengths of them: kit's clock, both quaternions, both "up", both angular velocities, both specific forces.
        kept: the same as lists, and how fast and whether measured; how much they shake, of those counted.
        flexion: rad, NaN where unknown.
        thigh: the thigh's inclination, rad, NaN where unknown.
        sure: False where the flexion is not ok, whether measured or not.
        acc1: the thigh's specific force, m/s².
        acc2: the shank's.
    """

    parts: list[tuple[FloatArray, ...]] = field(default_factory=list)
    kept: _Kept = field(default_factory=_Kept)
    flexion: list[float] = field(default_factory=list)
    thigh: list[float] = field(default_factory=list)
    sure: list[bool] = field(default_factory=list)
    acc1: list[Vector] = field(default_factory=list)
    acc2: list[Vector] = field(default_factory=list)


class _Shake:
    """How strongly both sensors shake above a few hertz: geometric mean of their running r.m.s., m/s²."""

    def __init__(self, rate_hz: float) -> None:
        self._fast = 1.0 - math.exp(-1.0 / (_SHAKE_S * rate_hz))
        self._slow = 1.0 - math.exp(-1.0 / (_SHAKE_MEAN_S * rate_hz))
        self._low = (math.nan, math.nan)  # before the first sample
        self._mean = (0.0, 0.0)

    def run(self, one: list[Vector], two: list[Vector]) -> list[float]:
        """Take consecutive samples of both sensors' specific force, m/s²; give the shaking at each."""
        low1, low2 = self._low
        mean1, mean2 = self._mean
        sqrt, fast, slow, out = math.sqrt, self._fast, self._slow, []
        for (x, y, z), (u, v, w) in zip(one, two, strict=True):
            a, b = sqrt(x * x + y * y + z * z), sqrt(u * u + v * v + w * w)
            if math.isnan(low1):
                low1, low2 = a, b
            low1 += fast * (a - low1)
            low2 += fast * (b - low2)
            a -= low1
            b -= low2
            mean1 += slow * (a * a - mean1)
            mean2 += slow * (b * b - mean2)
            out.append(sqrt(sqrt(mean1 * mean2)))
        self._low, self._mean = (low1, low2), (mean1, mean2)
        return out


class KneeChain:
    """Two sensors' samples in, angle and repetitions out; the result can be asked for at any time."""

    def __init__(
        self,
        rate_hz: float,
        *,
        exercise: str | None,
        goal: Goal | None = None,
        program: tuple[str, ...] = (),
        stored: StoredCalibration | None = None,
        joint: bool = True,
        gyroscopes: bool = True,
    ) -> None:
        """Begin a session.

        Args:
            rate_hz: rate of the grid, Hz.
            exercise: the declared exercise, "none", or None to recognise it.
            goal: what every repetition is to reach.
            program: the exercises among which one is recognised; all when empty.
            stored: the calibration of an earlier session with the same sensors, to be taken up if the motion agrees.
            joint: False when both places hold the one sensor that is left: no angle is looked for.
            gyroscopes: False when one of the sensors has none: both are then judged by gravity, no angle is looked for.

        Raises:
            ValueError: rate_hz is not above 0, or an exercise is not known.
        """
        self._joint = joint and gyroscopes
        self._rate = rate_hz
        self._filters = (AttitudeFilter(rate_hz), AttitudeFilter(rate_hz))
        self._inclinations = None if gyroscopes else (InclinationFilter(rate_hz), InclinationFilter(rate_hz))
        self._block_samples = round(_BLOCK_S * rate_hz)
        self._count_samples = max(1, round(_COUNT_S * rate_hz))
        self._block = _Filling()
        self._filled = 0
        self._kept: list[_Kept] = []
        self._calibration = Calibration(rate_hz, RULES.get(exercise) if exercise is not None else None, stored)
        self._tracker: KneeTracker | None = None
        self._shake = _Shake(rate_hz)
        self._declared = exercise
        self._counting = Counting(
            exercise, rate_hz, goal=goal, program=program, joint=self._joint, blurred=not gyroscopes
        )
        self._goal = goal
        self._curve = Curve()
        self._tilts = Curve()
        self._judged = 0  # repetitions judged
        self._doubted: Verdict | None = None  # what first said that they are another exercise's
        self._calibrated_at: float | None = None
        self._samples = 0
        self._ok = 0
        self._gap = False
        self._start = self._end = math.nan
        self._finished = False

    def pose(self, start_s: float, end_s: float, flexion: float) -> None:
        """Take note that the knee is held at a known flexion, rad, from one moment to another (kit's clock, s).

        To be told before the samples of that time are fed.
        """
        self._calibration.pose(start_s, end_s, flexion)

    # --- stream -----------------------------------------------------------------------------------------------------

    def feed(self, chunk: AlignedChunk) -> list[Output]:
        """Take consecutive samples; give their angle, and the repetitions that are now complete."""
        out: list[Output] = []
        n = len(chunk)
        if n == 0:
            return out
        if self._samples == 0:
            self._start = float(chunk.t_s[0])
        self._end = float(chunk.t_s[-1])
        if n <= self._block_samples - self._filled:
            return self._feed_part(chunk)
        cuts = [0, *range(self._block_samples - self._filled, n, self._block_samples), n]
        for first, last in pairwise(cuts):
            out += self._feed_part(_cut(chunk, first, last))
        return out

    def finish(self) -> list[Output]:
        """End the stream: what the last, unfinished block can still teach is used for the repetitions kept."""
        if self._finished:
            return []
        self._finished = True
        out: list[Output] = []
        if self._filled >= round(2.0 * self._rate):
            out += self._close_block()
        elif self._filled > len(self._block.kept.shake):
            out += self._count(self._filled - len(self._block.kept.shake))
        out += self._counting.finish()
        return out

    def _feed_part(self, chunk: AlignedChunk) -> list[Output]:
        """Take samples that end no later than the block does."""
        t, acc = chunk.t_s, (chunk.thigh_acc, chunk.shank_acc)
        one, two = self._attitudes(acc, (chunk.thigh_gyr, chunk.shank_gyr))
        up1, up2, gyr1, gyr2 = one.up.tolist(), two.up.tolist(), one.gyr.tolist(), two.gyr.tolist()
        speed = [
            math.sqrt(max(x * x + y * y + z * z, u * u + v * v + w * w))
            for (x, y, z), (u, v, w) in zip(gyr1, gyr2, strict=True)
        ]
        measured = chunk.measured.tolist()
        flexion, thigh, sure = self._follow(up1, up2, gyr1, gyr2, speed)
        ok = _both(sure, measured)
        told = np.array(flexion), np.array(thigh), np.array(ok, dtype=np.bool_)
        for array in told:
            array.flags.writeable = False
        out: list[Output] = [trusted(KneeAngleChunk, t, *told)]
        n = len(ok)
        self._samples += n
        self._ok += ok.count(True)
        self._gap = self._gap or False in measured
        block, kept = self._block, self._block.kept
        block.parts.append((t, one.quat, two.quat, one.up, two.up, one.gyr, two.gyr, *acc))
        kept.t += t.tolist()
        kept.up1 += up1
        kept.up2 += up2
        kept.gyr1 += gyr1
        kept.gyr2 += gyr2
        kept.speed += speed
        kept.measured += measured
        block.acc1 += acc[0].tolist()
        block.acc2 += acc[1].tolist()
        block.flexion += flexion
        block.thigh += thigh
        block.sure += sure
        self._filled += n
        while self._filled - len(kept.shake) >= self._count_samples:
            out += self._count(self._count_samples)
        if self._filled == self._block_samples:
            out += self._close_block()
        return out

    def _attitudes(
        self, acc: tuple[FloatArray, FloatArray], gyr: tuple[FloatArray, FloatArray]
    ) -> tuple[Attitude, Attitude]:
        """Give the attitudes of thigh and shank for their specific forces and angular velocities, (n, 3) each."""
        if self._inclinations is None:
            return attitudes(self._filters, acc, gyr)
        thigh, shank = self._inclinations
        return thigh.feed(acc[0]), shank.feed(acc[1])

    def _follow(
        self, up1: list[Vector], up2: list[Vector], gyr1: list[Vector], gyr2: list[Vector], speed: list[float]
    ) -> tuple[list[float], list[float], list[bool]]:
        """Give flexion, the thigh's inclination, rad, and whether the flexion may be shown, as far as it is known."""
        n = len(speed)
        if self._tracker is None:
            return [math.nan] * n, [math.nan] * n, [False] * n
        flexion, thigh, sure = self._tracker.run(up1, up2, gyr1, gyr2, speed)
        fits = self._calibration.watch.feed(up1, up2, gyr1, gyr2)
        return flexion, thigh, _both(sure, fits) if self._calibration.shown else [False] * n

    def _count(self, n: int) -> list[RepEvent]:
        """Let the next n samples of the block, as many as there are at most, be counted."""
        block, kept, first = self._block, self._block.kept, len(self._block.kept.shake)
        part = slice(first, first + n)
        shake = self._shake.run(block.acc1[part], block.acc2[part])
        kept.shake += shake
        moments = Moments(
            kept.t[part],
            block.flexion[part],
            block.thigh[part],
            kept.up1[part],
            kept.up2[part],
            shake,
            kept.speed[part],
            kept.measured[part],
            block.sure[part],
        )
        self._counting.gait.feed(
            moments.t, (moments.up1, moments.up2), (kept.gyr1[part], kept.gyr2[part]), moments.shake
        )
        reps = self._counting.feed(moments)
        shown, flexion = _both(moments.sure, moments.measured), moments.flexion
        if False in shown:
            flexion = [f if good else math.nan for f, good in zip(flexion, shown, strict=True)]
        self._curve.feed(moments.t, flexion)
        self._tilts.feed(moments.t, self._counting.tilt or [math.nan] * n)
        for found in self._counting.anew:
            self._tilts.correct(found.way)
        return reps

    # --- calibration ------------------------------------------------------------------------------------------------

    def _close_block(self) -> list[Output]:
        out: list[Output] = []
        if self._filled > len(self._block.kept.shake):
            out += self._count(self._filled - len(self._block.kept.shake))
        block, self._block, self._filled = self._block, _Filling(), 0
        if not self._joint:
            return out
        t, quat1, quat2, up1, up2, gyr1, gyr2, acc1, acc2 = map(np.concatenate, zip(*block.parts, strict=True))
        if self._tracker is None:
            self._kept.append(block.kept)
            del self._kept[:-REPLAY_BLOCKS]
        self._calibration.postures.feed(up1, up2, np.array(block.kept.speed), np.array(block.kept.measured))
        self._doubt_name()
        frame = None
        if self._counting.slipped():
            self._calibration.leave(moved=self._calibration.known)
        else:
            whole = all(block.kept.measured)
            frame = self._calibration.close(Block(t, (quat1, quat2), (acc1, acc2), (gyr1, gyr2), whole))
        if self._calibration.lost:  # as at the beginning: what comes now is kept until it is known again
            self._tracker = None
            self._kept.clear()
            self._counting.moved()
        if frame is None:
            return out
        if self._tracker is None:
            return out + self._begin(frame, float(t[-1])) if self._calibration.known else out
        moved = self._tracker.retune(frame, block.kept.up1[-1], block.kept.up2[-1])
        self._counting.shift(moved)
        return out

    def _doubt_name(self) -> None:
        """Once the motion clearly is another exercise's, let the declared one say nothing of the angle any more."""
        reps = len(self._counting.found)
        if self._declared is None or self._doubted is not None or reps == self._judged:
            return
        self._judged = reps
        frame, assumed = self._shown_frame()
        if self._counting.doubted(frame, assumed=assumed):
            self._doubted = self._counting.verdict(frame, assumed=assumed)
            self._calibration.undeclare()

    def _verdict(self) -> Verdict:
        frame, assumed = self._shown_frame()
        return self._counting.verdict(frame, assumed=assumed)

    def _shown_frame(self) -> tuple[KneeFrame | None, bool]:
        """Give the knee's frame, None where it may not be used, and whether its zero was assumed."""
        zeroed = self._calibration.zeroed if self._calibration.shown else None
        return None if zeroed is None else zeroed.frame, self._calibration.source == "range"

    def _begin(self, frame: KneeFrame, now: float) -> list[Output]:
        self._tracker = KneeTracker(frame, self._rate)
        self._calibrated_at = now if self._calibrated_at is None else self._calibrated_at
        reps: list[Output] = []
        for k in self._kept:
            flexion, thigh, sure = self._tracker.run(k.up1, k.up2, k.gyr1, k.gyr2, k.speed)
            sure = sure if self._calibration.shown else [False] * len(sure)
            moments = Moments(k.t, flexion, thigh, k.up1, k.up2, k.shake, k.speed, k.measured, sure)
            reps += self._counting.feed(moments, replay=True)
        self._kept.clear()
        return reps

    @property
    def reps(self) -> tuple[RepEvent, ...]:
        """The repetitions given so far."""
        return self._counting.reps

    # --- result -----------------------------------------------------------------------------------------------------

    def result(self, defects: tuple[StreamDefects, ...]) -> SessionResult:
        """Sum the session up to here; ``defects`` tell what happened to the streams before this chain."""
        counting = self._counting
        reps = counting.reps
        step_s, curve = self._curve.points()
        measured = [r for r in reps if r.measured and not math.isnan(r.peak_flexion)]
        if measured:
            most, least = max(r.peak_flexion for r in measured), min(r.min_flexion for r in measured)
        else:
            most, least = self._curve.extremes()
        verdict = self._doubted or self._verdict()
        recognised = self._declared is None
        begun = self._calibrated_at is not None
        flags = counting.flags() | self._calibration.flags(begun=begun)
        if recognised and reps and not verdict.sure:
            flags.add("exercise-uncertain")
        if verdict.other:
            flags.add("other-exercise")
        if self._gap:
            flags.add("gap")
        return SessionResult(
            exercise=verdict.name if self._declared is None else self._declared,
            recognised=recognised,
            reps=reps,
            calibrated_at_s=self._calibrated_at,
            zero=self._calibration.source if begun else "none",
            max_flexion=most,
            min_flexion=least,
            ok_fraction=self._ok / self._samples if self._samples else 0.0,
            flags=tuple(sorted(flags)),
            defects=defects,
            start_s=self._start,
            end_s=self._end,
            curve_step_s=step_s,
            curve=curve,
            tilt_curve=self._tilts.points()[1] if counting.signal == "thigh" else (),
            sets=sets_of(reps, self._goal),
            steps=counting.steps,
            walking_s=counting.walking_s,
            likeness=verdict.likeness,
            calibration=self._calibration.stored(),
            resumed=self._calibration.resumed,
        )


def _cut(chunk: AlignedChunk, first: int, last: int) -> AlignedChunk:
    columns = (chunk.t_s, chunk.thigh_acc, chunk.thigh_gyr, chunk.shank_acc, chunk.shank_gyr, chunk.measured)
    return trusted(AlignedChunk, *(column[first:last] for column in columns))


def _both(one: list[bool], other: list[bool]) -> list[bool]:
    """Tell of each sample whether both are true; as a rule the other is throughout."""
    return one if False not in other else [a and b for a, b in zip(one, other, strict=True)]
