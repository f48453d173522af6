"""What moves a pair of virtual sensors: a simulated leg or a recording, behind one interface."""

from dataclasses import dataclass
from typing import Literal, Protocol

from gonio.signal.consts import FloatArray, Segment, Side


@dataclass(frozen=True, slots=True)
class TrueRep:
    """A repetition as it was really done; times in seconds after the motion's beginning, angles in rad."""

    start_s: float
    peak_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class MotionTruth:
    """What is known for certain about a motion.

    Attributes:
        rep_count: repetitions done; None when nobody counted.
        reps: each of them, where their times are known (may be empty although rep_count is known).
        max_flexion: largest knee flexion within the repetitions, rad; None when there is no reference.
    """

    rep_count: int | None
    reps: tuple[TrueRep, ...]
    max_flexion: float | None


class Motion(Protocol):
    """A motion of thigh and shank from 0 to ``duration_s``."""

    @property
    def origin(self) -> Literal["simulated", "recording"]:
        """Whether a model or a person made the motion."""
        ...

    @property
    def exercise(self) -> str:
        """The exercise done, by its product-wide name, or "none"."""
        ...

    @property
    def side(self) -> Side:
        """The leg that moves."""
        ...

    @property
    def duration_s(self) -> float:
        """How long the motion lasts, s."""
        ...

    @property
    def truth(self) -> MotionTruth:
        """What is known for certain."""
        ...

    def imu(self, segment: Segment, t_s: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Give what the sensor on a segment measures.

        Args:
            segment: where the sensor sits.
            t_s: (n,) moments in s after the motion's beginning, within 0 to ``duration_s``.

        Returns:
            Specific force (n, 3) in m/s² and angular velocity (n, 3) in rad/s, sensor frame.
        """
        ...

    def flexion(self, t_s: FloatArray) -> FloatArray:
        """Give the true knee flexion (n,) in rad at moments (n,) in s; NaN where it is not known."""
        ...
