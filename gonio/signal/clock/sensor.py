"""From a sensor's own time to the kit's clock, with every defect of the stream counted.

Three kinds of streams:

- with the sensor's times and arrivals: offset and drift are fitted on the lower envelope of the delays (`envelope`);
  samples wait for the first estimate until there is 1 s of them;
- with arrivals only: time comes from the number of the sample and an estimated rate (`pace`); the wait is 2 s;
- with the sensor's times only (a recording): they are the kit's clock, unchanged.

A restart of the sensor's clock begins a new fit. Samples that came twice are dropped, by their time. Lost samples are
counted from the steps of the sensor's time, or, where it has none, from the rate.
"""

import math
from collections import deque
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import numpy as np

from gonio.signal.chunks import SampleChunk, StreamDefects, TimedChunk, trusted
from gonio.signal.clock.envelope import ClockMap
from gonio.signal.clock.pace import Pacer
from gonio.signal.consts import FloatArray, Segment

#: A pause up to this may be bridged by a line, s: bursts of three lost samples, bridged so, cost three
#: kinds of recordings 0.04 to 0.25° (RMSE), and drop landings 2°.
BRIDGED_S: Final = 0.15
#: Time between two estimates, s: with the bend of 2 s it cannot swing.
ESTIMATE_S: Final = 0.64
#: Sensor time that the first estimate waits for, s.
FIRST_S: Final = 1.0
#: How long an estimate remembers, s: long enough for a drift of a few ppm, short enough to follow its changes.
WINDOW_S: Final = 60.0
#: Bound on the drift of a sensor with a clock: crystals keep within 100 ppm, but a clock that is a count of samples
#: at their nominal rate is as far off as that rate.
MAX_DRIFT: Final = 0.02
#: How far the typical step may be from the nominal one, as a factor, before four fifths of the steps must agree on it
#: within this share: a sensor may run at half or twice the rate it is named by.
_PLAUSIBLE, _AGREE_SHARE = 1.5, 0.2
#: Steps of time that are surely shorter than this, in typical ones, have no lost sample in them.
_WHOLE: Final = 1.49
#: Distinct times remembered to tell a repeated sample from a restart: the largest notification known, twice.
_REMEMBERED: Final = 64


def bridged_s(rate_hz: float) -> float:
    """Give the longest pause between samples that may be bridged at a rate, s."""
    return max(BRIDGED_S, 2.5 / rate_hz)


class StepCounter:
    """Counts lost samples and measures the rate from the steps of a sensor's own time.

    Attributes:
        lost: samples missing so far.
    """

    def __init__(self, rate_hz: float, block: int) -> None:
        self._step_s = 1 / rate_hz
        self._block = block
        self._pending: list[float] = []
        self._last: float | None = None
        self._steps = 0  # whole steps, and the time they took, outside of pauses
        self._steps_s = 0.0
        self.lost = 0

    def feed(self, x: Sequence[float]) -> None:
        """Take in increasing times, s."""
        pending = self._pending
        pending += x
        while len(pending) >= self._block:
            self._count(pending[: self._block])
            del pending[: self._block]

    def restart(self) -> None:
        """Forget the last time: the next one does not follow it."""
        self.finish()
        self._last = None

    def _count(self, x: list[float]) -> None:
        if self._last is not None:
            x = [self._last, *x]
        self._last = x[-1]
        steps_s = [b - a for a, b in pairwise(x)]
        if len(steps_s) >= self._block // 2:
            self._learn(sorted(steps_s))
        if steps_s and max(steps_s) < _WHOLE * self._step_s:  # nothing is lost, and all are steps of one
            self._steps += len(steps_s)
            self._steps_s = sum(steps_s, self._steps_s)
            return
        longest_s = bridged_s(1 / self._step_s)
        for step_s in steps_s:
            steps = max(1, round(step_s / self._step_s))
            self.lost += steps - 1
            if step_s < longest_s:
                self._steps += steps
                self._steps_s += step_s

    def _learn(self, steps_s: list[float]) -> None:
        """Take the step from what is typical of these, sorted; one far from the nominal only where nearly all agree."""
        typical = steps_s[len(steps_s) // 2]
        if not 1 / _PLAUSIBLE < typical / self._step_s < _PLAUSIBLE:
            few = len(steps_s) // 10
            if steps_s[-1 - few] - steps_s[few] > _AGREE_SHARE * typical:
                return  # more are lost than not
        self._step_s = typical

    def finish(self) -> None:
        """Count what waits for its block to be full."""
        if self._pending:
            self._count(self._pending)
            self._pending = []

    @property
    def rate_hz(self) -> float:
        """The rate on the sensor's clock, Hz; NaN before it is known."""
        return self._steps / self._steps_s if self._steps_s > 0 else float("nan")


class SensorClock:
    """Puts the samples of one sensor on the kit's clock: the stage between drivers and grid."""

    def __init__(self, segment: Segment, rate_hz: float) -> None:
        """Begin.

        Args:
            segment: where the sensor sits, for the count of defects.
            rate_hz: its nominal rate, Hz.
        """
        if not rate_hz > 0:
            raise ValueError("rate_hz must be above 0")
        block = max(8, round(ESTIMATE_S * rate_hz))
        self._segment = segment
        self._rate_hz = rate_hz
        self._bridged_s = bridged_s(rate_hz)
        self._map = ClockMap(block=block, first_s=FIRST_S, window_s=WINDOW_S, max_drift=MAX_DRIFT)
        self._pacer = Pacer(rate_hz, block)
        self._steps = StepCounter(rate_hz, block)
        self._kind: tuple[bool, bool] | None = None
        self._recent: deque[float] = deque(maxlen=_REMEMBERED)
        self._shift_s = 0.0  # without arrivals: added so that time goes on after a restart
        self._waiting: list[tuple[FloatArray, FloatArray]] = []  # acc, gyr of samples that have no time yet
        self._waiting_count = 0
        self._newest_s = 0.0  # the last time on the clock without arrivals
        self._last_s = -math.inf  # the last time given
        self._samples = self._repeated = self._restarts = self._gaps = 0
        self._longest_s = 0.0

    def feed(self, chunk: SampleChunk) -> list[TimedChunk]:
        """Take samples in; give those whose time on the kit's clock is known.

        Raises:
            ValueError: the samples have other times (sensor's, arrivals) than those before them.
        """
        kind = (chunk.sensor_s is not None, chunk.arrival_s is not None)
        if self._kind not in (None, kind):
            raise ValueError("a sensor gives the same times for all of its samples")
        self._kind = kind
        self._samples += len(chunk)
        acc, gyr = chunk.acc, chunk.gyr
        arrival = None if chunk.arrival_s is None else chunk.arrival_s.tolist()
        if chunk.sensor_s is None:
            times = self._pacer.feed(arrival or [])
        else:
            x = chunk.sensor_s.tolist()
            repeated, restarts = self._screen(x)
            if repeated:
                keep = np.ones(len(x), dtype=np.bool_)
                keep[repeated] = False
                acc, gyr, x = acc[keep], gyr[keep], chunk.sensor_s[keep].tolist()
                arrival = None if chunk.arrival_s is None else chunk.arrival_s[keep].tolist()
            times = self._place(x, arrival, restarts)
        return self._give(acc, gyr, times)

    def finish(self) -> list[TimedChunk]:
        """Give the samples that still wait for an estimate."""
        self._steps.finish()
        return self._give(np.empty((0, 3)), np.empty((0, 3)), self._pacer.finish() + self._map.finish())

    @property
    def defects(self) -> StreamDefects:
        """What went wrong so far; lost samples are counted a block at a time, and to the last by ``finish``."""
        numbered = self._kind == (False, True)
        rate = self._rate_hz if numbered else self._steps.rate_hz
        drift = self._pacer.drift if numbered else self._map.drift
        return StreamDefects(
            self._segment,
            samples=self._samples,
            lost=self._pacer.lost if numbered else self._steps.lost,
            repeated=self._repeated,
            restarts=self._restarts + self._map.restarts,
            gaps=self._gaps,
            longest_gap_s=self._longest_s,
            rate_hz=rate / (1 + drift) if self._samples else float("nan"),
        )

    def _screen(self, x: list[float]) -> tuple[list[int], list[int]]:
        """Give the indices of repeated samples, and those, among the rest, of samples that begin the clock anew."""
        recent = self._recent
        last = recent[-1] if recent else -math.inf
        for time_s in x:
            if not time_s > last:
                break
            last = time_s
        else:
            recent.extend(x[-_REMEMBERED:])
            return [], []
        repeated: list[int] = []
        restarts: list[int] = []
        for i, time_s in enumerate(x):
            if recent and time_s <= recent[-1]:
                if time_s in recent:
                    repeated.append(i)
                    continue
                restarts.append(i - len(repeated))
                recent.clear()
            recent.append(time_s)
        self._repeated += len(repeated)
        return repeated, restarts

    def _place(self, x: list[float], arrival: list[float] | None, restarts: list[int]) -> list[float]:
        """Give the times of the next samples in order, after new ones that restart the clock at some indices."""
        if not restarts:
            return self._follow(x, arrival)
        out: list[float] = []
        for begin, end in pairwise(sorted({0, *restarts, len(x)})):
            if begin in restarts:
                self._steps.restart()
                if arrival is not None:
                    out += self._map.restart()
                else:
                    self._restarts += 1
                    self._shift_s = self._newest_s + 1 / self._rate_hz - x[begin]
            out += self._follow(x[begin:end], None if arrival is None else arrival[begin:end])
        return out

    def _follow(self, x: list[float], arrival: list[float] | None) -> list[float]:
        """Give the times of the next samples in order, after new ones that follow those before them."""
        if arrival is None:
            self._steps.feed(x)
            shift_s = self._shift_s
            times = [one + shift_s for one in x] if shift_s else x
            if times:
                self._newest_s = times[-1]
            return times
        out: list[float] = []
        while x:
            times, taken = self._map.feed(x, arrival)
            out += times
            if taken == 0:
                self._steps.restart()
            self._steps.feed(x[:taken])
            x, arrival = x[taken:], arrival[taken:]
        return out

    def _give(self, acc: FloatArray, gyr: FloatArray, times: list[float]) -> list[TimedChunk]:
        """Join times with the samples that waited for them and with new ones (n, 3)."""
        n = len(times)
        if self._waiting_count or len(acc) != n:
            self._waiting.append((acc, gyr))
            self._waiting_count += len(acc) - n
            if n == 0:
                return []
            acc, gyr = (np.concatenate(parts) for parts in zip(*self._waiting, strict=True))
            self._waiting = [(acc[n:], gyr[n:])] if self._waiting_count else []
            acc, gyr = acc[:n], gyr[:n]
        if n == 0:
            return []
        last, longest = self._last_s, self._bridged_s
        for time_s in times:
            if not 0.0 < time_s - last <= longest:
                self._pause(last, time_s)
            last = time_s
        self._last_s = last
        t = np.array(times)
        for array in (t, acc, gyr):
            array.flags.writeable = False
        return [trusted(TimedChunk, t, acc, gyr)]

    def _pause(self, last_s: float, time_s: float) -> None:
        """Note a step of the times given that is none from sample to sample: a gap, or the first."""
        if not time_s > last_s:
            raise ValueError("the times on the kit's clock do not increase")
        if last_s > -math.inf:
            self._gaps += 1
            self._longest_s = max(self._longest_s, time_s - last_s)
