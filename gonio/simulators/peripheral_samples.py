"""What a virtual sensor measures: a motion, sampled at an even rate."""

import math
from collections.abc import Callable
from typing import Final, TypeAlias

import numpy as np

from gonio.signal.consts import FloatArray

#: Moments (n,) in s after the motion's beginning -> specific force (n, 3) m/s² and angular velocity (n, 3) rad/s.
Feed: TypeAlias = Callable[[FloatArray], tuple[FloatArray, FloatArray]]

#: Samples fetched from the feed at once: one call for many is cheaper than many calls.
_BLOCK: Final = 64


class Samples:
    """A motion sampled at an even rate, from index 0 at the motion's beginning.

    Attributes:
        count: samples until the motion's end.
    """

    def __init__(self, feed: Feed, duration_s: float, rate_hz: float) -> None:
        self._feed = feed
        self._rate_hz = rate_hz
        self.count = math.floor(duration_s * rate_hz + 1e-6) + 1
        self._begin = 0  # index of the block's first sample
        self._acc: FloatArray = np.empty((0, 3))
        self._gyr: FloatArray = np.empty((0, 3))

    def take(self, first: int, stop: int) -> tuple[FloatArray, FloatArray]:
        """Give samples first to stop - 1; earlier ones than those of the last call are gone."""
        known = self._begin + len(self._acc)
        if first > known:  # passed over, unseen
            self._begin, known = first, first
            self._acc = self._gyr = np.empty((0, 3))
        if stop > known:
            until = min(max(stop, known + _BLOCK), self.count)
            t_s = np.arange(known, until) / self._rate_hz
            acc, gyr = self._feed(t_s)
            keep = slice(first - self._begin, None)
            self._acc, self._gyr = np.vstack((self._acc[keep], acc)), np.vstack((self._gyr[keep], gyr))
            self._begin = first
        part = slice(first - self._begin, stop - self._begin)
        return self._acc[part], self._gyr[part]
