"""The curves of a session: the leg's tilt where that is what is counted, and the knee's flexion."""

from collections.abc import Sequence
from dataclasses import dataclass

from gonio.cloud_sink.review.measures import measures, raises, tilt_name
from gonio.cloud_sink.review.rows import telling_angle, telling_name
from gonio.cloud_sink.review.words import STRAIGHTENING, exercise_name
from gonio.messages import RepReport, SessionSummary
from gonio.web.charts import Chart
from gonio.web.charts_curve import TILT, Curve, RepMark, curve_words, draw_curve
from gonio.web.words import count, degrees

_KNEE_NOTE = "Flexion is positive, 0° is the straight leg, below it the knee is hyperextended."
_MARKS_NOTE = "Shaded: repetitions; the points are where each turned back. Hatched: the angle was not known."


@dataclass(frozen=True, slots=True)
class NotedChart:
    """A chart with the words below it."""

    chart: Chart
    note: str


def session_charts(summary: SessionSummary) -> tuple[NotedChart, ...]:
    """Draw what a session shows; a knee whose angle was never known has no curve beside that of the tilt."""
    tilt = summary.curve.tilt_deg if summary.curve else ()
    known = summary.curve is not None and any(value is not None for value in summary.curve.flexion_deg)
    if not any(value is not None for value in tilt):
        return (_knee(summary),)
    return (_tilt(summary, tilt), _knee(summary)) if known else (_tilt(summary, tilt),)


def _tilt(summary: SessionSummary, tilt: Sequence[int | None]) -> NotedChart:
    marks = [
        RepMark(n, rep.start_s, rep.peak_s, rep.end_s, rep.rom_deg, lowest=False, sure=rep.measured)
        for n, rep in enumerate(summary.reps, 1)
    ]
    curve = Curve(
        step_s=summary.curve.step_s if summary.curve else 1.0,
        angle_deg=tuple(tilt),
        reps=tuple(marks),
        duration_s=summary.duration_s,
        known_from_s=None,
        what=TILT,
        target_deg=summary.goal.height_deg if summary.goal else None,
    )
    highest = max((rep.rom_deg for rep in summary.reps if rep.measured), default=None)
    done = "raised" if tilt_name(summary) == "Height" else "tilted"
    finding = _counted(summary) + (f", {done} by up to {degrees(highest)}" if highest is not None else "")
    note = f"How far the leg was tilted from where it rested: this is what is counted. {_MARKS_NOTE}"
    return NotedChart(draw_curve(curve, key="tilt", title=finding, description=curve_words(curve)), note)


def _knee(summary: SessionSummary) -> NotedChart:
    target = None
    if summary.goal is not None:
        target = summary.goal.extension_deg if summary.exercise in STRAIGHTENING else summary.goal.flexion_deg
    curve = Curve(
        step_s=summary.curve.step_s if summary.curve else 1.0,
        angle_deg=summary.curve.flexion_deg if summary.curve else (),
        reps=tuple(_knee_mark(n, rep, summary) for n, rep in enumerate(summary.reps, 1)),
        duration_s=summary.duration_s,
        known_from_s=summary.calibrated_at_s,
        target_deg=target,
    )
    chart = draw_curve(curve, key="curve", title=_knee_finding(summary), description=curve_words(curve))
    return NotedChart(chart, f"{_KNEE_NOTE} {_MARKS_NOTE}{_raise_note(summary)}")


def _knee_mark(position: int, rep: RepReport, summary: SessionSummary) -> RepMark:
    """Mark a repetition where it turned back: for a movement that straightens the knee, at its smallest flexion."""
    curve = summary.curve
    index = round(rep.peak_s / curve.step_s) if curve else 0
    there = curve.flexion_deg[index] if curve and index < len(curve.flexion_deg) else None
    high, low = rep.peak_flexion_deg, rep.min_flexion_deg
    turn, lowest = high, False
    if rep.signal == "thigh":
        turn = there  # the thigh turned back then; the knee did what it did
    elif there is not None and high is not None and low is not None and abs(there - low) < abs(there - high):
        turn, lowest = low, True
    return RepMark(position, rep.start_s, rep.peak_s, rep.end_s, turn, lowest, rep.measured)


def _counted(summary: SessionSummary) -> str:
    return count(len(summary.reps), "repetition") if summary.reps else "No repetition counted"


def _knee_finding(summary: SessionSummary) -> str:
    if summary.curve is None or all(value is None for value in summary.curve.flexion_deg):
        return "The knee's angle was not known"
    if raises(summary) and summary.curve.tilt_deg:
        return f"The knee meanwhile: {telling_name(summary)} {degrees(telling_angle(summary))}"
    return f"{_counted(summary)}, {telling_name(summary)} {degrees(telling_angle(summary))}"


def _raise_note(summary: SessionSummary) -> str:
    if not any(rep.signal == "thigh" for rep in summary.reps):
        return ""
    text = f" In a {exercise_name(summary.exercise).lower()} the leg's movement is counted; this curve shows how far "
    text += "the knee bent meanwhile."
    return f"{text} A raise with a bent knee shows a lag." if "extensor-lag" in measures(summary) else text
