import gzip
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gonio.recording import RecordingError, RepSpan, SetSpan, read
from gonio.signal.consts import SEGMENTS

HEADER = "t_s,acc_x,acc_y,acc_z,gyr_x,gyr_y,gyr_z"
META = 'rate_hz = 50\nside = "left"\nexercise = "mini-squat"\nsource = "by hand"\nsubject = "nobody"\nother = 3\n'
DATA = Path(os.environ.get("GONIO_DATA") or Path(__file__).parents[2].parent / "shared" / "data")


def _rows(n: int = 20) -> list[str]:
    return [f"{i * 0.02:.4f},0.1,9.8,{i},0.01,-0.02,0.03" for i in range(n)]


def _make(directory: Path, *, meta: str = META, header: str = HEADER, rows: list[str] | None = None) -> Path:
    directory.mkdir(exist_ok=True)
    (directory / "recording.toml").write_text(meta)
    for name in ("thigh", "shank"):
        text = "\n".join([header, *(_rows() if rows is None else rows)]) + "\n"
        (directory / f"{name}.csv").write_text(text)
    return directory


def _with(row: int, cells: str) -> list[str]:
    rows = _rows()
    rows[row] = cells
    return rows


def test_a_plain_recording_is_read(tmp_path: Path) -> None:
    recording = read(_make(tmp_path))
    assert recording.meta.rate_hz == 50
    assert (recording.meta.side, recording.meta.exercise) == ("left", "mini-squat")
    assert (recording.meta.source, recording.meta.subject, recording.meta.note) == ("by hand", "nobody", "")
    assert len(recording.thigh) == len(recording.samples("shank")) == 20
    assert recording.thigh.sensor_s is not None
    assert recording.thigh.sensor_s[3] == 0.06
    assert recording.thigh.acc[3].tolist() == [0.1, 9.8, 3.0]
    assert recording.thigh.gyr[3].tolist() == [0.01, -0.02, 0.03]
    assert recording.thigh.arrival_s is None
    assert (recording.truth, recording.reps, recording.sets) == (None, None, None)


def test_columns_may_stand_in_any_order_with_other_line_ends_and_a_byte_order_mark(tmp_path: Path) -> None:
    _make(tmp_path)
    text = "\ufeffgyr_z, acc_x,acc_y,acc_z,gyr_x,gyr_y,t_s\r\n0.5,1,2,3,4,5,0\r\n0.6,1,2,3,4,5,0.02"
    (tmp_path / "shank.csv").write_bytes(text.encode())
    shank = read(tmp_path).shank
    assert shank.gyr.tolist() == [[4, 5, 0.5], [4, 5, 0.6]]
    assert shank.acc[1].tolist() == [1, 2, 3]


@pytest.mark.parametrize("cells", ["", ",nan,nan,nan", ",,,", ", ,,NaN"])
def test_a_sensor_without_a_gyroscope_has_no_angular_velocity(tmp_path: Path, cells: str) -> None:
    header = HEADER if cells else HEADER.removesuffix(",gyr_x,gyr_y,gyr_z")
    recording = read(_make(tmp_path, header=header, rows=[f"{i * 0.02:.2f},0.1,9.8,{i}{cells}" for i in range(20)]))
    for segment in SEGMENTS:
        assert recording.samples(segment).gyr.shape == (20, 3)
        assert np.isnan(recording.samples(segment).gyr).all()
        assert recording.samples(segment).acc[7].tolist() == [0.1, 9.8, 7.0]


@pytest.mark.parametrize("cells", ["nan,nan,0.5", ",,0.5"])
def test_half_a_gyroscope_is_an_error(tmp_path: Path, cells: str) -> None:
    _make(tmp_path, rows=[f"{i * 0.02:.2f},0.1,9.8,{i},{cells}" for i in range(20)])
    with pytest.raises(RecordingError, match=r"row 2, column gyr_x: .* is no number"):
        read(tmp_path)


def test_side_and_exercise_may_be_none_or_left_out(tmp_path: Path) -> None:
    meta = read(_make(tmp_path, meta='rate_hz = 50\nside = "none"\nexercise = "none"\n')).meta
    assert (meta.side, meta.exercise) == (None, "none")
    meta = read(_make(tmp_path, meta="rate_hz = 50\n")).meta
    assert (meta.side, meta.exercise) == (None, "none")


def test_truth_reps_and_sets_are_read(tmp_path: Path) -> None:
    _make(tmp_path)
    truth = gzip.compress(b"t_s,knee_flexion_deg,valid\n0,90,1\n0.02,nan,0\n0.04,-3,1\n")
    (tmp_path / "truth.csv.gz").write_bytes(truth)
    (tmp_path / "reps.csv").write_text("start_s,end_s\n0.1,0.2\n0.2,0.35\n")
    (tmp_path / "sets.csv").write_text("start_s,end_s,count\n0.000,0.400,2.000\n")
    recording = read(tmp_path)
    assert recording.truth is not None
    assert recording.truth.valid.tolist() == [True, False, True]
    assert recording.truth.flexion[0] == pytest.approx(np.pi / 2)
    assert np.isnan(recording.truth.flexion[1])
    assert recording.reps == (RepSpan(0.1, 0.2), RepSpan(0.2, 0.35))
    assert recording.sets == (SetSpan(0.0, 0.4, 2),)


def test_arrivals_are_read_and_then_the_sensors_clock_may_restart_or_be_missing(tmp_path: Path) -> None:
    rows = [f"{0.02 * (i % 10):.2f},0,0,9.8,0,0,0,{5 + i * 0.02:.2f}" for i in range(20)]
    recording = read(_make(tmp_path, header=HEADER + ",arrival_s", rows=rows))
    assert recording.thigh.arrival_s is not None
    assert recording.thigh.arrival_s[-1] == 5.38
    rows = [row.split(",", 1)[1] for row in rows]
    recording = read(_make(tmp_path, header=HEADER[4:] + ",arrival_s", rows=rows))
    assert recording.thigh.sensor_s is None


@pytest.mark.parametrize(
    ("rows", "row", "column", "why"),
    [
        (_with(3, "0.06,0.1,much,3,0,0,0"), 5, "acc_y", "'much' is no number"),
        (_with(0, "0.0,0.1,,3,0,0,0"), 2, "acc_y", "'' is no number"),
        (_with(4, "0.08,0.1,1_0,3,0,0,0"), 6, "acc_y", "no number"),
        (_with(7, "0.14,0.1,1,3,0,nan,0"), 9, "gyr_y", "'nan' is no number"),
        (_with(7, "0.14,0.1,1,-inf,0,0,0"), 9, "acc_z", "'-inf' is no number"),
        (_with(9, "0.18,0.1,1,3,0,0"), 11, None, "6 cells where the header names 7"),
        (_with(9, "0.18,0.1,1,3,0,0,0,0"), 11, None, "8 cells"),
        (_with(9, ""), 11, None, "1 cells"),
        (_with(5, "0.01,0.1,1,3,0,0,0"), 7, "t_s", "runs backwards"),
        (_with(5, "0.1,98066,1,3,0,0,0"), 7, "acc_x", "out of bounds"),
        (_with(5, "0.1,0,1,3,0,0,-573"), 7, "gyr_z", "another unit"),
        ([], None, None, "holds no samples"),
        ([f"{i * 20},0,0,9.8,0,0,0" for i in range(20)], None, "t_s", "is it in seconds?"),
    ],
)
def test_a_bad_table_is_refused_with_row_and_column(
    tmp_path: Path, rows: list[str], row: int | None, column: str | None, why: str
) -> None:
    with pytest.raises(RecordingError) as caught:
        read(_make(tmp_path, rows=rows))
    assert (caught.value.row, caught.value.column) == (row, column)
    assert caught.value.path.name == "thigh.csv"
    assert why in str(caught.value)
    for part in ("thigh.csv", *([f"row {row}"] if row else []), *([f"column {column}"] if column else [])):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("header", "why"),
    [
        (HEADER.replace("gyr_y", "gyro_y"), "no column gyr_y"),
        (HEADER.replace("t_s", "time"), "unknown column 'time'"),
        (HEADER + ",temp", "unknown column 'temp'"),
        (HEADER + ",acc_x", "stands twice"),
        ("", "is empty"),
    ],
)
def test_a_bad_header_is_refused(tmp_path: Path, header: str, why: str) -> None:
    with pytest.raises(RecordingError, match=why):
        read(_make(tmp_path, header=header))


@pytest.mark.parametrize(
    ("meta", "why"),
    [
        ("rate_hz = \n", "no valid TOML"),
        ('side = "left"\n', "rate_hz must be there"),
        ('rate_hz = "fast"\n', "rate_hz must be there and be a number"),
        ("rate_hz = true\n", "rate_hz must be there and be a number"),
        ("rate_hz = nan\n", "rate_hz must be 1 to 10000"),
        ("rate_hz = -5\n", "rate_hz must be 1 to 10000"),
        ('rate_hz = 50\nside = "both"\n', "side must be left, right or none"),
        ('rate_hz = 50\nexercise = "juggling"\n', "exercise 'juggling' is not known"),
        ("rate_hz = 50\nnote = 7\n", "note must be a text"),
    ],
)
def test_a_bad_recording_toml_is_refused(tmp_path: Path, meta: str, why: str) -> None:
    with pytest.raises(RecordingError, match=why) as caught:
        read(_make(tmp_path, meta=meta))
    assert "recording.toml" in str(caught.value)


def _no_folder(directory: Path) -> None:
    for path in directory.iterdir():
        path.unlink()
    directory.rmdir()


def _cut_gzip(directory: Path) -> None:
    (directory / "shank.csv").unlink()
    (directory / "shank.csv.gz").write_bytes(gzip.compress(b"t_s" * 5000)[:-12])


def _no_gzip(directory: Path) -> None:
    (directory / "shank.csv").rename(directory / "shank.csv.gz")


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (_no_folder, "no such folder"),
        (lambda d: (d / "recording.toml").unlink(), "recording.toml: no such file"),
        (lambda d: (d / "recording.toml").write_bytes(b"\xff\xfe"), "recording.toml: is no valid TOML"),
        (lambda d: (d / "shank.csv").unlink(), "shank.csv: no such file"),
        (lambda d: (d / "shank.csv").write_bytes(b""), "shank.csv: is empty"),
        (lambda d: (d / "shank.csv").write_bytes(b"\xff\xfe\x00\x01"), "shank.csv: is no text"),
        (lambda d: (d / "shank.csv.gz").write_bytes(b""), "stands beside it"),
        (_cut_gzip, "shank.csv.gz: is no whole gzip file"),
        (_no_gzip, "shank.csv.gz: is no whole gzip file"),
        (lambda d: (d / "truth.csv").write_text("t_s,knee_flexion_deg,valid\n0,nan,1\n"), "'nan' is no number"),
        (lambda d: (d / "truth.csv").write_text("t_s,knee_flexion_deg,valid\n1,0,1\n0,0,1\n"), "row 3.*backwards"),
        (lambda d: (d / "truth.csv").write_text("t_s,knee_flexion_deg,valid\n1,0,2\n"), "column valid"),
        (lambda d: (d / "truth.csv").write_text("t_s,knee_flexion_deg,valid\n1,inf,1\n"), "column knee_flexion_deg"),
        (lambda d: (d / "reps.csv").write_text("start_s,end_s\n0,1\n3,2\n"), "row 3.*ends before it starts"),
        (lambda d: (d / "sets.csv").write_text("start_s,end_s,count\n0,1,2.5\n"), "no whole number"),
    ],
)
def test_a_spoilt_folder_is_refused_by_name(tmp_path: Path, spoil: Callable[[Path], object], why: str) -> None:
    directory = _make(tmp_path / "one")
    spoil(directory)
    with pytest.raises(RecordingError, match=why):
        read(directory)


def test_a_table_without_any_time_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="no column t_s"):
        read(_make(tmp_path, header=HEADER[4:], rows=[row.split(",", 1)[1] for row in _rows()]))


def test_one_sensor_with_arrivals_and_one_without_are_refused(tmp_path: Path) -> None:
    _make(tmp_path)
    rows = [f"{row},{i}" for i, row in enumerate(_rows())]
    (tmp_path / "shank.csv").write_text("\n".join([HEADER + ",arrival_s", *rows]))
    with pytest.raises(RecordingError, match="both or neither"):
        read(tmp_path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150, deadline=None)
@given(
    st.binary(max_size=300) | st.text("0123456789.,-+eE_nif \r\n\x00\t\"'#", max_size=300).map(str.encode),
    st.booleans(),
)
def test_whatever_a_table_holds_only_a_recording_error_comes_of_it(tmp_path: Path, data: bytes, headed: bool) -> None:  # noqa: FBT001 - given by hypothesis
    _make(tmp_path)
    (tmp_path / "shank.csv").write_bytes(HEADER.encode() + b"\n" + data if headed else data)
    try:
        shank = read(tmp_path).shank
    except RecordingError as error:
        told = str(error)
    else:
        told = "shank.csv" if np.isfinite(shank.acc).all() else "not finite"
    assert "shank.csv" in told


@pytest.mark.skipif(not DATA.is_dir(), reason=f"no recordings at {DATA} (set GONIO_DATA)")
def test_every_sample_recording_is_read() -> None:
    found = [read(path.parent) for path in sorted(DATA.glob("*/recording.toml"))]
    assert found
    for recording in found:
        assert len(recording.thigh) == len(recording.shank) > 1000
