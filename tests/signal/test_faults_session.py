from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import pytest

from gonio.signal.chunks import KneeAngleChunk, RepEvent, SampleChunk, SessionResult
from gonio.signal.consts import SEGMENTS, BoolArray, FloatArray, Segment
from gonio.signal.session import GRID_HZ, Session
from gonio.simulators.imu import ImuErrors
from gonio.simulators.leg import LegMotion

RATE: Final = 50.0
#: Changes specific force (n, 3) and angular velocity (n, 3) in place.
Break = Callable[[FloatArray, FloatArray], None]


@dataclass(frozen=True)
class Told:
    t: FloatArray
    off: FloatArray  # absolute error of the angle, degrees
    ok: BoolArray
    result: SessionResult


def _told(
    motion: LegMotion,
    broken: dict[Segment, Break],
    *,
    part: tuple[float, float] = (0.0, np.inf),
    rate_hz: float = RATE,
    named_hz: float | None = None,
    exercise: str | None = "mini-squat",
) -> Told:
    t = np.asarray(np.arange(int(motion.duration_s * rate_hz)) / rate_hz, dtype=np.float64)
    during = (t >= part[0]) & (t < part[1])
    session = Session(exercise=exercise, rate_hz=named_hz or rate_hz)
    out: list[KneeAngleChunk | RepEvent] = []
    for k, segment in enumerate(SEGMENTS):
        acc, gyr = ImuErrors(k, rate_hz=rate_hz).apply(t, *motion.imu(segment, t))
        if segment in broken:
            one, other = acc[during], gyr[during]
            broken[segment](one, other)
            acc[during], gyr[during] = one, other
        out += session.feed(segment, SampleChunk(acc, gyr, t))
    out += session.finish()
    angle = [one for one in out if isinstance(one, KneeAngleChunk)]
    if not angle:
        return Told(np.empty(0), np.empty(0), np.empty(0, dtype=np.bool_), session.result())
    times = np.concatenate([one.t_s for one in angle])
    off = np.abs(np.degrees(np.concatenate([one.flexion for one in angle]) - motion.flexion(times)))
    return Told(times, off, np.concatenate([one.ok for one in angle]), session.result())


@pytest.fixture(scope="module")
def squats() -> LegMotion:
    return LegMotion("mini-squat", duration_s=70.0, seed=2, walk_s=8.0)


def _dead_gyroscope(acc: FloatArray, gyr: FloatArray) -> None:
    gyr[:] = 0.0


def _stuck(acc: FloatArray, gyr: FloatArray) -> None:
    gyr[:, 1] = gyr[0, 1]


def _in_g(acc: FloatArray, gyr: FloatArray) -> None:
    acc /= 9.80665


def _in_degrees(acc: FloatArray, gyr: FloatArray) -> None:
    gyr *= 180 / np.pi


def _no_gyroscope(acc: FloatArray, gyr: FloatArray) -> None:
    gyr[:] = np.nan


def _nothing(acc: FloatArray, gyr: FloatArray) -> None:
    acc[:] = gyr[:] = 0.0


FAULTS: dict[str, Break] = {
    "gyroscope-dead": _dead_gyroscope,
    "axis-stuck": _stuck,
    "units": _in_g,
    "accelerometer-dead": _nothing,
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_from_the_beginning_leaves_no_angle_and_a_flag(squats: LegMotion, fault: str) -> None:
    told = _told(squats, {"thigh": FAULTS[fault]})
    assert not told.ok.any()
    assert f"thigh-{fault}" in told.result.flags
    assert np.isnan(told.result.max_flexion)
    assert all(rep.signal == "thigh" and np.isnan(rep.peak_flexion) for rep in told.result.reps)


def test_a_sensor_without_a_gyroscope_leaves_no_angle(squats: LegMotion) -> None:
    told = _told(squats, {"thigh": _no_gyroscope})
    assert not told.ok.any()
    assert "inclination-only" in told.result.flags
    assert "thigh-gyroscope-dead" not in told.result.flags


def test_a_gyroscope_that_ceases_to_tell_anything_is_dead(squats: LegMotion) -> None:
    t = np.asarray(np.arange(int(squats.duration_s * RATE)) / RATE, dtype=np.float64)
    session = Session(exercise="mini-squat", rate_hz=RATE)
    half = len(t) // 2
    for part in (slice(0, half), slice(half, None)):
        for segment in SEGMENTS:
            acc, gyr = squats.imu(segment, t)
            if part.start and segment == "thigh":
                gyr = np.full_like(gyr, np.nan)
            session.feed(segment, SampleChunk(acc[part], gyr[part], t[part]))
    session.finish()
    assert "thigh-gyroscope-dead" in session.result().flags
    assert "inclination-only" not in session.result().flags


@pytest.mark.parametrize("fault", FAULTS)
def test_while_a_fault_lasts_nothing_is_measured_and_then_it_goes_on(squats: LegMotion, fault: str) -> None:
    told = _told(squats, {"thigh": FAULTS[fault]}, part=(45.0, 55.0))
    assert f"thigh-{fault}" in told.result.flags
    known = (told.t > 35) & (told.t < 45)
    assert told.ok[known].all()
    lasting = (told.t > 48) & (told.t < 55)
    assert not told.ok[lasting].any()
    assert (told.off[told.ok] > 10).sum() == 0
    assert told.ok[told.t > 61].all()
    assert all(not rep.measured for rep in told.result.reps if 47 < rep.peak_s < 54)


def test_wrong_units_of_the_gyroscope_leave_no_angle(squats: LegMotion) -> None:
    told = _told(squats, {"shank": _in_degrees, "thigh": _in_degrees})
    assert not told.ok.any()
    assert {"thigh-units", "shank-units"} <= set(told.result.flags)


def test_a_slow_stream_has_no_angle() -> None:
    told = _told(LegMotion("mini-squat", duration_s=40.0, seed=2), {}, rate_hz=5.0)
    assert not told.ok.any()
    assert {"thigh-too-slow", "shank-too-slow"} <= set(told.result.flags)


def test_a_fast_stream_is_put_on_a_slower_grid_and_loses_nothing() -> None:
    motion = LegMotion("mini-squat", duration_s=40.0, seed=2, walk_s=8.0)
    told = _told(motion, {}, rate_hz=400.0)
    assert np.allclose(np.diff(told.t), 1 / GRID_HZ)
    assert told.off[told.ok].max() < 6
    assert len(told.result.reps) == motion.truth.rep_count
    assert [one.rate_hz for one in told.result.defects] == pytest.approx([400, 400], rel=1e-3)


@pytest.mark.parametrize("real_hz", [25.0, 100.0])
def test_a_rate_named_wrong_by_two_is_flagged_and_works(real_hz: float) -> None:
    motion = LegMotion("mini-squat", duration_s=40.0, seed=2, walk_s=8.0)
    told = _told(motion, {}, rate_hz=real_hz, named_hz=50.0)
    assert {"thigh-rate-off", "shank-rate-off"} <= set(told.result.flags)
    assert told.off[told.ok].max() < 6
    assert len(told.result.reps) == motion.truth.rep_count
    assert [one.lost for one in told.result.defects] == [0, 0]
    assert [one.rate_hz for one in told.result.defects] == pytest.approx([real_hz, real_hz], rel=1e-3)


def test_one_sensor_that_does_not_move_while_the_other_does_is_flagged() -> None:
    motion = LegMotion("heel-slide", duration_s=90.0, seed=2)

    def left_behind(acc: FloatArray, gyr: FloatArray) -> None:
        rng = np.random.default_rng(1)
        acc[:] = rng.normal((0.2, 0.1, 9.8), 0.02, acc.shape)
        gyr[:] = rng.normal(0, 0.002, gyr.shape)

    flags = _told(motion, {"thigh": left_behind}, exercise="heel-slide").result.flags
    assert "thigh-not-moving" in flags
    assert "thigh-not-moving" not in _told(motion, {}, exercise="heel-slide").result.flags


def test_the_silence_at_the_end_has_a_length() -> None:
    motion = LegMotion("mini-squat", duration_s=40.0, seed=2)
    t = np.asarray(np.arange(int(40 * RATE)) / RATE, dtype=np.float64)
    session = Session(exercise="mini-squat", rate_hz=RATE)
    session.feed("thigh", SampleChunk(*motion.imu("thigh", t), t))
    session.feed("shank", SampleChunk(*motion.imu("shank", t[:1000]), t[:1000]))
    session.finish()
    thigh, shank = session.result().defects
    assert (thigh.gaps, shank.gaps) == (0, 1)
    assert shank.longest_gap_s == pytest.approx(20, abs=0.05)
