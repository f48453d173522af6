"""One record of each kind with every field told: what the points of it do not have, no record's have."""

import uuid
from datetime import date

from gonio.messages import AngleCurve, CheckIn, HealthReport, RepReport, SensorReport, SessionSummary, SetReport
from gonio.messages.check_in import HandExercise
from gonio.messages.health import EndedOutbox


def full_session() -> SessionSummary:
    def rep(number: int, rom_deg: float, *, complete: bool = True) -> RepReport:
        return RepReport(
            start_s=4.0 * number,
            peak_s=4.0 * number + 1.5,
            end_s=4.0 * number + 3,
            signal="knee",
            peak_flexion_deg=rom_deg + 2,
            min_flexion_deg=2.0,
            rom_deg=rom_deg,
            concentric_s=1.4,
            hold_s=0.2,
            eccentric_s=1.4,
            peak_velocity_dps=120.5,
            smoothness=-1.7,
            extensor_lag_deg=3.0,
            complete=complete,
            on_target=complete,
        )

    return SessionSummary(
        sitting_id=uuid.UUID(int=7),
        exercise="heel-slide",
        side="left",
        source="sensor",
        duration_s=60.0,
        reps=(rep(1, 89.0), rep(2, 91.0), rep(3, 40.0, complete=False)),
        max_flexion_deg=93.0,
        min_flexion_deg=2.0,
        zero="standing",
        calibrated_at_s=4.0,
        ok_fraction=0.95,
        flags=("slipped",),
        sensors=(
            SensorReport(segment="thigh", family="xsens-dot", name="DOT", samples=3600, lost=3),
            SensorReport(segment="shank", family="movesense", name="MS", samples=3600, lost=1, reconnects=1),
        ),
        curve=AngleCurve(
            step_s=0.3, flexion_deg=tuple(i * 7 % 90 for i in range(200)), tilt_deg=tuple(i % 40 for i in range(200))
        ),
        sets=(SetReport(start_s=4.0, end_s=15.0, complete=2, partial=1),),
        steps=12,
        walking_s=9.5,
        likeness=0.8,
        software="0.1.0",
    )


def full_check_in() -> CheckIn:
    return CheckIn(
        about=date(2026, 3, 5),
        pain_before=3,
        pain_during=8,
        pain_after=4,
        effort=6,
        symptoms=("swelling", "stiffness"),
        red_flags=("fever",),
        stop_reason="pain",
        by_hand=(HandExercise(exercise="quad-set", side="left", reps=10),),
        steps=4000,
        note="a secret of mine",
    )


def full_health() -> HealthReport:
    return HealthReport(
        software="0.1.0",
        outbox_id=uuid.UUID(int=1),
        last_sequence=40,
        pending=2,
        oldest_pending=39,
        rejected=1,
        ended=(EndedOutbox(outbox_id=uuid.UUID(int=9), last_sequence=12, saved=10, lost=((3, 4),)),),
        disk_free_mb=4000,
        days_left=900,
        batteries_percent={"thigh": 90, "shank": 81},
        troubles=("the shank sensor is away",),
    )
