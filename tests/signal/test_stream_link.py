"""What a real link costs the knee's angle, from end to end."""

from typing import Final

import numpy as np
import pytest

from gonio.signal.chunks import KneeAngleChunk, SampleChunk
from gonio.signal.consts import SEGMENTS, FloatArray
from gonio.signal.session import Session
from gonio.simulators.imu import ImuErrors
from gonio.simulators.leg import LegMotion

RATE: Final = 60.0


def _rms_off(exercise: str, motion: LegMotion, *, linked: bool, seed: int) -> float:
    """Give the r.m.s. error of the angle, degrees, where it is ok; a constant offset (zero) is not looked at."""
    rng = np.random.default_rng(seed)
    session = Session(exercise=exercise, rate_hz=RATE)
    times: list[FloatArray] = []
    bends: list[FloatArray] = []
    for k, segment in enumerate(SEGMENTS):
        t = np.asarray(np.arange(int(motion.duration_s * RATE)) / RATE, dtype=np.float64)
        acc, gyr = ImuErrors(2 * seed + k, rate_hz=RATE).apply(t, *motion.imu(segment, t))
        if linked:
            own = t * (1 + (50e-6 if segment == "thigh" else -50e-6)) + rng.uniform(0, 1000)
            arrival = np.maximum.accumulate(t + 0.008 + rng.uniform(0, 0.03, len(t)))
            keep = rng.random(len(t)) >= 0.02
            chunk = SampleChunk(acc[keep], gyr[keep], own[keep], arrival[keep])
        else:
            chunk = SampleChunk(acc, gyr, t)
        for one in session.feed(segment, chunk):
            if isinstance(one, KneeAngleChunk):
                times.append(one.t_s[one.ok])
                bends.append(one.flexion[one.ok])
    t_s, flexion = np.concatenate(times), np.concatenate(bends)
    assert len(t_s) > 0.5 * RATE * motion.duration_s
    off = flexion - motion.flexion(t_s - (0.008 if linked else 0.0))  # the least delay of all stays in the offset
    return float(np.degrees(np.std(off)))


@pytest.mark.parametrize(("exercise", "seed"), [("mini-squat", 1), ("heel-slide", 2), ("sit-to-stand", 3)])
def test_drift_jitter_and_losses_cost_less_than_half_of_the_error(exercise: str, seed: int) -> None:
    motion = LegMotion(exercise, duration_s=80.0, seed=seed, walk_s=10.0)
    assert _rms_off(exercise, motion, linked=True, seed=seed) <= 1.5 * _rms_off(
        exercise, motion, linked=False, seed=seed
    )
