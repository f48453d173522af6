from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gonio.signal.chunks import SampleChunk, TimedChunk
from gonio.signal.clock.envelope import LowerEnvelope
from gonio.signal.clock.sensor import SensorClock
from gonio.signal.consts import FloatArray


def _samples(own: FloatArray | None, arrival: FloatArray | None) -> SampleChunk:
    times = own if own is not None else arrival
    assert times is not None
    number = np.arange(len(times), dtype=np.float64)
    return SampleChunk(np.column_stack([number] * 3), np.zeros((len(times), 3)), own, arrival)


def _cut(chunk: SampleChunk, sizes: Sequence[int]) -> list[SampleChunk]:
    """Cut a chunk into chunks of the given sizes, over and over."""
    out, begin, i = [], 0, 0
    while begin < len(chunk):
        part = slice(begin, begin + sizes[i % len(sizes)])
        own, arrival = (None if t is None else t[part] for t in (chunk.sensor_s, chunk.arrival_s))
        out.append(SampleChunk(chunk.acc[part], chunk.gyr[part], own, arrival))
        begin, i = part.stop, i + 1
    return out


def _run(clock: SensorClock, chunks: Sequence[SampleChunk]) -> TimedChunk:
    out = [timed for chunk in chunks for timed in clock.feed(chunk)] + clock.finish()
    return TimedChunk(*(np.concatenate([getattr(one, name) for one in out]) for name in ("t_s", "acc", "gyr")))


def _link(
    seed: int, *, n: int, rate_hz: float, drift: float, jitter_s: float, loss: float = 0.0, burst: int = 1
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Simulate a link: true times, sensor's times and arrivals of the samples that come through."""
    rng = np.random.default_rng(seed)
    own = np.arange(n, dtype=np.float64) / rate_hz
    true = 300.0 + own * (1 + drift)
    last = np.minimum((np.arange(n) // burst + 1) * burst, n) - 1
    arrival = np.maximum.accumulate(true[last] + 0.008 + rng.uniform(0, jitter_s, n)[last])
    keep = (rng.random(n) >= loss)[last]
    return true[keep], own[keep] + 77.0, arrival[keep]


# --- with the sensor's clock ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("drift", [50e-6, -500e-6, 0.01])
def test_two_jittered_drifting_lossy_streams_are_aligned_within_10_ms(drift: float) -> None:
    sides = []
    for seed, sign in ((1, 1), (2, -1)):
        link = _link(seed, n=3600, rate_hz=60, drift=sign * drift, jitter_s=0.03, loss=0.02)
        timed = _run(SensorClock("thigh", 60), [_samples(*link[1:])])
        sides.append((link[0], timed.t_s - link[0]))
    error = np.abs(sides[0][1] - np.interp(sides[0][0], *sides[1]))
    assert np.percentile(error, 95) < 0.01
    assert error.max() < 0.02


def test_the_wait_for_the_first_estimate_is_bounded() -> None:
    _, own, arrival = _link(1, n=300, rate_hz=60, drift=0, jitter_s=0.02)
    clock = SensorClock("thigh", 60)
    given = [sum(map(len, clock.feed(one))) for one in _cut(_samples(own, arrival), [1])]
    first = next(i for i, count in enumerate(given) if count)
    assert first == 60
    assert given[first] == 61
    assert set(given[first + 1 :]) == {1}


def test_lost_samples_are_counted_and_the_rate_is_measured() -> None:
    true, own, arrival = _link(3, n=6000, rate_hz=99.26, drift=300e-6, jitter_s=0.02, loss=0.03)
    clock = SensorClock("shank", 100)
    _run(clock, [_samples(own, arrival)])
    assert clock.defects.lost == 6000 - len(true)
    assert clock.defects.samples == len(true)
    assert clock.defects.rate_hz == pytest.approx(99.26 / (1 + 300e-6), abs=0.02)
    assert clock.defects.restarts == clock.defects.repeated == 0


def test_repeated_samples_are_dropped_and_counted() -> None:
    true, own, arrival = _link(4, n=600, rate_hz=60, drift=0, jitter_s=0.02)
    twice = np.sort(np.concatenate([np.arange(600), np.arange(50, 600, 50)]))
    # a notification of three samples that came again as a whole
    twice = np.concatenate([twice[:303], twice[300:303], twice[303:]])
    clock = SensorClock("thigh", 60)
    timed = _run(clock, [_samples(own[twice], np.sort(arrival[twice]))])
    assert clock.defects.repeated == 14
    assert clock.defects.restarts == 0
    assert len(timed) == 600
    assert np.abs(timed.t_s - 0.008 - true).max() < 0.02


@pytest.mark.parametrize("jump_s", [-170.0, -3.0, 4294.967296, 20.0])
def test_a_restarted_clock_is_fitted_anew(jump_s: float) -> None:
    true, own, arrival = _link(5, n=1800, rate_hz=60, drift=50e-6, jitter_s=0.02)
    own = np.where(np.arange(1800) < 900, own, own + jump_s)
    clock = SensorClock("thigh", 60)
    timed = _run(clock, _cut(_samples(own, arrival), [5]))
    assert clock.defects.restarts == 1
    assert clock.defects.lost == 0
    assert len(timed) == 1800
    assert np.abs(timed.t_s - 0.008 - true).max() < 0.025


def test_a_single_wild_time_costs_two_fits_and_no_sample() -> None:
    true, own, arrival = _link(6, n=1200, rate_hz=60, drift=0, jitter_s=0.02)
    own[600] += 5000
    clock = SensorClock("thigh", 60)
    timed = _run(clock, [_samples(own, arrival)])
    assert clock.defects.restarts == 2
    assert len(timed) == 1200
    assert np.abs(timed.t_s - 0.008 - true).max() < 0.1


def test_a_silence_is_one_gap_and_its_samples_are_lost() -> None:
    true, own, arrival = _link(7, n=3000, rate_hz=60, drift=100e-6, jitter_s=0.02)
    keep = (np.arange(3000) < 1000) | (np.arange(3000) >= 1600)
    clock = SensorClock("thigh", 60)
    timed = _run(clock, [_samples(own[keep], arrival[keep])])
    defects = clock.defects
    assert (defects.gaps, defects.lost, defects.restarts) == (1, 600, 0)
    assert defects.longest_gap_s == pytest.approx(601 / 60, abs=0.02)
    assert np.abs(timed.t_s - 0.008 - true[keep]).max() < 0.02


def test_a_stall_that_catches_up_is_no_defect() -> None:
    true, own, arrival = _link(8, n=1800, rate_hz=60, drift=0, jitter_s=0.02)
    arrival = np.maximum.accumulate(np.where((true > 312) & (true < 314), 314.0, arrival))
    clock = SensorClock("thigh", 60)
    timed = _run(clock, [_samples(own, arrival)])
    assert (clock.defects.lost, clock.defects.gaps, clock.defects.restarts) == (0, 0, 0)
    assert np.abs(timed.t_s - 0.008 - true).max() < 0.02


def test_a_host_that_stalls_for_long_is_no_restart() -> None:
    true, own, arrival = _link(8, n=6000, rate_hz=60, drift=50e-6, jitter_s=0.02)
    arrival = np.maximum.accumulate(np.where((true > 312) & (true < 327), 327.0, arrival))
    clock = SensorClock("thigh", 60)
    timed = _run(clock, [_samples(own, arrival)])
    assert (clock.defects.lost, clock.defects.gaps, clock.defects.restarts) == (0, 0, 0)
    assert np.abs(timed.t_s - 0.008 - true).max() < 0.02


def test_a_sensor_clock_that_stood_still_begins_anew() -> None:
    true, own, arrival = _link(9, n=6000, rate_hz=60, drift=0, jitter_s=0.02)
    stood = true > 330  # asleep for 20 s, then it goes on where it stopped
    clock = SensorClock("thigh", 60)
    timed = _run(clock, [_samples(own, np.where(stood, arrival + 20, arrival))])
    assert clock.defects.restarts == 1
    assert np.abs(timed.t_s - 0.008 - (true + 20))[-600:].max() < 0.02


# --- without ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("nominal", "rate_hz", "burst", "limit_s"), [(100, 99.26, 4, 0.01), (100, 99.26, 8, 0.02), (25, 22.26, 1, 0.02)]
)
def test_a_sensor_without_a_clock_is_timed_by_its_real_rate(
    nominal: float, rate_hz: float, burst: int, limit_s: float
) -> None:
    n = int(60 * rate_hz)
    true, _, arrival = _link(9, n=n, rate_hz=rate_hz, drift=0, jitter_s=0.02, burst=burst)
    clock = SensorClock("thigh", nominal)
    timed = _run(clock, [_samples(None, arrival)])
    error = timed.t_s - true
    assert np.percentile(np.abs(error - np.median(error)), 95) < limit_s
    assert clock.defects.rate_hz == pytest.approx(rate_hz, rel=2e-3)
    assert clock.defects.lost == 0


def test_without_a_clock_a_stall_is_a_delay_and_a_loss_is_a_gap() -> None:
    true, _, arrival = _link(10, n=6000, rate_hz=100, drift=0, jitter_s=0.01, burst=4)
    stalled = np.maximum.accumulate(np.where((true > 320) & (true < 321.2), 321.2, arrival))
    clock = SensorClock("thigh", 100)
    timed = _run(clock, [_samples(None, stalled)])
    assert (clock.defects.lost, clock.defects.gaps) == (0, 0)
    assert np.abs(timed.t_s - true - np.median(timed.t_s - true)).max() < 0.02

    keep = (np.arange(6000) < 2000) | (np.arange(6000) >= 2120)
    clock = SensorClock("thigh", 100)
    timed = _run(clock, [_samples(None, arrival[keep])])
    assert clock.defects.lost == pytest.approx(120, abs=1)
    assert clock.defects.gaps == 1
    assert clock.defects.longest_gap_s == pytest.approx(1.21, abs=0.03)
    assert np.abs(timed.t_s - true[keep] - np.median(timed.t_s - true[keep])).max() < 0.03


@pytest.mark.parametrize(("rate_hz", "burst"), [(100, 1), (60, 1), (100, 4)])
def test_without_a_clock_a_host_that_stalls_again_before_it_has_caught_up_loses_nothing(
    rate_hz: float, burst: int
) -> None:
    true, _, arrival = _link(11, n=int(60 * rate_hz), rate_hz=rate_hz, drift=0, jitter_s=0.02, burst=burst)
    notified, which = np.unique(arrival, return_inverse=True)
    # between two stalls there are 4 ms for the backlog, and a notification takes 0.5 to 1 ms
    work_s = np.random.default_rng(11).uniform(0.5e-3, 1e-3, len(notified))
    free = 0.0
    for k, came in enumerate(notified):
        at = max(came, free)
        for begin, stall_s in ((310, 0.4), (310.404, 1.2), (311.608, 0.3), (325, 0.15), (325.154, 3.0)):
            if begin <= at < begin + stall_s:
                at = begin + stall_s
        notified[k] = at
        free = at + work_s[k]
    clock = SensorClock("thigh", rate_hz)
    timed = _run(clock, [_samples(None, notified[which])])
    assert (clock.defects.lost, clock.defects.gaps) == (0, 0)
    assert np.abs(timed.t_s - true - np.median(timed.t_s - true)).max() < 0.03


# --- recordings ------------------------------------------------------------------------------------------------------


def test_without_arrivals_the_sensors_clock_is_the_kits_unchanged() -> None:
    own = np.asarray(np.arange(1000) * 0.025 + 3.3, dtype=np.float64)
    clock = SensorClock("thigh", 40)
    fed = clock.feed(_samples(own, None))
    assert np.array_equal(fed[0].t_s, own)
    assert clock.finish() == []
    assert clock.defects.rate_hz == pytest.approx(40)


def test_without_arrivals_time_goes_on_after_a_restart() -> None:
    own = np.concatenate([np.arange(100), np.arange(50)]) * 0.025
    clock = SensorClock("thigh", 40)
    timed = _run(clock, [_samples(own, None)])
    assert np.allclose(timed.t_s, np.arange(150) * 0.025)
    assert clock.defects.restarts == 1


def test_a_stream_whose_times_change_kind_is_refused() -> None:
    clock = SensorClock("thigh", 40)
    clock.feed(_samples(np.zeros(1), None))
    with pytest.raises(ValueError, match="same times"):
        clock.feed(_samples(np.ones(1), np.ones(1)))


def test_nothing_in_is_nothing_out() -> None:
    clock = SensorClock("thigh", 40)
    assert clock.finish() == []
    assert clock.defects.samples == 0
    assert np.isnan(clock.defects.rate_hz)


# --- laws ------------------------------------------------------------------------------------------------------------


@st.composite
def broken_streams(draw: st.DrawFn) -> SampleChunk:
    """Streams with every defect at once; the arrivals alone are in order."""
    n = draw(st.integers(1, 500))
    seed = draw(st.integers(0, 10_000))
    rng = np.random.default_rng(seed)
    kind = draw(st.sampled_from(["both", "own", "arrivals"]))
    rate_hz = draw(st.sampled_from([25.0, 60.0, 120.0]))
    true = np.cumsum(np.where(rng.random(n) < draw(st.sampled_from([0, 0.02])), rng.uniform(0, 15), 1 / rate_hz))
    own = true + np.cumsum(np.where(rng.random(n) < draw(st.sampled_from([0, 0.01])), rng.normal(0, 100), 0))
    own = np.where(rng.random(n) < draw(st.sampled_from([0, 0.05])), np.roll(own, draw(st.integers(1, 3))), own)
    arrival = np.maximum.accumulate(true + rng.exponential(draw(st.sampled_from([0.0, 0.01, 0.3])), n))
    return _samples(None if kind == "arrivals" else own, None if kind == "own" else arrival)


@settings(max_examples=120, deadline=None)
@given(broken_streams(), st.lists(st.integers(1, 200), min_size=1, max_size=5))
def test_any_chunking_gives_the_same_times_to_the_last_bit(stream: SampleChunk, sizes: list[int]) -> None:
    at_once, in_parts = SensorClock("thigh", 60), SensorClock("thigh", 60)
    one, other = _run(at_once, [stream]), _run(in_parts, _cut(stream, sizes))
    assert np.array_equal(one.t_s, other.t_s)
    assert np.array_equal(one.acc, other.acc)
    assert repr(at_once.defects) == repr(in_parts.defects)  # repr: NaN is unlike itself


@settings(max_examples=120, deadline=None)
@given(broken_streams())
def test_times_increase_and_no_sample_vanishes_uncounted(stream: SampleChunk) -> None:
    clock = SensorClock("thigh", 60)
    timed = _run(clock, [stream])  # a TimedChunk whose times did not increase could not be made
    assert len(timed) == len(stream) - clock.defects.repeated
    assert (np.diff(timed.acc[:, 0]) > 0).all()  # the samples are numbered
    assert clock.defects.lost >= 0


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0.01, 20), st.floats(0, 0.1)), min_size=1, max_size=60),
    st.sampled_from([0.002, 0.15]),
)
def test_the_envelope_lies_below_all_points_of_its_window(points: list[tuple[float, float]], bound: float) -> None:
    envelope = LowerEnvelope(bound, 60)
    x, known = 0.0, []
    for step, d in points:
        x += step
        known.append((x, d))
        envelope.add(x, d)
        slope, x_line, d_line = envelope.line()
        recent = [(px, pd) for px, pd in known if px >= x - 60]
        assert abs(slope) <= bound
        assert all(pd >= d_line + slope * (px - x_line) - 1e-9 for px, pd in recent)
        assert any(pd <= d_line + slope * (px - x_line) + 1e-9 for px, pd in recent)
