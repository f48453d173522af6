"""A recording as a motion."""

import os
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gonio import recording
from gonio.errors import UsageError
from gonio.recording import Recording, RecordingMeta, RepSpan, SetSpan, Truth
from gonio.signal.chunks import SampleChunk
from gonio.simulators.replay import RecordingMotion

if TYPE_CHECKING:
    from gonio.simulators.motion import Motion

DATA = Path(os.environ.get("GONIO_DATA", Path(__file__).parents[2].parent / "shared" / "data"))


def samples(begin_s: float, count: int, slope: float = 1.0) -> SampleChunk:
    t_s = begin_s + np.arange(count) / 50.0
    line = slope * t_s[:, None] * np.arange(1.0, 4.0)
    return SampleChunk(line, -line, sensor_s=t_s)


def made(**parts: object) -> Recording:
    fields: dict[str, object] = {
        "meta": RecordingMeta(50.0, "left", "heel-slide"),
        "thigh": samples(10.0, 500),
        "shank": samples(10.1, 600),
    }
    return Recording(**(fields | parts))  # type: ignore[arg-type]  # parts by name


def test_plays_what_both_sensors_saw() -> None:
    motion: Motion = RecordingMotion(made())
    assert motion.origin == "recording"
    assert motion.exercise == "heel-slide"
    assert motion.side == "left"
    assert motion.duration_s == pytest.approx(9.98 - 0.1)
    t_s = np.array([0.0, 0.013, 3.3, motion.duration_s])
    for segment in ("thigh", "shank"):
        acc, gyr = motion.imu(segment, t_s)  # lines stay lines under interpolation
        assert acc == pytest.approx((t_s[:, None] + 10.1) * np.arange(1.0, 4.0))
        assert gyr == pytest.approx(-acc)


def test_a_rig_has_no_side_and_plays_as_right() -> None:
    assert RecordingMotion(made(meta=RecordingMeta(50.0))).side == "right"


def test_sets_and_reference_are_the_truth() -> None:
    at = 10.0 + np.arange(500) / 50.0
    flexion = np.radians(40.0 + 5.0 * (at - 10.0))
    valid = (at < 17.0) | (at > 17.5)
    flexion[300] = np.nan  # marker lost
    valid[300] = False
    parts = {"truth": Truth(at, flexion, valid), "sets": (SetSpan(11.0, 14.0, 3), SetSpan(15.0, 18.0, 4))}
    motion = RecordingMotion(made(**parts))
    assert motion.truth.rep_count == 7
    assert motion.truth.max_flexion == pytest.approx(np.radians(80.0), abs=0.01)
    shown = np.degrees(motion.flexion(np.array([0.0, 4.0, 5.9, 7.0, 8.9, 50.0])))
    assert shown[[0, 1, 4]] == pytest.approx([40.5, 60.5, 85.0])
    assert np.isnan(shown[[2, 3, 5]]).all()


def test_repetitions_move_with_the_beginning() -> None:
    at = 10.0 + np.arange(500) / 50.0
    truth = Truth(at, np.exp(-((at - 13.0) ** 2)), np.ones(500, dtype=np.bool_))
    motion = RecordingMotion(made(truth=truth, reps=(RepSpan(12.0, 14.0), RepSpan(15.0, 19.0))))
    assert motion.truth.rep_count == 2
    rep = motion.truth.reps[0]
    assert (rep.start_s, rep.peak_s, rep.end_s) == pytest.approx((1.9, 2.9, 3.9), abs=0.021)


def test_without_reference_nothing_is_claimed() -> None:
    motion = RecordingMotion(made(reps=(RepSpan(12.0, 14.0),)))
    assert motion.truth.max_flexion is None
    assert motion.truth.rep_count == 1
    assert np.isnan(motion.truth.reps[0].peak_s)
    assert np.isnan(motion.flexion(np.array([1.0]))).all()
    assert RecordingMotion(made()).truth.rep_count is None


def test_arrivals_bring_both_sensors_onto_one_clock() -> None:
    host_s = np.arange(1500) / 50.0
    chunks = []
    for offset_s, ppm in ((100.0, 40.0), (-3.0, -40.0)):
        own_s = host_s * (1 + ppm * 1e-6) + offset_s
        wave = np.sin(2 * np.pi * 0.5 * host_s)[:, None] * np.ones(3)
        late = host_s + 0.02 + 0.01 * np.abs(np.sin(37.0 * np.arange(1500)))
        chunks.append(SampleChunk(wave, wave, own_s, np.maximum.accumulate(late)))
    motion = RecordingMotion(made(thigh=chunks[0], shank=chunks[1]))
    t_s = np.arange(2.0, 25.0, 0.1)
    thigh, shank = motion.imu("thigh", t_s)[0], motion.imu("shank", t_s)[0]
    assert np.abs(thigh - shank).max() < 0.03  # 10 ms of difference would be 0.03


@settings(max_examples=30, deadline=None)
@given(cuts=st.lists(st.integers(0, 200), max_size=8))
def test_same_in_whatever_pieces(cuts: list[int]) -> None:
    motion = RecordingMotion(made())
    t_s = np.arange(200) / 23.0
    whole = np.hstack(motion.imu("shank", t_s))
    edges = [0, *sorted(cuts), 200]
    pieces = [np.hstack(motion.imu("shank", t_s[a:b])) for a, b in pairwise(edges)]
    assert np.array_equal(np.concatenate(pieces), whole)


def test_refuses_sensors_that_share_no_time() -> None:
    with pytest.raises(UsageError, match="share no time"):
        RecordingMotion(made(shank=samples(100.0, 50)))
    with pytest.raises(UsageError, match="has no samples"):
        RecordingMotion(made(shank=SampleChunk(np.empty((0, 3)), np.empty((0, 3)), np.empty(0))))


def test_a_persons_bends_are_played_with_their_optical_truth() -> None:
    folder = DATA / "bends-left-first-100s"
    if not folder.is_dir():
        pytest.skip(f"needs the recording {folder}")
    motion = RecordingMotion(recording.read(folder))
    assert (motion.exercise, motion.side, motion.truth.rep_count) == ("mini-squat", "left", 10)
    assert motion.truth.max_flexion == pytest.approx(np.radians(92.5), abs=0.01)
    t_s = np.arange(0.0, motion.duration_s, 1 / 60.0)
    for segment in ("thigh", "shank"):
        acc, gyr = motion.imu(segment, t_s)
        assert np.median(np.linalg.norm(acc, axis=1)) == pytest.approx(9.8, abs=0.3)
        assert np.abs(gyr).max() < 15.0
