"""Sensors that lie somewhere: dropped on the floor, or still for longer than any leg is."""

import math
from collections import deque
from typing import Final

import numpy as np

from gonio.signal.consts import FloatArray
from gonio.signal.faults.looks import LOOK_S, STILL_ACC, Look, angle

#: A fall: force below this, m/s², for so long, s (0.15 s are 11 cm), then a blow of this size, m/s².
_FALLING, _FALL_S, _BLOW = 4.0, 0.15, 20.0
#: What has fallen lies still, more so than a leg after a jump, rad/s, within this time, s, for as long, looks.
_LYING_GYR, _WITHIN_S, _LYING_LOOKS = 0.04, 5.0, 8
#: And it lies otherwise than it was worn, rad; one that happens to lie the same way is known by its stillness, looks.
_TURNED, _LYING_LONG = math.radians(30.0), 40
#: Looks before a blow that tell how the sensor was worn.
_WORN: Final = 8
#: Whoever lies awake stirs; without any motion for this long, s, no leg is in the strap.
NO_MOTION_S: Final = 600.0
#: What lies still goes on pointing the same way, rad: a segment that turns slowly is not still.
_CREEP: Final = math.radians(3.0)
#: Stillness of one sensor that is compared with the other's motion, s, and the motion that is much, s.
_LONG_STILL_S, _MUCH_S = 60.0, 15.0
#: Moving looks remembered: an hour and a half of motion.
_REMEMBERED: Final = 20_000


class RestWatch:
    """Names "dropped" and "no-motion" and remembers when the sensor lay still and when it moved."""

    def __init__(self, rate_hz: float) -> None:
        self._rate_hz = rate_hz
        self._past: deque[Look] = deque(maxlen=_WORN)
        self._worn: list[float] | None = None  # mean force before the fall that may have been
        self._fell_s = 0.0
        self._lying = 0
        self._dropped = False
        self._still_from: float | None = None
        self._still_at: list[float] = []  # mean force then
        self._now = 0.0
        self._stretches: list[tuple[float, float]] = []
        self._moving: deque[float] = deque(maxlen=_REMEMBERED)

    def look(self, look: Look) -> set[str]:
        """Take the next look; give the faults of now."""
        self._now = look.end_s
        self._follow(look)
        if look.acc_spread > _BLOW and self._past and self._fallen(look):
            self._worn, self._fell_s, self._lying = self._past[0].mean, look.end_s, 0
        lying = look.gyr_spread < _LYING_GYR and look.acc_spread < STILL_ACC
        self._lying = self._lying + 1 if lying else 0
        if self._worn is not None:
            if self._lying >= _LYING_LONG or (self._lying >= _LYING_LOOKS and angle(self._worn, look.mean) > _TURNED):
                self._dropped, self._worn = True, None
            elif not lying and look.end_s - self._fell_s > _WITHIN_S:
                self._worn = None
        if self._dropped and not look.still:
            self._dropped = False
        self._past.append(look)
        names = {"dropped"} if self._dropped else set()
        if self._still_from is not None and look.end_s - self._still_from >= NO_MOTION_S:
            names.add("no-motion")
        return names

    def _follow(self, look: Look) -> None:
        if look.still and self._still_from is None:
            self._still_from, self._still_at = look.begin_s, look.mean
        if look.still and angle(self._still_at, look.mean) < _CREEP:
            return
        self._moving.append(look.end_s)
        if self._still_from is not None and look.begin_s - self._still_from > _LONG_STILL_S:
            self._stretches.append((self._still_from, look.begin_s))
        self._still_from = None

    def _fallen(self, look: Look) -> bool:
        """Tell whether there was a fall before the blow of this look."""
        rows = np.concatenate([self._past[-1].rows[:, :3], look.rows[:, :3]])
        longest = run = 0
        for falls in (_norms(rows) < _FALLING).tolist():
            run = run + 1 if falls else 0
            longest = max(longest, run)
        return longest >= _FALL_S * self._rate_hz

    def moving_s(self, begin_s: float, end_s: float) -> float:
        """Give for how long the sensor moved between two moments, s."""
        return LOOK_S * sum(begin_s <= t <= end_s for t in self._moving)

    def left_behind(self, other: "RestWatch") -> bool:
        """Tell whether this sensor lay still for long while the other moved much."""
        stretches = list(self._stretches)
        if self._still_from is not None:
            stretches.append((self._still_from, self._now))
        long = [(a, b) for a, b in stretches if b - a > _LONG_STILL_S]
        return any(other.moving_s(a, b) > _MUCH_S for a, b in long)


def _norms(rows: FloatArray) -> FloatArray:
    return np.asarray(np.sqrt((rows * rows).sum(axis=1)))
