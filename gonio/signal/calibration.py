"""The knee's axis, its sign, flexion's sense and the zero, learnt block by block out of whatever the patient does.

Nothing is said before all four are known and a second fit from more motion agrees with the first; whenever a later fit
disagrees, it is not known again. Blocks are cut by sample index, never by chunk.
"""

import math
from dataclasses import dataclass
from typing import Final

from gonio.signal.axis import Axes, BlockSums, block_sums, fit_axes
from gonio.signal.consts import FloatArray
from gonio.signal.exercises import ExerciseRule
from gonio.signal.knee import KneeFrame
from gonio.signal.sign import sign_vote
from gonio.signal.stored import StoredCalibration
from gonio.signal.zero import Postures, Zeroed

_ACTIVE: Final = 0.03  # (rad/s)² of mean squared turning that makes a block worth fitting
_MAX_BLOCKS: Final = 32  # blocks of sums kept for the fit
#: What an axis must show before anything is shown to a person.
_MIN_HINGE, _MIN_ROTATION, _MIN_SIGN, _MIN_SIGN_A_BLOCK, _MIN_SENSE = 0.75, 0.04, 1.0, 0.12, 1.0
#: Flexion by which two fits of the axis, the later one from more motion, may differ for the angle to be known, rad.
_AGREE: Final = math.radians(7.0)
_MORE: Final = 1.15  # times as many postures are worth another look for the zero


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Consecutive samples of both sensors, thigh first.

    Attributes:
        t_s: (n,) kit's clock, s.
        quat: (n, 4) each, as in ``orient.Attitude``.
        acc: (n, 3) each, specific force, m/s².
        gyr: (n, 3) each, angular velocity without bias, rad/s.
        measured: True when no gap fell inside.
    """

    t_s: FloatArray
    quat: tuple[FloatArray, FloatArray]
    acc: tuple[FloatArray, FloatArray]
    gyr: tuple[FloatArray, FloatArray]
    measured: bool


class Calibration:
    """What is known of how the sensors sit on the leg.

    Attributes:
        postures: the history of postures that sense and zero rest on; fed sample by sample.
        zeroed: the frame in use with its grounds; None before there is one.
        known: whether the frame may be trusted now.
    """

    def __init__(self, rate_hz: float, rule: ExerciseRule | None, stored: StoredCalibration | None = None) -> None:
        """Begin without knowledge.

        Args:
            rate_hz: rate of the grid, Hz.
            rule: the declared exercise.
            stored: what an earlier session found; taken up only when the motion agrees with it.
        """
        self._rate = rate_hz
        self._rule = rule
        self._stored = stored
        self.postures = Postures(rate_hz)
        self.zeroed: Zeroed | None = None
        self.known = False
        self._sums: list[BlockSums] = []
        self._seen_blocks = 0
        self._next_fit = 1
        self._axes: Axes | None = None
        self._fits = self._fits_seen = 0
        self._before: KneeFrame | None = None
        self._grounded = 0

    def pose(self, start_s: float, end_s: float, flexion: float) -> None:
        """Take note that from one moment to another (kit's clock, s) the knee is held at a known flexion, rad."""
        raise NotImplementedError

    def close(self, block: Block) -> KneeFrame | None:
        """Learn from a full block; give the frame to go on with, None where nothing new was found."""
        if block.measured:
            sums = block_sums(block.quat, block.acc, block.gyr, self._rate)
            if sums.energy > _ACTIVE:
                self._learn(sums)
        if self.known and self._fits == self._fits_seen and len(self.postures) < _MORE * self._grounded:
            return None  # nothing much has been seen since
        self._grounded = len(self.postures)
        frame = self._ground()
        if frame is not None:
            self._compare(frame)
        return frame

    def _learn(self, sums: BlockSums) -> None:
        """Take a block of motion into the fit.

        The axis is fitted anew after 1, 2, 3, 4, 6, 8, 12... blocks, and after twice as many once two fits agree.
        """
        self._sums.append(sums)
        self._seen_blocks += 1
        if len(self._sums) > _MAX_BLOCKS:
            quietest = min(range(len(self._sums) - 1), key=lambda k: self._sums[k].energy)
            del self._sums[quietest]
        if self._seen_blocks < self._next_fit:
            return
        power = 1 << (self._seen_blocks.bit_length() - 1)
        self._next_fit = self._seen_blocks + (power if self.known else max(1, power // 2))
        one, other, acceleration = fit_axes(self._sums, self._axes, sure=self.known)
        vote = sign_vote(one, other, acceleration, self.postures, self._rule)
        axes = one if vote >= 0 else other
        if _trusted(axes, abs(vote)):
            self._axes = axes
            self._fits += 1

    def _compare(self, frame: KneeFrame) -> None:
        """Tell whether the angle is known: when the latest fit of the axis agrees with what was held before it."""
        before, self._before = self._before, frame
        if before is None:
            self._fits_seen = self._fits
        elif before is not frame and self.postures.change(before, frame) > _AGREE:
            self.known, self._fits_seen = False, self._fits
        elif self._fits > self._fits_seen:
            self.known, self._fits_seen = True, self._fits

    def _ground(self) -> KneeFrame | None:
        """Give sense and zero for the axis; None while they, or the axis, are not known or nothing changed."""
        if self._axes is None:
            return None
        held = self.zeroed.frame if self.zeroed is not None else None
        zeroed = self.postures.zero(self._axes, self._rule, held)
        if zeroed is None or zeroed.sense < _MIN_SENSE:
            return None
        self.zeroed = zeroed
        return zeroed.frame

    def flags(self, *, begun: bool) -> set[str]:
        """Name what limits the trust in the angle; ``begun``: an angle has been given at all."""
        flags = set()
        if not begun:
            flags.add("not-calibrated")
            if self._axes is None and self._seen_blocks:
                flags.add("sign-uncertain")
        elif self.zeroed is not None and self.zeroed.source not in ("standing", "pose"):
            flags |= {"no-standing", "zero-assumed"}
        return flags

    def stored(self) -> StoredCalibration | None:
        """Give what the next session may begin with; None while nothing is known."""
        if not self.known or self.zeroed is None:
            return None
        frame = self.zeroed.frame
        x, y, z = frame.thigh.tolist()
        u, v, w = frame.shank.tolist()
        return StoredCalibration((x, y, z), (u, v, w), frame.straight, frame.upright, self.zeroed.source)


def _trusted(axes: Axes, sign: float) -> bool:
    return (
        axes.hinge >= _MIN_HINGE
        and axes.rotation >= _MIN_ROTATION
        and sign >= max(_MIN_SIGN, _MIN_SIGN_A_BLOCK * axes.blocks)
    )
