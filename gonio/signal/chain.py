"""From two aligned sensors to the knee's angle, its repetitions and the session's result.

The angle is causal. Until the knee's axis, its sign, flexion's sense and the zero are known, and a second fit from more
motion agrees with the first, the angle is NaN and not ok; whenever a later fit disagrees, or the gyroscopes alone have
carried the angle for too long, it is not ok again. Once it is known the samples kept meanwhile are gone through again,
so that the repetitions that taught the chain the axis are counted too (and reported late). Whatever looks at many
samples at once does so on blocks cut by sample index.
"""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, TypeAlias

import numpy as np

from gonio.signal.axis import Axes, BlockSums, block_sums, fit_axes
from gonio.signal.chunks import AlignedChunk, KneeAngleChunk, RepEvent, SessionResult, StreamDefects
from gonio.signal.consts import BoolArray, FloatArray, Side
from gonio.signal.counting import Counting
from gonio.signal.curve import Curve
from gonio.signal.exercises import RULES
from gonio.signal.knee import KneeFrame, KneeTracker
from gonio.signal.orient import AttitudeFilter, attitudes
from gonio.signal.reps import Sample
from gonio.signal.sign import sign_vote
from gonio.signal.zero import Postures, Zeroed

Output: TypeAlias = KneeAngleChunk | RepEvent

_BLOCK_S: Final = 5.0
#: Blocks kept for the replay after calibration: repetitions of the last three minutes before it are not lost.
REPLAY_BLOCKS: Final = 36
_ACTIVE: Final = 0.03  # (rad/s)² of mean squared turning that makes a block worth fitting
_MAX_BLOCKS: Final = 32  # blocks of sums kept for the fit
#: What an axis must show before anything is shown to a person.
_MIN_HINGE, _MIN_ROTATION, _MIN_SIGN, _MIN_SIGN_A_BLOCK, _MIN_SENSE = 0.75, 0.04, 1.0, 0.12, 1.0
#: Flexion by which two fits of the axis, the later one from more motion, may differ for the angle to be known, rad.
_AGREE: Final = math.radians(7.0)
_MORE: Final = 1.15  # times as many postures are worth another look for the zero
_SHAKE_S: Final = 0.05  # time constant below which motion counts as shaking
_SHAKE_MEAN_S: Final = 0.75


@dataclass(slots=True, eq=False)
class _Block:
    """The samples of the block that is filling, and of those kept for the replay."""

    t: list[FloatArray]
    quat: tuple[list[FloatArray], list[FloatArray]]
    up: tuple[list[FloatArray], list[FloatArray]]
    gyr: tuple[list[FloatArray], list[FloatArray]]
    acc: tuple[list[FloatArray], list[FloatArray]]
    shake: list[float]
    speed: list[float]
    measured: list[BoolArray]


def _new_block() -> _Block:
    return _Block([], ([], []), ([], []), ([], []), ([], []), [], [], [])


@dataclass(frozen=True, slots=True, eq=False)
class _Kept:
    """One block as the replay needs it."""

    t: list[float]
    up1: list[list[float]]
    up2: list[list[float]]
    gyr1: list[list[float]]
    gyr2: list[list[float]]
    shake: list[float]
    speed: list[float]
    measured: list[bool]


class _Shake:
    """How strongly both sensors shake above a few hertz: geometric mean of their running r.m.s., m/s²."""

    def __init__(self, rate_hz: float) -> None:
        self._fast = 1.0 - math.exp(-1.0 / (_SHAKE_S * rate_hz))
        self._slow = 1.0 - math.exp(-1.0 / (_SHAKE_MEAN_S * rate_hz))
        self._low: list[float] | None = None
        self._mean = [0.0, 0.0]

    def step(self, one: float, two: float) -> float:
        low = self._low
        if low is None:
            low = self._low = [one, two]
        for k, value in enumerate((one, two)):
            low[k] += self._fast * (value - low[k])
            rest = value - low[k]
            self._mean[k] += self._slow * (rest * rest - self._mean[k])
        return math.sqrt(math.sqrt(self._mean[0] * self._mean[1]))


class KneeChain:
    """Two sensors' samples in, angle and repetitions out; the result can be asked for at any time."""

    def __init__(self, rate_hz: float, *, exercise: str | None, side: Side | None) -> None:
        """Begin a session.

        Args:
            rate_hz: rate of the grid, Hz.
            exercise: the declared exercise, "none", or None to recognise it.
            side: which leg; the angle does not depend on it.

        Raises:
            ValueError: rate_hz is not above 0, or the exercise is not known.
        """
        self.side = side
        self._rate = rate_hz
        self._filters = (AttitudeFilter(rate_hz), AttitudeFilter(rate_hz))
        self._block_samples = round(_BLOCK_S * rate_hz)
        self._block = _new_block()
        self._filled = 0
        self._kept: list[_Kept] = []
        self._sums: list[BlockSums] = []
        self._seen_blocks = 0
        self._next_fit = 1
        self._axes: Axes | None = None
        self._fits = self._fits_seen = 0
        self._zeroed: Zeroed | None = None
        self._before: KneeFrame | None = None
        self._agreed = False
        self._grounded = 0
        self._tracker: KneeTracker | None = None
        self._postures = Postures(rate_hz)
        self._shake = _Shake(rate_hz)
        self._counting = Counting(exercise, rate_hz)
        self._rule = RULES.get(exercise) if exercise is not None else None
        self._curve = Curve()
        self._calibrated_at: float | None = None
        self._samples = 0
        self._ok = 0
        self._gap = False
        self._start = self._end = math.nan
        self._finished = False

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
        cuts = [0, *range(self._block_samples - self._filled, n, self._block_samples), n]
        for first, last in pairwise(cuts):
            if last > first:
                out += self._feed_part(chunk, slice(first, last))
        return out

    def finish(self) -> list[Output]:
        """End the stream: what the last, unfinished block can still teach is used for the repetitions kept."""
        if self._finished:
            return []
        self._finished = True
        out: list[Output] = []
        if self._filled >= round(2.0 * self._rate):
            out += self._close_block()
        out += self._counting.finish()
        return out

    def _feed_part(self, chunk: AlignedChunk, part: slice) -> list[Output]:
        t, measured = chunk.t_s[part], chunk.measured[part]
        acc = chunk.thigh_acc[part], chunk.shank_acc[part]
        one, two = attitudes(self._filters, acc, (chunk.thigh_gyr[part], chunk.shank_gyr[part]))
        block = self._block
        block.t.append(t)
        block.measured.append(measured)
        for k, attitude in enumerate((one, two)):
            block.quat[k].append(attitude.quat)
            block.up[k].append(attitude.up)
            block.gyr[k].append(attitude.gyr)
            block.acc[k].append(acc[k])
        n = len(t)
        norms = _norm(np.concatenate((*acc, one.gyr, two.gyr)))
        shake = [self._shake.step(a, b) for a, b in zip(norms[:n].tolist(), norms[n : 2 * n].tolist(), strict=True)]
        block.shake += shake
        speed = np.maximum(norms[2 * n : 3 * n], norms[3 * n :]).tolist()
        block.speed += speed
        kept = _Kept(
            t.tolist(),
            one.up.tolist(),
            two.up.tolist(),
            one.gyr.tolist(),
            two.gyr.tolist(),
            shake,
            speed,
            measured.tolist(),
        )
        step = self._postures.step
        for up1, up2, fast, good in zip(kept.up1, kept.up2, speed, kept.measured, strict=True):
            step(up1, up2, fast, measured=good)
        flexion, thigh, ok, reps = self._track(kept)
        out: list[Output] = [KneeAngleChunk(t, np.array(flexion), np.array(thigh), np.array(ok, dtype=np.bool_))]
        out += reps
        self._samples += len(t)
        self._ok += sum(ok)
        self._gap = self._gap or not all(kept.measured)
        self._curve.feed(kept.t, [f if good else math.nan for f, good in zip(flexion, ok, strict=True)])
        self._filled += len(t)
        if self._filled == self._block_samples:
            out += self._close_block()
        return out

    def _track(
        self, kept: _Kept, *, replay: bool = False
    ) -> tuple[list[float], list[float], list[bool], list[RepEvent]]:
        tracker, counting = self._tracker, self._counting
        flexion, thigh, ok, reps = [], [], [], []
        for t, up1, up2, gyr1, gyr2, shake, speed, good in zip(
            kept.t, kept.up1, kept.up2, kept.gyr1, kept.gyr2, kept.shake, kept.speed, kept.measured, strict=True
        ):
            if tracker is None:
                bend = forward = math.nan
                sure = False
            else:
                bend, forward = tracker.step(up1, up2, gyr1, gyr2)
                sure = self._agreed and tracker.sure
            flexion.append(bend)
            thigh.append(forward)
            ok.append(good and sure)
            reps += counting.step(Sample(t, bend, forward, up1, up2, shake, speed, good, sure), replay=replay)
        return flexion, thigh, ok, reps

    # --- calibration ------------------------------------------------------------------------------------------------

    def _close_block(self) -> list[Output]:
        block, self._block, self._filled = self._block, _new_block(), 0
        up = [np.concatenate(u) for u in block.up]
        gyr = [np.concatenate(g) for g in block.gyr]
        measured = np.concatenate(block.measured)
        t = np.concatenate(block.t)
        if self._tracker is None:
            self._kept.append(
                _Kept(
                    t.tolist(),
                    up[0].tolist(),
                    up[1].tolist(),
                    gyr[0].tolist(),
                    gyr[1].tolist(),
                    block.shake,
                    block.speed,
                    measured.tolist(),
                )
            )
            del self._kept[:-REPLAY_BLOCKS]
        if measured.all():
            quat = [np.concatenate(q) for q in block.quat]
            acc = [np.concatenate(a) for a in block.acc]
            sums = block_sums((quat[0], quat[1]), (acc[0], acc[1]), (gyr[0], gyr[1]), self._rate)
            if sums.energy > _ACTIVE:
                self._learn(sums)
        if self._agreed and self._fits == self._fits_seen and len(self._postures) < _MORE * self._grounded:
            return []  # nothing much has been seen since
        self._grounded = len(self._postures)
        frame = self._ground()
        if frame is None:
            return []
        self._compare(frame)
        if self._tracker is None:
            return self._begin(frame, float(t[-1])) if self._agreed else []
        moved = self._tracker.retune(frame, up[0][-1].tolist(), up[1][-1].tolist())
        self._counting.shift(moved)
        return []

    def _learn(self, sums: BlockSums) -> None:
        """Take a block of motion into the fit.

        The axis is fitted anew after 1, 2, 3, 4, 6, 8, 12... blocks, and after twice as many once two fits agree.
        """
        self._sums.append(sums)
        self._seen_blocks += 1
        if len(self._sums) > _MAX_BLOCKS:
            quietest = min(range(len(self._sums) - 1), key=lambda k: self._sums[k].energy)
            del self._sums[quietest]
        if self._seen_blocks < self._next_fit:
            return
        power = 1 << (self._seen_blocks.bit_length() - 1)
        self._next_fit = self._seen_blocks + (power if self._agreed else max(1, power // 2))
        one, other, acceleration = fit_axes(self._sums, self._axes, sure=self._agreed)
        vote = sign_vote(one, other, acceleration, self._postures, self._rule)
        axes = one if vote >= 0 else other
        if _trusted(axes, abs(vote)):
            self._axes = axes
            self._fits += 1

    def _compare(self, frame: KneeFrame) -> None:
        """Tell whether the angle is known: when the latest fit of the axis agrees with what was held before it."""
        before, self._before = self._before, frame
        if before is None:
            self._fits_seen = self._fits
        elif before is not frame and self._postures.change(before, frame) > _AGREE:
            self._agreed, self._fits_seen = False, self._fits
        elif self._fits > self._fits_seen:
            self._agreed, self._fits_seen = True, self._fits

    def _ground(self) -> KneeFrame | None:
        """Give sense and zero for the axis; None while they, or the axis, are not known or nothing changed."""
        if self._axes is None:
            return None
        held = self._zeroed.frame if self._zeroed is not None else None
        zeroed = self._postures.zero(self._axes, self._rule, held)
        if zeroed is None or zeroed.sense < _MIN_SENSE:
            return None
        self._zeroed = zeroed
        return zeroed.frame

    def _begin(self, frame: KneeFrame, now: float) -> list[Output]:
        self._tracker = KneeTracker(frame, self._rate)
        self._calibrated_at = now
        reps: list[Output] = []
        for kept in self._kept:
            reps += self._track(kept, replay=True)[3]
        self._kept.clear()
        return reps

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
        exercise, recognised, unsure = counting.exercise()
        flags = set(counting.flags())
        if self._tracker is None:
            flags.add("not-calibrated")
            if self._axes is None and self._seen_blocks:
                flags.add("sign-uncertain")
        if self._zeroed is not None and self._tracker is not None and self._zeroed.source != "standing":
            flags |= {"no-standing", "zero-assumed"}
        if unsure:
            flags.add("exercise-uncertain")
        if self._gap:
            flags.add("gap")
        return SessionResult(
            exercise=exercise,
            recognised=recognised,
            reps=reps,
            calibrated_at_s=self._calibrated_at,
            zero=self._zeroed.source if self._tracker is not None and self._zeroed is not None else "none",
            max_flexion=most,
            min_flexion=least,
            ok_fraction=self._ok / self._samples if self._samples else 0.0,
            flags=tuple(sorted(flags)),
            defects=defects,
            start_s=self._start,
            end_s=self._end,
            curve_step_s=step_s,
            curve=curve,
        )


def _norm(v: FloatArray) -> FloatArray:
    return np.sqrt(v[:, 0] * v[:, 0] + v[:, 1] * v[:, 1] + v[:, 2] * v[:, 2])


def _trusted(axes: Axes, sign: float) -> bool:
    return (
        axes.hinge >= _MIN_HINGE
        and axes.rotation >= _MIN_ROTATION
        and sign >= max(_MIN_SIGN, _MIN_SIGN_A_BLOCK * axes.blocks)
    )
