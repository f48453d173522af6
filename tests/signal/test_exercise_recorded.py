"""The exercises of which recordings of people exist: named as declared, timed like the holds that were asked."""

import gzip
import math
import tomllib
from functools import cache
from pathlib import Path
from statistics import median

import numpy as np
import pytest

from gonio.signal.chunks import SampleChunk, SessionResult
from gonio.signal.consts import SEGMENTS, FloatArray
from gonio.signal.session import Session

DECLARED = {
    "bends-left-first-100s": "mini-squat",
    "pt-s1-e1-exercise": "long-arc-quad",
    "pt-s1-e3-exercise": "straight-leg-raise",
    "pt-s1-e4-exercise": "straight-leg-raise-side",
    "pt-s1-e5-exercise": "straight-leg-raise-prone",
}
HELD = tuple(name for name in DECLARED if name.startswith("pt"))  # 10 correct with a hold, 10 fast, 10 of low amplitude


def table(path: Path) -> FloatArray:
    if path.suffix == ".gz":
        with gzip.open(path, "rt") as file:
            return np.loadtxt(file, delimiter=",", skiprows=1)
    return np.loadtxt(path, delimiter=",", skiprows=1)


@cache
def session(folder: Path, declared: str | None) -> SessionResult:
    rate_hz = float(tomllib.loads((folder / "recording.toml").read_text())["rate_hz"])
    one = Session(exercise=declared, rate_hz=rate_hz)
    for segment in SEGMENTS:
        rows = table(folder / f"{segment}.csv.gz")
        one.feed(segment, SampleChunk(rows[:, 1:4].copy(), rows[:, 4:7].copy(), rows[:, 0].copy()))
    one.finish()
    return one.result()


@pytest.mark.parametrize("name", DECLARED)
def test_the_right_name_is_not_doubted(name: str, recordings: Path) -> None:
    result = session(recordings / name, DECLARED[name])
    assert "other-exercise" not in result.flags
    assert result.likeness > 0.5


@pytest.mark.parametrize(("name", "declared"), [("pt-s1-e1-exercise", "heel-slide"), ("pt-s1-e1-exercise", "bridge")])
def test_a_seated_extension_under_another_name_is_not_thought_to_fit(
    name: str, declared: str, recordings: Path
) -> None:
    result = session(recordings / name, declared)
    assert not result.reps or result.likeness < 0.5


def test_bends_are_recognised(recordings: Path) -> None:
    result = session(recordings / "bends-left-first-100s", None)
    assert (result.exercise, "exercise-uncertain" in result.flags) == ("mini-squat", False)
    assert len(result.sets) == 1


@pytest.mark.parametrize("name", HELD)
def test_where_nobody_stood_a_name_is_uncertain_or_right(name: str, recordings: Path) -> None:
    result = session(recordings / name, None)
    assert result.exercise == DECLARED[name] or "exercise-uncertain" in result.flags


@pytest.mark.parametrize("name", ["gait-sub01-csbaseline-r", "gait-sub03-csstiffknee-r"])
def test_a_walk_is_no_exercise(name: str, recordings: Path) -> None:
    assert session(recordings / name, None).exercise == "none"


@pytest.mark.parametrize("name", HELD)
def test_the_correct_ones_were_held_and_the_fast_ones_were_not(name: str, recordings: Path) -> None:
    true = table(recordings / name / "reps.csv")
    reps = session(recordings / name, DECLARED[name]).reps
    of = [
        [rep for rep in reps if min(rep.end_s, end) - max(rep.start_s, start) > 0.3 * (end - start)]
        for start, end in true[:, :2]
    ]
    correct, fast = ([rep for found in part for rep in found] for part in (of[:10], of[10:20]))
    assert median(rep.hold_s for rep in correct) > 3.0  # 5 s were asked
    assert median(rep.hold_s for rep in fast) < 1.5
    assert median(rep.end_s - rep.start_s for rep in fast) < median(rep.end_s - rep.start_s for rep in correct)
    for rep in reps:
        assert not math.isnan(rep.hold_s)
        assert rep.concentric_s + rep.hold_s + rep.eccentric_s <= rep.end_s - rep.start_s + 1e-9
