"""The counter on made-up signals whose repetitions are known by construction."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gonio.signal.chunks import RepEvent
from gonio.signal.consts import EXERCISES, FloatArray
from gonio.signal.reps.counter import LONGEST_S, RepCounter
from gonio.signal.reps.exercises import RULES
from gonio.signal.reps.moments import Moments

RATE_HZ = 50.0
UPRIGHT = [0.0, 0.0, 1.0]


def glide(*points: tuple[float, float]) -> FloatArray:
    """Angles in degrees at RATE_HZ through (seconds, degrees) in minimum-jerk glides."""
    out = [np.zeros(0)]
    for (t0, a), (t1, b) in pairwise(points):
        x = np.arange(round((t1 - t0) * RATE_HZ)) / ((t1 - t0) * RATE_HZ)
        out.append(a + (b - a) * x**3 * (10 - 15 * x + 6 * x * x))
    return np.concatenate(out)


def count(
    degrees: FloatArray, exercise: str, *, shake: float = 0.05, gap: tuple[float, float] | None = None
) -> list[RepEvent]:
    counter = RepCounter(RULES[exercise], RATE_HZ)
    moments = upright(np.radians(degrees).tolist(), shake=shake)
    if gap is not None:
        moments.measured = [not gap[0] <= t < gap[1] for t in moments.t]
    found = [one.rep for _, one in counter.feed(moments, moments.flexion)]
    return found + [one.rep for one in counter.finish()]


def upright(flexion: list[float], *, shake: float = 0.05, begin: int = 0) -> Moments:
    n = len(flexion)
    t = [(begin + k) / RATE_HZ for k in range(n)]
    return Moments(t, flexion, [0.0] * n, [UPRIGHT] * n, [UPRIGHT] * n, [shake] * n, [0.1] * n, [True] * n, [True] * n)


def series(reps: int, low: float, high: float, *, move_s: float = 1.0, hold_s: float = 0.5) -> FloatArray:
    points = [(0.0, low), (2.0, low)]
    for _ in range(reps):
        t = points[-1][0]
        points += [(t + move_s, high), (t + move_s + hold_s, high), (t + 2 * move_s + hold_s, low)]
        points.append((points[-1][0] + 0.6, low))
    points.append((points[-1][0] + 2.0, low))
    return glide(*points)


def test_every_exercise_has_its_rule() -> None:
    assert tuple(RULES) == EXERCISES


@settings(max_examples=40, deadline=None)
@given(
    reps=st.integers(1, 12),
    high=st.floats(40, 120),
    low=st.floats(-5, 15),
    move_s=st.floats(0.4, 4.0),
    hold_s=st.floats(0.0, 8.0),
)
def test_every_repetition_is_counted_once(reps: int, high: float, low: float, move_s: float, hold_s: float) -> None:
    found = count(series(reps, low, high, move_s=move_s, hold_s=hold_s), "heel-slide")
    assert len(found) == reps
    for rep in found:
        assert math.degrees(rep.peak_flexion) == pytest.approx(high, abs=0.5)
        assert math.degrees(rep.min_flexion) == pytest.approx(low, abs=1.0)
        assert math.degrees(rep.rom) == pytest.approx(high - low, abs=1.5)
        assert rep.start_s < rep.peak_s < rep.end_s
        assert rep.measured


def test_extension_from_a_bent_rest_peaks_at_the_straight_leg() -> None:
    found = count(series(3, 88.0, 4.0, hold_s=5.0), "long-arc-quad")
    assert len(found) == 3
    assert math.degrees(found[0].min_flexion) == pytest.approx(4.0, abs=0.5)
    assert found[0].peak_s == pytest.approx(2.0 + 1.0 + 2.5, abs=0.15)


def test_small_repetitions_after_large_ones_are_counted() -> None:
    assert len(count(np.concatenate([series(5, 5.0, 75.0), series(5, 5.0, 25.0)]), "heel-slide")) == 10


def test_shuffling_is_no_repetition() -> None:
    rng = np.random.default_rng(3)
    wander = np.cumsum(rng.normal(0, 0.05, 3000))
    assert count(5.0 + 4.0 * np.sin(np.arange(3000) / 40) + wander - wander.mean(), "heel-slide") == []


def test_walking_is_no_repetition() -> None:
    t = np.arange(0, 60, 1 / RATE_HZ)
    steps = 30 - 30 * np.cos(2 * np.pi * t / 1.1)
    assert count(steps, "mini-squat", shake=1.2) == []


def test_a_posture_kept_is_no_hold() -> None:
    sat = glide((0, 5), (2, 5), (4, 90), (4 + LONGEST_S + 10, 90), (6 + LONGEST_S + 10, 5), (60, 5))
    assert count(sat, "heel-slide") == []


def test_a_repetition_over_a_gap_is_not_measured() -> None:
    found = count(series(3, 5.0, 80.0), "heel-slide", gap=(5.4, 5.6))
    assert [rep.measured for rep in found] == [True, False, True]


def test_a_corrected_zero_does_not_disturb_the_count() -> None:
    counter = RepCounter(RULES["heel-slide"], RATE_HZ)
    angles = np.radians(series(4, 5.0, 80.0))
    cut = round(4.6 * RATE_HZ)
    first, second = angles[:cut].tolist(), (angles[cut:] + 0.1).tolist()
    found = counter.feed(upright(first), first)
    counter.shift(0.1)
    found += counter.feed(upright(second, begin=cut), second)
    assert [round(math.degrees(one.rep.rom)) for _, one in found] == [75, 75, 75, 75]
