"""The samples as the counters see them: plain lists, which cost least to walk through one by one."""

from dataclasses import dataclass
from typing import TypeAlias

Vector: TypeAlias = list[float]


@dataclass(slots=True, eq=False)
class Moments:
    """Consecutive samples as the counters see them; all lists have the same length.

    Attributes:
        t: kit's clock, s.
        flexion: rad, NaN where unknown.
        thigh: the thigh's inclination, rad, NaN where unknown.
        up1: "up" in the thigh sensor's frame.
        up2: "up" in the shank sensor's frame.
        shake: how strongly both sensors shake, m/s².
        speed: angular speed of the faster sensor, rad/s.
        measured: False inside a long gap.
        sure: False where the flexion is not ok; it still tells a repetition, but not how far it went.
    """

    t: list[float]
    flexion: list[float]
    thigh: list[float]
    up1: list[Vector]
    up2: list[Vector]
    shake: list[float]
    speed: list[float]
    measured: list[bool]
    sure: list[bool]

    def extend(self, more: "Moments") -> None:
        """Append the samples that follow."""
        self.t += more.t
        self.flexion += more.flexion
        self.thigh += more.thigh
        self.up1 += more.up1
        self.up2 += more.up2
        self.shake += more.shake
        self.speed += more.speed
        self.measured += more.measured
        self.sure += more.sure

    def drop(self, n: int) -> None:
        """Forget the first n samples."""
        for column in (self.t, self.flexion, self.thigh, self.shake, self.speed):
            del column[:n]
        for vectors in (self.up1, self.up2):
            del vectors[:n]
        for told in (self.measured, self.sure):
            del told[:n]
