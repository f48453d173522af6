"""From a session's result (radians, the kit's monotonic clock) to what is sent (degrees, seconds after its start)."""

import math
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, cast

from gonio import __version__
from gonio.gateway.records import OpenSession
from gonio.messages import (
    AngleCurve,
    GoalReport,
    RepReport,
    SensorReport,
    SessionSummary,
    SetReport,
    degrees,
)
from gonio.signal.chunks import RepEvent, SessionResult, SetMetrics
from gonio.signal.consts import Side
from gonio.signal.knee.stored import StoredCalibration
from gonio.signal.reps.goal import Goal

CURVE_POINTS: Final = 300  # of a summary's curve; a longer session has wider steps
JOURNAL_STEP_S: Final = 0.2  # of the curve in the journal
SOFTWARE: Final = f"gonio {__version__}"


@dataclass(frozen=True, slots=True)
class SessionPlan:
    """What a session is to be.

    Attributes:
        exercise: its name; None to recognise it.
        side: the leg.
        source: what moves the sensors: a patient, a model or a recording.
        sitting_id: what ties the sessions of one sitting.
        goal: what every repetition is to reach; None when nothing is asked.
        program: the exercises prescribed, among which one is recognised; all when empty.
        stored: the calibration that these sensors had on this leg; taken up only if the motion agrees.
    """

    exercise: str | None
    side: Side
    source: Literal["sensor", "simulated", "recording"]
    sitting_id: uuid.UUID
    goal: Goal | None = None
    program: tuple[str, ...] = ()
    stored: StoredCalibration | None = None


def rep_report(rep: RepEvent, start_s: float) -> RepReport:
    """Write a repetition for the wire; times to 10 ms, clipped to the session's start."""
    start, peak, end = (round(max(0.0, t - start_s), 2) for t in (rep.start_s, rep.peak_s, rep.end_s))
    return RepReport(
        start_s=start,
        peak_s=peak,
        end_s=end,
        signal=rep.signal,
        peak_flexion_deg=degrees(rep.peak_flexion),
        min_flexion_deg=degrees(rep.min_flexion),
        rom_deg=degrees(rep.rom) or 0.0,
        measured=rep.measured and not math.isnan(rep.rom),
        concentric_s=_seconds(rep.concentric_s),
        hold_s=_seconds(rep.hold_s),
        eccentric_s=_seconds(rep.eccentric_s),
        peak_velocity_dps=degrees(rep.peak_velocity),
        smoothness=_rounded(rep.smoothness, 2),
        extensor_lag_deg=degrees(rep.extensor_lag),
        complete=rep.complete,
        on_target=rep.on_target,
    )


def set_report(one: SetMetrics, start_s: float) -> SetReport:
    """Write a set for the wire; times to 10 ms, clipped to the session's start."""
    return SetReport(
        start_s=round(max(0.0, one.start_s - start_s), 2),
        end_s=round(max(0.0, one.end_s - start_s), 2),
        complete=one.complete,
        partial=one.partial,
        on_target=one.on_target,
        rom_mean_deg=degrees(one.rom_mean),
        rom_cv=_rounded(one.rom_cv, 3),
        rep_s=_seconds(one.rep_s),
        tempo_trend=_rounded(one.tempo_trend, 3),
    )


def goal_report(goal: Goal) -> GoalReport:
    """Write what was asked for the wire; a template of the patient's own is not part of it."""
    angles = (None if angle is None else degrees(angle) for angle in (goal.flexion, goal.extension, goal.height))
    flexion, extension, height = angles
    return GoalReport(flexion_deg=flexion, extension_deg=extension, height_deg=height, hold_s=goal.hold_s)


def summarise(
    plan: SessionPlan,
    result: SessionResult,
    *,
    start_s: float,
    duration_s: float,
    sensors: Sequence[SensorReport],
    flags: Sequence[str] = (),
) -> SessionSummary:
    """Make the summary of a session.

    Args:
        plan: what it was to be.
        result: what it came to.
        start_s: the kit's monotonic clock at ``captured_at``, s.
        duration_s: from start to stop, s.
        sensors: how the sensors were heard.
        flags: what the kit adds to the result's own.
    """
    return SessionSummary(
        sitting_id=plan.sitting_id,
        exercise=result.exercise,
        recognised=result.recognised,
        side=plan.side,
        source=plan.source,
        duration_s=round(duration_s, 2),
        reps=tuple(rep_report(rep, start_s) for rep in result.reps),
        max_flexion_deg=degrees(result.max_flexion),
        min_flexion_deg=degrees(result.min_flexion),
        zero=cast("Literal['standing', 'pose', 'range', 'stored', 'none']", result.zero),
        calibration="stored" if result.resumed else "fresh",
        calibrated_at_s=_after(result.calibrated_at_s, start_s),
        ok_fraction=round(result.ok_fraction, 4),
        flags=tuple(sorted({*result.flags, *flags})),
        sensors=tuple(sensors),
        curve=_curve(result, start_s),
        goal=None if plan.goal is None else goal_report(plan.goal),
        sets=tuple(set_report(one, start_s) for one in result.sets),
        steps=result.steps,
        walking_s=round(result.walking_s, 1),
        likeness=_rounded(result.likeness, 2),
        software=SOFTWARE,
    )


def close_interrupted(session: OpenSession) -> SessionSummary:
    """Make the summary of a session that was cut off, from what its journal holds."""
    head = SessionSummary.model_validate_json(session.head)
    return head.model_copy(
        update={"interrupted": True, "reps": session.reps, "curve": _thin(session.curve, JOURNAL_STEP_S)}
    )


def _after(moment_s: float | None, start_s: float) -> float | None:
    return None if moment_s is None else round(max(0.0, moment_s - start_s), 2)


def _rounded(value: float, places: int) -> float | None:
    return round(value, places) if math.isfinite(value) else None


def _seconds(value: float) -> float | None:
    return _rounded(value, 2)


def _whole_degrees(radians: float) -> int | None:
    return None if math.isnan(radians) else round(math.degrees(radians))


def _curve(result: SessionResult, start_s: float) -> AngleCurve | None:
    """Move the result's curves onto whole steps after ``captured_at``; each point is the nearest one."""
    if not (result.curve or result.tilt_curve) or math.isnan(result.start_s):
        return None
    ahead = round((result.start_s - start_s) / result.curve_step_s)

    def moved(radians: Sequence[float]) -> list[int | None]:
        points: list[int | None] = [None] * max(0, ahead)
        points += [_whole_degrees(angle) for angle in radians]
        return points[max(0, -ahead) :]

    return _thin(moved(result.curve), result.curve_step_s, moved(result.tilt_curve) if result.tilt_curve else ())


def _thin(points: Sequence[int | None], step_s: float, tilt: Sequence[int | None] = ()) -> AngleCurve | None:
    if not points and not tilt:
        return None
    stride = math.ceil(max(len(points), len(tilt)) / CURVE_POINTS)
    return AngleCurve(
        step_s=round(step_s * stride, 6), flexion_deg=tuple(points[::stride]), tilt_deg=tuple(tilt[::stride])
    )
