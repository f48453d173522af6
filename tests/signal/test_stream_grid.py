import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gonio.signal.chunks import AlignedChunk, TimedChunk
from gonio.signal.clock import grid
from gonio.signal.clock.grid import Aligner
from gonio.signal.consts import FloatArray, Segment

COLUMNS = ("t_s", "thigh_acc", "thigh_gyr", "shank_acc", "shank_gyr", "measured")


def _timed(t: FloatArray, factor: float = 1.0) -> TimedChunk:
    """Samples whose values are known between them: each column is a multiple of time."""
    values = np.outer(t, np.arange(1.0, 7.0)) * factor
    return TimedChunk(t, values[:, :3], values[:, 3:])


def _part(chunk: TimedChunk, begin: int, end: int) -> TimedChunk:
    return TimedChunk(chunk.t_s[begin:end], chunk.acc[begin:end], chunk.gyr[begin:end])


def _join(chunks: list[AlignedChunk]) -> dict[str, np.ndarray]:
    return {name: np.concatenate([getattr(one, name) for one in chunks]) for name in COLUMNS}


def _both(aligner: Aligner, thigh: TimedChunk, shank: TimedChunk) -> list[AlignedChunk]:
    return aligner.feed("thigh", thigh) + aligner.feed("shank", shank) + aligner.finish()


def _seconds(begin: float, end: float, rate_hz: float) -> FloatArray:
    return np.asarray(begin + np.arange(int((end - begin) * rate_hz)) / rate_hz, dtype=np.float64)


def test_equal_moments_are_given_untouched() -> None:
    t = np.asarray(np.arange(4000) / 40, dtype=np.float64)
    rng = np.random.default_rng(1)
    thigh = TimedChunk(t, rng.normal(size=(4000, 3)), rng.normal(size=(4000, 3)))
    out = _join(_both(Aligner(40), thigh, _timed(t)))
    assert np.array_equal(out["t_s"], t)
    assert np.array_equal(out["thigh_acc"], thigh.acc)
    assert np.array_equal(out["thigh_gyr"], thigh.gyr)
    assert out["measured"].all()


def test_values_lie_on_the_line_between_samples_from_where_both_have_begun() -> None:
    rng = np.random.default_rng(2)
    thigh, shank = (np.cumsum(rng.uniform(0.005, 0.015, 3000)) + begin for begin in (0.0, 1.0))
    out = _join(_both(Aligner(60), _timed(thigh), _timed(shank, -2.0)))
    t = out["t_s"]
    assert t[0] == shank[0]
    assert t[-1] <= min(thigh[-1], shank[-1]) < t[-1] + 1 / 60
    assert np.allclose(np.diff(t), 1 / 60)
    assert np.allclose(out["thigh_acc"], np.outer(t, [1, 2, 3]))
    assert np.allclose(out["shank_gyr"], np.outer(t, [-8, -10, -12]))
    assert out["measured"].all()


def test_short_gaps_are_bridged_and_long_ones_marked() -> None:
    t = _seconds(0, 20, 100)
    shank = t[((t < 5) | (t > 5.12)) & ((t < 10) | (t > 11))]
    out = _join(_both(Aligner(100), _timed(t), _timed(shank)))
    unmeasured = out["t_s"][~out["measured"]]
    assert len(out["t_s"]) == len(t)
    assert (unmeasured[0], unmeasured[-1]) == (10.0, 11.0)
    assert len(unmeasured) == 101


def test_over_minutes_of_silence_the_grid_pauses_and_resumes_in_step() -> None:
    thigh, shank = _seconds(0, 900, 50), np.concatenate([_seconds(0, 100, 50), _seconds(700.003, 900, 50)])
    out = _join(_both(Aligner(50), _timed(thigh), _timed(shank)))
    t = out["t_s"]
    leap = int(np.diff(t).argmax())
    assert t[leap] <= shank[4999] < t[leap] + 0.02
    assert t[leap + 1] - 0.02 < 700.003 <= t[leap + 1]
    assert np.allclose(t * 50, np.rint(t * 50), atol=1e-6)
    assert np.flatnonzero(~out["measured"]).tolist() == [leap + 1]


def test_a_leap_of_years_is_no_allocation() -> None:
    leap = _timed(np.array([0.0, 0.01, 0.02, 1e9, 1e9 + 0.01]))
    out = _join(_both(Aligner(100), leap, leap))
    assert len(out["t_s"]) <= 5
    assert out["t_s"][-1] >= 1e9


def test_one_sensor_alone_gives_nothing() -> None:
    aligner = Aligner(100)
    assert aligner.feed("thigh", _timed(_seconds(0, 10, 100))) == []
    assert aligner.finish() == []


def test_what_waits_for_a_silent_sensor_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grid, "MAX_AHEAD", 1000)
    aligner = Aligner(100)
    thigh = _timed(_seconds(0, 100, 100))
    for begin in range(0, 10_000, 50):
        aligner.feed("thigh", _part(thigh, begin, begin + 50))
        assert aligner._streams["thigh"].waiting <= 1000
    out = _join(aligner.feed("shank", _timed(_seconds(0, 100, 100))))
    assert out["t_s"][-1] == thigh.t_s[-1]
    assert out["t_s"][0] >= 90
    assert np.allclose(out["thigh_acc"][:, 0], out["t_s"])


def test_samples_that_go_back_are_refused() -> None:
    aligner = Aligner(100)
    aligner.feed("thigh", _timed(_seconds(0, 1, 100)))
    with pytest.raises(ValueError, match="does not increase"):
        aligner.feed("thigh", _timed(_seconds(0.5, 2, 100)))


def _random_stream(seed: int, n: int) -> TimedChunk:
    rng = np.random.default_rng(seed)
    steps = rng.uniform(0.004, 0.03, n)
    steps = np.where(rng.random(n) < 0.02, rng.uniform(0.1, 0.4, n), steps)
    steps = np.where(rng.random(n) < 0.003, rng.uniform(5, 60, n), steps)
    return TimedChunk(np.cumsum(steps) + rng.uniform(0, 2), rng.normal(size=(n, 3)), rng.normal(size=(n, 3)))


@settings(max_examples=100, deadline=None)
@given(
    st.integers(0, 10_000),
    st.tuples(st.integers(1, 500), st.integers(1, 500)),
    st.lists(st.tuples(st.booleans(), st.integers(1, 120)), min_size=1, max_size=40),
)
def test_neither_chunks_nor_interleaving_change_the_last_bit(
    seed: int, lengths: tuple[int, int], order: list[tuple[bool, int]]
) -> None:
    streams: dict[Segment, TimedChunk] = {
        "thigh": _random_stream(seed, lengths[0]),
        "shank": _random_stream(seed + 1, lengths[1]),
    }
    at_once = _both(Aligner(60), streams["thigh"], streams["shank"])
    aligner, done = Aligner(60), {"thigh": 0, "shank": 0}
    in_parts: list[AlignedChunk] = []
    rest: list[tuple[bool, int]] = [(True, 500), (False, 500)]
    for is_thigh, size in order + rest:
        segment: Segment = "thigh" if is_thigh else "shank"
        chunk = _part(streams[segment], done[segment], done[segment] + size)
        done[segment] += len(chunk)
        in_parts += aligner.feed(segment, chunk)
    in_parts += aligner.finish()
    assert sum(map(len, in_parts)) == sum(map(len, at_once))
    if at_once:
        one, other = _join(at_once), _join(in_parts)
        assert all(one[name].tobytes() == other[name].tobytes() for name in COLUMNS)
        assert (np.diff(one["t_s"]) > 0).all()
