"""Polar's frames and control point: what known packets hold, and that writing and reading undo each other."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gonio.drivers.codec import decode_packet, encode_packet
from gonio.drivers.codecs.polar_control import (
    ControlAnswer,
    features,
    read_answer,
    read_settings,
    stopped_by_itself,
    write_answer,
    write_features,
    write_settings,
)
from gonio.drivers.codecs.polar_delta import MAX_SAMPLES, Packer, unpack
from gonio.drivers.codecs.polar_frames import LAYOUTS, read_frame, write_frame
from gonio.drivers.codecs.polar_show import CALIBRATIONS
from gonio.drivers.codecs.polar_time import sample_times
from gonio.drivers.errors import CodecError
from gonio.firmware_profiles import get_profile

POLAR = get_profile("polar_pmd")
VECTORS: list[dict[str, Any]] = json.loads((Path(__file__).parent / "vectors" / "polar_pmd.json").read_text())
BY_ID = {vector["id"]: bytes.fromhex(vector["hex"]) for vector in VECTORS}
TOLD = ("factor", "previous_timestamp_ns")


@pytest.mark.parametrize("vector", VECTORS, ids=lambda v: v["id"])
def test_every_vector_decodes_exactly(vector: dict[str, Any]) -> None:
    told = {name: vector["decoded"][name] for name in TOLD if name in vector["decoded"]}
    decoded = decode_packet(POLAR, vector["characteristic"], bytes.fromhex(vector["hex"]), told)
    assert {key: decoded.get(key) for key in vector["decoded"]} == vector["decoded"]


# --- times of samples: cases of the maker's test PmdTimeStampUtilsTest ------------------------------------------------


def test_times_lie_evenly_between_two_frames() -> None:
    times = sample_times(11_000_000_000, 1_000_000_000, 10, 1)
    assert times.tolist() == [second * 1_000_000_000 for second in range(2, 12)]


def test_the_first_frame_goes_by_its_rate() -> None:
    assert sample_times(1_000_000_000, 0, 1, 1).tolist() == [1_000_000_000]
    assert sample_times(1_000_000_000, 0, 3, 4).tolist() == [500_000_000, 750_000_000, 1_000_000_000]


@pytest.mark.parametrize(
    ("frame_ns", "previous_ns", "count", "rate_hz", "why"),
    [
        (100_000, 0, 100, 0, "need the rate"),
        (100_000, 0, 100, 52, "before the beginning"),
        (100, 101, 1, 52, "after one at"),
        (2**63, 2**63 - 10, 1, 52, "after one at"),
        (2**62, 1, 1, 52, "not last that long"),
        (100_000, 0, 1, float("inf"), "need the rate"),
        (100_000, 0, 1, 1e-300, "need the rate"),
        (100_000, 0, 1, float("nan"), "need the rate"),
    ],
)
def test_times_that_cannot_be_are_refused(
    frame_ns: int, previous_ns: int, count: int, rate_hz: float, why: str
) -> None:
    with pytest.raises(CodecError, match=why):
        sample_times(frame_ns, previous_ns, count, rate_hz)


@given(
    previous_ns=st.integers(1, 2**62),
    span_ns=st.integers(0, 10**12),
    count=st.integers(1, 255),
)
def test_times_end_with_the_frame_rise_and_keep_the_step(previous_ns: int, span_ns: int, count: int) -> None:
    times = sample_times(previous_ns + span_ns, previous_ns, count, 0).tolist()
    assert times[-1] == previous_ns + span_ns
    for number, time in enumerate(times, 1):
        assert 2 * abs((time - previous_ns) * count - span_ns * number) <= count


# --- compression ------------------------------------------------------------------------------------------------------

NUMBERS = st.one_of(
    st.lists(st.lists(st.integers(-(2**15), 2**15 - 1), min_size=3, max_size=3), min_size=1, max_size=300),
    st.lists(st.lists(st.integers(-20, 20), min_size=3, max_size=3), min_size=1, max_size=600),
)


@settings(max_examples=200, deadline=None)
@given(NUMBERS)
def test_unpacking_undoes_packing_and_the_size_is_known_before(samples: list[list[int]]) -> None:
    packer = Packer(3, 2)
    for sample in samples:
        foreseen = packer.size_with(sample)
        packer.add(sample)
        assert len(packer.bytes()) == foreseen
    unpacked = unpack(packer.bytes(), 3, 2)
    assert unpacked.samples.tolist() == samples
    assert not unpacked.truncated
    assert sum(count for _, count in unpacked.blocks) == len(samples) - 1


def test_blocks_are_no_wider_than_what_is_in_them() -> None:
    packer = Packer(3, 2)
    quiet = [[value % 3, 0, 1000] for value in range(40)]
    loud = [[value * 500, 0, 1000] for value in range(40)]
    for sample in quiet + loud:
        packer.add(sample)
    blocks = unpack(packer.bytes(), 3, 2).blocks
    assert blocks == ((2, 40), (10, 39))  # the first loud sample equals the last quiet one


def test_floats_come_back_to_the_last_bit_though_their_patterns_wrap() -> None:
    shown = {"measurement": "gyro", "frame": "compressed type 1", "timestamp_ns": 5}
    samples = [[1.0, -1.0, 1e-30], [-1.0, 1.0, -1e30], [0.0, -0.0, 1999.9375]]
    data = encode_packet(POLAR, "frame", shown | {"samples_dps": samples})
    expected = np.array(samples, np.float32).astype(np.float64).tolist()
    assert decode_packet(POLAR, "data", data)["samples_dps"] == expected


@pytest.mark.parametrize(
    "data",
    [
        bytes(6) + b"\x21\x01" + bytes(500),  # 33 bits
        bytes(6) + b"\x00\xff" * 20,  # zeros without end
        bytes(6) + b"\xff\xff" + bytes(500),
    ],
)
def test_blocks_that_no_sensor_sends_are_refused(data: bytes) -> None:
    with pytest.raises(CodecError, match="none that the sensor sends"):
        unpack(data, 3, 2)


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=512), st.integers(1, 16), st.integers(1, 4))
def test_whatever_comes_a_frame_stays_small(data: bytes, channels: int, size: int) -> None:
    try:
        unpacked = unpack(data, channels, size)
    except CodecError:
        return
    assert len(unpacked.samples) <= MAX_SAMPLES


@given(st.integers(0, 200), st.lists(st.tuples(*[st.integers(-60, 60)] * 3), min_size=2, max_size=40))
def test_a_cut_frame_gives_its_whole_samples(cut: int, samples: list[tuple[int, ...]]) -> None:
    packer = Packer(3, 2)
    for sample in samples:
        packer.add(sample)
    whole = packer.bytes()
    unpacked = unpack(whole[:cut], 3, 2)
    assert unpacked.samples.tolist() == [list(sample) for sample in samples[: len(unpacked.samples)]]
    if cut >= len(whole):
        assert len(unpacked.samples) == len(samples)
    else:
        assert len(unpacked.samples) < len(samples)


def test_a_cut_packet_says_so_and_gives_no_times() -> None:
    decoded = decode_packet(POLAR, "data", BY_ID["polar_pmd-009"][:-3], {"previous_timestamp_ns": 684454707000000000})
    assert decoded["truncated"] is True
    assert decoded["complete_samples"] == len(np.array(decoded["samples_raw"])) < 63
    assert "sample_timestamps_ns" not in decoded
    assert decode_packet(POLAR, "data", b"\x02\x00") == {"truncated": True, "valid_bytes": 2}


# --- frames -----------------------------------------------------------------------------------------------------------


def test_a_factor_turns_counts_into_g() -> None:
    decoded = decode_packet(POLAR, "fb005c82", BY_ID["polar_pmd-009"], {"factor": 2.44e-4})
    assert np.array(decoded["samples_g"])[0].tolist() == [-0.902312, -0.26718, -0.299632]
    assert np.array(decoded["samples_mg"])[0].tolist() == [-902.312, -267.18, -299.632]
    assert "mag_g_first_if_factor_2_44e_4" not in decoded


@pytest.mark.parametrize(
    ("frame_type", "content", "expected"),
    [
        (0, "017fff", [[1, 127, -1]]),
        (2, "010000ffffff000080", [[1, -1, -8388608]]),
    ],
)
def test_raw_acceleration_has_one_to_three_bytes(frame_type: int, content: str, expected: list[list[int]]) -> None:
    data = write_frame("acc", 7, frame_type, bytes.fromhex(content))
    assert decode_packet(POLAR, "data", data)["samples_mg"] == expected


def test_a_magnetometers_calibration_is_told_by_sample() -> None:
    shown = {
        "measurement": "mag",
        "frame": "compressed type 1",
        "timestamp_ns": 9,
        "samples_gauss": [[0.1, -0.25, 0.479], [0.101, -0.25, 0.48]],
        "calibration_status": ["poor", "good"],
    }
    decoded = decode_packet(POLAR, "data", encode_packet(POLAR, "frame", shown))
    assert {key: decoded[key] for key in shown} == shown


def test_what_is_not_motion_is_named_and_read() -> None:
    ecg = decode_packet(POLAR, "data", write_frame("ecg", 7, 0, bytes.fromhex("010000ffffff")))
    assert ecg["measurement"] == "ecg"
    assert ecg["samples_uv"] == [1, -1]
    ppi = decode_packet(POLAR, "data", write_frame("ppi", 0, 0, bytes.fromhex("3c e803 0a00 06")))
    assert ppi["samples"] == [
        {"heart_rate_bpm": 60, "pp_interval_ms": 1000, "error_ms": 10, "invalid": False, "skin_contact": True}
    ]
    new = decode_packet(POLAR, "data", write_frame("temperature", 7, 3, b"\x01\x02"))
    assert (new["measurement"], new["frame"], new["content_hex"]) == ("temperature", "raw type 3", "0102")


@pytest.mark.parametrize(("name", "value"), [("channels", 0), ("resolution_bits", 33), ("factor", "big")])
def test_what_cannot_be_told_is_refused(name: str, value: object) -> None:
    with pytest.raises(CodecError, match=name):
        decode_packet(POLAR, "data", BY_ID["polar_pmd-009"], {name: value})


KINDS = sorted(LAYOUTS)


@settings(max_examples=300, deadline=None)
@given(kind=st.sampled_from(KINDS), data=st.data(), stamp=st.integers(0, 2**64 - 1))
def test_reading_undoes_writing_for_every_kind_of_frame(
    kind: tuple[str, bool, int], data: st.DataObject, stamp: int
) -> None:
    measurement, compressed, number = kind
    layout = LAYOUTS[kind]
    limit = 2 ** (layout.bits - 1)
    one = (
        st.floats(width=32, allow_nan=False, allow_infinity=False) if layout.pattern else st.integers(-limit, limit - 1)
    )
    rows = data.draw(
        st.lists(st.lists(one, min_size=layout.channels, max_size=layout.channels), min_size=1, max_size=40)
    )
    shown: dict[str, object] = {
        "measurement": measurement,
        "frame": f"{'compressed' if compressed else 'raw'} type {number}",
        "timestamp_ns": stamp,
    }
    match kind:
        case ("acc", True, 0) | ("ppg", _, _):
            shown["samples_raw"] = rows
        case ("acc", _, _):
            shown["samples_mg"] = rows
        case ("gyro", _, _):
            shown["samples_dps"] = rows
        case ("ecg", _, _):
            shown["samples_uv"] = [row[0] for row in rows]
        case ("mag", _, 0):
            shown["samples_gauss"] = rows
        case _:
            shown["samples_gauss"] = [[round(value / 1000, 3) for value in row[:3]] for row in rows]
            shown["calibration_status"] = [CALIBRATIONS[int(row[3]) % 4] for row in rows]
    packet = encode_packet(POLAR, "frame", shown)
    decoded = decode_packet(POLAR, "data", packet)
    shown.pop("frame")
    assert {key: decoded[key] for key in shown} == shown


@settings(max_examples=500, deadline=None)
@given(
    role=st.sampled_from(["data", "control_point"]),
    head=st.sampled_from([b"", b"\x02", b"\x05", b"\x06", b"\x0f", b"\xf0", b"\x02\x02", b"\x01"]),
    data=st.binary(max_size=300),
    told=st.fixed_dictionaries(
        {},
        optional={
            "factor": st.floats(),
            "previous_timestamp_ns": st.integers(-5, 2**65),
            "rate_hz": st.floats() | st.integers(-1, 10**20),
            "resolution_bits": st.integers(0, 40),
            "channels": st.integers(0, 20),
        },
    ),
)
def test_nothing_raises_but_the_codecs_own_error(role: str, head: bytes, data: bytes, told: dict[str, Any]) -> None:
    try:
        decoded = decode_packet(POLAR, role, head + data, told)
    except CodecError:
        return
    json.dumps(decoded, allow_nan=True)


def test_a_frame_of_no_known_measurement_is_refused() -> None:
    with pytest.raises(CodecError, match="no measurement has the number 4"):
        read_frame(b"\x04" + bytes(20))


# --- control point ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ("0102", "get acc settings"),
        ("0209", "start SDK mode"),
        ("0305", "stop gyro"),
        ("0405", "get gyro SDK mode settings"),
        ("05", "get measurement status"),
        ("06", "get SDK mode status"),
        ("02020001340001011000020108000401 03".replace(" ", ""), "start acc 52 Hz 16 bit 8 g 3 channels"),
        ("0205000134000101100002 01d007040103".replace(" ", ""), "start gyro 52 Hz 16 bit 2000 dps 3 channels"),
    ],
)
def test_commands_are_told_in_a_sentence(data: str, sentence: str) -> None:
    assert decode_packet(POLAR, "control_point", bytes.fromhex(data))["command"] == sentence


def test_a_start_tells_its_factor() -> None:
    answer = ControlAnswer(2, 2, 0, 0, write_settings({5: [2.44e-4]}))
    decoded = decode_packet(POLAR, "fb005c81", write_answer(answer))
    assert decoded["response_to"] == "start"
    assert decoded["factor"] == pytest.approx(2.44e-4, rel=1e-6)


def test_settings_on_offer_are_told_by_name_and_unit() -> None:
    offered = write_settings({0: [26, 52, 104], 1: [16], 2: [250, 2000], 4: [3]})
    decoded = decode_packet(POLAR, "control_point", write_answer(ControlAnswer(1, 5, 0, 1, offered)))
    assert decoded["more"] == 1
    assert decoded["settings"] == {
        "rate_hz": [26, 52, 104],
        "resolution_bits": [16],
        "range_dps": [250, 2000],
        "channels": [3],
    }


def test_a_refusal_is_named() -> None:
    decoded = decode_packet(POLAR, "control_point", bytes.fromhex("f002050d"))
    assert (decoded["status"], decoded["status_name"]) == (13, "device_in_charger")
    assert "settings" not in decoded


def test_a_sensor_that_stops_by_itself_says_what() -> None:
    assert stopped_by_itself(bytes.fromhex("010205")) == ("acc", "gyro")
    assert stopped_by_itself(bytes.fromhex("f00102")) == ()
    decoded = decode_packet(POLAR, "control_point", bytes.fromhex("010205"))
    assert decoded == {"event": "streams_stopped", "measurements": ["acc", "gyro"]}


@given(st.sets(st.sampled_from(["ecg", "ppg", "acc", "ppi", "gyro", "mag", "sdk_mode", "offline_recording"])))
def test_features_come_back(names: set[str]) -> None:
    assert set(features(write_features(names))) == names


@given(
    st.dictionaries(st.sampled_from([0, 1, 2]), st.lists(st.integers(0, 65535), min_size=1, max_size=10)),
    st.binary(max_size=10),
)
def test_settings_come_back_and_what_is_cut_is_refused(wanted: dict[int, list[int]], junk: bytes) -> None:
    data = write_settings(wanted)
    assert read_settings(data) == wanted
    if data:
        with pytest.raises(CodecError):
            read_settings(data[:-1])
    try:
        read_settings(data + junk)
    except CodecError:
        return


@given(st.integers(0, 255), st.integers(0, 255), st.binary(max_size=20))
def test_answers_come_back(operation: int, measurement: int, parameters: bytes) -> None:
    answer = ControlAnswer(operation, measurement, 0, 0, parameters)
    assert read_answer(write_answer(answer)) == answer
