"""One session as a line of a list: what was done, what came of it, how far it can be trusted."""

from dataclasses import dataclass
from datetime import datetime

from markupsafe import Markup

from gonio.cloud_sink.model import SessionRow
from gonio.cloud_sink.review.quality import Verdict, judge
from gonio.cloud_sink.review.words import RAISING, SOURCE_TAGS, STRAIGHTENING, has_absolute_angle, session_name
from gonio.cloud_sink.review.zone import PatientZone
from gonio.messages import SessionSummary
from gonio.web.charts_bar import range_bar
from gonio.web.words import UNKNOWN, Level, clock, degrees


@dataclass(frozen=True, slots=True)
class SessionLine:
    """A session in a list; ``at`` in the patient's time zone."""

    address: str
    at: datetime
    time: str
    name: str
    reps: int
    largest: str
    deficit: str
    bar: Markup
    verdict: Verdict
    tag: str
    interrupted: bool


def session_address(row: SessionRow) -> str:
    """Give the address of a session's page; it holds an opaque id and nothing of the person."""
    return f"/sessions/{row.record_id}"


def session_line(row: SessionRow, zone: PatientZone) -> SessionLine:
    """Make the line of a session."""
    summary = row.summary
    at = zone.local(row.captured)
    verdict = judge(summary, clock=row.clock)
    return SessionLine(
        address=session_address(row),
        at=at,
        time=clock(at),
        name=session_name(summary),
        reps=len(summary.reps),
        largest=degrees(summary.max_flexion_deg),
        deficit=extension(summary),
        bar=range_bar(summary.min_flexion_deg, summary.max_flexion_deg, sure=verdict.level is Level.GOOD),
        verdict=verdict,
        tag=SOURCE_TAGS[summary.source],
        interrupted=summary.interrupted,
    )


def telling_angle(summary: SessionSummary) -> float | None:
    """Give the angle that the exercise is about: a largest or smallest flexion, or the lag of a straight-leg raise."""
    if summary.exercise in RAISING:
        return largest_lag(summary)
    if summary.exercise in STRAIGHTENING:
        return summary.min_flexion_deg
    return summary.max_flexion_deg


def telling_name(summary: SessionSummary) -> str:
    """Name that angle."""
    if summary.exercise in RAISING:
        return "extensor lag"
    return "smallest flexion" if summary.exercise in STRAIGHTENING else "largest flexion"


def largest_lag(summary: SessionSummary) -> float | None:
    """Give the largest extensor lag of the repetitions that were measured throughout; None where none was told."""
    lags = [rep.extensor_lag_deg for rep in summary.reps if rep.measured and rep.extensor_lag_deg is not None]
    return max(lags, default=None)


def extension(summary: SessionSummary) -> str:
    """Say how far short of straight the knee stayed: "3° short", "straight", "2° beyond straight"."""
    smallest = summary.min_flexion_deg
    if smallest is None or not has_absolute_angle(summary):
        return UNKNOWN
    whole = round(smallest)
    if whole == 0:
        return "straight"
    return f"{degrees(whole)} short" if whole > 0 else f"{degrees(-whole)} beyond straight"
