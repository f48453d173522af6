"""Recognition on postures made from the declarations, and what may not change it."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from gonio.signal.consts import EXERCISES, RepSignal
from gonio.signal.knee.tracker import KneeFrame, plane
from gonio.signal.reps.exercises import RULES, ExerciseRule
from gonio.signal.reps.recognise import Features, Look, features, judge, likeness, most_like, turned

FRAME = KneeFrame(np.array((0.0, 1.0, 0.0)), np.array((0.6, 0.8, 0.0)), 0.4, -0.7)


def up(axis_up: np.ndarray, angle_deg: float, aside: float) -> list[float]:
    first, second = plane(axis_up)
    angle = math.radians(angle_deg)
    flat = math.sqrt(1.0 - aside * aside)
    x, y, z = (flat * (math.cos(angle) * first + math.sin(angle) * second) + aside * axis_up).tolist()
    return [x, y, z]


def ups(thigh: float, knee: float, aside: float = 0.0) -> tuple[list[float], list[float]]:
    """ "Up" in both sensors for the thigh's inclination and the flexion, degrees."""
    one = math.degrees(FRAME.upright) - thigh
    two = one + knee + math.degrees(FRAME.straight)
    return up(FRAME.thigh, one, aside), up(FRAME.shank, two, aside)


def look(rule: ExerciseRule, share: float = 1.0) -> Look:
    """A repetition in the middle of a declaration, a share of its full turn."""
    thigh, knee = (sum(span) / 2 for span in (rule.rest[0].thigh, rule.rest[0].knee))
    turn = rule.turn or (-1.5, 4.5)
    if rule.rest[0].aside:
        return Look(ups(0.0, knee, 0.97), ups(0.0, knee, 0.97 - 0.4 * share), rule.signal)
    far = ups(thigh + share * turn[0], knee + share * (turn[0] - turn[1]))
    return Look(ups(thigh, knee), far, rule.signal)


def alike(name: str) -> set[str]:
    return {name, *RULES[name].covers, *(other for other in EXERCISES if name in RULES[other].covers)}


def test_a_posture_is_read_as_it_was_made() -> None:
    (seen,) = features([Look(ups(85.0, 90.0), ups(88.0, 8.0), "knee")], FRAME, assumed=False)
    assert seen.thigh == pytest.approx(85.0)
    assert seen.knee == pytest.approx(90.0)
    assert seen.thigh_turn == pytest.approx(3.0)
    assert seen.shank_turn == pytest.approx(85.0)
    back = turned(seen)
    assert back.thigh == pytest.approx(88.0)
    assert back.knee == pytest.approx(8.0)


@pytest.mark.parametrize("share", [0.5, 1.0])
@pytest.mark.parametrize("exercise", EXERCISES)
def test_each_declaration_fits_itself_best(exercise: str, share: float) -> None:
    (seen,) = features([look(RULES[exercise], share)], FRAME, assumed=False)
    assert likeness(exercise, seen) > 0.8
    shares = most_like(seen)
    assert max(shares, key=shares.__getitem__) == exercise
    assert sum(shares.values()) < 1.0


@pytest.mark.parametrize("exercise", EXERCISES)
def test_no_right_name_is_doubted_whatever_is_known(exercise: str) -> None:
    looks = [look(RULES[exercise], share) for share in (1.0, 0.8, 0.4, 0.9)]
    for frame, assumed in ((FRAME, False), (FRAME, True), (None, False)):
        assert not judge(exercise, looks, frame, assumed=assumed).other


@pytest.mark.parametrize("done", EXERCISES)
@pytest.mark.parametrize("declared", EXERCISES)
def test_another_name_is_doubted_only_where_it_does_not_fit(done: str, declared: str) -> None:
    verdict = judge(declared, [look(RULES[done])] * 3, FRAME, assumed=False)
    if verdict.other:
        assert verdict.likeness < 0.1
        assert declared not in alike(done) or done not in RULES[declared].covers
    clear = {("heel-slide", "long-arc-quad"), ("long-arc-quad", "sit-to-stand"), ("mini-squat", "hamstring-curl")}
    if (done, declared) in clear:
        assert verdict.other


def test_two_repetitions_accuse_nobody() -> None:
    looks = [look(RULES["heel-slide"])] * 2
    assert not judge("long-arc-quad", looks, FRAME, assumed=False).other
    assert judge("long-arc-quad", looks * 2, FRAME, assumed=False).other


def test_without_a_frame_the_raises_of_a_straight_leg_are_one() -> None:
    (seen,) = features([look(RULES["straight-leg-raise"])], None, assumed=False)
    raises = [name for name in EXERCISES if name.startswith("straight")]
    assert all(likeness(name, seen) > 0.999 for name in raises)
    assert max(most_like(seen).values()) < 0.5
    (swinging,) = features([look(RULES["long-arc-quad"])], None, assumed=False)
    assert likeness("straight-leg-raise", swinging) < 0.2


def test_without_repetitions_nothing_is_said() -> None:
    verdict = judge("heel-slide", [], FRAME, assumed=False)
    assert (verdict.name, verdict.other) == ("heel-slide", False)
    assert math.isnan(verdict.likeness)
    assert judge(None, [], None, assumed=False).name == "none"


def test_a_program_leaves_only_its_own() -> None:
    (seen,) = features([look(RULES["long-arc-quad"])], FRAME, assumed=False)
    assert set(most_like(seen, ("heel-slide", "bridge"))) == {"heel-slide", "bridge"}


@settings(max_examples=40, deadline=None)
@given(
    exercise=st.sampled_from(EXERCISES),
    turns=st.tuples(st.integers(0, 2**31), st.integers(0, 2**31)),
    known=st.booleans(),
)
def test_it_does_not_matter_how_the_sensors_sit(exercise: str, turns: tuple[int, int], known: bool) -> None:  # noqa: FBT001
    mounts = [Rotation.random(rng=np.random.default_rng(seed)) for seed in turns]
    one = look(RULES[exercise])
    rest, far = ((mounts[0].apply(pair[0]).tolist(), mounts[1].apply(pair[1]).tolist()) for pair in (one.rest, one.far))
    thigh, shank = mounts[0].apply(FRAME.thigh), mounts[1].apply(FRAME.shank)
    # the zeros belong to a basis that turns with the axis: take them over by one posture
    (plain,) = features([one], FRAME, assumed=False)
    frame = KneeFrame(thigh, shank, 0.0, 0.0)
    (raw,) = features([Look(rest, far, one.signal)], frame, assumed=False)
    frame = KneeFrame(thigh, shank, math.radians(raw.knee - plain.knee), math.radians(plain.thigh - raw.thigh))
    if math.isnan(frame.upright):
        frame = KneeFrame(thigh, shank, 0.0, 0.0)
    (seen,) = features([Look(rest, far, one.signal)], frame if known else None, assumed=False)
    (expected,) = features([one], FRAME if known else None, assumed=False)
    for name in EXERCISES:
        assert likeness(name, seen) == pytest.approx(likeness(name, expected), abs=1e-6)


@settings(max_examples=200, deadline=None)
@given(
    thigh=st.floats(-180.0, 180.0) | st.just(math.nan),
    knee=st.floats(-30.0, 160.0) | st.just(math.nan),
    aside=st.floats(0.0, 1.0) | st.just(math.nan),
    turns=st.tuples(st.floats(-170.0, 170.0), st.floats(-170.0, 170.0)),
    signal=st.sampled_from(["knee", "thigh"]),
)
def test_likeness_and_shares_are_shares(
    thigh: float, knee: float, aside: float, turns: tuple[float, float], signal: RepSignal
) -> None:
    seen = Features(thigh, knee, 15.0, aside, *turns, signed=not math.isnan(aside), signal=signal)
    assert all(0.0 <= likeness(name, seen) <= 1.0 for name in EXERCISES)
    shares = most_like(seen)
    assert all(0.0 <= share < 1.0 for share in shares.values())
    assert sum(shares.values()) < 1.0
