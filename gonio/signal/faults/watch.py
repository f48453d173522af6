"""Faults of a sensor, seen in its own samples: each is named, and while it lasts nothing counts as measured.

A watch stands between the sensor's clock and the grid. It sums the samples up a quarter of a second at a time
(`looks`), by the number of the sample, so that chunks change nothing, and asks the modules beside it what is wrong.
What it finds holds for the samples after that look; clipped samples are found one by one once the range is known.

A name in the result is ``thigh-`` or ``shank-`` and the name here, but for those that concern the session.
"""

from collections.abc import Iterable, Mapping
from typing import Final

import numpy as np

from gonio.signal.chunks import StreamDefects, TimedChunk
from gonio.signal.consts import EXERCISES, SEGMENTS, BoolArray, Segment
from gonio.signal.faults.held import HeldWatch
from gonio.signal.faults.looks import Look, Looker
from gonio.signal.faults.range import RangeWatch
from gonio.signal.faults.rest import RestWatch
from gonio.signal.faults.units import UnitsWatch

#: The faults of one sensor: the flag is the segment's name, a hyphen and this.
SENSOR_FAULTS: Final[dict[str, str]] = {
    "accelerometer-dead": "The accelerometer reads nothing, or the same while the gyroscope shows turning.",
    "gyroscope-dead": "The gyroscope reads the same, or nothing, while the accelerometer shows turning.",
    "axis-stuck": "One axis reads the same while the others show motion.",
    "frozen": "All six axes repeat one reading, from a sensor whose noise never let it do so.",
    "saturated": "Motion went beyond the sensor's range and was clipped there.",
    "units": "Gravity or turning comes out several times too large or too small: wrong units or a wrong profile.",
    "gravity-off": "At rest the accelerometer reads gravity more than 15 % wrong.",
    "dropped": "The sensor fell, hit something and then lay still.",
    "not-moving": "The sensor lay still for a minute and longer while the other moved: it may not be on the leg.",
    "too-slow": "Fewer than 15 samples a second come: too few for the angle.",
    "rate-off": "The sensor's real rate is more than a quarter off the one that was named.",
}
#: The faults of a session.
SESSION_FAULTS: Final[dict[str, str]] = {
    "no-thigh-samples": "The thigh's sensor sent nothing.",
    "no-shank-samples": "The shank's sensor sent nothing.",
    "only-thigh": "Only the thigh's sensor told anything at the end: its tilt was counted there, without a knee angle.",
    "only-shank": "Only the shank's sensor told anything at the end: its tilt was counted there, without a knee angle.",
    "no-motion": "For ten minutes and longer a sensor did not move at all.",
    "gap": "For a time nothing was measured.",
}

#: Slower sensors miss too much of a fast repetition for a line between samples.
SLOWEST_HZ: Final = 15.0
#: How far the real rate may be from the named one, as a share; a sensor named 25 Hz was found to give 22.26.
_RATE_OFF: Final = 0.25
#: Time that the orientation filter needs to forget what a fault made of it, s: its accelerometer's time constant is
#: 3 s, and after simulated faults of 0.5 to 30 s the angle was off by more than 10° for up to 3.9 s, by 6° for 5.0 s.
SETTLE_S: Final = 5.0
#: Samples after each one that was clipped: a third of a second for a single one, SETTLE_S for a quarter of a second.
_CLIP_SETTLES: Final = 20
#: Looks in a row that are too slow.
_SLOW_LOOKS: Final = 8


#: What a fault makes the others look like.
_EXPLAINS: Final[dict[str, frozenset[str]]] = {
    "units": frozenset({"gravity-off", "gyroscope-dead", "saturated"}),
    "axis-stuck": frozenset({"gravity-off", "units", "frozen"}),
    "accelerometer-dead": frozenset({"gravity-off", "units", "axis-stuck", "frozen"}),
    "gyroscope-dead": frozenset({"units", "axis-stuck", "frozen"}),
    "frozen": frozenset({"no-motion"}),
    "dropped": frozenset({"no-motion", "gyroscope-dead"}),
}


#: Segments that rest while the exercise is done.
_RESTING: Final[dict[str, frozenset[Segment]]] = {
    "quad-set": frozenset(SEGMENTS),
    "short-arc-quad": frozenset({"thigh"}),
    "long-arc-quad": frozenset({"thigh"}),
    "hamstring-curl": frozenset({"thigh"}),
}


class SensorWatch:
    """Watches one sensor.

    Attributes:
        gyroscope: False for a sensor that has none: that it shows no turning is no fault then.
        clipped: samples found to be at the end of the range.
        rest: when the sensor lay still and when it moved.
    """

    def __init__(self, rate_hz: float) -> None:
        """Begin a stream of a nominal rate, Hz."""
        self._looker = Looker(rate_hz)
        self._held, self._range, self._units = HeldWatch(), RangeWatch(), UnitsWatch()
        self.rest = RestWatch(rate_hz)
        self._settle = round(SETTLE_S * rate_hz)
        self._count = 0  # samples judged
        self._until = 0  # the number of the first sample that is not spoilt by what was before it
        self._now: set[str] = {"too-slow"} if rate_hz < SLOWEST_HZ else set()
        self._named: set[str] = set()
        self._nominal_slow = rate_hz < SLOWEST_HZ
        self._slow = 0
        self.gyroscope = True
        self.clipped = 0

    def feed(self, chunk: TimedChunk) -> BoolArray | None:
        """Take samples in; tell which of them (n,) are spoilt by a fault, None when none is."""
        spoilt: BoolArray | None = None
        done, n = 0, len(chunk)
        while done < n:
            part = slice(done, min(n, done + self._looker.room))
            bad = self._judge(chunk, part)
            if bad is not None:
                if spoilt is None:
                    spoilt = np.zeros(n, dtype=np.bool_)
                spoilt[part] = bad
            look = self._looker.add(chunk, part)
            if look is not None:
                self._take(look)
            done = part.stop
        return spoilt

    def _judge(self, chunk: TimedChunk, part: slice) -> BoolArray | None:
        """Tell which samples of a part of one look are spoilt."""
        n = part.stop - part.start
        first = self._count
        self._count += n
        if self._now:
            self._until = self._count + self._settle
            return np.ones(n, dtype=np.bool_)
        bad: BoolArray | None = None
        if self._until > first:
            bad = np.arange(first, first + n) < self._until
        if self._range.known:
            acc, gyr = self._range.clipped(chunk.acc[part], chunk.gyr[part])
            either = acc | gyr
            if either.any():
                self.clipped += int(either.sum())
                bad = either if bad is None else bad | either
                for at in np.flatnonzero(gyr).tolist():
                    self._clip(first + at)
                    bad[at : self._until - first] = True
        return bad

    def _clip(self, number: int) -> None:
        """Let the turning that was cut off a sample of the gyroscope be forgotten before the angle counts again."""
        self._until = min(number + self._settle, max(self._until, number) + _CLIP_SETTLES)

    def _take(self, look: Look) -> None:
        if self._range.look(look):
            acc, gyr = self._range.clipped(look.rows[:, :3], look.rows[:, 3:])
            self.clipped += int((acc | gyr).sum())
            for at in np.flatnonzero(gyr).tolist():
                self._clip(self._count - len(look.rows) + at)
        now = self._units.look(look)
        now |= self._held.look(look, self._range.reaches)
        now |= self.rest.look(look)
        if not self.gyroscope:
            now.discard("gyroscope-dead")
        slow = (look.end_s - look.begin_s) * SLOWEST_HZ > len(look.rows) - 1
        self._slow = self._slow + 1 if slow else 0
        if self._nominal_slow or self._slow >= _SLOW_LOOKS:
            now.add("too-slow")
        self._now = now
        self._named |= now

    def names(self) -> set[str]:
        """Name the faults seen so far, without the segment, and without what another one among them explains."""
        names = set(self._named) | ({"saturated"} if self.clipped else set())
        for cause, explained in _EXPLAINS.items():
            if cause in names:
                names = names - explained
        return names


def flags(
    watches: Mapping[Segment, SensorWatch],
    defects: Iterable[StreamDefects],
    nominal_hz: Mapping[Segment, float],
    exercise: str | None,
) -> set[str]:
    """Name the faults of a session's sensors.

    Args:
        watches: of both sensors.
        defects: of both streams.
        nominal_hz: their nominal rates, Hz.
        exercise: the declared exercise, None when none was.
    """
    found = set()
    for one in defects:
        segment = one.segment
        names = watches[segment].names()
        if abs(one.rate_hz / nominal_hz[segment] - 1.0) > _RATE_OFF:  # not so for NaN
            names.add("rate-off")
        if exercise in EXERCISES and segment not in _RESTING.get(exercise, ()):
            other: Segment = "shank" if segment == "thigh" else "thigh"
            if watches[segment].rest.left_behind(watches[other].rest):
                names.add("not-moving")
        found |= {name if name in SESSION_FAULTS else f"{segment}-{name}" for name in names}
        if one.samples == 0:
            found.add(f"no-{segment}-samples")
    return found
