"""A movement written down like music: joint coordinates that glide from value to value, sampled afterwards.

Every glide follows the minimum-jerk profile of Flash and Hogan (1985, J Neurosci 5:1688), which reaching and lifting
movements of healthy people keep close to: rest, bell-shaped velocity, rest. Position, velocity and acceleration of
every coordinate are continuous.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np

from gonio.signal.consts import FloatArray

#: The coordinates of the leg. Angles in degrees (choreography is written by and for people; ``leg_kinematics``
#: turns them into radians), lengths in metres, weights from 0 to 1.
COORDINATES: Final[tuple[str, ...]] = (
    "yaw",  # heading of the body, counterclockwise seen from above for a right leg (everything is mirrored for a left)
    "recline",  # body about its left-right axis: 0 upright, 90 lying on the back
    "roll",  # body about its long axis: 0 on the back, 90 on the other side, 180 prone
    "hip",  # hip flexion against the body
    "abduction",  # hip abduction
    "knee",  # knee flexion
    "slide",  # weight: the hip follows the knee so that the heel keeps to the surface the body lies on
    "planted",  # weight: the foot stays and the pelvis follows the leg (else the pelvis stays)
    "sway",  # how much of the small, never-ending motion of an upright body there is
    "pelvis_x",
    "pelvis_y",
    "pelvis_z",  # hip joint, earth frame, where the foot is not planted
    "foot_x",
    "foot_y",
    "foot_z",  # ankle, earth frame, where it is
)

Coordinates: TypeAlias = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Profile:
    """How a glide runs from 0 to 1.

    Attributes:
        skew: shifts the velocity's peak, -0.5 (late) to 0.5 (early); people start a lift faster than they end it.
        steps: sub-movements; above 1 the glide hesitates in between, as after an operation or in pain.
        tremor: amplitude of a 6 Hz shake in the middle of the glide, as a share of its way.
    """

    skew: float = 0.0
    steps: int = 1
    tremor: float = 0.0

    def __call__(self, fraction: FloatArray, duration_s: float) -> FloatArray:
        """Give the share of the way done.

        Args:
            fraction: (n,) share of the duration passed, 0 to 1.
            duration_s: of the glide, s.

        Returns:
            (n,) from 0 at 0 to 1 at 1, with no velocity and no acceleration at both ends.
        """
        warped = fraction + self.skew * fraction * (1.0 - fraction)
        position = warped * self.steps
        done = np.minimum(np.floor(position), self.steps - 1)
        way = (done + minimum_jerk(position - done)) / self.steps
        if self.tremor:
            way = way + self.tremor * np.sin(np.pi * fraction) ** 4 * np.sin(2.0 * np.pi * 6.0 * duration_s * fraction)
        return way


SMOOTH: Final = Profile()


def minimum_jerk(fraction: FloatArray) -> FloatArray:
    """Give the minimum-jerk way (n,) done after a fraction (n,) of the time; 0 before 0, 1 after 1."""
    x = np.clip(fraction, 0.0, 1.0)
    return x * x * x * (10.0 + x * (6.0 * x - 15.0))


@dataclass(frozen=True, slots=True)
class _Glide:
    start_s: float
    duration_s: float
    change: float
    profile: Profile


class Score:
    """Coordinates over time, written from the beginning to the end and then sampled."""

    def __init__(self, start: Coordinates) -> None:
        """Begin at 0 s with the coordinates given; those not named are 0."""
        unknown = set(start) - set(COORDINATES)
        if unknown:
            raise ValueError(f"unknown coordinates: {', '.join(sorted(unknown))}")
        self.now_s = 0.0
        self.now = dict.fromkeys(COORDINATES, 0.0) | dict(start)
        self._start = dict(self.now)
        self._glides: dict[str, list[_Glide]] = {name: [] for name in COORDINATES}

    def wait(self, duration_s: float) -> None:
        """Let time pass."""
        self.now_s += duration_s

    def glide(self, duration_s: float, targets: Coordinates, profile: Profile = SMOOTH) -> None:
        """Bring coordinates to their targets together, and be at the end of it."""
        if not duration_s > 0:
            raise ValueError("a glide needs time")
        for name, value in targets.items():
            change = value - self.now[name]
            if change:
                self._glides[name].append(_Glide(self.now_s, duration_s, change, profile))
                self.now[name] = value
        self.now_s += duration_s

    def jump(self, targets: Coordinates) -> None:
        """Set coordinates that have no weight just now (the pelvis of a planted foot, the foot of a free leg)."""
        for name, value in targets.items():
            change = value - self.now[name]
            if change:
                self._glides[name].append(_Glide(self.now_s, 0.0, change, SMOOTH))
                self.now[name] = value

    def sample(self, t_s: FloatArray) -> dict[str, FloatArray]:
        """Give every coordinate (n,) at increasing moments (n,) in s; before the beginning it stands still."""
        sampled: dict[str, FloatArray] = {}
        for name in COORDINATES:
            values = np.full(len(t_s), self._start[name])
            for glide in self._glides[name]:
                end_s = glide.start_s + glide.duration_s
                first, last = np.searchsorted(t_s, (glide.start_s, end_s))
                if last > first:
                    fraction = (t_s[first:last] - glide.start_s) / glide.duration_s
                    values[first:last] += glide.change * glide.profile(fraction, glide.duration_s)
                values[last:] += glide.change
            sampled[name] = values
        return sampled
