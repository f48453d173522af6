"""A recording as a motion: real people's movement for virtual sensors."""

from typing import Final

import numpy as np

from gonio.errors import UsageError
from gonio.recording import Recording
from gonio.signal.clock.sensor import SensorClock
from gonio.signal.consts import SEGMENTS, FloatArray, Segment, Side
from gonio.simulators.motion import MotionTruth, TrueRep


class RecordingMotion:
    """What two recorded sensors saw, at any moment; implements ``simulators.motion.Motion``.

    The motion begins when both sensors have begun and ends when the first of them ends. Between samples the signals
    are joined by lines, across the recording's gaps too.
    """

    origin: Final = "recording"

    def __init__(self, recording: Recording) -> None:
        """Bring a recording onto one clock.

        Raises:
            UsageError: A sensor has no samples, or the two share no time.
        """
        self.exercise = recording.meta.exercise
        self.side: Side = recording.meta.side or "right"
        self._signals: dict[Segment, tuple[FloatArray, FloatArray]] = {}
        for segment in SEGMENTS:
            self._signals[segment] = _on_one_clock(recording, segment)
        clocks = [times for times, _ in self._signals.values()]
        self._begin_s = float(max(times[0] for times in clocks))
        self.duration_s = float(min(times[-1] for times in clocks)) - self._begin_s
        if not self.duration_s > 0:
            raise UsageError("thigh and shank of the recording share no time: nothing can be played")
        self._truth_s, self._truth_flexion = _reference(recording)
        self.truth = self._find_truth(recording)

    def imu(self, segment: Segment, t_s: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Give specific force (n, 3) in m/s² and angular velocity (n, 3) in rad/s, sensor frame.

        Args:
            segment: where the sensor sits.
            t_s: (n,) moments in s; before the beginning and after the end the nearest moment counts.
        """
        times, values = self._signals[segment]
        at = np.clip(t_s, 0.0, self.duration_s) + self._begin_s
        both = np.column_stack([np.interp(at, times, values[:, column]) for column in range(values.shape[1])])
        return np.ascontiguousarray(both[:, :3]), np.ascontiguousarray(both[:, 3:])

    def flexion(self, t_s: FloatArray) -> FloatArray:
        """Give the reference's knee flexion (n,) in rad at moments (n,) in s; NaN where there is none to trust."""
        if not len(self._truth_s):
            return np.full(len(t_s), np.nan)
        return np.interp(t_s + self._begin_s, self._truth_s, self._truth_flexion, left=np.nan, right=np.nan)

    def _find_truth(self, recording: Recording) -> MotionTruth:
        sets, reps = recording.sets, recording.reps
        count = sum(one.count for one in sets) if sets is not None else len(reps) if reps is not None else None
        spans = [(one.start_s, one.end_s) for one in sets or ()] or [(-np.inf, np.inf)]
        inside = [self._within(*span) for span in spans]
        known = np.concatenate(inside)
        return MotionTruth(
            rep_count=count,
            reps=tuple(self._true_rep(rep.start_s, rep.end_s) for rep in reps or ()),
            max_flexion=float(known.max()) if len(known) else None,
        )

    def _within(self, start_s: float, end_s: float) -> FloatArray:
        flexion = self._truth_flexion[(self._truth_s >= start_s) & (self._truth_s <= end_s)]
        return flexion[np.isfinite(flexion)]

    def _true_rep(self, start_s: float, end_s: float) -> TrueRep:
        """Give a repetition in the motion's time; where there is no reference its peak is not known and NaN."""
        chosen = (self._truth_s >= start_s) & (self._truth_s <= end_s) & np.isfinite(self._truth_flexion)
        times, flexion = self._truth_s[chosen], self._truth_flexion[chosen]
        peak_s = float(times[np.argmax(np.abs(flexion - flexion[0]))]) if len(times) else np.nan
        return TrueRep(start_s - self._begin_s, peak_s - self._begin_s, end_s - self._begin_s)


def _on_one_clock(recording: Recording, segment: Segment) -> tuple[FloatArray, FloatArray]:
    """Give a sensor's times (n,) in s, fitted to the host's clock where arrivals are known, and its values (n, 6)."""
    clock = SensorClock(segment, recording.meta.rate_hz)
    timed = [*clock.feed(recording.samples(segment)), *clock.finish()]
    if not any(len(chunk) for chunk in timed):
        raise UsageError(f"the recording's {segment} has no samples")
    times = np.concatenate([chunk.t_s for chunk in timed])
    return times, np.concatenate([np.hstack((chunk.acc, chunk.gyr)) for chunk in timed])


def _reference(recording: Recording) -> tuple[FloatArray, FloatArray]:
    if recording.truth is None:
        return np.empty(0), np.empty(0)
    return recording.truth.t_s, np.where(recording.truth.valid, recording.truth.flexion, np.nan)
