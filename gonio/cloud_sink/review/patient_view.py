"""A patient's sessions: how the largest flexion moves, and the list by day in the patient's own time zone."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Final
from urllib.parse import urlencode

from gonio.cloud_sink.model import PatientRow, SessionRow
from gonio.cloud_sink.review.book import ClinicBook
from gonio.cloud_sink.review.quality import judge
from gonio.cloud_sink.review.rows import SessionLine, session_line, telling_angle, telling_name
from gonio.cloud_sink.review.said_view import CHECK_INS_SHOWN, SaidLine, said_line, struck_words
from gonio.cloud_sink.review.words import session_name
from gonio.cloud_sink.review.zone import PatientZone
from gonio.web.charts import LARGE, MEDIUM, SMALL, Chart
from gonio.web.charts_trend import REAL_CHANGE_DEG, TrendPoint, draw_trend
from gonio.web.words import Level, age, clock, count, day, degrees, short_day

PAGE_SIZE: Final = 100
#: Plots beside the main one: those of the exercises done most often.
SMALL_PLOTS: Final = 6


@dataclass(frozen=True, slots=True)
class DayGroup:
    """The sessions of one day, newest first."""

    title: str
    sessions: tuple[SessionLine, ...]


@dataclass(frozen=True, slots=True)
class PatientView:
    """A patient's page; ``struck`` says by a session's address who struck it out, and why."""

    name: str
    address: str
    facts: str
    zone_label: str
    trends: tuple[Chart, ...]
    trends_left_out: int
    days: tuple[DayGroup, ...]
    struck: Mapping[str, str]
    said: tuple[SaidLine, ...]
    older: str | None
    is_first: bool
    sources: frozenset[str]


def view_patient(book: ClinicBook, patient: PatientRow, now: datetime, before: datetime | None = None) -> PatientView:
    """Read one page of a patient's sessions.

    Args:
        book: the store.
        patient: whose.
        now: the moment against which ages are told, aware.
        before: only sessions captured before this moment; None for the newest.
    """
    rows = list(book.sessions(patient.patient_id, limit=PAGE_SIZE + 1, before=before))
    more, rows = len(rows) > PAGE_SIZE, rows[:PAGE_SIZE]
    zone = PatientZone(patient.time_zone)
    lines = [session_line(row, zone) for row in rows]
    address = f"/patients/{patient.patient_id}"
    by_day = groupby(lines, key=lambda line: line.at.date())
    struck = book.struck_out([row.record_id for row in rows])
    trends, left_out = _trends([row for row in rows if row.record_id not in struck], zone)
    said = book.check_ins(patient.patient_id, limit=CHECK_INS_SHOWN, before=before)
    return PatientView(
        name=patient.name,
        address=address,
        facts=_facts(patient, zone, now),
        zone_label=zone.label,
        trends=trends,
        trends_left_out=left_out,
        days=tuple(DayGroup(day(group[0].at), group) for group in (tuple(g) for _, g in by_day)),
        struck={f"/sessions/{record_id}": struck_words(voids) for record_id, voids in struck.items()},
        said=tuple(said_line(row, zone) for row in said),
        older=f"{address}?{urlencode({'before': rows[-1].captured.isoformat()})}" if more else None,
        is_first=before is None,
        sources=frozenset(row.summary.source for row in rows) | {"simulated" for row in said if row.check_in.simulated},
    )


def _facts(patient: PatientRow, zone: PatientZone, now: datetime) -> str:
    last = patient.last_session_at
    if last is None:
        return "No session yet"
    local = zone.local(last)
    return f"{count(patient.sessions, 'session')}, the last on {day(local)}, {clock(local)} ({age(last, now)})"


def _trends(rows: Sequence[SessionRow], zone: PatientZone) -> tuple[tuple[Chart, ...], int]:
    """Draw a plot for each exercise and side, the one done most often first and largest."""
    ordered = sorted((row for row in rows if telling_angle(row.summary) is not None), key=lambda row: row.captured)
    names = [name for name, _ in Counter(session_name(row.summary) for row in reversed(ordered)).most_common()]
    if not names:
        return (), 0
    between = zone.local(ordered[0].captured), zone.local(ordered[-1].captured)
    charts = []
    for position, name in enumerate(names[: 1 + SMALL_PLOTS]):
        own = [row for row in ordered if session_name(row.summary) == name]
        what = telling_name(own[0].summary)
        points = [
            TrendPoint(
                zone.local(row.captured),
                telling_angle(row.summary),
                judge(row.summary, clock=row.clock).level is Level.GOOD,
            )
            for row in own
        ]
        chart = draw_trend(
            points,
            key=f"trend-{position}",
            title=f"{name}: {trend_finding(what, points)}",
            description=trend_words(what, points),
            what=what.capitalize(),
            between=between,
            sizes=(SMALL, MEDIUM, LARGE) if position == 0 else (SMALL,),
        )
        charts.append(chart)
    return tuple(charts), max(0, len(names) - len(charts))


def trend_finding(what: str, points: Sequence[TrendPoint]) -> str:
    """Say what the first and the last sound session show, and whether that is more than the error of measurement."""
    sound = [(p.at, p.value) for p in points if p.value is not None and p.sure]
    if not sound:
        return "no session measured soundly yet"
    (first_at, first), (last_at, last) = sound[0], sound[-1]
    if len(sound) == 1:
        return f"{what} {degrees(last)} on {short_day(last_at)}"
    change = round(last) - round(first)
    days = (last_at.date() - first_at.date()).days
    span = f"in {count(days, 'day')}" if days else "within a day"
    if abs(change) <= REAL_CHANGE_DEG:
        return f"{what} {degrees(last)}, no change beyond the error of measurement {span}"
    return f"{what} {'up' if change > 0 else 'down'} {abs(change)}° to {degrees(last)} {span}"


def trend_words(what: str, points: Sequence[TrendPoint]) -> str:
    """Describe a trend for those who do not see it."""
    known = [p.value for p in points if p.value is not None]
    if not known:
        return f"No {what} was measured."
    unsure = sum(p.value is not None and not p.sure for p in points)
    text = f"{what.capitalize()} in {count(len(known), 'session')}, between {degrees(min(known))} and "
    text += f"{degrees(max(known))}."
    return f"{text} {count(unsure, 'session is', 'sessions are')} uncertain." if unsure else text
