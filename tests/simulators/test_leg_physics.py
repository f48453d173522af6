"""The simulated sensors obey the laws of motion: what they show follows from where they are, and from nothing else."""

from functools import cache

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from gonio.signal.consts import EXERCISES, NO_EXERCISE, SEGMENTS, STANDARD_GRAVITY, FloatArray, Segment
from gonio.simulators.leg import LegMotion

STRAIGHT = {"thigh": Rotation.identity(), "shank": Rotation.identity()}
_STRAIGHT: dict[Segment, Rotation] = {segment: STRAIGHT[segment] for segment in SEGMENTS}


@cache
def leg(exercise: str) -> LegMotion:
    return LegMotion(exercise, duration_s=40.0, seed=11, rest_s=1.0)


def turned(motion: LegMotion, segment: Segment, step_s: float, end_s: float) -> Rotation:
    """Integrate the gyroscope from the true first orientation, fourth order by two-point Gauss steps (Magnus)."""
    begin = np.arange(0.0, end_s, step_s)
    offset = step_s * np.sqrt(3.0) / 6.0
    _, early = motion.imu(segment, begin + 0.5 * step_s - offset)
    _, late = motion.imu(segment, begin + 0.5 * step_s + offset)
    # body frame, dR/dt = R [w]: the second-order term is +sqrt(3)/12 h^2 (w_early x w_late)
    turn = 0.5 * step_s * (early + late) + np.sqrt(3.0) / 12.0 * step_s**2 * np.cross(early, late)
    orientation = motion.orientation(segment, np.zeros(1))[0]
    for part in Rotation.from_rotvec(turn):
        orientation = orientation * part
    return orientation


@pytest.mark.parametrize("exercise", ["heel-slide", "straight-leg-raise-prone", "lunge", NO_EXERCISE])
@pytest.mark.parametrize("segment", SEGMENTS)
def test_integrated_gyroscope_gives_the_orientation(exercise: str, segment: Segment) -> None:
    motion = leg(exercise)
    end_s = 16.0
    error = turned(motion, segment, 0.004, end_s).inv() * motion.orientation(segment, np.array([end_s]))[0]
    assert np.degrees(error.magnitude()) < 0.02


@pytest.mark.parametrize("segment", SEGMENTS)
def test_integrated_accelerometer_gives_the_way_through_space(segment: Segment) -> None:
    # bones and sensor are one when the flesh is hard: then the sensor is where the bone carries it
    motion = LegMotion("long-arc-quad", reps=2, seed=5, soft_tissue=0.0, mounting=_STRAIGHT)
    t_s = np.arange(0.0, motion.duration_s, 0.002)
    acc, _ = motion.imu(segment, t_s)
    linear = motion.orientation(segment, t_s).apply(acc) - (0.0, 0.0, STANDARD_GRAVITY)
    path = motion.bones(t_s)
    joint, bone = (path.hip_m, path.thigh) if segment == "thigh" else (path.knee_m, path.shank)
    seat = {"thigh": (0.055, -0.055, -0.27), "shank": (0.035, -0.040, -0.16)}[segment]
    position = joint + bone.apply(seat)
    start_velocity = (position[1] - position[0]) / 0.002
    velocity = start_velocity + np.cumsum(linear, axis=0) * 0.002
    integrated = position[0] + np.cumsum(velocity, axis=0) * 0.002
    # landing on the seat adds a shake of the bone of millimetres that the bones' path does not show
    sat_and_lifted = slice(0, 9 * 500)
    assert np.abs(position - position[0])[sat_and_lifted].max() > 0.15
    assert np.abs(integrated - position)[sat_and_lifted].max() < 0.01


@pytest.mark.parametrize("exercise", [*EXERCISES, NO_EXERCISE])
def test_movement_is_human(exercise: str) -> None:
    motion = leg(exercise)
    t_s = np.arange(0.0, motion.duration_s, 0.004)
    for segment in SEGMENTS:
        acc, gyr = motion.imu(segment, t_s)
        force = np.linalg.norm(acc, axis=1) / STANDARD_GRAVITY
        assert force.max() < (3.5 if exercise == NO_EXERCISE else 1.5)
        assert force.min() > (0.2 if exercise == NO_EXERCISE else 0.6)
        assert np.degrees(np.linalg.norm(gyr, axis=1)).max() < (500 if exercise == NO_EXERCISE else 200)
        # nothing jumps: from one sample to the next of a quick sensor, signals change by little
        assert np.abs(np.diff(gyr, axis=0)).max() < (0.7 if exercise == NO_EXERCISE else 0.15)
        assert np.abs(np.diff(acc, axis=0)).max() < (8.0 if exercise == NO_EXERCISE else 1.0)
    flexion = np.degrees(motion.flexion(t_s))
    assert flexion.min() > -10
    assert flexion.max() < 130
    assert np.abs(np.gradient(flexion, t_s)).max() < (420 if exercise == NO_EXERCISE else 180)


def test_a_leg_at_rest_feels_gravity_and_no_turning() -> None:
    motion = LegMotion("heel-slide", reps=3, seed=2, rest_s=3.0)
    t_s = np.linspace(motion.duration_s - 2.0, motion.duration_s, 200)
    for segment in SEGMENTS:
        acc, gyr = motion.imu(segment, t_s)
        assert np.linalg.norm(acc, axis=1) == pytest.approx(STANDARD_GRAVITY, abs=0.02)
        assert np.degrees(np.linalg.norm(gyr, axis=1)).max() < 0.5
        up = motion.orientation(segment, t_s).apply(acc)
        assert up == pytest.approx(np.tile((0.0, 0.0, STANDARD_GRAVITY), (200, 1)), abs=0.02)


def test_standing_leg_points_up_and_its_front_forward() -> None:
    motion = LegMotion("mini-squat", reps=1, seed=3, soft_tissue=0.0, mounting=_STRAIGHT)
    acc, _ = motion.imu("thigh", np.array([0.1]))
    assert acc[0, 2] > 0.99 * STANDARD_GRAVITY
    assert 0 < acc[0, 0] < 1.0  # the thigh of a slightly bent leg leans back: its front looks up a little


@pytest.mark.parametrize("exercise", ["long-arc-quad", "bridge", "straight-leg-raise-side"])
def test_true_flexion_is_the_hinge_angle_between_the_bones(exercise: str) -> None:
    motion = leg(exercise)
    t_s = np.arange(0.0, motion.duration_s, 0.05)
    path = motion.bones(t_s)
    hinge, adduction, rotation = (path.thigh.inv() * path.shank).as_euler("YXZ", degrees=True).T
    assert np.radians(hinge) == pytest.approx(motion.flexion(t_s), abs=1e-5)
    assert np.abs(adduction).max() < 2.0
    assert np.abs(rotation).max() < 6.0


def test_sensors_see_the_hinge_through_the_flesh() -> None:
    motion = LegMotion("heel-slide", reps=3, seed=8, mounting=_STRAIGHT)
    t_s = np.arange(0.0, motion.duration_s, 0.02)
    between = motion.orientation("thigh", t_s).inv() * motion.orientation("shank", t_s)
    error = np.degrees(between.as_euler("YXZ")[:, 0] - motion.flexion(t_s))
    assert 0.3 < np.abs(error).max() < 3.0


def heights(motion: LegMotion, t_s: FloatArray) -> tuple[FloatArray, FloatArray]:
    path = motion.bones(t_s)
    ankle = path.knee_m + path.shank.apply((0.0, 0.0, -0.42))
    return path.hip_m, ankle


def test_heel_slides_on_the_bed() -> None:
    motion = leg("heel-slide")
    rep = motion.truth.reps[0]
    hip, ankle = heights(motion, np.linspace(rep.start_s, rep.end_s, 200))
    assert np.ptp(ankle[:, 2]) < 0.02
    assert np.ptp(hip[:, 2]) < 0.01
    assert np.ptp(ankle[:, 0]) + np.ptp(ankle[:, 1]) > 0.2


@pytest.mark.parametrize(
    ("exercise", "joint", "rise_m"),
    [
        ("straight-leg-raise", "ankle", 0.45),
        ("straight-leg-raise-side", "ankle", 0.35),
        ("straight-leg-raise-prone", "ankle", 0.20),
        ("short-arc-quad", "ankle", 0.20),
        ("long-arc-quad", "ankle", 0.30),
        ("bridge", "hip", 0.12),
        ("sit-to-stand", "hip", 0.30),
        ("step-up", "hip", 0.10),
        ("mini-squat", "hip", -0.10),
        ("lunge", "hip", -0.20),
    ],
)
def test_what_should_rise_rises(exercise: str, joint: str, rise_m: float) -> None:
    motion = leg(exercise)
    rep = motion.truth.reps[0]
    hip, ankle = heights(motion, np.array([rep.start_s, rep.peak_s]))
    height = (ankle if joint == "ankle" else hip)[:, 2]
    still = (hip if joint == "ankle" else ankle)[:, 2]
    assert (height[1] - height[0]) * np.sign(rise_m) > abs(rise_m)
    assert abs(still[1] - still[0]) < 0.02


@pytest.mark.parametrize(
    ("exercise", "front"),
    [("straight-leg-raise", (0, 0, 1)), ("straight-leg-raise-prone", (0, 0, -1)), ("straight-leg-raise-side", None)],
)
def test_lying_leg_lies(exercise: str, front: tuple[int, int, int] | None) -> None:
    motion = leg(exercise)
    thigh = motion.bones(np.array([motion.truth.reps[0].start_s])).thigh[0]
    assert abs(thigh.apply((0, 0, 1))[2]) < 0.1
    if front is not None:
        assert thigh.apply((1, 0, 0)) == pytest.approx(front, abs=0.1)
    else:
        assert thigh.apply((0, -1, 0))[2] > 0.9  # a right leg lies on the left one: its outside looks up


def test_walking_goes_forward_and_knee_bends_once_in_swing() -> None:
    motion = LegMotion(NO_EXERCISE, duration_s=40.0, seed=4)
    t_s = np.arange(0.0, motion.duration_s, 0.01)
    hip = motion.bones(t_s).hip_m
    assert 25 < hip[-1, 0] - hip[0, 0] < 50
    assert np.diff(hip[:, 0]).min() > -0.002
    flexion = np.degrees(motion.flexion(t_s))
    swings = np.flatnonzero((flexion[1:-1] > 50) & (flexion[1:-1] >= flexion[:-2]) & (flexion[1:-1] > flexion[2:]))
    strides = np.diff(t_s[swings])
    assert len(swings) > 25
    assert strides.min() > 1.0
    assert strides.max() < 1.25


def test_no_repetition_stays_in_one_plane() -> None:
    motion = leg("heel-slide")
    across = []
    for rep in motion.truth.reps:
        thigh = motion.bones(np.array([rep.start_s, rep.peak_s])).thigh
        axis = thigh.apply((0.0, 1.0, 0.0))
        across.append(np.degrees(np.arccos(np.clip(axis[0] @ axis[1], -1.0, 1.0))))
    assert 0.5 < np.mean(across) < 8.0
    assert np.std(across) > 0.2
