"""From a record to its points: pure, and the same each time, so that what is written again overwrites itself.

Time
    A point of InfluxDB is known by measurement, tags and time. A record's points stand at its start, cut to a
    millisecond, plus an offset of under a millisecond that is made from its id, plus the point's own time after the
    start; two points of a record are at least a nanosecond apart. So two records never meet, also where a kit's clock
    began at 1970 twice (but for one case in a million in which both began in the same millisecond).

Tags
    ``kit``, ``episode`` (the binding of kit to patient; NONE: nobody's), ``exercise``, ``side``, ``device`` (the
    sensors' families), ``source`` (``sensor``; ``simulated`` and ``recording`` are no patient's; ``self-report`` of a
    check-in, ``kit`` of health), ``clock``. Never a name, a patient's id or a free text.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from gonio.cloud_sink.projection.lines import EARLIEST_NS, LATEST_NS, NONE, FieldValue, head, line
from gonio.errors import GonioError
from gonio.messages import CheckIn, HealthReport, RepReport, SessionSummary

SESSION: Final = "session"
REPETITION: Final = "repetition"
ANGLE: Final = "angle"
CHECK_IN: Final = "check_in"
KIT_HEALTH: Final = "kit_health"

#: Which measurements a record of a kind writes to.
MEASUREMENTS: Final[Mapping[str, tuple[str, ...]]] = {
    "session": (SESSION, REPETITION, ANGLE),
    "check-in": (CHECK_IN,),
    "health": (KIT_HEALTH,),
}

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NS_PER_MS: Final = 1_000_000
_NS_PER_S: Final = 1_000_000_000


class UnfitError(GonioError):
    """A record that has no place in a time-series store: its text says why."""


@dataclass(frozen=True, slots=True)
class Header:
    """What of a record, beside its payload, its points say.

    Attributes:
        record_id: its id.
        kit_id: its kit.
        episode: the binding in force, or NONE.
        at: the moment in force, aware: of capture, or as it was repaired.
        clock: ``synchronised``, ``repaired`` or ``unsynchronised``.
    """

    record_id: UUID
    kit_id: str
    episode: str
    at: datetime
    clock: str


@dataclass(frozen=True, slots=True)
class Drawn:
    """A record's points.

    Attributes:
        lines: line protocol, one point each.
        place: a digest of all tags and times; with another one, other points must go first.
        first_ns: the time of the first, nanoseconds after 1970.
        last_ns: the time of the last.
    """

    lines: tuple[str, ...]
    place: bytes
    first_ns: int
    last_ns: int


def draw_session(header: Header, summary: SessionSummary) -> Drawn:
    """Draw a session: its figures at its start, its repetitions at their peaks, its curve.

    Raises:
        UnfitError: its moment is beyond what InfluxDB can hold.
    """
    tags = {
        "kit": header.kit_id,
        "episode": header.episode,
        "exercise": summary.exercise,
        "side": summary.side,
        "device": "+".join(sorted({sensor.family for sensor in summary.sensors})) or NONE,
        "source": summary.source,
        "clock": header.clock,
    }
    start_ns = _start_ns(header.record_id, header.at)
    points: list[tuple[str, Mapping[str, FieldValue], int]] = [
        (SESSION, _session_fields(header.record_id, summary), start_ns)
    ]
    times = _distinct(start_ns, (rep.peak_s for rep in summary.reps))
    points += [
        (REPETITION, _rep_fields(number, rep), at)
        for number, (rep, at) in enumerate(zip(summary.reps, times, strict=True), start=1)
    ]
    points += _curve_points(start_ns, summary)
    return _drawn(tags, points)


def draw_check_in(header: Header, check_in: CheckIn) -> Drawn:
    """Draw a check-in; of symptoms only how many, of notes nothing.

    Raises:
        UnfitError: its moment is beyond what InfluxDB can hold.
    """
    tags = {
        "kit": header.kit_id,
        "episode": header.episode,
        "source": "simulated" if check_in.simulated else "self-report",
        "clock": header.clock,
    }
    fields: dict[str, FieldValue] = {
        "record": str(header.record_id),
        "pain": check_in.worst_pain,
        "pain_before": check_in.pain_before,
        "pain_during": check_in.pain_during,
        "pain_after": check_in.pain_after,
        "effort": check_in.effort,
        "symptoms": len(check_in.symptoms),
        "red_flags": len(check_in.red_flags),
        "urgent": check_in.urgent,
        "by_hand": len(check_in.by_hand),
        "steps": check_in.steps,
        "stop_reason": check_in.stop_reason,
    }
    return _drawn(tags, [(CHECK_IN, fields, _start_ns(header.record_id, header.at))])


def draw_health(record_id: UUID, kit_id: str, as_of: datetime, report: HealthReport) -> Drawn:
    """Draw a health report.

    Raises:
        UnfitError: its moment is beyond what InfluxDB can hold.
    """
    tags = {"kit": kit_id, "source": "simulated" if report.simulated else "kit"}
    fields: dict[str, FieldValue] = {
        "record": str(record_id),
        "software": report.software,
        "pending": report.pending,
        "rejected": report.rejected,
        "last_sequence": report.last_sequence,
        "ended_outboxes": len(report.ended),
        "disk_free_mb": report.disk_free_mb,
        "days_left": report.days_left,
        "battery_thigh_percent": report.batteries_percent.get("thigh"),
        "battery_shank_percent": report.batteries_percent.get("shank"),
        "troubles": len(report.troubles),
    }
    return _drawn(tags, [(KIT_HEALTH, fields, _start_ns(record_id, as_of))])


def _session_fields(record_id: UUID, summary: SessionSummary) -> dict[str, FieldValue]:
    ranges = [rep.rom_deg for rep in summary.reps if rep.measured and rep.complete]
    complete = sum(rep.complete for rep in summary.reps)
    judged = [rep.on_target for rep in summary.reps if rep.on_target is not None]
    return {
        "record": str(record_id),
        "duration_s": summary.duration_s,
        "repetitions": complete,
        "partial_repetitions": len(summary.reps) - complete,
        "on_target": sum(judged) if judged else None,
        "sets": len(summary.sets),
        "max_flexion_deg": summary.max_flexion_deg,
        "min_flexion_deg": summary.min_flexion_deg,
        "rom_mean_deg": sum(ranges) / len(ranges) if ranges else None,
        "rom_max_deg": max(ranges, default=None),
        "ok_fraction": summary.ok_fraction,
        "interrupted": summary.interrupted,
        "steps": summary.steps,
        "walking_s": summary.walking_s,
        "likeness": summary.likeness,
        "flags": len(summary.flags),
        "lost_samples": sum(sensor.lost for sensor in summary.sensors),
        "reconnects": sum(sensor.reconnects for sensor in summary.sensors),
    }


def _rep_fields(number: int, rep: RepReport) -> dict[str, FieldValue]:
    return {
        "number": number,
        "rom_deg": rep.rom_deg,
        "peak_flexion_deg": rep.peak_flexion_deg,
        "min_flexion_deg": rep.min_flexion_deg,
        "duration_s": rep.end_s - rep.start_s,
        "concentric_s": rep.concentric_s,
        "hold_s": rep.hold_s,
        "eccentric_s": rep.eccentric_s,
        "peak_velocity_dps": rep.peak_velocity_dps,
        "smoothness": rep.smoothness,
        "extensor_lag_deg": rep.extensor_lag_deg,
        "complete": rep.complete,
        "on_target": rep.on_target,
        "measured": rep.measured,
    }


def _curve_points(start_ns: int, summary: SessionSummary) -> Iterator[tuple[str, Mapping[str, FieldValue], int]]:
    curve = summary.curve
    if curve is None:
        return
    count = max(len(curve.flexion_deg), len(curve.tilt_deg))
    for i, at in enumerate(_distinct(start_ns, (i * curve.step_s for i in range(count)))):
        flexion = curve.flexion_deg[i] if i < len(curve.flexion_deg) else None
        tilt = curve.tilt_deg[i] if i < len(curve.tilt_deg) else None
        yield ANGLE, {"flexion_deg": flexion, "tilt_deg": tilt}, at


def _start_ns(record_id: UUID, at: datetime) -> int:
    offset = int.from_bytes(hashlib.blake2b(record_id.bytes, digest_size=8).digest()) % _NS_PER_MS
    return (at - _EPOCH) // timedelta(milliseconds=1) * _NS_PER_MS + offset


def _distinct(start_ns: int, seconds: Iterator[float]) -> Iterator[int]:
    """Give the moments after a start, each later than the one before."""
    last = start_ns - 1
    for after_s in seconds:
        last = max(start_ns + round(after_s * _NS_PER_S), last + 1)
        yield last


def _drawn(tags: Mapping[str, str], points: list[tuple[str, Mapping[str, FieldValue], int]]) -> Drawn:
    starts = {measurement: head(measurement, tags) for measurement in {measurement for measurement, _, _ in points}}
    lines: list[str] = []
    places: list[tuple[str, int]] = []
    for measurement, fields, at in points:
        text = line(starts[measurement], fields, at)
        if text is not None:
            lines.append(text)
            places.append((measurement, at))
    first, last = min(at for _, at in places), max(at for _, at in places)
    if first < EARLIEST_NS or last > LATEST_NS:
        raise UnfitError("its moment lies beyond the years 1677 to 2262, which are all that InfluxDB can hold")
    digest = hashlib.blake2b(repr((sorted(starts.values()), places)).encode(), digest_size=16).digest()
    return Drawn(tuple(lines), digest, first, last)
