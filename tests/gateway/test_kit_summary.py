"""From a session's result to what is sent: radians to degrees, the kit's clock to seconds after the start."""

import math
import uuid
from dataclasses import replace
from pathlib import Path

import pytest

from gonio.gateway.clock import KitClock
from gonio.gateway.keeper import RecordKeeper
from gonio.gateway.session import SessionRunner
from gonio.gateway.store import KitStore
from gonio.gateway.summary import CURVE_POINTS, SessionPlan, goal_report, rep_report, set_report, summarise
from gonio.messages import SessionSummary, payload_text
from gonio.signal.chunks import RepEvent, SessionResult, SetMetrics
from gonio.signal.consts import SEGMENTS
from gonio.signal.faults.watch import SENSOR_FAULTS
from gonio.signal.reps.goal import Goal, Template

NAN = math.nan
REP = RepEvent(
    start_s=102.0, peak_s=103.5, end_s=105.0, signal="knee", peak_flexion=1.6, min_flexion=0.05, rom=1.55,
    concentric_s=1.2345, hold_s=0.5, eccentric_s=1.5, peak_velocity=1.0, smoothness=-1.6789, complete=False,
    on_target=True,
)  # fmt: skip
SET = SetMetrics(
    start_s=102.0, end_s=140.0, complete=9, partial=1, on_target=8, rom_mean=1.5, rom_cv=0.04321, rep_s=3.0,
    tempo_trend=0.0204,
)  # fmt: skip
RESULT = SessionResult(
    exercise="heel-slide", recognised=False, reps=(REP,), calibrated_at_s=101.0, zero="standing", max_flexion=1.6,
    min_flexion=0.05, ok_fraction=0.9, flags=("gap",), defects=(), start_s=100.5, end_s=141.0, curve_step_s=0.5,
    curve=(NAN, 0.0, math.pi / 2), tilt_curve=(0.0, 0.1, 0.2), sets=(SET,), steps=14, walking_s=11.234, likeness=0.876,
)  # fmt: skip
PLAN = SessionPlan("heel-slide", "left", "simulated", uuid.uuid4(), Goal(flexion=math.pi / 2, hold_s=5.0))


def summary(result: SessionResult = RESULT, plan: SessionPlan = PLAN) -> SessionSummary:
    return summarise(plan, result, start_s=100.0, duration_s=41.0, sensors=(), flags=("sensor-lost",))


def test_a_repetition_tells_how_it_was_done() -> None:
    report = rep_report(REP, 100.0)
    assert (report.start_s, report.concentric_s, report.hold_s, report.eccentric_s) == (2.0, 1.23, 0.5, 1.5)
    assert (report.peak_velocity_dps, report.smoothness) == (57.3, -1.68)
    assert (report.complete, report.on_target, report.extensor_lag_deg) == (False, True, None)


def test_what_is_not_told_is_left_out_of_the_text() -> None:
    bare = RepEvent(
        start_s=102.0, peak_s=103.5, end_s=105.0, signal="knee", peak_flexion=NAN, min_flexion=NAN, rom=1.55
    )
    text = payload_text(rep_report(bare, 100.0))
    assert '"concentric_s"' not in text
    assert '"on_target"' not in text
    raised = rep_report(replace(bare, extensor_lag=0.1), 100.0)
    assert raised.extensor_lag_deg == 5.7


def test_what_is_no_number_never_keeps_a_session_from_being_sent() -> None:
    odd = replace(REP, concentric_s=math.inf, peak_velocity=math.inf, smoothness=-math.inf, extensor_lag=-math.inf)
    report = rep_report(odd, 100.0)
    assert (report.concentric_s, report.peak_velocity_dps, report.smoothness) == (None, None, None)
    assert report.extensor_lag_deg is None


def test_a_session_with_every_flag_there_is_can_be_sent() -> None:
    flags = tuple(f"{segment}-{fault}" for segment in SEGMENTS for fault in SENSOR_FAULTS)
    more = tuple(f"flag-{letter}" for letter in "abcdefghijklmnopqrstuvwxyz")
    assert len(summary(replace(RESULT, flags=flags + more)).flags) == len(flags) + len(more) + 1


def test_a_set_tells_its_consistency_and_tempo() -> None:
    report = set_report(SET, 100.0)
    assert (report.start_s, report.end_s, report.complete, report.partial, report.on_target) == (2.0, 40.0, 9, 1, 8)
    assert (report.rom_mean_deg, report.rom_cv, report.rep_s, report.tempo_trend) == (85.9, 0.043, 3.0, 0.02)
    few = replace(SET, rom_mean=NAN, rom_cv=NAN, rep_s=NAN, tempo_trend=NAN, on_target=None)
    assert payload_text(set_report(few, 100.0)) == '{"start_s":2.0,"end_s":40.0,"complete":9,"partial":1}'


def test_a_summary_tells_walking_likeness_and_goal() -> None:
    told = summary()
    assert (told.steps, told.walking_s, told.likeness) == (14, 11.2, 0.88)
    assert told.goal is not None
    assert (told.goal.flexion_deg, told.goal.extension_deg, told.goal.hold_s) == (90.0, None, 5.0)
    assert told.flags == ("gap", "sensor-lost")
    assert told.calibration == "fresh"
    assert summary(replace(RESULT, resumed=True)).calibration == "stored"
    assert len(told.sets) == 1
    assert summary(replace(RESULT, likeness=NAN)).likeness is None


def test_a_template_of_the_patients_own_is_not_sent() -> None:
    assert payload_text(goal_report(Goal(template=Template(1.0)))) == "{}"


def test_both_curves_stand_on_the_same_steps_after_the_start() -> None:
    curve = summary().curve
    assert curve is not None
    assert curve.flexion_deg == (None, None, 0, 90)
    assert curve.tilt_deg == (None, 0, 6, 11)
    early = summary(replace(RESULT, start_s=99.0)).curve
    assert early is not None
    assert (early.flexion_deg, early.tilt_deg) == ((90,), (11,))


def test_a_tilt_without_an_angle_is_told_all_the_same() -> None:
    curve = summary(replace(RESULT, curve=(), start_s=100.0)).curve
    assert curve is not None
    assert (curve.flexion_deg, curve.tilt_deg) == ((), (0, 6, 11))


def test_a_long_session_has_wider_steps_in_both_curves() -> None:
    long = replace(RESULT, start_s=100.0, curve=(0.5,) * 1000, tilt_curve=(0.25,) * 1000)
    curve = summary(long).curve
    assert curve is not None
    assert len(curve.flexion_deg) == len(curve.tilt_deg) <= CURVE_POINTS
    assert curve.step_s == 2.0


@pytest.mark.parametrize("bad", [(0.0, 0.0), (31.0, 0.0), (3.0, -21.0), (3.0, 151.0), (NAN, 0.0), (3.0, NAN)])
def test_a_pose_is_told_to_the_chain_from_now_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bad: tuple[float, float]
) -> None:
    poses: list[tuple[float, float, float]] = []
    monkeypatch.setattr("gonio.gateway.session.Session.pose", lambda _, *told: poses.append(told))

    class Info:
        rate_hz = 60.0

    class Stream:
        info = Info()

    with KitStore.open(tmp_path) as store:
        streams = {"thigh": Stream(), "shank": Stream()}
        runner = SessionRunner(store, RecordKeeper(store), PLAN, streams, clock=KitClock(lambda: 7_000_000_000))  # type: ignore[arg-type]
        runner.pose(3.0, 90.0)
        assert poses == [(7.0, 10.0, math.pi / 2)]
        with pytest.raises(ValueError, match="a pose"):
            runner.pose(*bad)
    assert len(poses) == 1
