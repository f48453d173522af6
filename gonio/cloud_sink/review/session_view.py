"""One session: its figures, its curve, its repetitions, and whether they can be trusted."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import fmean, stdev
from typing import Final

from markupsafe import Markup

from gonio.cloud_sink.model import PatientRow, SessionRow
from gonio.cloud_sink.review.book import Book
from gonio.cloud_sink.review.quality import Verdict, judge, known_share, lost_share
from gonio.cloud_sink.review.rows import extension, session_address, telling_angle, telling_name
from gonio.cloud_sink.review.words import ZERO, exercise_name, has_absolute_angle, session_name
from gonio.cloud_sink.review.zone import PatientZone
from gonio.messages import AngleCurve, RepReport, SensorReport, SessionSummary
from gonio.web.charts import Chart
from gonio.web.charts_bar import range_bar
from gonio.web.charts_curve import Curve, RepMark, curve_words, draw_curve
from gonio.web.charts_trend import REAL_CHANGE_DEG
from gonio.web.words import UNKNOWN, age, clock, count, day, degrees, duration, number, percent, seconds, short_day

#: Sessions looked through for the one before of the same exercise and side.
LOOK_BACK: Final = 100


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure that stands large at the head of the page: its name, its value, and a word beside it."""

    name: str
    value: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class RepLine:
    """A repetition in the table."""

    number: int
    start: str
    out: str
    back: str
    smallest: str
    peak: str
    range: str
    bar: Markup
    note: str


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
    chart: Chart
    chart_note: str
    reps: tuple[RepLine, ...]
    has_notes: bool
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
    reps = tuple(_rep_line(position, rep) for position, rep in enumerate(summary.reps, 1))
    return SessionView(
        title=session_name(summary),
        when=f"{day(at)}, {clock(at)}",
        age=age(row.captured, now),
        zone_label=zone.label,
        interrupted=summary.interrupted,
        figures=_figures(summary),
        before=_before(book, row, zone),
        chart=_chart(summary),
        chart_note=_chart_note(summary),
        reps=reps,
        has_notes=any(line.note for line in reps),
        verdict=judge(summary, clock=row.clock),
        calibration=_calibration(summary),
        zero=ZERO[summary.zero],
        known=percent(known_share(summary)),
        sensors=tuple(_sensor_column(sensor) for sensor in summary.sensors),
        provenance=_provenance(row, zone, now),
        sources=frozenset({summary.source}),
    )


def _figures(summary: SessionSummary) -> tuple[Figure, ...]:
    reps = [rep for rep in summary.reps if rep.measured]
    return (
        Figure("Repetitions", number(len(summary.reps)), _unsure_note(summary)),
        Figure("Largest flexion", degrees(summary.max_flexion_deg)),
        Figure("Extension", _extension_value(summary), _extension_note(summary)),
        Figure("Range a repetition", *_range(reps)),
        Figure("Tempo, out and back", *_tempo(reps)),
        Figure("Duration", duration(summary.duration_s)),
    )


def _unsure_note(summary: SessionSummary) -> str:
    unsure = sum(not rep.measured for rep in summary.reps)
    return f"{unsure} not measured throughout" if unsure else ""


def _extension_value(summary: SessionSummary) -> str:
    return extension(summary).removesuffix(" short").removesuffix(" beyond straight").replace("straight", "0°")


def _extension_note(summary: SessionSummary) -> str:
    text = extension(summary)
    if text == UNKNOWN:
        return "cannot be told without a zero" if not has_absolute_angle(summary) else "not measured"
    if text == "straight":
        return "straight"
    return "short of straight" if text.endswith("short") else "beyond straight"


def _range(reps: Sequence[RepReport]) -> tuple[str, str]:
    if not reps:
        return UNKNOWN, ""
    ranges = [rep.rom_deg for rep in reps]
    mean = fmean(ranges)
    if len(ranges) == 1 or mean <= 0:
        return degrees(mean), ""
    spread = stdev(ranges)
    return degrees(mean), f"mean; SD {number(spread, 1)}°, CV {percent(spread / mean)}"


def _tempo(reps: Sequence[RepReport]) -> tuple[str, str]:
    if not reps:
        return UNKNOWN, ""
    out = fmean(rep.peak_s - rep.start_s for rep in reps)
    back = fmean(rep.end_s - rep.peak_s for rep in reps)
    return f"{number(out, 1)} / {number(back, 1)} s", "mean"


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


def _chart(summary: SessionSummary) -> Chart:
    curve = Curve(
        step_s=summary.curve.step_s if summary.curve else 1.0,
        flexion_deg=summary.curve.flexion_deg if summary.curve else (),
        reps=tuple(_rep_mark(n, rep, summary.curve) for n, rep in enumerate(summary.reps, 1)),
        duration_s=summary.duration_s,
        known_from_s=summary.calibrated_at_s,
    )
    return draw_curve(curve, key="curve", title=_curve_finding(summary), description=curve_words(curve))


def _rep_mark(position: int, rep: RepReport, curve: AngleCurve | None) -> RepMark:
    """Mark a repetition where it turned back: for a movement that straightens the knee, at its smallest flexion."""
    index = round(rep.peak_s / curve.step_s) if curve else 0
    there = curve.flexion_deg[index] if curve and index < len(curve.flexion_deg) else None
    high, low = rep.peak_flexion_deg, rep.min_flexion_deg
    turn, lowest = high, False
    if rep.signal == "thigh":
        turn = there  # the thigh turned back then; the knee did what it did
    elif there is not None and high is not None and low is not None and abs(there - low) < abs(there - high):
        turn, lowest = low, True
    return RepMark(position, rep.start_s, rep.peak_s, rep.end_s, turn, lowest, rep.measured)


def _curve_finding(summary: SessionSummary) -> str:
    if summary.curve is None or all(value is None for value in summary.curve.flexion_deg):
        return "The knee's angle was not known"
    reps = count(len(summary.reps), "repetition") if summary.reps else "No repetition counted"
    return f"{reps}, {telling_name(summary)} {degrees(telling_angle(summary))}"


def _chart_note(summary: SessionSummary) -> str:
    if any(rep.signal == "thigh" for rep in summary.reps):
        return (
            f"In a {exercise_name(summary.exercise).lower()} the thigh's movement is counted; the curve shows how far "
            "the knee bent meanwhile. A raise with a bent knee shows a lag."
        )
    return ""


def _rep_line(position: int, rep: RepReport) -> RepLine:
    notes = [] if rep.measured else ["gap inside: not evidence"]
    if rep.signal == "thigh":
        notes.append("range of the thigh")
    return RepLine(
        number=position,
        start=_moment(rep.start_s),
        out=seconds(rep.peak_s - rep.start_s),
        back=seconds(rep.end_s - rep.peak_s),
        smallest=degrees(rep.min_flexion_deg),
        peak=degrees(rep.peak_flexion_deg),
        range=degrees(rep.rom_deg),
        bar=range_bar(rep.min_flexion_deg, rep.peak_flexion_deg, sure=rep.measured),
        note="; ".join(notes),
    )


def _moment(value_s: float) -> str:
    minutes, rest = divmod(value_s, 60)
    return f"{int(minutes)}:{rest:04.1f}"


def _calibration(summary: SessionSummary) -> str:
    at = summary.calibrated_at_s
    if at is None:
        return "Never: the angle was not known in this session"
    return "From the start" if at < 1 else f"From {duration(at)} after the start"


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
            number(sensor.repeated),
            number(sensor.malformed),
            number(sensor.restarts),
            number(sensor.reconnects),
        ),
    )


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
        ("Exercise", "recognised from the motion" if row.summary.recognised else "chosen before the start"),
        ("Sitting", str(row.summary.sitting_id)),
        ("Record", str(row.record_id)),
    )
