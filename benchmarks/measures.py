"""How far an angle is from the truth, and which of the repetitions found were done."""

from collections.abc import Sequence
from typing import Final, Protocol

import numpy as np

from gonio.signal.chunks import RepEvent
from gonio.signal.consts import BoolArray, FloatArray

#: Lags between an angle and its reference that are tried, s: filters and optical systems are late by unlike times.
LAGS_S: Final = np.arange(-30, 31) / 100.0
#: A found repetition matches a true one when they overlap by this share of the shorter.
OVERLAP: Final = 0.3


class Referenced(Protocol):
    """What has a reference."""

    @property
    def signs(self) -> tuple[float, ...]:
        """Signs that the reference may have."""

    def reference(self, t_s: FloatArray) -> FloatArray:
        """Give the reference (n,) in rad at moments (n,) in s."""


def wrapped(angle: FloatArray) -> FloatArray:
    """Bring angles in rad into -pi to pi."""
    return np.asarray((angle + np.pi) % (2.0 * np.pi) - np.pi)


def degrees_rms(error: FloatArray) -> float:
    """Give the root mean square of errors in rad, degrees; NaN of nothing."""
    return float(np.degrees(np.sqrt(np.mean(error**2)))) if len(error) else float("nan")


def free_of_offset(t_s: FloatArray, flexion: FloatArray, use: BoolArray, trial: Referenced, *, lag: bool) -> float:
    """Give the RMSE without a constant offset, degrees, for the best of the signs and lags allowed; NaN of nothing."""
    best = float("nan")
    times, angles = t_s[use], flexion[use]
    for late in LAGS_S if lag else (0.0,):
        reference = trial.reference(times - late)
        known = np.isfinite(reference)
        if not known.any():
            continue
        for sign in trial.signs:
            gap = wrapped(angles[known] - sign * reference[known])
            best = float(np.fmin(best, degrees_rms(wrapped(gap - np.angle(np.exp(1j * gap).mean())))))
    return best


def matches(found: Sequence[RepEvent], true: Sequence[tuple[float, float]]) -> list[bool]:
    """Tell for each true repetition whether one was found, one to one, in order."""
    left = list(found)
    hits = []
    for start, end in true:
        match = None
        for rep in left:
            overlap = min(end, rep.end_s) - max(start, rep.start_s)
            if overlap >= OVERLAP * min(end - start, rep.end_s - rep.start_s):
                match = rep
                break
        if match is not None:
            left.remove(match)
        hits.append(match is not None)
    return hits


def f1(found: int, true: int, hits: int) -> float:
    """Give the harmonic mean of precision and recall; 1 where nothing was done and nothing found."""
    return 2.0 * hits / (found + true) if found + true else 1.0
