"""From a sensor's own time to the host's, when every sample comes late by an amount that varies.

Method
    A sample taken at sensor time x arrives at host time a = x + offset + drift * x + delay, and the delay is never
    negative. So the pairs (x, a - x) lie on and above a line, and the line is their lower envelope: the edge of their
    lower convex hull above the middle of the window, which is the line below all points that is closest to them in
    sum (Moon, Skelly, Towsley: Estimation and removal of clock skew from network delay measurements, INFOCOM 1999).
    The smallest delay of all stays in the offset; it is the same for two sensors of one kind on one host.

    The fit is causal: a block of samples (cut by sample index) is placed by what was known before it began; only the
    very first one waits for itself. A new estimate never makes time jump: the map is bent towards it, by at most
    MAX_SLEW, and stays strictly increasing.
"""

import math
from collections import deque
from collections.abc import Sequence
from itertools import pairwise
from operator import sub
from typing import Final

#: Within what time an error of the map is to be gone, s.
SETTLE_S: Final = 2.0
#: How much faster or slower than the sensor the map may run to correct itself.
MAX_SLEW: Final = 0.1
#: A sample that seems to arrive this long before it was taken comes from a clock that was set, s.
MAX_EARLY_S: Final = 2.0
#: A block whose every sample is later than this tells nothing of the clock, s: the host or the link has stalled.
MAX_LATE_S: Final = 0.5
#: A stall catches up. Samples that stay that late for so long, by arrival, come from a clock that stood still, s.
STOOD_STILL_S: Final = 10.0
#: Samples that wait for the first fit at most: 1 s of the fastest sensor known, and what a broken clock can reach.
MAX_FIRST: Final = 2048
#: What lies between the last time before a restart and the first one after it at least, s.
RESTART_STEP_S: Final = 1e-3


class LowerEnvelope:
    """The line below a sliding window of points (x, d), x increasing."""

    def __init__(self, max_slope: float, window_s: float) -> None:
        self._max_slope = max_slope
        self._window_s = window_s
        self._points: deque[tuple[float, float]] = deque()
        self._hull: list[tuple[float, float]] = []

    def add(self, x: float, d: float) -> None:
        """Take a point in, and let those older than the window go."""
        while self._points and self._points[0][0] < x - self._window_s:
            self._forget()
        point = (x, d)
        self._points.append(point)
        self._extend(point)

    def _forget(self) -> None:
        """Let the oldest point go, which is the hull's first: behind its second nothing changes."""
        self._points.popleft()
        rest, self._hull = self._hull[1:], []
        for point in self._points:
            self._extend(point)
            if point is rest[0]:
                self._hull += rest[1:]
                break

    def _extend(self, point: tuple[float, float]) -> None:
        hull = self._hull
        x, d = point
        while len(hull) > 1:
            x1, d1 = hull[-2]
            x2, d2 = hull[-1]
            if (d2 - d1) * (x - x1) < (d - d1) * (x2 - x1):
                break
            hull.pop()
        hull.append(point)

    def line(self) -> tuple[float, float, float]:
        """Give the line's slope and a point (x, d) of it."""
        middle = (self._points[0][0] + self._points[-1][0]) / 2
        slope = 0.0
        for (x1, d1), (x2, d2) in pairwise(self._hull):
            slope = (d2 - d1) / (x2 - x1)
            if x2 >= middle:
                break
        slope = min(max(slope, -self._max_slope), self._max_slope)
        x, d = min(self._hull, key=lambda point: point[1] - slope * point[0])
        return slope, x, d


class ClockMap:
    """Maps a sensor's clock to the host's: sensor times and arrivals in, host times out, in order.

    Attributes:
        ready: whether there is an estimate, so that samples are placed at once.
        drift: how much slower than the host's the sensor's clock runs (1e-6 is 1 ppm).
        restarts: times the sensor's clock began anew.
    """

    def __init__(self, *, block: int, first_s: float, window_s: float, max_drift: float) -> None:
        """Begin.

        Args:
            block: samples between two estimates.
            first_s: sensor time that the first estimate waits for, s.
            window_s: sensor time that an estimate rests on, s.
            max_drift: bound on the drift.
        """
        self._block = block
        self._first_s = first_s
        self._window_s = window_s
        self._max_drift = max_drift
        self._last = -math.inf  # the last host time given
        self.drift = 0.0
        self.restarts = 0
        self._begin()

    def _begin(self) -> None:
        self._envelope = LowerEnvelope(self._max_drift, self._window_s)
        self._first: list[tuple[float, float]] = []  # (x, arrival) that wait for the first estimate
        self._first_least = math.inf
        self._held: tuple[list[float], list[float]] = ([], [])  # x and arrival of the block that is being filled
        self._least_late = math.inf  # of them, by the present map
        self._room = self._block
        self._late_from = math.nan  # arrival of the first of the late blocks that came last
        self._x0 = self._y0 = 0.0
        self._x_line = self._d_line = 0.0
        self._pace = 1.0
        self.ready = False

    @property
    def room(self) -> int:
        """How many samples still go by the present map before it is estimated anew."""
        return self._room

    def at(self, x: Sequence[float]) -> list[float]:
        """Give the host's time in s at sensor times in s, by the present map."""
        y0, x0, pace = self._y0, self._x0, self._pace
        return [y0 + (one - x0) * pace for one in x]

    def feed(self, x: Sequence[float], arrival: Sequence[float]) -> tuple[list[float], int]:
        """Take samples in.

        Args:
            x: sensor's times, s, strictly increasing.
            arrival: as many of the host's times of arrival, s.

        Returns:
            The host's times of the next samples in order, of this call or earlier ones, and how many samples were
            taken. That is up to the next estimate (so call again with the rest), and none when a restart was found.
        """
        times, taken = self._place(x, arrival) if self.ready else self._gather(x, arrival)
        if taken == 0 and len(x):
            times = self.restart()
        if times:
            self._last = times[-1]
        return times, taken

    def restart(self) -> list[float]:
        """Begin a new fit, for the sensor's clock began anew; give the times of what waited for the old one."""
        times = self.finish()
        self.restarts += 1
        self._begin()
        return times

    def finish(self) -> list[float]:
        """Give the times of what still waits for the first estimate, fitted on what there is."""
        times = self._start() if self._first else []
        if times:
            self._last = times[-1]
        return times

    def _gather(self, x: Sequence[float], arrival: Sequence[float]) -> tuple[list[float], int]:
        count = 0
        for one, came in zip(x, arrival, strict=True):
            delay = came - one
            if self._first and delay < self._first_least - MAX_EARLY_S:
                break
            self._first_least = min(self._first_least, delay)
            self._first.append((one, came))
            count += 1
            if one >= self._first[0][0] + self._first_s or len(self._first) >= MAX_FIRST:
                return self._start(), count
        return [], count

    def _start(self) -> list[float]:
        points, self._first = self._first, []
        quarter = max(1, self._block // 4)
        x, arrival = [one for one, _ in points], [came for _, came in points]
        for begin in range(0, len(points), quarter):
            self._note(x[begin : begin + quarter], arrival[begin : begin + quarter])
        self._fit()
        self._pace = 1 + self.drift
        self._x0 = x[0]
        self._y0 = max(self._target(x[0]), self._last + RESTART_STEP_S)
        times = self.at(x)
        self.ready = True
        self._bend(x[-1])
        return times

    def _place(self, x: Sequence[float], arrival: Sequence[float]) -> tuple[list[float], int]:
        if len(x) > self._room:
            x, arrival = x[: self._room], arrival[: self._room]
        times = self.at(x)
        least = min(map(sub, arrival, times), default=math.inf)
        if not least > -0.5 * MAX_EARLY_S:
            for k, (came, time) in enumerate(zip(arrival, times, strict=True)):
                if came < time - MAX_EARLY_S:
                    x, arrival, times = x[:k], arrival[:k], times[:k]
                    break
            least = min(map(sub, arrival, times), default=math.inf)
        self._least_late = min(self._least_late, least)
        taken, came_at = self._held
        taken += x
        came_at += arrival
        self._room -= len(x)
        if self._room == 0:
            self._estimate()
        return times, len(times)

    def _estimate(self) -> None:
        (x, arrival), self._held = self._held, ([], [])
        least, self._least_late = self._least_late, math.inf
        self._room = self._block
        if not least > MAX_LATE_S:
            self._late_from = math.nan
            self._note(x, arrival)
            self._fit()
        elif math.isnan(self._late_from):
            self._late_from = arrival[0]
        elif arrival[-1] - self._late_from > STOOD_STILL_S:
            self.restarts += 1
            self._begin()
            return
        self._bend(x[-1])

    def _note(self, x: Sequence[float], arrival: Sequence[float]) -> None:
        """Add the least delayed sample of a stretch to the envelope."""
        delays = list(map(sub, arrival, x))
        delay = min(delays)
        self._envelope.add(x[delays.index(delay)], delay)

    def _fit(self) -> None:
        self.drift, self._x_line, self._d_line = self._envelope.line()

    def _target(self, x: float) -> float:
        """Give the host's time at x on the fitted line."""
        return x + self._d_line + self.drift * (x - self._x_line)

    def _bend(self, x: float) -> None:
        """Go on from where the map is at x, towards the fitted line."""
        y = self._y0 + (x - self._x0) * self._pace
        error = self._target(x) - y
        self._x0, self._y0 = x, y
        self._pace = 1 + self.drift + min(max(error / SETTLE_S, -MAX_SLEW), MAX_SLEW)
