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
from gonio.signal.knee.blocks import FAINT, BlockSums

#: Squared lever arm's weight against the data: arms are under half a metre, so this only holds what is unobserved.
_ARM_RIDGE: Final = 0.02

#: Mean squared acceleration per metre of lever arm, (1/s²)², from which a block shows the arm: 0.1 m is then 0.06 m/s²,
#: more than the flesh's own motion. One brisk change of posture is enough, and the quiet hour after it takes nothing
#: away; many quiet blocks never are. A shank that hardly turns while the thigh does is known too badly for its arm.
_ARM_BLOCK, _SHANK_SHARE = 0.35, 0.2
#: Likewise, over both arms and all directions: blocks with less count less for the arms.
_BRISK: Final = 3.0
#: Disagreement below which blocks tell nothing: sensor noise and what the model leaves out, (m/s²)².
_FORCE_FLOOR: Final = 1e-3
#: Mean squared horizontal acceleration of both sensors from which on it tells whether they share a joint, (m/s²)².
_FELT: Final = 0.06
#: A block's vote on the relative sign, below which it is no more than the model's own misfit.
_VOTE_FLOOR: Final = 0.4

#: How much the joint's acceleration counts in a block's heading against the rotation.
_FORCE_SHARE: Final = 1.0
#: How much it counts that a bending leg swings in one upright plane: where thigh and shank turn in proportion, as in a
#: squat, little else tells the heading. It counts in proportion to the knee's share in the motion, for a leg that is
#: raised straight may be raised sideways.
_PLANE_SHARE: Final = 2.0
#: Rounds for the best of the first guesses, which must settle wherever it came from: with two, mountings differed by
#: 0.4°. One round ranks the guesses.
_ROUNDS: Final = 6
_SETTLED: Final = 1.0 - 1e-6  # cosine between an axis and the next round's: 0.08°
#: Misfit that is as good as none.
_FIT_FLOOR: Final = 0.004
#: The heading between the two earth frames drifts with what the gyroscopes' biases are misjudged by: rad/√s.
_DRIFT: Final = math.radians(1.5)
#: How many independent samples a block's heading is worth, half.
_EVIDENCE: Final = 3.0
_STEPS: Final = 120
_DELTAS: Final = np.arange(_STEPS) * (2.0 * np.pi / _STEPS)
_AROUND: Final = np.radians(np.arange(-60.0, 61.0, 4.0))
_NEAR: Final = np.radians(np.arange(-4.0, 4.01, 0.5))
#: (steps, 3): 1, cos delta, sin delta.
_TRIG: Final = np.stack([np.ones(_STEPS), np.cos(_DELTAS), np.sin(_DELTAS)], axis=1)


@dataclass(frozen=True, slots=True, eq=False)
class Axes:
    """The knee's axis as the motion so far shows it.

    Attributes:
        thigh: (3,) unit axis in the thigh sensor's frame.
        shank: (3,) the same axis in the shank sensor's frame.
        thigh_arm: (3,) from the thigh's sensor to the joint, m, thigh sensor's frame; NaN where the thigh turned too
            little to show it.
        shank_arm: (3,) the same for the shank.
        hinge: share of the knee's rotation that the axis explains, 0 to 1.
        rotation: knee rotation seen about the axis, mean squared, (rad/s)²: the excitation.
        blocks: number of blocks that the fit rests on.
    """

    thigh: FloatArray
    shank: FloatArray
    thigh_arm: FloatArray
    shank_arm: FloatArray
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


@dataclass(slots=True, eq=False)
class _Stack:
    """Blocks, stacked for the fit."""

    thigh: FloatArray  # (w, 3, 3, 3, 3)
    shank: FloatArray
    turn: FloatArray  # (w, 3, 3, 3)
    force: FloatArray  # (w, 12, 12)
    plane: FloatArray  # (w, 2)
    stiffness: FloatArray  # (w - 1,) of the heading from block to block, 1/rad²


def _headings(s: _Stack, j1: FloatArray, j2: FloatArray, arms: FloatArray | None) -> FloatArray:
    """Give each block's heading (w,) in rad, within 60° of where the axes agree.

    The likeliest, for unknown noise: least rotation beside the axes, and (with ``arms``) least disagreement about the
    joint's acceleration, which alone tells the heading when one segment hardly turns.
    """
    agree = np.einsum("i,wkij,j->wk", j1, s.turn, j2)
    first = np.arctan2(agree[:, 2], agree[:, 1])
    beside = np.zeros((len(first), 3, 3))
    for sums, j in ((s.thigh, j1), (s.shank, j2)):
        beside += np.einsum("wabii->wab", sums) - np.einsum("i,wabij,j->wab", j, sums, j)
    whole = np.einsum("wabii->wab", s.thigh)
    own = np.einsum("waa->w", whole)[:, None] + FAINT
    floor = 0.05 * own
    force = None if arms is None else _disagreement(s.force, arms)

    def cost(trig: FloatArray) -> FloatArray:
        """Give the cost (w, m) at headings (w, m, 3)."""
        out = np.log(np.sum(trig @ beside * trig, axis=2) + floor)
        if force is not None:
            out += _FORCE_SHARE * np.log(np.sum(trig @ force * trig, axis=2) + _FORCE_FLOOR)
        c, si = trig[:, :, 1], trig[:, :, 2]
        knee = np.minimum(1.0, np.sum(trig @ whole * trig, axis=2) / own)
        twice = s.plane[:, :1] * (c * c - si * si) + s.plane[:, 1:] * (2.0 * c * si)
        out -= _PLANE_SHARE * knee * twice
        return np.asarray(out)

    # coarse, then fine, then the bottom of a parabola: the heading must not depend on where the grid happens to lie
    coarse = first[:, None] + _AROUND
    near = coarse[np.arange(len(first)), np.argmin(cost(_trig(coarse)), axis=1)]
    fine = near[:, None] + _NEAR
    values = cost(_trig(fine))
    k = np.clip(np.argmin(values, axis=1), 1, len(_NEAR) - 2)
    rows = np.arange(len(first))
    before, at, after = values[rows, k - 1], values[rows, k], values[rows, k + 1]
    bow = before - 2.0 * at + after
    shift = 0.5 * (before - after) / np.maximum(bow, 1e-9)
    step = _NEAR[1] - _NEAR[0]
    best = fine[rows, k] + np.clip(shift, -1.0, 1.0) * step
    return _steadied(best, np.maximum(bow, 0.0) * (_EVIDENCE / (step * step)), s.stiffness)


def _steadied(delta: FloatArray, weight: FloatArray, stiffness: FloatArray) -> FloatArray:
    """Give headings (w,) that follow each block's own as far as it knows it, and else its neighbours'."""
    if len(delta) == 1:
        return delta
    own = np.unwrap(delta)
    pull = np.diag(weight + 1e-6)
    pull[:-1, :-1] += np.diag(stiffness)
    pull[1:, 1:] += np.diag(stiffness)
    pull -= np.diag(stiffness, 1) + np.diag(stiffness, -1)
    return np.asarray(np.linalg.solve(pull, (weight + 1e-6) * own))


def _trig(delta: FloatArray) -> FloatArray:
    return np.stack([np.ones_like(delta), np.cos(delta), np.sin(delta)], axis=-1)


def _disagreement(force: FloatArray, arms: FloatArray) -> FloatArray:
    """Give the unexplained joint acceleration of blocks (w, 3, 3) as a form in (1, cos delta, sin delta)."""
    parts = np.zeros((12, 3))
    parts[0:3, 0] = -arms[:3]
    parts[9, 0] = 1.0
    parts[3:6, 1] = arms[3:]
    parts[10, 1] = -1.0
    parts[6:9, 2] = arms[3:]
    parts[11, 2] = -1.0
    return np.asarray(parts.T @ force @ parts)


def _principal(sums: FloatArray, trig: FloatArray, weight: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Pool (w, 3, 3, 3, 3) at headings: the first principal direction, and each block's matrix."""
    each = np.einsum("wab,wabij->wij", trig[:, :, None] * trig[:, None, :], sums)
    _, vectors = np.linalg.eigh(np.einsum("w,wij->ij", weight, each))
    return vectors[:, 2], each


def _weights(each: FloatArray, j: FloatArray) -> FloatArray:
    """Weigh blocks by one over their rotation beside the axis: squats tell the axis better than walking does."""
    total = np.einsum("wii->w", each)
    beside = total - np.einsum("i,wij,j->w", j, each, j)
    return np.asarray(1.0 / (beside + 0.02 * total + 1e-4))


@dataclass(slots=True, eq=False)
class _Hypothesis:
    j1: FloatArray
    j2: FloatArray
    delta: FloatArray
    arms: FloatArray
    residual: FloatArray  # (w,) of the joint's horizontal acceleration, (m/s²)²
    hinge: float
    rotation: float
    fit: float


def _settle(s: _Stack, j1: FloatArray, j2: FloatArray, *, rounds: int) -> _Hypothesis:
    """Fit axes, headings and lever arms from a first guess of the axes on, turn by turn; 0 rounds keep the axes."""
    weight = np.ones(len(s.thigh))
    deltas = _headings(s, j1, j2, None)
    arms, residual = _joint_acceleration(s.force, deltas)
    for _ in range(rounds):
        trig = _trig(deltas)
        new1, each = _principal(s.thigh, trig, weight)
        new2, each2 = _principal(s.shank, trig, weight)
        same1, same2 = float(new1 @ j1), float(new2 @ j2)
        j1 = new1 if same1 > 0 else -new1
        j2 = new2 if same2 > 0 else -new2
        weight = _weights(each, j1) + _weights(each2, j2)
        deltas = _headings(s, j1, j2, arms)
        arms, residual = _joint_acceleration(s.force, deltas)
        if min(abs(same1), abs(same2)) > _SETTLED:
            break
    return _Hypothesis(j1, j2, deltas, arms, residual, *_judge(s, j1, j2, _trig(deltas)))


def _judge(s: _Stack, j1: FloatArray, j2: FloatArray, trig: FloatArray) -> tuple[float, float, float]:
    """Give the share of rotation about the axes, the largest rotation of a block, and how well the axes fit.

    The last adds up the blocks' logarithms of what is beside the axes and of how much the two axes point apart.
    """
    total, about = np.zeros(len(trig)), np.zeros(len(trig))
    for sums, j in ((s.thigh, j1), (s.shank, j2)):
        each = np.einsum("wab,wabij->wij", trig[:, :, None] * trig[:, None, :], sums)
        total += 0.5 * np.einsum("wii->w", each)
        about += 0.5 * np.einsum("i,wij,j->w", j, each, j)
    apart = 1.0 - np.einsum("wk,i,wkij,j->w", trig, j1, s.turn, j2)
    counts = total / (total + FAINT)
    fit = -float(np.sum(counts * np.log(1.0 - about / (total + 1e-9) + apart + _FIT_FLOOR)))
    weight = counts / (total - about + 0.02 * total + 1e-4)
    hinge = float(np.sum(weight * about) / (np.sum(weight * total) + 1e-12))
    return hinge, float(np.max(about)), fit


def _joint_acceleration(force: FloatArray, deltas: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Fit the lever arms (6,) over all blocks, and give what each block leaves unexplained (w,), (m/s²)²."""
    c, s = np.cos(deltas)[:, None, None], np.sin(deltas)[:, None, None]
    w = len(deltas)
    mix = np.zeros((w, 12, 7))  # columns: arms of the thigh, of the shank, and the difference seen
    mix[:, 0:3, 0:3] = np.eye(3)
    mix[:, 3:6, 3:6] = -c * np.eye(3)
    mix[:, 6:9, 3:6] = -s * np.eye(3)
    mix[:, 9, 6] = 1.0
    mix[:, 10, 6] = -c[:, 0, 0]
    mix[:, 11, 6] = -s[:, 0, 0]
    each = mix.transpose(0, 2, 1) @ force @ mix
    size = each[:, 6, 6] + 1e-3
    brisk = np.einsum("wii->w", each[:, :6, :6]) + 1e-3
    pooled = np.einsum("w,wab->ab", brisk / (brisk + _BRISK) / size, each)
    arms = np.linalg.solve(pooled[:6, :6] + _ARM_RIDGE * w * np.eye(6), pooled[:6, 6])
    line = np.append(-arms, 1.0)
    return arms, np.einsum("a,wab,b->w", line, each, line)


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
    s = _stacked(blocks)
    guesses = [] if known is None else [(known.thigh, known.shank)]
    if not (guesses and sure):
        guesses += _guesses(s, 1 if guesses else 3)
    pairs = [(_settle(s, j1, j2, rounds=1), _settle(s, j1, -j2, rounds=1)) for j1, j2 in guesses]
    one, other = max(pairs, key=lambda pair: max(pair[0].fit, pair[1].fit))
    if other.fit > one.fit:
        one, other = other, one
    one, other = (_settle(s, h.j1, h.j2, rounds=_ROUNDS) for h in (one, other))
    if (one.j1 @ other.j1) * (one.j2 @ other.j2) > 0:  # both came to the same: the other sign fits nowhere near
        other = _settle(s, one.j1, -one.j2, rounds=0)
    return _axes(s, one), _axes(s, other), _vote(one, other)


def hold_axes(blocks: Sequence[BlockSums], thigh: FloatArray, shank: FloatArray) -> tuple[Axes, Axes, float]:
    """Say how given axes (3,) fit blocks of motion (one at least): as ``fit_axes`` says it, the first as given."""
    s = _stacked(blocks)
    one, other = (_settle(s, thigh, sign * shank, rounds=0) for sign in (1.0, -1.0))
    return _axes(s, one), _axes(s, other), _vote(one, other)


def look_axes(blocks: Sequence[BlockSums], axes: Axes) -> Look:
    """Say how blocks of motion (one at least) go with axes that were found before."""
    s = _stacked(blocks)
    held = _settle(s, axes.thigh, axes.shank, rounds=0)
    felt = s.force[:, 9, 9] + s.force[:, 10, 10]
    strong = felt > _FELT
    unlinked = float(held.residual[strong].sum() / felt[strong].sum()) if strong.any() else math.nan
    return Look(held.hinge, held.rotation, unlinked)


def _vote(one: _Hypothesis, other: _Hypothesis) -> float:
    votes = np.log((other.residual + _FORCE_FLOOR) / (one.residual + _FORCE_FLOOR))
    return float(np.sum(np.sign(votes) * np.maximum(np.abs(votes) - _VOTE_FLOOR, 0.0)))


def _stacked(blocks: Sequence[BlockSums]) -> _Stack:
    apart = np.maximum(np.diff([b.at_s for b in blocks]), 1.0)
    return _Stack(
        np.stack([b.thigh for b in blocks]),
        np.stack([b.shank for b in blocks]),
        np.stack([b.turn for b in blocks]),
        np.stack([b.force for b in blocks]),
        np.stack([b.plane for b in blocks]),
        1.0 / (_DRIFT * _DRIFT * apart),
    )


def _guesses(s: _Stack, count: int) -> list[tuple[FloatArray, FloatArray]]:
    """Give first guesses of the axes: of the blocks with the most hinge-like rotation, at each one's best heading."""
    each = np.einsum("dab,wabij->wdij", _TRIG[:, :, None] * _TRIG[:, None, :], s.thigh)
    values = np.linalg.eigvalsh(each)
    beside = values[:, :, 0] + values[:, :, 1]
    best = np.argmin(beside, axis=1)
    rows = np.arange(len(best))
    promise = values[rows, best, 2] ** 2 / (beside[rows, best] + 0.02 * values[rows, best, 2] + 1e-3)
    out = []
    for k in np.argsort(-promise)[:count]:
        trig, block = _TRIG[best[k]][None], slice(int(k), int(k) + 1)
        j1, _ = _principal(s.thigh[block], trig, np.ones(1))
        j2, _ = _principal(s.shank[block], trig, np.ones(1))
        out.append((j1, j2))
    return out


def _axes(s: _Stack, h: _Hypothesis) -> Axes:
    arms = -h.arms
    # the joint's place in the sagittal plane needs two strong directions
    thigh, shank = (np.linalg.eigvalsh(s.force[:, part, part])[:, 1] for part in (slice(0, 3), slice(3, 6)))
    if not np.any(thigh > _ARM_BLOCK):
        arms[:3] = math.nan
    if not np.any((shank > _ARM_BLOCK) & (shank > _SHANK_SHARE * thigh)):
        arms[3:] = math.nan
    return Axes(
        thigh=h.j1,
        shank=h.j2,
        thigh_arm=arms[:3],
        shank_arm=arms[3:],
        hinge=h.hinge,
        rotation=h.rotation,
        blocks=len(s.thigh),
    )
