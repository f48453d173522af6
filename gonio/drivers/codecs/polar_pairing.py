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
        decided = int(self._gyr_ns.searchsorted(known[-1] + _SAME_NS, "right")) if len(known) else 0
        time_ns, gyr = self._gyr_ns[:decided], self._gyr[:decided]
        if not decided:
            return Paired(time_ns, self._acc[:0], gyr)
        self._gyr_ns, self._gyr = self._gyr_ns[decided:], self._gyr[decided:]
        after = known.searchsorted(time_ns - _SAME_NS)  # never behind the end: the last is as late as the latest time
        before = np.maximum(after - 1, 0)
        since_ns, apart_ns = time_ns - known[before], known[after] - known[before]
        same = since_ns >= apart_ns - _SAME_NS  # as late as the later neighbour
        good = same | ((after > 0) & (apart_ns <= self._limit_ns))
        share = np.where(same, 1.0, since_ns / np.maximum(apart_ns, 1))[:, np.newaxis]
        acc = self._acc[before]
        acc += share * (self._acc[after] - acc)
        needed = max(int(known.searchsorted(time_ns[-1], "right")) - 1, 0)  # what later times can still need
        self._acc_ns, self._acc = known[needed:], self._acc[needed:]
        return Paired(time_ns, acc, gyr) if good.all() else Paired(time_ns[good], acc[good], gyr[good])
