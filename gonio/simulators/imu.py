"""What a real motion sensor adds to the truth: bias, noise, scale, crooked axes, a limited range.

The white noise of a sample is a hash of seed, channel and the sample's moment, so a moment has the same noise
whatever else is asked for and in whatever order. The wandering part of the bias is a random walk on knots one second
apart, drawn in a fixed order from the beginning and joined by lines.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from scipy.spatial.transform import Rotation

from gonio.errors import UsageError
from gonio.signal.consts import STANDARD_GRAVITY, FloatArray

#: Gives specific force (n, 3) in m/s² and angular velocity (n, 3) in rad/s at moments (n,) in s.
Feed: TypeAlias = Callable[[FloatArray], tuple[FloatArray, FloatArray]]

_KNOT_S: Final = 1.0
_KNOTS_AT_A_TIME: Final = 1024
_NOISE_STEP_S: Final = 1e-6  # moments closer than this are the same sample
_CHANNELS: Final = 6


@dataclass(frozen=True, slots=True)
class ImuQuality:
    """How good a sensor is; what varies from unit to unit is given as a standard deviation.

    The defaults are of a wearable motion sensor with a consumer's MEMS unit that was calibrated when it was made.
    They are typical magnitudes of that class, taken from no one data sheet: noise of 0.007 degree/s/√Hz and 0.15
    mg/√Hz; a turn-on bias of 0.5 degree/s (1 degree/s on an axis is normal) and of 5 mg, which tilts a resting sensor
    by 0.3 degrees an axis (an uncalibrated unit has 20 mg and more); half a percent of scale and of crookedness.

    Attributes:
        gyr_noise: density, rad/s/√Hz.
        acc_noise: density, m/s²/√Hz.
        gyr_bias: rad/s.
        acc_bias: m/s².
        gyr_walk: growth of the bias's wandering, rad/s/√s.
        acc_walk: likewise, m/s²/√s.
        scale: error of an axis's scale, as a share.
        crookedness: error of an axis's direction, rad.
        gyr_range: the largest angular velocity shown, rad/s.
        acc_range: the largest specific force shown, m/s².
    """

    gyr_noise: float = float(np.radians(0.007))
    acc_noise: float = 0.15e-3 * STANDARD_GRAVITY
    gyr_bias: float = float(np.radians(0.5))
    acc_bias: float = 5e-3 * STANDARD_GRAVITY
    gyr_walk: float = float(np.radians(0.003))
    acc_walk: float = 0.02e-3 * STANDARD_GRAVITY
    scale: float = 0.005
    crookedness: float = 0.005
    gyr_range: float = float(np.radians(2000.0))
    acc_range: float = 16.0 * STANDARD_GRAVITY

    def __post_init__(self) -> None:
        sizes = (self.gyr_noise, self.acc_noise, self.gyr_bias, self.acc_bias, self.gyr_walk, self.acc_walk)
        if min(*sizes, self.scale, self.crookedness) < 0 or min(self.gyr_range, self.acc_range) <= 0:
            raise UsageError("a sensor's errors are not negative and its ranges above 0")


class ImuErrors:
    """One unit's errors, drawn once; wraps any feed.

    ``ImuErrors(seed, rate_hz=60.0).around(lambda t_s: motion.imu("thigh", t_s))`` is a feed again.
    """

    def __init__(self, seed: int, *, rate_hz: float, quality: ImuQuality | None = None) -> None:
        """Draw the unit.

        Args:
            seed: of everything that varies; two sensors of a pair need two seeds.
            rate_hz: rate at which samples will be taken, above 0; it sets the noise's band.
            quality: of the kind of sensor; by default a wearable's.
        """
        if not rate_hz > 0:
            raise UsageError("a sensor's rate is above 0")
        self.quality = quality or ImuQuality()
        rng = np.random.default_rng((seed, 0))
        self.gyr_bias = self.quality.gyr_bias * _within(rng.standard_normal(3))
        self.acc_bias = self.quality.acc_bias * _within(rng.standard_normal(3))
        self._gyr_axes = self._axes(rng)
        self._acc_axes = self._axes(rng)
        band = np.sqrt(rate_hz / 2.0)
        self._noise = np.repeat((self.quality.acc_noise * band, self.quality.gyr_noise * band), 3)
        self._walk_step = np.repeat((self.quality.acc_walk, self.quality.gyr_walk), 3) * np.sqrt(_KNOT_S)
        self._walk_rng = np.random.default_rng((seed, 1))
        self._walk = np.zeros((1, _CHANNELS))
        with np.errstate(over="ignore"):
            self._salt = _mix(np.uint64(seed % 2**64) + _mix(np.arange(1, 2 * _CHANNELS + 1, dtype=np.uint64)))

    def around(self, feed: Feed) -> Feed:
        """Give the feed that a sensor with these errors makes of a true one."""

        def measured(t_s: FloatArray) -> tuple[FloatArray, FloatArray]:
            return self.apply(t_s, *feed(t_s))

        return measured

    def apply(self, t_s: FloatArray, acc: FloatArray, gyr: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Give what the unit shows.

        Args:
            t_s: (n,) moments, s, from 0 on.
            acc: (n, 3) true specific force, m/s², sensor frame.
            gyr: (n, 3) true angular velocity, rad/s, sensor frame.

        Returns:
            Specific force (n, 3) and angular velocity (n, 3) as measured, within the unit's ranges.
        """
        added = self._wander(t_s) + self._noise * self._white(t_s)
        # written out, not as a matrix product: its sums could depend on how many samples come at once
        shown_acc = _through(self._acc_axes, acc) + self.acc_bias + added[:, :3]
        shown_gyr = _through(self._gyr_axes, gyr) + self.gyr_bias + added[:, 3:]
        return (
            np.clip(shown_acc, -self.quality.acc_range, self.quality.acc_range),
            np.clip(shown_gyr, -self.quality.gyr_range, self.quality.gyr_range),
        )

    def _axes(self, rng: np.random.Generator) -> FloatArray:
        scale = 1.0 + self.quality.scale * _within(rng.standard_normal(3))
        crooked = self.quality.crookedness * _within(rng.standard_normal((3, 3)))
        np.fill_diagonal(crooked, 0.0)
        turned = Rotation.from_rotvec(self.quality.crookedness * _within(rng.standard_normal(3))).as_matrix()
        return np.asarray((np.diag(scale) + crooked) @ turned, dtype=np.float64)

    def _wander(self, t_s: FloatArray) -> FloatArray:
        place = np.maximum(t_s, 0.0) / _KNOT_S
        before = np.floor(place).astype(np.int64)
        needed = int(before.max(initial=0)) + 2
        while len(self._walk) < needed:
            steps = self._walk_step * self._walk_rng.standard_normal((_KNOTS_AT_A_TIME, _CHANNELS))
            self._walk = np.concatenate((self._walk, self._walk[-1] + np.cumsum(steps, axis=0)))
        share = (place - before)[:, None]
        return np.asarray(self._walk[before] * (1.0 - share) + self._walk[before + 1] * share, dtype=np.float64)

    def _white(self, t_s: FloatArray) -> FloatArray:
        """Give standard normal noise (n, 6) that is a function of moment and seed alone (Box and Muller 1958)."""
        moments = np.rint(t_s / _NOISE_STEP_S).astype(np.int64).view(np.uint64)
        with np.errstate(over="ignore"):
            bits = _mix(_mix(moments)[:, None] + self._salt)
        uniform = ((bits >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53
        return np.asarray(
            np.sqrt(-2.0 * np.log(uniform[:, :_CHANNELS])) * np.cos(2.0 * np.pi * uniform[:, _CHANNELS:]),
            dtype=np.float64,
        )


def _within(normal: FloatArray) -> FloatArray:
    """Cut standard normal values at three: a unit beyond that does not leave the factory."""
    return np.clip(normal, -3.0, 3.0)


def _through(axes: FloatArray, vectors: FloatArray) -> FloatArray:
    return np.asarray(
        vectors[:, :1] * axes[:, 0] + vectors[:, 1:2] * axes[:, 1] + vectors[:, 2:] * axes[:, 2], dtype=np.float64
    )


def _mix(x: np.typing.NDArray[np.uint64]) -> np.typing.NDArray[np.uint64]:
    """Scatter the bits of 64-bit numbers (the finaliser of SplitMix64: Steele, Lea and Flood 2014)."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
