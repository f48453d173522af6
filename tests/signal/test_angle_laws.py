"""The laws of the angle and the repetitions: chunking, mounting, resampling; on a real recording where it is there."""

import gzip
import os
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from vqf import VQF

from gonio.signal.chain import KneeChain
from gonio.signal.chunks import AlignedChunk, KneeAngleChunk, RepEvent, SessionResult
from gonio.signal.consts import BoolArray, FloatArray
from gonio.signal.orient import AttitudeFilter, rotation_matrices

DATA = Path(os.environ.get("GONIO_DATA", Path(__file__).parents[2].parent / "shared" / "data"))
BENDS = DATA / "bends-left-first-100s"
needs_bends = pytest.mark.skipif(not BENDS.exists(), reason=f"no recording at {BENDS}")


def read(path: Path) -> FloatArray:
    with gzip.open(path, "rt") as file:
        return np.loadtxt(file, delimiter=",", skiprows=1)


def bends() -> tuple[FloatArray, FloatArray]:
    return read(BENDS / "thigh.csv.gz"), read(BENDS / "shank.csv.gz")


def aligned(thigh: FloatArray, shank: FloatArray, measured: BoolArray | None = None) -> AlignedChunk:
    return AlignedChunk(
        t_s=np.ascontiguousarray(thigh[:, 0]),
        thigh_acc=np.ascontiguousarray(thigh[:, 1:4]),
        thigh_gyr=np.ascontiguousarray(thigh[:, 4:]),
        shank_acc=np.ascontiguousarray(shank[:, 1:4]),
        shank_gyr=np.ascontiguousarray(shank[:, 4:]),
        measured=np.ones(len(thigh), dtype=np.bool_) if measured is None else measured,
    )


def run(
    thigh: FloatArray, shank: FloatArray, rate_hz: float, size: int, exercise: str | None = "mini-squat"
) -> tuple[FloatArray, FloatArray, BoolArray, list[RepEvent], SessionResult]:
    chain = KneeChain(rate_hz, exercise=exercise)
    angles: list[KneeAngleChunk] = []
    reps: list[RepEvent] = []
    for k in range(0, len(thigh), size):
        for out in chain.feed(aligned(thigh[k : k + size], shank[k : k + size])):
            if isinstance(out, KneeAngleChunk):
                angles.append(out)
            else:
                reps.append(out)
    reps += [out for out in chain.finish() if isinstance(out, RepEvent)]
    return (
        np.concatenate([a.flexion for a in angles]),
        np.concatenate([a.thigh_inclination for a in angles]),
        np.concatenate([a.ok for a in angles]),
        reps,
        chain.result(()),
    )


def turned(data: FloatArray, rotation: Rotation) -> FloatArray:
    return np.column_stack([data[:, 0], rotation.apply(data[:, 1:4]), rotation.apply(data[:, 4:])])


def resampled(data: FloatArray, rate_hz: float) -> FloatArray:
    t = np.arange(data[0, 0], data[-1, 0], 1.0 / rate_hz)
    return np.column_stack([t, *(np.interp(t, data[:, 0], column) for column in data[:, 1:].T)])


def test_the_filter_in_chunks_is_the_filter_sample_by_sample() -> None:
    rng = np.random.default_rng(1)
    acc, gyr = rng.normal(0, 3, (400, 3)) + np.array((0, 0, 9.8)), rng.normal(0, 1, (400, 3))
    single, chunked = AttitudeFilter(50.0), AttitudeFilter(50.0)
    one_by_one = [single.feed(acc[k : k + 1], gyr[k : k + 1]) for k in range(400)]
    parts = [chunked.feed(acc[k : k + 37], gyr[k : k + 37]) for k in range(0, 400, 37)]
    np.testing.assert_array_equal(np.concatenate([p.quat for p in parts]), np.concatenate([p.quat for p in one_by_one]))


def test_a_strong_bias_is_the_same_in_every_mounting() -> None:
    rng = np.random.default_rng(4)
    acc = rng.normal(0, 0.02, (1500, 3)) + np.array((0, 0, 9.81))
    gyr = rng.normal(0, 0.002, (1500, 3)) + np.radians((2.6, 0.3, 0.2))
    ours = AttitudeFilter(50.0).feed(acc, gyr)
    turn = Rotation.from_euler("xyz", (20, 35, 40), degrees=True).as_matrix()
    turned = AttitudeFilter(50.0).feed(acc @ turn.T, gyr @ turn.T)
    np.testing.assert_allclose(turned.up, ours.up @ turn.T, atol=1e-6)
    np.testing.assert_allclose(turned.gyr, ours.gyr @ turn.T, atol=1e-6)


def test_the_filter_is_the_plain_one_but_for_its_first_heading_and_the_limit_of_its_bias() -> None:
    rng = np.random.default_rng(2)
    acc, gyr = rng.normal(0, 1, (900, 3)) + np.array((0, 0, 9.8)), rng.normal(0, 0.5, (900, 3))
    quats = VQF(0.02, biasClip=4.0).updateBatch(gyr, acc)["quat6D"]
    up = rotation_matrices(quats)[:, 2]
    ours = AttitudeFilter(50.0).feed(acc, gyr)
    apart = np.degrees(np.arccos(np.clip(np.sum(up * ours.up, axis=1), -1, 1)))
    assert apart[100:].max() < 0.5  # as much as the plain one differs from itself on a sensor mounted another way


@pytest.mark.parametrize("seed", range(3))
def test_the_filter_sees_the_same_up_however_the_sensor_is_turned(seed: int) -> None:
    rng = np.random.default_rng(3)
    acc, gyr = rng.normal(0, 4, (900, 3)) + np.array((0, 0, 9.8)), rng.normal(0, 3, (900, 3))
    turn = Rotation.random(rng=np.random.default_rng(seed))
    plain = AttitudeFilter(50.0).feed(acc, gyr)
    other = AttitudeFilter(50.0).feed(turn.apply(acc), turn.apply(gyr))
    np.testing.assert_allclose(turn.apply(plain.up), other.up, atol=1e-4)


@needs_bends
def test_chunking_does_not_change_a_digit() -> None:
    thigh, shank = bends()
    thigh, shank = thigh[:2600], shank[:2600]
    whole = run(thigh, shank, 40.0, len(thigh))
    assert whole[3]
    for size in (1, 7, 64):
        parts = run(thigh, shank, 40.0, size)
        for one, other in zip(whole[:3], parts[:3], strict=True):
            np.testing.assert_array_equal(one, other)
        assert parts[3] == whole[3]
        assert repr(parts[4]) == repr(whole[4])


@needs_bends
def test_ten_bends_and_their_depth() -> None:
    thigh, shank = bends()
    truth = read(BENDS / "truth.csv.gz")
    flexion, _, ok, reps, result = run(thigh, shank, 40.0, 64)
    assert len(reps) == 10
    assert all(rep.start_s > 50 and rep.end_s < 92 for rep in reps)
    assert result.zero == "standing"
    assert np.degrees(result.max_flexion) == pytest.approx(92.5, abs=4.5)
    use = ok & (truth[:, 2] > 0)
    gap = np.degrees(flexion[use]) - truth[use, 1]
    assert use[400:3600].mean() > 0.9
    assert np.std(gap) < 1.6
    assert reps[3].peak_s == pytest.approx(truth[2500:2640, 0][np.argmax(truth[2500:2640, 1])], abs=0.6)


@needs_bends
def test_the_exercise_is_recognised_and_counted_alike() -> None:
    thigh, shank = bends()
    *_, reps, result = run(thigh, shank, 40.0, 64, exercise=None)
    assert (result.exercise, result.recognised, len(reps)) == ("mini-squat", True, 10)


@needs_bends
@pytest.mark.parametrize("seed", range(4))
def test_mounting_does_not_matter(seed: int) -> None:
    thigh, shank = bends()
    base = run(thigh, shank, 40.0, 4000)
    one, two = Rotation.random(2, rng=np.random.default_rng(seed))
    other = run(turned(thigh, one), turned(shank, two), 40.0, 4000)
    np.testing.assert_array_equal(base[2], other[2])
    change = np.abs(np.degrees(base[0] - other[0]))
    assert np.nanmax(change[base[2]]) <= 0.2
    assert len(other[3]) == len(base[3])


@needs_bends
@pytest.mark.parametrize("rate_hz", [50.0, 60.0])
def test_resampling_keeps_count_peaks_and_angles(rate_hz: float) -> None:
    thigh, shank = bends()
    base = run(thigh, shank, 40.0, 4000)[3]
    other = run(resampled(thigh, rate_hz), resampled(shank, rate_hz), rate_hz, 4000)[3]
    assert len(other) == len(base)
    for a, b in zip(base, other, strict=True):
        assert b.peak_s == pytest.approx(a.peak_s, abs=0.1)
        assert np.degrees(b.peak_flexion) == pytest.approx(np.degrees(a.peak_flexion), abs=1.0)
