"""The knee's axis in both sensors' frames, and which way round it is, out of the motion itself.

A knee is nearly a hinge: seen from the thigh, the shank turns about one axis j1, which in the shank's frame is j2.
Two things hide it: how the sensors sit on the leg, and the heading between their earth frames (delta), which no
magnetometer gives.

Kinematics
    For a heading delta the shank's angular velocity can be brought into the thigh's frame; what is left after
    subtracting the thigh's is the knee's own rotation. The right axis takes nearly all of it, so j1 is its first
    principal direction, and the right delta leaves least beside the axis. All sums that this needs are quadratic
    in (1, cos delta, sin delta): a block of samples is reduced once to small matrices and any delta is tried on them.
Relative sign
    In a planar motion delta and delta + 180° are both good hinges: one of them adds the two segments' rotations in
    place of subtracting them. But both sensors see the acceleration of one and the same joint centre, once the
    parts that come from their lever arms are taken off; with the wrong sign the horizontal parts contradict each
    other. Both hypotheses are fitted (lever arms by least squares, linear once delta is given) and the residuals
    compared: this is the vote. It is the acceleration argument of Seel et al. 2014 (doi 10.3390/s140406891) in a
    form that is linear and independent of how the sensors are turned.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from gonio.signal.consts import FloatArray
from gonio.signal.knee.blocks import BlockSums
from gonio.signal.knee.settle import ARM_RIDGE, FORCE_FLOOR, Settled, Stack, settle
from gonio.signal.knee.tracker import plane

#: Mean squared acceleration per metre of lever arm, (1/s²)², from which a block shows the arm: 0.1 m is then 0.06 m/s²,
#: more than the flesh's own motion. One brisk change of posture is enough, and the quiet hour after it takes nothing
#: away; many quiet blocks never are. A shank that hardly turns while the thigh does is known too badly for its arm.
_ARM_BLOCK, _SHANK_SHARE = 0.35, 0.2
#: Mean squared horizontal acceleration of both sensors from which on it tells whether they share a joint, (m/s²)².
_FELT: Final = 0.06
#: A block's vote on the relative sign, below which it is no more than the model's own misfit.
_VOTE_FLOOR: Final = 0.4

#: Rounds for the best of the first guesses, which must settle wherever it came from: with two, mountings differed by
#: 0.4°. One round ranks the guesses.
_ROUNDS: Final = 6
_TINY: Final = 1e-9
#: The same axes with the other relative sign.
_MIRROR: Final = np.array([[1.0], [-1.0]])


@dataclass(frozen=True, slots=True, eq=False)
class Axes:
    """The knee's axis as the motion so far shows it.

    Attributes:
        thigh: (3,) unit axis in the thigh sensor's frame.
        shank: (3,) the same axis in the shank sensor's frame.
        thigh_arm: (3,) from the thigh's sensor to the joint, m, thigh sensor's frame; NaN where the thigh turned too
            little to show it.
        shank_arm: (3,) the same for the shank.
        arms_spread: how uncertain the angle between the arms is about the axis, rad; NaN where one is not known.
        hinge: share of the knee's rotation that the axis explains, 0 to 1.
        rotation: knee rotation seen about the axis, mean squared, (rad/s)²: the excitation.
        blocks: number of blocks that the fit rests on.
    """

    thigh: FloatArray
    shank: FloatArray
    thigh_arm: FloatArray
    shank_arm: FloatArray
    arms_spread: float
    hinge: float
    rotation: float
    blocks: int


@dataclass(frozen=True, slots=True)
class Look:
    """How blocks of motion go with given axes.

    Attributes:
        hinge: share of the knee's rotation about the axis, 0 to 1.
        rotation: knee rotation seen about the axis, mean squared, (rad/s)².
        unlinked: share of the acceleration felt that is not of one joint; NaN where too little was felt.
    """

    hinge: float
    rotation: float
    unlinked: float


def fit_axes(blocks: Sequence[BlockSums], known: Axes | None = None, *, sure: bool = False) -> tuple[Axes, Axes, float]:
    """Find the axis from blocks of motion (one at least), for both relative signs.

    A planar motion fits many axes, so several first guesses are followed and the best kept.

    Args:
        blocks: the motion.
        known: what was found before; one of the first guesses.
        sure: True when it is the only one that is worth following.

    Returns:
        The two hypotheses, and the vote of the joint's acceleration: the log of the second's unexplained part over
        the first's, summed over the blocks; positive for the first.
    """
    s = Stack(blocks)
    guesses = [] if known is None else [np.stack((known.thigh, known.shank))]
    if not (guesses and sure):
        guesses += _guesses(blocks, 1 if guesses else 3)
    pairs = np.stack([axes * way for axes in guesses for way in (1.0, _MIRROR)])
    fit = settle(s, pairs, rounds=1)
    k = int(np.argmax(fit.fit))  # the best, and the other of its pair
    found = settle(s, fit.axes[[k, k ^ 1]], rounds=_ROUNDS)
    one, other = _axes(s, found, 0), _axes(s, found, 1)
    residual = found.residual
    if (one.thigh @ other.thigh) * (one.shank @ other.shank) > 0:  # both came to the same: the other fits nowhere near
        mirrored = settle(s, found.axes[:1] * _MIRROR, rounds=0)
        other, residual = _axes(s, mirrored, 0), np.concatenate((residual[:1], mirrored.residual))
    return one, other, _vote(residual)


def hold_axes(blocks: Sequence[BlockSums], thigh: FloatArray, shank: FloatArray) -> tuple[Axes, Axes, float]:
    """Say how given axes (3,) fit blocks of motion (one at least): as ``fit_axes`` says it, the first as given."""
    s = Stack(blocks)
    axes = np.stack((thigh, shank))
    held = settle(s, np.stack((axes, axes * _MIRROR)), rounds=0)
    return _axes(s, held, 0), _axes(s, held, 1), _vote(held.residual)


def look_axes(blocks: Sequence[BlockSums], axes: Axes) -> Look:
    """Say how blocks of motion (one at least) go with axes that were found before."""
    s = Stack(blocks)
    held = settle(s, np.stack((axes.thigh, axes.shank))[None], rounds=0)
    strong = s.felt > _FELT
    unlinked = float(held.residual[0, strong].sum() / s.felt[strong].sum()) if strong.any() else math.nan
    return Look(float(held.hinge[0]), float(held.rotation[0]), unlinked)


def _vote(residual: FloatArray) -> float:
    """Give the vote for the first of two hypotheses with what they leave unexplained of each block, (2, w)."""
    votes = np.log((residual[1] + FORCE_FLOOR) / (residual[0] + FORCE_FLOOR))
    return float(np.sum(np.sign(votes) * np.maximum(np.abs(votes) - _VOTE_FLOOR, 0.0)))


def _guesses(blocks: Sequence[BlockSums], count: int) -> list[FloatArray]:
    """Give first guesses (2, 3) of the axes: of the blocks with the most hinge-like rotation."""
    promising = sorted((b.guess for b in blocks), key=lambda guess: -guess[0])
    return [axes for _, axes in promising[:count]]


def _axes(s: Stack, found: Settled, k: int) -> Axes:
    arms = -found.arms[k]
    # the joint's place in the sagittal plane needs two strong directions
    thigh, shank = s.levers.T
    if not np.any(thigh > _ARM_BLOCK):
        arms[:3] = math.nan
    if not np.any((shank > _ARM_BLOCK) & (shank > _SHANK_SHARE * thigh)):
        arms[3:] = math.nan
    return Axes(
        thigh=found.axes[k, 0],
        shank=found.axes[k, 1],
        thigh_arm=arms[:3],
        shank_arm=arms[3:],
        arms_spread=_arms_spread(found.axes[k], arms, found.pooled[k], s.size),
        hinge=float(found.hinge[k]),
        rotation=float(found.rotation[k]),
        blocks=s.size,
    )


def _arms_spread(axes: FloatArray, arms: FloatArray, pooled: FloatArray, size: int) -> float:
    """Give the formal uncertainty, rad, of the angle between the arms, seen along the axes.

    Args:
        axes: (2, 3) in the thigh's and the shank's frame.
        arms: (6,) from the sensors to the joint, m.
        pooled: (7, 7) products that they were fitted to.
        size: number of blocks.
    """
    if np.isnan(arms).any():
        return math.nan
    across = np.zeros((6, 4))
    slope = np.zeros(4)
    for k, (axis, way) in enumerate(zip(axes, (-1.0, 1.0), strict=True)):
        basis = np.stack(plane(axis), axis=1)
        across[3 * k : 3 * k + 3, 2 * k : 2 * k + 2] = basis
        x, y = arms[3 * k : 3 * k + 3] @ basis
        slope[2 * k : 2 * k + 2] = way * np.array((-y, x)) / (x * x + y * y + _TINY)
    line = np.concatenate((arms, (1.0,)))
    spread = np.linalg.solve(across.T @ (pooled[:6, :6] + size * ARM_RIDGE) @ across, slope)
    return math.sqrt(max(0.0, float(slope @ spread) * float(line @ pooled @ line)))
