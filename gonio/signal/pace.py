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

from collections import deque
from typing import Final

import numpy as np

from gonio.signal.consts import BoolArray, FloatArray
from gonio.signal.envelope import ClockMap

#: How long late samples are given to catch up, s of arrivals, from the last time that they came nearer.
PATIENCE_S: Final = 0.5
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
#: How much of a notification may be wanting for it to count as lost. Little, for the least delay of a few samples is
#: above the least of all: what is left uncounted stays late and is found by the next samples, an excess is not.
_ROUNDING: Final = 0.15
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
        self._arrival = np.nan
        self._size = 0  # of the burst that may still go on
        self.typical = 1
        self.alike = False

    def _begins(self, arrival: FloatArray) -> BoolArray:
        begins: BoolArray = np.diff(arrival, prepend=self._arrival) != 0
        return begins

    def places(self, arrival: FloatArray) -> FloatArray:
        """Give the place (n,) of each of the next samples in its burst, from 0."""
        index = np.arange(len(arrival), dtype=np.float64)
        return index - np.maximum.accumulate(np.where(self._begins(arrival), index, -self._size))

    def note(self, arrival: FloatArray) -> None:
        """Take samples in."""
        if len(arrival) == 0:
            return
        begins = np.flatnonzero(self._begins(arrival)).tolist()
        if begins:
            if self._size:
                self._sizes.append(self._size + begins[0])
            self._sizes.extend(np.diff(begins).tolist())
            self._size = len(arrival) - begins[-1]
        else:
            self._size += len(arrival)
        self._arrival = float(arrival[-1])

    def settle(self) -> None:
        """Learn what is typical."""
        if self._sizes:
            self.typical = int(np.median(self._sizes))
            self.alike = min(self._sizes) == max(self._sizes)


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
        self._last_arrival = np.inf  # of the last sample that was placed
        self._lates: list[FloatArray] = []  # of the samples placed since the last estimate
        self._spreads: deque[float] = deque(maxlen=_REMEMBERED)
        self._strange_s = np.inf  # nothing is strange before it is known what is ordinary
        self._near_s = 0.0
        self._held: list[float] = []  # arrivals
        self._least = np.inf  # how late the held ones are at least, s
        self._nearer_at = 0.0  # arrival at which that last improved
        self.lost = 0

    @property
    def drift(self) -> float:
        """How much slower than nominal the sensor is: its rate is nominal / (1 + drift)."""
        return self._map.drift

    def feed(self, arrival: FloatArray) -> FloatArray:
        """Take the arrivals (n,) of the next samples in, s; give the times of the next samples in order, s."""
        out: list[FloatArray] = []
        while len(arrival):
            late = np.empty(0)
            piece = arrival[: 0 if self._held else len(arrival)]
            if self._map.ready and not self._held:
                late = self._late(arrival[: self._map.room])
                strange = late > self._strange_s
                late = late[: int(strange.argmax()) if strange.any() else len(late)]
                piece = arrival[: len(late)]
            if len(piece) == 0:
                self._bursts.note(arrival[:1])
                out.append(self._hold(float(arrival[0])))
                arrival = arrival[1:]
                continue
            times, taken = self._pass(piece, late)
            self._bursts.note(piece[:taken])
            self._settle()
            out.append(times)
            arrival = arrival[taken:]
        return np.concatenate(out) if out else np.empty(0)

    def finish(self) -> FloatArray:
        """Give the times of what is still held or waits for the first estimate."""
        out = [self._release(0.0)] if self._held else []
        return np.concatenate([*out, self._map.finish()])

    def _numbered(self, n: int) -> FloatArray:
        """Sensor's imagined times of the next n samples, s."""
        return np.arange(self._count, self._count + n, dtype=np.float64) * self._step_s + self._shift_s

    def _late(self, arrival: FloatArray) -> FloatArray:
        """Tell how late the next samples (n,) are, beyond what their places in their bursts explain, s."""
        late = arrival - self._map.at(self._numbered(len(arrival)))
        after = np.maximum(self._bursts.typical - 1 - self._bursts.places(arrival), 0.0)
        return late - after * self._step_s

    def _hold(self, arrival: float) -> FloatArray:
        """Take in one sample that is strangely late or comes after one that was; give what that decides."""
        x = (self._count + len(self._held)) * self._step_s + self._shift_s
        late = arrival - float(self._map.at(np.array([x]))[0])
        if not self._held or late < self._least - self._step_s:
            self._nearer_at = arrival
        self._least = late if not self._held else min(self._least, late)
        self._held.append(arrival)
        if late <= self._near_s:
            return self._release(0.0)
        if arrival - self._nearer_at > PATIENCE_S or len(self._held) >= MAX_HELD:
            return self._release(self._least)
        return np.empty(0)

    def _release(self, missing_s: float) -> FloatArray:
        """Place the held samples, after leaving out the numbers that were lost."""
        missing_s /= 1 + self._map.drift
        unit = self._bursts.typical if self._bursts.alike else 1  # a notification is lost as a whole
        lost = unit * int(missing_s / (unit * self._step_s) + _ROUNDING)
        if lost > 0:
            self.lost += lost
            anew = self._held[0] - self._last_arrival > ANEW_S
            self._shift_s += missing_s if anew else lost * self._step_s
        rest = np.array(self._held)
        self._held = []
        out: list[FloatArray] = []
        while len(rest):
            times, taken = self._pass(rest, np.empty(0))
            self._settle()
            out.append(times)
            rest = rest[taken:]
        return np.concatenate(out)

    def _pass(self, arrival: FloatArray, late: FloatArray) -> tuple[FloatArray, int]:
        """Place samples up to the next estimate: give times of the next ones in order, and how many were taken."""
        times, taken = self._map.feed(self._numbered(len(arrival)), arrival)
        self._count += taken
        if taken:
            self._last_arrival = float(arrival[taken - 1])
        self._lates.append(late[:taken])
        return times, taken

    def _settle(self) -> None:
        """Learn what is ordinary, if a new estimate has just been made; all samples up to it must be noted."""
        if not (self._map.ready and self._map.room == self._block):
            return
        self._bursts.settle()
        late = np.concatenate(self._lates)
        self._lates = []
        if len(late):
            self._spreads.append(float(np.quantile(late, 0.9) - min(0.0, late.min())))
            spread_s = float(np.median(self._spreads))
            self._strange_s = _STRANGE * spread_s + _STRANGE_STEPS * self._step_s
            self._near_s = max(_NEAR * spread_s, _NEAR_STEPS * self._step_s)
