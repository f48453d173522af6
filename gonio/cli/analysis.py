"""A recording led through the signal chain in streaming order, as the kit would have lived through it."""

import heapq
import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from gonio.errors import UsageError
from gonio.recording import Recording
from gonio.signal.chunks import KneeAngleChunk, RepEvent, SampleChunk, SessionResult
from gonio.signal.consts import SEGMENTS, Segment, Side
from gonio.signal.knee.stored import StoredCalibration
from gonio.signal.reps.goal import Goal
from gonio.signal.session import Session


@dataclass(frozen=True, slots=True)
class Pose:
    """A guided pose: from one moment to another (recording's clock, s) the knee is held at a flexion, rad."""

    start_s: float
    end_s: float
    flexion: float


@dataclass(frozen=True, slots=True)
class Question:
    """What the chain is told before it sees the recording.

    Attributes:
        exercise: the declared exercise; None to recognise it.
        side: the leg, or None when it is none.
        goal: what every repetition is to reach.
        program: the exercises among which one is recognised; all when empty.
        stored: the calibration of an earlier session with the same sensors.
        pose: a guided pose.
    """

    exercise: str | None
    side: Side | None
    goal: Goal | None = None
    program: tuple[str, ...] = ()
    stored: StoredCalibration | None = None
    pose: Pose | None = None


@dataclass(frozen=True, slots=True)
class Analysis:
    """What the chain made of a recording."""

    result: SessionResult
    angle: tuple[KneeAngleChunk, ...]


def in_streaming_order(recording: Recording, size: int) -> Iterator[tuple[Segment, SampleChunk]]:
    """Cut both sensors' samples into chunks and give them in the order in which they were complete."""
    streams = (_chunks(segment, recording.samples(segment), size) for segment in SEGMENTS)
    for _, _, segment, chunk in heapq.merge(*streams, key=lambda item: item[:2]):
        yield segment, chunk


def _chunks(segment: Segment, samples: SampleChunk, size: int) -> Iterator[tuple[float, int, Segment, SampleChunk]]:
    times = samples.arrival_s if samples.arrival_s is not None else samples.sensor_s
    if times is None:
        raise TypeError("samples without a time")  # a SampleChunk always has one of the two
    for begin in range(0, len(samples), size):
        part = slice(begin, begin + size)
        sensor, arrival = (None if t is None else t[part] for t in (samples.sensor_s, samples.arrival_s))
        chunk = SampleChunk(samples.acc[part], samples.gyr[part], sensor, arrival)
        yield float(times[part][-1]), SEGMENTS.index(segment), segment, chunk


def analyse(
    recording: Recording, question: Question, *, size: int, advance: Callable[[int], None] = lambda _: None
) -> Analysis:
    """Lead a recording through the chain.

    Args:
        recording: the recording.
        question: what the chain is told of it.
        size: samples of one sensor in a chunk; the outcome does not depend on it.
        advance: called with the number of samples done since the last call.
    """
    session = Session(
        exercise=question.exercise,
        rate_hz=recording.meta.rate_hz,
        goal=question.goal,
        program=question.program,
        stored=question.stored,
    )
    if question.pose is not None:
        session.pose(question.pose.start_s, question.pose.end_s, question.pose.flexion)
    out: list[KneeAngleChunk | RepEvent] = []
    for segment, chunk in in_streaming_order(recording, size):
        out += session.feed(segment, chunk)
        advance(len(chunk))
    out += session.finish()
    return Analysis(session.result(), tuple(one for one in out if isinstance(one, KneeAngleChunk)))


def _degrees(value: float) -> float | None:
    return round(math.degrees(value), 4) if math.isfinite(value) else None


def _number(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else round(value, 6)


def report(result: SessionResult) -> dict[str, object]:
    """Give the result as ``--json`` prints it: degrees, seconds on the recording's clock, null where not known."""
    defects = {}
    for one in result.defects:
        values = asdict(one)
        del values["segment"]
        defects[one.segment] = {k: _number(v) if isinstance(v, float) else v for k, v in values.items()}
    return {
        "exercise": result.exercise,
        "reps": [
            {
                "start_s": _number(rep.start_s),
                "peak_s": _number(rep.peak_s),
                "end_s": _number(rep.end_s),
                "signal": rep.signal,
                "peak_flexion_deg": _degrees(rep.peak_flexion),
                "min_flexion_deg": _degrees(rep.min_flexion),
                "rom_deg": _degrees(rep.rom),
                "measured": rep.measured,
                "concentric_s": _number(rep.concentric_s),
                "hold_s": _number(rep.hold_s),
                "eccentric_s": _number(rep.eccentric_s),
                "peak_velocity_dps": _degrees(rep.peak_velocity),
                "smoothness": _number(rep.smoothness),
                "extensor_lag_deg": _degrees(rep.extensor_lag),
                "complete": rep.complete,
                "on_target": rep.on_target,
            }
            for rep in result.reps
        ],
        "rep_count": len(result.reps),
        "max_flexion_deg": _degrees(result.max_flexion),
        "extension_deficit_deg": _degrees(result.min_flexion),
        "calibrated_at_s": _number(result.calibrated_at_s),
        "quality": {
            "ok_fraction": _number(result.ok_fraction),
            "zero": result.zero,
            "resumed": result.resumed,
            "recognised": result.recognised,
            "flags": list(result.flags),
            "start_s": _number(result.start_s),
            "end_s": _number(result.end_s),
            "defects": defects,
        },
        "sets": [
            {
                "start_s": _number(one.start_s),
                "end_s": _number(one.end_s),
                "complete": one.complete,
                "partial": one.partial,
                "on_target": one.on_target,
                "rom_mean_deg": _degrees(one.rom_mean),
                "rom_cv": _number(one.rom_cv),
                "rep_s": _number(one.rep_s),
                "tempo_trend": _number(one.tempo_trend),
            }
            for one in result.sets
        ],
        "steps": result.steps,
        "walking_s": _number(result.walking_s),
        "likeness": _number(result.likeness),
    }


def write_angle(path: Path, chunks: tuple[KneeAngleChunk, ...]) -> None:
    """Write ``t_s,knee_flexion_deg,ok``; the flexion is nan where nothing can be said.

    Raises:
        UsageError: the file cannot be written.
    """
    try:
        with path.open("w", encoding="utf-8") as file:
            file.write("t_s,knee_flexion_deg,ok\n")
            for chunk in chunks:
                rows = zip(chunk.t_s.tolist(), np.degrees(chunk.flexion).tolist(), chunk.ok.tolist(), strict=True)
                file.writelines(f"{t:.6f},{flexion:.4f},{ok:d}\n" for t, flexion, ok in rows)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from error
