"""Axes, headings and lever arms fitted to blocks of motion, turn by turn, from first guesses of the axes on.

Several hypotheses are followed at once, side by side in the arrays: h is their number and w that of the blocks.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from gonio.signal.consts import FloatArray
from gonio.signal.knee.blocks import FAINT, BlockSums
from gonio.signal.knee.forms import (
    ARMS,
    COLUMNS,
    FORCE,
    PLANE,
    ROTATION,
    SEEN,
    TRACES,
    TURN,
    WHOLE,
    ComplexArray,
    turns,
    waves,
)

#: Squared lever arm's weight against the data: arms are under half a metre, so this only holds what is unobserved.
ARM_RIDGE: Final = 0.02 * np.eye(6)
#: Mean squared acceleration per metre, over both arms and all directions, (1/s²)²: blocks with less count less for the
#: arms.
_BRISK: Final = 3.0
#: Disagreement below which blocks tell nothing: sensor noise and what the model leaves out, (m/s²)².
FORCE_FLOOR: Final = 1e-3

#: How much it counts that a bending leg swings in one upright plane: where thigh and shank turn in proportion, as in a
#: squat, little else tells the heading. It counts in proportion to the knee's share in the motion, for a leg that is
#: raised straight may be raised sideways.
_PLANE_SHARE: Final = 2.0
_SETTLED: Final = 1.0 - 1e-6  # cosine between an axis and the next round's: 0.08°
#: Misfit that is as good as none.
_FIT_FLOOR: Final = 0.004
#: The heading between the two earth frames drifts with what the gyroscopes' biases are misjudged by: rad/√s.
_DRIFT: Final = math.radians(1.5)
#: How many independent samples a block's heading is worth, half.
_EVIDENCE: Final = 3.0
_COARSE: Final = np.radians(np.arange(-60.0, 61.0, 4.0))
_FINE: Final = np.radians(np.arange(-4.0, 4.01, 0.5))
_STEP: Final = math.radians(0.5)
_COARSE_WAVES, _FINE_WAVES = waves(_COARSE), waves(_FINE)
_COARSE_TURNS: Final = turns(_COARSE)
_ONE: Final = np.array([1.0, 0.0, 0.0, 0.0, 0.0, 0.0])[:, None, None]


class Stack:
    """Blocks, stacked for the fit.

    Attributes:
        size: how many.
        floor: (w, 1) rotation beside the axes that is as good as none, (rad/s)².
        felt: (w,) as ``BlockSums.felt``.
        levers: (w, 2) as ``BlockSums.levers``.
        bonds: (w, w) how stiffly each heading is bound to its neighbours', 1/rad²: the matrix of their pull.
        ones: (w, w) the unit matrix.
    """

    def __init__(self, blocks: Sequence[BlockSums]) -> None:
        """Stack blocks in their order, one at least."""
        self.size = w = len(blocks)
        self._each = np.stack([b.forms for b in blocks])  # (w, 6, columns)
        self._rows = np.ascontiguousarray(self._each.transpose(1, 0, 2)).reshape(6 * w, COLUMNS)
        scalars = np.array([(b.own, b.felt, *b.levers, b.at_s) for b in blocks])
        self.floor = 0.05 * (scalars[:, :1] + FAINT)
        self.felt, self.levers = scalars[:, 1], scalars[:, 2:4]
        stiffness = 1.0 / (_DRIFT * _DRIFT * np.maximum(np.diff(scalars[:, 4]), 1.0))
        self.ones = np.eye(w)
        self.bonds = np.zeros((w, w))
        k = np.arange(w - 1)
        self.bonds[k, k + 1] = self.bonds[k + 1, k] = -stiffness
        self.bonds[k, k] += stiffness
        self.bonds[k + 1, k + 1] += stiffness

    def at(self, delta: FloatArray) -> FloatArray:
        """Give all sums (w, h, columns) at headings (w, h)."""
        return np.asarray(waves(delta) @ self._each)

    def mixed(self, mixture: FloatArray) -> FloatArray:
        """Give mixtures (columns, k) of the sums as functions of the heading: (6, w, k)."""
        return np.asarray((self._rows @ mixture).reshape(6, self.size, -1))

    def column(self, k: int) -> FloatArray:
        """Give one sum as a function of the heading: (6, w, 1)."""
        return self._rows[:, k].reshape(6, self.size, 1)


@dataclass(frozen=True, slots=True, eq=False)
class Settled:
    """The hypotheses.

    Attributes:
        axes: (h, 2, 3) unit axes in the thigh's and the shank's frame.
        arms: (h, 6) from the joint to the sensors, thigh's and shank's frame, m.
        pooled: (h, 7, 7) products of the joint's acceleration over all blocks, weighted as for the arms.
        residual: (h, w) of the joint's horizontal acceleration, (m/s²)².
        hinge: (h,) share of the rotation that is about the axes.
        rotation: (h,) largest rotation about the axes of a block, mean squared, (rad/s)².
        fit: (h,) sum of the blocks' logarithms of what is beside the axes and of how far the two axes point apart.
    """

    axes: FloatArray
    arms: FloatArray
    pooled: FloatArray
    residual: FloatArray
    hinge: FloatArray
    rotation: FloatArray
    fit: FloatArray


def settle(s: Stack, axes: FloatArray, *, rounds: int) -> Settled:
    """Follow first guesses (h, 2, 3) until all have settled, or for so many rounds; 0 rounds keep the axes."""
    square = _squares(axes)
    at = s.at(_headings(s, axes, square, None))
    arms, pooled, line, residual = _joint_acceleration(s, at)
    weight = np.ones(at.shape[:2])
    for _ in range(rounds):
        turning = weight.T[:, None] @ at[:, :, ROTATION].transpose(1, 0, 2)
        new = np.linalg.eigh(turning.reshape(-1, 2, 3, 3))[1][..., 2]
        same = (new * axes).sum(axis=-1, keepdims=True)
        axes = np.where(same > 0, new, -new)
        square = _squares(axes)
        weight = _weights(at, square)
        at = s.at(_headings(s, axes, square, line))
        arms, pooled, line, residual = _joint_acceleration(s, at)
        if np.abs(same).min() > _SETTLED:
            break
    return Settled(axes, arms, pooled, residual.T, *_judged(at, axes, square))


def _squares(axes: FloatArray) -> FloatArray:
    """Give the products (h, 2, 9) of each axis (h, 2, 3) with itself."""
    return (axes[..., :, None] * axes[..., None, :]).reshape(-1, 2, 9)


def _headings(s: Stack, axes: FloatArray, square: FloatArray, line: FloatArray | None) -> FloatArray:
    """Give each block's heading (w, h) in rad, within 60° of where the axes agree.

    The likeliest, for unknown noise: least rotation beside the axes, and (with ``line``, as from the arms) least
    disagreement about the joint's acceleration, which alone tells the heading when one segment hardly turns.
    """
    h = len(axes)
    mixture = np.zeros((COLUMNS, 3, h))
    mixture[ROTATION, 0] = -square.reshape(h, 18).T
    mixture[TRACES, 0] = 1.0
    mixture[TURN, 2] = (axes[:, 0, :, None] * axes[:, 1, None, :]).reshape(h, 9).T
    if line is not None:
        mixture[FORCE, 1] = line.T
    beside, force, agree = s.mixed(mixture.reshape(COLUMNS, 3 * h)).reshape(6, s.size, 3, h).transpose(2, 0, 1, 3)
    first = np.arctan2(-agree[4], agree[1])
    rows = np.empty((6, 4, s.size, h))
    rows[:, 0], rows[:, 2], rows[:, 3] = beside, s.column(WHOLE), s.column(PLANE)
    rows[0, 0] += s.floor
    rows[:, 1] = _ONE if line is None else force
    if line is not None:
        rows[0, 1] += FORCE_FLOOR
    # coarse, then fine, then the bottom of a parabola: the heading must not depend on where the grid happens to lie
    z = (rows[:3] + 1j * rows[3:]) * turns(first)[:, None]
    nearest = _costs(_COARSE_WAVES, z).argmin(axis=0).reshape(s.size, h)
    near = _COARSE[nearest]
    values = _costs(_FINE_WAVES, z * _COARSE_TURNS[:, nearest][:, None])
    k, each = np.minimum(np.maximum(values.argmin(axis=0), 1), len(_FINE) - 2), np.arange(s.size * h)
    before, least, after = values[k - 1, each], values[k, each], values[k + 1, each]
    bow = before - 2.0 * least + after
    shift = np.minimum(np.maximum(0.5 * (before - after) / np.maximum(bow, 1e-9), -1.0), 1.0)
    best = first + near + (_FINE[k] + shift * _STEP).reshape(s.size, h)
    if s.size == 1:
        return np.asarray(best)
    return _steadied(s, best, (np.maximum(bow, 0.0) * (_EVIDENCE / (_STEP * _STEP))).reshape(s.size, h) + 1e-6)


def _costs(at: FloatArray, z: ComplexArray) -> FloatArray:
    """Give the cost (m, w * h) at m headings, for four sums (3, 4, w, h)."""
    rows = np.concatenate((z.real, z.imag)).reshape(6, -1)
    beside, force, whole, plane = (at @ rows).reshape(len(at), 4, -1).transpose(1, 0, 2)
    return np.asarray(np.log(beside * force) - _PLANE_SHARE * np.minimum(1.0, whole) * plane)


def _steadied(s: Stack, delta: FloatArray, weight: FloatArray) -> FloatArray:
    """Give headings (w, h) that follow each block's own as far as it knows it, and else its neighbours'."""
    own = delta.copy()
    own[1:] -= 2.0 * np.pi * np.cumsum(np.rint(np.diff(delta, axis=0) / (2.0 * np.pi)), axis=0)
    pull = s.bonds + weight.T[:, :, None] * s.ones
    return np.asarray(np.linalg.solve(pull, (weight * own).T[:, :, None])[:, :, 0].T)


def _weights(at: FloatArray, square: FloatArray) -> FloatArray:
    """Weigh blocks by one over their rotation beside the axis: squats tell the axis better than walking does."""
    total, about = _about(at, square)
    return np.asarray((1.0 / (total - about + 0.02 * total + 1e-4)).sum(axis=-1))


def _about(at: FloatArray, square: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Give all rotation and that about the axes, (w, h, 2) each."""
    return at[:, :, TRACES], (at[:, :, ROTATION].reshape(*at.shape[:2], 2, 9) * square).sum(axis=-1)


def _judged(at: FloatArray, axes: FloatArray, square: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Give ``Settled.hinge``, ``rotation`` and ``fit``."""
    total, about = (0.5 * v.sum(axis=-1) for v in _about(at, square))
    turn = (axes[:, 0, :, None] * axes[:, 1, None, :]).reshape(-1, 9)
    apart = 1.0 - (at[:, :, TURN] * turn).sum(axis=-1)
    counts = total / (total + FAINT)
    fit = -(counts * np.log(1.0 - about / (total + 1e-9) + apart + _FIT_FLOOR)).sum(axis=0)
    weight = counts / (total - about + 0.02 * total + 1e-4)
    hinge = (weight * about).sum(axis=0) / ((weight * total).sum(axis=0) + 1e-12)
    return np.asarray(hinge), np.asarray(about.max(axis=0)), np.asarray(fit)


def _joint_acceleration(s: Stack, at: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Fit the lever arms over all blocks.

    Returns:
        The arms (h, 6), the products (h, 7, 7) that they are fitted to, the products (h, 49) that give what they leave
        unexplained, and that of each block (w, h), (m/s²)².
    """
    brisk = at[:, :, ARMS] + 1e-3
    weight = brisk / ((brisk + _BRISK) * (at[:, :, SEEN] + 1e-3))
    forces = at[:, :, FORCE]
    pooled = (weight.T[:, None] @ forces.transpose(1, 0, 2)).reshape(-1, 7, 7)
    arms = np.linalg.solve(pooled[:, :6, :6] + s.size * ARM_RIDGE, pooled[:, :6, 6:])[:, :, 0]
    line = np.concatenate((-arms, np.ones((len(arms), 1))), axis=1)
    square = (line[:, :, None] * line[:, None, :]).reshape(-1, 49)
    return np.asarray(arms), np.asarray(pooled), np.asarray(square), np.asarray((forces * square).sum(axis=-1))
