"""Seel, Raisch, Schauer: IMU-based joint angle measurement for gait analysis, Sensors 14 (2014) 6891, own code.

The joint's axis comes from the gyroscopes alone (section 3.1), the joint's centre from both sensors' accelerations
(section 3.2); the angle is the gyroscopes' integral about the axis, held by the angle between the accelerations moved
to the centre (section 3.4). The weight of the latter is the paper's 0.01 a sample at its 60 Hz, as a time constant.
"""

from typing import Final

import numpy as np
from scipy.optimize import least_squares
from scipy.signal import lfilter

from gonio.signal.consts import FloatArray

_WEIGHT: Final = 0.01
_PAPER_HZ: Final = 60.0
_MOST_SAMPLES: Final = 2000


def _direction(angles: FloatArray) -> FloatArray:
    tilt, turn = angles
    return np.array((np.cos(tilt) * np.cos(turn), np.cos(tilt) * np.sin(turn), np.sin(tilt)))


def seel_axes(gyr1: FloatArray, gyr2: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Find the axis in both sensors: what does not turn about it is as fast in both; their signs are left open."""
    every = max(1, len(gyr1) // _MOST_SAMPLES)
    one, two = gyr1[::every], gyr2[::every]

    def residual(x: FloatArray) -> FloatArray:
        across = [np.linalg.norm(np.cross(gyr, _direction(part)), axis=1) for gyr, part in ((one, x[:2]), (two, x[2:]))]
        return np.asarray(across[0] - across[1])

    starts = [np.array(start) for start in ((0.1, 0.1, 0.1, 0.1), (1.3, 0.1, 1.3, 0.1), (0.1, 1.6, 0.1, 1.6))]
    best = min((least_squares(residual, start) for start in starts), key=lambda fit: float(fit.cost))
    return _direction(best.x[:2]), _direction(best.x[2:])


def _turning(gyr: FloatArray, rate_hz: float) -> tuple[FloatArray, FloatArray]:
    """Give angular velocity and angular acceleration (n, 3); the paper takes the same central difference."""
    return gyr, np.gradient(gyr, 1.0 / rate_hz, axis=0)


def _lever(gyr: FloatArray, change: FloatArray, arm: FloatArray) -> FloatArray:
    """Give the acceleration (n, 3) of a place against the joint's centre at a lever arm (3,)."""
    return np.cross(gyr, np.cross(gyr, arm)) + np.cross(change, arm)


def to_joint_centre(
    acc: tuple[FloatArray, FloatArray], gyr: tuple[FloatArray, FloatArray], rate_hz: float
) -> tuple[FloatArray, FloatArray]:
    """Move both sensors' specific forces (n, 3) to the joint's centre, in which they are the same but for the frame.

    The lever arms from the centre to the sensors are those for which the two are of the same size.
    """
    every = max(1, len(acc[0]) // _MOST_SAMPLES)
    parts = [(a[::every], *(v[::every] for v in _turning(g, rate_hz))) for a, g in zip(acc, gyr, strict=True)]

    def residual(x: FloatArray) -> FloatArray:
        sizes = [
            np.linalg.norm(a - _lever(g, change, arm), axis=1)
            for (a, g, change), arm in zip(parts, (x[:3], x[3:]), strict=True)
        ]
        return np.asarray(sizes[0] - sizes[1])

    arms = least_squares(residual, np.full(6, 0.01)).x
    one, two = (
        a - _lever(*_turning(g, rate_hz), arm) for a, g, arm in zip(acc, gyr, (arms[:3], arms[3:]), strict=True)
    )
    return one, two


def _signed_angle(one: FloatArray, two: FloatArray, axes: tuple[FloatArray, FloatArray]) -> FloatArray:
    phases = []
    for vectors, axis in zip((one, two), axes, strict=True):
        first = np.cross(axis, np.eye(3)[int(np.argmin(np.abs(axis)))])
        first /= np.linalg.norm(first)
        phases.append(np.arctan2(vectors @ np.cross(axis, first), vectors @ first))
    return np.asarray(phases[1] - phases[0])


def seel_angle(
    moved: tuple[FloatArray, FloatArray],
    gyr: tuple[FloatArray, FloatArray],
    axes: tuple[FloatArray, FloatArray],
    rate_hz: float,
) -> FloatArray:
    """Give the angle (n,) in rad, up to an offset, of specific forces at the joint's centre for the axes given."""
    seen = _signed_angle(moved[0], moved[1], axes)
    middle = np.angle(np.exp(1j * seen).mean())
    seen = middle + (seen - middle + np.pi) % (2.0 * np.pi) - np.pi
    turned = (gyr[0] @ axes[0] - gyr[1] @ axes[1]) / rate_hz
    keep = (1.0 - _WEIGHT) ** (_PAPER_HZ / rate_hz)
    driven = (1.0 - keep) * seen + keep * turned
    return np.asarray(lfilter([1.0], [1.0, -keep], driven, zi=[keep * (seen[0] - turned[0])])[0])
