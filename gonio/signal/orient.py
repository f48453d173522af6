"""Orientation of one sensor against gravity: a VQF filter without magnetometer, streaming.

Method: VQF (Laidig and Seel, Information Fusion 91, 2023, doi 10.1016/j.inffus.2022.10.014). Its 6D quaternion has
the right inclination and an arbitrary, slowly drifting heading, and its gyroscope bias estimate works at rest and in
motion. Fed in chunks it gives bit for bit what it gives sample by sample.
"""

from dataclasses import dataclass

import numpy as np
from vqf import VQF

from gonio.signal.consts import FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Attitude:
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
        self._filter = VQF(1.0 / rate_hz)

    def feed(self, acc: FloatArray, gyr: FloatArray) -> Attitude:
        """Take consecutive samples: specific force (n, 3) in m/s² and angular velocity (n, 3) in rad/s."""
        quat, bias = self.update(acc, gyr)
        return Attitude(quat, _up(quat), gyr - bias)

    def update(self, acc: FloatArray, gyr: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Take samples as ``feed`` does; give only what the filter itself tells: quaternion (n, 4) and bias (n, 3)."""
        if len(acc) == 0:
            return np.empty((0, 4)), np.empty((0, 3))
        out = self._filter.updateBatch(np.ascontiguousarray(gyr), np.ascontiguousarray(acc))
        return out["quat6D"], out["bias"]


def attitudes(
    filters: tuple[AttitudeFilter, AttitudeFilter],
    acc: tuple[FloatArray, FloatArray],
    gyr: tuple[FloatArray, FloatArray],
) -> tuple[Attitude, Attitude]:
    """Give what ``AttitudeFilter.feed`` gives for each of two sensors, with the arithmetic done for both at once."""
    (quat1, bias1), (quat2, bias2) = (f.update(a, g) for f, a, g in zip(filters, acc, gyr, strict=True))
    up = _up(np.concatenate((quat1, quat2)))
    n = len(quat1)
    return Attitude(quat1, up[:n], gyr[0] - bias1), Attitude(quat2, up[n:], gyr[1] - bias2)


def _up(quat: FloatArray) -> FloatArray:
    w, x, y, z = np.ascontiguousarray(quat.T)
    up = np.empty((3, len(quat)))
    np.subtract(x * z, w * y, out=up[0])
    np.add(y * z, w * x, out=up[1])
    np.add(x * x, y * y, out=up[2])
    up *= 2.0
    np.subtract(1.0, up[2], out=up[2])
    return np.ascontiguousarray(up.T)


def rotation_matrices(quat: FloatArray) -> FloatArray:
    """Turn unit quaternions (n, 4), w x y z, into rotation matrices (n, 3, 3)."""
    w, x, y, z = quat.T
    rows = (
        (1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)),
        (2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)),
        (2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)),
    )
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=1)
