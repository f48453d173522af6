"""Is the leg walking, and how many steps has it taken?

Walking is told by three marks together, which no repetition has all at once:

*It comes again*
    Both segments do the same after each stride. The turning of both sensors is compared with itself some time later,
    as vectors in the sensors' frames: no axis is needed, and half a stride is not taken for a whole one, because the
    leg swings forward in one half and back in the other.
*It goes round*
    A repetition goes out and comes back the same way; a stride goes round, because the knee is bent while the leg
    swings forward and straight while it goes back. The measure is the area that the postures enclose (``roundness``).
    Measured over a stride in windows of treadmill gait, plain and stiff-kneed, 0.5 to 0.9; in repetitions on the knee
    below 0.2.
*It shakes*
    The foot strikes the ground, and both sensors feel it (geometric mean of their shaking above a few hertz).

The stream is judged in windows that overlap and are cut by sample index. A window is known when it is full, so what is
known of a moment may change until ``settled``; whoever asks says when he asks, so that the answer does not depend on
how the stream was cut into chunks.
"""

import math
from collections import deque
from dataclasses import dataclass
from typing import Final

import numpy as np

from gonio.signal.consts import FloatArray
from gonio.signal.reps.moments import Vector

_HOP_S: Final = 1.25
_HOPS: Final = 3  # in a window: it holds two strides of a slow walk
#: Time after which everything is known of a moment, s.
SETTLED_S: Final = (_HOPS + 3.1) * _HOP_S
_THIN_HZ: Final = 20.0  # the turning is averaged to about this rate: a stride has little above 5 Hz
#: Strides of a brisk and of a very slow walk, s.
_SHORTEST_S, _LONGEST_S = 0.7, 2.2
#: Correlation of the turning with itself a stride later (measured: 0.46 to 0.98, median 0.9), and the share of the best
#: one that a shorter stride must have to be preferred: two strides are as like as one.
_ALIKE, _FIRST_SHARE = 0.5, 0.85
_ROUND: Final = 0.3
#: Root mean square turning of shank and thigh, rad/s: shuffling at 0.4 m/s has 1.0 and 0.5.
_SHANK_RAD_S, _THIGH_RAD_S = 0.35, 0.2
#: Mean shaking, m/s²: plain gait has 0.6 to 3; half of the gentlest simulated shuffle.
_SHAKE: Final = 0.12
_LEAD_S: Final = 2.5  # so long before the first window that is full of walking there may have been a step
_MOST_WINDOWS: Final = 4096  # remembered: more than an hour
_TINY: Final = 1e-12


def roundness(up1: FloatArray, up2: FloatArray) -> float:
    """Tell how far a way leads round instead of out and back.

    Args:
        up1: (n, 3) "up" in one sensor's frame along the way.
        up2: (n, 3) the same in the other.

    Returns:
        The area that the way encloses in the planes of its six coordinates, closed by a straight line, over that of a
        circle of the same spread: 0 for a way that comes back on itself, 1 for a circle.
    """
    way = np.concatenate((up1, up2), axis=1)
    way -= way.sum(axis=0) / len(way)
    across = way.T @ (np.concatenate((way[1:], way[:1])) - way)
    spread = float(np.vdot(way, way)) / len(way)
    twice = across - across.T
    area = 0.5 * math.sqrt(0.5 * float(np.vdot(twice, twice)))
    return area / (math.pi * spread + _TINY)


@dataclass(slots=True, eq=False)
class _Hop:
    span: tuple[float, float]  # first and last moment
    columns: tuple[list[Vector], ...]  # turning of thigh and shank, "up" in both
    shake: float
    wide: FloatArray | None = None


class Gait:
    """Finds walking in the stream, window by window.

    Attributes:
        walking_s: time spent walking so far, s.
    """

    def __init__(self, rate_hz: float) -> None:
        """Begin with an unknown motion.

        Args:
            rate_hz: rate of the samples, Hz.
        """
        self._thin = max(1, round(rate_hz / _THIN_HZ))
        self._bin_s = self._thin / rate_hz
        self._size = max(1, round(_HOP_S / self._bin_s)) * self._thin
        self._t: list[float] = []
        self._columns: tuple[list[Vector], ...] = ([], [], [], [])
        self._shake: list[float] = []
        self._window: list[_Hop] = []
        self._spans: deque[tuple[float, float]] = deque(maxlen=_MOST_WINDOWS)
        self._doubtful: tuple[float, tuple[float, float]] | None = None
        self._walked = False
        self._strides = 0.0
        self.walking_s = 0.0

    @property
    def steps(self) -> int:
        """Steps of this leg so far."""
        return round(self._strides)

    def feed(
        self,
        t: list[float],
        up: tuple[list[Vector], list[Vector]],
        gyr: tuple[list[Vector], list[Vector]],
        shake: list[float],
    ) -> None:
        """Take consecutive samples: lists of the same length.

        Args:
            t: kit's clock, s.
            up: "up" in the thigh's and in the shank's sensor.
            gyr: angular velocity in both, rad/s.
            shake: shaking of both, m/s².
        """
        self._t += t
        self._shake += shake
        for column, more in zip(self._columns, (*gyr, *up), strict=True):
            column.extend(more)
        while len(self._t) >= self._size:
            self._close()

    def _close(self) -> None:
        n = self._size
        span, shake = (self._t[0], self._t[n - 1]), sum(self._shake[:n]) / n
        self._window = [*self._window[1 - _HOPS :], _Hop(span, tuple(column[:n] for column in self._columns), shake)]
        for column in (self._t, self._shake):
            del column[:n]
        for vectors in self._columns:
            del vectors[:n]
        if len(self._window) < _HOPS:
            return
        stride_s, span = self._stride(), (self._window[0].span[0], span[1])
        if stride_s is not None and self._doubtful is not None:  # one window alone is no walk
            hop_s = self._size // self._thin * self._bin_s
            first_stride_s, first_span = self._doubtful
            if not self._walked:
                self._spans.append((first_span[0], span[1]))
                self.walking_s += hop_s
                self._strides += hop_s / first_stride_s
            self._spans.append(span)
            self.walking_s += hop_s
            self._strides += hop_s / stride_s
            self._walked = True
        else:
            self._walked = False
        self._doubtful = None if stride_s is None else (stride_s, span)

    def _thinned(self, hop: _Hop) -> FloatArray:
        """Give a hop's turning and postures (bins, 12), averaged over bins; worked out when first asked for."""
        if hop.wide is None:
            columns = np.concatenate([np.array(column) for column in hop.columns], axis=1)
            hop.wide = columns.reshape(-1, self._thin, 12).sum(axis=1) / self._thin
        return hop.wide

    def _stride(self) -> float | None:
        """Give the duration of a stride in the window, s; None when it is no walking."""
        if sum(hop.shake for hop in self._window) < _HOPS * _SHAKE:
            return None
        wide = np.concatenate([self._thinned(hop) for hop in self._window])
        turning, way = wide[:, :6], wide[:, 6:]
        n = len(wide)
        squares = turning * turning
        if squares[:, :3].sum() < n * _THIGH_RAD_S**2 or squares[:, 3:].sum() < n * _SHANK_RAD_S**2:
            return None
        first, beyond = round(_SHORTEST_S / self._bin_s), min(2 * n // 3, round(_LONGEST_S / self._bin_s)) + 1
        spectrum = np.fft.rfft(np.ascontiguousarray(turning.T), 2 * n)
        power = (spectrum * spectrum.conj()).real.sum(axis=0)
        energy = squares.sum(axis=1).cumsum()  # up to each bin, itself included
        parts = energy[n - beyond : n - first][::-1] * (energy[-1] - energy[first - 1 : beyond - 1])
        alike = np.fft.irfft(power, 2 * n)[first:beyond] / np.sqrt(parts + _TINY)
        best = float(alike.max())
        if best < _ALIKE:
            return None
        stride = int(np.argmax(alike >= _FIRST_SHARE * best))
        while stride + 1 < len(alike) and alike[stride + 1] > alike[stride]:
            stride += 1
        lag = first + stride
        once = way[:lag]
        return lag * self._bin_s if roundness(once[:, :3], once[:, 3:]) > _ROUND else None

    def walking(self, moment_s: float, now_s: float) -> bool:
        """Tell whether a moment fell into walking, by what was known at another moment, both on the kit's clock, s.

        Everything is known of a moment ``SETTLED_S`` later.
        """
        for begin, end in reversed(self._spans):
            if end <= now_s:
                if begin - _LEAD_S <= moment_s <= end:
                    return True
                if end < moment_s:
                    return False
        return False
