"""The chain on the simulated leg: what it finds, and that it says when it does not know."""

import math

import numpy as np
import pytest

from gonio.signal.chain import KneeChain
from gonio.signal.chunks import AlignedChunk, KneeAngleChunk, RepEvent, SessionResult
from gonio.signal.curve import Curve
from gonio.simulators.leg import LegMotion
from gonio.simulators.leg_exercises import Quality

RATE_HZ = 60.0


def feed(
    motion: LegMotion, exercise: str | None, *, gap: tuple[float, float] | None = None, seed: int = 0
) -> tuple[list[KneeAngleChunk], list[RepEvent], SessionResult]:
    rng = np.random.default_rng(seed)
    t = np.arange(0, motion.duration_s, 1 / RATE_HZ)
    clean = (*motion.imu("thigh", t), *motion.imu("shank", t))
    noise, bias = (0.03, 0.003, 0.03, 0.003), (0.05, 0.01, 0.05, 0.01)  # m/s² and rad/s in turn
    signals = [
        x + rng.normal(0, sd, x.shape) + rng.normal(0, off, 3) for x, sd, off in zip(clean, noise, bias, strict=True)
    ]
    measured = np.ones(len(t), dtype=np.bool_)
    if gap is not None:
        measured[(t >= gap[0]) & (t < gap[1])] = False
    chain = KneeChain(RATE_HZ, exercise=exercise)
    out = chain.feed(AlignedChunk(t, signals[0], signals[1], signals[2], signals[3], measured)) + chain.finish()
    angles = [o for o in out if isinstance(o, KneeAngleChunk)]
    return angles, [o for o in out if isinstance(o, RepEvent)], chain.result(())


@pytest.mark.parametrize(
    "exercise",
    [
        "heel-slide",
        "mini-squat",
        "long-arc-quad",
        "sit-to-stand",
        "straight-leg-raise",
        "lunge",
        "step-up",
        "hamstring-curl",
    ],
)
def test_the_simulated_exercise_is_counted(exercise: str) -> None:
    motion = LegMotion.for_seconds(exercise, 60, seed=4)
    _, reps, result = feed(motion, exercise)
    assert len(reps) == motion.truth.rep_count
    assert result.reps == tuple(reps)
    assert result.exercise == exercise
    assert not result.recognised


@pytest.mark.parametrize("seed", range(3))
def test_heel_slides_are_as_deep_as_they_were(seed: int) -> None:
    motion = LegMotion.for_seconds("heel-slide", 60, seed=seed)
    angles, reps, result = feed(motion, "heel-slide")
    assert motion.truth.max_flexion is not None
    assert math.degrees(result.max_flexion) == pytest.approx(math.degrees(motion.truth.max_flexion), abs=3.0)
    for rep, true in zip(reps, motion.truth.reps, strict=True):
        assert min(rep.end_s, true.end_s) - max(rep.start_s, true.start_s) > 0.3 * (rep.end_s - rep.start_s)
    flexion = np.concatenate([a.flexion for a in angles])
    ok = np.concatenate([a.ok for a in angles])
    t = np.concatenate([a.t_s for a in angles])
    assert ok[-600:].all()
    assert np.degrees(np.abs(flexion - motion.flexion(t))[-600:]).max() < 5.0


@pytest.mark.parametrize("exercise", ["heel-slide", "sit-to-stand", "straight-leg-raise", "long-arc-quad", "bridge"])
@pytest.mark.parametrize("seed", [1, 5])
def test_standing_still_for_three_seconds_sets_the_zero(exercise: str, seed: int) -> None:
    *_, result = feed(LegMotion.for_seconds(exercise, 40, seed=seed), exercise)
    assert result.zero == "standing"
    assert not {"no-standing", "zero-assumed"} & set(result.flags)


@pytest.mark.parametrize("seed", [0, 2, 5])
@pytest.mark.parametrize("exercise", ["heel-slide", "straight-leg-raise-side", "straight-leg-raise-prone", "quad-set"])
def test_what_is_ok_is_not_far_off(exercise: str, seed: int) -> None:
    motion = LegMotion.for_seconds(exercise, 45, seed=seed)
    angles, _, _ = feed(motion, exercise)
    for angle in angles:
        wrong = np.degrees(np.abs(angle.flexion - motion.flexion(angle.t_s)))[angle.ok]
        assert wrong.max(initial=0.0) < 10.0


@pytest.mark.parametrize(("exercise", "quality"), [("step-up", "jerky"), ("mini-squat", "fast")])
def test_jerky_and_fast_repetitions_do_not_turn_the_angle_round(exercise: str, quality: Quality) -> None:
    motion = LegMotion(exercise, duration_s=45, quality=quality, seed=15)
    angles, _, _ = feed(motion, exercise)
    for angle in angles:
        wrong = np.degrees(np.abs(angle.flexion - motion.flexion(angle.t_s)))[angle.ok]
        assert wrong.max(initial=0.0) < 12.0


@pytest.mark.parametrize("seed", [2, 3])
def test_without_an_angle_the_tilt_of_the_leg_is_counted(seed: int) -> None:
    motion = LegMotion.for_seconds("terminal-knee-extension", 60, seed=seed)
    _, reps, result = feed(motion, "terminal-knee-extension")
    assert result.calibrated_at_s is None
    assert "not-calibrated" in result.flags
    assert len(reps) == len(result.reps) == motion.truth.rep_count
    assert all(math.isnan(rep.peak_flexion) and rep.signal == "thigh" for rep in reps)


def test_the_step_is_not_part_of_stepping_up() -> None:
    motion = LegMotion.for_seconds("step-up", 40, seed=2)
    *_, result = feed(motion, "step-up")
    assert motion.truth.max_flexion is not None
    assert math.degrees(result.max_flexion) == pytest.approx(math.degrees(motion.truth.max_flexion), abs=3.0)


def test_the_curve_is_empty_where_the_grid_leaps() -> None:
    curve = Curve()
    curve.feed([0.0, 0.25, 0.5, 20.0, 20.25], [1.0, 1.1, 1.2, 2.0, 2.1])
    step_s, points = curve.points()
    known = {k * step_s: point for k, point in enumerate(points) if not math.isnan(point)}
    assert {0.0: 1.0, 0.25: 1.1, 0.5: 1.2, 20.0: 2.0, 20.25: 2.1}.items() <= known.items()
    assert all(t <= 0.5 or t > 19.0 for t in known)


def test_a_walk_is_no_exercise() -> None:
    motion = LegMotion("none", duration_s=60.0, seed=2)
    _, reps, result = feed(motion, None)
    assert reps == []
    assert (result.exercise, result.recognised) == ("none", True)


def test_before_calibration_the_angle_says_that_it_does_not_know() -> None:
    motion = LegMotion.for_seconds("heel-slide", 40, seed=1)
    angles, _, result = feed(motion, "heel-slide")
    assert result.calibrated_at_s is not None
    for angle in angles:
        early = angle.t_s <= result.calibrated_at_s
        assert not angle.ok[early].any()
        assert np.isnan(angle.flexion[early]).all()


def test_stillness_calibrates_nothing() -> None:
    n = 1200
    acc, gyr = np.tile((0.0, 0.0, 9.81), (n, 1)), np.zeros((n, 3))
    chain = KneeChain(50.0, exercise="heel-slide")
    chunk = AlignedChunk(np.arange(n) / 50.0, acc, gyr, acc, gyr, np.ones(n, dtype=np.bool_))
    out = [*chain.feed(chunk), *chain.finish()]
    result = chain.result(())
    assert not any(isinstance(o, RepEvent) or o.ok.any() for o in out)
    assert (result.zero, result.calibrated_at_s, result.ok_fraction) == ("none", None, 0.0)
    assert "not-calibrated" in result.flags
    assert math.isnan(result.max_flexion)


def test_a_gap_is_not_ok_and_spoils_its_repetition_only() -> None:
    motion = LegMotion.for_seconds("heel-slide", 60, seed=1)
    middle = motion.truth.reps[3].peak_s
    angles, reps, result = feed(motion, "heel-slide", gap=(middle - 0.4, middle + 0.4))
    ok = np.concatenate([a.ok for a in angles])
    t = np.concatenate([a.t_s for a in angles])
    assert not ok[(t >= middle - 0.4) & (t < middle + 0.4)].any()
    assert "gap" in result.flags
    assert [rep.measured for rep in reps].count(False) == 1


def test_an_empty_session_has_an_empty_result() -> None:
    chain = KneeChain(60.0, exercise=None)
    assert chain.finish() == []
    result = chain.result(())
    assert (result.exercise, result.reps, result.curve) == ("none", (), ())
    assert math.isnan(result.start_s)


def test_an_unknown_exercise_is_refused() -> None:
    with pytest.raises(ValueError, match="there is no exercise"):
        KneeChain(60.0, exercise="jump")


def test_the_curve_stays_small() -> None:
    motion = LegMotion.for_seconds("heel-slide", 120, seed=3)
    *_, result = feed(motion, "heel-slide")
    assert 150 < len(result.curve) <= 301
    assert result.curve_step_s == 0.5
    at = round(100 / result.curve_step_s)
    assert math.degrees(result.curve[at]) == pytest.approx(math.degrees(motion.flexion(np.array([100.0]))[0]), abs=6.0)
