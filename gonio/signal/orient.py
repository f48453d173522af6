"""Orientation of one sensor against gravity: a VQF filter without magnetometer, streaming.

Method: VQF (Laidig and Seel, Information Fusion 91, 2023, doi 10.1016/j.inffus.2022.10.014). Its 6D quaternion has
the right inclination and an arbitrary, slowly drifting heading, and its gyroscope bias estimate works at rest and in
motion. Fed in chunks it gives bit for bit what it gives sample by sample.
"""

from typing import Final, NamedTuple

import numpy as np
from scipy.spatial.transform import Rotation
from vqf import VQF

from gonio.signal.consts import FloatArray

_TINY: Final = 1e-9
#: Largest bias that the filter may believe in, °/s an axis. It cuts each axis of the housing by itself, so that a bias
#: beyond it is cut differently in every mounting (measured at its usual 2 °/s: 0.5° of flexion); start-up biases reach
#: 2.7 °/s.
_BIAS_DEG_S: Final = 4.0


class Attitude(NamedTuple):
    """What the filter knows of one sensor, sample by sample.

    Attributes:
        quat: (n, 4) w x y z, turns the sensor's frame into its own earth frame (z up, heading arbitrary).
        up: (n, 3) unit vector "up" in the sensor's frame.
        gyr: (n, 3) angular velocity with the bias removed, rad/s, sensor's frame.
    """

    quat: FloatArray
    up: FloatArray
    gyr: FloatArray


class AttitudeFilter:
    """One sensor's orientation, sample after sample."""

    def __init__(self, rate_hz: float) -> None:
        """Begin without knowledge.

        Args:
            rate_hz: rate of the grid, Hz, above 0.
        """
        if not rate_hz > 0:
            raise ValueError("rate_hz must be above 0")
        self._filter = VQF(1.0 / rate_hz, biasClip=_BIAS_DEG_S)
        self._begun = False

    def feed(self, acc: FloatArray, gyr: FloatArray) -> Attitude:
        """Take consecutive samples: specific force (n, 3) in m/s² and angular velocity (n, 3) in rad/s."""
        quat, bias = self.update(acc, gyr)
        return Attitude(quat, _up(quat), gyr - bias)

    def update(self, acc: FloatArray, gyr: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Take samples as ``feed`` does; give only what the filter itself tells: quaternion (n, 4) and bias (n, 3)."""
        if len(acc) == 0:
            return np.empty((0, 4)), np.empty((0, 3))
        if not self._begun:
            self._begun = True
            start = _start(acc[0], gyr[0])
            if start is not None:
                self._filter.state = {**self._filter.state, "gyrQuat": start}
        out = self._filter.updateBatch(np.ascontiguousarray(gyr), np.ascontiguousarray(acc))
        return out["quat6D"], out["bias"]


def _start(acc: FloatArray, gyr: FloatArray) -> list[float] | None:
    """Give the quaternion to begin with, from the first sample; None where it has no direction.

    The filter limits its bias estimate axis by axis of the earth frame, so its result depends on the heading that it
    begins with. A heading taken from the sample itself, not from the housing, makes the result the same however the
    sensor is mounted: z is the specific force, x the part of the angular velocity across it.
    """
    force = float(np.linalg.norm(acc))
    if not (force > _TINY and np.isfinite(force)):
        return None
    z = acc / force
    x = gyr - float(gyr @ z) * z
    size = float(np.linalg.norm(x))
    if not (size > _TINY and np.isfinite(size)):
        return None
    x = x / size
    y = np.array((z[1] * x[2] - z[2] * x[1], z[2] * x[0] - z[0] * x[2], z[0] * x[1] - z[1] * x[0]))
    quat = Rotation.from_matrix(np.stack((x, y, z))).as_quat()
    return [float(quat[3]), float(quat[0]), float(quat[1]), float(quat[2])]


def attitudes(
    filters: tuple[AttitudeFilter, AttitudeFilter],
    acc: tuple[FloatArray, FloatArray],
    gyr: tuple[FloatArray, FloatArray],
) -> tuple[Attitude, Attitude]:
    """Give what ``AttitudeFilter.feed`` gives for each of two sensors, with the arithmetic done for both at once."""
    quat1, bias1 = filters[0].update(acc[0], gyr[0])
    quat2, bias2 = filters[1].update(acc[1], gyr[1])
    up = _up(np.concatenate((quat1, quat2)))
    n = len(quat1)
    return Attitude(quat1, up[:n], gyr[0] - bias1), Attitude(quat2, up[n:], gyr[1] - bias2)


def _up(quat: FloatArray) -> FloatArray:
    w, x, y, z = quat.T.copy()
    up = np.empty((len(quat), 3))
    across, along, down = up.T
    np.subtract(x * z, w * y, across)
    np.add(y * z, w * x, along)
    np.add(x * x, y * y, down)
    up *= 2.0
    np.subtract(1.0, down, down)
    return up


def rotation_matrices(quat: FloatArray) -> FloatArray:
    """Turn unit quaternions (n, 4), w x y z, into rotation matrices (n, 3, 3)."""
    w, x, y, z = np.ascontiguousarray(quat.T)
    xx, yy, zz = x * x, y * y, z * z
    wx, wy, wz, xy, xz, yz = w * x, w * y, w * z, x * y, x * z, y * z
    out = np.empty((9, len(quat)))
    out[0], out[1], out[2] = yy + zz, xy - wz, xz + wy
    out[3], out[4], out[5] = xy + wz, xx + zz, yz - wx
    out[6], out[7], out[8] = xz - wy, yz + wx, xx + yy
    out *= 2.0
    np.subtract(1.0, out[::4], out=out[::4])
    return np.ascontiguousarray(out.T).reshape(-1, 3, 3)
