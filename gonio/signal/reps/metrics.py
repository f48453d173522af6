"""How one repetition was done: its phases, pace, smoothness and whether it reached what was asked.

Phases
    A repetition is a way out from the rest, a hold and a way back. On each way the speed rises and dies away. The
    moment at which it begins or ends is looked for where the signal is near that end (so that hesitating in mid-way
    is part of the way) and slow against the fastest of this very way (so that no speed is "slow" for everybody). Where
    a speed falls to 10 % the way is not over: a smooth movement of one second is slower than that for its last 90 ms.
    The speed of a smooth movement dies with the square of the time left, so the moments at which it passes 40 % and
    10 % tell the one at which it is over: as much later again.
Velocity
    From the signal smoothed over a few hundredths of a second, forwards and backwards alike: the repetition is
    complete, so nothing need be causal.
Smoothness
    Spectral arc length of the speed (Balasubramanian et al. 2015, doi 10.1186/s12984-015-0090-9), with that paper's
    parameters: spectrum up to 10 Hz, zero-padded 16-fold, cut where it stays below 5 % of its height. It is taken of
    the way out and of the way back and averaged, because a hold between them is no jerk. A minimum-jerk movement has
    -1.4, one that stops once on its way -2.25, one that stops twice -2.7.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from gonio.signal.chunks import RepEvent
from gonio.signal.consts import FloatArray, RepSignal
from gonio.signal.reps.exercises import ExerciseRule
from gonio.signal.reps.goal import Goal

#: Top share of the excursion whose centre is the peak: a held plateau has its peak in its middle, not in its noise.
_TOP_SHARE = 0.08
#: Standard deviation of the smoothing, s: it takes 3 % off the peak velocity of a movement of half a second.
_SMOOTH_S: Final = 0.03
#: Shares of a way's peak speed between which its end is extrapolated, and of the excursion within which it must lie.
_SLOW, _SLOWING, _NEAR_END = 0.1, 0.4, 0.15
#: A way is over at most this share of the time since its fastest later: a long drift is not.
_MOST_LATER: Final = 0.5
#: Share of the excursion from which on a leg counts as raised.
_RAISED: Final = 0.5
#: Parameters of the spectral arc length: highest frequency (Hz), threshold of the spectrum, padding (powers of 2).
_ARC_HZ, _ARC_SHARE, _ARC_PADDING = 10.0, 0.05, 4
_FEWEST: Final = 4  # samples of a speed that has a spectrum worth the name


@dataclass(frozen=True, slots=True, eq=False)
class RepPath:
    """The way of one repetition, sample by sample, from leaving the rest to being back.

    It may begin in the rest before and end in the rest after it.

    Attributes:
        t_s: (n,) kit's clock, s.
        x: (n,) the counted signal, rad, turned so that it grows away from the rest.
        flexion: (n,) rad, NaN where it was not ok.
        base: the rest before it in the units of ``x``, rad.
        low: the rest after it likewise, rad.
        signal: what ``x`` is.
        measured: False when a long gap fell inside.
    """

    t_s: list[float]
    x: list[float]
    flexion: list[float]
    base: float
    low: float
    signal: RepSignal
    measured: bool


def rep_event(path: RepPath, rule: ExerciseRule, goal: Goal, usual: float | None) -> RepEvent:
    """Describe a repetition.

    Args:
        path: its way.
        rule: what was counted.
        goal: what was asked.
        usual: median range of the patient's repetitions before it, rad; None when there were none. A template counts
            for more.
    """
    t, x = np.array(path.t_s), np.array(path.x)
    peak = max(path.x)
    rom = peak - path.base
    speed = _speed(t, x)
    start, there, left, end = _phases(t, x, speed, path)
    if there > left:  # it turned round without a stop
        there = left = 0.5 * (there + left)
    inside = (t >= start) & (t <= end)
    weight = np.where(inside, np.maximum(x - (peak - _TOP_SHARE * rom), 0.0), 0.0)
    middle = float(((t - start) * weight).sum() / weight.sum()) if weight.any() else 0.5 * (end - start)
    flexion = [f for f, counts in zip(path.flexion, inside.tolist(), strict=True) if counts]
    if path.signal == "knee":  # the rests on both sides belong to it
        sign = -1.0 if rule.moves == "extends" else 1.0
        flexion += [sign * path.base, sign * path.low]
    known = bool(flexion) and not any(map(math.isnan, flexion))
    most, least = (max(flexion), min(flexion)) if known else (math.nan, math.nan)
    raised = path.signal == "thigh" and (not rule.name or "height" in rule.measures)
    hold = left - there
    usual = goal.template.rom if goal.template is not None else usual
    met = goal.met(most, least, rom if raised else math.nan, hold) if path.measured else None
    return RepEvent(
        start_s=start,
        peak_s=min(end, start + middle),
        end_s=end,
        signal=path.signal,
        peak_flexion=most,
        min_flexion=least,
        rom=rom,
        measured=path.measured,
        concentric_s=_shortening(rule, there - start, end - left),
        hold_s=hold,
        eccentric_s=_shortening(rule, end - left, there - start),
        peak_velocity=float(np.abs(speed).max()),
        smoothness=0.5 * (_arc_length(t, speed, start, there) + _arc_length(t, speed, left, end)),
        extensor_lag=_lag(path, peak) if "extensor-lag" in rule.measures else math.nan,
        complete=usual is None or rom >= rule.complete * usual,
        on_target=met,
    )


def _shortening(rule: ExerciseRule, out: float, back: float) -> float:
    """Give the time in which the muscle shortens, s, of those on the way out and back; NaN where it is not told."""
    if rule.concentric is None:
        return math.nan
    return out if rule.concentric == "out" else back


def _lag(path: RepPath, peak: float) -> float:
    """Give the largest flexion while the leg is raised, rad; NaN where it was not ok throughout."""
    least = path.base + _RAISED * (peak - path.base)
    raised = [f for f, x in zip(path.flexion, path.x, strict=True) if x >= least]
    return math.nan if any(map(math.isnan, raised)) else max(raised)


def _speed(t: FloatArray, x: FloatArray) -> FloatArray:
    """Give the rate (n,) of a signal (n,) at even moments (n,), lightly smoothed, in units of ``x``/s."""
    if len(x) < 2:  # noqa: PLR2004 - a rate needs two
        return np.zeros(len(x))
    step = float(t[-1] - t[0]) / (len(t) - 1)
    reach = math.ceil(3.0 * _SMOOTH_S / step)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) * step / _SMOOTH_S) ** 2)
    before = 2.0 * x[0] - x[1 : reach + 1][::-1] if reach < len(x) else np.full(reach, x[0])
    after = 2.0 * x[-1] - x[-reach - 1 : -1][::-1] if reach < len(x) else np.full(reach, x[-1])
    smooth = np.convolve(np.concatenate((before, x, after)), kernel / kernel.sum(), mode="valid")
    speed = np.empty(len(x))
    speed[1:-1] = (smooth[2:] - smooth[:-2]) / (2.0 * step)
    speed[0], speed[-1] = (smooth[1] - smooth[0]) / step, (smooth[-1] - smooth[-2]) / step
    return speed


def _phases(t: FloatArray, x: FloatArray, speed: FloatArray, path: RepPath) -> tuple[float, float, float, float]:
    """Give the moments, s, at which the way out begins and ends, and the way back begins and ends, in this order."""
    top = int(np.argmax(x))
    peak = float(x[top])
    out = int(np.argmax(speed[: top + 1]))
    back = top + int(np.argmin(speed[top:]))
    before = (x < path.base + _NEAR_END * (peak - path.base)).tolist()
    far = (x > peak - _NEAR_END * (peak - path.base)).tolist()
    after = (x < path.low + _NEAR_END * (peak - path.low)).tolist()
    moments, rising, falling = t.tolist(), speed.tolist(), (-speed).tolist()
    start = _over(moments, rising, before, out, 0)
    there = _over(moments, rising, far, out, top)
    left = _over(moments, falling, far, back, top)
    end = _over(moments, falling, after, back, len(moments) - 1)
    return start, there, left, end


def _over(t: list[float], speed: list[float], near: list[bool], fastest: int, last: int) -> float:
    """Give the moment, s, at which a way is over.

    Args:
        t: (n,) moments, s.
        speed: (n,) along the way.
        near: (n,) whether the signal is near that end of the way.
        fastest: index from which it is looked for.
        last: index up to which; before ``fastest`` when the way's beginning is looked for.
    """
    step = 1 if last >= fastest else -1
    slow, slowing = _SLOW * speed[fastest], _SLOWING * speed[fastest]
    since = t[fastest]
    for k in range(fastest + step, last + step, step):
        if speed[k] <= slowing < speed[k - step]:
            since = _between(t, speed, k, k - step, slowing)
        if speed[k] < slow and near[k]:
            until = _between(t, speed, k, k - step, slow)
            more = min(abs(until - since), _MOST_LATER * abs(until - t[fastest]))
            return min(until + more, t[last]) if step > 0 else max(until - more, t[last])
    return t[last]


def _between(t: list[float], speed: list[float], k: int, j: int, level: float) -> float:
    """Give the moment, s, between two samples at which the speed passes a level; the first where it does not."""
    if not speed[k] <= level < speed[j]:
        return t[k]
    return t[k] + (t[j] - t[k]) * (level - speed[k]) / (speed[j] - speed[k])


def _arc_length(t: FloatArray, speed: FloatArray, start: float, end: float) -> float:
    """Give the spectral arc length of the speed between two moments, s; NaN when they hold too few samples."""
    moved = np.abs(speed[(t >= start) & (t <= end)])
    if len(moved) < _FEWEST or not moved.any():
        return math.nan
    step = float(t[-1] - t[0]) / (len(t) - 1)
    size = 1 << ((len(moved) - 1).bit_length() + _ARC_PADDING)
    share = np.abs(np.fft.rfft(moved, size))
    share = share[: min(len(share), int(_ARC_HZ * size * step) + 1)] / share.max()
    share = share[: int((share >= _ARC_SHARE).nonzero()[0][-1]) + 1]
    return -float(np.hypot(1.0 / (len(share) - 1), share[1:] - share[:-1]).sum())
