"""Both sensors on one grid of moments, from two streams that each have their own moments.

The grid begins where both streams have, and its k-th moment is ``start + k / rate``. A value is on the line between
the two samples around its moment. What the gaps do:

- up to ``clock.bridged_s`` the line is taken for a measurement;
- longer ones are bridged too, but ``measured`` is False inside;
- inside one longer than PAUSE_S nothing is given: ``t_s`` leaps by whole steps to the first moment after it, and
  ``measured`` is False at that one, so that whatever spans the leap shows it.

A moment is given as soon as both streams have reached it, so the streams' order and chunks change nothing. While one
stream is ahead its samples wait, MAX_AHEAD of them at most; beyond, the oldest are dropped and leave a gap.
"""

from typing import Final

import numpy as np

from gonio.signal.chunks import AlignedChunk, TimedChunk
from gonio.signal.clock import bridged_s
from gonio.signal.consts import SEGMENTS, FloatArray, Segment

#: The longest gap that is filled, s: a stage that integrates keeps its count of moments, and no more than it needs.
PAUSE_S: Final = 10.0
#: Samples of one stream that wait for the other: an hour and more at 100 Hz, 30 MB.
MAX_AHEAD: Final = 500_000
#: Moments worked on at once.
_BLOCK: Final = 4096


class _Stream:
    """Samples of one sensor that are still needed."""

    def __init__(self) -> None:
        self._parts: list[tuple[FloatArray, FloatArray]] = []
        self._waiting = 0
        self.begin = np.nan
        self.newest = -np.inf

    def add(self, chunk: TimedChunk) -> None:
        if not chunk.t_s[0] > self.newest:
            raise ValueError("t_s does not increase from chunk to chunk")
        if self._waiting == 0:
            self.begin = float(chunk.t_s[0])
        self.newest = float(chunk.t_s[-1])
        self._parts.append((chunk.t_s, np.concatenate((chunk.acc, chunk.gyr), axis=1)))
        self._waiting += len(chunk)
        if self._waiting > MAX_AHEAD:
            self._keep(MAX_AHEAD // 2)

    def _keep(self, count: int) -> None:
        t, values = self.samples()
        self._parts = [(t[-count:], values[-count:])]
        self._waiting = len(self._parts[0][0])
        self.begin = float(self._parts[0][0][0])

    def samples(self) -> tuple[FloatArray, FloatArray]:
        """Give times (n,) and values (n, 6)."""
        if len(self._parts) > 1:
            times, values = zip(*self._parts, strict=True)
            self._parts = [(np.concatenate(times), np.concatenate(values))]
        return self._parts[0]

    def forget_before(self, moment: float) -> None:
        """Drop what no moment from this one on needs."""
        t, _ = self.samples()
        self._keep(len(t) - max(0, int(np.searchsorted(t, moment, side="right")) - 1))


class Aligner:
    """Two streams of timed samples become one of aligned samples: the stage between clocks and orientation."""

    def __init__(self, rate_hz: float) -> None:
        """Begin.

        Args:
            rate_hz: rate of the grid, Hz.
        """
        if not rate_hz > 0:
            raise ValueError("rate_hz must be above 0")
        self._rate_hz = rate_hz
        self._bridged_s = bridged_s(rate_hz)
        self._streams: dict[Segment, _Stream] = {"thigh": _Stream(), "shank": _Stream()}
        self._start_s: float | None = None
        self._next = 0
        self._leapt = False

    def feed(self, segment: Segment, chunk: TimedChunk) -> list[AlignedChunk]:
        """Take samples of one sensor in; give the moments that both have reached.

        Raises:
            ValueError: the samples are not later than those before them.
        """
        if len(chunk) == 0:
            return []
        self._streams[segment].add(chunk)
        thigh, shank = self._streams["thigh"], self._streams["shank"]
        end = min(thigh.newest, shank.newest)
        if not np.isfinite(end):
            return []
        if self._start_s is None:
            self._start_s = max(thigh.begin, shank.begin)
        out: list[AlignedChunk] = []
        while (moments := self._moments(end)).size:
            chunk_out = self._align(moments)
            if chunk_out is not None:
                out.append(chunk_out)
        for stream in (thigh, shank):
            stream.forget_before(self._moment(self._next))
        return out

    def finish(self) -> list[AlignedChunk]:
        """Give what is left: nothing, for a moment that only one stream has reached has no second half."""
        return []

    def _moment(self, k: int) -> float:
        return (self._start_s or 0.0) + k / self._rate_hz

    def _moments(self, end: float) -> FloatArray:
        """Give the next moments up to a time, a block of them at most."""
        moments = (self._start_s or 0.0) + np.arange(self._next, self._next + _BLOCK) / self._rate_hz
        return moments[moments <= end]

    def _align(self, moments: FloatArray) -> AlignedChunk | None:
        """Give the first of these moments, up to a pause; where they begin in one, leap over it and give None."""
        places = {segment: _Places(*stream.samples(), moments) for segment, stream in self._streams.items()}
        paused = np.logical_or(*(place.gap_s > PAUSE_S for place in places.values()))
        if paused[0]:
            resume = max(place.resumes_s for place in places.values() if place.gap_s[0] > PAUSE_S)
            self._next = self._first_from(resume)
            self._leapt = True
            return None
        n = int(paused.argmax()) if paused.any() else len(moments)
        self._next += n
        measured = np.logical_and(*(place.gap_s[:n] <= self._bridged_s for place in places.values()))
        if self._leapt:
            measured[0] = self._leapt = False
        thigh, shank = (places[segment].values(n) for segment in SEGMENTS)
        return AlignedChunk(moments[:n], thigh[:, :3], thigh[:, 3:], shank[:, :3], shank[:, 3:], measured)

    def _first_from(self, moment: float) -> int:
        """Give the number of the first moment of the grid that is not before a time."""
        k = max(self._next + 1, int(np.ceil((moment - (self._start_s or 0.0)) * self._rate_hz)) - 1)
        while self._moment(k) < moment:
            k += 1
        return k


class _Places:
    """Where moments fall among the samples of one stream.

    Attributes:
        gap_s: (n,) distance of the samples around each moment, s; 0 where it is that of a sample, infinite where the
            samples before it have been dropped.
        resumes_s: time of the first sample after the first moment, s.
    """

    def __init__(self, t: FloatArray, values: FloatArray, moments: FloatArray) -> None:
        after = np.searchsorted(t, moments, side="right")
        self._before = np.maximum(after - 1, 0)
        self._after = np.minimum(after, len(t) - 1)
        self._values = values
        width = t[self._after] - t[self._before]
        on_sample = t[self._before] == moments
        self._weight = np.where(on_sample, 0.0, (moments - t[self._before]) / np.where(width > 0, width, 1.0))
        self.gap_s = np.where(after == 0, np.inf, np.where(on_sample, 0.0, width))
        self.resumes_s = float(t[self._after[0]])

    def values(self, n: int) -> FloatArray:
        """Give the values (n, 6) at the first n moments."""
        before, after = self._values[self._before[:n]], self._values[self._after[:n]]
        weight = self._weight[:n, np.newaxis]
        return np.where(weight == 0, before, before + weight * (after - before))
