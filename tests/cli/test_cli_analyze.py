"""``gonio analyze``: what can be told to the chain, and what it tells back."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from gonio.cli.analysis_table import tempo
from gonio.cli.analyze import analyze
from gonio.cli.names import EXERCISE_NAMES
from gonio.errors import UsageError
from gonio.recording import Recording, RecordingMeta, write
from gonio.signal.chunks import SampleChunk
from gonio.signal.consts import EXERCISES, SEGMENTS, Segment
from gonio.simulators.leg import LegMotion

REP_KEYS = {
    "start_s", "peak_s", "end_s", "signal", "peak_flexion_deg", "min_flexion_deg", "rom_deg", "measured",
    "concentric_s", "hold_s", "eccentric_s", "peak_velocity_dps", "smoothness", "extensor_lag_deg", "complete",
    "on_target",
}  # fmt: skip
RESULT_KEYS = {
    "exercise", "reps", "rep_count", "max_flexion_deg", "extension_deficit_deg", "calibrated_at_s", "sets", "steps",
    "walking_s", "likeness", "quality",
}  # fmt: skip

app = typer.Typer(pretty_exceptions_enable=False)
app.command()(analyze)


@pytest.fixture(scope="module")
def squats(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recordings") / "squats"
    motion = LegMotion("mini-squat", reps=6, seed=3, standing_s=3.0)
    t: Any = np.arange(int(motion.duration_s * 50)) / 50

    def samples(segment: Segment) -> SampleChunk:
        acc, gyr = motion.imu(segment, t)
        return SampleChunk(acc, gyr, t)

    meta = RecordingMeta(50.0, "right", "mini-squat", "simulated")
    write(folder, Recording(meta, samples("thigh"), samples("shank")))
    return folder


def run(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(one) for one in arguments])
    if result.exception is not None:
        raise result.exception
    return result.stdout


def told(*arguments: object) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(run(*arguments, "--json").splitlines()[-1])
    return answer


def test_the_object_has_the_keys_that_scripts_rely_on(squats: Path) -> None:
    answer = told(squats, "--exercise", "mini-squat")
    assert answer.keys() == RESULT_KEYS
    assert answer["rep_count"] == len(answer["reps"]) > 0
    assert {frozenset(rep) for rep in answer["reps"]} == {frozenset(REP_KEYS)}


def test_the_table_shows_each_repetition_on_one_line(squats: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    shown = run(squats, "--exercise", "mini-squat", "--goal-flexion", "20").splitlines()
    count = told(squats, "--exercise", "mini-squat")["rep_count"]
    assert [line.split()[0] for line in shown[1 : count + 1]] == [str(n) for n in range(1, count + 1)]
    tables = shown[: next(number for number, line in enumerate(shown) if line.startswith("exercise"))]
    assert all(len(line) <= 80 and "…" not in line for line in tables)
    assert any(line.split()[:4] == ["set", "start", "end", "full"] for line in tables)


def test_a_calibration_is_written_and_taken_up(squats: Path, tmp_path: Path) -> None:
    file = tmp_path / "calibration.json"
    run(squats, "--exercise", "mini-squat", "--save-calibration", file)
    kept = json.loads(file.read_text())
    assert kept.keys() == {"thigh", "shank", "straight_rad", "upright_rad", "zero"}
    answers = [told(squats, "--exercise", "mini-squat", *more) for more in ((), ("--calibration", file))]
    assert [answer["quality"]["resumed"] for answer in answers] == [False, True]
    assert answers[1]["calibrated_at_s"] < answers[0]["calibrated_at_s"]
    assert "begun with the calibration given" in run(squats, "--exercise", "mini-squat", "--calibration", file)


def test_a_calibration_that_was_not_found_is_told_after_the_result(squats: Path, tmp_path: Path) -> None:
    still = tmp_path / "still"
    t: Any = np.arange(500) / 50
    acc, gyr = np.tile([0.0, 0.0, 9.81], (500, 1)), np.zeros((500, 3))
    chunk = SampleChunk(acc, gyr, t)
    write(still, Recording(RecordingMeta(50.0, "right", "none", "simulated"), chunk, chunk))
    file = tmp_path / "calibration.json"
    with pytest.raises(UsageError, match="no calibration worth keeping"):
        run(still, "--save-calibration", file)
    assert not file.exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--exercise", "juggling"], "juggling.*known are quad-set"),
        (["--program", "heel-slide,juggling"], "--program 'juggling'"),
        (["--program", "none"], "--program 'none'"),
        (["--side", "middle"], "left or right"),
        (["--goal-flexion", "270"], "--goal-flexion must be an angle"),
        (["--goal-height", "nan"], "--goal-height must be an angle"),
        (["--hold", "0"], "--hold must be a time"),
        (["--pose", "3"], "START,END"),
        (["--pose", "3,2"], "START before END"),
        (["--pose", "1,2,three"], "START,END"),
        (["--pose", "1,inf"], "START,END"),
        (["--calibration", "/no-such-file"], "/no-such-file cannot be read"),
    ],
)
def test_what_cannot_be_used_is_told(squats: Path, arguments: list[str], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        run(squats, *arguments)


def test_a_file_that_is_no_calibration_is_told(squats: Path, tmp_path: Path) -> None:
    file = tmp_path / "other.json"
    file.write_text('{"zero": "standing"}')
    with pytest.raises(UsageError, match="no calibration that --save-calibration wrote"):
        run(squats, "--calibration", file)


def test_help_names_the_exercises() -> None:
    assert tuple(EXERCISE_NAMES.split(", ")) == EXERCISES
    shown = " ".join(CliRunner().invoke(app, ["--help"]).output.replace("│", " ").split())
    for name in EXERCISES:
        assert name in shown


@pytest.mark.parametrize(("trend", "words"), [(0.02, "2.0% slower"), (-0.015, "1.5% faster")])
def test_the_tempo_is_told_in_words(trend: float, words: str) -> None:
    assert tempo(trend) == words
    assert tempo(float("nan")) == "-"


def test_a_guided_repetition_of_the_patient_is_what_complete_goes_by(squats: Path, tmp_path: Path) -> None:
    motion = LegMotion("mini-squat", reps=5, seed=3, standing_s=3.0, range_deg=95.0)
    t: Any = np.arange(int(motion.duration_s * 50)) / 50
    thigh, shank = (SampleChunk(*motion.imu(segment, t), t) for segment in SEGMENTS)
    write(tmp_path / "guided", Recording(RecordingMeta(50.0, "right", "mini-squat", "simulated"), thigh, shank))
    alone = told(squats, "--exercise", "mini-squat")
    beside = told(squats, "--exercise", "mini-squat", "--template", tmp_path / "guided")
    assert alone["rep_count"] == beside["rep_count"] == 6
    assert alone["reps"][0]["complete"]
    assert not beside["reps"][0]["complete"]


def test_a_template_without_a_repetition_says_what_to_do(tmp_path: Path) -> None:
    motion = LegMotion("none", seed=3, duration_s=20.0)
    t: Any = np.arange(1000) / 50
    thigh, shank = (SampleChunk(*motion.imu(segment, t), t) for segment in SEGMENTS)
    write(tmp_path / "walk", Recording(RecordingMeta(50.0, "right", "none", "simulated"), thigh, shank))
    with pytest.raises(UsageError, match="record it anew"):
        run(tmp_path / "walk", "--exercise", "mini-squat", "--template", tmp_path / "walk")


def test_a_recording_without_a_gyroscope_is_counted_and_told_as_inclination_only(tmp_path: Path) -> None:
    motion = LegMotion("mini-squat", reps=6, seed=3, standing_s=3.0)
    t: Any = np.arange(int(motion.duration_s * 50)) / 50
    thigh, shank = (SampleChunk(motion.imu(one, t)[0], np.full((len(t), 3), np.nan), t) for one in SEGMENTS)
    write(tmp_path / "squats", Recording(RecordingMeta(50.0, "right", "mini-squat", "simulated"), thigh, shank))
    answer = told(tmp_path / "squats", "--exercise", "mini-squat", "--angle", tmp_path / "angle.csv")
    assert answer["rep_count"] == 6
    assert (answer["max_flexion_deg"], answer["extension_deficit_deg"], answer["calibrated_at_s"]) == (None, None, None)
    assert answer["quality"]["flags"] == ["inclination-only"]
    assert answer["quality"]["ok_fraction"] == 0
    for rep in answer["reps"]:
        assert (rep["peak_flexion_deg"], rep["min_flexion_deg"], rep["peak_velocity_dps"]) == (None, None, None)
        assert rep["rom_deg"] > 20
    rows = (tmp_path / "angle.csv").read_text().splitlines()[1:]
    assert len(rows) > 1000
    assert all(row.endswith(",0") for row in rows)
    shown = run(tmp_path / "squats", "--exercise", "mini-squat")
    assert "inclination only" in shown
