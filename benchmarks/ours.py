"""gonio's chain over a trial, as kit and ``gonio analyze`` run it, and what came of it against the truth."""

import time
from dataclasses import dataclass
from typing import Final

import numpy as np
from measures import degrees_rms, free_of_offset, wrapped
from trials import Trial

from gonio.signal.chunks import KneeAngleChunk, RepEvent, SampleChunk, SessionResult
from gonio.signal.consts import SEGMENTS, BoolArray, FloatArray
from gonio.signal.session import Session

#: ``ok`` and wrong by more than this is never to happen, degrees.
WRONG_DEG: Final = 10.0


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What the chain made of a trial.

    Attributes:
        trial: what was measured.
        t_s: (n,) times of the angles, s.
        flexion: (n,) rad, NaN where nothing can be said.
        tilt: (n,) inclination of the thigh, rad, NaN likewise.
        ok: (n,) whether the angle may be shown.
        reps: as they were reported.
        result: of the session.
        seconds: of computing.
    """

    trial: Trial
    t_s: FloatArray
    flexion: FloatArray
    tilt: FloatArray
    ok: BoolArray
    reps: tuple[RepEvent, ...]
    result: SessionResult
    seconds: float

    @property
    def use(self) -> BoolArray:
        """Where the angle is ok and the truth known (n,)."""
        return self.ok & np.isfinite(self.trial.reference(self.t_s))

    @property
    def calibrated_after_s(self) -> float:
        """Time from the beginning until the angle was known, s; NaN when it never was."""
        at = self.result.calibrated_at_s
        return float("nan") if at is None else at - self.result.start_s

    def error(self) -> FloatArray:
        """Give the angle's error with the chain's own zero where ``use``, rad; of a rig up to sign and offset."""
        use = self.use
        reference = self.trial.reference(self.t_s)[use]
        if not self.trial.rig or not use.any():
            return wrapped(self.flexion[use] - reference)
        gaps = [wrapped(self.flexion[use] - sign * reference) for sign in self.trial.signs]
        return min((wrapped(gap - np.angle(np.exp(1j * gap).mean())) for gap in gaps), key=degrees_rms)

    def offset_free(self, *, lag: bool) -> float:
        """Give the RMSE without a constant offset, degrees; ``lag``: without a lag of up to 0.3 s either."""
        return free_of_offset(self.t_s, self.flexion, self.use, self.trial, lag=lag)

    def own_zero(self) -> float:
        """Give the RMSE with the chain's own zero, degrees; NaN for a rig, which has none."""
        return float("nan") if self.trial.rig else degrees_rms(self.error())

    def wrong(self) -> int:
        """Count the samples that are ok and wrong by more than WRONG_DEG."""
        return int(np.count_nonzero(np.abs(np.degrees(self.error())) > WRONG_DEG))

    def sign_right(self) -> bool | None:
        """Tell whether flexion is flexion; of a rig whether the two axes fit each other. None when never ok."""
        if not self.use.any():
            return None
        reference = self.trial.reference(self.t_s)[self.use]
        if float(np.ptp(reference)) < np.radians(WRONG_DEG):
            return None
        shape = float(np.corrcoef(np.unwrap(self.flexion[self.use]), reference)[0, 1])
        return abs(shape) > 0.8 if self.trial.rig else shape > 0.0  # noqa: PLR2004

    def peak_errors(self) -> FloatArray:
        """Give measured minus true peak flexion of each repetition that has both, degrees."""
        errors = []
        for rep in () if self.trial.rig else self.result.reps:
            inside = (self.trial.truth_s >= rep.start_s) & (self.trial.truth_s <= rep.end_s)
            truth = self.trial.truth[inside]
            if len(truth) and np.isfinite(truth).all() and np.isfinite(rep.peak_flexion):
                errors.append(np.degrees(rep.peak_flexion - truth.max()))
        return np.array(errors)


def run(trial: Trial, *, exercise: str | None, size: int = 50) -> Outcome:
    """Feed a trial in chunks to a session.

    Args:
        trial: what was measured.
        exercise: what the session is told.
        size: samples a chunk.
    """
    session = Session(exercise=exercise, rate_hz=trial.rate_hz)
    angles: list[KneeAngleChunk] = []
    reps: list[RepEvent] = []
    begin = time.perf_counter()
    out: list[KneeAngleChunk | RepEvent] = []
    for first in range(0, max(len(chunk) for chunk in trial.samples.values()), size):
        for segment in SEGMENTS:
            part = cut(trial.samples[segment], first, first + size)
            if len(part):
                out += session.feed(segment, part)
    out += session.finish()
    seconds = time.perf_counter() - begin
    for one in out:
        if isinstance(one, KneeAngleChunk):
            angles.append(one)
        else:
            reps.append(one)
    return Outcome(
        trial,
        t_s=np.concatenate([one.t_s for one in angles]),
        flexion=np.concatenate([one.flexion for one in angles]),
        tilt=np.concatenate([one.thigh_inclination for one in angles]),
        ok=np.concatenate([one.ok for one in angles]),
        reps=tuple(reps),
        result=session.result(),
        seconds=seconds,
    )


def cut(chunk: SampleChunk, first: int, last: int) -> SampleChunk:
    """Give some of a chunk's samples."""
    own, arrival = chunk.sensor_s, chunk.arrival_s
    return SampleChunk(
        chunk.acc[first:last],
        chunk.gyr[first:last],
        None if own is None else own[first:last],
        None if arrival is None else arrival[first:last],
    )
