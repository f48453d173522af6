"""The leg as two rigid segments, and what a sensor strapped to the soft tissue of one of them measures.

Frames
    *Bone frame* of thigh and shank: x forward, y to the body's left, z along the bone towards the head, when the
    person stands upright facing the earth frame's x. Origin: hip joint and knee joint.
    *Earth frame*: z up.

The knee is a hinge about the thigh's y axis, and, as in a real knee, turns a little about the two other axes as it
flexes: the shank's orientation in the thigh is flexion, then adduction, then internal rotation (the order of Grood
and Suntay 1983, J Biomech Eng 105:136), so that the flexion is the hinge angle of that convention, exactly.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.signal import bilinear, lfilter, lfilter_zi
from scipy.spatial.transform import Rotation

from gonio.signal.consts import STANDARD_GRAVITY, FloatArray, Segment

#: Hip to knee and knee to ankle of a person of 1.72 m: 0.245 and 0.246 of the height (Winter, Biomechanics and Motor
#: Control of Human Movement), rounded.
THIGH_M: Final = 0.42
SHANK_M: Final = 0.42

#: Where the sensors sit in the bone frames of a right leg, m: on the outside front, thigh above the knee, shank below.
PLACEMENT_M: Final[dict[Segment, tuple[float, float, float]]] = {
    "thigh": (0.055, -0.055, -0.27),
    "shank": (0.035, -0.040, -0.16),
}

#: The knee's secondary motion at 90 degrees of flexion, rad: it grows with the sine of the flexion.
_ADDUCTION_RAD: Final = np.radians(1.5)
_INTERNAL_ROTATION_RAD: Final = np.radians(5.0)

#: Soft tissue: rotation of the sensor against the bone with the knee at 90 degrees of flexion (about x, y, z of the
#: bone frame), rad. The muscle's belly turns mostly about the bone's length.
_BULGE_RAD: Final[dict[Segment, tuple[float, float, float]]] = {
    "thigh": (0.012, 0.014, 0.060),
    "shank": (0.006, -0.006, 0.030),
}
#: The flesh below a strapped sensor as a damped spring: natural frequency (Hz) and damping ratio, and how far the
#: sensor tilts as it is displaced, rad/m.
_WOBBLE_HZ: Final[dict[Segment, float]] = {"thigh": 8.0, "shank": 12.0}
_WOBBLE_DAMPING: Final = 0.3
_WOBBLE_TILT_RAD_PER_M: Final = 5.0


@dataclass(frozen=True, slots=True, eq=False)
class LegPath:
    """The two bones over time.

    Attributes:
        hip_m: (n, 3) hip joint, earth frame, m.
        knee_m: (n, 3) knee joint, earth frame, m.
        thigh: (n,) orientations, bone frame to earth frame.
        shank: (n,) likewise.
        flexion: (n,) knee flexion, rad.
    """

    hip_m: FloatArray
    knee_m: FloatArray
    thigh: Rotation
    shank: Rotation
    flexion: FloatArray


def heel_slide_hip_rad(knee_rad: FloatArray) -> FloatArray:
    """Give the hip flexion (n,) in rad that keeps the heel at the height of the hip, for a knee flexion (n,)."""
    return np.arctan2(SHANK_M * np.sin(knee_rad), THIGH_M + SHANK_M * np.cos(knee_rad))


def thigh_rotation(posture_rad: FloatArray, hip_rad: FloatArray, abduction_rad: FloatArray, lateral: float) -> Rotation:
    """Give the thigh's orientation.

    Args:
        posture_rad: (n, 3) yaw, recline, roll of the body.
        hip_rad: (n,) hip flexion.
        abduction_rad: (n,) hip abduction.
        lateral: -1 for the right leg, 1 for the left: where its outside lies along y.
    """
    yaw, recline, roll = posture_rad.T
    angles = np.column_stack((-lateral * yaw, -recline, -lateral * roll, -hip_rad, lateral * abduction_rad))
    body = Rotation.from_euler("ZYZ", angles[:, :3])
    return body * Rotation.from_euler("YX", angles[:, 3:])


def shank_in_thigh(flexion: FloatArray, lateral: float) -> Rotation:
    """Give the shank's orientation in the thigh's frame for a knee flexion (n,) in rad; ``lateral`` as above."""
    bend = np.sin(np.clip(flexion, -0.5 * np.pi, 0.5 * np.pi))
    angles = np.column_stack((flexion, -lateral * _ADDUCTION_RAD * bend, -lateral * _INTERNAL_ROTATION_RAD * bend))
    return Rotation.from_euler("YXZ", angles)


def leg_vector(thigh: Rotation, shank: Rotation) -> tuple[FloatArray, FloatArray]:
    """Give the ways (n, 3) in m from hip to knee and from knee to ankle, earth frame."""
    down = np.array((0.0, 0.0, -1.0))
    return thigh.apply(down * THIGH_M), shank.apply(down * SHANK_M)


class SensorPath:
    """A sensor's way through space, and the signals that follow from it exactly.

    The way is given densely and smoothly; its derivatives are central differences of fourth order, so that specific
    force and angular velocity belong to this very way and to no other.
    """

    def __init__(self, t_s: FloatArray, position_m: FloatArray, orientation: Rotation) -> None:
        """Differentiate the way.

        Args:
            t_s: (n,) evenly spaced moments, s.
            position_m: (n, 3) of the sensor, earth frame, m.
            orientation: (n,) sensor frame to earth frame.
        """
        step_s = (t_s[-1] - t_s[0]) / (len(t_s) - 1)
        quaternion = _continuous(orientation.as_quat())
        specific_force = _second_derivative(position_m, step_s) + np.array((0.0, 0.0, STANDARD_GRAVITY))
        acc = orientation.apply(specific_force, inverse=True)
        gyr = _angular_velocity(quaternion, _derivative(quaternion, step_s))
        inner = slice(2, -2)  # the differences reach two samples to either side
        self._signals = CubicSpline(t_s[inner], np.hstack((acc, gyr))[inner])
        self._quaternion = CubicSpline(t_s[inner], quaternion[inner])

    def signals(self, t_s: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Give specific force (n, 3) in m/s² and angular velocity (n, 3) in rad/s, sensor frame, at moments (n,)."""
        both = self._signals(t_s)
        return np.ascontiguousarray(both[:, :3]), np.ascontiguousarray(both[:, 3:])

    def orientation(self, t_s: FloatArray) -> Rotation:
        """Give the orientations (n,), sensor frame to earth frame, at moments (n,) in s."""
        return Rotation.from_quat(self._quaternion(t_s))


def sensor_path(
    segment: Segment,
    t_s: FloatArray,
    path: LegPath,
    *,
    lateral: float,
    soft_tissue: float,
    jolt_m: FloatArray,
    mounting: Rotation,
) -> SensorPath:
    """Strap a sensor to a segment.

    Args:
        segment: which.
        t_s: (n,) evenly spaced moments, s.
        path: the bones at those moments.
        lateral: -1 for the right leg, 1 for the left.
        soft_tissue: how soft the flesh is: 0 bone, 1 a normal leg.
        jolt_m: (n, 3) what impacts add to the segment's position, bone frame, m.
        mounting: sensor frame to bone frame, as strapped on at rest.
    """
    bone, joint_m = (path.thigh, path.hip_m) if segment == "thigh" else (path.shank, path.knee_m)
    mirror = np.array((1.0, -lateral, 1.0))
    seat = np.asarray(PLACEMENT_M[segment]) * mirror
    on_bone_m = joint_m + bone.apply(seat + jolt_m)
    step_s = (t_s[-1] - t_s[0]) / (len(t_s) - 1)
    force = _second_derivative(on_bone_m, step_s) + np.array((0.0, 0.0, STANDARD_GRAVITY))
    force[:2], force[-2:] = force[2], force[-3]
    shift_m = soft_tissue * _wobble(bone.apply(force, inverse=True), step_s, _WOBBLE_HZ[segment])
    outward = seat * (1.0, 1.0, 0.0) / np.hypot(seat[0], seat[1])
    tilt = _WOBBLE_TILT_RAD_PER_M * np.cross(outward, shift_m)
    bend = np.sin(np.clip(path.flexion, -0.5 * np.pi, 0.5 * np.pi))
    bulge = soft_tissue * bend[:, None] * np.asarray(_BULGE_RAD[segment]) * (-lateral, 1.0, -lateral)
    flesh = bone * Rotation.from_rotvec(tilt + bulge)
    return SensorPath(t_s, on_bone_m + bone.apply(shift_m), flesh * mounting)


def _wobble(force: FloatArray, step_s: float, natural_hz: float) -> FloatArray:
    """Give the displacement (n, 3) in m of a damped unit mass on a spring under specific force (n, 3) in m/s²."""
    omega = 2.0 * np.pi * natural_hz
    b, a = bilinear([-1.0], [1.0, 2.0 * _WOBBLE_DAMPING * omega, omega * omega], fs=1.0 / step_s)
    change = force - force[0]  # strapped on at rest: what sags then is part of the mounting
    settled = lfilter_zi(b, a)[:, None] * change[0]
    shift, _ = lfilter(b, a, change, axis=0, zi=settled)
    return np.asarray(shift, dtype=np.float64)


def _continuous(quaternion: FloatArray) -> FloatArray:
    flips = np.where(np.sum(quaternion[1:] * quaternion[:-1], axis=1) < 0, -1.0, 1.0)
    signs = np.concatenate(([1.0], np.cumprod(flips)))
    return np.asarray(quaternion * signs[:, None], dtype=np.float64)


def _derivative(values: FloatArray, step_s: float) -> FloatArray:
    """Give the first derivative along the first axis; 0 for the first and last two samples."""
    out = np.zeros_like(values)
    out[2:-2] = (values[:-4] - 8.0 * values[1:-3] + 8.0 * values[3:-1] - values[4:]) / (12.0 * step_s)
    return out


def _second_derivative(values: FloatArray, step_s: float) -> FloatArray:
    """Give the second derivative along the first axis; 0 for the first and last two samples."""
    out = np.zeros_like(values)
    inner = -values[:-4] + 16.0 * values[1:-3] - 30.0 * values[2:-2] + 16.0 * values[3:-1] - values[4:]
    out[2:-2] = inner / (12.0 * step_s * step_s)
    return out


def _angular_velocity(quaternion: FloatArray, rate: FloatArray) -> FloatArray:
    """Give the angular velocity (n, 3) in rad/s, body frame: twice the vector part of q* dq/dt (scalar last)."""
    vector, scalar = quaternion[:, :3], quaternion[:, 3:]
    vector_rate, scalar_rate = rate[:, :3], rate[:, 3:]
    return np.asarray(
        2.0 * (scalar * vector_rate - scalar_rate * vector - np.cross(vector, vector_rate)), dtype=np.float64
    )
