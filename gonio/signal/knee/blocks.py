"""A block of motion reduced to the sums that the fit of the knee's axis needs (see ``axis`` and ``forms``).

Blocks are cut by sample index, never by chunk.
"""

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Final

import numpy as np

from gonio.signal.consts import FloatArray
from gonio.signal.knee.forms import ARMS, COLUMNS, FORCE, PLANE, ROTATION, TRACES, TURN, WHOLE, folded, waves
from gonio.signal.orient import rotation_matrices

#: Rate to which a block is thinned before the sums, Hz: the knee's motion is below 6 Hz.
_SUM_RATE_HZ: Final = 30.0
#: Width of the smoothing window, s: takes impacts, tremor (6 to 12 Hz) and the flesh's ringing out of the second
#: derivative.
_SMOOTH_S: Final = 0.16
#: Mean squared rotation below which a block hardly counts, (rad/s)².
FAINT: Final = 0.02
#: (120, 6): all headings, by 3°.
_AROUND: Final = waves(np.radians(np.arange(0.0, 360.0, 3.0)))
#: (12, 21): from what both sensors feel of the joint to the parts, with 1, cos delta and sin delta, of its acceleration
#: as 7 columns: arm of the thigh, of the shank, and the difference seen.
_JOINT: Final = np.zeros((12, 21))
_JOINT[0:3, 0:3] = np.eye(3)
_JOINT[3:6, 10:13] = -np.eye(3)
_JOINT[6:9, 17:20] = -np.eye(3)
_JOINT[9, 6], _JOINT[10, 13], _JOINT[11, 20] = 1.0, -1.0, -1.0


@dataclass(frozen=True, eq=False)
class BlockSums:
    """One block of motion, reduced to what the fit needs (all per sample, so that blocks compare).

    Attributes:
        forms: (6, ``forms.COLUMNS``) all that depends on the heading between the sensors' earth frames.
        own: mean square of the relative angular velocity's parts together, (rad/s)².
        felt: mean squared horizontal acceleration of both sensors, (m/s²)².
        levers: what both sensors' lever arms (thigh, shank) show of themselves in the second strongest direction, mean
            squared acceleration per metre, (1/s²)².
        energy: mean squared angular velocity of the busier sensor, (rad/s)².
        apart: share of all turning that is between the two sensors at the heading where it is least.
        at_s: kit's clock, s.
    """

    forms: FloatArray
    own: float
    felt: float
    levers: tuple[float, float]
    energy: float
    apart: float
    at_s: float

    @cached_property
    def guess(self) -> tuple[float, FloatArray]:
        """How promising the block's own best axis is, (rad/s)², and that axis (2, 3) in the thigh's and shank's frame.

        It is taken at the heading that leaves least rotation beside it in the thigh's frame.
        """
        at = (_AROUND @ self.forms[:, ROTATION]).reshape(-1, 2, 3, 3)
        values = np.linalg.eigvalsh(at[:, 0])
        beside = values[:, 0] + values[:, 1]
        best = int(np.argmin(beside))
        promise = values[best, 2] ** 2 / (beside[best] + 0.02 * values[best, 2] + 1e-3)
        return float(promise), np.linalg.eigh(at[best])[1][:, :, 2]


def _smooth(x: FloatArray, width: int) -> FloatArray:
    """Mean over a window (valid part only) of an (n, m) array."""
    if width == 1:
        return x
    total = np.zeros((len(x) + 1, x.shape[1]))
    np.cumsum(x, axis=0, out=total[1:])
    return np.asarray((total[width:] - total[:-width]) / width)


def _slopes(x: FloatArray, rate_hz: float) -> FloatArray:
    """Derivative (n, m) of columns (n, m), per second."""
    out = np.empty_like(x)
    out[1:-1] = (x[2:] - x[:-2]) * (0.5 * rate_hz)
    out[0], out[-1] = (x[1] - x[0]) * rate_hz, (x[-1] - x[-2]) * rate_hz
    return out


def _levers(gyr: FloatArray, rates: FloatArray, out: FloatArray) -> None:
    """Write the (..., 3, 3) matrices that turn a lever arm into the acceleration of its far end against the sensor."""
    x, y, z = (gyr[..., k] for k in range(3))
    dx, dy, dz = (rates[..., k] for k in range(3))
    xx, yy, zz = x * x, y * y, z * z
    xy, xz, yz = x * y, x * z, y * z
    out[..., 0, 0], out[..., 1, 1], out[..., 2, 2] = -(yy + zz), -(xx + zz), -(xx + yy)
    out[..., 0, 1], out[..., 1, 0] = xy - dz, xy + dz
    out[..., 0, 2], out[..., 2, 0] = xz + dy, xz - dy
    out[..., 1, 2], out[..., 2, 1] = yz - dx, yz + dx


def _parts(rot: FloatArray, turning: FloatArray, world: FloatArray) -> FloatArray:
    """Parts (2, n, 9) of own - R' Rz(delta) other, in the own frame, that go with 1, cos delta and sin delta."""
    other = np.zeros((*turning.shape[:2], 3, 3))  # part, direction
    x, y = world[::-1, :, 0], world[::-1, :, 1]
    way = np.array([[1.0], [-1.0]])  # for the shank the way back: Rz(-delta)
    other[:, :, 0, 2] = -world[::-1, :, 2]
    other[:, :, 1, 0], other[:, :, 1, 1] = -x, -y
    other[:, :, 2, 0], other[:, :, 2, 1] = way * y, -way * x
    parts = other @ rot
    parts[:, :, 0] += turning
    return np.asarray(parts.reshape(2, -1, 9))


@lru_cache(maxsize=4)
def _trend(n: int) -> FloatArray:
    """Give an orthonormal basis (n, 3) of mean, slope and bow."""
    t = np.linspace(-1.0, 1.0, n)
    basis, _ = np.linalg.qr(np.stack([np.ones_like(t), t, t * t], axis=1))
    basis.flags.writeable = False
    return np.asarray(basis)


def _joint(near: FloatArray, far: FloatArray) -> FloatArray:
    """Products (12, 12) of what both sensors, (n, 2, 4) each, feel of the joint in the level plane.

    Mean, slope and bow are taken out: what a filter's slow tilt errors leak of gravity.
    """
    n = len(near)
    flat = np.concatenate((near.reshape(n, 8), far.reshape(n, 8)), axis=1)
    basis = _trend(n)
    flat -= basis @ (basis.T @ flat)
    one, two = flat[:, :8].reshape(n, 2, 4), flat[:, 8:].reshape(n, 2, 4)
    rows = np.empty((n, 2, 12))
    rows[:, :, 0:3], rows[:, :, 9] = one[:, :, :3], one[:, :, 3]
    rows[:, :, 3:6], rows[:, :, 10] = two[:, :, :3], two[:, :, 3]
    rows[:, 0, 6:9], rows[:, 0, 11] = -two[:, 1, :3], -two[:, 1, 3]
    rows[:, 1, 6:9], rows[:, 1, 11] = two[:, 0, :3], two[:, 0, 3]
    flat = rows.reshape(-1, 12)
    return np.asarray(flat.T @ flat / n)


def block_sums(
    quats: tuple[FloatArray, FloatArray],
    acc: tuple[FloatArray, FloatArray],
    gyr: tuple[FloatArray, FloatArray],
    rate_hz: float,
    at_s: float,
    *,
    least: float,
) -> BlockSums | None:
    """Reduce a block of samples; None for one whose energy is no more than ``least``.

    The first three arguments are (thigh, shank), arrays as in ``orient.Attitude`` and chunks.
    """
    width = max(1, round(_SMOOTH_S * rate_hz))
    step = max(1, int(rate_hz / _SUM_RATE_HZ))
    centre = slice((width - 1) // 2, len(acc[0]) - width // 2)
    smooth = _smooth(np.concatenate((*gyr, *acc), axis=1), width)
    thinned = smooth[::step]
    n = len(thinned)
    turning = np.stack((thinned[:, 0:3], thinned[:, 3:6]))
    energy = float(np.max(np.einsum("sni,sni->s", turning, turning))) / n
    if energy <= least:
        return None
    rot = rotation_matrices(np.concatenate([q[centre][::step] for q in quats])).reshape(2, n, 3, 3)
    rates = _slopes(smooth[:, :6], rate_hz)[::step]
    felt = np.empty((2, n, 3, 5))  # per metre of lever arm, and force and turning: in the sensors' frames
    _levers(turning, np.stack((rates[:, :3], rates[:, 3:])), felt)
    felt[0, :, :, 3], felt[1, :, :, 3] = thinned[:, 6:9], thinned[:, 9:12]
    felt[..., 4] = turning
    felt = rot @ felt
    world = felt[..., 4]
    force = _joint(felt[0, :, :2, :4], felt[1, :, :2, :4])
    parts = _parts(rot, turning, world)
    products = parts.transpose(0, 2, 1) @ parts / n
    own = float(np.trace(products[0]))
    forms = np.zeros((6, COLUMNS))
    forms[:, ROTATION] = np.concatenate([folded(p) for p in products], axis=1)
    forms[:, FORCE] = folded(_JOINT.T @ force @ _JOINT)
    frames = (rot[0].reshape(n, 9).T @ rot[1].reshape(n, 9) / n).reshape(3, 3, 3, 3)
    forms[0, TURN] = frames[2, :, 2].ravel()
    forms[1, TURN] = (frames[0, :, 0] + frames[1, :, 1]).ravel()
    forms[4, TURN] = (frames[0, :, 1] - frames[1, :, 0]).ravel()
    forms[:, TRACES] = forms[:, ROTATION].reshape(6, 2, 9)[:, :, ::4].sum(axis=2)
    forms[:, WHOLE] = forms[:, TRACES.start] / (own + FAINT)
    plane = _plane(world)
    forms[2, PLANE], forms[5, PLANE] = plane.real, -plane.imag
    forms[:, ARMS] = forms[:, FORCE][:, :48:8].sum(axis=1)
    levers = np.linalg.eigvalsh(np.stack((force[0:3, 0:3], force[3:6, 3:6])))[:, 1]
    return BlockSums(
        forms=forms,
        own=own,
        felt=float(force[9, 9] + force[10, 10]),
        levers=(float(levers[0]), float(levers[1])),
        energy=energy,
        apart=float(np.min(_AROUND @ forms[:, TRACES.start])) / (own + 1e-9),
        at_s=at_s,
    )


def _plane(world: FloatArray) -> complex:
    """Give twice the heading at which both segments swing in one upright plane, as a number on a circle.

    Its size says how clearly they do, 0 to 1.

    Args:
        world: (2, n, 3) angular velocities, each in its sensor's earth frame.
    """
    across = world[..., 0] + 1j * world[..., 1]
    twice = np.mean(across * across, axis=1)
    clear = twice / (np.mean(np.abs(across) ** 2, axis=1) + FAINT)
    return complex(clear[0] * clear[1].conjugate())
