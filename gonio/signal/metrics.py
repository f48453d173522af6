"""How one repetition was done: its phases, pace, smoothness and whether it reached what was asked."""

import math
from dataclasses import dataclass

import numpy as np

from gonio.signal.chunks import RepEvent
from gonio.signal.consts import RepSignal
from gonio.signal.exercises import ExerciseRule
from gonio.signal.goal import Goal

#: Top share of the excursion whose centre is the peak: a held plateau has its peak in its middle, not in its noise.
_TOP_SHARE = 0.08


@dataclass(frozen=True, slots=True, eq=False)
class RepPath:
    """The way of one repetition, sample by sample, from leaving the rest to being back.

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
        usual: median range of the patient's repetitions before it, rad; None when there were none.
    """
    del goal, usual
    peak = max(path.x)
    rom = peak - path.base
    flexion = list(path.flexion)
    if path.signal == "knee":  # the rests on both sides belong to it
        sign = -1.0 if rule.moves == "extends" else 1.0
        flexion += [sign * path.base, sign * path.low]
    t = np.array(path.t_s)
    weight = np.maximum(np.array(path.x) - (peak - _TOP_SHARE * rom), 0.0)
    known = not any(map(math.isnan, flexion))
    return RepEvent(
        start_s=path.t_s[0],
        peak_s=path.t_s[0] + float(np.sum((t - t[0]) * weight) / np.sum(weight)),
        end_s=path.t_s[-1],
        signal=path.signal,
        peak_flexion=max(flexion) if known else math.nan,
        min_flexion=min(flexion) if known else math.nan,
        rom=rom,
        measured=path.measured,
    )
