"""The curve of a raised leg: from where the leg rests, never from a posture that it has left."""

import math

import numpy as np
import pytest

from gonio.signal.chain import KneeChain
from gonio.signal.chunks import AlignedChunk
from gonio.signal.curve import Curve
from gonio.simulators.leg import LegMotion

RATE_HZ = 50.0


def tilts(exercise: str, size: int) -> tuple[tuple[float, ...], float]:
    """Give the curve and the largest range of a repetition, rad, of somebody who stands and then lies down."""
    motion = LegMotion(exercise, reps=4, seed=3)
    t = np.arange(int(motion.duration_s * RATE_HZ)) / RATE_HZ
    (acc1, gyr1), (acc2, gyr2) = motion.imu("thigh", t), motion.imu("shank", t)
    chain = KneeChain(RATE_HZ, exercise=exercise)
    for begin in range(0, len(t), size):
        part = slice(begin, begin + size)
        measured = np.ones(len(t[part]), dtype=np.bool_)
        chain.feed(AlignedChunk(t[part], acc1[part], gyr1[part], acc2[part], gyr2[part], measured))
    chain.finish()
    result = chain.result(())
    return result.tilt_curve, max(rep.rom for rep in result.reps)


@pytest.mark.parametrize("exercise", ["straight-leg-raise", "bridge"])
def test_no_point_is_told_from_a_posture_that_was_left(exercise: str) -> None:
    curve, rom = tilts(exercise, 50)
    known = [angle for angle in curve if not math.isnan(angle)]
    assert 0.8 * rom < max(known) < 1.25 * rom
    assert tilts(exercise, 7)[0] == pytest.approx(curve, abs=0.0, nan_ok=True)


def test_points_are_corrected_where_the_way_was_misjudged() -> None:
    curve = Curve()
    curve.feed([k * 0.25 for k in range(8)], [float(k) for k in range(8)])
    curve.correct(((0.5, math.nan), (0.9, 10.0), (1.3, 11.0)))
    assert curve.points()[1] == pytest.approx((0.0, 1.0, math.nan, math.nan, 10.0, 10.0, 6.0, 7.0), nan_ok=True)
