"""From a sensor's own time to the kit's clock, with every defect of the stream counted.

Three kinds of streams:

- with the sensor's times and arrivals: offset and drift are fitted on the lower envelope of the delays (`envelope`);
  samples wait for the first estimate until there is 1 s of them;
- with arrivals only: time comes from the number of the sample and an estimated rate (`pace`); the wait is 2 s;
- with the sensor's times only (a recording): they are the kit's clock, unchanged.

A restart of the sensor's clock begins a new fit. Samples that came twice are dropped, by their time. Lost samples are
counted from the steps of the sensor's time, or, where it has none, from the rate.
"""

from collections import deque
from itertools import pairwise
from typing import Final

import numpy as np

from gonio.signal.chunks import SampleChunk, StreamDefects, TimedChunk
from gonio.signal.consts import BoolArray, FloatArray, Segment
from gonio.signal.envelope import ClockMap
from gonio.signal.pace import Pacer

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
        self._pending: list[FloatArray] = []
        self._waiting = 0
        self._last: float | None = None
        self._steps = 0.0  # whole steps, and the time they took, outside of pauses
        self._steps_s = 0.0
        self.lost = 0

    def feed(self, x: FloatArray) -> None:
        """Take in increasing times (n,), s."""
        while len(x):
            part = x[: self._block - self._waiting]
            x = x[len(part) :]
            self._pending.append(part)
            self._waiting += len(part)
            if self._waiting == self._block:
                self._count()

    def restart(self) -> None:
        """Forget the last time: the next one does not follow it."""
        self._count()
        self._last = None

    def _count(self) -> None:
        known = [] if self._last is None else [np.array([self._last])]
        x = np.concatenate([*known, *self._pending]) if self._pending else np.empty(0)
        self._pending, self._waiting = [], 0
        if len(x) == 0:
            return
        self._last = float(x[-1])
        steps_s = np.diff(x)
        if len(steps_s) >= self._block // 2:
            typical = float(np.median(steps_s))
            if 1 / 1.5 < typical / self._step_s < 1.5:  # noqa: PLR2004 - beyond, most samples are lost
                self._step_s = typical
        steps = np.maximum(1.0, np.rint(steps_s / self._step_s))
        self.lost += int(steps.sum()) - len(steps)
        short = steps_s < bridged_s(1 / self._step_s)
        self._steps += float(steps[short].sum())
        self._steps_s += float(steps_s[short].sum())

    def finish(self) -> None:
        """Count what waits for its block to be full."""
        self._count()

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
        self._map = ClockMap(block=block, first_s=FIRST_S, window_s=WINDOW_S, max_drift=MAX_DRIFT)
        self._pacer = Pacer(rate_hz, block)
        self._steps = StepCounter(rate_hz, block)
        self._kind: tuple[bool, bool] | None = None
        self._recent: deque[float] = deque(maxlen=_REMEMBERED)
        self._shift_s = 0.0  # without arrivals: added so that time goes on after a restart
        self._waiting: list[tuple[FloatArray, FloatArray]] = []  # acc, gyr of samples that have no time yet
        self._newest_s = 0.0  # the last time on the clock without arrivals
        self._last_s = -np.inf  # the last time given
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
        if chunk.sensor_s is None:
            times = self._pacer.feed(chunk.arrival_s) if chunk.arrival_s is not None else np.empty(0)
        else:
            keep, restarts = self._screen(chunk.sensor_s)
            if not keep.all():
                acc, gyr = acc[keep], gyr[keep]
            x = chunk.sensor_s[keep]
            arrival = None if chunk.arrival_s is None else chunk.arrival_s[keep]
            times = self._place(x, arrival, np.flatnonzero(restarts[keep]).tolist())
        self._waiting.append((acc, gyr))
        return self._give(times)

    def finish(self) -> list[TimedChunk]:
        """Give the samples that still wait for an estimate."""
        self._steps.finish()
        return self._give(np.concatenate([self._pacer.finish(), self._map.finish()]))

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

    def _screen(self, x: FloatArray) -> tuple[BoolArray, BoolArray]:
        """Tell which samples are new, and which of them begin the sensor's clock anew."""
        keep = np.ones(len(x), dtype=np.bool_)
        restarts = np.zeros(len(x), dtype=np.bool_)
        recent = self._recent
        if len(x) and (np.diff(x) > 0).all() and (not recent or x[0] > recent[-1]):
            recent.extend(x[-_REMEMBERED:].tolist())
            return keep, restarts
        for i, time_s in enumerate(x.tolist()):
            if recent and time_s <= recent[-1]:
                if time_s in recent:
                    keep[i] = False
                    self._repeated += 1
                    continue
                restarts[i] = True
                recent.clear()
            recent.append(time_s)
        return keep, restarts

    def _place(self, x: FloatArray, arrival: FloatArray | None, restarts: list[int]) -> FloatArray:
        """Give the times of the next samples in order, after new ones (n,) that restart the clock at some indices."""
        out: list[FloatArray] = []
        cuts = sorted({0, *restarts})
        for begin, end in pairwise([*cuts, len(x)]):
            if begin in restarts:
                self._steps.restart()
                if arrival is not None:
                    out.append(self._map.restart())
                else:
                    self._restarts += 1
                    self._shift_s = self._newest_s + 1 / self._rate_hz - float(x[begin])
            if arrival is not None:
                out += self._fit(x[begin:end], arrival[begin:end])
            elif end > begin:
                self._steps.feed(x[begin:end])
                out.append(x[begin:end] + self._shift_s)
                self._newest_s = float(out[-1][-1])
        return np.concatenate(out) if out else np.empty(0)

    def _fit(self, x: FloatArray, arrival: FloatArray) -> list[FloatArray]:
        out: list[FloatArray] = []
        while len(x):
            times, taken = self._map.feed(x, arrival)
            out.append(times)
            if taken == 0:
                self._steps.restart()
            self._steps.feed(x[:taken])
            x, arrival = x[taken:], arrival[taken:]
        return out

    def _give(self, times: FloatArray) -> list[TimedChunk]:
        """Join times with the samples that waited for them."""
        n = len(times)
        if n == 0:
            return []
        acc, gyr = (np.concatenate(parts) for parts in zip(*self._waiting, strict=True))
        self._waiting = [(acc[n:], gyr[n:])]
        steps_s = np.diff(times, prepend=self._last_s if np.isfinite(self._last_s) else times[0])
        self._last_s = float(times[-1])
        self._gaps += int((steps_s > bridged_s(self._rate_hz)).sum())
        if self._gaps:
            self._longest_s = max(self._longest_s, float(steps_s.max()))
        return [TimedChunk(times, acc[:n], gyr[:n])]
