"""A time for the samples of a sensor that has none, from their number and the moments of their arrival.

Method
    Sample n was taken at n / rate on an imagined clock of the sensor's; a `ClockMap` finds how that clock runs (the
    real rate may be several percent off the nominal one) and a burst is spread over the time it was gathered in.
    Notifications may be lost, and then the numbers after the loss are too low and their samples seem late. They also
    seem late when the link only stalled. The two are told apart by what follows: a stall catches up, a loss does not.
    So samples that are strangely late are held until one comes that is not, or until they stop catching up; then
    as many numbers are left out as bring them back to the line.
"""

from typing import Final

import numpy as np

from gonio.signal.consts import FloatArray
from gonio.signal.envelope import ClockMap

#: How long late samples are given to catch up, s of arrivals, from the last time that they came nearer.
PATIENCE_S: Final = 0.5
#: Samples held at most while that is undecided: 5 s of the fastest sensor, and what a stalled peer can reach.
MAX_HELD: Final = 1024
#: A pause after which the sensor may have begun anew, so that its samples need not fall on the old numbers' moments, s.
ANEW_S: Final = 1.0
#: Waiting for the first estimate, s: twice that of a sensor with a clock, for its rate is unknown too.
FIRST_S: Final = 2.0
#: Bound on the rate's departure from the nominal one: a sensor named 25 Hz was found to give 22.26.
MAX_DRIFT: Final = 0.15


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
        self._map = ClockMap(block=block, first_s=FIRST_S, max_drift=MAX_DRIFT)
        self._count = 0  # samples numbered so far
        self._shift_s = 0.0  # sensor time left out because samples were lost
        self._last_arrival = np.inf
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
        at = 0
        while at < len(arrival):
            if self._held:
                out.append(self._hold(float(arrival[at])))
                at += 1
                continue
            piece = arrival[at:]
            if self._map.ready:
                piece = piece[: self._map.room]
                late = piece - self._map.at(self._numbered(len(piece)))
                strange = late > 1.5 * self._map.spread_s + self._step_s
                if strange.any():
                    piece = piece[: int(strange.argmax())]
                if len(piece) == 0:
                    out.append(self._hold(float(arrival[at])))
                    at += 1
                    continue
            times, taken = self._pass(piece)
            out.append(times)
            at += taken
        return np.concatenate(out) if out else np.empty(0)

    def finish(self) -> FloatArray:
        """Give the times of what is still held or waits for the first estimate."""
        out = [self._release(0.0)] if self._held else []
        return np.concatenate([*out, self._map.finish()])

    def _numbered(self, n: int) -> FloatArray:
        """Sensor's imagined times of the next n samples, s."""
        return np.arange(self._count, self._count + n, dtype=np.float64) * self._step_s + self._shift_s

    def _hold(self, arrival: float) -> FloatArray:
        """Take in one sample that is strangely late or comes after one that was; give what that decides."""
        x = (self._count + len(self._held)) * self._step_s + self._shift_s
        late = arrival - float(self._map.at(np.array([x]))[0])
        if not self._held or late < self._least - self._step_s:
            self._nearer_at = arrival
        self._least = late if not self._held else min(self._least, late)
        self._held.append(arrival)
        if late <= max(0.5 * self._step_s, 0.3 * self._map.spread_s):
            return self._release(0.0)
        if arrival - self._nearer_at > PATIENCE_S or len(self._held) >= MAX_HELD:
            return self._release(self._least)
        return np.empty(0)

    def _release(self, missing_s: float) -> FloatArray:
        """Place the held samples, after leaving out the numbers that were lost."""
        missing_s /= 1 + self._map.drift
        lost = round(missing_s / self._step_s)
        if lost > 0:
            self.lost += lost
            anew = self._held[0] - self._last_arrival > ANEW_S
            self._shift_s += missing_s if anew else lost * self._step_s
        rest = np.array(self._held)
        self._held = []
        out: list[FloatArray] = []
        while len(rest):
            times, taken = self._pass(rest)
            out.append(times)
            rest = rest[taken:]
        return np.concatenate(out)

    def _pass(self, arrival: FloatArray) -> tuple[FloatArray, int]:
        times, taken = self._map.feed(self._numbered(len(arrival)), arrival)
        self._count += taken
        if taken:
            self._last_arrival = float(arrival[taken - 1])
        return times, taken
