import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gonio.recording import (
    Recording,
    RecordingError,
    RecordingMeta,
    RecordingWriter,
    RepSpan,
    SetSpan,
    Truth,
    read,
    write,
)
from gonio.signal.chunks import SampleChunk
from gonio.signal.consts import FloatArray


def _chunk(n: int, seed: int, *, own: bool = True, arrivals: bool = False) -> SampleChunk:
    rng = np.random.default_rng(seed)
    times = np.cumsum(rng.uniform(0.008, 0.012, n))
    arrival = np.maximum.accumulate(times + rng.uniform(0, 0.03, n)) if arrivals else None
    return SampleChunk(rng.normal(0, 10, (n, 3)), rng.normal(0, 1, (n, 3)), times if own else None, arrival)


def _same(one: FloatArray | None, other: FloatArray | None) -> bool:
    if one is None or other is None:
        return one is other
    return np.array_equal(one, other)


def _same_samples(one: SampleChunk, other: SampleChunk) -> bool:
    return all(_same(getattr(one, k), getattr(other, k)) for k in ("acc", "gyr", "sensor_s", "arrival_s"))


def test_a_sensor_without_a_gyroscope_is_written_and_read_as_one(tmp_path: Path) -> None:
    full = _chunk(30, 1)
    bare = SampleChunk(full.acc, np.full_like(full.gyr, np.nan), full.sensor_s)
    meta = RecordingMeta(100.0)
    write(tmp_path / "whole", Recording(meta, bare, full))
    assert bare.sensor_s is not None
    with RecordingWriter(tmp_path / "streamed", meta) as writer:
        for part in (slice(0, 7), slice(7, None)):
            writer.append("thigh", SampleChunk(bare.acc[part], bare.gyr[part], bare.sensor_s[part]))
        writer.append("shank", full)
    for name in ("whole", "streamed"):
        back = read(tmp_path / name)
        assert np.isnan(back.thigh.gyr).all()
        assert _same(back.thigh.acc, bare.acc)
        assert _same_samples(back.shank, full)


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


@settings(max_examples=40, deadline=None)
@given(
    n=st.integers(1, 60),
    seed=st.integers(0, 10_000),
    times=st.sampled_from([(True, False), (True, True), (False, True)]),
    meta=st.builds(
        RecordingMeta,
        st.sampled_from([100.0, 99.26, 101.3]),
        st.sampled_from(["left", "right", None]),
        st.sampled_from(["lunge", "none"]),
        texts,
        texts,
        texts,
        texts,
    ),
    reps=st.none() | st.just(()) | st.just((RepSpan(0.1, 0.3), RepSpan(0.3, 1 / 3))),
)
def test_what_is_written_is_read_again_to_the_last_bit(
    n: int, seed: int, times: tuple[bool, bool], meta: RecordingMeta, reps: tuple[RepSpan, ...] | None
) -> None:
    own, arrivals = times
    thigh, shank = (_chunk(n, seed + i, own=own, arrivals=arrivals) for i in (0, 1))
    flexion = np.asarray(np.arange(n) * 0.035 - 0.1, dtype=np.float64)
    truth = Truth(np.arange(n, dtype=np.float64) * 0.01, flexion, np.arange(n) % 3 > 0)
    sets = None if reps is None else (SetSpan(0.0, 1.0, len(reps)),)
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "new" / "recording"
        write(path, Recording(meta, thigh, shank, truth, reps, sets))
        again = read(path)
    assert again.meta == meta
    assert _same_samples(again.thigh, thigh)
    assert _same_samples(again.shank, shank)
    assert (again.reps, again.sets) == (reps, sets)
    assert again.truth is not None
    assert _same(again.truth.t_s, truth.t_s)
    assert np.allclose(again.truth.flexion, flexion, rtol=0, atol=1e-12)  # degrees in the file, radians here
    assert np.array_equal(again.truth.valid, truth.valid)


def test_a_recording_is_never_written_over_another(tmp_path: Path) -> None:
    recording = Recording(RecordingMeta(100.0), _chunk(20, 1), _chunk(20, 2))
    write(tmp_path / "one", recording)
    with pytest.raises(RecordingError, match="not empty"):
        write(tmp_path / "one", recording)
    with pytest.raises(RecordingError, match="not empty"):
        RecordingWriter(tmp_path / "one", recording.meta)


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RecordingError, match="cannot be written"):
        write(tmp_path / "file" / "one", Recording(RecordingMeta(100.0), _chunk(20, 1), _chunk(20, 2)))


def test_a_recording_made_bit_by_bit_is_the_one_written_at_once(tmp_path: Path) -> None:
    chunks = {"thigh": _chunk(90, 1, arrivals=True), "shank": _chunk(90, 2, own=False, arrivals=True)}
    with RecordingWriter(tmp_path, RecordingMeta(100.0, side="left"), origin_s=0.0) as writer:
        for begin in range(0, 90, 7):
            for segment in ("thigh", "shank"):
                one = chunks[segment]
                part = slice(begin, begin + 7)
                own = None if one.sensor_s is None else one.sensor_s[part]
                assert one.arrival_s is not None
                writer.append(segment, SampleChunk(one.acc[part], one.gyr[part], own, one.arrival_s[part]))
    again = read(tmp_path)
    assert again.meta.side == "left"
    assert _same_samples(again.thigh, chunks["thigh"])
    assert _same_samples(again.shank, chunks["shank"])


def test_arrivals_are_counted_from_the_beginning(tmp_path: Path) -> None:
    one = SampleChunk(np.zeros((2, 3)), np.zeros((2, 3)), None, np.array([100.5, 100.75]))
    with RecordingWriter(tmp_path, RecordingMeta(4.0), origin_s=100.0) as writer:
        writer.append("thigh", one)
        writer.append("shank", one)
    arrival = read(tmp_path).thigh.arrival_s
    assert arrival is not None
    assert arrival.tolist() == [0.5, 0.75]


def test_samples_with_other_columns_are_refused(tmp_path: Path) -> None:
    with RecordingWriter(tmp_path, RecordingMeta(100.0)) as writer:
        writer.append("thigh", _chunk(5, 1))
        with pytest.raises(RecordingError, match="do not fit"):
            writer.append("thigh", _chunk(5, 1, arrivals=True))


def test_a_killed_program_loses_nothing_that_it_appended(tmp_path: Path) -> None:
    script = f"""
import os, signal, numpy as np
from pathlib import Path
from gonio.recording import RecordingMeta, RecordingWriter
from gonio.signal.chunks import SampleChunk
writer = RecordingWriter(Path({str(tmp_path / "one")!r}), RecordingMeta(100.0))
for i in range(50):
    chunk = SampleChunk(np.full((3, 3), float(i)), np.zeros((3, 3)), (np.arange(3) + 3 * i) / 100)
    writer.append("thigh", chunk)
    writer.append("shank", chunk)
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", script], check=False)
    assert done.returncode == -9
    again = read(tmp_path / "one")
    assert len(again.thigh) == len(again.shank) == 150
    assert again.shank.acc[-1].tolist() == [49.0] * 3
