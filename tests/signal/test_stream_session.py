import csv
import json
import os
from pathlib import Path

import numpy as np
import pytest
import typer
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from gonio.cli.analysis import Question, analyse, in_streaming_order, report
from gonio.cli.analyze import analyze
from gonio.errors import GonioError
from gonio.recording import Recording, RecordingMeta, read, write
from gonio.signal.chunks import KneeAngleChunk, RepEvent, SampleChunk
from gonio.signal.consts import SEGMENTS, Segment
from gonio.signal.session import Session
from gonio.simulators.leg import LegMotion

DATA = Path(os.environ.get("GONIO_DATA") or Path(__file__).parents[2].parent / "shared" / "data")
BENDS = DATA / "bends-left-first-100s"
needs_data = pytest.mark.skipif(not BENDS.is_dir(), reason=f"no recordings at {DATA} (set GONIO_DATA)")


def _leg(seconds: float, *, own: bool = True) -> dict[Segment, SampleChunk]:
    """Simulate a leg that squats, seen by two sensors with clocks of their own over a link that jitters."""
    rng = np.random.default_rng(1)
    motion = LegMotion.for_seconds("mini-squat", seconds)
    out: dict[Segment, SampleChunk] = {}
    for segment, drift in zip(SEGMENTS, (50e-6, -50e-6), strict=True):
        t = np.asarray(np.arange(int(seconds * 50)) / 50, dtype=np.float64)
        acc, gyr = motion.imu(segment, t)
        arrival = np.maximum.accumulate(900 + t + rng.uniform(0, 0.02, len(t)))
        clock = np.asarray(t * (1 - drift) + rng.uniform(0, 50), dtype=np.float64) if own else None
        out[segment] = SampleChunk(acc, gyr, clock, arrival)
    return out


@pytest.fixture(scope="module")
def recording() -> Recording:
    leg = _leg(40)
    return Recording(RecordingMeta(50.0, "right", "mini-squat", "simulated"), leg["thigh"], leg["shank"])


def _outcome(recording: Recording, size: int) -> tuple[str, bytes]:
    analysis = analyse(recording, Question(exercise=None, side=recording.meta.side), size=size)
    columns = [(one.t_s, one.flexion, one.thigh_inclination, one.ok) for one in analysis.angle]
    return repr(analysis.result), b"".join(np.concatenate(parts).tobytes() for parts in zip(*columns, strict=True))


def test_a_simulated_session_does_not_depend_on_chunks(recording: Recording) -> None:
    at_once = _outcome(recording, 10**9)
    for size in (1, 7, 64):
        assert _outcome(recording, size) == at_once


@needs_data
def test_a_recorded_session_does_not_depend_on_chunks() -> None:
    recorded = read(BENDS)
    at_once = _outcome(recorded, 10**9)
    for size in (1, 7, 64):
        assert _outcome(recorded, size) == at_once


@settings(max_examples=8, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(1, 600)), max_size=20), st.booleans())
def test_a_session_does_not_depend_on_interleaving(order: list[tuple[bool, int]], own: bool) -> None:  # noqa: FBT001 - given by hypothesis
    leg = _leg(25, own=own)
    results = []
    for pieces in ([(True, 10**9), (False, 10**9)], [*order, (False, 10**9), (True, 10**9)]):
        session = Session(exercise=None, rate_hz=50)
        done = {"thigh": 0, "shank": 0}
        out: list[KneeAngleChunk | RepEvent] = []
        for is_thigh, size in pieces:
            segment: Segment = "thigh" if is_thigh else "shank"
            one, part = leg[segment], slice(done[segment], done[segment] + size)
            times = (None if t is None else t[part] for t in (one.sensor_s, one.arrival_s))
            out += session.feed(segment, SampleChunk(one.acc[part], one.gyr[part], *times))
            done[segment] = part.stop
        out += session.finish()
        results.append((repr(session.result()), np.concatenate([o.flexion for o in out if hasattr(o, "flexion")])))
    (one_result, one_angle), (other_result, other_angle) = results
    assert one_result == other_result
    assert one_angle.tobytes() == other_angle.tobytes()


@pytest.mark.parametrize("own", [True, False])
def test_jitter_and_drift_cost_no_repetition_and_less_than_a_degree(own: bool) -> None:  # noqa: FBT001 - a parameter
    motion = LegMotion.for_seconds("mini-squat", 40)
    t = np.asarray(np.arange(40 * 50) / 50, dtype=np.float64)
    ideal, real = (Session(exercise="mini-squat", rate_hz=50) for _ in range(2))
    linked = _leg(40, own=own)
    for segment in SEGMENTS:
        ideal.feed(segment, SampleChunk(*motion.imu(segment, t), t))
        real.feed(segment, linked[segment])
    ideal.finish()
    real.finish()
    one, other = ideal.result(), real.result()
    assert motion.truth.rep_count == len(one.reps) == len(other.reps)
    for rep, found in zip(one.reps, other.reps, strict=True):
        assert found.peak_s - 900 == pytest.approx(rep.peak_s, abs=0.05)
        assert found.peak_flexion == pytest.approx(rep.peak_flexion, abs=np.radians(1.0))


def test_a_sensor_that_falls_silent_and_comes_back_with_a_new_clock_is_seen_in_the_result() -> None:
    leg = _leg(40)
    session = Session(exercise="mini-squat", rate_hz=50)
    out: list[KneeAngleChunk | RepEvent] = []
    for segment, one in leg.items():
        assert one.sensor_s is not None
        assert one.arrival_s is not None
        index = np.arange(2000)
        keep = (index < 900) | (index > 1500) if segment == "shank" else index >= 0
        own = one.sensor_s - np.where((index > 1500) & (segment == "shank"), one.sensor_s[1500], 0.0)
        out += session.feed(segment, SampleChunk(one.acc[keep], one.gyr[keep], own[keep], one.arrival_s[keep]))
    out += session.finish()
    result = session.result()
    assert "gap" in result.flags
    thigh, shank = result.defects
    assert (thigh.gaps, thigh.restarts, shank.gaps, shank.restarts) == (0, 0, 1, 1)
    assert shank.longest_gap_s == pytest.approx(601 / 50, abs=0.05)
    steps_s = np.diff(np.concatenate([one.t_s for one in out if isinstance(one, KneeAngleChunk)]))
    assert steps_s.max() == pytest.approx(601 / 50, abs=0.1)  # whole steps of the grid
    assert all(not rep.measured for rep in result.reps if rep.start_s < 920 < rep.end_s)


def test_sensors_of_different_rates_share_a_grid() -> None:
    motion = LegMotion.for_seconds("mini-squat", 20)
    session = Session(exercise=None, rate_hz=60, nominal_rate_hz={"thigh": 120, "shank": 60})
    out: list[KneeAngleChunk | RepEvent] = []
    for segment, rate_hz in zip(SEGMENTS, (120, 60), strict=True):
        t = np.asarray(np.arange(20 * rate_hz) / rate_hz, dtype=np.float64)
        out += session.feed(segment, SampleChunk(*motion.imu(segment, t), t, t + 0.01))
    out += session.finish()
    times = np.concatenate([one.t_s for one in out if isinstance(one, KneeAngleChunk)])
    assert np.allclose(np.diff(times), 1 / 60)
    assert [one.rate_hz for one in session.result().defects] == pytest.approx([120, 60], rel=1e-6)
    assert [one.lost for one in session.result().defects] == [0, 0]


def test_chunks_come_in_the_order_in_which_they_were_complete(recording: Recording) -> None:
    ends, lengths = [], {"thigh": 0, "shank": 0}
    for segment, chunk in in_streaming_order(recording, 64):
        assert chunk.arrival_s is not None
        ends.append(chunk.arrival_s[-1])
        lengths[segment] += len(chunk)
    assert ends == sorted(ends)
    assert lengths == {"thigh": 2000, "shank": 2000}


def test_a_session_without_samples_has_a_result_that_says_so() -> None:
    session = Session(exercise="lunge", rate_hz=60)
    assert session.finish() == []
    result = session.result()
    assert result.reps == ()
    assert {"no-thigh-samples", "no-shank-samples"} <= set(result.flags)
    assert json.loads(json.dumps(report(result), allow_nan=False))["max_flexion_deg"] is None


def test_a_session_with_one_sensor_has_a_result_that_says_so() -> None:
    session = Session(exercise=None, rate_hz=50)
    out = session.feed("thigh", _leg(20)["thigh"]) + session.finish()
    result = session.result()
    assert out == []
    assert "no-shank-samples" in result.flags
    assert "no-thigh-samples" not in result.flags
    assert [one.samples for one in result.defects] == [1000, 0]


@pytest.mark.parametrize(("samples", "seen"), [(1000, False), (960, False), (800, True), (20, True)])
def test_a_sensor_that_ends_before_the_other_is_seen_in_the_result(samples: int, seen: bool) -> None:  # noqa: FBT001 - a case
    session = Session(exercise=None, rate_hz=50)
    leg = _leg(20)
    shank = leg["shank"]
    assert shank.sensor_s is not None
    assert shank.arrival_s is not None
    kept = slice(0, samples)
    session.feed("thigh", leg["thigh"])
    session.feed("shank", SampleChunk(shank.acc[kept], shank.gyr[kept], shank.sensor_s[kept], shank.arrival_s[kept]))
    session.finish()
    assert ("gap" in session.result().flags) is seen


# --- the command -----------------------------------------------------------------------------------------------------

app = typer.Typer(pretty_exceptions_enable=False)
app.command()(analyze)


def test_the_command_prints_its_object_last_and_writes_the_angle(recording: Recording, tmp_path: Path) -> None:
    write(tmp_path / "one", recording)
    ran = CliRunner().invoke(app, [str(tmp_path / "one"), "--json", "--angle", str(tmp_path / "angle.csv")])
    assert ran.exit_code == 0, ran.output
    told = json.loads(ran.stdout.splitlines()[-1])
    names = "exercise reps rep_count max_flexion_deg extension_deficit_deg calibrated_at_s quality "
    names += "sets steps walking_s likeness"
    assert list(told) == names.split()
    assert told["rep_count"] == len(told["reps"])
    assert {"ok_fraction", "zero", "flags", "defects"} <= set(told["quality"])
    assert told["rep_count"] > 0
    assert told["quality"]["defects"]["shank"]["samples"] == 2000
    assert told["quality"]["start_s"] == pytest.approx(900, abs=0.05)
    with (tmp_path / "angle.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["t_s", "knee_flexion_deg", "ok"]
    assert len(rows) == pytest.approx(2000, abs=3)
    assert {row["ok"] for row in rows} <= {"0", "1"}
    assert sum(row["ok"] == "1" for row in rows) / len(rows) == pytest.approx(told["quality"]["ok_fraction"], abs=1e-3)
    assert all(row["knee_flexion_deg"] != "nan" for row in rows if row["ok"] == "1")


@needs_data
def test_the_command_finds_the_ten_bends_and_tells_a_person() -> None:
    ran = CliRunner().invoke(app, [str(BENDS), "--exercise", "mini-squat", "--json"])
    reps = json.loads(ran.stdout)["reps"]
    assert sum(52 <= rep["peak_s"] <= 92 for rep in reps) == 10
    assert {"start_s", "peak_s", "end_s", "signal", "peak_flexion_deg", "min_flexion_deg", "rom_deg"} <= set(reps[0])
    ran = CliRunner().invoke(app, [str(BENDS), "--exercise", "mini-squat", "--side", "left"])
    assert ran.exit_code == 0
    assert "mini-squat (declared, the motion fits it" in ran.stdout
    assert "4000 samples, 40.00 Hz" in ran.stdout


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["nowhere"], "no such folder"),
        (["one", "--exercise", "juggling"], "not known"),
        (["one", "--side", "both"], "left or right"),
        (["one", "--angle", "missing/angle.csv"], "cannot be written"),
    ],
)
def test_wrong_use_is_an_error_of_ours_that_says_why(
    recording: Recording,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    why: str,
) -> None:
    write(tmp_path / "one", recording)
    monkeypatch.chdir(tmp_path)
    ran = CliRunner().invoke(app, arguments)
    assert isinstance(ran.exception, GonioError)  # main() makes a sentence and exit status 1 of it
    assert why in str(ran.exception)
