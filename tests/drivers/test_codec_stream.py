"""Running streams: encode and decode are each other's inverse, and nothing that a radio does raises or is silent."""

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gonio.drivers.codec import Notification, StreamDecoder, StreamEncoder
from gonio.drivers.codecs.wit import WitReader
from gonio.drivers.codecs.wit_stream import FrameStream
from gonio.errors import UsageError
from gonio.firmware_profiles import Profile, get_profile
from gonio.signal.chunks import SampleChunk
from gonio.signal.consts import STANDARD_GRAVITY, FloatArray

DOT = get_profile("movella_dot")
WIT = get_profile("witmotion_ble5")
STREAMS = [
    (DOT, {"payload_mode": 20}),
    (DOT, {"payload_mode": 21}),
    (DOT, {"payload_mode": 26}),
    (WIT, {"rate_hz": 10}),
    (WIT, {"rate_hz": 100}),
    (WIT, {"rate_hz": 200}),
]
#: Half the quantisation step of each family: acceleration m/s², angular velocity rad/s (of f32 at full range for DOT).
STEPS = {
    "movella_dot": (1e-5, 3e-6),
    "witmotion_ble5": (16 / 32768 * STANDARD_GRAVITY * 0.5001, np.radians(2000 / 32768) * 0.5001),
}


def _notify(decoder: StreamDecoder, data: bytes, arrival_ns: int = 0) -> SampleChunk | None:
    return decoder.feed(Notification(decoder.characteristic, data, arrival_ns))


def _decode(decoder: StreamDecoder, packets: list[bytes], period_ns: int = 16_666_667) -> list[SampleChunk]:
    chunks = [_notify(decoder, data, number * period_ns) for number, data in enumerate(packets)]
    return [chunk for chunk in (*chunks, decoder.finish()) if chunk is not None]


def _samples(values: list[tuple[float, ...]]) -> tuple[FloatArray, FloatArray]:
    both = np.array(values, dtype=np.float64).reshape(-1, 6)
    return both[:, :3] * 156.8, both[:, 3:] * 34.9  # to just within 16 g and 2000 dps


SAMPLES = st.lists(st.tuples(*[st.floats(-1, 1)] * 6), min_size=1, max_size=40).map(_samples)


@pytest.mark.parametrize(("profile", "chosen"), STREAMS)
@settings(max_examples=40, deadline=None)
@given(samples=SAMPLES, start_s=st.floats(0, 20_000))
def test_decoding_undoes_encoding(
    profile: Profile, chosen: dict[str, Any], samples: tuple[FloatArray, FloatArray], start_s: float
) -> None:
    acc, gyr = samples
    sensor_s = start_s + np.arange(len(acc)) / 60
    encoder, decoder = StreamEncoder(profile, chosen), StreamDecoder(profile, chosen)
    packets = encoder.encode(acc, gyr, sensor_s) + encoder.finish()
    mtu = profile.min_mtu(profile.resolve(chosen))
    assert max(len(packet) for packet in packets) <= mtu - 3
    chunks = _decode(decoder, packets)
    acc_step, gyr_step = STEPS[profile.family]
    np.testing.assert_allclose(np.concatenate([c.acc for c in chunks]), acc, atol=acc_step, rtol=0)
    np.testing.assert_allclose(np.concatenate([c.gyr for c in chunks]), gyr, atol=gyr_step, rtol=0)
    assert decoder.malformed == decoder.restarts == 0
    if profile is DOT:
        stamps = np.concatenate([c.sensor_s for c in chunks if c.sensor_s is not None])
        np.testing.assert_allclose(stamps - stamps[0], sensor_s - sensor_s[0], atol=1.1e-6, rtol=0)
    else:
        assert all(c.sensor_s is None for c in chunks)


@pytest.mark.parametrize("mode", [1, 2, 6, 17, 25])
def test_a_mode_without_both_quantities_is_refused_with_the_ones_that_have_them(mode: int) -> None:
    with pytest.raises(UsageError, match=r"payload_mode=21 \(rate_quantities\)"):
        StreamDecoder(DOT, {"payload_mode": mode})


def _dot_packet(time_us: int, **chosen: int) -> bytes:
    encoder = StreamEncoder(DOT, chosen)
    return encoder.encode(np.ones((1, 3)), np.ones((1, 3)), np.array([time_us * 1e-6]))[0]


def _moments(raw_us: list[int], arrival_s: list[float]) -> tuple[list[float], StreamDecoder]:
    decoder = StreamDecoder(DOT, {})
    chunks = [_notify(decoder, _dot_packet(us), int(at * 1e9)) for us, at in zip(raw_us, arrival_s, strict=True)]
    return [float(c.sensor_s[0]) for c in chunks if c is not None and c.sensor_s is not None], decoder


def test_the_clock_goes_on_over_its_wrap() -> None:
    moments, decoder = _moments([2**32 - 16_000, 666, 17_332], [0, 0.017, 0.033])
    assert moments == pytest.approx([4294.951296, 4294.967962, 4294.984628], abs=1e-9)
    assert decoder.restarts == 0


def test_a_clock_that_falls_back_far_is_a_restart() -> None:
    moments, decoder = _moments([1_000_000_000, 16_667, 33_334], [0, 5, 5.017])
    assert moments == pytest.approx([1000, 0.016667, 0.033334])
    assert decoder.restarts == 1


def test_a_restart_that_looks_like_a_wrap_is_told_by_the_hosts_clock() -> None:
    moments, decoder = _moments([3_500_000_000, 16_667], [0, 5])
    assert moments == pytest.approx([3500, 0.016667])
    assert decoder.restarts == 1


def test_a_long_gap_is_no_restart() -> None:
    moments, decoder = _moments([1_000_000, 901_000_000], [0, 900.5])
    assert moments == pytest.approx([1, 901])
    assert decoder.restarts == 0


def test_a_packet_that_comes_again_keeps_its_own_time_and_is_no_restart() -> None:
    moments, decoder = _moments([1_000_000, 1_016_667, 1_000_000, 1_016_667, 1_033_333], [0, 0.01, 0.011, 0.012, 0.03])
    assert moments == pytest.approx([1, 1.016667, 1, 1.016667, 1.033333])
    assert (decoder.restarts, decoder.malformed) == (0, 0)


def test_a_packet_that_comes_again_over_the_wrap_does_not_wrap_twice() -> None:
    moments, decoder = _moments([2**32 - 1000, 500, 2**32 - 1000, 1000], [0, 0.01, 0.011, 0.03])
    assert np.diff(moments) == pytest.approx([0.0015, -0.0015, 0.002])
    assert decoder.restarts == 0


def test_samples_carry_the_arrival_of_their_notification() -> None:
    decoder = StreamDecoder(DOT, {})
    chunk = _notify(decoder, _dot_packet(5), 1_500_000_000)
    assert chunk is not None
    assert chunk.arrival_s is not None
    assert chunk.arrival_s.tolist() == [1.5]


GOOD_DOT = _dot_packet(1_000_000)


@pytest.mark.parametrize(
    ("why", "data"),
    [
        ("cut by the MTU", GOOD_DOT[:20]),
        ("empty", b""),
        ("longer than the characteristic", GOOD_DOT + b"\0"),
        ("another mode, told by what is no padding", _dot_packet(0)[:28] + b"\x01" * 12),
        ("no number", GOOD_DOT[:4] + b"\0\0\xc0\x7f" + GOOD_DOT[8:]),
        ("no number that signals", GOOD_DOT[:4] + b"\x01\0\x80\x7f" + GOOD_DOT[8:]),
        ("endless", GOOD_DOT[:4] + b"\0\0\x80\xff" + GOOD_DOT[8:]),
        ("more than the sensor can mean", GOOD_DOT[:4] + np.float32(1e9).tobytes() + GOOD_DOT[8:]),
    ],
)
def test_a_packet_that_is_none_is_counted_and_the_next_one_read(why: str, data: bytes) -> None:
    decoder = StreamDecoder(DOT, {"payload_mode": 21})
    assert _notify(decoder, data) is None, why
    assert decoder.malformed == 1
    assert _notify(decoder, GOOD_DOT) is not None
    assert decoder.malformed == 1


def test_other_characteristics_are_none_of_the_streams_business() -> None:
    decoder = StreamDecoder(DOT, {})
    assert decoder.feed(Notification(DOT.characteristic("battery").uuid, b"\x64\x00", 0)) is None
    assert decoder.malformed == 0


@pytest.mark.parametrize(("profile", "chosen"), STREAMS)
def test_a_queue_of_notifications_gives_the_same_as_one_by_one(profile: Profile, chosen: dict[str, Any]) -> None:
    values = np.random.default_rng(3).normal(0, 5, (60, 6))
    encoder = StreamEncoder(profile, chosen)
    packets = encoder.encode(values[:, :3], values[:, 3:], 4294.5 + np.arange(60) / 60) + encoder.finish()
    packets[2:2] = [b"\x00\x01", packets[0][:-1] + b"\x01"]
    one_by_one, at_once = StreamDecoder(profile, chosen), StreamDecoder(profile, chosen)
    singly = _decode(one_by_one, packets, period_ns=20_000_000)
    queue = [Notification(at_once.characteristic, data, number * 20_000_000) for number, data in enumerate(packets)]
    together = [
        c for c in (at_once.feed_all(queue[:5]), at_once.feed_all(queue[5:]), at_once.finish()) if c is not None
    ]
    assert len(together) <= 3
    for name in ("acc", "gyr", "arrival_s", *(["sensor_s"] if profile is DOT else [])):
        np.testing.assert_array_equal(
            np.concatenate([getattr(c, name) for c in together]), np.concatenate([getattr(c, name) for c in singly])
        )
    assert at_once.malformed == one_by_one.malformed > 0


# --- WitMotion's byte stream -----------------------------------------------------------------------------------------

FRAME = st.binary(min_size=18, max_size=18).map(lambda rest: b"\x55\x61" + rest)
REPLY = st.binary(min_size=18, max_size=18).map(lambda rest: b"\x55\x71" + rest)
NOISE = st.binary(max_size=30) | st.lists(st.sampled_from([b"\x55", b"\x61", b"\x71", b"\x00"]), max_size=30).map(
    b"".join
)


def _cut(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({min(cut, len(data)) for cut in cuts} | {0, len(data)})
    return [data[a:b] for a, b in itertools.pairwise(places)] or [b""]


def _all_frames(pieces: list[bytes]) -> tuple[list[bytes], int, int]:
    stream = FrameStream()
    frames = [frame.data for piece in pieces for frame in stream.feed(piece)]
    frames += [frame.data for frame in stream.finish()]
    return frames, stream.foreign_bytes, stream.foreign_runs


@settings(max_examples=300, deadline=None)
@given(
    data=st.lists(FRAME | REPLY | NOISE, max_size=12).map(b"".join),
    cuts=st.lists(st.integers(0, 300), max_size=20),
)
def test_any_cut_of_the_byte_stream_gives_the_same_frames(data: bytes, cuts: list[int]) -> None:
    whole = _all_frames([data])
    assert _all_frames(_cut(data, cuts)) == whole
    assert _all_frames([data[i : i + 1] for i in range(len(data))]) == whole


@settings(max_examples=100, deadline=None)
@given(frames=st.lists(FRAME | REPLY, min_size=1, max_size=20), cuts=st.lists(st.integers(0, 400), max_size=20))
def test_a_clean_stream_gives_every_frame_whatever_is_inside(frames: list[bytes], cuts: list[int]) -> None:
    found, foreign, _ = _all_frames(_cut(b"".join(frames), cuts))
    assert found == frames
    assert foreign == 0


def _wit_packets(count: int) -> list[bytes]:
    encoder = StreamEncoder(WIT, {"rate_hz": 10})
    return encoder.encode(np.full((count, 3), 1.0), np.zeros((count, 3)))


def test_foreign_bytes_before_and_between_are_skipped_and_counted() -> None:
    frames = _wit_packets(4)
    decoder = StreamDecoder(WIT, {})
    stream = [b"\x01\x55\x02" + frames[0], frames[1] + b"\xff" * 7, frames[2], frames[3]]
    chunks = _decode(decoder, stream)
    # the frame before the foreign bytes is not believed: nothing confirms where it ends
    assert sum(map(len, chunks)) == 3
    assert decoder.malformed == 2


def test_a_frame_has_the_arrival_of_the_notification_that_completed_it() -> None:
    frames = _wit_packets(4)
    decoder = StreamDecoder(WIT, {})
    stream = frames[0] + frames[1][:15], frames[1][15:] + frames[2] + frames[3][:1], frames[3][1:]
    chunks = [_notify(decoder, data, (number + 1) * 1_000_000_000) for number, data in enumerate(stream)]
    arrivals = [c.arrival_s.tolist() for c in (*chunks, decoder.finish()) if c is not None and c.arrival_s is not None]
    assert list(itertools.chain(*arrivals)) == [1, 2, 2, 3]


def test_a_lone_frame_waits_for_its_successor_with_its_own_arrival() -> None:
    first, second = _wit_packets(2)
    decoder = StreamDecoder(WIT, {})
    assert _notify(decoder, first, 1_000_000_000) is None
    assert _notify(decoder, second[:1], 1_500_000_000) is None
    chunk = _notify(decoder, second[1:], 2_000_000_000)
    last = decoder.finish()
    assert chunk is not None
    assert chunk.arrival_s is not None
    assert last is not None
    assert last.arrival_s is not None
    assert (chunk.arrival_s.tolist(), last.arrival_s.tolist()) == ([1.0], [2.0])


def test_register_answers_in_the_stream_are_no_samples_and_no_defect() -> None:
    a, b = _wit_packets(2)
    reply = bytes.fromhex("5571640089010000000000000000000000000000")
    decoder = StreamDecoder(WIT, {})
    assert sum(map(len, _decode(decoder, [a + reply, b]))) == 2
    assert decoder.malformed == 0


def test_the_vibration_sensors_frames_are_never_motion() -> None:
    frame = bytes.fromhex("5561110016000200020000000100e60a430047000a00250025002500")
    decoder = StreamDecoder(WIT, {})
    assert _decode(decoder, [frame] * 50) == []
    assert decoder.malformed > 0


# --- anything at all -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("profile", "chosen"), STREAMS)
@settings(max_examples=100, deadline=None)
@given(packets=st.lists(st.binary(max_size=250) | st.just(GOOD_DOT) | FRAME, max_size=20))
def test_nothing_that_arrives_raises_or_piles_up(
    profile: Profile, chosen: dict[str, Any], packets: list[bytes]
) -> None:
    decoder = StreamDecoder(profile, chosen)
    _decode(decoder, packets)
    if isinstance(decoder._reader, WitReader):
        assert decoder._reader._frames.held_bytes < 22


@settings(max_examples=100, deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=250), max_size=30))
def test_the_frame_finder_never_holds_more_than_one_unconfirmed_frame(pieces: list[bytes]) -> None:
    stream = FrameStream()
    frames = 0
    for piece in pieces:
        frames += len(stream.feed(piece))
        assert stream.held_bytes < 22
    assert frames * 20 + stream.foreign_bytes + stream.held_bytes == sum(map(len, pieces))
