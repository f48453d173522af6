"""Samples of acceleration and of angular velocity, measured at times of their own, brought together.

The times of the angular velocity are the grid: acceleration changes little between two of its samples, while a
gyroscope's samples must stay as they are to be integrated. Acceleration is taken on the line between its two
neighbours, and only where these are neighbours: what lies in a gap of either is left out, not made up.
"""

from typing import Final, NamedTuple

import numpy as np

from gonio.drivers.codecs.polar_delta import Whole
from gonio.signal.consts import FloatArray

#: Two samples further apart than this many steps have lost one between them.
_NEIGHBOURS_STEPS: Final = 1.5

#: Times within this of each other are one: they come out of roundings.
_SAME_NS: Final = 1000

#: Samples of either quantity that wait for the other at most: ten seconds at the fastest rate. Beyond it the oldest
#: are given up; their partners are lost then.
MAX_WAITING: Final = 4160


class Paired(NamedTuple):
    """Samples with both quantities: (n,) times in ns, (n, 3) acceleration, (n, 3) angular velocity."""

    time_ns: Whole
    acc: FloatArray
    gyr: FloatArray


class Pairing:
    """Pairs as soon as both are known. The times of each quantity must rise."""

    def __init__(self, step_ns: float) -> None:
        """Begin.

        Args:
            step_ns: nominal time between two samples of acceleration, ns.
        """
        self._limit_ns = step_ns * _NEIGHBOURS_STEPS
        self.clear()

    def clear(self) -> None:
        """Forget what waits."""
        self._acc_ns: Whole = np.empty(0, np.int64)
        self._acc: FloatArray = np.empty((0, 3))
        self._gyr_ns: Whole = np.empty(0, np.int64)
        self._gyr: FloatArray = np.empty((0, 3))

    @property
    def waiting(self) -> int:
        """Samples that wait, of both quantities together."""
        return len(self._acc_ns) + len(self._gyr_ns)

    def add_acc(self, time_ns: Whole, acc: FloatArray) -> Paired:
        """Take acceleration (n, 3) at its times (n,), later than all before, and give what that completes."""
        self._acc_ns = np.concatenate((self._acc_ns, time_ns))[-MAX_WAITING:]
        self._acc = np.concatenate((self._acc, acc))[-MAX_WAITING:]
        return self._pair()

    def add_gyr(self, time_ns: Whole, gyr: FloatArray) -> Paired:
        """Take angular velocity (n, 3) at its times (n,), later than all before, and give what that completes."""
        self._gyr_ns = np.concatenate((self._gyr_ns, time_ns))[-MAX_WAITING:]
        self._gyr = np.concatenate((self._gyr, gyr))[-MAX_WAITING:]
        return self._pair()

    def _pair(self) -> Paired:
        known = self._acc_ns
        if not len(known):
            return Paired(self._gyr_ns[:0], self._acc[:0], self._gyr[:0])
        decided = int(np.searchsorted(self._gyr_ns, known[-1] + _SAME_NS, "right"))
        time_ns, gyr = self._gyr_ns[:decided], self._gyr[:decided]
        self._gyr_ns, self._gyr = self._gyr_ns[decided:], self._gyr[decided:]
        after = np.minimum(np.searchsorted(known, time_ns - _SAME_NS), len(known) - 1)
        before = np.maximum(after - 1, 0)
        same = np.abs(known[after] - time_ns) <= _SAME_NS
        apart = known[after] - known[before]
        between = (known[before] <= time_ns) & (after > before) & (apart <= self._limit_ns)
        share = np.where(same, 1.0, (time_ns - known[before]) / np.maximum(apart, 1))[:, np.newaxis]
        earlier, later = self._acc[before], self._acc[after]
        acc = np.where(share == 1.0, later, earlier + share * (later - earlier))
        good = same | between
        paired = Paired(time_ns[good], acc[good], gyr[good])
        if decided:  # of the acceleration only what later times can need
            needed = max(int(np.searchsorted(known, time_ns[-1], "right")) - 1, 0)
            self._acc_ns, self._acc = known[needed:], self._acc[needed:]
        return paired
