"""One exercise on one side, from the two sensors' samples to its result: what kit and ``gonio analyze`` both use."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final, TypeAlias

from gonio.signal.chain import KneeChain
from gonio.signal.chunks import AlignedChunk, KneeAngleChunk, RepEvent, SampleChunk, SessionResult, TimedChunk
from gonio.signal.clock import SensorClock
from gonio.signal.consts import SEGMENTS, Segment, Side
from gonio.signal.goal import Goal
from gonio.signal.grid import Aligner
from gonio.signal.stored import StoredCalibration

Out: TypeAlias = KneeAngleChunk | RepEvent

#: A sensor that ends this much before the other was silent while the leg may have moved, s.
_EARLY_END_S: Final = 2.0


class Session:
    """Composes clock, grid and knee chain.

    The law holds for the whole: however the two streams are cut into chunks, and in whatever order the chunks of
    thigh and shank come, the angles and repetitions given are the same to the last bit (but where one stream is ahead
    of the other by more than ``grid.MAX_AHEAD`` samples).
    """

    def __init__(
        self,
        *,
        exercise: str | None,
        side: Side | None,
        rate_hz: float,
        nominal_rate_hz: Mapping[Segment, float] | None = None,
        goal: Goal | None = None,
        program: tuple[str, ...] = (),
        stored: StoredCalibration | None = None,
    ) -> None:
        """Begin.

        Args:
            exercise: the declared exercise; None to recognise it.
            side: the leg, or None when it is none.
            rate_hz: rate of the grid, Hz: the slower sensor's.
            nominal_rate_hz: each sensor's nominal rate, Hz; the grid's where it is not given.
            goal: what every repetition is to reach.
            program: the exercises among which one is recognised; all when empty.
            stored: the calibration of an earlier session with the same sensors, to be taken up if the motion agrees.
        """
        rates = nominal_rate_hz or {}
        self._clocks = {segment: SensorClock(segment, rates.get(segment, rate_hz)) for segment in SEGMENTS}
        self._aligner = Aligner(rate_hz)
        self._chain = KneeChain(rate_hz, exercise=exercise, side=side, goal=goal, program=program, stored=stored)
        self._last_s: dict[Segment, float] = {}
        self._finished = False

    def pose(self, start_s: float, end_s: float, flexion: float = 0.0) -> None:
        """Take note of a guided pose: from one moment to another (kit's clock, s) the knee is held at a flexion, rad.

        To be told before the samples of that time are fed.
        """
        self._chain.pose(start_s, end_s, flexion)

    def feed(self, segment: Segment, chunk: SampleChunk) -> list[Out]:
        """Take samples of one sensor in; give the angles and repetitions that they complete.

        Raises:
            ValueError: the sensor gave other times (its own, arrivals) before.
        """
        return self._pass_on(segment, self._clocks[segment].feed(chunk))

    def finish(self) -> list[Out]:
        """End the session; give the angles and repetitions that were still waiting."""
        self._finished = True
        out = [one for segment in SEGMENTS for one in self._pass_on(segment, self._clocks[segment].finish())]
        return out + self._through(self._aligner.finish()) + list(self._chain.finish())

    def result(self) -> SessionResult:
        """Give what the session has come to so far, also when a sensor (or both) has never been heard."""
        defects = tuple(self._clocks[segment].defects for segment in SEGMENTS)
        result = self._chain.result(defects)
        silent = {f"no-{one.segment}-samples" for one in defects if one.samples == 0}
        early = {"gap"} if self._finished and self._ends_apart_s() > _EARLY_END_S else set()
        return replace(result, flags=tuple(sorted({*result.flags, *silent, *early})))

    def _ends_apart_s(self) -> float:
        """Give the time between the two streams' last samples, s; 0 where one has never been heard."""
        ends = self._last_s.values()
        return max(ends) - min(ends) if len(ends) == len(SEGMENTS) else 0.0

    def _pass_on(self, segment: Segment, chunks: list[TimedChunk]) -> list[Out]:
        for chunk in chunks:
            if len(chunk):
                self._last_s[segment] = float(chunk.t_s[-1])
        return [one for chunk in chunks for one in self._through(self._aligner.feed(segment, chunk))]

    def _through(self, chunks: list[AlignedChunk]) -> list[Out]:
        return [one for chunk in chunks for one in self._chain.feed(chunk)]
