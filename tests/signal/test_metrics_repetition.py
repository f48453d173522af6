"""What is said of one repetition, on paths whose phases are known by construction."""

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gonio.signal.chunks import RepEvent
from gonio.signal.reps.exercises import RULES, UNDECLARED
from gonio.signal.reps.goal import Goal, template_of
from gonio.signal.reps.metrics import RepPath, rep_event

OUT_S, HOLD_S, BACK_S = 1.6, 3.0, 2.0


def moved(points: list[tuple[float, float]], rate_hz: float, *, wobble: float = 0.0) -> tuple[list[float], list[float]]:
    """Moments in s and angles in rad through (s, degrees) in minimum-jerk glides; ``wobble`` in degrees."""
    t = np.arange(0.0, points[-1][0], 1.0 / rate_hz)
    x = np.full(len(t), points[0][1])
    for (t0, a), (t1, b) in pairwise(points):
        part = np.clip((t - t0) / max(t1 - t0, 1e-9), 0.0, 1.0)
        x += (b - a) * part**3 * (10.0 - 15.0 * part + 6.0 * part * part)
    x += wobble * np.sin(2.0 * np.pi * 1.3 * t + 0.4)
    return t.tolist(), np.radians(x).tolist()


def path(
    *,
    out_s: float = OUT_S,
    hold_s: float = HOLD_S,
    back_s: float = BACK_S,
    low: float = 5.0,
    high: float = 80.0,
    rate_hz: float = 50.0,
    rest_s: float = 0.5,
    wobble: float = 0.0,
) -> RepPath:
    points = [(0.0, low), (rest_s, low), (rest_s + out_s, high), (rest_s + out_s + hold_s, high)]
    end_s = rest_s + out_s + hold_s + back_s
    t, x = moved([*points, (end_s, low), (end_s + rest_s, low)], rate_hz, wobble=wobble)
    return RepPath(t, x, list(x), math.radians(low), math.radians(low), "knee", measured=True)


def described(one: RepPath, exercise: str = "heel-slide", goal: Goal | None = None, **kw: float | None) -> RepEvent:
    return rep_event(one, RULES[exercise], goal or Goal(), kw.get("usual"))


@pytest.mark.parametrize("rate_hz", [25.0, 50.0, 100.0])
@pytest.mark.parametrize("hold_s", [0.0, 0.5, 5.0])
@pytest.mark.parametrize("out_s", [0.5, 1.5, 4.0])
def test_the_phases_are_those_that_were_moved(rate_hz: float, hold_s: float, out_s: float) -> None:
    rep = described(path(out_s=out_s, hold_s=hold_s, rate_hz=rate_hz))
    near = 0.04 + 0.04 * out_s
    assert rep.concentric_s == pytest.approx(out_s, abs=near)
    assert rep.hold_s == pytest.approx(hold_s, abs=near + 0.04 * BACK_S)
    assert rep.eccentric_s == pytest.approx(BACK_S, abs=0.15)
    assert rep.start_s == pytest.approx(0.5, abs=near)
    assert rep.end_s == pytest.approx(0.5 + out_s + hold_s + BACK_S, abs=0.15)


def test_a_trembling_hold_is_a_hold() -> None:
    rep = described(path(wobble=0.6))
    assert rep.hold_s == pytest.approx(HOLD_S, abs=0.25)
    assert rep.concentric_s == pytest.approx(OUT_S, abs=0.2)


def test_hesitating_on_the_way_is_no_hold() -> None:
    points = [(0.0, 5.0), (0.5, 5.0), (1.5, 40.0), (2.5, 40.0), (3.5, 80.0), (5.5, 80.0), (7.0, 5.0), (7.5, 5.0)]
    t, x = moved(points, 50.0)
    rep = described(RepPath(t, x, x, math.radians(5.0), math.radians(5.0), "knee", measured=True))
    assert rep.concentric_s == pytest.approx(3.0, abs=0.1)
    assert rep.hold_s == pytest.approx(2.0, abs=0.15)


def test_the_muscle_of_a_squat_shortens_on_the_way_back() -> None:
    rep = described(path(), "mini-squat")
    assert rep.concentric_s == pytest.approx(BACK_S, abs=0.15)
    assert rep.eccentric_s == pytest.approx(OUT_S, abs=0.1)


def test_of_an_undeclared_exercise_it_is_not_told_where_the_muscle_shortens() -> None:
    rep = rep_event(path(), UNDECLARED[0], Goal(), None)
    assert math.isnan(rep.concentric_s)
    assert math.isnan(rep.eccentric_s)
    assert rep.hold_s == pytest.approx(HOLD_S, abs=0.15)


@pytest.mark.parametrize(("rate_hz", "share"), [(25.0, 0.06), (60.0, 0.04), (100.0, 0.04)])
def test_the_peak_velocity_is_that_of_the_movement(rate_hz: float, share: float) -> None:
    rep = described(path(out_s=0.6, rate_hz=rate_hz))
    assert rep.peak_velocity == pytest.approx(1.875 * math.radians(75.0) / 0.6, rel=share)  # of a minimum-jerk glide


def test_a_smooth_movement_is_smoother_than_one_in_steps() -> None:
    smooth = described(path()).smoothness
    points = [(0.0, 5.0), (0.5, 5.0), (1.2, 30.0), (1.9, 55.0), (2.6, 80.0), (4.0, 80.0), (5.5, 5.0), (6.0, 5.0)]
    t, x = moved(points, 50.0)
    stepped = described(RepPath(t, x, x, math.radians(5.0), math.radians(5.0), "knee", measured=True)).smoothness
    assert smooth == pytest.approx(-1.41, abs=0.03)  # the published measure of a minimum-jerk movement
    assert stepped < smooth - 0.4


def test_a_hold_is_no_jerk() -> None:
    brief, long = (described(path(hold_s=hold)).smoothness for hold in (0.2, 8.0))
    assert long == pytest.approx(brief, abs=0.02)


def test_what_is_known_of_the_flexion_is_its_largest_and_smallest() -> None:
    rep = described(path(low=7.0, high=92.0))
    assert math.degrees(rep.peak_flexion) == pytest.approx(92.0, abs=0.1)
    assert math.degrees(rep.min_flexion) == pytest.approx(7.0, abs=0.1)
    assert math.degrees(rep.rom) == pytest.approx(85.0, abs=0.1)


def raised(lag: list[float], *, signal_high: float = 40.0) -> RepPath:
    """A leg raised and lowered with the knee's flexion going through ``lag`` (degrees at even moments)."""
    t, x = moved([(0.0, 0.0), (0.5, 0.0), (2.0, signal_high), (5.0, signal_high), (6.5, 0.0), (7.0, 0.0)], 50.0)
    flexion = np.interp(t, np.linspace(0.0, t[-1], len(lag)), np.radians(lag))
    return RepPath(t, x, flexion.tolist(), 0.0, 0.0, "thigh", measured=True)


def test_the_lag_is_the_largest_flexion_while_the_leg_is_raised() -> None:
    rep = described(raised([30.0, 4.0, 8.0, 12.0, 6.0, 25.0]), "straight-leg-raise")  # bent at rest, which is no lag
    assert math.degrees(rep.extensor_lag) == pytest.approx(12.0, abs=0.2)


def test_no_lag_is_told_where_the_angle_was_not_ok() -> None:
    one = raised([5.0, 8.0])
    held = [math.nan if 3.0 < t < 3.1 else f for t, f in zip(one.t_s, one.flexion, strict=True)]
    rep = described(replace(one, flexion=held), "straight-leg-raise")
    assert math.isnan(rep.extensor_lag)
    assert math.isnan(rep.peak_flexion)


def test_no_other_exercise_has_a_lag() -> None:
    assert math.isnan(described(raised([5.0, 8.0]), "bridge").extensor_lag)
    assert math.isnan(described(path()).extensor_lag)


def test_short_of_the_usual_is_partial() -> None:
    full, half = path(high=80.0), path(high=42.0)
    usual = math.radians(75.0)
    assert described(full, usual=usual).complete
    assert not described(half, usual=usual).complete
    assert described(half).complete  # nothing to compare it with
    template = template_of(described(full))
    assert template.rom == described(full).rom
    assert not described(half, goal=Goal(template=template), usual=math.radians(37.0)).complete


@pytest.mark.parametrize(
    ("goal", "met"),
    [
        (Goal(), None),
        (Goal(flexion=math.radians(75.0)), True),
        (Goal(flexion=math.radians(90.0)), False),
        (Goal(extension=math.radians(6.0)), True),
        (Goal(extension=math.radians(0.0)), False),
        (Goal(hold_s=2.5), True),
        (Goal(flexion=math.radians(75.0), hold_s=5.0), False),
        (Goal(height=math.radians(30.0)), None),  # nothing is raised in a heel slide
        (Goal(height=math.radians(30.0), hold_s=5.0), False),
    ],
)
def test_the_goal_is_met_when_all_that_is_asked_is_reached(goal: Goal, met: object) -> None:
    assert described(path(), goal=goal).on_target is met


def test_the_height_of_a_raised_leg_can_be_asked() -> None:
    one = raised([3.0, 5.0])
    assert described(one, "straight-leg-raise", Goal(height=math.radians(38.0))).on_target is True
    assert described(one, "straight-leg-raise", Goal(height=math.radians(45.0))).on_target is False


def test_what_was_not_measured_meets_no_goal_and_misses_none() -> None:
    one = path()
    assert described(replace(one, measured=False), goal=Goal(hold_s=1.0)).on_target is None
    unknown = replace(one, flexion=[math.nan] * len(one.t_s))
    assert described(unknown, goal=Goal(flexion=1.0)).on_target is None
    assert described(unknown, goal=Goal(flexion=1.0, hold_s=5.0)).on_target is False


TIMES = {"out_s": st.floats(0.4, 4.0), "hold_s": st.floats(0.0, 8.0), "back_s": st.floats(0.4, 4.0)}


@settings(max_examples=60, deadline=None)
@given(
    **TIMES,
    high=st.floats(15.0, 130.0),
    wobble=st.floats(0.0, 2.0),
    rate_hz=st.sampled_from([25.0, 60.0, 100.0]),
    rest_s=st.floats(0.0, 0.8),
)
def test_phases_are_within_the_repetition(
    out_s: float, hold_s: float, back_s: float, high: float, wobble: float, rate_hz: float, rest_s: float
) -> None:
    one = path(out_s=out_s, hold_s=hold_s, back_s=back_s, high=high, wobble=wobble, rate_hz=rate_hz, rest_s=rest_s)
    rep = described(one)
    assert min(rep.concentric_s, rep.hold_s, rep.eccentric_s) >= 0.0
    assert rep.concentric_s + rep.hold_s + rep.eccentric_s <= rep.end_s - rep.start_s + 1e-9
    assert one.t_s[0] <= rep.start_s <= rep.peak_s <= rep.end_s <= one.t_s[-1]
    assert rep.peak_velocity > 0.0
    assert rep.smoothness < 0.0


@settings(max_examples=60, deadline=None)
@given(
    times=st.lists(st.floats(-1.0, 1.5), min_size=3, max_size=80),
    rate_hz=st.sampled_from([25.0, 60.0]),
)
def test_no_path_breaks_the_description(times: list[float], rate_hz: float) -> None:
    top = max(times)
    one = RepPath([k / rate_hz for k in range(len(times))], times, times, min(times) - 0.1, times[-1], "knee", True)
    rep = described(one)
    assert rep.concentric_s + rep.hold_s + rep.eccentric_s <= rep.end_s - rep.start_s + 1e-9
    assert min(rep.concentric_s, rep.hold_s, rep.eccentric_s) >= 0.0
    assert rep.rom == pytest.approx(top - min(times) + 0.1)


@settings(max_examples=40, deadline=None)
@given(**TIMES, slower=st.floats(1.0, 3.0))
def test_slower_by_a_factor_lengthens_the_phases_by_it(
    out_s: float, hold_s: float, back_s: float, slower: float
) -> None:
    one = path(out_s=1.0 + out_s, hold_s=1.0 + hold_s, back_s=1.0 + back_s, rate_hz=100.0)
    rep, late = described(one), described(replace(one, t_s=[slower * t for t in one.t_s]))
    for name in ("concentric_s", "hold_s", "eccentric_s"):
        assert getattr(late, name) == pytest.approx(slower * getattr(rep, name), abs=0.06 * slower)
    assert late.smoothness == pytest.approx(rep.smoothness, abs=0.02)


@settings(max_examples=40, deadline=None)
@given(**TIMES, by=st.floats(-0.5, 0.5), wobble=st.floats(0.0, 1.0))
def test_another_zero_changes_the_flexions_only(
    out_s: float, hold_s: float, back_s: float, by: float, wobble: float
) -> None:
    one = path(out_s=out_s, hold_s=hold_s, back_s=back_s, wobble=wobble)
    moved_by = replace(
        one,
        x=[x + by for x in one.x],
        flexion=[f + by for f in one.flexion],
        base=one.base + by,
        low=one.low + by,
    )
    rep, other = described(one), described(moved_by)
    for name in ("start_s", "peak_s", "end_s", "rom", "concentric_s", "hold_s", "eccentric_s", "peak_velocity"):
        assert getattr(other, name) == pytest.approx(getattr(rep, name), abs=1e-6)
    assert other.smoothness == pytest.approx(rep.smoothness, abs=1e-6)
    assert other.peak_flexion - rep.peak_flexion == pytest.approx(by, abs=1e-9)
    assert other.min_flexion - rep.min_flexion == pytest.approx(by, abs=1e-9)
