"""One exercise on one side, from the two sensors' samples to its result: what kit and ``gonio analyze`` both use."""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Final, TypeAlias

import numpy as np

from gonio.signal.alone import Alone
from gonio.signal.chain import KneeChain
from gonio.signal.chunks import (
    KneeAngleChunk,
    RepEvent,
    SampleChunk,
    SessionResult,
    StreamDefects,
    TimedChunk,
)
from gonio.signal.clock.grid import Aligner
from gonio.signal.clock.sensor import SensorClock
from gonio.signal.consts import INCLINATION_ONLY, NO_EXERCISE, SEGMENTS, Segment
from gonio.signal.faults import watch as faults
from gonio.signal.faults.watch import SensorWatch
from gonio.signal.knee.stored import StoredCalibration
from gonio.signal.reps.goal import Goal

Out: TypeAlias = KneeAngleChunk | RepEvent

#: Rate of the grid when both sensors are faster than the first, Hz: a leg moves below 20 Hz, and every moment costs.
_FAST_HZ, GRID_HZ = 120.0, 100.0
#: What is said of two sensors, and means nothing where one was of no use.
_OF_TWO: Final = frozenset({"sign-uncertain", "other-exercise", "sensors-exchanged", "same-segment"})
#: What is said of an angle of the knee, and means nothing where there is none for want of a gyroscope.
_OF_ANGLE: Final = frozenset({"not-calibrated", "sign-uncertain", "no-standing", "zero-assumed", "pose-missed"})
#: A sensor that ends this much before the other was silent while the leg may have moved, s.
_EARLY_END_S: Final = 2.0


class Session:
    """Composes clock, watch for faults, grid and knee chain.

    The law holds for the whole: however the two streams are cut into chunks, and in whatever order the chunks of
    thigh and shank come, the angles and repetitions given are the same to the last bit (but where one stream is ahead
    of the other by more than ``grid.MAX_AHEAD`` samples).
    """

    def __init__(
        self,
        *,
        exercise: str | None,
        rate_hz: float,
        nominal_rate_hz: Mapping[Segment, float] | None = None,
        goal: Goal | None = None,
        program: tuple[str, ...] = (),
        stored: StoredCalibration | None = None,
    ) -> None:
        """Begin.

        Args:
            exercise: the declared exercise; None to recognise it.
            rate_hz: the slower sensor's rate, Hz; the grid's too, but for sensors so fast that it is GRID_HZ.
            nominal_rate_hz: each sensor's nominal rate, Hz; rate_hz where it is not given.
            goal: what every repetition is to reach.
            program: the exercises among which one is recognised; all when empty.
            stored: the calibration of an earlier session with the same sensors, to be taken up if the motion agrees.
        """
        self._exercise, self._goal = exercise, goal
        self._nominal_hz = {segment: (nominal_rate_hz or {}).get(segment, rate_hz) for segment in SEGMENTS}
        self._grid_hz = rate_hz if rate_hz <= _FAST_HZ else GRID_HZ
        self._clocks = {segment: SensorClock(segment, rate) for segment, rate in self._nominal_hz.items()}
        self._watches = {segment: SensorWatch(rate) for segment, rate in self._nominal_hz.items()}
        self._alone = Alone()
        self._aligner = Aligner(self._grid_hz)
        self._program, self._stored = program, stored
        self._without_gyro: frozenset[Segment] = frozenset()
        self._chain = self._begin_chain()
        self._heard: set[Segment] = set()
        self._last_s: dict[Segment, float] = {}
        self._only: Segment | None = None
        self._told_alone: SessionResult | None = None
        self._reps: tuple[RepEvent, ...] = ()  # all, once some are told by one sensor
        self._finished = False

    def _begin_chain(self) -> KneeChain:
        return KneeChain(
            self._grid_hz,
            exercise=self._exercise,
            goal=self._goal,
            program=self._program,
            stored=self._stored,
            gyroscopes=not self._without_gyro,
        )

    def pose(self, start_s: float, end_s: float, flexion: float = 0.0) -> None:
        """Take note of a guided pose: from one moment to another (kit's clock, s) the knee is held at a flexion, rad.

        To be told before the samples of that time are fed.
        """
        self._chain.pose(start_s, end_s, flexion)

    def feed(self, segment: Segment, chunk: SampleChunk) -> list[Out]:
        """Take samples of one sensor in; give the angles and repetitions that they complete.

        A sensor whose first samples have no angular velocity is one without a gyroscope: both sensors are then judged
        by gravity alone, and no angle of the knee is told. One that ceases to have any is one whose gyroscope reads
        nothing.

        Raises:
            ValueError: the sensor gave other times (its own, arrivals) before.
        """
        if len(chunk):
            silent = math.isnan(chunk.gyr.item(0))
            if silent and segment not in self._heard:
                self._go_without_gyro(segment)
            self._heard.add(segment)
            if silent or segment in self._without_gyro:
                chunk = replace(chunk, gyr=np.zeros_like(chunk.gyr))
        return self._pass_on(segment, self._clocks[segment].feed(chunk))

    def _go_without_gyro(self, segment: Segment) -> None:
        """Take note, before a sensor's first samples (so that the chain had none yet), that it has no gyroscope."""
        self._without_gyro |= {segment}
        self._watches[segment].gyroscope = False
        self._chain = self._begin_chain()

    def finish(self) -> list[Out]:
        """End the session; give the angles and repetitions that were still waiting."""
        if self._finished:
            return []
        self._finished = True
        out = [one for segment in SEGMENTS for one in self._pass_on(segment, self._clocks[segment].finish())]
        told = self._chain.reps
        late = self._chain.finish()
        self._only = self._alone.segment()
        if self._only is None:
            return out + late
        return out + self._count_alone(self._only, told, late)

    def result(self) -> SessionResult:
        """Give what the session has come to so far, also when a sensor (or both) has never been heard."""
        defects = tuple(self._defects(segment) for segment in SEGMENTS)
        result = self._chain.result(defects)
        flags = set(result.flags) | faults.flags(self._watches, defects, self._nominal_hz, self._exercise)
        if any(one.gaps for one in defects):
            flags.add("gap")
        if self._only is not None:
            flags = flags - _OF_TWO | {f"only-{self._only}"}
        if self._without_gyro:
            flags = flags - _OF_ANGLE | {INCLINATION_ONLY}
            if "exercise-uncertain" in flags:  # two turns without a direction fit several names
                result = replace(result, exercise=NO_EXERCISE, likeness=math.nan)
        told = self._told_alone
        if told is None:
            return replace(result, flags=tuple(sorted(flags)))
        if math.isnan(result.start_s):  # there never were two
            result = replace(
                result,
                start_s=told.start_s,
                end_s=told.end_s,
                curve_step_s=told.curve_step_s,
                curve=told.curve,
                tilt_curve=told.tilt_curve,
            )
        return replace(result, reps=self._reps, sets=result.sets + told.sets, flags=tuple(sorted(flags)))

    def _defects(self, segment: Segment) -> StreamDefects:
        """Tell what went wrong with a stream, its silence at the end included."""
        defects = replace(self._clocks[segment].defects, clipped=self._watches[segment].clipped)
        if not self._finished or segment not in self._last_s:
            return defects
        silent_s = max(self._last_s.values()) - self._last_s[segment]
        if silent_s <= _EARLY_END_S:
            return defects
        return replace(defects, gaps=defects.gaps + 1, longest_gap_s=max(defects.longest_gap_s, silent_s))

    def _count_alone(self, segment: Segment, told: tuple[RepEvent, ...], late: list[Out]) -> list[Out]:
        """Count the last stretch by the one sensor that was left, if it is known what is to be counted.

        What both sensors' chain found in that stretch goes: it rests on the sensor that was not there.

        Args:
            segment: the sensor that was left.
            told: repetitions reported before the end.
            late: what the chain still gives at the end.

        Returns:
            What is to be given at the end.
        """
        exercise = self._exercise or self._chain.result(()).exercise
        if exercise == NO_EXERCISE:
            return late
        since = self._alone.since(segment)
        alone = self._alone.count(
            segment,
            self._grid_hz,
            exercise=exercise,
            goal=self._goal,
            gyroscope=segment not in self._without_gyro,
        )
        out = [one for one in late if not (isinstance(one, RepEvent) and one.end_s > since)]
        both = [*told, *(one for one in out if isinstance(one, RepEvent))]
        self._reps = (*(rep for rep in both if rep.end_s <= since), *alone.reps)
        self._told_alone = alone
        known = [rep for rep in told if rep.end_s > since]
        return [*out, *(rep for rep in alone.reps if not any(_overlap(rep, one) for one in known))]

    def _pass_on(self, segment: Segment, chunks: list[TimedChunk]) -> list[Out]:
        out: list[Out] = []
        for chunk in chunks:
            spoilt = self._watches[segment].feed(chunk)
            self._alone.keep(segment, chunk, spoilt)
            self._last_s[segment] = chunk.t_s.item(-1)
            for aligned in self._aligner.feed(segment, chunk, spoilt):
                out += self._chain.feed(aligned)
        return out


def _overlap(one: RepEvent, other: RepEvent) -> bool:
    return one.start_s < other.end_s and other.start_s < one.end_s
