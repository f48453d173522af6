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
        if len(acc) == 0:
            return Attitude(np.empty((0, 4)), np.empty((0, 3)), np.empty((0, 3)))
        out = self._filter.updateBatch(np.ascontiguousarray(gyr), np.ascontiguousarray(acc))
        quat = out["quat6D"]
        w, x, y, z = quat[:, 0], quat[:, 1], quat[:, 2], quat[:, 3]
        up = np.empty((len(acc), 3))
        up[:, 0] = 2.0 * (x * z - w * y)
        up[:, 1] = 2.0 * (y * z + w * x)
        up[:, 2] = 1.0 - 2.0 * (x * x + y * y)
        return Attitude(quat, up, gyr - out["bias"])


def rotation_matrices(quat: FloatArray) -> FloatArray:
    """Turn unit quaternions (n, 4), w x y z, into rotation matrices (n, 3, 3)."""
    w, x, y, z = quat.T
    rows = (
        (1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)),
        (2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)),
        (2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)),
    )
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=1)
