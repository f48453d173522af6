"""The simulated leg does what it was told, knows what it did, and always does the same."""

import itertools
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from gonio.errors import UsageError
from gonio.signal.consts import EXERCISES, NO_EXERCISE, SEGMENTS, Segment, Side
from gonio.simulators.leg import LegMotion
from gonio.simulators.leg_exercises import CATALOGUE, QUALITIES, Quality, Tempo

if TYPE_CHECKING:
    from gonio.simulators.motion import Motion

STRAIGHT: dict[Segment, Rotation] = {"thigh": Rotation.identity(), "shank": Rotation.identity()}


def test_every_exercise_of_the_product_is_there() -> None:
    assert set(CATALOGUE) == set(EXERCISES)


def test_is_a_motion() -> None:
    motion: Motion = LegMotion("quad-set", reps=1)
    assert motion.origin == "simulated"
    assert motion.exercise == "quad-set"
    assert motion.side == "right"


@pytest.mark.parametrize("exercise", EXERCISES)
def test_truth_tells_every_repetition(exercise: str) -> None:
    motion = LegMotion(exercise, reps=4, seed=1, side="left")
    assert motion.truth.rep_count == 4
    assert len(motion.truth.reps) == 4
    last_end_s = 3.0
    flexion_max = -np.inf
    for rep in motion.truth.reps:
        assert last_end_s < rep.start_s < rep.peak_s < rep.end_s <= motion.duration_s
        last_end_s = rep.end_s
        flexion = motion.flexion(np.linspace(rep.start_s, rep.end_s, 4001))
        flexion_max = max(flexion_max, flexion.max())
    assert motion.truth.max_flexion == pytest.approx(flexion_max, abs=1e-4)


@pytest.mark.parametrize("exercise", [name for name in EXERCISES if CATALOGUE[name].signal == "knee"])
def test_repetitions_are_the_knees_excursions(exercise: str) -> None:
    motion = LegMotion(exercise, reps=5, seed=6)
    wanted = CATALOGUE[exercise].range_deg
    for rep in motion.truth.reps:
        start, peak, end = np.degrees(motion.flexion(np.array([rep.start_s, rep.peak_s, rep.end_s])))
        assert abs(peak - start) == pytest.approx(wanted, rel=0.15, abs=1.0)
        assert abs(peak - end) == pytest.approx(wanted, rel=0.15, abs=1.0)
    peaks = motion.flexion(np.array([rep.peak_s for rep in motion.truth.reps]))
    assert np.std(np.degrees(peaks)) > 0.02  # nobody repeats a movement exactly


def test_repetitions_can_be_counted_on_the_flexion_itself() -> None:
    motion = LegMotion.for_seconds("heel-slide", 60.0, seed=9)
    flexion = np.degrees(motion.flexion(np.arange(motion.truth.reps[0].start_s - 1.0, 60.0, 0.01)))
    assert int(np.sum((flexion[:-1] < 50) & (flexion[1:] >= 50))) == motion.truth.rep_count


def test_first_comes_relaxed_standing_with_its_flexion() -> None:
    motion = LegMotion("heel-slide", reps=1, seed=3, standing_s=6.0, standing_flexion_deg=8.0)
    flexion = np.degrees(motion.flexion(np.linspace(0.0, 6.0, 300)))
    assert np.median(flexion) == pytest.approx(8.0, abs=1.0)
    assert np.ptp(flexion) < 4.0
    hip = motion.bones(np.linspace(0.0, 6.0, 300)).hip_m
    assert 0.005 < np.linalg.norm(hip - hip[0], axis=1).max() < 0.10  # sways and shifts its weight, stays in place


@pytest.mark.parametrize("exercise", EXERCISES)
def test_fills_a_time_with_whole_repetitions(exercise: str) -> None:
    seconds = 45.0
    motion = LegMotion.for_seconds(exercise, seconds, seed=21)
    assert motion.duration_s == seconds
    reps = motion.truth.reps
    assert len(reps) >= 2
    assert reps[-1].end_s <= seconds - 0.9
    assert seconds - reps[-1].end_s < 1.6 * CATALOGUE[exercise].tempo.total_s  # no room for another was left


def test_range_and_tempo_are_those_asked_for() -> None:
    motion = LegMotion("long-arc-quad", reps=6, seed=4, range_deg=50.0, tempo=Tempo(3.0, 5.0, 3.0, 1.0))
    lasting = [rep.end_s - rep.start_s for rep in motion.truth.reps]
    assert np.mean(lasting) == pytest.approx(11.0, rel=0.1)
    reached = [np.ptp(np.degrees(motion.flexion(np.array([rep.start_s, rep.peak_s])))) for rep in motion.truth.reps]
    assert np.mean(reached) == pytest.approx(50.0, rel=0.05)


def _excursions(quality: Quality) -> tuple[float, float, float]:
    """Give mean excursion, duration and jerkiness (sign changes of the acceleration) of a repetition."""
    motion = LegMotion("heel-slide", reps=6, seed=10, quality=quality)
    excursion, lasting, changes = [], [], []
    for rep in motion.truth.reps:
        t_s = np.arange(rep.start_s, rep.peak_s, 0.02)
        flexion = np.degrees(motion.flexion(t_s))
        speed = np.gradient(flexion, t_s)
        excursion.append(flexion[-1] - flexion[0])
        lasting.append(rep.end_s - rep.start_s)
        changes.append(np.sum(np.diff(np.sign(np.diff(speed[np.abs(speed) > 2.0]))) != 0))
    return float(np.mean(excursion)), float(np.mean(lasting)), float(np.mean(changes))


def test_qualities_differ_as_their_names_say() -> None:
    good, low, fast, jerky, partial = (_excursions(quality) for quality in QUALITIES)
    assert low[0] < 0.55 * good[0]
    assert fast[1] < 0.6 * good[1]
    assert jerky[2] > good[2] + 3
    assert 0.4 * good[0] < partial[0] < 0.9 * good[0]


def test_partial_repetitions_do_not_come_back_fully() -> None:
    motion = LegMotion("heel-slide", reps=6, seed=10, quality="partial")
    ends = np.degrees(motion.flexion(np.array([rep.end_s for rep in motion.truth.reps])))
    assert np.median(ends) > 9.0


def test_walk_before_the_exercise_shifts_everything_behind_it() -> None:
    motion = LegMotion("long-arc-quad", reps=2, seed=4, walk_s=12.0)
    t_s = np.arange(4.5, 14.0, 0.01)
    assert np.degrees(motion.flexion(t_s)).max() > 50
    assert motion.truth.reps[0].start_s > 18.0
    assert motion.truth.rep_count == 2


def test_nothing_is_counted_in_a_walk() -> None:
    motion = LegMotion(NO_EXERCISE, duration_s=30.0)
    assert motion.truth.rep_count == 0
    assert motion.truth.reps == ()
    assert motion.duration_s == 30.0


@pytest.mark.parametrize("exercise", ["heel-slide", "straight-leg-raise-side", "lunge", NO_EXERCISE])
def test_left_leg_is_the_right_ones_mirror_image(exercise: str) -> None:
    right, left = (
        LegMotion(exercise, duration_s=30.0, seed=14, side=side, mounting=STRAIGHT) for side in ("right", "left")
    )
    t_s = np.arange(0.0, 30.0, 0.013)
    assert left.truth == right.truth
    for segment in SEGMENTS:
        acc_right, gyr_right = right.imu(segment, t_s)
        acc_left, gyr_left = left.imu(segment, t_s)
        assert acc_left == pytest.approx(acc_right * (1, -1, 1), abs=1e-7)
        assert gyr_left == pytest.approx(gyr_right * (-1, 1, -1), abs=1e-7)


@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 2**32), segment=st.sampled_from(SEGMENTS))
def test_mounting_only_turns_the_signals(seed: int, segment: Segment) -> None:
    straight = LegMotion("mini-squat", reps=1, seed=seed, mounting=STRAIGHT)
    strapped = LegMotion("mini-squat", reps=1, seed=seed)
    t_s = np.linspace(0.0, straight.duration_s, 500)
    for plain, turned in zip(straight.imu(segment, t_s), strapped.imu(segment, t_s), strict=True):
        assert strapped.mounting[segment].apply(turned) == pytest.approx(plain, abs=1e-9)


def test_mountings_are_spread_over_all_rotations() -> None:
    brief = Tempo(0.3, 0.0, 0.3, 0.0)
    mounts = [
        LegMotion("mini-squat", reps=1, seed=seed, standing_s=0.0, rest_s=0.0, tempo=brief).mounting["thigh"]
        for seed in range(24)
    ]
    directions = np.array([mount.apply((0.0, 0.0, 1.0)) for mount in mounts])
    assert np.linalg.norm(directions.mean(axis=0)) < 0.5
    assert np.linalg.eigvalsh(directions.T @ directions / len(directions)).min() > 0.12


@settings(max_examples=8, deadline=None)
@given(
    exercise=st.sampled_from((*EXERCISES, NO_EXERCISE)),
    side=st.sampled_from(("left", "right")),
    quality=st.sampled_from(QUALITIES),
    seed=st.integers(0, 2**32),
    cuts=st.lists(st.integers(0, 400), max_size=8),
)
def test_same_arguments_same_motion_in_whatever_pieces(
    exercise: str, side: Side, quality: Quality, seed: int, cuts: list[int]
) -> None:
    one, two = (
        LegMotion(exercise, side=side, duration_s=33.0, quality=quality, seed=seed, rest_s=0.5) for _ in range(2)
    )
    t_s = np.arange(400) / 12.1
    edges = [0, *sorted(cuts), 400]
    for segment in SEGMENTS:
        whole = np.hstack(one.imu(segment, t_s))
        assert np.isfinite(whole).all()
        pieces = [np.hstack(two.imu(segment, t_s[a:b])) for a, b in itertools.pairwise(edges)]
        assert np.array_equal(np.concatenate(pieces), whole)
    assert np.array_equal(one.flexion(t_s), two.flexion(t_s))
    assert one.truth == two.truth


def test_another_seed_is_another_motion() -> None:
    one, two = (LegMotion("heel-slide", reps=2, seed=seed) for seed in (1, 2))
    assert one.truth != two.truth


def test_moments_outside_are_held_at_the_ends() -> None:
    motion = LegMotion("quad-set", reps=1)
    inside = motion.imu("thigh", np.array([0.0, motion.duration_s]))
    outside = motion.imu("thigh", np.array([-1.0, motion.duration_s + 1.0]))
    assert np.array_equal(inside[0], outside[0])


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"exercise": "push-up"}, "no exercise 'push-up'"),
        ({"exercise": "heel-slide", "duration_s": 8.0}, "too short"),
        ({"exercise": "heel-slide", "reps": 20, "duration_s": 30.0}, "too short"),
        ({"exercise": "none", "duration_s": 5.0}, "too short"),
        ({"exercise": "heel-slide", "range_deg": 170.0}, "beyond a leg"),
        ({"exercise": "heel-slide", "range_deg": -5.0}, "beyond a leg"),
        ({"exercise": "heel-slide", "range_deg": float("nan")}, "beyond a leg"),
        ({"exercise": "heel-slide", "reps": 0}, "at least one"),
        ({"exercise": "heel-slide", "walk_s": 1.0}, "a walk takes"),
        ({"exercise": "heel-slide", "standing_flexion_deg": 90.0}, "a knee stands at"),
        ({"exercise": "heel-slide", "soft_tissue": float("nan")}, "soft tissue is"),
        ({"exercise": "heel-slide", "seed": -1}, "a seed is"),
        ({"exercise": "heel-slide", "standing_s": -1.0}, "between 0 and"),
        ({"exercise": "heel-slide", "duration_s": float("nan")}, "between 0 and"),
        ({"exercise": "heel-slide", "duration_s": 1e9}, "between 0 and"),
    ],
)
def test_says_what_cannot_be_done(arguments: dict[str, float | str], text: str) -> None:
    with pytest.raises(UsageError, match=text):
        LegMotion(**arguments)  # type: ignore[arg-type]  # as a command line would give them


@pytest.mark.parametrize("parts", [(0.0, 1.0, 1.0, 1.0), (1.0, -1.0, 1.0, 1.0), (1.0, 1.0, float("nan"), 1.0)])
def test_refuses_a_tempo_nobody_keeps(parts: tuple[float, float, float, float]) -> None:
    with pytest.raises(UsageError, match="a tempo has"):
        Tempo(*parts)
