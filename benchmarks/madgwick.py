"""Madgwick's filter without magnetometer: "An efficient orientation filter", report of 2010, own code.

The orientation follows the gyroscope and is pulled at a constant rate down the gradient of how badly it explains the
accelerometer. The gain is the report's optimum for this case, 0.033 rad/s.
"""

import math
from typing import Final

import numpy as np

from gonio.signal.consts import FloatArray

_GAIN: Final = 0.033


def madgwick_up(acc: FloatArray, gyr: FloatArray, rate_hz: float) -> FloatArray:
    """Give the direction "up" (n, 3) in the sensor's frame from specific force (n, 3) and angular velocity (n, 3)."""
    w, x, y, z = _upright(acc[0])
    half = 0.5 / rate_hz
    pull = _GAIN / rate_hz
    ups = np.empty((len(acc), 3))
    for k, ((ax, ay, az), (gx, gy, gz)) in enumerate(zip(acc.tolist(), gyr.tolist(), strict=True)):
        force = math.sqrt(ax * ax + ay * ay + az * az) or 1.0
        # how far gravity as seen by the orientation is from the accelerometer's, and that distance's gradient
        f1 = 2.0 * (x * z - w * y) - ax / force
        f2 = 2.0 * (w * x + y * z) - ay / force
        f3 = 1.0 - 2.0 * (x * x + y * y) - az / force
        dw, dx = -2.0 * y * f1 + 2.0 * x * f2, 2.0 * z * f1 + 2.0 * w * f2 - 4.0 * x * f3
        dy, dz = -2.0 * w * f1 + 2.0 * z * f2 - 4.0 * y * f3, 2.0 * x * f1 + 2.0 * y * f2
        slope = math.sqrt(dw * dw + dx * dx + dy * dy + dz * dz)
        share = pull / slope if slope > 0.0 else 0.0
        w, x, y, z = (
            w + half * (-x * gx - y * gy - z * gz) - share * dw,
            x + half * (w * gx + y * gz - z * gy) - share * dx,
            y + half * (w * gy - x * gz + z * gx) - share * dy,
            z + half * (w * gz + x * gy - y * gx) - share * dz,
        )
        size = math.sqrt(w * w + x * x + y * y + z * z)
        w, x, y, z = w / size, x / size, y / size, z / size
        ups[k] = 2.0 * (x * z - w * y), 2.0 * (w * x + y * z), 1.0 - 2.0 * (x * x + y * y)
    return ups


def _upright(acc: FloatArray) -> tuple[float, float, float, float]:
    """Give the shortest turn that explains a resting accelerometer (3,)."""
    x, y, z = (acc / np.linalg.norm(acc)).tolist()
    size = math.sqrt(2.0 * (1.0 + z)) if z > -1.0 else 0.0
    return (0.5 * size, y / size, -x / size, 0.0) if size > 0.0 else (0.0, 1.0, 0.0, 0.0)
