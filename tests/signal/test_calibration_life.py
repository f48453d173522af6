"""A calibration from its proposal to its end, on the simulated leg: stored ones, guided poses, sensors that move."""

import csv
import gzip
import math
import os
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from gonio.signal.chain import KneeChain
from gonio.signal.chunks import AlignedChunk, KneeAngleChunk, SessionResult
from gonio.signal.consts import BoolArray, FloatArray, Segment
from gonio.signal.knee.stored import StoredCalibration
from gonio.simulators.leg import LegMotion

RATE_HZ = 60.0
#: What says that the sensors do not sit as they should, and must never be said without reason.
MOVED = {"sensor-moved", "sensors-exchanged", "other-leg", "stored-calibration-dropped"}
DATA = Path(os.environ.get("GONIO_DATA", Path(__file__).parents[3] / "shared" / "data"))


@dataclass(frozen=True)
class Signals:
    t: FloatArray
    thigh: FloatArray  # (n, 6) specific force and angular velocity
    shank: FloatArray
    flexion: FloatArray


@cache
def signals(exercise: str, seed: int, mounting: int, seconds: float = 40.0, standing_s: float = 3.0) -> Signals:
    """Simulate; ``mounting`` says how the sensors sit, and which they are."""
    seats = Rotation.random(2, rng=np.random.default_rng((mounting, 1)))
    motion = LegMotion(
        exercise,
        duration_s=seconds,
        seed=seed,
        standing_s=standing_s,
        mounting={"thigh": seats[0], "shank": seats[1]},
    )
    rng = np.random.default_rng(mounting)
    t = np.arange(0, motion.duration_s, 1 / RATE_HZ)
    felt: dict[Segment, FloatArray] = {}
    for segment in ("thigh", "shank"):
        six = np.hstack(motion.imu(segment, t))
        bias = rng.normal(0, 1, 6) * np.repeat((0.05, 0.01), 3)
        felt[segment] = six + bias + rng.normal(0, 1, six.shape) * np.repeat((0.03, 0.003), 3)
    return Signals(t, felt["thigh"], felt["shank"], motion.flexion(t))


@dataclass(frozen=True)
class Session:
    result: SessionResult
    flexion: FloatArray
    ok: BoolArray


Pose = tuple[float, float, float]


def run(
    s: Signals,
    exercise: str | None,
    *,
    stored: StoredCalibration | None = None,
    poses: tuple[Pose, ...] = (),
    size: int = 600,
    rate_hz: float = RATE_HZ,
) -> Session:
    chain = KneeChain(rate_hz, exercise=exercise, stored=stored)
    for start_s, end_s, flexion in poses:
        chain.pose(start_s, end_s, flexion)
    out = []
    for first in range(0, len(s.t), size):
        part = slice(first, first + size)
        parts = (s.t[part], s.thigh[part, :3], s.thigh[part, 3:], s.shank[part, :3], s.shank[part, 3:])
        t, *columns = (np.ascontiguousarray(v) for v in parts)
        acc1, gyr1, acc2, gyr2 = columns
        out += chain.feed(AlignedChunk(t, acc1, gyr1, acc2, gyr2, np.ones(len(t), dtype=np.bool_)))
    out += chain.finish()
    angles = [o for o in out if isinstance(o, KneeAngleChunk)]
    return Session(
        chain.result(()), np.concatenate([a.flexion for a in angles]), np.concatenate([a.ok for a in angles])
    )


def worst(session: Session, s: Signals) -> float:
    """Give the largest error in degrees where the angle was ok; 0 where it never was."""
    return float(np.degrees(np.abs(session.flexion - s.flexion)[session.ok]).max(initial=0.0))


def turned(six: FloatArray, how: Rotation) -> FloatArray:
    return np.hstack((how.apply(six[:, :3]), how.apply(six[:, 3:])))


def remounted(s: Signals, segment: Segment, how: Rotation, at_s: float, seconds: float) -> Signals:
    """Turn a sensor on its segment: in somebody's hand for some seconds, wandering and shaking, then it stays so."""
    six = s.thigh if segment == "thigh" else s.shank
    since = np.clip((s.t - at_s) / seconds, 0.0, 1.0)
    wander = np.array((0.9, -0.7, 0.8)) * np.sin(np.pi * since[:, None] * (2.0, 3.0, 4.0)) * (since < 1)[:, None]
    path = Rotation.from_rotvec(wander) * Rotation.from_rotvec(how.as_rotvec() * since[:, None])
    turning = np.zeros_like(six[:, 3:])
    turning[1:-1] = (path[2:] * path[:-2].inv()).as_rotvec() * (RATE_HZ / 2.0)
    handled = (since > 0) & (since < 1)
    shake = np.random.default_rng(5).normal(0.0, 1.0, (len(s.t), 3)) * handled[:, None]
    new = np.hstack((path.apply(six[:, :3]) + shake, path.apply(six[:, 3:]) - turning))
    return replace(s, thigh=new) if segment == "thigh" else replace(s, shank=new)


@cache
def kept(exercise: str, mounting: int) -> StoredCalibration:
    found = run(signals(exercise, mounting, mounting), exercise).result.calibration
    assert found is not None
    assert found.zero == "standing"
    return found


def about(axis: tuple[float, float, float], degrees: float) -> Rotation:
    return Rotation.from_rotvec(np.radians(degrees) * np.asarray(axis))


# --- stored calibrations ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("exercise", ["heel-slide", "long-arc-quad", "straight-leg-raise", "bridge"])
def test_a_stored_calibration_is_taken_up_sooner_than_learning_ends(exercise: str) -> None:
    s = signals(exercise, 101, 1, standing_s=0.0)
    fresh, again = run(s, exercise), run(s, exercise, stored=kept("heel-slide", 1))
    assert again.result.calibrated_at_s is not None
    assert again.result.calibrated_at_s < 11.0
    assert fresh.result.calibrated_at_s is None or again.result.calibrated_at_s < fresh.result.calibrated_at_s
    assert worst(again, s) < 10.0
    assert not MOVED & set(again.result.flags)


def test_its_zero_is_named_where_nobody_stood() -> None:
    s = signals("long-arc-quad", 101, 1, standing_s=0.0)
    result = run(s, "long-arc-quad", stored=kept("heel-slide", 1)).result
    assert result.zero == "stored"
    assert "no-standing" in result.flags
    assert "zero-assumed" not in result.flags
    assert result.calibration is not None
    assert result.calibration.zero == "standing"  # what is kept on says where it came from first


@pytest.mark.parametrize("degrees", [-15.0, 12.0])
@pytest.mark.parametrize("segment", ["thigh", "shank"])
def test_a_slip_about_the_axis_is_made_good_by_standing(segment: Segment, degrees: float) -> None:
    stored, s = kept("heel-slide", 1), signals("mini-squat", 101, 1)
    axis = stored.thigh if segment == "thigh" else stored.shank
    six = turned(s.thigh if segment == "thigh" else s.shank, about(axis, degrees))
    slipped = replace(s, thigh=six) if segment == "thigh" else replace(s, shank=six)
    session = run(slipped, "mini-squat", stored=stored)
    assert session.result.zero == "standing"
    assert worst(session, s) < 10.0


@pytest.mark.parametrize("exercise", ["heel-slide", "bridge", "none"])
@pytest.mark.parametrize("degrees", [40.0, 180.0])
@pytest.mark.parametrize("segment", ["thigh", "shank"])
def test_a_sensor_strapped_on_otherwise_makes_no_wrong_angle(exercise: str, degrees: float, segment: Segment) -> None:
    rng = np.random.default_rng(int(degrees))
    way = rng.normal(size=3)
    s = signals(exercise, 101, 1)
    six = turned(s.thigh if segment == "thigh" else s.shank, about(tuple(way / np.linalg.norm(way)), degrees))
    session = run(
        replace(s, thigh=six) if segment == "thigh" else replace(s, shank=six), exercise, stored=kept("heel-slide", 1)
    )
    assert worst(session, s) < 10.0
    assert session.result.zero != "stored"


def test_both_sensors_on_the_other_side_are_named() -> None:
    stored, s = kept("heel-slide", 1), signals("heel-slide", 101, 1)
    first = slice(0, 60)  # upright: specific force points up
    round_thigh, round_shank = (
        about(tuple(up / np.linalg.norm(up)), 180.0) for up in (s.thigh[first, :3].mean(0), s.shank[first, :3].mean(0))
    )
    session = run(
        replace(s, thigh=turned(s.thigh, round_thigh), shank=turned(s.shank, round_shank)), "heel-slide", stored=stored
    )
    assert {"other-leg", "stored-calibration-dropped"} <= set(session.result.flags)
    assert worst(session, s) < 10.0


# --- poses ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("deg", [0.0, 20.0])
def test_a_pose_sets_the_zero(deg: float) -> None:
    s = signals("heel-slide", 3, 3)
    session = run(s, "heel-slide", poses=((0.5, 2.5, math.radians(deg)),))
    assert session.result.zero == "pose"
    stood = float(np.degrees(s.flexion[30:150].mean()))
    off = np.degrees(session.flexion - s.flexion)[session.ok]
    assert off.mean() == pytest.approx(deg - stood, abs=2.5)


def test_moving_into_a_pose_and_out_of_it_is_no_part_of_it() -> None:
    s = signals("heel-slide", 3, 3)
    whole = run(s, "heel-slide", poses=((0.5, 2.5, 0.0),))
    late = run(s, "heel-slide", poses=((0.5, 4.0, 0.0),))  # lies down from 3 s on
    assert late.result.zero == "pose"
    assert float(np.degrees(np.nanmax(np.abs(whole.flexion - late.flexion)))) < 1.0


def test_a_pose_in_which_the_leg_moved_is_refused() -> None:
    s = signals("heel-slide", 3, 3)
    session = run(s, "heel-slide", poses=((20.0, 24.0, 0.0),))
    assert "pose-moved" in session.result.flags
    assert session.result.zero != "pose"


def test_a_pose_nobody_was_there_for_is_named() -> None:
    s = signals("heel-slide", 3, 3)
    late = replace(s, t=s.t + 100.0)
    assert "pose-missed" in run(late, "heel-slide", poses=((99.0, 101.0, 0.0),)).result.flags


def test_a_later_pose_corrects_the_zero_from_then_on() -> None:
    s = signals("long-arc-quad", 3, 3, 60.0)
    still = np.flatnonzero(np.abs(np.convolve(np.gradient(s.flexion), np.ones(90) / 90, "same")) < 1e-5)
    at = float(s.t[still[still > 1800][0]])
    before, after = run(s, "long-arc-quad"), run(s, "long-arc-quad", poses=((at - 0.5, at + 0.5, math.radians(70)),))
    assert after.result.zero == "pose"
    changed = np.flatnonzero(np.nan_to_num(before.flexion) != np.nan_to_num(after.flexion))
    assert at < s.t[changed[0]] < at + 6.0
    held = float(np.degrees(s.flexion[int(at * RATE_HZ)]))
    assert np.degrees(after.flexion - s.flexion)[-300:].mean() == pytest.approx(70.0 - held, abs=2.5)


@pytest.mark.parametrize("pose", [(2.0, 1.0, 0.0), (0.0, 100.0, 0.0), (math.nan, 1.0, 0.0), (0.0, 1.0, 4.0)])
def test_a_pose_that_cannot_be_is_refused(pose: Pose) -> None:
    with pytest.raises(ValueError, match=r"pose|flexion"):
        KneeChain(RATE_HZ, exercise=None).pose(*pose)


# --- sensors that move ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("exercise", "segment", "axis"),
    [
        ("heel-slide", "thigh", (0.3, 1.0, 0.5)),
        ("mini-squat", "shank", (0.3, 1.0, 0.5)),
        ("long-arc-quad", "thigh", (0.3, 1.0, 0.5)),
        ("sit-to-stand", "shank", (1.0, 0.2, 0.0)),
        ("bridge", "shank", (1.0, 0.2, 0.0)),
    ],
)
def test_a_sensor_turned_before_the_first_calibration_is_not_averaged_over(
    exercise: str, segment: Segment, axis: tuple[float, float, float]
) -> None:
    s = remounted(signals(exercise, 7, 7, 90.0), segment, about(axis, 70.0), 5.0, 1.5)
    assert worst(run(s, exercise), s) < 10.0


def test_what_was_before_a_sensor_was_turned_is_forgotten_once_it_does_not_fit() -> None:
    s = remounted(signals("sit-to-stand", 7, 7, 90.0), "shank", about((1.0, 0.2, 0.0), 70.0), 5.0, 1.5)
    session = run(s, "sit-to-stand")
    assert session.ok[s.t > 60].mean() > 0.9
    assert session.result.zero == "standing"


def slipped(s: Signals, segment: Segment, mounting: int, degrees: float, at_s: float, seconds: float) -> Signals:
    """Turn a sensor about the knee's own axis, as a strap slips."""
    seat = Rotation.random(2, rng=np.random.default_rng((mounting, 1)))[0 if segment == "thigh" else 1]
    six = s.thigh if segment == "thigh" else s.shank
    since = np.clip((s.t - at_s) / seconds, 0.0, 1.0)
    share = since * since * (3.0 - 2.0 * since)
    path = Rotation.from_rotvec(np.radians(degrees) * share[:, None] * seat.inv().apply((0.0, 1.0, 0.0)))
    turning = np.zeros_like(six[:, 3:])
    turning[1:-1] = (path[2:] * path[:-2].inv()).as_rotvec() * (RATE_HZ / 2.0)
    new = np.hstack((path.apply(six[:, :3]), path.apply(six[:, 3:]) - turning))
    return replace(s, thigh=new) if segment == "thigh" else replace(s, shank=new)


@pytest.mark.parametrize("exercise", ["heel-slide", "long-arc-quad", "short-arc-quad"])
@pytest.mark.parametrize(("segment", "degrees"), [("thigh", 35.0), ("thigh", -35.0), ("shank", 25.0), ("shank", -25.0)])
def test_a_sensor_turned_about_the_knees_own_axis_is_found_by_the_repetitions(
    exercise: str, segment: Segment, degrees: float
) -> None:
    s = signals(exercise, 104, 4, 90.0)
    session = run(slipped(s, segment, 4, degrees, 40.0, 1.5), exercise)
    assert session.ok[(s.t > 35) & (s.t < 40)].all()
    assert "sensor-moved" in session.result.flags
    wrong = session.ok & (np.degrees(np.abs(session.flexion - s.flexion)) > 10.0)
    assert not wrong[s.t > 60].any()


@pytest.mark.parametrize("exercise", ["heel-slide", "long-arc-quad", "bridge", "straight-leg-raise"])
@pytest.mark.parametrize(("segment", "degrees"), [("thigh", 50.0), ("shank", 120.0)])
def test_a_sensor_turned_in_mid_session_ends_the_trust_at_once(exercise: str, segment: Segment, degrees: float) -> None:
    s = signals(exercise, 104, 4, 60.0)
    moved = remounted(s, segment, about((0.6, 0.0, 0.8), degrees), 40.0, 4.0)
    session = run(moved, exercise)
    assert session.ok[(s.t > 35) & (s.t < 40)].all()
    after = session.ok & (s.t > 40)
    wrong = after & (np.degrees(np.abs(session.flexion - s.flexion)) > 10.0)
    assert wrong.sum() / RATE_HZ < 2.5
    assert not (wrong & (s.t > 44.0)).any()


def test_the_axis_is_learnt_anew_after_that() -> None:
    s = signals("sit-to-stand", 104, 4, 120.0)
    session = run(remounted(s, "shank", about((0.6, 0.0, 0.8), 60.0), 60.0, 4.0), "sit-to-stand")
    assert "sensor-moved" in session.result.flags
    assert session.ok[-600:].all()
    assert float(np.degrees(np.abs(session.flexion - s.flexion))[-600:].max()) < 10.0


@pytest.mark.parametrize("exercise", ["heel-slide", "long-arc-quad", "sit-to-stand", "lunge", "bridge", "none"])
def test_exchanged_sensors_are_named_and_not_believed(exercise: str) -> None:
    s = signals(exercise, 105, 5)
    session = run(replace(s, thigh=s.shank, shank=s.thigh), exercise)
    assert "sensors-exchanged" in session.result.flags
    assert not session.ok.any()
    assert session.result.calibration is None


@pytest.mark.parametrize(
    "exercise",
    ["heel-slide", "straight-leg-raise", "long-arc-quad", "sit-to-stand", "lunge", "step-up", "bridge", "none"],
)
def test_nothing_is_said_of_sensors_that_sit_still(exercise: str) -> None:
    for declared in (exercise, None):
        assert not MOVED & set(run(signals(exercise, 106, 6), declared).result.flags)


def recordings() -> list[str]:
    return sorted(p.parent.name for p in DATA.glob("*/recording.toml"))


@pytest.mark.skipif(not recordings(), reason="no recordings under GONIO_DATA or ../shared/data")
def test_nothing_is_said_in_the_recordings() -> None:
    for name in recordings():
        meta = tomllib.loads((DATA / name / "recording.toml").read_text())
        tables = []
        for segment in ("thigh", "shank"):
            with gzip.open(DATA / name / f"{segment}.csv.gz", "rt") as file:
                tables.append(np.array([[float(v) for v in row] for row in list(csv.reader(file))[1:]]))
        n = min(*(len(table) for table in tables), int(100 * meta["rate_hz"]))
        s = Signals(tables[0][:n, 0], tables[0][:n, 1:7], tables[1][:n, 1:7], np.zeros(n))
        assert not MOVED & set(run(s, meta.get("exercise"), rate_hz=meta["rate_hz"]).result.flags), name


# --- the law of chunks ------------------------------------------------------------------------------------------------


def _plain(s: Signals) -> Signals:
    return s


def _moved(s: Signals) -> Signals:
    return remounted(s, "thigh", about((0.0, 0.6, 0.8), 70.0), 20.0, 3.0)


@pytest.mark.parametrize("change", [_plain, _moved])
def test_chunks_change_nothing(change: Callable[[Signals], Signals]) -> None:
    s = change(signals("heel-slide", 101, 1, standing_s=0.0))
    pose = ((26.0, 27.0, 0.3),)
    whole, pieces = (run(s, "heel-slide", stored=kept("heel-slide", 1), poses=pose, size=size) for size in (2400, 7))
    assert np.array_equal(whole.ok, pieces.ok)
    assert np.array_equal(whole.flexion, pieces.flexion, equal_nan=True)
    assert whole.result.flags == pieces.result.flags
