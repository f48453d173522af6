"""One session: its figures, its curve, its repetitions, and whether they can be trusted."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from gonio.cloud_sink.model import PatientRow, SessionRow
from gonio.cloud_sink.review.book import Book
from gonio.cloud_sink.review.quality import Verdict, judge, known_share, lost_share
from gonio.cloud_sink.review.rows import session_address, telling_angle, telling_name
from gonio.cloud_sink.review.session_charts import NotedChart, session_charts
from gonio.cloud_sink.review.session_figures import Figure, figures
from gonio.cloud_sink.review.session_legs import BothLegs, both_legs
from gonio.cloud_sink.review.session_reps import repetitions, sets
from gonio.cloud_sink.review.table import Table
from gonio.cloud_sink.review.words import ZERO, session_name
from gonio.cloud_sink.review.zone import PatientZone
from gonio.messages import SensorReport, SessionSummary
from gonio.web.charts_trend import REAL_CHANGE_DEG
from gonio.web.words import UNKNOWN, age, clock, count, day, degrees, duration, number, percent, short_day

#: Sessions looked through for the one before of the same exercise and side.
LOOK_BACK: Final = 100


@dataclass(frozen=True, slots=True)
class SensorColumn:
    """What one sensor was and how it was heard: its name and the values of SENSOR_FACTS, in that order."""

    segment: str
    values: tuple[str, ...]


SENSOR_FACTS: Final = (
    "Sensor",
    "Firmware",
    "Battery at the start",
    "Rate on the kit's clock",
    "Samples received",
    "Lost on the way",
    "Gaps too long to bridge",
    "Beyond its range",
    "Repeated, dropped",
    "Packets that could not be read",
    "Restarts of its clock",
    "Reconnections",
)


@dataclass(frozen=True, slots=True)
class Before:
    """The previous session of the same exercise and side, and what changed since."""

    address: str
    when: str
    what: str


@dataclass(frozen=True, slots=True)
class SessionView:
    """A session's page."""

    title: str
    when: str
    age: str
    zone_label: str
    interrupted: bool
    figures: tuple[Figure, ...]
    before: Before | None
    charts: tuple[NotedChart, ...]
    reps: Table
    rep_count: int
    has_phases: bool
    sets: Table
    legs: BothLegs | None
    verdict: Verdict
    calibration: str
    zero: tuple[str, str]
    known: str
    sensors: tuple[SensorColumn, ...]
    provenance: tuple[tuple[str, str], ...]
    sources: frozenset[str]


def view_session(book: Book, row: SessionRow, patient: PatientRow | None, now: datetime) -> SessionView:
    """Make a session's page.

    Args:
        book: the store, for the session before.
        row: the session.
        patient: whose it is; None when nobody's.
        now: the moment against which ages are told, aware.
    """
    summary = row.summary
    zone = PatientZone(patient.time_zone if patient else "UTC")
    at = zone.local(row.captured)
    return SessionView(
        title=session_name(summary),
        when=f"{day(at)}, {clock(at)}",
        age=age(row.captured, now),
        zone_label=zone.label,
        interrupted=summary.interrupted,
        figures=figures(summary),
        before=_before(book, row, zone),
        charts=session_charts(summary),
        reps=repetitions(summary),
        rep_count=len(summary.reps),
        has_phases=any(rep.concentric_s is not None for rep in summary.reps),
        sets=sets(summary),
        legs=both_legs(book, row, zone),
        verdict=judge(summary, clock=row.clock),
        calibration=_calibration(summary),
        zero=ZERO[summary.zero],
        known=percent(known_share(summary)),
        sensors=tuple(_sensor_column(sensor) for sensor in summary.sensors),
        provenance=_provenance(row, zone, now),
        sources=frozenset({summary.source}),
    )


def _before(book: Book, row: SessionRow, zone: PatientZone) -> Before | None:
    """Compare with the last session of the same exercise, side and source in which the angle was measured."""
    now = telling_angle(row.summary)
    if row.patient_id is None or now is None:
        return None
    key = (row.summary.exercise, row.summary.side, row.summary.source)
    for earlier in book.sessions(row.patient_id, limit=LOOK_BACK, before=row.captured):
        then = telling_angle(earlier.summary)
        if (earlier.summary.exercise, earlier.summary.side, earlier.summary.source) != key or then is None:
            continue
        change = round(now) - round(then)
        if abs(change) <= REAL_CHANGE_DEG:
            what = f"no change beyond the error of measurement ({REAL_CHANGE_DEG:.0f}°)"
        else:
            what = f"{abs(change)}° {'more' if change > 0 else 'less'} this time"
        local = zone.local(earlier.captured)
        return Before(
            session_address(earlier),
            f"{short_day(local)}, {clock(local)}",
            f"{telling_name(row.summary)} {degrees(then)}; {what}",
        )
    return None


def _calibration(summary: SessionSummary) -> str:
    at = summary.calibrated_at_s
    if at is None:
        return "Never: the angle was not known in this session"
    when = "From the start" if at < 1 else f"From {duration(at)} after the start"
    if summary.calibration == "stored":
        return f"{when}, with what the kit kept of an earlier session"
    return when


def _sensor_column(sensor: SensorReport) -> SensorColumn:
    gaps = count(sensor.gaps, "gap") if sensor.gaps else "None"
    if sensor.gaps:
        gaps += f", the longest {duration(sensor.longest_gap_s) if sensor.longest_gap_s >= 1 else 'under 1 s'}"
    return SensorColumn(
        segment=sensor.segment.capitalize(),
        values=(
            f"{sensor.name or 'unnamed'} ({sensor.family})",
            sensor.firmware or UNKNOWN,
            UNKNOWN if sensor.battery_percent is None else f"{sensor.battery_percent} %",
            UNKNOWN if sensor.rate_hz is None else f"{number(sensor.rate_hz, 2)} Hz",
            number(sensor.samples),
            f"{number(sensor.lost)} ({percent(lost_share(sensor))})" if sensor.lost else "None",
            gaps,
            number(sensor.clipped),
            number(sensor.repeated),
            number(sensor.malformed),
            number(sensor.restarts),
            _reconnects(sensor),
        ),
    )


def _reconnects(sensor: SensorReport) -> str:
    away = f"away for {duration(sensor.away_s) if sensor.away_s >= 1 else 'under 1 s'}" if sensor.away_s else ""
    return ", ".join(part for part in (number(sensor.reconnects), away) if part)


def _exercise(summary: SessionSummary) -> str:
    text = "recognised from the motion" if summary.recognised else "chosen before the start"
    return text if summary.likeness is None else f"{text}; the motion fits it {percent(summary.likeness)}"


def _provenance(row: SessionRow, zone: PatientZone, now: datetime) -> tuple[tuple[str, str], ...]:
    received = zone.local(row.received_at)
    source = {"sensor": "Sensors on a patient", "simulated": "Simulated", "recording": "A recording played back"}
    return (
        ("Started", row.captured.isoformat(sep=" ", timespec="seconds")),
        ("Received", f"{day(received)}, {clock(received)} ({age(row.received_at, now)})"),
        ("Kit's clock", row.clock),
        ("Source", source[row.summary.source]),
        ("Kit", row.kit_id),
        ("Software on the kit", row.summary.software),
        ("Exercise", _exercise(row.summary)),
        ("Sitting", str(row.summary.sitting_id)),
        ("Record", str(row.record_id)),
    )
