"""A sensor's own clock: its wrap-around undone, and a restart told from a wrap."""

from typing import Any, Final, TypeAlias

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

#: Fewer counts are faster done one by one.
_WORTH_ARRAYS: Final = 32

#: Counts up to here are the same as floating-point numbers.
_EXACT: Final = 1 << 48

CountArray: TypeAlias = np.ndarray[tuple[int], np.dtype[np.unsignedinteger[Any]]]
IntArray: TypeAlias = np.ndarray[tuple[int], np.dtype[np.int64]]


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

    def unwrap_all(self, raw: CountArray, arrival_ns: IntArray) -> FloatArray:
        """Give the moments (n,) in s of several counts (n,), each with its arrival; the same as one by one."""
        if self._last is not None and len(raw) >= _WORTH_ARRAYS and self._modulus < _EXACT:
            moments = self._unwrap_even(self._last, raw.astype(np.int64), arrival_ns)
            if moments is not None:
                return moments
        return np.array(
            [self.unwrap(*both) for both in zip(raw.tolist(), arrival_ns.tolist(), strict=True)], np.float64
        )

    def _unwrap_even(self, last: int, raw: IntArray, arrival_ns: IntArray) -> FloatArray | None:
        """Give the moments if nothing but time passes between the counts, else None."""
        before = np.empty_like(raw)
        before[0], before[1:] = last, raw[:-1]
        steps = (raw - before) % self._modulus
        elapsed_ns = arrival_ns.copy()
        elapsed_ns[0] -= self._last_arrival_ns
        elapsed_ns[1:] -= arrival_ns[:-1]
        even = (steps < self._modulus // 2) & (
            np.abs(steps * self._tick_s - elapsed_ns * 1e-9) <= RESTART_DISAGREEMENT_S
        )
        if not even.all():
            return None
        wrapped = raw < before
        counts = raw + self._base
        if wrapped.any():
            counts += np.cumsum(wrapped) * self._modulus
        self._last, self._last_arrival_ns = int(raw[-1]), int(arrival_ns[-1])
        self._base = int(counts[-1]) - self._last
        return np.multiply(counts, self._tick_s)

    def _restart(self) -> None:
        self.restarts += 1
        self._base = 0
