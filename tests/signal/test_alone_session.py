from typing import Final

import numpy as np
import pytest

from gonio.signal.chunks import KneeAngleChunk, RepEvent, SampleChunk
from gonio.signal.consts import FloatArray, Segment
from gonio.signal.session import Session
from gonio.simulators.imu import ImuErrors
from gonio.simulators.leg import LegMotion

RATE: Final = 50.0
TOLD_BY: list[tuple[str, Segment]] = [
    ("straight-leg-raise", "thigh"),
    ("bridge", "thigh"),
    ("sit-to-stand", "thigh"),
    ("mini-squat", "thigh"),
    ("long-arc-quad", "shank"),
    ("heel-slide", "shank"),
    ("hamstring-curl", "shank"),
]


def _samples(motion: LegMotion, segment: Segment, keep: slice = slice(None)) -> SampleChunk:
    t = np.asarray(np.arange(int(motion.duration_s * RATE)) / RATE, dtype=np.float64)
    acc, gyr = ImuErrors(1 + (segment == "shank"), rate_hz=RATE).apply(t, *motion.imu(segment, t))
    return SampleChunk(acc[keep], gyr[keep], t[keep])


@pytest.mark.parametrize(("exercise", "segment"), TOLD_BY)
def test_one_sensor_counts_repetitions_and_tells_no_angle(exercise: str, segment: Segment) -> None:
    motion = LegMotion(exercise, duration_s=70.0, seed=1)
    session = Session(exercise=exercise, rate_hz=RATE)
    out = session.feed(segment, _samples(motion, segment)) + session.finish()
    result = session.result()
    assert motion.truth.rep_count is not None
    assert abs(len(result.reps) - motion.truth.rep_count) <= 1
    assert [one for one in out if isinstance(one, RepEvent)] == list(result.reps)
    assert not any(isinstance(one, KneeAngleChunk) for one in out)
    for rep in result.reps:
        assert rep.signal == "thigh"
        assert rep.measured
        assert rep.rom > 0
        assert np.isnan([rep.peak_flexion, rep.min_flexion, rep.extensor_lag]).all()
    other = "shank" if segment == "thigh" else "thigh"
    assert {f"only-{segment}", f"no-{other}-samples", "not-calibrated"} <= set(result.flags)
    assert np.isnan(result.max_flexion)
    assert result.calibrated_at_s is None
    assert result.start_s == 0
    assert result.end_s == pytest.approx(motion.duration_s, abs=0.1)


def test_without_an_exercise_one_sensor_names_none() -> None:
    motion = LegMotion("long-arc-quad", duration_s=40.0, seed=1)
    session = Session(exercise=None, rate_hz=RATE)
    session.feed("shank", _samples(motion, "shank"))
    assert session.finish() == []
    assert session.result().exercise == "none"
    assert "only-shank" in session.result().flags


def _both(motion: LegMotion, shank: slice, sizes: tuple[int, int]) -> Session:
    session = Session(exercise="long-arc-quad", rate_hz=RATE)
    streams: dict[Segment, SampleChunk] = {
        "thigh": _samples(motion, "thigh", shank),
        "shank": _samples(motion, "shank"),
    }
    done: dict[Segment, int] = {"thigh": 0, "shank": 0}
    while any(done[segment] < len(one) for segment, one in streams.items()):
        for (segment, one), size in zip(streams.items(), sizes, strict=True):
            part = slice(done[segment], done[segment] + size)
            done[segment] = part.stop
            assert one.sensor_s is not None
            if part.start < len(one):
                session.feed(segment, SampleChunk(one.acc[part], one.gyr[part], one.sensor_s[part]))
    session.finish()
    return session


@pytest.fixture(scope="module")
def kicks() -> LegMotion:
    return LegMotion("long-arc-quad", duration_s=110.0, seed=3, walk_s=10.0)


def test_what_comes_after_the_other_sensor_has_gone_is_counted_once(kicks: LegMotion) -> None:
    session = _both(kicks, slice(0, int(70 * RATE)), (10, 10))
    result = session.result()
    assert {"only-shank", "gap"} <= set(result.flags)
    ends: FloatArray = np.array([rep.end_s for rep in result.reps])
    signals = [rep.signal for rep in result.reps]
    assert signals == sorted(signals)  # first by the knee, then by the tilt
    assert {"knee", "thigh"} == set(signals)
    assert (np.diff(ends) > 1).all()
    assert kicks.truth.rep_count is not None
    assert abs(len(result.reps) - kicks.truth.rep_count) <= 1


def test_a_sensor_that_comes_back_leaves_nobody_alone(kicks: LegMotion) -> None:
    keep = np.r_[0 : int(50 * RATE), int(70 * RATE) : int(109 * RATE)]
    session = Session(exercise="long-arc-quad", rate_hz=RATE)
    thigh, shank = _samples(kicks, "thigh"), _samples(kicks, "shank")
    assert thigh.sensor_s is not None
    session.feed("thigh", SampleChunk(thigh.acc[keep], thigh.gyr[keep], thigh.sensor_s[keep]))
    session.feed("shank", shank)
    session.finish()
    assert not {"only-thigh", "only-shank"} & set(session.result().flags)


def test_neither_chunks_nor_their_order_change_what_one_sensor_tells(kicks: LegMotion) -> None:
    gone = slice(0, int(60 * RATE))
    results = [repr(_both(kicks, gone, sizes).result()) for sizes in ((10, 10), (10**6, 10**6), (400, 7))]
    assert results[0] == results[1] == results[2]
