"""What others publish for the same task, run on the same samples.

None of them calibrates itself: the joint's axis in both sensors comes from Olsson's estimator (qmt; Seel's from his
own) over the whole trial, and of all choices of the two signs the one is taken that fits the truth best. That is
knowledge that a kit does not have. All but qmt's heading correction are causal once the axes are known.
"""

import contextlib
import io
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from madgwick import madgwick_up
from measures import free_of_offset, wrapped
from scipy.optimize import least_squares
from seel import seel_angle, seel_axes, to_joint_centre
from trials import Grid, Trial
from vqf import VQF

from gonio.signal.consts import FloatArray

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of qmt's own plotting
    import imufusion
    import qmt

Axes: TypeAlias = tuple[FloatArray, FloatArray]
#: Gives the angle (n,) in rad, up to sign and offset, for the axes in both sensors.
AngleOf: TypeAlias = Callable[[Axes], FloatArray]

_G: Final = 9.80665
_FIT_HZ: Final = 25.0  # the fit to the truth looks at so many samples a second


@dataclass(frozen=True, slots=True)
class Method:
    """A published way to the angle.

    Attributes:
        name: of the method.
        causal: whether it looks ahead (the axes aside).
        given: what it is told that gonio is not.
        prepare: makes of a trial's samples what gives the angle for any axes.
    """

    name: str
    causal: bool
    given: str
    prepare: Callable[[Grid], AngleOf]


def vqf_quaternions(grid: Grid) -> list[FloatArray]:
    """Give both sensors' orientations (n, 4), VQF without magnetometer."""
    return [
        VQF(1.0 / grid.rate_hz).updateBatch(np.ascontiguousarray(gyr), np.ascontiguousarray(acc))["quat6D"]
        for acc, gyr in zip(grid.acc, grid.gyr, strict=True)
    ]


def up_of(quat: FloatArray) -> FloatArray:
    """Give the direction "up" (n, 3) in the sensor's frame of orientations (n, 4)."""
    w, x, y, z = quat.T
    return np.column_stack((2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)))


def phase(vectors: FloatArray, axis: FloatArray) -> FloatArray:
    """Give the direction (n,) in rad of vectors (n, 3) in the plane normal to an axis (3,)."""
    first = np.cross(axis, np.eye(3)[int(np.argmin(np.abs(axis)))])
    first /= np.linalg.norm(first)
    return np.arctan2(vectors @ np.cross(axis, first), vectors @ first)


def inclination_difference(ups: list[FloatArray]) -> AngleOf:
    """Give the difference of two sensors' inclinations about the axis: no heading is needed."""
    return lambda axes: wrapped(phase(ups[1], axes[1]) - phase(ups[0], axes[0]))


def _vqf(grid: Grid) -> AngleOf:
    return inclination_difference([up_of(quat) for quat in vqf_quaternions(grid)])


def _madgwick(grid: Grid) -> AngleOf:
    both = zip(grid.acc, grid.gyr, strict=True)
    return inclination_difference([madgwick_up(acc, gyr, grid.rate_hz) for acc, gyr in both])


def _imufusion(grid: Grid) -> AngleOf:
    ups = []
    for acc, gyr in zip(grid.acc, grid.gyr, strict=True):
        ahrs = imufusion.Ahrs()
        ahrs.set_sample_period(1.0 / grid.rate_hz)
        quats = np.empty((len(acc), 4))
        for k, (a, g) in enumerate(zip(acc / _G, np.degrees(gyr), strict=True)):
            ahrs.update_no_magnetometer(g, a)
            quats[k] = ahrs.get_quaternion()
        ups.append(up_of(quats))
    return inclination_difference(ups)


def _seel(grid: Grid) -> AngleOf:
    moved = to_joint_centre(grid.acc, grid.gyr, grid.rate_hz)
    return lambda axes: seel_angle(moved, grid.gyr, axes, grid.rate_hz)


def _gyroscope(grid: Grid) -> AngleOf:
    return lambda axes: np.cumsum(grid.gyr[0] @ axes[0] - grid.gyr[1] @ axes[1]) / grid.rate_hz


def _heading(grid: Grid) -> AngleOf:
    quats = vqf_quaternions(grid)

    def angle(axes: Axes) -> FloatArray:
        onto = [_onto_y(axis) for axis in axes]
        one, two = (qmt.qmult(quat, turn) for quat, turn in zip(quats, onto, strict=True))
        rates = [qmt.rotate(qmt.qinv(turn), gyr) for turn, gyr in zip(onto, grid.gyr, strict=True)]
        times = np.arange(len(one)) / grid.rate_hz
        joint = np.array((0.0, 1.0, 0.0))
        corrected = qmt.headingCorrection(*rates, one, two, times, joint, {}, {"constraint": "euler_1d"})[0]
        relative = qmt.qmult(qmt.qinv(one), corrected)
        return wrapped(-2.0 * np.arctan2(relative[:, 2], relative[:, 0]))  # signed as the inclination difference is

    return angle


def _onto_y(axis: FloatArray) -> FloatArray:
    """Give the turn (4,) of a segment's frame, whose y is the joint's axis, into the sensor's frame."""
    y = np.array((0.0, 1.0, 0.0))
    quat = np.array((1.0 + axis @ y, *np.cross(y, axis)))
    size = float(np.linalg.norm(quat))
    return quat / size if size > 1e-9 else np.array((0.0, 1.0, 0.0, 0.0))  # noqa: PLR2004 - opposite to y


VQF_6D: Final = Method("VQF 6D, inclination difference", causal=True, given="axes, sign", prepare=_vqf)
SEEL: Final = Method("Seel 2014", causal=True, given="axes, sign, joint centre", prepare=_seel)
METHODS: Final = (
    VQF_6D,
    Method("VQF 6D + qmt heading correction", causal=False, given="axes, sign", prepare=_heading),
    SEEL,
    Method("Madgwick", causal=True, given="axes, sign", prepare=_madgwick),
    Method("imufusion, untuned", causal=True, given="axes, sign", prepare=_imufusion),
    Method("gyroscope alone", causal=True, given="axes, sign", prepare=_gyroscope),
)


def olsson_axes(grid: Grid) -> Axes:
    """Estimate the joint's axis in both sensors (Olsson et al. 2020, as in qmt); their relative sign may be wrong."""
    with contextlib.redirect_stdout(io.StringIO()):  # it tells each step
        axes = qmt.jointAxisEstHingeOlsson(*grid.acc, *grid.gyr)
    return np.ravel(axes[0]), np.ravel(axes[1])


def all_signs(axes: Axes) -> tuple[Axes, ...]:
    """Give the axes as they are and with every other choice of their signs; those of the same relative sign first."""
    one, two = axes
    return (one, two), (-one, -two), (one, -two), (-one, two)


@dataclass(frozen=True, slots=True)
class PeerError:
    """RMSE of a method without offset and lag, degrees.

    Attributes:
        whole: over the whole trial.
        shared: where gonio's angle is ok.
        best: where gonio's angle is ok, with both axes fitted to the truth itself.
    """

    whole: float
    shared: float
    best: float


def signed(axes: Axes, grid: Grid, trial: Trial) -> Axes:
    """Give the axes with the signs that fit the truth best; judged with VQF, whose angle is the steadiest."""
    angle = _vqf(grid)
    known = np.isfinite(trial.reference(grid.t_s))
    return min(all_signs(axes), key=lambda one: free_of_offset(grid.t_s, angle(one), known, trial, lag=False))


def peer_error(method: Method, trial: Trial, ok_s: FloatArray) -> PeerError:
    """Measure a method; ``ok_s`` are the moments (n,) in s at which gonio's angle is ok."""
    grid = trial.grid()
    angle = method.prepare(grid)
    everywhere = np.isfinite(trial.reference(grid.t_s))
    shared = everywhere & ok_where(grid.t_s, ok_s, 1.0 / grid.rate_hz)
    axes = signed(seel_axes(*grid.gyr) if method is SEEL else olsson_axes(grid), grid, trial)
    flexion = angle(axes)
    best = float("nan")
    if method.causal:  # the batch correction takes too long to be fitted
        fitted = fit_to_truth(angle, axes, grid.t_s, shared, trial)
        best = free_of_offset(grid.t_s, angle(fitted), shared, trial, lag=True)
    return PeerError(
        free_of_offset(grid.t_s, flexion, everywhere, trial, lag=True),
        free_of_offset(grid.t_s, flexion, shared, trial, lag=True),
        best,
    )


def ok_where(t_s: FloatArray, ok_s: FloatArray, step_s: float) -> np.typing.NDArray[np.bool_]:
    """Tell for moments (n,) in s whether one of ``ok_s`` is within half a step."""
    if not len(ok_s):
        return np.zeros(len(t_s), dtype=np.bool_)
    after = np.clip(np.searchsorted(ok_s, t_s), 1, len(ok_s) - 1) if len(ok_s) > 1 else np.zeros(len(t_s), dtype=int)
    nearest = np.minimum(np.abs(ok_s[after] - t_s), np.abs(ok_s[after - 1] - t_s))
    return np.asarray(nearest <= 0.6 * step_s)


def fit_to_truth(angle: AngleOf, axes: Axes, t_s: FloatArray, use: np.typing.NDArray[np.bool_], trial: Trial) -> Axes:
    """Turn both axes until the angle fits the truth best: more than any method could know."""
    if not use.any():
        return axes
    every = max(1, round(1.0 / (_FIT_HZ * float(np.median(np.diff(t_s))))))
    chosen = np.flatnonzero(use)[::every]
    reference = trial.reference(t_s)[chosen]
    sign = min(trial.signs, key=lambda s: _spread(wrapped(angle(axes)[chosen] - s * reference)))
    bases = [np.linalg.svd(axis[None, :])[2][1:] for axis in axes]

    def at(x: FloatArray) -> Axes:
        turned = [axis + pair @ basis for axis, pair, basis in zip(axes, (x[:2], x[2:4]), bases, strict=True)]
        return turned[0] / np.linalg.norm(turned[0]), turned[1] / np.linalg.norm(turned[1])

    def residual(x: FloatArray) -> FloatArray:
        gap = wrapped(angle(at(x))[chosen] - sign * reference)
        return wrapped(gap - np.angle(np.exp(1j * gap).mean()))

    return at(least_squares(residual, np.zeros(4), diff_step=np.full(4, 1e-4), max_nfev=15).x)


def _spread(gap: FloatArray) -> float:
    return float(np.mean(wrapped(gap - np.angle(np.exp(1j * gap).mean())) ** 2))
