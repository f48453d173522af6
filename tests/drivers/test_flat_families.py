"""Families of flat packets: streams there and back, values at the edges, and anything at all."""

import itertools
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gonio.drivers.codec import Notification, StreamDecoder, StreamEncoder, decode_packet, encode_packet
from gonio.drivers.commands import decode_command, encode_command
from gonio.drivers.errors import CodecError
from gonio.errors import UsageError
from gonio.firmware_profiles import Profile, get_profile
from gonio.signal.chunks import SampleChunk
from gonio.signal.consts import STANDARD_GRAVITY, FloatArray

REF = get_profile("gonio_ref")
THINGY = get_profile("nordic_thingy52")
TAG = get_profile("ti_cc2650")
MICROBIT = get_profile("bbc_microbit")
FAMILIES = [get_profile(f) for f in ("arduino_nano33_njanssen", "bluetooth_sig", "infinitime", "st_bluest")]
FAMILIES += [REF, THINGY, TAG, MICROBIT]

G = STANDARD_GRAVITY
DPS = float(np.radians(1))
#: Family, settings, and the steps of its acceleration (m/s²) and angular velocity (rad/s), 0 for a family without.
STREAMS: list[tuple[Profile, dict[str, Any], float, float]] = [
    (THINGY, {}, G / 1024, DPS / 32),
    (TAG, {"range_g": 2}, G * 2 / 32768, DPS * 500 / 65536),
    (TAG, {"range_g": 16}, G * 16 / 32768, DPS * 500 / 65536),
    (MICROBIT, {}, G / 1000, 0.0),
    (get_profile("infinitime"), {}, G / 1024, 0.0),
    (get_profile("st_bluest"), {}, G / 1000, DPS / 10),
    (REF, {}, 0.0023942016, 0.0010652644),
    (REF, {"samples_per_packet": 1, "acc_scale": 0.01, "gyr_scale": 0.002}, 0.01, 0.002),
]
PLAIN = [(profile, chosen) for profile, chosen, *_ in STREAMS]
IDS = [f"{profile.family}-{number}" for number, (profile, *_) in enumerate(STREAMS)]

UNIT = st.lists(st.tuples(*[st.floats(-1, 1)] * 6), min_size=1, max_size=40).map(
    lambda rows: np.array(rows, dtype=np.float64).reshape(-1, 6)
)


def _decode(decoder: StreamDecoder, packets: list[bytes]) -> list[SampleChunk]:
    heard = [Notification(decoder.characteristic, data, 20_000_000 * n) for n, data in enumerate(packets)]
    return [chunk for chunk in (decoder.feed_all(heard), decoder.finish()) if chunk is not None]


@pytest.mark.parametrize(("profile", "chosen", "acc_step", "gyr_step"), STREAMS, ids=IDS)
@settings(max_examples=40, deadline=None)
@given(values=UNIT, start_s=st.floats(0, 20_000))
def test_decoding_undoes_encoding_to_half_a_step(
    profile: Profile, chosen: dict[str, Any], acc_step: float, gyr_step: float, values: FloatArray, start_s: float
) -> None:
    acc, gyr = values[:, :3] * min(32767 * acc_step, 150), values[:, 3:] * min(32767 * gyr_step, 30)
    sensor_s = start_s + np.arange(len(values)) / float(profile.resolve(chosen)["rate_hz"])
    encoder, decoder = StreamEncoder(profile, chosen), StreamDecoder(profile, chosen)
    packets = encoder.encode(acc, gyr, sensor_s) + encoder.finish()
    resolved = profile.resolve(chosen)
    longest = 8 + 12 * resolved["samples_per_packet"] if profile is REF else profile.min_mtu(resolved) - 3
    assert max(map(len, packets)) <= longest
    (chunk,) = _decode(decoder, packets)
    np.testing.assert_allclose(chunk.acc, acc, atol=acc_step * 0.5001, rtol=0)
    if profile.gyro:
        np.testing.assert_allclose(chunk.gyr, gyr, atol=gyr_step * 0.5001, rtol=0)
    else:
        assert np.isnan(chunk.gyr).all()
    if profile is REF:
        assert chunk.sensor_s is not None
        np.testing.assert_allclose(chunk.sensor_s - chunk.sensor_s[0], sensor_s - sensor_s[0], atol=1.1e-6, rtol=0)
    else:
        assert chunk.sensor_s is None
    assert decoder.malformed == decoder.restarts == 0


@pytest.mark.parametrize(("profile", "chosen"), PLAIN, ids=IDS)
def test_any_division_of_the_notifications_gives_the_same_samples(profile: Profile, chosen: dict[str, Any]) -> None:
    values = np.random.default_rng(5).normal(0, 1, (60, 6))
    encoder = StreamEncoder(profile, chosen)
    packets = encoder.encode(values[:, :3] * 9, values[:, 3:], np.arange(60) / 100) + encoder.finish()
    packets[2:2] = [b"\x00\x01", packets[0] + b"\x01"]
    together, singly = StreamDecoder(profile, chosen), StreamDecoder(profile, chosen)
    (whole,) = _decode(together, packets)
    each = [singly.feed(Notification(singly.characteristic, data, 20_000_000 * n)) for n, data in enumerate(packets)]
    for name in ("acc", "gyr", "arrival_s"):
        joined = np.concatenate([getattr(chunk, name) for chunk in each if chunk is not None])
        np.testing.assert_array_equal(joined, getattr(whole, name))
    assert together.malformed == singly.malformed == 2


def test_a_step_of_the_clock_is_a_gap_and_the_counter_says_how_many_samples_are_gone() -> None:
    encoder, decoder = StreamEncoder(REF, {}), StreamDecoder(REF, {})
    packets = encoder.encode(np.ones((25, 3)), np.ones((25, 3)), 7.0 + np.arange(25) / 100)
    assert len(packets) == 5
    del packets[1:3]
    heads = [decode_packet(REF, "motion", data) for data in packets]
    counters = [int(str(head["counter"])) for head in heads]
    assert [b - a - 5 for a, b in itertools.pairwise(counters)] == [10, 0]
    (chunk,) = _decode(decoder, packets)
    assert chunk.sensor_s is not None
    np.testing.assert_allclose(np.diff(chunk.sensor_s), [0.01] * 4 + [0.11] + [0.01] * 9, atol=1e-9)


@pytest.mark.parametrize(
    ("why", "data"),
    [
        ("cut in a sample", bytes.fromhex("0101000040420f000400f8ff04100200ffff00")),
        ("no sample", bytes.fromhex("0101000040420f00")),
        ("cut in the head", bytes.fromhex("010100")),
    ],
)
def test_a_cut_packet_of_gonio_ref_is_counted(why: str, data: bytes) -> None:
    decoder = StreamDecoder(REF, {})
    assert _decode(decoder, [data]) == [], why
    assert decoder.malformed == 1


def test_a_packet_of_another_version_is_none_of_this_one() -> None:
    decoder = StreamDecoder(REF, {})
    assert _decode(decoder, [bytes.fromhex("0201000040420f00") + bytes(12)]) == []
    with pytest.raises(CodecError):
        decode_packet(REF, "motion", bytes.fromhex("0201000040420f00") + bytes(12))


def test_the_examples_of_the_document_are_what_the_codec_reads() -> None:
    text = (Path(__file__).parents[2] / "docs" / "gonio-ref.md").read_text(encoding="utf-8")
    lines = re.findall(r"^(configuration|motion) +([0-9A-F ]+)$", text, re.MULTILINE)
    assert [role for role, _ in lines] == ["configuration", "motion", "motion"]
    configuration, first, second = (decode_packet(REF, role, bytes.fromhex(data)) for role, data in lines)
    told = {name: configuration[name] for name in ("acc_scale", "gyr_scale")}
    assert configuration["state"] == "streaming"
    assert (configuration["rate_hz"], configuration["range_g"], configuration["range_dps"]) == (100, 8, 2000)
    decoded = decode_packet(REF, "motion", bytes.fromhex(lines[1][1]), told)
    rows = decoded["acceleration_m_s2"]
    assert isinstance(rows, list)
    assert rows[0] == pytest.approx([0.010, -0.019, 9.810], abs=0.0015)
    assert (first["flag_names"], first["counter"], first["timestamp_us"]) == (["first"], 0, 1_000_000)
    assert (second["flag_names"], second["counter"], second["timestamp_us"]) == ([], 4, 1_040_000)
    configured = decode_command(REF, "control", bytes.fromhex("01640008D00702"))
    assert configured.parameters == {"rate_hz": 100, "range_g": 8, "range_dps": 2000, "samples_per_packet": 2}


def test_the_range_decides_the_scale_of_a_sensortags_acceleration() -> None:
    packet = encode_packet(TAG, "movement", {"raw": [0, 0, 0, 16384, 0, 0, 0, 0, 0]})
    for range_g in (2, 4, 8, 16):
        decoded = decode_packet(TAG, "f000aa81", packet, {"range_g": range_g})
        assert decoded["accel_g"] == [range_g / 2, 0, 0]
        assert decoded["range_g"] == range_g
    with pytest.raises(UsageError, match="it has 2, 4, 8, 16"):
        decode_packet(TAG, "movement", packet, {"range_g": 3})


@pytest.mark.parametrize(
    ("profile", "name", "given", "bad"),
    [
        (THINGY, "configure_motion", {"motion_freq_hz": 200}, {"motion_freq_hz": 201}),
        (THINGY, "configure_motion", {"motion_freq_hz": 5}, {"motion_freq_hz": 4}),
        (THINGY, "configure_motion", {"mag_comp_ms": 1000}, {"mag_comp_ms": 1001}),
        (THINGY, "configure_motion", {"step_interval_ms": 100}, {"step_interval_ms": 99}),
        (THINGY, "configure_motion", {"temp_comp_ms": 5000}, {"temp_comp_ms": 5001}),
        (THINGY, "configure_motion", {"wake_on_motion": 0}, {"wake_on_motion": 2}),
        (THINGY, "request_mtu", {"perform": 1, "mtu": 276}, {"mtu": 277}),
        (THINGY, "request_mtu", {"perform": 0, "mtu": 23}, {"mtu": 22}),
        (TAG, "set_period", {"period_ms": 100}, {"period_ms": 90}),
        (TAG, "set_period", {"period_ms": 2550}, {"period_ms": 105}),
        (MICROBIT, "set_period", {"period_ms": 640}, {"period_ms": 30}),
        (REF, "identify", {"seconds": 255}, {"seconds": 256}),
    ],
)
def test_a_command_takes_its_bounds_and_nothing_beyond(
    profile: Profile, name: str, given: dict[str, int], bad: dict[str, int]
) -> None:
    usual = {
        "step_interval_ms": 1000,
        "temp_comp_ms": 500,
        "mag_comp_ms": 500,
        "motion_freq_hz": 100,
        "wake_on_motion": 1,
        "perform": 1,
        "mtu": 100,
    }
    data = encode_command(profile, name, usual | given)
    read = decode_command(profile, profile.commands[name].role, data)
    assert read.name == name
    assert not read.refused
    assert given.items() <= dict(read.parameters).items()
    with pytest.raises(UsageError):
        encode_command(profile, name, usual | given | bad)


@pytest.mark.parametrize(
    ("role", "data"),
    [
        ("battery_level", "65"),
        ("battery_level", "ff"),
        ("current_time", "e9070101000000080000"),
        ("acceleration", "ffffff7f"),
    ],
)
def test_values_that_the_bluetooth_sig_rules_out_are_errors(role: str, data: str) -> None:
    with pytest.raises(CodecError, match="invalid"):
        decode_packet(get_profile("bluetooth_sig"), role, bytes.fromhex(data))


@pytest.mark.parametrize("profile", FAMILIES, ids=lambda p: p.family)
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_no_bytes_make_a_decoder_raise_anything_but_its_own_error(profile: Profile, data: st.DataObject) -> None:
    role = data.draw(st.sampled_from(sorted(profile.characteristics)))
    sizes = [p.size for p in profile.packets.values() if p.role == role] or [0]
    value = data.draw(st.binary(max_size=60) | st.binary(min_size=sizes[0], max_size=sizes[0]))
    try:
        decoded = decode_packet(profile, role, value)
    except CodecError as error:
        assert str(error)  # noqa: PT017 - either is right
    else:
        assert decoded


@pytest.mark.parametrize(("profile", "chosen"), PLAIN, ids=IDS)
@settings(max_examples=60, deadline=None)
@given(packets=st.lists(st.binary(max_size=250), max_size=20))
def test_no_notifications_make_a_stream_raise(profile: Profile, chosen: dict[str, Any], packets: list[bytes]) -> None:
    decoder = StreamDecoder(profile, chosen)
    chunks = _decode(decoder, packets)
    assert sum(map(len, chunks)) <= sum(map(len, packets)) // 6
    assert decoder.malformed <= len(packets)


@pytest.mark.parametrize("profile", FAMILIES, ids=lambda p: p.family)
def test_every_example_beside_a_packet_is_read_and_written_as_it_says(profile: Profile) -> None:
    count = 0
    for name, packet in profile.packets.items():
        named = [(f.name, *f.parts) for f in packet.sample_fields if not f.derived]
        writable = {name for names in named for name in names}
        for example in packet.examples:
            decoded = decode_packet(profile, packet.role, example.data, example.settings)
            assert {key: decoded.get(key) for key in example.decoded} == example.decoded
            values = {k: v for k, v in decoded.items() if k in writable}
            trailing = example.data.rstrip(b"\0") if packet.open_ended else example.data
            assert encode_packet(profile, name, values)[: len(trailing)] == trailing
            count += 1
    assert count
