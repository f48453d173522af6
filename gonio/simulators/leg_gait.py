"""Plain walking on the level: what a leg does between two places, and the motion in which nothing may be counted."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.interpolate import CubicSpline

from gonio.signal.consts import FloatArray
from gonio.simulators.leg_score import minimum_jerk

#: Flexion in degrees at shares of the stride from heel strike to heel strike: the course of healthy adults' gait as
#: textbooks draw it (knee: a small wave under load, a large one in swing; hip: one swing), rounded to whole degrees.
_STRIDE: Final = np.array((0.0, 0.08, 0.15, 0.25, 0.40, 0.50, 0.60, 0.72, 0.82, 0.90, 0.96, 1.0))
_KNEE_DEG: Final = np.array((5.0, 13.0, 18.0, 13.0, 5.0, 12.0, 36.0, 61.0, 42.0, 14.0, 2.0, 5.0))
_HIP_DEG: Final = np.array((27.0, 26.0, 21.0, 11.0, -4.0, -9.0, -4.0, 17.0, 28.0, 30.0, 28.0, 27.0))
_KNEE: Final = CubicSpline(_STRIDE, _KNEE_DEG, bc_type="periodic")
_HIP: Final = CubicSpline(_STRIDE, _HIP_DEG, bc_type="periodic")

_STRIDE_S: Final = 1.1  # mean duration of a stride
_STRIDE_CV: Final = 0.02  # healthy stride-time variability is 1 to 3 %
_SPEED_M_S: Final = 1.2
_RAMP_S: Final = 1.2  # to reach and to leave the full stride
_BOB_M: Final = 0.02  # half the way that the pelvis goes up and down, twice a stride
_WEAVE_M: Final = 0.02  # and from side to side, once a stride
_DROP_M: Final = 0.02  # how much lower the pelvis is in walking than in standing

#: A heel strike, as a damped shake of the bones: frequency, decay, and peak acceleration along x, y, z, in m/s².
_STRIKE_HZ: Final = 14.0
_STRIKE_DECAY_S: Final = 0.022
_STRIKE_M_S2: Final = {"thigh": np.array((3.0, 1.5, 6.0)), "shank": np.array((8.0, 3.0, 16.0))}


@dataclass(frozen=True, slots=True, eq=False)
class GaitPath:
    """What walking does to the leg's coordinates.

    Attributes:
        weight: (n,) how much of the leg's motion is walking, 0 to 1.
        hip_deg: (n,) hip flexion of full walking, degrees.
        knee_deg: (n,) knee flexion of full walking, degrees.
        pelvis_m: (n, 3) what is added to the pelvis, m: forward, to the moving leg's own side, up.
        jolt_m: (n, 3) by segment, what heel strikes add to its position, bone frame of a right leg, m.
    """

    weight: FloatArray
    hip_deg: FloatArray
    knee_deg: FloatArray
    pelvis_m: FloatArray
    jolt_m: dict[str, FloatArray]


class Walk:
    """One walk from start to stop."""

    SHORTEST_S: Final = 2.0 * _RAMP_S + 1.0

    def __init__(self, start_s: float, end_s: float, rng: np.random.Generator) -> None:
        """Draw the strides of a walk between two moments in s, at least ``SHORTEST_S`` apart."""
        if end_s - start_s < self.SHORTEST_S:
            raise ValueError(f"a walk lasts at least {self.SHORTEST_S} s")
        self.start_s, self.end_s = start_s, end_s
        strides = int(np.ceil((end_s - start_s) / (_STRIDE_S * (1.0 - 4.0 * _STRIDE_CV)))) + 1
        durations = _STRIDE_S * (1.0 + _STRIDE_CV * np.clip(rng.standard_normal(strides), -3.0, 3.0))
        self._strikes_s = start_s + np.concatenate(([0.0], np.cumsum(durations))) - 0.4 * durations[0]
        strength = 1.0 + 0.15 * np.clip(rng.standard_normal(strides + 1), -3.0, 3.0)
        inside = (self._strikes_s > start_s + 0.3) & (self._strikes_s < end_s - 0.3)
        self._impacts = list(zip(self._strikes_s[inside], strength[inside], strict=True))

    @property
    def distance_m(self) -> float:
        """How far the walk goes, m: each ramp counts half."""
        return _SPEED_M_S * (self.end_s - self.start_s - _RAMP_S)

    def sample(self, t_s: FloatArray) -> GaitPath:
        """Give the walk at increasing moments (n,) in s; after its end the way gone stays."""
        strides = CubicSpline(self._strikes_s, np.arange(len(self._strikes_s)))
        phase = np.asarray(strides(np.clip(t_s, self.start_s, self.end_s)))
        weight = minimum_jerk((t_s - self.start_s) / _RAMP_S) - minimum_jerk((t_s - self.end_s) / _RAMP_S + 1.0)
        forward = _SPEED_M_S * (
            _RAMP_S * _minimum_jerk_integral((t_s - self.start_s) / _RAMP_S)
            - _RAMP_S * _minimum_jerk_integral((t_s - self.end_s) / _RAMP_S + 1.0)
        )
        turn = 2.0 * np.pi * phase
        pelvis = np.column_stack(
            (forward, weight * _WEAVE_M * np.sin(turn), -weight * (_DROP_M + _BOB_M * np.cos(2.0 * turn)))
        )
        stride = np.mod(phase, 1.0)
        return GaitPath(weight, np.asarray(_HIP(stride)), np.asarray(_KNEE(stride)), pelvis, self._jolts(t_s, weight))

    def _jolts(self, t_s: FloatArray, weight: FloatArray) -> dict[str, FloatArray]:
        shake = np.zeros(len(t_s))
        for moment_s, strength in self._impacts:
            first, last = np.searchsorted(t_s, (moment_s, moment_s + 15.0 * _STRIKE_DECAY_S))
            since = t_s[first:last] - moment_s
            shake[first:last] += strength * damped_shake(since)
        shake *= weight
        return {segment: shake[:, None] * peak for segment, peak in _STRIKE_M_S2.items()}


def damped_shake(since_s: FloatArray) -> FloatArray:
    """Give the displacement (n,) in m of an impact whose acceleration peaks at about 1 m/s², (n,) s after it.

    It begins with the fourth power of time, so that its acceleration is smooth, and is over after 0.3 s.
    """
    x = since_s / _STRIKE_DECAY_S
    omega = 2.0 * np.pi * _STRIKE_HZ
    shake = x**4 * np.exp(4.0 - 4.0 * x) * np.sin(omega * since_s)
    return np.asarray(shake / (2.3 * omega * omega), dtype=np.float64)  # 2.3: its peak at this decay, found numerically


def _minimum_jerk_integral(fraction: FloatArray) -> FloatArray:
    """Give the integral (n,) of the minimum-jerk way from 0 to a fraction; beyond 1 it grows by the fraction."""
    x = np.clip(fraction, 0.0, 1.0)
    return np.asarray(x**4 * (2.5 + x * (x - 3.0)) + np.maximum(fraction - 1.0, 0.0), dtype=np.float64)
