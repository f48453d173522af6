"""Both sensors on one grid of moments, from two streams that each have their own moments.

The grid begins where both streams have, and its k-th moment is ``start + k / rate``. A value is on the line between
the two samples around its moment. What the gaps do:

- up to ``clock.bridged_s`` the line is taken for a measurement;
- longer ones are bridged too, but ``measured`` is False inside;
- inside one longer than PAUSE_S nothing is given: ``t_s`` leaps by whole steps to the first moment after it, and
  ``measured`` is False at that one, so that whatever spans the leap shows it.

``measured`` is False too where a sample that a fault has spoilt has a part in the value.

A moment is given as soon as both streams have reached it, so the streams' order and chunks change nothing. While one
stream is ahead its samples wait, MAX_AHEAD of them at most; beyond, the oldest are dropped and leave a gap.
"""

from typing import Final

import numpy as np

from gonio.signal.chunks import AlignedChunk, TimedChunk
from gonio.signal.clock.sensor import bridged_s
from gonio.signal.consts import SEGMENTS, BoolArray, FloatArray, Segment

#: The longest gap that is filled, s: a stage that integrates keeps its count of moments, and no more than it needs.
PAUSE_S: Final = 10.0
#: Samples of one stream that wait for the other: an hour and more at 100 Hz, 32 MB.
MAX_AHEAD: Final = 500_000
#: Moments worked on at once.
_BLOCK: Final = 4096
#: Columns of a stream: specific force, angular velocity, and 1 where a fault has spoilt the sample.
_COLUMNS: Final = 7
_SPOILT: Final = 6
_ROOM: Final = 256


class _Stream:
    """Samples of one sensor that are still needed, in rows with room at the end.

    The row before the first sample is one that was never taken: it stands at minus infinity, so that a moment at or
    before the first sample lies in a gap without end, and takes nothing from it.
    """

    def __init__(self) -> None:
        self._t = np.full(_ROOM, -np.inf)
        self._values = np.zeros((_ROOM, _COLUMNS))
        self._first = self._end = 1
        self.begin = np.nan
        self.newest = -np.inf

    @property
    def waiting(self) -> int:
        """How many samples are kept."""
        return self._end - self._first

    def add(self, chunk: TimedChunk, spoilt: BoolArray | None) -> None:
        """Append samples."""
        n = len(chunk)
        if not chunk.t_s[0] > self.newest:
            raise ValueError("t_s does not increase from chunk to chunk")
        if self._first == self._end:
            self.begin = float(chunk.t_s[0])
        self.newest = float(chunk.t_s[-1])
        if self._end + n > len(self._t):
            self._make_room(n)
        part = slice(self._end, self._end + n)
        self._t[part] = chunk.t_s
        rows = self._values[part]
        rows[:, :3] = chunk.acc
        rows[:, 3:_SPOILT] = chunk.gyr
        rows[:, _SPOILT] = 0.0 if spoilt is None else spoilt
        self._end += n
        if self.waiting > MAX_AHEAD:
            self._first = self._end - MAX_AHEAD // 2
            self._t[self._first - 1] = -np.inf
            self.begin = float(self._t[self._first])

    def _make_room(self, n: int) -> None:
        """Move what is kept to the front, of larger arrays when it fills more than half."""
        kept = slice(self._first - 1, self._end)
        length = kept.stop - kept.start
        size = len(self._t)
        while length + n > size // 2:
            size *= 2
        t, values = np.full(size, -np.inf), np.zeros((size, _COLUMNS))
        t[:length], values[:length] = self._t[kept], self._values[kept]
        self._t, self._values = t, values
        self._first, self._end = 1, length

    def around(self, moments: FloatArray, t: FloatArray, values: FloatArray) -> int:
        """Find the samples before (later than all earlier ones) and at or after each moment (n,), s.

        Args:
            moments: none later than the newest sample.
            t: (2, n) takes their times, s.
            values: (2, n, 7) takes their values.

        Returns:
            How many samples lie before the last moment.
        """
        first, end = self._first, self._end
        place = self._t[first:end].searchsorted(moments)
        self._t[first - 1 : end].take(place, out=t[0], mode="clip")
        self._t[first:end].take(place, out=t[1], mode="clip")
        self._values[first - 1 : end].take(place, axis=0, out=values[0], mode="clip")
        self._values[first:end].take(place, axis=0, out=values[1], mode="clip")
        return int(place[-1])

    def forget(self, count: int) -> None:
        """Drop the oldest samples; the last of them stays as the one before the next."""
        self._first += count


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
        self._streams: dict[Segment, _Stream] = {segment: _Stream() for segment in SEGMENTS}
        self._start_s: float | None = None
        self._next = 0
        self._leapt = False

    def feed(self, segment: Segment, chunk: TimedChunk, spoilt: BoolArray | None = None) -> list[AlignedChunk]:
        """Take samples of one sensor in; give the moments that both have reached.

        Args:
            segment: where the sensor sits.
            chunk: its samples.
            spoilt: (n,) which of them a fault has spoilt; None when none is.

        Raises:
            ValueError: the samples are not later than those before them.
        """
        if len(chunk) == 0:
            return []
        self._streams[segment].add(chunk, spoilt)
        thigh, shank = self._streams.values()
        end = min(thigh.newest, shank.newest)
        if end == -np.inf:
            return []
        if self._start_s is None:
            self._start_s = max(thigh.begin, shank.begin)
        out: list[AlignedChunk] = []
        while (count := self._reached(end)) > 0:
            chunk_out = self._align(self._start_s, min(count, _BLOCK))
            if chunk_out is not None:
                out.append(chunk_out)
        return out

    def finish(self) -> list[AlignedChunk]:
        """Give what is left: nothing, for a moment that only one stream has reached has no second half."""
        return []

    def _moment(self, k: int) -> float:
        return (self._start_s or 0.0) + k / self._rate_hz

    def _reached(self, end: float) -> int:
        """Give how many moments more lie up to a time."""
        k = int((end - (self._start_s or 0.0)) * self._rate_hz)
        while self._moment(k) > end:
            k -= 1
        while self._moment(k + 1) <= end:
            k += 1
        return k + 1 - self._next

    def _align(self, start_s: float, n: int) -> AlignedChunk | None:
        """Give the next n moments, up to a pause; where they begin in one, leap over it and give None."""
        moments = np.arange(self._next, self._next + n) / self._rate_hz
        moments += start_s
        t, values = np.empty((2, 2, n)), np.empty((2, 2, n, _COLUMNS))
        streams = list(self._streams.values())
        passed = [stream.around(moments, t[k], values[k]) for k, stream in enumerate(streams)]
        before, after = t[:, 0], t[:, 1]
        width = after - before
        weight = (after - moments) / width  # of the sample before; 0 where the moment is that of a sample
        measured = np.ones(n, dtype=np.bool_)
        if width.max() > self._bridged_s:
            width[after == moments] = 0.0
            paused: BoolArray = np.logical_or(*(width > PAUSE_S))
            if paused[0]:
                self._leap(float(after[:, 0][width[:, 0] > PAUSE_S].max()))
                return None
            if paused.any():
                return self._align(start_s, int(paused.argmax()))
            measured = np.logical_and(*(width <= self._bridged_s))
        values[:, 0] -= values[:, 1]
        values[:, 0] *= weight[:, :, np.newaxis]
        rows = values[:, 1]
        rows += values[:, 0]
        spoilt = rows[:, :, _SPOILT]
        if spoilt.any():
            measured = measured & (np.add(*spoilt) == 0.0)
        if self._leapt:
            measured[0] = self._leapt = False
        self._next += n
        for stream, count in zip(streams, passed, strict=True):
            stream.forget(count)
        for array in (moments, values, measured):
            array.flags.writeable = False
        thigh, shank = values[0, 1], values[1, 1]
        return AlignedChunk(moments, thigh[:, :3], thigh[:, 3:6], shank[:, :3], shank[:, 3:6], measured)

    def _leap(self, to_s: float) -> None:
        """Go on with the first moment of the grid that is not before a time."""
        k = max(self._next + 1, int(np.ceil((to_s - (self._start_s or 0.0)) * self._rate_hz)) - 1)
        while self._moment(k) < to_s:
            k += 1
        self._next = k
        self._leapt = True
