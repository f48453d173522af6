"""Whole sets through the chain: recorded executions with their true times, and simulated ones of every quality."""

import gzip
import math
import os
from pathlib import Path

import numpy as np
import pytest

from gonio.signal.chain import KneeChain
from gonio.signal.chunks import AlignedChunk, RepEvent, SessionResult
from gonio.signal.consts import FloatArray
from gonio.signal.reps.goal import Goal, Template
from gonio.simulators.imu import ImuErrors
from gonio.simulators.leg import LegMotion
from gonio.simulators.leg_exercises import Quality

DATA = Path(os.environ.get("GONIO_DATA", Path(__file__).parents[2].parent / "shared" / "data"))
SETS = {
    "pt-s1-e1-exercise": "long-arc-quad",
    "pt-s1-e3-exercise": "straight-leg-raise",
    "pt-s1-e4-exercise": "straight-leg-raise-side",
    "pt-s1-e5-exercise": "straight-leg-raise-prone",
}
needs_sets = pytest.mark.skipif(not (DATA / "pt-s1-e1-exercise").exists(), reason=f"no recorded sets under {DATA}")
SHARE = 0.3  # of the shorter one is the overlap that makes a found repetition a true one


def read(path: Path) -> FloatArray:
    with gzip.open(path, "rt") as file:
        return np.loadtxt(file, delimiter=",", skiprows=1)


def count(
    thigh: FloatArray,
    shank: FloatArray,
    rate_hz: float,
    exercise: str | None,
    *,
    gap: tuple[float, float] | None = None,
    goal: Goal | None = None,
) -> tuple[list[RepEvent], SessionResult]:
    n = min(len(thigh), len(shank))
    t = np.ascontiguousarray(thigh[:n, 0])
    measured = np.ones(n, dtype=np.bool_) if gap is None else (t < gap[0]) | (t >= gap[1])
    columns = (thigh[:n, 1:4], thigh[:n, 4:], shank[:n, 1:4], shank[:n, 4:])
    acc1, gyr1, acc2, gyr2 = (np.ascontiguousarray(column) for column in columns)
    chain = KneeChain(rate_hz, exercise=exercise, goal=goal)
    out = chain.feed(AlignedChunk(t, acc1, gyr1, acc2, gyr2, measured)) + chain.finish()
    return [one for one in out if isinstance(one, RepEvent)], chain.result(())


def matched(found: list[RepEvent], true: list[tuple[float, float]]) -> int:
    """Count true repetitions that have a found one of their own."""
    left, hits = list(found), 0
    for start, end in true:
        for rep in left:
            shorter = min(end - start, rep.end_s - rep.start_s)
            if min(end, rep.end_s) - max(start, rep.start_s) >= SHARE * shorter:
                left.remove(rep)
                hits += 1
                break
    return hits


@needs_sets
@pytest.mark.parametrize("declared", [True, False], ids=["declared", "undeclared"])
@pytest.mark.parametrize("name", SETS)
def test_held_fast_and_small_executions_are_counted(name: str, declared: bool) -> None:  # noqa: FBT001
    folder = DATA / name
    true = [(float(a), float(b)) for a, b in np.loadtxt(folder / "reps.csv", delimiter=",", skiprows=1)]
    thigh, shank = read(folder / "thigh.csv.gz"), read(folder / "shank.csv.gz")
    found, result = count(thigh, shank, 25.0, SETS[name] if declared else None)
    assert abs(len(found) - len(true)) <= 1
    # the true times of the fast prone raises lie a second beside the motion, so that two of them overlap nothing
    assert 2 * matched(found, true) / (len(found) + len(true)) >= (0.96 if "e5" in name else 0.97)
    assert result.reps == tuple(found)
    assert result.steps == 0


def simulated(motion: LegMotion, seed: int) -> tuple[FloatArray, FloatArray]:
    t = np.arange(0, motion.duration_s, 1 / 60.0)
    thigh = ImuErrors(2 * seed + 1, rate_hz=60.0).apply(t, *motion.imu("thigh", t))
    shank = ImuErrors(2 * seed + 2, rate_hz=60.0).apply(t, *motion.imu("shank", t))
    return np.column_stack((t, *thigh)), np.column_stack((t, *shank))


@pytest.mark.parametrize(
    ("exercise", "quality"),
    [
        ("heel-slide", "jerky"),
        ("straight-leg-raise", "jerky"),
        ("straight-leg-raise", "fast"),
        ("straight-leg-raise-prone", "fast"),
        ("straight-leg-raise-side", "low-amplitude"),
        ("short-arc-quad", "low-amplitude"),
        ("long-arc-quad", "partial"),
        ("hamstring-curl", "fast"),
        ("mini-squat", "low-amplitude"),
        ("lunge", "jerky"),
        ("bridge", "good"),
        ("step-up", "good"),
    ],
)
def test_however_it_is_done_it_is_counted(exercise: str, quality: Quality) -> None:
    motion = LegMotion(exercise, reps=5, quality=quality, seed=1)
    thigh, shank = simulated(motion, 1)
    found, _ = count(thigh, shank, 60.0, exercise)
    true = [(rep.start_s, rep.end_s) for rep in motion.truth.reps]
    assert len(found) == len(true)
    assert matched(found, true) >= len(true) - 1


@pytest.mark.parametrize("exercise", ["mini-squat", "long-arc-quad", "straight-leg-raise", "bridge"])
def test_undeclared_as_many_are_found(exercise: str) -> None:
    motion = LegMotion(exercise, reps=5, seed=2, walk_s=8.0)
    found, result = count(*simulated(motion, 2), 60.0, None)
    assert len(found) == 5
    assert result.recognised


def test_a_repetition_over_a_long_gap_is_counted_but_not_as_measured() -> None:
    motion = LegMotion("straight-leg-raise", reps=5, seed=3)
    start, end = motion.truth.reps[2].start_s, motion.truth.reps[2].end_s
    middle = 0.5 * (start + end)
    found, result = count(*simulated(motion, 3), 60.0, "straight-leg-raise", gap=(middle - 0.4, middle + 0.4))
    assert [rep.measured for rep in found] == [True, True, False, True, True]
    assert "gap" in result.flags


def test_a_template_keeps_stirrings_from_being_repetitions() -> None:
    motion = LegMotion("straight-leg-raise", reps=4, seed=4)
    thigh, shank = simulated(motion, 4)
    stirred = LegMotion("straight-leg-raise", reps=4, seed=4, range_deg=7.0)  # a sixth of the usual
    small_thigh, small_shank = simulated(stirred, 4)
    goal = Goal(template=Template(rom=math.radians(45.0)))
    assert len(count(thigh, shank, 60.0, "straight-leg-raise", goal=goal)[0]) == 4
    assert len(count(small_thigh, small_shank, 60.0, "straight-leg-raise")[0]) == 4
    assert count(small_thigh, small_shank, 60.0, "straight-leg-raise", goal=goal)[0] == []
