"""Every exercise on the simulated leg: counted exactly, described as it was done, and told from the others."""

import math
from functools import cache
from statistics import median

import numpy as np
import pytest

from gonio.signal.chunks import RepEvent, SampleChunk, SessionResult
from gonio.signal.consts import EXERCISES, SEGMENTS
from gonio.signal.reps.exercises import RULES
from gonio.signal.session import Session
from gonio.simulators.imu import ImuErrors
from gonio.simulators.leg import LegMotion
from gonio.simulators.leg_exercises import CATALOGUE, Quality

RATE_HZ = 50.0
SECONDS = 44.0


@cache
def motion_of(exercise: str, quality: Quality = "good", seed: int = 1) -> LegMotion:
    return LegMotion(exercise, side="right", duration_s=SECONDS, quality=quality, seed=seed)


@cache
def session(
    done: str, declared: str | None, *, quality: Quality = "good", seed: int = 1, program: tuple[str, ...] = ()
) -> SessionResult:
    motion = motion_of(done, quality, seed)
    t = np.arange(0.0, motion.duration_s, 1.0 / RATE_HZ)
    one = Session(exercise=declared, rate_hz=RATE_HZ, program=program)
    for k, segment in enumerate(SEGMENTS):
        errors = ImuErrors(2 * seed + k + 1, rate_hz=RATE_HZ)
        acc, gyr = errors.around(lambda at, segment=segment: motion.imu(segment, at))(t)  # type: ignore[misc]
        one.feed(segment, SampleChunk(acc, gyr, t))
    one.finish()
    return one.result()


def matched(exercise: str) -> list[tuple[RepEvent, float, float]]:
    """The repetitions found with the start and end (s) of the true one each overlaps."""
    return [
        (rep, true.start_s, true.end_s)
        for true in motion_of(exercise).truth.reps
        for rep in session(exercise, exercise).reps
        if min(rep.end_s, true.end_s) - max(rep.start_s, true.start_s) > 0.3 * (true.end_s - true.start_s)
    ]


#: A quadriceps set turns thigh and shank by a few degrees against each other: its count is marked as faint.
COUNTED = tuple(name for name in EXERCISES if not RULES[name].faint)
#: A standing leg that bends by 40 degrees between holds does not show its knee's axis in a minute, so it
#: is counted by its tilt, which cannot tell the held end from the rest.
BY_TILT = ("terminal-knee-extension",)
BY_ITS_SIGNAL = tuple(name for name in COUNTED if name not in BY_TILT)


@pytest.mark.parametrize("exercise", BY_ITS_SIGNAL)
def test_each_is_counted(exercise: str) -> None:
    result = session(exercise, exercise)
    assert len(result.reps) == motion_of(exercise).truth.rep_count
    assert len(matched(exercise)) == len(result.reps)


@pytest.mark.parametrize("exercise", [name for name in EXERCISES if RULES[name].faint])
def test_a_faint_one_says_that_its_count_is_faint(exercise: str) -> None:
    assert "count-faint" in session(exercise, exercise).flags


@pytest.mark.parametrize("exercise", BY_TILT)
def test_without_an_angle_the_count_is_near_and_says_so(exercise: str) -> None:
    result = session(exercise, exercise)
    assert abs(len(result.reps) - (motion_of(exercise).truth.rep_count or 0)) <= 1
    assert result.calibrated_at_s is not None or "not-calibrated" in result.flags


@pytest.mark.parametrize("exercise", BY_ITS_SIGNAL)
def test_each_is_timed_as_it_was_done(exercise: str) -> None:
    tempo = CATALOGUE[exercise].tempo
    concentric, eccentric = tempo.out_s, tempo.back_s
    if RULES[exercise].concentric == "back":
        concentric, eccentric = eccentric, concentric
    reps = [rep for rep, _, _ in matched(exercise)]
    # a repetition's own pace varies by some 6 %
    assert median(rep.hold_s for rep in reps) == pytest.approx(tempo.hold_s, abs=0.15 + 0.05 * tempo.hold_s)
    assert median(rep.concentric_s for rep in reps) == pytest.approx(concentric, abs=0.25)
    assert median(rep.eccentric_s for rep in reps) == pytest.approx(eccentric, abs=0.35)
    for rep, start_s, end_s in matched(exercise)[1:]:  # the first may be counted by the tilt, before the angle is known
        assert rep.start_s == pytest.approx(start_s, abs=0.45)
        assert rep.end_s == pytest.approx(end_s, abs=0.7)


@pytest.mark.parametrize("exercise", [name for name in COUNTED if RULES[name].signal == "knee"])
def test_the_knee_is_as_fast_and_goes_as_far_as_it_did(exercise: str) -> None:
    motion = motion_of(exercise)
    known = [pair for pair in matched(exercise) if pair[0].signal == "knee" and not math.isnan(pair[0].peak_flexion)]
    if not known:
        assert session(exercise, exercise).flags  # it says why
        return
    for rep, start_s, end_s in known:
        t = np.arange(start_s, end_s, 0.005)
        flexion = motion.flexion(t)
        assert rep.peak_velocity == pytest.approx(np.abs(np.gradient(flexion, 0.005)).max(), rel=0.10)
        assert math.degrees(rep.rom) == pytest.approx(math.degrees(np.ptp(flexion)), abs=5.0)
        assert math.degrees(rep.peak_flexion) == pytest.approx(math.degrees(flexion.max()), abs=8.0)
        assert math.degrees(rep.min_flexion) == pytest.approx(math.degrees(flexion.min()), abs=8.0)


@pytest.mark.parametrize("exercise", COUNTED)
def test_a_smooth_repetition_is_smooth_and_complete(exercise: str) -> None:
    reps = session(exercise, exercise).reps
    assert median(rep.smoothness for rep in reps) > -1.8
    assert all(rep.complete for rep in reps)


@pytest.mark.parametrize("exercise", ["long-arc-quad", "mini-squat", "straight-leg-raise"])
def test_a_jerky_one_is_not(exercise: str) -> None:
    reps = session(exercise, exercise, quality="jerky").reps
    assert median(rep.smoothness for rep in reps) < -2.2


@pytest.mark.parametrize("exercise", ["straight-leg-raise", "straight-leg-raise-side", "straight-leg-raise-prone"])
def test_the_lag_is_told_of_a_raised_leg_or_not_at_all(exercise: str) -> None:
    for rep in session(exercise, exercise).reps:
        if not math.isnan(rep.extensor_lag):
            assert math.degrees(rep.extensor_lag) == pytest.approx(CATALOGUE[exercise].far["knee"], abs=8.0)


@pytest.mark.parametrize("exercise", EXERCISES)
def test_the_right_name_is_never_doubted(exercise: str) -> None:
    assert "other-exercise" not in session(exercise, exercise).flags


@pytest.mark.parametrize("exercise", ["heel-slide", "sit-to-stand", "step-up", "bridge", "straight-leg-raise-prone"])
def test_a_small_one_is_the_same_exercise(exercise: str) -> None:
    assert "other-exercise" not in session(exercise, exercise, quality="low-amplitude").flags


@pytest.mark.parametrize(
    ("done", "declared"),
    [
        ("heel-slide", "long-arc-quad"),
        ("long-arc-quad", "heel-slide"),
        ("long-arc-quad", "mini-squat"),
        ("lunge", "long-arc-quad"),
        ("step-up", "heel-slide"),
        ("straight-leg-raise", "bridge"),
        ("straight-leg-raise-side", "straight-leg-raise"),
    ],
)
def test_another_name_is_doubted(done: str, declared: str) -> None:
    result = session(done, declared)
    assert "other-exercise" in result.flags
    assert result.likeness < 0.2
    assert result.exercise == declared  # it is the therapist who says what it was


@pytest.mark.parametrize(
    "exercise",
    [
        "heel-slide",
        "straight-leg-raise",
        "straight-leg-raise-side",
        "long-arc-quad",
        "bridge",
    ],
)
def test_an_undeclared_one_is_named(exercise: str) -> None:
    result = session(exercise, None)
    assert result.recognised
    assert result.exercise == exercise
    assert "exercise-uncertain" not in result.flags
    assert result.likeness > 0.8


#: Where nothing is declared the upper end of these may be taken for the rest, and then it is a squat by its looks.
SQUAT_FROM_ABOVE = {"step-up": "mini-squat", "sit-to-stand": "mini-squat"}


@pytest.mark.parametrize("exercise", COUNTED)
def test_an_undeclared_one_is_not_named_wrongly_with_confidence(exercise: str) -> None:
    result = session(exercise, None)
    alike = {exercise, *RULES[exercise].covers, *(name for name in EXERCISES if exercise in RULES[name].covers)}
    alike.add(SQUAT_FROM_ABOVE.get(exercise, exercise))
    assert not result.reps or result.exercise in alike or "exercise-uncertain" in result.flags


def test_only_what_is_in_the_program_is_recognised() -> None:
    result = session("long-arc-quad", None, program=("heel-slide", "sit-to-stand", "mini-squat"))
    assert result.exercise in ("heel-slide", "sit-to-stand", "mini-squat")
    assert "exercise-uncertain" in result.flags
