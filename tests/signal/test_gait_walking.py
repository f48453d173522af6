"""Walking and its steps, from the simulator, from a wheel and from recordings; and what must not be taken for it."""

import gzip
import math
import os
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import CubicSpline
from scipy.spatial.transform import Rotation

from gonio.signal.chain import KneeChain
from gonio.signal.chunks import AlignedChunk, RepEvent, SessionResult
from gonio.signal.consts import FloatArray
from gonio.signal.reps.gait import SETTLED_S, Gait, roundness
from gonio.simulators import leg_gait
from gonio.simulators.leg import LegMotion

DATA = Path(os.environ.get("GONIO_DATA", Path(__file__).parents[2].parent / "shared" / "data"))
GAIT = sorted(path.name for path in DATA.glob("gait-*"))
needs_gait = pytest.mark.skipif(not GAIT, reason=f"no recordings of gait under {DATA}")
RATE_HZ = 60.0


def through(
    columns: tuple[FloatArray, ...], rate_hz: float, exercise: str | None
) -> tuple[list[RepEvent], SessionResult]:
    t, thigh_acc, thigh_gyr, shank_acc, shank_gyr = columns
    chain = KneeChain(rate_hz, exercise=exercise)
    whole = AlignedChunk(t, thigh_acc, thigh_gyr, shank_acc, shank_gyr, np.ones(len(t), dtype=np.bool_))
    out = chain.feed(whole) + chain.finish()
    return [one for one in out if isinstance(one, RepEvent)], chain.result(())


def simulated(motion: LegMotion) -> tuple[FloatArray, ...]:
    t = np.arange(0, motion.duration_s, 1 / RATE_HZ)
    return (t, *motion.imu("thigh", t), *motion.imu("shank", t))


def recorded(name: str) -> tuple[FloatArray, ...]:
    tables = []
    for segment in ("thigh", "shank"):
        with gzip.open(DATA / name / f"{segment}.csv.gz", "rt") as file:
            tables.append(np.loadtxt(file, delimiter=",", skiprows=1))
    n = min(map(len, tables))
    parts = [tables[0][:n, 0], *(part for table in tables for part in (table[:n, 1:4], table[:n, 4:]))]
    return tuple(np.ascontiguousarray(part) for part in parts)


def directions(angles: FloatArray) -> FloatArray:
    """Turn angles (n,) in rad into "up" (n, 3) that turns about y."""
    return np.column_stack((np.sin(angles), np.zeros(len(angles)), np.cos(angles)))


# --- going round ----------------------------------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(
    far=st.floats(0.1, 1.5),
    other=st.floats(-1.5, 1.5),
    bend=st.floats(-0.5, 0.5),
    seed=st.integers(0, 99),
)
def test_a_way_that_comes_back_on_itself_is_not_round(far: float, other: float, bend: float, seed: int) -> None:
    share = np.sin(np.linspace(0, math.pi, 81)) ** 2
    mounts = Rotation.random(2, rng=np.random.default_rng(seed))
    up1, up2 = directions(far * share), directions(other * share + bend * share**2)
    assert roundness(mounts[0].apply(up1), mounts[1].apply(up2)) < 1e-6


@settings(max_examples=30, deadline=None)
@given(lag=st.floats(0.2, math.pi - 0.2), size=st.floats(0.05, 0.5), seed=st.integers(0, 99))
def test_two_segments_out_of_step_go_round_however_far_and_however_mounted(lag: float, size: float, seed: int) -> None:
    phase = np.linspace(0, 2 * math.pi, 80, endpoint=False)
    up1, up2 = directions(size * np.sin(phase)), directions(size * np.sin(phase - lag))
    mounts = Rotation.random(2, rng=np.random.default_rng(seed))
    round_by = roundness(mounts[0].apply(up1), mounts[1].apply(up2))
    assert round_by == pytest.approx(math.sin(lag), abs=0.05)  # of an ellipse between a line and a circle


# --- the simulated walk ---------------------------------------------------------------------------------------------


def walk_like(monkeypatch: pytest.MonkeyPatch, stride_s: float, knee: float, hip: float, strike: float) -> None:
    """Make the simulated walk slower, stiffer, smaller and gentler."""
    knee_deg = 5.0 + (leg_gait._KNEE_DEG - 5.0) * knee
    monkeypatch.setattr(leg_gait, "_STRIDE_S", stride_s)
    monkeypatch.setattr(leg_gait, "_SPEED_M_S", 1.3 * hip / stride_s)
    monkeypatch.setattr(leg_gait, "_KNEE", CubicSpline(leg_gait._STRIDE, knee_deg, bc_type="periodic"))
    monkeypatch.setattr(leg_gait, "_HIP", CubicSpline(leg_gait._STRIDE, leg_gait._HIP_DEG * hip, bc_type="periodic"))
    gentle = {segment: strike * peak for segment, peak in leg_gait._STRIKE_M_S2.items()}
    monkeypatch.setattr(leg_gait, "_STRIKE_M_S2", gentle)


@pytest.mark.parametrize(
    ("stride_s", "knee", "hip", "strike"),
    [
        pytest.param(1.1, 1.0, 1.0, 1.0, id="plain"),
        pytest.param(1.5, 0.85, 0.65, 0.5, id="slow"),
        pytest.param(1.3, 0.45, 0.4, 0.25, id="shuffling"),
        pytest.param(1.5, 0.3, 0.65, 0.5, id="stiff"),
        pytest.param(1.3, 0.9, 0.8, 0.15, id="gentle"),
        pytest.param(1.9, 0.7, 0.5, 0.3, id="very slow"),
    ],
)
@pytest.mark.parametrize("exercise", [None, "straight-leg-raise"])
def test_no_walk_holds_a_repetition_and_its_steps_are_counted(
    monkeypatch: pytest.MonkeyPatch, stride_s: float, knee: float, hip: float, strike: float, exercise: str | None
) -> None:
    walk_like(monkeypatch, stride_s, knee, hip, strike)
    reps, result = through(simulated(LegMotion("none", duration_s=40.0, seed=3)), RATE_HZ, exercise)
    assert reps == []
    assert result.walking_s == pytest.approx(33.0, abs=3.0)  # 3 s standing, 2 s each to settle and to rest
    assert result.steps == pytest.approx(33.0 / stride_s, abs=2.5)


def test_an_exercise_after_a_walk_is_counted_and_the_walk_is_told() -> None:
    motion = LegMotion("mini-squat", reps=6, walk_s=15.0, quality="fast", seed=5)
    reps, result = through(simulated(motion), RATE_HZ, "mini-squat")
    assert len(reps) == 6
    assert result.walking_s == pytest.approx(15.0, abs=3.0)


@pytest.mark.parametrize("exercise", ["mini-squat", "long-arc-quad", "straight-leg-raise", "heel-slide"])
@pytest.mark.parametrize("quality", ["fast", "jerky"])
def test_no_exercise_is_a_walk(exercise: str, quality: str) -> None:
    motion = LegMotion(exercise, reps=5, quality=quality, seed=2)  # type: ignore[arg-type]
    _, result = through(simulated(motion), RATE_HZ, exercise)
    assert (result.steps, result.walking_s) == (0, 0.0)


# --- fidgeting ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bounce_hz", [4.0, 6.0, 8.0])
@pytest.mark.parametrize("exercise", [None, "straight-leg-raise"])
def test_a_leg_that_bounces_in_sitting_does_nothing(bounce_hz: float, exercise: str | None) -> None:
    t = np.arange(0, 40, 1 / RATE_HZ)
    on = np.clip(np.minimum(t - 5.0, 35.0 - t), 0.0, 1.0)
    omega = 2 * math.pi * bounce_hz
    turn = np.radians(3.0) * on  # heel up and down by 2 cm: thigh and shank turn against each other
    columns = [t]
    for sign, mean in ((1.0, math.pi / 2), (-1.0, 0.0)):
        angle = mean + sign * turn * np.sin(omega * t)
        acc = 9.81 * directions(angle) + 0.1 * (turn * omega**2 * np.sin(omega * t))[:, None] * (1.0, 0.0, 0.0)
        gyr = np.column_stack((np.zeros(len(t)), sign * turn * omega * np.cos(omega * t), np.zeros(len(t))))
        columns += [acc, gyr]
    reps, result = through(tuple(columns), RATE_HZ, exercise)
    assert reps == []
    assert result.steps == 0


# --- the window -----------------------------------------------------------------------------------------------------


def wheel(seconds: float) -> tuple[FloatArray, ...]:
    """Time, "up" and turning of two segments that go round once in 1.2 s, shaking."""
    t = np.arange(0, seconds, 1 / RATE_HZ)
    omega = 2 * math.pi / 1.2
    ups = [directions(0.5 * np.sin(omega * t - lag)) for lag in (0.0, 1.2)]
    turns = [
        np.column_stack((np.zeros(len(t)), 0.5 * omega * np.cos(omega * t - lag), np.zeros(len(t))))
        for lag in (0.0, 1.2)
    ]
    return t, *ups, *turns, np.full(len(t), 0.8)


def feed(gait: Gait, parts: tuple[FloatArray, ...], cuts: list[int]) -> None:
    for first, last in pairwise(cuts):
        t, up1, up2, gyr1, gyr2, shake = (part[first:last].tolist() for part in parts)
        gait.feed(t, (up1, up2), (gyr1, gyr2), shake)


@settings(max_examples=20, deadline=None)
@given(cuts=st.lists(st.integers(1, 599), max_size=12, unique=True))
def test_chunks_make_no_difference(cuts: list[int]) -> None:
    parts = wheel(10.0)
    whole, cut = Gait(RATE_HZ), Gait(RATE_HZ)
    feed(whole, parts, [0, 600])
    feed(cut, parts, [0, *sorted(cuts), 600])
    moments = [(a / 4, b / 4) for a in range(40) for b in range(a, 40)]
    assert [cut.walking(*one) for one in moments] == [whole.walking(*one) for one in moments]
    assert (cut.steps, cut.walking_s) == (whole.steps, whole.walking_s)
    assert whole.steps > 0


def test_walking_is_known_only_when_it_has_been_seen() -> None:
    gait = Gait(RATE_HZ)
    feed(gait, wheel(20.0), [0, 1200])
    assert not gait.walking(2.0, 3.0)
    assert gait.walking(2.0, 2.0 + SETTLED_S)


# --- recordings -----------------------------------------------------------------------------------------------------


@needs_gait
@pytest.mark.parametrize("name", GAIT)
def test_recorded_gait_holds_no_repetition_and_its_steps_have_its_cadence(name: str) -> None:
    columns = recorded(name)
    reps, result = through(columns, 100.0, None)
    assert reps == []
    assert result.exercise == "none"
    t, turning = columns[0], columns[4] - columns[4].mean(axis=0)
    # the cadence seen another way: the strongest line in the spectrum of the shank's turning
    power = (np.abs(np.fft.rfft(turning * np.hanning(len(t))[:, None], 8 * len(t), axis=0)) ** 2).sum(axis=1)
    frequency = np.fft.rfftfreq(8 * len(t), 0.01)
    stride_hz = frequency[np.argmax(np.where((frequency > 0.4) & (frequency < 1.3), power, 0.0))]
    assert result.walking_s > 0.85 * (t[-1] - t[0])
    assert result.steps / result.walking_s == pytest.approx(stride_hz, rel=0.06)


@needs_gait
@pytest.mark.parametrize("name", GAIT[::3])
@pytest.mark.parametrize("exercise", ["mini-squat", "hamstring-curl", "straight-leg-raise"])
def test_recorded_gait_under_an_exercise_s_name_holds_no_repetition(name: str, exercise: str) -> None:
    reps, _ = through(recorded(name), 100.0, exercise)
    assert reps == []
