"""What the angle aims at: its error on recordings and simulated legs, and no angle where it cannot be known."""

import gzip
import os
import tomllib
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from gonio.signal.chain import KneeChain
from gonio.signal.chunks import AlignedChunk, KneeAngleChunk, SessionResult
from gonio.signal.consts import BoolArray, FloatArray
from gonio.simulators.imu import ImuErrors
from gonio.simulators.leg import LegMotion
from gonio.simulators.leg_exercises import Quality

DATA = Path(os.environ.get("GONIO_DATA", Path(__file__).parents[2].parent / "shared" / "data"))
RATE_HZ = 60.0


def read(path: Path) -> FloatArray:
    with gzip.open(path, "rt") as file:
        return np.loadtxt(file, delimiter=",", skiprows=1)


def recording(name: str) -> tuple[FloatArray, FloatArray, float]:
    folder = DATA / name
    if not folder.exists():
        pytest.skip(f"no recording at {folder}")
    thigh, shank = read(folder / "thigh.csv.gz"), read(folder / "shank.csv.gz")
    n = min(len(thigh), len(shank))
    return thigh[:n], shank[:n], float(tomllib.loads((folder / "recording.toml").read_text())["rate_hz"])


def follow(
    thigh: FloatArray, shank: FloatArray, rate_hz: float, exercise: str | None
) -> tuple[FloatArray, BoolArray, SessionResult]:
    """Give flexion in degrees, ok and the result for arrays (n, 7): time, specific force, angular velocity."""
    chain = KneeChain(rate_hz, exercise=exercise)
    t, acc1, gyr1, acc2, gyr2 = (
        np.ascontiguousarray(x) for x in (thigh[:, 0], thigh[:, 1:4], thigh[:, 4:], shank[:, 1:4], shank[:, 4:])
    )
    chunk = AlignedChunk(t, acc1, gyr1, acc2, gyr2, np.ones(len(t), dtype=np.bool_))
    out = [*chain.feed(chunk), *chain.finish()]
    angles = [o for o in out if isinstance(o, KneeAngleChunk)]
    flexion, ok = np.concatenate([a.flexion for a in angles]), np.concatenate([a.ok for a in angles])
    return np.degrees(flexion), ok, chain.result(())


def worn(motion: LegMotion, seed: int) -> tuple[FloatArray, FloatArray]:
    """Give what two real sensors on a simulated leg show, as ``follow`` takes it."""
    t = np.arange(0, motion.duration_s, 1 / RATE_HZ)
    shown = []
    for k, segment in enumerate(("thigh", "shank")):
        errors = ImuErrors(2 * seed + k + 1, rate_hz=100.0)
        acc, gyr = errors.apply(t, *motion.imu("thigh" if segment == "thigh" else "shank", t))
        shown.append(np.column_stack((t, acc, gyr)))
    return shown[0], shown[1]


def simulated(
    motion: LegMotion, exercise: str | None, seed: int
) -> tuple[FloatArray, FloatArray, BoolArray, SessionResult]:
    """Give the flexion found and the true one in degrees, ok and the result."""
    thigh, shank = worn(motion, seed)
    flexion, ok, result = follow(thigh, shank, RATE_HZ, exercise)
    return flexion, np.degrees(motion.flexion(thigh[:, 0])), ok, result


def wrapped(degrees: FloatArray) -> FloatArray:
    return np.asarray((degrees + 180.0) % 360.0 - 180.0)


def rms(degrees: FloatArray) -> float:
    return float(np.sqrt(np.mean(degrees * degrees)))


@pytest.mark.parametrize(
    ("name", "exercise", "offset_free", "own_zero"),
    [
        ("bends-left-first-100s", "mini-squat", 1.2, 3.0),
        ("cutting-right", None, 1.3, None),
        ("hinge-rig-02", None, 1.2, None),
        ("hinge-rig-03", None, 1.2, None),
    ],
)
def test_a_recording_is_followed_within_a_minute(
    name: str, exercise: str | None, offset_free: float, own_zero: float | None
) -> None:
    thigh, shank, rate_hz = recording(name)
    truth = read(DATA / name / "truth.csv.gz")
    flexion, ok, result = follow(thigh, shank, rate_hz, exercise)
    assert result.calibrated_at_s is not None
    assert result.calibrated_at_s - thigh[0, 0] <= 60.0
    n = min(len(flexion), len(truth))
    use = ok[:n] & (truth[:n, 2] > 0)
    assert use.sum() > 20 * rate_hz
    errors = []
    for sign in (1.0, -1.0) if name.startswith("hinge") else (1.0,):  # a rig has no flexion
        gap = np.radians(flexion[:n] - sign * truth[:n, 1])[use]
        errors.append(rms(wrapped(np.degrees(gap - np.angle(np.exp(1j * gap).mean())))))
    assert min(errors) <= offset_free
    if own_zero is not None:
        assert rms(wrapped(flexion[:n] - truth[:n, 1])[use]) <= own_zero


@pytest.mark.parametrize(
    ("exercise", "quality", "seed", "standing_s", "walk_s"),
    [
        ("step-up", "fast", 15, 3.0, 0.0),  # was turned round
        ("step-up", "fast", 15, 0.0, 0.0),
        ("step-up", "good", 0, 0.0, 15.0),
        ("step-up", "low-amplitude", 3, 0.0, 0.0),
        ("step-up", "low-amplitude", 6, 0.0, 0.0),
        ("lunge", "fast", 15, 0.0, 0.0),
        ("mini-squat", "jerky", 3, 0.0, 0.0),
        ("mini-squat", "low-amplitude", 3, 0.0, 0.0),
        ("mini-squat", "fast", 1, 3.0, 0.0),
        ("terminal-knee-extension", "jerky", 3, 3.0, 0.0),
        ("terminal-knee-extension", "good", 0, 0.0, 15.0),
        ("long-arc-quad", "low-amplitude", 15, 0.0, 0.0),
        ("sit-to-stand", "low-amplitude", 2, 0.0, 0.0),
        ("hamstring-curl", "jerky", 1, 0.0, 0.0),
        ("straight-leg-raise-side", "good", 3, 3.0, 0.0),
    ],
)
def test_what_is_ok_is_never_far_off(
    exercise: str, quality: Quality, seed: int, standing_s: float, walk_s: float
) -> None:
    motion = LegMotion(
        exercise, duration_s=60, quality=quality, seed=seed, standing_s=standing_s, walk_s=walk_s,
        side="left" if seed % 2 else "right",
    )  # fmt: skip
    flexion, true, ok, _ = simulated(motion, exercise, seed)
    assert np.abs(flexion - true)[ok].max(initial=0.0) < 10.0


@pytest.mark.parametrize(
    ("exercise", "declared", "quality", "seed", "standing_s", "standing_flexion_deg"),
    [
        ("straight-leg-raise-prone", False, "good", 21, 3.0, 3.0),  # the arms claimed both senses in turn
        ("straight-leg-raise-prone", False, "fast", 21, 0.0, 3.0),
        ("terminal-knee-extension", True, "fast", 20, 3.0, 10.0),  # straightened from a soft stand
    ],
)
def test_grounds_that_come_out_both_ways_show_nothing(
    exercise: str, *, declared: bool, quality: Quality, seed: int, standing_s: float, standing_flexion_deg: float
) -> None:
    motion = LegMotion(
        exercise, duration_s=60, quality=quality, seed=seed, standing_s=standing_s,
        standing_flexion_deg=standing_flexion_deg, side="left" if seed % 2 else "right",
    )  # fmt: skip
    flexion, true, ok, _ = simulated(motion, exercise if declared else None, seed)
    assert np.abs(flexion - true)[ok].max(initial=0.0) < 10.0


@pytest.mark.parametrize("seed", [20, 21, 22, 23])
@pytest.mark.parametrize("standing_s", [0.0, 3.0])
def test_arms_of_which_one_could_stand_for_the_other_tell_no_sense(seed: int, standing_s: float) -> None:
    motion = LegMotion("mini-squat", duration_s=60, quality="fast", seed=seed, standing_s=standing_s)
    flexion, true, ok, _ = simulated(motion, "terminal-knee-extension", seed)
    assert np.abs(flexion - true)[ok].max(initial=0.0) < 10.0


@pytest.mark.parametrize("exercise", ["heel-slide", "mini-squat", "step-up", "sit-to-stand", "long-arc-quad"])
def test_with_a_stand_before_it_an_exercise_is_known(exercise: str) -> None:
    flexion, true, ok, _ = simulated(LegMotion(exercise, duration_s=60, seed=2), exercise, 2)
    assert ok.mean() > 0.5
    assert rms((flexion - true)[ok]) < 4.0


@pytest.mark.parametrize("exercise", ["heel-slide", "long-arc-quad"])
def test_nothing_drifts_in_five_minutes_of_lying_or_sitting(exercise: str) -> None:
    motion = LegMotion(exercise, reps=4, rest_s=280.0, seed=3)
    flexion, true, ok, _ = simulated(motion, exercise, 3)
    rest = slice(-int(275 * RATE_HZ), None)
    assert ok[rest].all()
    gap = (flexion - true)[rest]
    assert abs(gap[: int(20 * RATE_HZ)].mean() - gap[-int(20 * RATE_HZ) :].mean()) < 0.5


def test_a_knee_that_goes_beyond_straight_is_negative() -> None:
    motion = LegMotion("long-arc-quad", range_deg=97.0, duration_s=60, walk_s=8.0, seed=4)
    flexion, true, ok, result = simulated(motion, "long-arc-quad", 4)
    assert true.min() < -7.0
    assert np.degrees(result.min_flexion) < -3.0
    assert np.abs(flexion - true)[ok].max() < 6.0


@pytest.mark.parametrize("seed", range(3))
def test_the_mounting_changes_nothing_on_a_simulated_leg(seed: int) -> None:
    thigh, shank = worn(LegMotion("heel-slide", duration_s=40, seed=6), 6)
    plain, ok, _ = follow(thigh, shank, RATE_HZ, "heel-slide")
    turns = Rotation.random(2, rng=np.random.default_rng(seed))
    other = [
        np.column_stack((data[:, 0], turn.apply(data[:, 1:4]), turn.apply(data[:, 4:])))
        for data, turn in zip((thigh, shank), turns, strict=True)
    ]
    turned, also_ok, _ = follow(other[0], other[1], RATE_HZ, "heel-slide")
    np.testing.assert_array_equal(ok, also_ok)
    assert ok.any()
    assert np.abs(plain - turned)[ok].max() <= 0.2


def test_sensors_on_two_people_are_no_knee() -> None:
    one, other = worn(LegMotion("none", duration_s=45, seed=1), 1), worn(LegMotion("lunge", duration_s=45, seed=8), 8)
    _, ok, result = follow(one[0], other[1], RATE_HZ, None)
    assert not ok.any()
    assert "not-calibrated" in result.flags


@pytest.mark.parametrize("exercise", [None, "mini-squat"])
def test_two_recorded_people_are_no_knee(exercise: str | None) -> None:
    thigh, _, rate_hz = recording("gait-sub01-csbaseline-r")
    _, shank, _ = recording("gait-sub03-csbaseline-r")
    n = min(len(thigh), len(shank))
    _, ok, result = follow(thigh[:n], shank[:n], rate_hz, exercise)
    assert not ok.any()
    assert "not-a-hinge" in result.flags


@pytest.mark.parametrize("exercise", [None, "mini-squat"])
def test_two_sensors_on_one_segment_are_named(exercise: str | None) -> None:
    thigh, _ = worn(LegMotion("none", duration_s=45, seed=5), 5)
    turn = Rotation.random(rng=np.random.default_rng(1))
    noise = np.random.default_rng(2).normal(0.0, 0.01, (len(thigh), 6))
    other = np.column_stack((thigh[:, 0], turn.apply(thigh[:, 1:4]), turn.apply(thigh[:, 4:])))
    other[:, 1:] += noise
    _, ok, result = follow(thigh, other, RATE_HZ, exercise)
    assert not ok.any()
    assert "same-segment" in result.flags


def test_a_straight_leg_is_not_taken_for_one_segment() -> None:
    thigh, shank, rate_hz = recording("pt-s1-e4-exercise")
    _, _, result = follow(thigh, shank, rate_hz, "straight-leg-raise-side")
    assert "same-segment" not in result.flags
    assert "not-a-hinge" not in result.flags
