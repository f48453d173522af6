"""A leg that does one motion after another: whenever somebody begins, it exercises anew."""

from typing import Final, Literal

import numpy as np

from gonio.signal.consts import FloatArray, Segment, Side
from gonio.simulators.motion import Motion, MotionTruth

LASTS_S: Final = 7200.0  # an afternoon of trying things out


class Acts:
    """A first motion, and those that are begun later; between them the leg stays as the last one left it.

    Implements ``simulators.motion.Motion``; the truth is the first motion's.
    """

    def __init__(self, first: Motion) -> None:
        self.origin: Literal["simulated", "recording"] = first.origin
        self.exercise = first.exercise
        self.side: Side = first.side
        self.truth: MotionTruth = first.truth
        self.duration_s = LASTS_S
        self._acts: list[tuple[float, Motion]] = [(0.0, first)]

    def begin(self, motion: Motion, now_s: float) -> None:
        """Let a motion begin.

        Args:
            motion: with the sensors mounted as before; nobody should watch the leg's jump into its beginning.
            now_s: the moment after this motion's own beginning, s.
        """
        self._acts.append((now_s, motion))

    def imu(self, segment: Segment, t_s: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Give specific force (n, 3) in m/s² and angular velocity (n, 3) in rad/s, sensor frame, at moments (n,)."""
        acc, gyr = np.zeros((len(t_s), 3)), np.zeros((len(t_s), 3))
        acts = list(self._acts)
        ends = [began for began, _ in acts[1:]] + [np.inf]
        for (began_s, motion), end_s in zip(acts, ends, strict=True):
            here = (t_s >= began_s) & (t_s < end_s) if began_s else t_s < end_s
            if here.any():
                acc[here], gyr[here] = motion.imu(segment, t_s[here] - began_s)
        return acc, gyr

    def flexion(self, t_s: FloatArray) -> FloatArray:
        """Give the first motion's true knee flexion (n,) in rad at moments (n,) in s."""
        return self._acts[0][1].flexion(t_s)
