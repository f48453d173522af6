"""A time for the samples of a sensor that has none, from their number and the moments of their arrival.

Method
    Sample n was taken at n / rate on an imagined clock of the sensor's; a `ClockMap` finds how that clock runs (the
    real rate may be several percent off the nominal one) and a burst is spread over the time it was gathered in.
    Notifications may be lost, and then the numbers after the loss are too low and their samples seem late. They also
    seem late when the link only stalled. The two are told apart by what follows: a stall catches up, a loss does not.
    So samples that are strangely late are held until one comes that is not, or until they stop catching up; then
    as many numbers are left out as bring them back to the line. The first sample of a burst is late by nature, the
    last is not: what is strange is told by a sample's place in its burst.
"""

import math
from collections import deque
from collections.abc import Sequence
from typing import Final

from gonio.signal.clock.envelope import ClockMap

#: How long late samples are given to catch up, s of arrivals, from the last time that they came nearer. Of a silence
#: no more than the samples' pace counts: the host may have stalled again, and what comes then tells. A second loss
#: within it goes unseen, so it is short: half of it, beside 0.5 s, took the error's 95th percentile from 41 to 30 ms.
PATIENCE_S: Final = 0.25
#: Samples held at most while that is undecided: 5 s of the fastest sensor, and what a stalled peer can reach.
MAX_HELD: Final = 1024
#: A pause after which the sensor may have begun anew, so that its samples need not fall on the old numbers' moments, s.
ANEW_S: Final = 1.0
#: Waiting for the first estimate, s: twice that of a sensor with a clock, for its rate is unknown too.
FIRST_S: Final = 2.0
#: What is strange, in spreads of ordinary delays and in sample steps: uniform jitter stays below it, and a third of
#: exponential jitter is beyond the second; a loss of more than a step is beyond both within a few samples.
_STRANGE: Final = 1.2
_STRANGE_STEPS: Final = 0.5
#: What is near enough again, likewise, whichever is larger.
_NEAR: Final = 0.5
_NEAR_STEPS: Final = 0.5
#: How much of a notification may be wanting for it to count as lost: the map may be ahead by a part of the jitter. What
#: is left uncounted makes the samples after it late for seconds; an excess shows at once, in samples that are early.
_ROUNDING: Final = 0.3
#: How much of the time between two samples counts as waiting at most, in notifications.
_PACE: Final = 1.5
#: Bursts and blocks remembered for what is ordinary.
_REMEMBERED: Final = 16
#: How long an estimate remembers, s: a loss taken for a slower rate (in the first seconds) is forgotten with it.
WINDOW_S: Final = 20.0
#: Bound on the rate's departure from the nominal one: a sensor named 25 Hz was found to give 22.26.
MAX_DRIFT: Final = 0.15


class _Bursts:
    """How many samples come at once.

    Attributes:
        typical: the middle of the last bursts' sizes, as of the last ``settle``.
        alike: whether those were all of that size.
    """

    def __init__(self) -> None:
        self._sizes: deque[int] = deque(maxlen=_REMEMBERED)
        self._arrival = math.nan
        self._size = 0  # of the burst that may still go on
        self.typical = 1
        self.alike = False

    def places(self, arrivals: Sequence[float]) -> list[int]:
        """Give the place of each of the next samples in its burst, from 0."""
        last, size = self._arrival, self._size
        out = []
        for arrival in arrivals:
            if arrival != last:
                last, size = arrival, 0
            out.append(size)
            size += 1
        return out

    def note(self, arrivals: Sequence[float]) -> None:
        """Take samples in."""
        for arrival in arrivals:
            if arrival != self._arrival:
                if self._size:
                    self._sizes.append(self._size)
                self._arrival, self._size = arrival, 0
            self._size += 1

    def settle(self) -> None:
        """Learn what is typical."""
        if self._sizes:
            sizes = sorted(self._sizes)
            self.typical = sizes[len(sizes) // 2]
            self.alike = sizes[0] == sizes[-1]


class Pacer:
    """Arrivals in, host times out, in order.

    Attributes:
        lost: samples that seem to be missing, by the rate.
    """

    def __init__(self, rate_hz: float, block: int) -> None:
        """Begin.

        Args:
            rate_hz: the nominal rate, Hz.
            block: samples between two estimates.
        """
        self._step_s = 1 / rate_hz
        self._block = block
        self._map = ClockMap(block=block, first_s=FIRST_S, window_s=WINDOW_S, max_drift=MAX_DRIFT)
        self._bursts = _Bursts()
        self._count = 0  # samples numbered so far
        self._shift_s = 0.0  # sensor time left out because samples were lost
        self._last_arrival = math.inf  # of the last sample that was placed
        self._lates: list[float] = []  # of the samples placed since the last estimate
        self._spreads: deque[float] = deque(maxlen=_REMEMBERED)
        self._strange_s = math.inf  # nothing is strange before it is known what is ordinary
        self._near_s = 0.0
        self._held: list[float] = []  # arrivals
        self._least = math.inf  # how late the held ones are at least, s
        self._peak = 0.0  # how late they were at most since they last caught up, s
        self._waited_s = 0.0  # since then, as far as samples came at their pace
        self.lost = 0

    @property
    def drift(self) -> float:
        """How much slower than nominal the sensor is: its rate is nominal / (1 + drift)."""
        return self._map.drift

    def feed(self, arrivals: Sequence[float]) -> list[float]:
        """Take the arrivals of the next samples in, s; give the times of the next samples in order, s."""
        out: list[float] = []
        while arrivals:
            if self._held:
                self._bursts.note(arrivals[:1])
                out += self._hold(arrivals[0])
                arrivals = arrivals[1:]
                continue
            piece: Sequence[float] = arrivals
            lates: list[float] = []
            if self._map.ready:
                piece = arrivals[: self._map.room]
                lates = self._late(piece)
                strange = next((k for k, late in enumerate(lates) if late > self._strange_s), len(lates))
                piece, lates = piece[:strange], lates[:strange]
            if not piece:
                self._bursts.note(arrivals[:1])
                out += self._hold(arrivals[0])
                arrivals = arrivals[1:]
                continue
            times, taken = self._pass(piece, lates)
            self._bursts.note(piece[:taken])
            self._settle()
            out += times
            arrivals = arrivals[taken:]
        return out

    def finish(self) -> list[float]:
        """Give the times of what is still held or waits for the first estimate."""
        return (self._release(0.0) if self._held else []) + self._map.finish()

    def _numbered(self, n: int) -> list[float]:
        """Sensor's imagined times of the next n samples, s."""
        first, step_s, shift_s = self._count, self._step_s, self._shift_s
        return [k * step_s + shift_s for k in range(first, first + n)]

    def _late(self, arrivals: Sequence[float]) -> list[float]:
        """Tell how late the next samples are, beyond what their places in their bursts explain, s."""
        last, step_s = self._bursts.typical - 1, self._step_s
        due = self._map.at(self._numbered(len(arrivals)))
        places = self._bursts.places(arrivals)
        return [
            arrival - moment - max(last - place, 0) * step_s
            for arrival, moment, place in zip(arrivals, due, places, strict=True)
        ]

    def _hold(self, arrival: float) -> list[float]:
        """Take in one sample that is strangely late or comes after one that was; give what that decides."""
        x = (self._count + len(self._held)) * self._step_s + self._shift_s
        late = arrival - self._map.at([x])[0]
        if not self._held:
            self._least = self._peak = late
        caught_up_s = self._strange_s + (self._bursts.typical - 1) * self._step_s
        if not self._held or late < self._least - self._step_s or late < self._peak - caught_up_s:
            self._peak = late
            self._waited_s = 0.0
        else:
            self._peak = max(self._peak, late)
            self._waited_s += min(arrival - self._held[-1], _PACE * self._bursts.typical * self._step_s)
        self._least = min(self._least, late)
        self._held.append(arrival)
        if late <= self._near_s:
            return self._release(0.0)
        if self._waited_s > PATIENCE_S or len(self._held) >= MAX_HELD:
            return self._release(self._least)
        return []

    def _release(self, missing_s: float) -> list[float]:
        """Place the held samples, after leaving out the numbers that were lost."""
        missing_s /= 1 + self._map.drift
        unit = self._bursts.typical if self._bursts.alike else 1  # a notification is lost as a whole
        lost = unit * int(missing_s / (unit * self._step_s) + _ROUNDING)
        if lost > 0:
            self.lost += lost
            anew = self._held[0] - self._last_arrival > ANEW_S
            self._shift_s += missing_s if anew else lost * self._step_s
        rest: Sequence[float] = self._held
        self._held = []
        out: list[float] = []
        while rest:
            times, taken = self._pass(rest, [])
            self._settle()
            out += times
            rest = rest[taken:]
        return out

    def _pass(self, arrivals: Sequence[float], lates: list[float]) -> tuple[list[float], int]:
        """Place samples up to the next estimate: give times of the next ones in order, and how many were taken."""
        times, taken = self._map.feed(self._numbered(len(arrivals)), arrivals)
        self._count += taken
        if taken:
            self._last_arrival = arrivals[taken - 1]
        self._lates += lates[:taken]
        return times, taken

    def _settle(self) -> None:
        """Learn what is ordinary, if a new estimate has just been made; all samples up to it must be noted."""
        if not (self._map.ready and self._map.room == self._block):
            return
        self._bursts.settle()
        lates, self._lates = sorted(self._lates), []
        if lates:
            self._spreads.append(lates[(9 * len(lates)) // 10] - min(0.0, lates[0]))
            spread_s = sorted(self._spreads)[len(self._spreads) // 2]
            self._strange_s = _STRANGE * spread_s + _STRANGE_STEPS * self._step_s
            self._near_s = max(_NEAR * spread_s, _NEAR_STEPS * self._step_s)
