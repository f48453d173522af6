"""The leg's tilt from its rest, and which posture is the rest."""

import math
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gonio.signal.reps.counter import RepCounter
from gonio.signal.reps.exercises import RULES
from gonio.signal.reps.moments import Moments
from gonio.signal.reps.tilt import Tilt

RATE_HZ = 50.0


def tilted(degrees: float) -> list[float]:
    return [math.sin(math.radians(degrees)), 0.0, math.cos(math.radians(degrees))]


def way(*points: tuple[float, float, float]) -> Moments:
    """Go through (seconds, thigh's angle, shank's angle), degrees, in minimum-jerk glides."""
    thigh, shank, speed = [], [], []
    for (t0, a0, b0), (t1, a1, b1) in pairwise(points):
        n = round((t1 - t0) * RATE_HZ)
        for k in range(n):
            x = k / n
            glide, rate = x**3 * (10 - 15 * x + 6 * x * x), 30 * x * x * (1 - x) ** 2 / (t1 - t0)
            thigh.append(tilted(a0 + (a1 - a0) * glide))
            shank.append(tilted(b0 + (b1 - b0) * glide))
            speed.append(math.radians(max(abs(a1 - a0), abs(b1 - b0))) * rate)
    n = len(speed)
    unknown = [math.nan] * n
    t = [k / RATE_HZ for k in range(n)]
    return Moments(t, unknown, unknown, thigh, shank, [0.02] * n, speed, [True] * n, [False] * n)


def raises(
    reps: int, low: tuple[float, float], high: tuple[float, float], begin_s: float
) -> list[tuple[float, float, float]]:
    points = []
    for k in range(reps):
        t = begin_s + 4.5 * k
        points += [(t, *low), (t + 1.0, *high), (t + 2.5, *high), (t + 3.5, *low)]
    return [*points, (begin_s + 4.5 * reps, *low)]


def counted(moments: Moments, size: int = 10_000) -> list[tuple[float, float]]:
    tilt, counter = Tilt(RATE_HZ), RepCounter(RULES["straight-leg-raise"], RATE_HZ)
    found = []
    for k in range(0, len(moments.t), size):
        part = Moments(*(getattr(moments, name)[k : k + size] for name in Moments.__slots__))
        values, anew = tilt.feed(part.t, part.up1, part.up2, part.speed)
        found += [one for _, one in counter.feed(part, values, anew)]
    found += counter.finish()
    return [(one.rep.start_s, one.rep.end_s) for one in found]


def test_raises_from_the_first_posture() -> None:
    found = counted(way((0, 0, 0), *raises(5, (0, 0), (30, 28), 2.0)))
    assert [start for start, _ in found] == pytest.approx([2.0, 6.5, 11.0, 15.5, 20.0], abs=0.3)


def test_whoever_lies_down_before_the_raises_rests_where_he_comes_back_to() -> None:
    # sitting, then lying: the shank comes up by 90°
    points = ((0, 0, 0), (2, 0, 0), (4, 0, 90), (5, 0, 90), *raises(5, (0, 90), (40, 130), 5.0))
    found = counted(way(*points))
    assert [start for start, _ in found] == pytest.approx([5.0, 9.5, 14.0, 18.5, 23.0], abs=0.3)


def test_a_raised_leg_that_sways_still_hangs_on_its_rest() -> None:
    sway = [(3, 20, 20), (4, 20, 20), (4.6, 16, 17), (5.2, 20, 20), (6, 20, 20), (6.6, 16, 17), (7.2, 20, 20)]
    points = ((0, 0, 0), (2, 0, 0), *sway, (8.2, 0, 0), (10, 0, 0))
    found = counted(way(*points))
    assert len(found) == 1
    assert found[0] == pytest.approx((2.0, 8.2), abs=0.3)


def test_a_rest_beside_the_first_is_a_rest() -> None:
    # every raise ends 3° further on than it began
    points = [(0.0, 0.0, 0.0)]
    for k in range(5):
        t, low = 2.0 + 4.5 * k, 3.0 * k
        points += [
            (t, low, low),
            (t + 1.0, low + 25, low + 25),
            (t + 2.5, low + 25, low + 25),
            (t + 3.5, low + 3, low + 3),
        ]
    points.append((25.0, 15.0, 15.0))
    assert len(counted(way(*points))) == 5


def test_a_leg_that_stays_away_has_another_rest() -> None:
    points = ((0, 0, 0), (2, 0, 0), (3, 25, 25), (40, 25, 25), *raises(2, (25, 25), (45, 45), 40.0))
    found = counted(way(*points))
    assert [start for start, _ in found] == pytest.approx([40.0, 44.5], abs=0.3)


@settings(max_examples=15, deadline=None)
@given(size=st.integers(1, 400))
def test_chunks_make_no_difference(size: int) -> None:
    moments = way((0, 0, 0), (2, 0, 0), (4, 0, 90), (5, 0, 90), *raises(3, (0, 90), (40, 130), 5.0))
    assert counted(moments, size) == counted(moments)
