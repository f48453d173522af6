"""The knee's axis, its sign, flexion's sense and the zero, learnt block by block out of whatever the patient does.

Nothing is said before all four are known and a second fit from more motion agrees with the first; whenever a later fit
disagrees, it is not known again. Blocks are cut by sample index, never by chunk.

What an earlier session found, and what this one had found before the sensors stopped fitting it (``watch``), is a
candidate: learning begins afresh beside it, and it is taken up as soon as motion agrees with it (``agree``).
"""

import math
from dataclasses import dataclass
from typing import Final

from gonio.signal.consts import FloatArray
from gonio.signal.knee.agree import (
    SLIP,
    Candidate,
    as_straight,
    axes_apart,
    carried,
    flexions,
    impossible,
    judge,
    other_leg,
    plausible,
    proposed,
    straightest,
    with_kept_zero,
)
from gonio.signal.knee.axis import Axes, fit_axes
from gonio.signal.knee.blocks import BlockSums, block_sums
from gonio.signal.knee.claims import Claims
from gonio.signal.knee.linkage import Linkage
from gonio.signal.knee.placement import Placement
from gonio.signal.knee.pose import Poses
from gonio.signal.knee.sign import sign_vote
from gonio.signal.knee.stored import StoredCalibration
from gonio.signal.knee.tracker import KneeFrame
from gonio.signal.knee.watch import Watch
from gonio.signal.knee.zero import KNOWN_SENSE, Postures, Zeroed
from gonio.signal.reps.exercises import ExerciseRule

_ACTIVE: Final = 0.03  # (rad/s)² of mean squared turning that makes a block worth fitting
_MAX_BLOCKS: Final = 32  # blocks of sums kept for the fit
#: What an axis must show before anything is shown to a person.
_MIN_HINGE, _MIN_ROTATION, _MIN_SIGN, _MIN_SIGN_A_BLOCK = 0.75, 0.04, 1.0, 0.12
#: Blocks of motion that a frame must have lasted for what disagrees with it to be a moved sensor, not a poor first fit.
_LASTING: Final = 3
#: Flexion by which two fits, the later one from more motion, may differ for the angle to be known, and to stay so, rad.
_AGREE, _AGREE_STILL = math.radians(2.5), math.radians(6.5)
#: Blocks in a row in which the frame does not fit all postures, and blocks since the last such posture, after which
#: what was before is taken for another mounting.
_MISFITS, _FITTING = 3, 2
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
        known: whether the frame may be trusted as far as the blocks up to the last tell.
        watch: the look at the frame in use between the blocks; fed sample by sample once the frame is known.
        lost: whether with the block closed last what came before ceased to count for what is known.
        resumed: whether what an earlier session found was taken up, as the motion agreed.
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
        self._candidate = None if stored is None else proposed(stored)
        self._from_stored = stored is not None
        self._placement = Placement(rule)
        self._poses = Poses()
        self._flags: set[str] = set()
        self._past: Zeroed | None = None
        self._established = self._hasty = False
        self._straightest = math.nan  # least flexion seen while the frame was known, rad
        self.watch = Watch(rate_hz)
        self.lost = self.resumed = False
        self._begin(first=True)

    def _begin(self, *, first: bool = False) -> None:
        """Know nothing of how the sensors sit; ``first``: as the session begins."""
        self.postures = Postures(self._rate, begins=first)
        self.zeroed: Zeroed | None = None
        self.known = False
        self._linkage = Linkage()
        self._kept: Candidate | None = None
        self._lasted = 0
        self._sums: list[BlockSums] = []
        self._sum_blocks: list[int] = []  # their numbers among the postures' blocks
        self._seen_blocks = 0
        self._next_fit = 1
        self._axes: Axes | None = None
        self._tried: Axes | None = None  # the latest fit, trusted or not
        self._fits = self._fits_seen = 0
        self._before: KneeFrame | None = None
        self._grounded = self._misfits = 0
        self._claims = Claims()

    @property
    def shown(self) -> bool:
        """Whether the angle may be shown, but for the doubts since the last block (``watch``)."""
        if "sensor-moved" in self._flags and self.source == "range":
            return False  # what comes after a move rarely shows the whole range: a stand or a pose must set the zero
        return self.known and not (self._placement.exchanged or self._linkage.odd or self._linkage.one_segment)

    @property
    def source(self) -> str:
        """Where the zero in use comes from, or, in doubt, the last one; "none" before there is one."""
        zeroed = self.zeroed or self._past
        return "none" if zeroed is None else zeroed.source

    def pose(self, start_s: float, end_s: float, flexion: float) -> None:
        """Take note that from one moment to another (kit's clock, s) the knee is held at a known flexion, rad."""
        self._poses.tell(start_s, end_s, flexion)

    def undeclare(self) -> None:
        """Take the declared exercise back: what it lent to sense, sign and zero is not known any more."""
        self._rule, self._placement = None, Placement(None)
        if self._kept is not None:
            return  # it rests on what was known before
        self._past = self.zeroed or self._past
        self.zeroed = self._axes = self._tried = self._before = None
        self.known, self._lasted, self._claims = False, 0, Claims()
        self._fits_seen, self._next_fit = self._fits, self._seen_blocks + 1

    def close(self, block: Block) -> KneeFrame | None:
        """Learn from a full block; give the frame to go on with, None where nothing new was found."""
        posed = self._poses.take(block.t_s, block.quat, block.gyr, measured=block.measured)
        self.lost = False
        if self._ends():
            return None
        if self.known and self.zeroed is not None:
            self._straightest = straightest(self.postures, self.zeroed.frame)
        if block.measured:
            self._move(block)
        if self.known and not posed and self._fits == self._fits_seen and len(self.postures) < _MORE * self._grounded:
            return None  # nothing much has been seen since
        self._grounded = len(self.postures)
        was_known = self.known
        frame = self._ground()
        if frame is not None:
            if posed:
                self._before = frame
            self._compare(frame)
        if self._candidate is not None:
            frame = self._confirm(self._candidate, frame)
        if self._axes is not None:
            self._placement.look(self._axes, self.postures)
        if frame is not None:
            self.watch.hold(frame, anew=not was_known)
        return frame

    def _ends(self) -> bool:
        """End what was known if it does not hold any more; tell whether it did."""
        if not self.known or self.zeroed is None:
            return False
        if self.watch.doubt:
            self._doubt()
        elif impossible(self.postures, self.zeroed):
            self.leave(moved=self._lasted >= _LASTING)
        else:
            return False
        self.lost = True
        return True

    def _move(self, block: Block) -> None:
        """Take a block in for what its motion tells, if there is any."""
        sums = block_sums(block.quat, block.acc, block.gyr, self._rate, float(block.t_s[0]), least=_ACTIVE)
        if sums is None:
            return
        self._lasted += self.known
        self._placement.take(block.gyr)
        self._linkage.take(sums)
        self._learn(sums)
        if self._tried is not None:
            self._linkage.look(self._axes or self._tried)

    def _doubt(self) -> None:
        """Treat what was known as a candidate, and begin anew; what was hardly known yet was wrong, not moved."""
        if self._lasted < _LASTING and not self._hasty:
            if self._kept is not None:
                self._drop(self._kept)
            self._past, self._hasty = self.zeroed, True
            self.zeroed = self._kept = self._axes = self._before = None
            self.known, self._fits_seen, self._next_fit = False, self._fits, self._seen_blocks + 1
            return
        if self.zeroed is not None:
            self._past = self.zeroed
            origin = self._kept.origin if self._kept is not None and self.zeroed.source == "stored" else None
            self._candidate = Candidate(
                self.zeroed.frame, self.zeroed.source, origin or self.zeroed.source, self._straightest
            )
            self._from_stored = False
            self._established = self._lasted >= _LASTING
        self._poses.held = None
        self._begin()

    def leave(self, *, moved: bool) -> None:
        """Begin anew without what was known: a sensor was turned (``moved``), or the zero never was one."""
        self.lost = True
        if moved:
            self._flags.add("sensor-moved")
        self._past = self.zeroed or self._past
        self._candidate, self._poses.held = None, None
        self._begin()

    def _confirm(self, candidate: Candidate, frame: KneeFrame | None) -> KneeFrame | None:
        """Hold the candidate against the motion since; give the frame to go on with."""
        if frame is not None and self.known:  # motion has shown by itself how the sensors sit
            self._candidate = None
            if axes_apart(candidate.frame, frame) or self._slipped(candidate, frame):
                self._drop(candidate, self.zeroed)
            return frame
        verdict, axes = judge(candidate.frame, self._sums, self.postures, self._rule)
        if axes is None:
            if verdict == "contradicts":
                self._drop(candidate)
            return frame
        own = self.postures.zero(axes, self._rule, None)
        frame_then = carried(candidate.frame, axes.thigh, axes.shank, self.postures)
        zeroed = with_kept_zero(own, candidate, axes, self._rule, self.postures)
        zeroed = self._poses.correct(zeroed, flexions(self.postures, zeroed.frame))
        turned = float(zeroed.frame.thigh @ candidate.frame.thigh) < 0
        if (
            turned
            or not as_straight(candidate, self.postures, zeroed.frame)
            or not (plausible(self.postures, zeroed.frame) and plausible(self.postures, frame_then, SLIP))
        ):
            if own is not None and own.sense >= KNOWN_SENSE and float(own.frame.thigh @ candidate.frame.thigh) < 0:
                self._drop(candidate, own)
            return frame
        self._candidate, self._kept, self._axes, self.zeroed = None, candidate, axes, zeroed
        self._fits = self._fits_seen = self._fits + 1
        self._before, self.known = zeroed.frame, True
        self.resumed = self.resumed or self._from_stored
        return zeroed.frame

    def _slipped(self, candidate: Candidate, frame: KneeFrame) -> bool:
        """Tell whether standing then and standing since differ by more than people stand differently."""
        if candidate.origin not in ("standing", "pose") or self.source not in ("standing", "pose"):
            return False
        return self.postures.change(candidate.frame, frame) > SLIP

    def _drop(self, candidate: Candidate, own: Zeroed | None = None) -> None:
        """Go on without the candidate; ``own``: what motion says by itself."""
        self._candidate = None
        if self._from_stored:
            self.resumed = False
            self._flags.add("stored-calibration-dropped")
            if own is not None and other_leg(candidate.frame, own):
                self._flags.add("other-leg")
        elif self._established:
            self._flags.add("sensor-moved")

    def _learn(self, sums: BlockSums) -> None:
        """Take a block of motion into the fit.

        The axis is fitted anew after every block at first, then more and more seldom; after twice as many once two
        fits agree.
        """
        self._sums.append(sums)
        self._sum_blocks.append(self.postures.blocks - 1)
        self._seen_blocks += 1
        if len(self._sums) > _MAX_BLOCKS:
            quietest = min(range(len(self._sums) - 1), key=lambda k: self._sums[k].energy)
            del self._sums[quietest], self._sum_blocks[quietest]
        if self._seen_blocks < self._next_fit:
            return
        power = 1 << (self._seen_blocks.bit_length() - 1)
        self._next_fit = self._seen_blocks + (power if self.known else max(1, power // 4))
        one, other, acceleration = fit_axes(self._sums, self._axes or self._tried, sure=self.known)
        vote = sign_vote(one, other, acceleration, self.postures, self._rule)
        self._tried = one if vote >= 0 else other
        if _trusted(self._tried, abs(vote)):
            self._axes = self._tried
            self._fits += 1

    def _compare(self, frame: KneeFrame) -> None:
        """Tell whether the angle is known: when the latest fit of the axis agrees with what was held before it."""
        before, self._before = self._before, frame
        if before is None:
            self._fits_seen = self._fits
        elif before is not frame and self.postures.change(before, frame) > (_AGREE_STILL if self.known else _AGREE):
            self.known, self._fits_seen = False, self._fits
        elif self._fits > self._fits_seen and self.zeroed is not None and self.zeroed.trusted:
            self.known, self._fits_seen = True, self._fits

    def _ground(self) -> KneeFrame | None:
        """Give sense and zero for the axis; None while they, or the axis, are not known or nothing changed."""
        if self._axes is None:
            return None
        hold = self.zeroed if self.known and self._kept is None else None
        zeroed = self.postures.zero(self._axes, self._rule, hold)
        if self._kept is not None:
            zeroed = with_kept_zero(zeroed, self._kept, self._axes, self._rule, self.postures)
        if zeroed is None:
            return None
        zeroed = self._poses.correct(zeroed, flexions(self.postures, zeroed.frame))
        if zeroed.source != "pose" and self._kept is None and self._claims.contest(zeroed):
            self.known, self._fits_seen = False, self._fits
            return None
        misfit = self.postures.misfit(zeroed.frame)
        if misfit is not None:
            self.known, self._fits_seen = False, self._fits
            self._misfits += 1
            if self._misfits >= _MISFITS and self.postures.blocks - misfit > _FITTING:
                self._forget(misfit)
            return None
        self._misfits = 0
        if zeroed.sense < KNOWN_SENSE:
            return None
        self.zeroed = zeroed
        return zeroed.frame

    def _forget(self, block: int) -> None:
        """Go on without what was up to a block (its number among ``postures``)."""
        self.postures.forget(block)
        kept = [k for k, number in enumerate(self._sum_blocks) if number > block]
        self._sums, self._sum_blocks = [self._sums[k] for k in kept], [self._sum_blocks[k] for k in kept]
        self._past = self.zeroed or self._past
        self.zeroed = self._axes = self._tried = self._before = self._kept = None
        self._lasted, self._misfits, self.lost = 0, 0, True
        self._claims, self._next_fit = Claims(), self._seen_blocks + 1

    def flags(self, *, begun: bool) -> set[str]:
        """Name what limits the trust in the angle; ``begun``: an angle has been given at all."""
        flags = self._flags | self._poses.flags | self._linkage.flags
        if self._candidate is not None and not self._from_stored and self._established:
            flags.add("sensor-moved")  # in doubt to the end
        if self._placement.exchanged:
            flags.add("sensors-exchanged")
        if not begun:
            flags.add("not-calibrated")
            if self._axes is None and self._seen_blocks:
                flags.add("sign-uncertain")
        elif self.source == "stored":
            flags.add("no-standing")
        elif self.source not in ("standing", "pose"):
            flags |= {"no-standing", "zero-assumed"}
        return flags

    def stored(self) -> StoredCalibration | None:
        """Give what the next session may begin with; None while nothing is known."""
        if not self.shown or self.watch.doubt or self.zeroed is None:
            return None
        frame = self.zeroed.frame
        x, y, z = frame.thigh.tolist()
        u, v, w = frame.shank.tolist()
        source = self._kept.origin if self._kept is not None and self.zeroed.source == "stored" else self.zeroed.source
        return StoredCalibration((x, y, z), (u, v, w), frame.straight, frame.upright, source)


def _trusted(axes: Axes, sign: float) -> bool:
    return (
        axes.hinge >= _MIN_HINGE
        and axes.rotation >= _MIN_ROTATION
        and sign >= max(_MIN_SIGN, _MIN_SIGN_A_BLOCK * axes.blocks)
    )
