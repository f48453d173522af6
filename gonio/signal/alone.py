"""What can still be told when one of the two sensors is not there: never heard, gone, or spoilt by a fault to the end.

One sensor knows how far its segment is tilted from where it rests, and that is enough to count the repetitions of most
exercises: raises, bridges, sit-to-stand and squats by the thigh, knee extensions and curls by the shank. There is no
knee angle in it. So the stretch is counted by the same chain, with the one sensor in both places: two segments that
move as one have no joint, no angle is looked for, and what is counted is the tilt.

Only the last stretch counts, for only at the end is it known that the other sensor did not come back.
"""

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from gonio.signal.chain import KneeChain
from gonio.signal.chunks import RepEvent, SessionResult, TimedChunk
from gonio.signal.clock.grid import MAX_AHEAD, Aligner
from gonio.signal.consts import SEGMENTS, BoolArray, Segment
from gonio.signal.reps.goal import Goal

#: A shorter stretch at the end holds no exercise, s.
LEAST_S: Final = 10.0
_BOTH_WAYS: Final = (SEGMENTS, SEGMENTS[::-1])


class Alone:
    """Keeps each sensor's samples since the other was last of use."""

    def __init__(self) -> None:
        self._kept: dict[Segment, deque[tuple[TimedChunk, BoolArray | None]]] = {s: deque() for s in SEGMENTS}
        self._count: dict[Segment, int] = dict.fromkeys(SEGMENTS, 0)
        self._good_until: dict[Segment, float] = dict.fromkeys(SEGMENTS, -math.inf)

    def keep(self, segment: Segment, chunk: TimedChunk, spoilt: BoolArray | None) -> None:
        """Take a sensor's next samples, one at least, and which of them (n,) a fault has spoilt."""
        self._kept[segment].append((chunk, spoilt))
        self._count[segment] += len(chunk)
        if spoilt is None:
            self._good_until[segment] = chunk.t_s.item(-1)
        elif not spoilt.all():
            self._good_until[segment] = chunk.t_s[~spoilt].item(-1)
        for one, other in _BOTH_WAYS:
            kept, until = self._kept[one], self._good_until[other]
            while kept and (kept[0][0].t_s.item(-1) <= until or self._count[one] > MAX_AHEAD):
                self._count[one] -= len(kept.popleft()[0])

    def segment(self) -> Segment | None:
        """Tell which sensor was the only one of use at the end, for long enough to matter."""
        (one, other), until = SEGMENTS, self._good_until
        if until[one] == until[other]:
            return None
        last, gone = (one, other) if until[one] > until[other] else (other, one)
        kept = self._kept[last]
        begin = max(until[gone], float(kept[0][0].t_s[0])) if kept else math.inf
        return last if until[last] - begin >= LEAST_S else None

    def since(self, segment: Segment) -> float:
        """Give the moment, s, from which on a sensor was the only one of use; minus infinity when it always was."""
        return self._good_until["shank" if segment == "thigh" else "thigh"]

    def count(
        self,
        segment: Segment,
        rate_hz: float,
        *,
        exercise: str,
        goal: Goal | None,
        gyroscope: bool = True,
    ) -> SessionResult:
        """Count the repetitions of an exercise by the tilt of the segment that was left.

        Args:
            segment: which one.
            rate_hz: rate of the grid, Hz.
            exercise: its name.
            goal: what every repetition is to reach.
            gyroscope: whether its sensor has one.

        Returns:
            A result whose repetitions are all of the tilt and know no flexion.
        """
        chain = KneeChain(rate_hz, exercise=exercise, goal=goal, joint=False, gyroscopes=gyroscope)
        aligner = Aligner(rate_hz)
        since = self.since(segment)
        for chunk, spoilt in self._kept[segment]:
            part, bad = _after(chunk, spoilt, since)
            for place in SEGMENTS:
                for aligned in aligner.feed(place, part, bad):
                    chain.feed(aligned)
        chain.finish()
        result = chain.result(())
        return replace(result, reps=tuple(_tilts(result.reps)), zero="none", calibrated_at_s=None, calibration=None)


def _after(chunk: TimedChunk, spoilt: BoolArray | None, since: float) -> tuple[TimedChunk, BoolArray | None]:
    first = int(chunk.t_s.searchsorted(since, side="right"))
    if first == 0:
        return chunk, spoilt
    part = TimedChunk(chunk.t_s[first:], chunk.acc[first:], chunk.gyr[first:])
    return part, None if spoilt is None else spoilt[first:]


def _tilts(reps: Iterable[RepEvent]) -> Iterable[RepEvent]:
    nan = math.nan
    for rep in reps:
        if rep.signal == "thigh":
            yield replace(rep, peak_flexion=nan, min_flexion=nan, extensor_lag=nan)
