"""The sensor error model: right sizes, drawn per unit, and independent of how the samples are asked for."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gonio.errors import UsageError
from gonio.signal.consts import STANDARD_GRAVITY, FloatArray
from gonio.simulators.imu import ImuErrors, ImuQuality

PERFECT = ImuQuality(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)


def still(t_s: FloatArray) -> tuple[FloatArray, FloatArray]:
    return np.tile((0.0, 0.0, STANDARD_GRAVITY), (len(t_s), 1)), np.zeros((len(t_s), 3))


def test_noise_has_its_density_and_is_white() -> None:
    rate_hz = 100.0
    quality = ImuQuality(gyr_bias=0.0, acc_bias=0.0, gyr_walk=0.0, acc_walk=0.0, scale=0.0, crookedness=0.0)
    t_s = np.arange(40_000) / rate_hz
    acc, gyr = ImuErrors(1, rate_hz=rate_hz, quality=quality).around(still)(t_s)
    noise = np.hstack((acc - (0.0, 0.0, STANDARD_GRAVITY), gyr))
    band = np.sqrt(rate_hz / 2.0)
    expected = np.repeat((quality.acc_noise * band, quality.gyr_noise * band), 3)
    assert noise.std(axis=0) == pytest.approx(expected, rel=0.02)
    assert np.abs(noise.mean(axis=0) / expected).max() < 4 / np.sqrt(len(t_s))
    unit = noise / noise.std(axis=0)
    assert np.abs(unit.T @ unit / len(t_s) - np.eye(6)).max() < 0.03  # channels know nothing of each other
    for lag in (1, 2, 10):
        assert np.abs((unit[lag:] * unit[:-lag]).mean(axis=0)).max() < 0.03
    assert np.mean(np.abs(unit) > 2.0) == pytest.approx(0.0455, abs=0.004)  # and are normal
    assert np.mean(np.abs(unit) > 3.0) == pytest.approx(0.0027, abs=0.001)


def test_bias_differs_from_unit_to_unit_by_the_size_asked_for() -> None:
    quality = ImuQuality(gyr_bias=0.02, acc_bias=0.3)
    units = [ImuErrors(seed, rate_hz=60.0, quality=quality) for seed in range(300)]
    assert np.std([unit.gyr_bias for unit in units]) == pytest.approx(0.02, rel=0.1)
    assert np.std([unit.acc_bias for unit in units]) == pytest.approx(0.3, rel=0.1)


def test_bias_wanders_like_a_random_walk() -> None:
    quality = ImuQuality(0.0, 0.0, 0.0, 0.0, gyr_walk=0.01, acc_walk=0.02, scale=0.0, crookedness=0.0)
    at = np.array([0.0, 100.0])
    ways = []
    for seed in range(200):
        acc, gyr = ImuErrors(seed, rate_hz=60.0, quality=quality).around(still)(at)
        ways.append(np.concatenate((acc[1] - acc[0], gyr[1] - gyr[0])))
    spread = np.std(ways, axis=0)
    assert spread == pytest.approx(np.repeat((0.2, 0.1), 3), rel=0.2)  # grows with the root of the time


def test_scale_and_crooked_axes_are_small_and_linear() -> None:
    quality = ImuQuality(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, scale=0.01, crookedness=0.01)
    unit = ImuErrors(4, rate_hz=60.0, quality=quality)
    axes = np.eye(3)
    shown_acc, shown_gyr = unit.apply(np.zeros(3), axes, axes)
    assert 0.001 < np.abs(shown_gyr - axes).max() < 0.08
    assert not np.allclose(shown_acc, shown_gyr)
    _, doubled = unit.apply(np.zeros(3), 2 * axes, 2 * axes)
    assert doubled == pytest.approx(2 * shown_gyr)


def test_shows_no_more_than_its_range() -> None:
    quality = ImuQuality(gyr_range=4.0, acc_range=20.0)
    acc, gyr = ImuErrors(1, rate_hz=60.0, quality=quality).apply(
        np.zeros(1), np.array([[30.0, -30.0, 1.0]]), np.array([[5.0, -5.0, 1.0]])
    )
    assert acc[0, :2].tolist() == [20.0, -20.0]
    assert gyr[0, :2].tolist() == [4.0, -4.0]
    assert gyr[0, 2] == pytest.approx(1.0, abs=0.1)


def test_a_perfect_sensor_shows_the_truth() -> None:
    t_s = np.arange(50) / 60.0
    acc, gyr = ImuErrors(3, rate_hz=60.0, quality=PERFECT).around(still)(t_s)
    assert np.array_equal(acc, still(t_s)[0])
    assert np.array_equal(gyr, still(t_s)[1])


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**63), cuts=st.lists(st.integers(0, 300), max_size=10), backwards=st.booleans())
def test_same_in_whatever_pieces_and_order(seed: int, cuts: list[int], *, backwards: bool) -> None:
    t_s: FloatArray = np.arange(300, dtype=np.float64) * 7.3  # over more than one stretch of knots
    whole = np.hstack(ImuErrors(seed, rate_hz=60.0).around(still)(t_s))
    feed = ImuErrors(seed, rate_hz=60.0).around(still)
    edges = [0, *sorted(cuts), 300]
    spans = list(pairwise(edges))
    pieces = {span: np.hstack(feed(t_s[span[0] : span[1]])) for span in (reversed(spans) if backwards else spans)}
    assert np.array_equal(np.concatenate([pieces[span] for span in spans]), whole)


def test_two_units_differ() -> None:
    t_s = np.arange(10) / 60.0
    one, two = (ImuErrors(seed, rate_hz=60.0).around(still)(t_s) for seed in (0, 1))
    assert not np.allclose(one[0], two[0], atol=1e-4)


def test_refuses_what_no_sensor_is() -> None:
    with pytest.raises(UsageError, match="rate"):
        ImuErrors(0, rate_hz=0.0)
    with pytest.raises(UsageError, match="negative"):
        ImuQuality(gyr_noise=-1.0)
    with pytest.raises(UsageError, match="above 0"):
        ImuQuality(acc_range=0.0)
