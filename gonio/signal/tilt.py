"""How far the leg is tilted from where it rests, whichever way: it needs no axis and no calibration.

The tilt is the larger of the two sensors' angles between "up" now and "up" at rest. The rest is the first posture, and
it is followed: slowly while the leg lies still, at once when the leg has come most of the way back and lies still there
(it hardly ever comes back to the very spot), and when it stays away for so long that it must have changed its posture.
"""

import math
from typing import Final, TypeAlias

_FOLLOW_S: Final = 1.5  # time constant with which the rest follows a leg that lies still
_EVERY_S: Final = 0.1  # how often it does
_NEAR: Final = math.radians(4.0)
#: Coming back to less than this share of the way and lying still there for that long, s, is a new rest.
_BACK_SHARE, _BACK_S = 0.45, 0.5
_STILL_RAD_S: Final = 0.2
#: A leg that lies still and tilted by more than any raise has changed its posture (where the knee may bend, in all but
#: the declared raises of a straight leg, the thigh must be so tilted).
_MOVED, _MOVED_S = math.radians(62.0), 0.4
_PATIENCE_S: Final = 20.0  # as has one that stays away for longer than a hold

Vector: TypeAlias = list[float]


class Tilt:
    """The tilt, sample after sample."""

    def __init__(self, rate_hz: float, *, straight: bool) -> None:
        """Begin at rest in the first posture.

        Args:
            rate_hz: rate of the samples, Hz.
            straight: whether the exercise keeps the knee straight, so that both segments tilt alike.
        """
        self._straight = straight
        self._every = max(1, round(_EVERY_S * rate_hz))
        self._share = 1.0 - math.exp(-self._every / (_FOLLOW_S * rate_hz))
        self._patience, self._moved, self._back = (round(s * rate_hz) for s in (_PATIENCE_S, _MOVED_S, _BACK_S))
        self._rest: tuple[Vector, Vector] | None = None
        self._near_count = self._away_count = self._lain = self._still = 0
        self._high = 0.0

    def feed(self, up1: list[Vector], up2: list[Vector], speed: list[float]) -> list[float]:
        """Take consecutive samples, "up" in both sensors' frames and the faster one's angular speed, rad/s.

        Returns:
            The tilt in rad; NaN at the moment in which a changed posture becomes the rest.
        """
        step = self._step
        return [step(*sample) for sample in zip(up1, up2, speed, strict=True)]

    def _step(self, up1: Vector, up2: Vector, speed: float) -> float:
        if self._rest is None:
            self._rest = (up1, up2)
        (a, b, c), (d, e, f) = self._rest
        cos1 = a * up1[0] + b * up1[1] + c * up1[2]
        cos2 = d * up2[0] + e * up2[1] + f * up2[2]
        tilt = math.acos(max(-1.0, min(1.0, cos1, cos2)))
        if tilt < _NEAR:
            self._away_count = self._lain = self._still = 0
            self._high = 0.0
            self._near_count += 1
            if self._near_count >= self._every:
                self._near_count = 0
                self._rest = (_toward(self._rest[0], up1, self._share), _toward(self._rest[1], up2, self._share))
            return tilt
        self._away_count += 1
        self._high = max(self._high, tilt)
        calm = speed < _STILL_RAD_S
        self._still = self._still + 1 if calm and tilt < _BACK_SHARE * self._high else 0
        far = calm and (tilt if self._straight else math.acos(max(-1.0, min(1.0, cos1)))) > _MOVED
        self._lain = self._lain + 1 if far else 0
        if self._still > self._back:
            self._anew(up1, up2)
            return 0.0
        if self._away_count > self._patience or self._lain > self._moved:
            self._anew(up1, up2)
            return math.nan
        return tilt

    def _anew(self, up1: Vector, up2: Vector) -> None:
        self._rest = (up1, up2)
        self._near_count = self._away_count = self._lain = self._still = 0
        self._high = 0.0


def _toward(rest: Vector, up: Vector, share: float) -> Vector:
    x, y, z = (r + share * (u - r) for r, u in zip(rest, up, strict=True))
    norm = math.sqrt(x * x + y * y + z * z)
    return [x / norm, y / norm, z / norm]
