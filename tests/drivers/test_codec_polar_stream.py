"""A Polar sensor's running stream: pairs of samples out of frames with times of their own; what is lost stays lost."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gonio.drivers.codec import Notification, StreamDecoder, StreamEncoder
from gonio.drivers.codecs.polar_delta import Whole
from gonio.drivers.codecs.polar_frames import write_frame
from gonio.drivers.codecs.polar_pairing import MAX_WAITING, Pairing
from gonio.drivers.codecs.polar_stream import PolarReader
from gonio.drivers.codecs.polar_write import PolarWriter
from gonio.errors import UsageError
from gonio.firmware_profiles import get_profile
from gonio.signal.chunks import SampleChunk
from gonio.signal.consts import STANDARD_GRAVITY, FloatArray

VERITY, H10, OH1 = get_profile("polar_pmd"), get_profile("polar_h10"), get_profile("polar_oh1")
DATA = VERITY.characteristic("data").uuid
FACTORS = {"factor_acc": 2.44e-4, "factor_gyr": 2000 / 32768}
MG = STANDARD_GRAVITY / 1000


def _notifications(packets: list[bytes], period_ns: int = 500_000_000) -> list[Notification]:
    return [Notification(DATA, data, (number + 1) * period_ns) for number, data in enumerate(packets)]


def _read(packets: list[bytes], rate_hz: float = 52, *, gyro: bool = True, **factors: float) -> SampleChunk | None:
    return PolarReader({"rate_hz": rate_hz, **factors}, gyro=gyro).feed_all(_notifications(packets))


def _motion(count: int, rate_hz: float = 52) -> tuple[FloatArray, FloatArray, FloatArray]:
    t_s = 3.0 + np.arange(count) / rate_hz
    acc = np.stack([9.8 * np.sin(t_s), 9.8 * np.cos(t_s), t_s / 10], axis=1)
    gyr = np.stack([8 * np.cos(3 * t_s), np.sin(2 * t_s), -t_s / 20], axis=1)
    return acc, gyr, t_s


def _since_first(chunk: SampleChunk) -> FloatArray:
    assert chunk.sensor_s is not None
    since: FloatArray = chunk.sensor_s - chunk.sensor_s[0]
    return since


SAMPLES = st.lists(st.tuples(*[st.floats(-1, 1)] * 6), min_size=1, max_size=150)


@pytest.mark.parametrize("factors", [{}, FACTORS], ids=["mg and float32", "counts of a factor"])
@settings(max_examples=60, deadline=None)
@given(values=SAMPLES, rate_hz=st.sampled_from([26, 52, 104, 416]))
def test_decoding_undoes_encoding(factors: dict[str, float], values: list[tuple[float, ...]], rate_hz: int) -> None:
    both = np.array(values)
    acc, gyr = both[:, :3] * 7.9 * STANDARD_GRAVITY, both[:, 3:] * 34.9
    sensor_s = 1.0 + np.arange(len(acc)) / rate_hz
    writer = StreamEncoder(VERITY, {"rate_hz": rate_hz, **factors})
    packets = writer.encode(acc, gyr, sensor_s) + writer.finish()
    assert max(map(len, packets)) <= VERITY.min_mtu(VERITY.resolve()) - 3
    assert sum(map(writer.samples_in, packets)) == len(acc)
    decoder = StreamDecoder(VERITY, {"rate_hz": rate_hz, **factors})
    chunk = decoder.feed_all(_notifications(packets, 10_000_000))
    assert chunk is not None
    acc_step = 2.44e-4 * STANDARD_GRAVITY if factors else MG
    np.testing.assert_allclose(chunk.acc, acc, atol=acc_step * 0.51, rtol=0)
    np.testing.assert_allclose(chunk.gyr, gyr, atol=np.radians(2000 / 32768) * 0.51 if factors else 3e-6, rtol=0)
    np.testing.assert_allclose(_since_first(chunk), sensor_s - sensor_s[0], atol=3e-7, rtol=0)
    assert decoder.malformed == decoder.restarts == 0
    assert decoder.finish() is None


@pytest.mark.parametrize("profile", [H10, OH1], ids=lambda p: p.family)
def test_without_a_gyroscope_there_is_acceleration_and_nothing_made_up(profile: object) -> None:
    family = H10 if profile is H10 else OH1
    acc, gyr, t_s = _motion(200, 50)
    writer = StreamEncoder(family, {"rate_hz": 50})
    packets = writer.encode(acc, gyr, t_s) + writer.finish()
    assert sum(map(writer.samples_in, packets)) == 200
    chunk = StreamDecoder(family, {"rate_hz": 50}).feed_all(_notifications(packets, 700_000_000))
    assert chunk is not None
    np.testing.assert_allclose(chunk.acc, acc, atol=MG * 0.51, rtol=0)
    assert np.isnan(chunk.gyr).all()
    np.testing.assert_allclose(_since_first(chunk), t_s - t_s[0], atol=3e-7, rtol=0)


def test_the_family_sends_its_clock() -> None:
    acc, gyr, _ = _motion(3)
    with pytest.raises(UsageError, match="sensor_s is needed"):
        StreamEncoder(VERITY, {}).encode(acc, gyr)


@settings(max_examples=60, deadline=None)
@given(cuts=st.lists(st.integers(0, 12), max_size=8), seed=st.integers(0, 2**32 - 1), lost=st.sets(st.integers(0, 11)))
def test_any_division_of_the_notifications_gives_the_same(cuts: list[int], seed: int, lost: set[int]) -> None:
    noise = np.random.default_rng(seed).normal(0, 5, (300, 6))
    writer = PolarWriter(FACTORS, gyro=True)
    packets = writer.encode(noise[:, :3], noise[:, 3:], np.arange(300) / 52) + writer.finish()
    packets.insert(2, b"\x02\x00")
    kept = _notifications([data for place, data in enumerate(packets) if place not in lost])
    at_once, in_parts = (PolarReader({"rate_hz": 52, **FACTORS}, gyro=True) for _ in range(2))
    whole = at_once.feed_all(kept)
    places = sorted({min(cut, len(kept)) for cut in cuts} | {0, len(kept)})
    parts = [in_parts.feed_all(kept[a:b]) for a, b in itertools.pairwise(places)]
    chunks = [part for part in parts if part is not None]
    if whole is None:
        assert not chunks
        return
    for name in ("acc", "gyr", "sensor_s", "arrival_s"):
        np.testing.assert_array_equal(np.concatenate([getattr(c, name) for c in chunks]), getattr(whole, name))
    assert at_once.malformed == in_parts.malformed


@settings(max_examples=60, deadline=None)
@given(samples=SAMPLES, cuts=st.lists(st.integers(0, 150), max_size=6))
def test_any_division_of_the_samples_gives_the_same_frames(samples: list[tuple[float, ...]], cuts: list[int]) -> None:
    both = np.array(samples) * 30
    t_s = np.arange(len(both)) / 52
    at_once, in_parts = PolarWriter(FACTORS, gyro=True), PolarWriter(FACTORS, gyro=True)
    whole = at_once.encode(both[:, :3], both[:, 3:], t_s) + at_once.finish()
    places = sorted({min(cut, len(both)) for cut in cuts} | {0, len(both)})
    parts: list[bytes] = []
    for begin, end in itertools.pairwise(places):
        parts += in_parts.encode(both[begin:end, :3], both[begin:end, 3:], t_s[begin:end])
    assert parts + in_parts.finish() == whole


# --- frames of different lengths and times, as a real sensor sends them ----------------------------------------------


def _frames(measurement: str, values: FloatArray, times_ns: Whole, lengths: list[int]) -> list[tuple[int, bytes]]:
    """Cut samples into raw-like compressed frames of the given lengths, each with its time."""
    frames = []
    begin = 0
    for length in lengths:
        end = min(begin + length, len(values))
        if end == begin:
            break
        writer = PolarWriter({}, gyro=True, limit=5000)
        both = values[begin:end]
        zeros = np.zeros_like(both)
        acc, gyr = (both, zeros) if measurement == "acc" else (zeros, both)
        seconds = times_ns[begin:end].astype(np.float64) * 1e-9
        pairs = [writer.encode(acc[k : k + 1], gyr[k : k + 1], seconds[k : k + 1]) for k in range(len(both))]
        assert all(not pair for pair in pairs[:-1])
        packets = pairs[-1] or writer.finish()
        frames.append((int(times_ns[end - 1]), packets[0 if measurement == "acc" else 1]))
        begin = end
    return frames


@settings(max_examples=40, deadline=None)
@given(
    acc_lengths=st.lists(st.integers(5, 59), min_size=12, max_size=12),
    gyr_lengths=st.lists(st.integers(5, 59), min_size=12, max_size=12),
    offset_ns=st.integers(-15_000_000, 15_000_000),
)
def test_acceleration_is_taken_on_the_line_at_the_times_of_the_angular_velocity(
    acc_lengths: list[int], gyr_lengths: list[int], offset_ns: int
) -> None:
    gyr_ns = 5_000_000_000 + np.rint(np.arange(200) * (1e9 / 52)).astype(np.int64)
    acc_ns = gyr_ns + offset_ns
    slope = np.array([0.5, -1.0, 0.25])  # m/s² each s: a line, so that the line between two samples is the truth
    acc = (acc_ns * 1e-9)[:, np.newaxis] * slope
    gyr = np.stack([np.sin(np.arange(200)), np.cos(np.arange(200)), np.arange(200) / 100], axis=1)
    frames = _frames("acc", acc, acc_ns, acc_lengths) + _frames("gyro", gyr, gyr_ns, gyr_lengths)
    packets = [data for _, data in sorted(frames, key=lambda pair: pair[0])]
    chunk = _read(packets)
    shared = min(sum(acc_lengths), sum(gyr_lengths), 200)
    assert chunk is not None
    assert chunk.sensor_s is not None
    at_s = chunk.sensor_s - 599_616_000
    np.testing.assert_allclose(chunk.acc, at_s[:, np.newaxis] * slope, atol=MG * 0.52, rtol=0)
    number = np.rint((at_s - 5.0) * 52).astype(int)
    np.testing.assert_allclose(at_s, 5.0 + number / 52, atol=1e-6)
    np.testing.assert_allclose(chunk.gyr, gyr[number], atol=1e-6)
    assert np.all(np.diff(number) == 1)
    assert len(chunk) >= shared - 60  # what has no partner yet waits


@pytest.mark.parametrize("lost", [2, 3, 6, 7])
def test_a_lost_frame_costs_its_own_samples_and_no_others(lost: int) -> None:
    acc, gyr, t_s = _motion(600)
    writer = PolarWriter(FACTORS, gyro=True)
    packets = writer.encode(acc, gyr, t_s) + writer.finish()
    gone = writer.samples_in(packets[lost | 1])
    reader = PolarReader({"rate_hz": 52, **FACTORS}, gyro=True)
    chunk = reader.feed_all(_notifications([data for place, data in enumerate(packets) if place != lost], 550_000_000))
    assert chunk is not None
    assert chunk.sensor_s is not None
    number = np.rint((chunk.sensor_s - 599_616_000 - t_s[0]) * 52).astype(int)
    np.testing.assert_allclose(chunk.sensor_s - 599_616_000, t_s[number], atol=3e-7)
    assert len(number) == 600 - gone
    np.testing.assert_allclose(chunk.acc, acc[number], atol=2.44e-4 * STANDARD_GRAVITY * 0.51, rtol=0)
    np.testing.assert_allclose(chunk.gyr, gyr[number], atol=np.radians(2000 / 32768) * 0.51, rtol=0)
    assert (reader.malformed, reader.restarts) == (0, 0)


def test_a_sensor_that_is_slower_than_its_name_keeps_its_own_step() -> None:
    acc, gyr, t_s = _motion(600, rate_hz=50.6)
    writer = PolarWriter({}, gyro=True)
    packets = writer.encode(acc, gyr, t_s) + writer.finish()
    del packets[8:10]
    chunk = _read(packets)
    assert chunk is not None
    assert chunk.sensor_s is not None
    late = chunk.sensor_s[60:] - 599_616_000  # those of the first frame have the nominal step
    number = np.rint((late - t_s[0]) * 50.6).astype(int)
    np.testing.assert_allclose(late, t_s[number], atol=1e-6)


def test_a_frame_that_comes_again_is_taken_once() -> None:
    acc, gyr, t_s = _motion(180)
    writer = PolarWriter({}, gyro=True)
    packets = writer.encode(acc, gyr, t_s) + writer.finish()
    doubled = [data for pair in zip(packets[::2], packets[1::2], strict=True) for data in (*pair, *pair)]
    once, twice = _read(packets), _read(doubled)
    assert once is not None
    assert twice is not None
    np.testing.assert_array_equal(once.sensor_s, twice.sensor_s)
    np.testing.assert_array_equal(once.acc, twice.acc)


def test_a_clock_that_falls_back_is_one_restart_and_pairs_nothing_across_it() -> None:
    acc, gyr, t_s = _motion(120)
    reader = PolarReader({"rate_hz": 52}, gyro=True)
    packets: list[bytes] = []
    for begin_s in (1_000_000.0, 0.0):
        writer = PolarWriter({}, gyro=True)
        packets += writer.encode(acc, gyr, t_s + begin_s) + writer.finish()
    chunk = reader.feed_all(_notifications(packets))
    assert chunk is not None
    assert chunk.sensor_s is not None
    assert reader.restarts == 1
    assert np.count_nonzero(np.diff(chunk.sensor_s) < 0) == 1
    assert len(chunk) == 240


def test_a_clock_that_jumps_ahead_of_the_hosts_is_a_restart() -> None:
    acc, gyr, t_s = _motion(60)
    reader = PolarReader({"rate_hz": 52}, gyro=True)
    for number, begin_s in enumerate((0.0, 100.0)):
        writer = PolarWriter({}, gyro=True)
        packets = writer.encode(acc, gyr, t_s + begin_s) + writer.finish()
        reader.feed_all([Notification(DATA, data, number * 1_200_000_000) for data in packets])
    assert reader.restarts == 1


def test_bad_frames_are_counted_and_those_of_others_passed_over() -> None:
    acc, gyr, t_s = _motion(60)
    writer = PolarWriter(FACTORS, gyro=True)
    good = writer.encode(acc, gyr, t_s) + writer.finish()
    reader = PolarReader({"rate_hz": 52, **FACTORS}, gyro=True)
    bad = [
        b"",
        good[0][:9],
        good[0][:-1],
        b"\x04" + good[0][1:],
        write_frame("acc", 7, 0x85, good[0][10:]),
        write_frame("gyro", 7, 0x81, np.full(3, np.nan, np.float32).tobytes()),
        write_frame("gyro", 7, 0x81, np.full(3, 1e9, np.float32).tobytes()),
        write_frame("acc", 2**63, 0x81, bytes(6)),
        write_frame("acc", 7, 0x01, b""),
    ]
    assert reader.feed_all(_notifications(bad)) is None
    assert reader.malformed == len(bad)
    assert (
        reader.feed_all(_notifications([write_frame("ecg", 7, 0, bytes(6)), write_frame("mag", 7, 0x81, bytes(8))]))
        is None
    )
    assert reader.malformed == len(bad)
    chunk = reader.feed_all(_notifications(good))
    assert chunk is not None
    assert len(chunk) == 60


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([2, 5]),
            st.integers(0, 2**64 - 1),
            st.sampled_from([0, 1, 2, 0x80, 0x81]),
            st.binary(max_size=60),
        )
        | st.tuples(
            st.sampled_from([2, 5]),
            st.integers(10**12, 10**12 + 10**11),
            st.just(0x81),
            st.binary(min_size=12, max_size=60),
        ),
        max_size=30,
    )
)
def test_nothing_that_arrives_raises_or_piles_up(frames: list[tuple[int, int, int, bytes]]) -> None:
    reader = PolarReader({"rate_hz": 52}, gyro=True)
    for number, (measurement, stamp, kind, content) in enumerate(frames):
        data = bytes((measurement,)) + stamp.to_bytes(8, "little") + bytes((kind,)) + content
        reader.feed_all([Notification(DATA, data, number * 10**9)])
        assert reader._pairing.waiting <= 2 * MAX_WAITING


def test_what_waits_for_a_partner_that_never_comes_is_bounded() -> None:
    pairing = Pairing(1e9 / 52)
    for number in range(300):
        times = np.arange(number * 60, number * 60 + 60) * 20_000_000
        assert len(pairing.add_acc(times, np.zeros((60, 3))).time_ns) == 0
    assert pairing.waiting == MAX_WAITING
