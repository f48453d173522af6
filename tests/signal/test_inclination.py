"""Sensors without a gyroscope: inclination alone, repetitions, and never an angle of the knee."""

import math
from collections.abc import Collection
from typing import Final

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from gonio.signal.chunks import KneeAngleChunk, RepEvent, SampleChunk
from gonio.signal.consts import EXERCISES, INCLINATION_ONLY, NO_EXERCISE, SEGMENTS, FloatArray, Segment
from gonio.signal.inclination import InclinationFilter
from gonio.signal.session import Session
from gonio.simulators.imu import ImuErrors
from gonio.simulators.leg import LegMotion

RATE: Final = 50.0
BOTH: Final = frozenset(SEGMENTS)
#: Quad sets move the leg too little to be seen by its tilt.
COUNTED: Final = [name for name in EXERCISES if name != "quad-set"]


def samples(motion: LegMotion, without: Collection[Segment], rate_hz: float = RATE) -> dict[Segment, SampleChunk]:
    t = np.asarray(np.arange(int(motion.duration_s * rate_hz)) / rate_hz, dtype=np.float64)
    out: dict[Segment, SampleChunk] = {}
    for k, segment in enumerate(SEGMENTS):
        acc, gyr = ImuErrors(k, rate_hz=rate_hz).apply(t, *motion.imu(segment, t))
        out[segment] = SampleChunk(acc, np.full_like(gyr, np.nan) if segment in without else gyr, t)
    return out


def parts(chunk: SampleChunk, sizes: list[int]) -> list[SampleChunk]:
    assert chunk.sensor_s is not None
    out, begin, k = [], 0, 0
    while begin < len(chunk):
        end = begin + sizes[k % len(sizes)]
        out.append(SampleChunk(chunk.acc[begin:end], chunk.gyr[begin:end], chunk.sensor_s[begin:end]))
        begin, k = end, k + 1
    return out


def lived(
    leg: dict[Segment, SampleChunk], exercise: str | None, rate_hz: float = RATE
) -> tuple[Session, list[KneeAngleChunk | RepEvent]]:
    session = Session(exercise=exercise, rate_hz=rate_hz)
    out = [one for segment in SEGMENTS for one in session.feed(segment, leg[segment])]
    return session, out + session.finish()


@pytest.mark.parametrize("exercise", COUNTED)
def test_every_exercise_is_counted_by_inclination_and_no_angle_is_told(exercise: str) -> None:
    motion = LegMotion(exercise, duration_s=60.0, seed=3)
    session, out = lived(samples(motion, BOTH), exercise)
    result = session.result()
    assert len(result.reps) == motion.truth.rep_count
    assert result.reps == tuple(one for one in out if isinstance(one, RepEvent))
    assert not any(one.ok.any() for one in out if isinstance(one, KneeAngleChunk))
    assert all(np.isnan(one.flexion).all() for one in out if isinstance(one, KneeAngleChunk))
    assert result.flags == (INCLINATION_ONLY,)
    assert (result.calibrated_at_s, result.zero, result.ok_fraction, result.calibration) == (None, "none", 0.0, None)
    assert np.isnan([result.max_flexion, result.min_flexion, *result.curve]).all()
    assert np.nanmax(result.tilt_curve) > 0.2
    for rep in result.reps:
        assert rep.measured
        assert rep.signal == "thigh"
        unknown = (rep.peak_flexion, rep.min_flexion, rep.extensor_lag, rep.peak_velocity, rep.smoothness)
        assert np.isnan(unknown).all()


@pytest.mark.parametrize("exercise", ["straight-leg-raise", "long-arc-quad", "sit-to-stand"])
def test_the_tilt_is_that_of_the_leg(exercise: str) -> None:
    motion = LegMotion(exercise, duration_s=60.0, seed=3)
    result = lived(samples(motion, BOTH), exercise)[0].result()
    t = np.asarray(np.arange(int(motion.duration_s * RATE)) / RATE, dtype=np.float64)
    for rep, true in zip(result.reps, motion.truth.reps, strict=True):
        inside = (t >= true.start_s) & (t <= true.end_s)
        ups = [motion.orientation(segment, t[inside]).inv().apply((0.0, 0.0, 1.0)) for segment in SEGMENTS]
        turned = max(float(np.arccos(np.clip(up @ up[0], -1.0, 1.0)).max()) for up in ups)
        assert rep.rom == pytest.approx(turned, abs=math.radians(6.0))


@pytest.mark.parametrize("without", ["thigh", "shank"])
def test_one_sensor_without_a_gyroscope_is_as_none_with_one(without: Segment) -> None:
    motion = LegMotion("heel-slide", duration_s=50.0, seed=4)
    mixed, neither = (lived(samples(motion, one), "heel-slide")[0].result() for one in ((without,), BOTH))
    assert mixed.reps == neither.reps
    assert mixed.flags == neither.flags == (INCLINATION_ONLY,)


def test_a_walk_is_no_repetition() -> None:
    leg = samples(LegMotion("none", duration_s=60.0, seed=5), BOTH)
    for exercise in ("mini-squat", "long-arc-quad", "straight-leg-raise", None):
        result = lived(leg, exercise)[0].result()
        assert result.reps == ()
        assert result.steps > 30


def test_an_exercise_that_nobody_declared_is_counted_without_a_name() -> None:
    motion = LegMotion("heel-slide", duration_s=60.0, seed=3)
    result = lived(samples(motion, BOTH), None)[0].result()
    assert result.exercise == NO_EXERCISE
    assert len(result.reps) == motion.truth.rep_count
    assert set(result.flags) == {INCLINATION_ONLY, "exercise-uncertain"}


def test_the_one_that_is_left_is_counted_alone() -> None:
    motion = LegMotion("long-arc-quad", duration_s=60.0, seed=3)
    session = Session(exercise="long-arc-quad", rate_hz=RATE)
    session.feed("shank", samples(motion, BOTH)["shank"])
    session.finish()
    result = session.result()
    assert len(result.reps) == motion.truth.rep_count
    assert {INCLINATION_ONLY, "only-shank", "no-thigh-samples"} == set(result.flags)


@pytest.fixture(scope="module")
def slides() -> dict[Segment, SampleChunk]:
    return samples(LegMotion("heel-slide", duration_s=30.0, seed=6), BOTH)


def bits(leg: dict[Segment, SampleChunk], sizes: list[int], *, shank_first: bool) -> tuple[str, bytes, bytes]:
    session = Session(exercise="heel-slide", rate_hz=RATE)
    streams = {segment: parts(leg[segment], sizes) for segment in SEGMENTS}
    out: list[KneeAngleChunk | RepEvent] = []
    for k in range(max(map(len, streams.values()))):
        for segment in SEGMENTS[::-1] if shank_first else SEGMENTS:
            out += session.feed(segment, streams[segment][k]) if k < len(streams[segment]) else []
    out += session.finish()
    angles = [one for one in out if isinstance(one, KneeAngleChunk)]
    t, flexion = (np.concatenate([getattr(one, name) for one in angles]) for name in ("t_s", "flexion"))
    return repr(session.result()), t.tobytes(), flexion.tobytes()


@settings(max_examples=12, deadline=None)
@given(sizes=st.lists(st.integers(1, 400), min_size=1, max_size=5), shank_first=st.booleans())
def test_chunks_change_nothing(slides: dict[Segment, SampleChunk], sizes: list[int], *, shank_first: bool) -> None:
    assert bits(slides, sizes, shank_first=shank_first) == bits(slides, [100_000], shank_first=False)


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_mounting_changes_no_count_and_hardly_a_tilt(slides: dict[Segment, SampleChunk], seed: int) -> None:
    turned = {}
    for segment, turn in zip(SEGMENTS, Rotation.random(2, rng=np.random.default_rng(seed)), strict=True):
        one = slides[segment]
        turned[segment] = SampleChunk(turn.apply(one.acc.copy()), one.gyr, one.sensor_s)
    plain, other = (lived(leg, "heel-slide")[0].result().reps for leg in (slides, turned))
    assert len(plain) == len(other)
    for before, after in zip(plain, other, strict=True):
        assert after.rom == pytest.approx(before.rom, abs=1e-6)
        assert after.peak_s == pytest.approx(before.peak_s, abs=1e-3)


def run(acc: FloatArray) -> tuple[FloatArray, FloatArray]:
    told = InclinationFilter(RATE).feed(acc)
    assert np.isnan(told.quat).all()
    return told.up, told.gyr


def test_up_is_where_gravity_pushes_and_turning_is_felt_where_it_is_level() -> None:
    t = np.arange(500) / RATE
    angle = 0.5 * np.sin(0.8 * t)  # about the sensor's x
    acc = 9.8 * np.stack((np.zeros_like(t), np.sin(angle), np.cos(angle)), axis=1)
    up, turning = run(acc)
    assert np.linalg.norm(up, axis=1) == pytest.approx(1.0)
    late = 0.3  # s, both low-passes
    assert np.arctan2(up[50:, 1], up[50:, 2]) == pytest.approx(0.5 * np.sin(0.8 * (t[50:] - late)), abs=0.02)
    assert turning[50:, 0] == pytest.approx(0.4 * np.cos(0.8 * (t[50:] - late)), abs=0.05)
    assert np.abs(turning[:, 1:]).max() < 1e-9


def test_no_force_tells_no_direction_but_the_last() -> None:
    up, turning = run(np.zeros((3, 3)))
    assert np.isfinite(up).all()
    assert not turning.any()


def test_a_rate_is_above_zero() -> None:
    with pytest.raises(ValueError, match="rate_hz"):
        InclinationFilter(0.0)


def test_a_pose_sets_no_zero_and_is_not_asked_for_again(slides: dict[Segment, SampleChunk]) -> None:
    session = Session(exercise="heel-slide", rate_hz=RATE)
    session.pose(0.5, 2.5, 0.0)
    for segment in SEGMENTS:
        session.feed(segment, slides[segment])
    session.finish()
    assert session.result().zero == "none"
    assert session.result().flags == (INCLINATION_ONLY,)
