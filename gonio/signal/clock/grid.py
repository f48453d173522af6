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

import math
from typing import Final

import numpy as np

from gonio.signal.chunks import AlignedChunk, TimedChunk, trusted
from gonio.signal.clock.sensor import bridged_s
from gonio.signal.consts import SEGMENTS, BoolArray, FloatArray, Segment

#: The longest gap that is filled, s: a stage that integrates keeps its count of moments, and no more than it needs.
PAUSE_S: Final = 10.0
#: Samples of one stream that wait for the other: an hour and more at 100 Hz, 32 MB.
MAX_AHEAD: Final = 500_000
#: Moments worked on at once.
_BLOCK: Final = 4096
#: Columns of a stream: specific force, angular velocity, 1 where a fault has spoilt the sample, and its time.
_COLUMNS: Final = 8
_SPOILT: Final = 6
_TIME: Final = 7
_ROOM: Final = 256
#: A time before all others, s: what a line from there takes of its beginning is nothing, to the last bit.
_NEVER_S: Final = -1e300
#: What a block without a gap is.
_MEASURED: Final = np.ones(_BLOCK, dtype=np.bool_)
_MEASURED.flags.writeable = False


class _Stream:
    """Samples of one sensor that are still needed, in rows with room at the end.

    The row before the first sample is one that was never taken: it stands at _NEVER_S, so that a moment at or before
    the first sample lies in a gap without end, and takes nothing from it.
    """

    def __init__(self) -> None:
        self._t = np.empty(_ROOM)
        self._values = _rows(_ROOM)
        self._first = self._end = 1
        self._spoilt_to = 0  # no sample from here on is spoilt
        self.begin = np.nan
        self.newest = -np.inf

    @property
    def waiting(self) -> int:
        """How many samples are kept."""
        return self._end - self._first

    @property
    def spoilt(self) -> bool:
        """Whether any sample that is kept, or the one before, may be spoilt."""
        return self._spoilt_to >= self._first

    def add(self, chunk: TimedChunk, spoilt: BoolArray | None) -> None:
        """Append samples."""
        n = len(chunk)
        t_s = chunk.t_s
        begin = t_s.item(0)
        if not begin > self.newest:
            raise ValueError("t_s does not increase from chunk to chunk")
        if self._first == self._end:
            self.begin = begin
        self.newest = t_s.item(-1)
        if self._end + n > len(self._t):
            self._make_room(n)
        first, end = self._end, self._end + n
        self._t[first:end] = t_s
        self._values[first:end, :3] = chunk.acc
        self._values[first:end, 3:_SPOILT] = chunk.gyr
        self._values[first:end, _TIME] = t_s
        if spoilt is not None:
            self._values[first:end, _SPOILT] = spoilt
            self._spoilt_to = end
        self._end = end
        if self.waiting > MAX_AHEAD:
            self._first = self._end - MAX_AHEAD // 2
            self._values[self._first - 1, _TIME] = _NEVER_S
            self.begin = float(self._t[self._first])

    def _make_room(self, n: int) -> None:
        """Move what is kept to the front, of larger arrays when it fills more than half."""
        kept = slice(self._first - 1, self._end)
        length = kept.stop - kept.start
        size = len(self._t)
        while length + n > size // 2:
            size *= 2
        t, values = np.empty(size), _rows(size)
        t[:length], values[:length] = self._t[kept], self._values[kept]
        self._t, self._values = t, values
        self._spoilt_to -= kept.start
        self._first, self._end = 1, length

    def around(self, moments: FloatArray, earlier: FloatArray, later: FloatArray) -> int:
        """Find the samples before (later than all earlier ones) and at or after each moment (n,), s.

        Args:
            moments: none later than the newest sample.
            earlier: (n, 8) takes the rows of the samples before.
            later: (n, 8) takes those of the samples at or after.

        Returns:
            How many samples lie before the last moment.
        """
        first, end = self._first, self._end
        place = self._t[first:end].searchsorted(moments)
        self._values[first - 1 : end].take(place, 0, earlier, "clip")
        self._values[first:end].take(place, 0, later, "clip")
        return place.item(-1)

    def forget(self, count: int) -> None:
        """Drop the oldest samples; the last of them stays as the one before the next."""
        self._first += count


def _rows(n: int) -> FloatArray:
    """Make rows that hold no sample yet."""
    rows = np.zeros((n, _COLUMNS))
    rows[0, _TIME] = _NEVER_S
    return rows


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
        self._end_s = -math.inf  # what both streams have reached
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
        if end == self._end_s:
            return []
        self._end_s = end
        if self._start_s is None:
            self._start_s = max(thigh.begin, shank.begin)
        out: list[AlignedChunk] = []
        reached = self._reached(end)
        while (count := reached - self._next) > 0:
            chunk_out = self._align(self._start_s, min(count, _BLOCK))
            if chunk_out is not None:
                out.append(chunk_out)
        return out

    def finish(self) -> list[AlignedChunk]:
        """Give what is left: nothing, for a moment that only one stream has reached has no second half."""
        return []

    def _reached(self, end: float) -> int:
        """Give the number of the first moment after a time."""
        start_s, rate_hz = self._start_s or 0.0, self._rate_hz
        k = int((end - start_s) * rate_hz)
        while start_s + k / rate_hz > end:
            k -= 1
        while start_s + (k + 1) / rate_hz <= end:
            k += 1
        return k + 1

    def _align(self, start_s: float, n: int) -> AlignedChunk | None:
        """Give the next n moments, up to a pause; where they begin in one, leap over it and give None."""
        moments = np.arange(float(self._next), float(self._next + n))
        moments /= self._rate_hz
        moments += start_s
        thigh, shank = self._streams.values()
        earlier, later = np.empty((2, 2, n, _COLUMNS))
        thigh_passed = thigh.around(moments, earlier[0], later[0])
        shank_passed = shank.around(moments, earlier[1], later[1])
        after = later[:, :, _TIME]
        earlier -= later
        width = earlier[:, :, _TIME]  # of the step between the two samples, below 0
        measured = _MEASURED[:n]
        if -width.item(width.argmin()) > self._bridged_s:
            width_s = np.where(after == moments, 0.0, -width)
            paused: BoolArray = np.logical_or(*(width_s > PAUSE_S))
            if paused[0]:
                self._leap(float(after[:, 0][width_s[:, 0] > PAUSE_S].max()))
                return None
            if paused.any():
                return self._align(start_s, int(paused.argmax()))
            measured = np.logical_and(*(width_s <= self._bridged_s))
        weight = after - moments  # of the sample before, below 0; 0 where the moment is that of the other
        weight /= width
        earlier *= weight[:, :, np.newaxis]
        later -= earlier
        if thigh.spoilt or shank.spoilt:
            measured = measured & (np.add(*later[:, :, _SPOILT]) == 0.0)
        if self._leapt:
            measured = measured.copy()
            measured[0] = self._leapt = False
        self._next += n
        thigh.forget(thigh_passed)
        shank.forget(shank_passed)
        for array in (moments, later, measured):
            array.flags.writeable = False
        one, two = later[0], later[1]
        return trusted(AlignedChunk, moments, one[:, :3], one[:, 3:6], two[:, :3], two[:, 3:6], measured)

    def _leap(self, to_s: float) -> None:
        """Go on with the first moment of the grid that is not before a time."""
        start_s, rate_hz = self._start_s or 0.0, self._rate_hz
        k = max(self._next + 1, math.ceil((to_s - start_s) * rate_hz) - 1)
        while start_s + k / rate_hz < to_s:
            k += 1
        self._next = k
        self._leapt = True
