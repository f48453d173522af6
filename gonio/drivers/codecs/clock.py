"""A sensor's own clock: its wrap-around undone, and a restart told from a wrap."""

from typing import Final

import numpy as np

from gonio.firmware_profiles.schema import Profile
from gonio.signal.consts import FloatArray

#: A step of the sensor's clock that differs by more than this from the host's elapsed time is a restart, not a gap:
#: a clock of 32 bits in µs cannot tell a restart after 36 to 71 minutes from a long gap by itself. Notifications can
#: be late by seconds, not by this much.
RESTART_DISAGREEMENT_S: Final = 30.0

#: A step back by less than this is a packet that the host delivered again, not a restart: no sensor starts to stream
#: within a second of its power-on.
REPEAT_S: Final = 1.0


class SensorClock:
    """Counts of a sensor's clock to moments.

    Attributes:
        restarts: times the clock began anew.
    """

    def __init__(self, tick_s: float, bits: int) -> None:
        """Begin.

        Args:
            tick_s: seconds a count.
            bits: width, after which it wraps to 0.
        """
        self.restarts = 0
        self._tick_s = tick_s
        self._modulus = 1 << bits
        self._last: int | None = None
        self._last_arrival_ns = 0
        self._base = 0

    @classmethod
    def of(cls, profile: Profile) -> "SensorClock":
        """Make the clock that a profile describes."""
        return cls(profile.time.tick_s or 1.0, profile.time.bits or 64)

    def unwrap(self, raw: int, arrival_ns: int) -> float:
        """Give the moment in s; of a packet that came again (a second old at most) its own, earlier one.

        Args:
            raw: the count, 0 up to the clock's width.
            arrival_ns: the host's monotonic clock when it came.
        """
        if self._last is not None:
            step = (raw - self._last) % self._modulus
            elapsed_s = (arrival_ns - self._last_arrival_ns) * 1e-9
            if step >= self._modulus // 2:
                back = self._modulus - step
                if back * self._tick_s < REPEAT_S:
                    return (self._base + self._last - back) * self._tick_s
                self._restart()
            elif abs(step * self._tick_s - elapsed_s) > RESTART_DISAGREEMENT_S:
                self._restart()
            elif raw < self._last:
                self._base += self._modulus
        self._last, self._last_arrival_ns = raw, arrival_ns
        return (self._base + raw) * self._tick_s

    def unwrap_all(self, raw: list[int], arrival_ns: list[int]) -> FloatArray:
        """Give the moments (n,) in s of several counts, each with its arrival."""
        return np.array([self.unwrap(*both) for both in zip(raw, arrival_ns, strict=True)], np.float64)

    def _restart(self) -> None:
        self.restarts += 1
        self._base = 0
