"""A block of motion reduced to the sums that the fit of the knee's axis needs (see ``axis``).

Blocks are cut by sample index, never by chunk. What is summed is quadratic in (1, cos delta, sin delta), delta being
the heading between the two sensors' earth frames, so that any heading can be tried on a block without its samples.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from gonio.signal.consts import FloatArray
from gonio.signal.orient import rotation_matrices

#: Rate to which a block is thinned before the sums, Hz: the knee's motion is below 6 Hz.
_SUM_RATE_HZ: Final = 30.0
#: Width of the smoothing window, s: takes impacts, tremor (6 to 12 Hz) and the flesh's ringing out of the second
#: derivative.
_SMOOTH_S: Final = 0.16
#: Mean squared rotation below which a block hardly counts, (rad/s)².
FAINT: Final = 0.02
_DELTAS: Final = np.radians(np.arange(0.0, 360.0, 3.0))
#: (120, 3): 1, cos delta, sin delta.
_TRIG: Final = np.stack([np.ones_like(_DELTAS), np.cos(_DELTAS), np.sin(_DELTAS)], axis=1)


@dataclass(frozen=True, slots=True, eq=False)
class BlockSums:
    """One block of motion, reduced to what the fit needs (all per sample, so that blocks compare).

    Attributes:
        thigh: (3, 3, 3, 3) products of the parts of the relative angular velocity in the thigh's frame, (rad/s)².
        shank: the same in the shank's frame.
        turn: (3, 3, 3) mean of R1' T R2 for T the vertical projector, the horizontal one and the quarter turn.
        force: (12, 12) products of the parts of the joint's acceleration seen from both sides.
        plane: (2,) cosine and sine of twice the heading at which both segments swing in one upright plane, times how
            clearly they do, 0 to 1.
        energy: mean squared angular velocity of the busier sensor, (rad/s)².
        apart: share of all turning that is between the two sensors at the heading where it is least.
        at_s: kit's clock, s.
    """

    thigh: FloatArray
    shank: FloatArray
    turn: FloatArray
    force: FloatArray
    plane: FloatArray
    energy: float
    apart: float
    at_s: float


def _smooth(x: FloatArray, width: int) -> FloatArray:
    """Mean over a window (valid part only) of an (n, 3) array."""
    if width == 1:
        return x
    total = np.cumsum(np.concatenate([np.zeros((1, x.shape[1])), x]), axis=0)
    return np.asarray((total[width:] - total[:-width]) / width)


def _lever(gyr: FloatArray, rate_hz: float) -> FloatArray:
    """(n, 3, 3) matrices that turn a lever arm into the acceleration of its far end against the sensor."""
    rates = np.gradient(gyr, 1.0 / rate_hz, axis=0)
    out = np.empty((len(gyr), 3, 3))
    x, y, z = gyr.T
    dx, dy, dz = rates.T
    out[:, 0, 0] = -(y * y + z * z)
    out[:, 1, 1] = -(x * x + z * z)
    out[:, 2, 2] = -(x * x + y * y)
    out[:, 0, 1], out[:, 1, 0] = x * y - dz, x * y + dz
    out[:, 0, 2], out[:, 2, 0] = x * z + dy, x * z - dy
    out[:, 1, 2], out[:, 2, 1] = y * z - dx, y * z + dx
    return out


def _parts(rot: FloatArray, own: FloatArray, other: FloatArray, turn: float) -> FloatArray:
    """Parts (3, n, 3) of own - R' Rz(delta) other, in the own frame, that go with 1, cos delta and sin delta."""
    flat = other.copy()
    flat[:, 2] = 0.0
    across = np.stack([-other[:, 1], other[:, 0], np.zeros(len(other))], axis=1) * turn
    upright = other - flat
    back = [(v[:, None] @ rot)[:, 0] for v in (upright, flat, across)]
    return np.stack([own - back[0], -back[1], -back[2]])


def _without_trend(columns: FloatArray) -> FloatArray:
    """Take mean, slope and bow out of (n, 2, m): what a filter's slow tilt errors leak of gravity."""
    t = np.linspace(-1.0, 1.0, len(columns))
    basis, _ = np.linalg.qr(np.stack([np.ones_like(t), t, t * t], axis=1))
    flat = columns.reshape(len(columns), -1)
    return np.asarray((flat - basis @ (basis.T @ flat)).reshape(columns.shape))


def _products(parts: FloatArray) -> FloatArray:
    """Sum the products of three parts (3, n, 3) over the samples: (3, 3, 3, 3), part, part, direction, direction."""
    rows = parts.transpose(1, 0, 2).reshape(-1, 9)
    return np.asarray((rows.T @ rows).reshape(3, 3, 3, 3).transpose(0, 2, 1, 3))


def block_sums(
    quats: tuple[FloatArray, FloatArray],
    acc: tuple[FloatArray, FloatArray],
    gyr: tuple[FloatArray, FloatArray],
    rate_hz: float,
    at_s: float = 0.0,
) -> BlockSums:
    """Reduce a block of samples; each argument is (thigh, shank), arrays as in ``orient.Attitude`` and chunks."""
    width = max(1, round(_SMOOTH_S * rate_hz))
    step = max(1, int(rate_hz / _SUM_RATE_HZ))
    centre = slice((width - 1) // 2, len(acc[0]) - width // 2)
    rot = [rotation_matrices(q[centre][::step]) for q in quats]
    smooth = [_smooth(g, width) for g in gyr]
    lever = [_lever(w, rate_hz)[::step] for w in smooth]
    turning = [w[::step] for w in smooth]
    force = [_smooth(a, width)[::step] for a in acc]
    n = len(turning[0])
    world = [(r @ w[:, :, None])[:, :, 0] for r, w in zip(rot, turning, strict=True)]
    thigh = _parts(rot[0], turning[0], world[1], 1.0)
    shank = _parts(rot[1], turning[1], world[0], -1.0)  # the way back: Rz(-delta)
    sums = [_products(p) / n for p in (thigh, shank)]
    turn = np.empty((3, 3, 3))
    a, b = rot
    turn[0] = a[:, 2].T @ b[:, 2] / n
    turn[1] = (a[:, 0].T @ b[:, 0] + a[:, 1].T @ b[:, 1]) / n
    turn[2] = (a[:, 1].T @ b[:, 0] - a[:, 0].T @ b[:, 1]) / n
    near = a[:, :2] @ lever[0]
    far = b[:, :2] @ lever[1]
    felt = [(r[:, :2] @ f[:, :, None])[:, :, 0] for r, f in zip(rot, force, strict=True)]
    columns = np.empty((n, 2, 12))
    columns[:, :, 0:3] = near
    columns[:, :, 3:6] = far
    columns[:, 0, 6:9], columns[:, 1, 6:9] = -far[:, 1], far[:, 0]
    columns[:, :, 9], columns[:, :, 10] = felt
    columns[:, 0, 11], columns[:, 1, 11] = -felt[1][:, 1], felt[1][:, 0]
    rows = _without_trend(columns).reshape(-1, 12)
    energy = max(float(np.mean(np.sum(w * w, axis=1))) for w in turning)
    return BlockSums(
        sums[0], sums[1], turn, rows.T @ rows / n, _plane(world[0], world[1]), energy, _apart(sums[0]), at_s
    )


def _apart(sums: FloatArray) -> float:
    """Give ``BlockSums.apart``: the least of a form in (1, cos delta, sin delta) over its trace."""
    form = np.einsum("abii->ab", sums)
    return float(np.min(np.sum(_TRIG @ form * _TRIG, axis=1)) / (np.trace(form) + 1e-9))


def _plane(thigh: FloatArray, shank: FloatArray) -> FloatArray:
    """Give ``BlockSums.plane`` for angular velocities (n, 3), each in its sensor's earth frame."""
    shared = 1.0 + 0.0j
    for turning in (thigh, shank):
        across = turning[:, 0] + 1j * turning[:, 1]
        clear = complex(np.mean(across * across)) / (float(np.mean(np.abs(across) ** 2)) + FAINT)
        shared *= clear if turning is thigh else clear.conjugate()
    return np.array((shared.real, shared.imag))
