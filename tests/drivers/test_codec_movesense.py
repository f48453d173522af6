"""Movesense's packets and stream: payloads by their path, parts put together, whatever was lost."""

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gonio.drivers.codec import Notification, StreamDecoder, StreamEncoder, decode_packet, encode_packet
from gonio.drivers.codecs.movesense_data import read_path, show_payload, write_payload
from gonio.drivers.codecs.movesense_packets import HEAD_BYTES, write_command, write_data
from gonio.drivers.codecs.movesense_stream import MovesenseReader, MovesenseWriter
from gonio.drivers.errors import CodecError
from gonio.drivers.packets import decode_packets, reading_value
from gonio.errors import UsageError
from gonio.firmware_profiles import get_profile
from gonio.signal.consts import FloatArray

SENSOR = get_profile("movesense_gsp")
DATA = SENSOR.characteristic("data").uuid
VECTORS: list[dict[str, Any]] = json.loads((Path(__file__).parent / "vectors" / "movesense_gsp.json").read_text())
BY_ID = {vector["id"]: bytes.fromhex(vector["hex"]) for vector in VECTORS}
#: Keys of the vectors that comment on a packet and are not in it.
COMMENTS = {"expect", "inferred"}


@pytest.mark.parametrize("vector", VECTORS, ids=lambda v: v["id"])
def test_every_vector_decodes_to_what_its_source_says(vector: dict[str, Any]) -> None:
    expected = {key: value for key, value in vector["decoded"].items() if key not in COMMENTS}
    told = {"path": expected["path"]} if "path" in expected else {}
    packets = [bytes.fromhex(vector["hex"])]
    if "joined_payload_hex" in expected:  # the second part of the vector before it
        packets.insert(0, BY_ID["movesense_gsp-009"])
    decoded = decode_packets(SENSOR, vector["characteristic"], packets, told)[-1]
    assert isinstance(decoded, dict)
    assert {key: decoded.get(key) for key in expected} == expected


# --- single packets ---------------------------------------------------------------------------------------------------


def test_two_parts_with_their_path_are_the_whole() -> None:
    parts = [BY_ID["movesense_gsp-009"], BY_ID["movesense_gsp-010"]]
    _, joined = decode_packets(SENSOR, "data", parts, {"path": "/Meas/IMU6/52"})
    whole = decode_packet(SENSOR, "data", BY_ID["movesense_gsp-005"], {"path": "/Meas/IMU6/52"})
    assert isinstance(joined, dict)
    for key in ("timestamp_ms", "accel_m_s2", "gyro_dps"):
        assert joined[key] == whole[key]


def test_parts_of_different_references_are_not_put_together() -> None:
    first, second = BY_ID["movesense_gsp-009"], BY_ID["movesense_gsp-010"]
    _, alone = decode_packets(SENSOR, "data", [first, b"\x03\x07" + second[2:]], {"path": "/Meas/IMU6/52"})
    assert isinstance(alone, dict)
    assert "joined_payload_hex" not in alone


def test_without_its_path_a_payload_is_not_guessed() -> None:
    decoded = decode_packet(SENSOR, "data", BY_ID["movesense_gsp-003"])
    assert decoded["payload_hex"] == BY_ID["movesense_gsp-003"][2:].hex()
    assert not {"gyro_dps", "accel_m_s2", "mag_ut"} & set(decoded)


@pytest.mark.parametrize("path", ["/Meas/Foo/52", "/Info", "", "/Meas", "Meas/IMU7/52"])
def test_a_path_of_unknown_data_is_refused(path: str) -> None:
    with pytest.raises(CodecError, match="no path whose data are known"):
        decode_packet(SENSOR, "data", BY_ID["movesense_gsp-003"], {"path": path})


def test_capital_letters_in_a_path_do_not_matter() -> None:
    assert read_path("/Meas/ECG/200/mV").kind == read_path("/meas/Ecg/200/MV").kind == "ecg_mv"
    assert read_path("/Meas/ECG/128").kind == "ecg"
    assert read_path("/Meas/HR").rate_hz is None


@pytest.mark.parametrize(
    ("data", "status"),
    [("0163c800", 200), ("016300c8", 200), ("01639401", 404), ("01630194", 404), ("0163ffff", 65535)],
)
def test_a_status_is_read_in_either_order_of_its_bytes(data: str, status: int) -> None:
    assert decode_packet(SENSOR, "34800002", bytes.fromhex(data))["status"] == status


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("0263", {"part": "first part"}),
        ("02", {"truncated": True, "valid_bytes": 1}),
        ("", {"truncated": True, "valid_bytes": 0}),
        ("0163c8", {"truncated": True, "valid_bytes": 3}),
    ],
)
def test_cut_packets_say_so(data: str, expected: dict[str, object]) -> None:
    decoded = decode_packet(SENSOR, "data", bytes.fromhex(data))
    assert {key: decoded.get(key) for key in expected} == expected


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (write_command(2, 99), {"command": "unsubscribe", "reference": 99}),
        (write_command(4, 3, b"/Info\0"), {"command": "get", "reference": 3, "path": "/Info"}),
        (write_command(3, 5, bytes((7, 0, 0, 0))), {"command": "fetch_log", "reference": 5, "log_id": 7}),
        (write_command(8, 1, (10**15).to_bytes(8, "little")), {"command": "put_utc", "reference": 1, "utc_us": 10**15}),
        (write_command(9, 1, b"\x03"), {"command": "put_logger_state", "reference": 1, "state": "start"}),
        (write_command(7, 1, b"\x05"), {"command": "put_system_mode", "reference": 1, "data_hex": "05"}),
        (b"\x01", {"truncated": True, "valid_bytes": 1}),
    ],
)
def test_commands_are_told_by_name(data: bytes, expected: dict[str, object]) -> None:
    assert decode_packet(SENSOR, "command", data) == expected


@pytest.mark.parametrize("data", ["01012f4d6561732f494d55362f3532", "0001", "0263"])
def test_commands_are_written_as_they_are_read(data: str) -> None:
    decoded = decode_packet(SENSOR, "command", bytes.fromhex(data))
    assert encode_packet(SENSOR, "command", decoded) == bytes.fromhex(data)
    with pytest.raises(CodecError):
        encode_packet(SENSOR, "command", {"command": "dance", "reference": 1})
    with pytest.raises(CodecError):
        encode_packet(SENSOR, "hello", {"reference": 1})


def test_the_answer_to_a_hello_tells_the_firmware() -> None:
    texts = {"serial": "1", "product_name": "x", "dfu_mac": "y", "app_name": "z", "app_version": "2.3.1"}
    data = encode_packet(SENSOR, "hello", {"reference": 1, **texts})
    decoded = decode_packet(SENSOR, "data", data)
    assert {key: decoded[key] for key in texts} == texts
    assert reading_value(SENSOR, "firmware", data) == "2.3.1"
    assert reading_value(SENSOR, "firmware", encode_packet(SENSOR, "result", {"reference": 1, "status": 200})) is None


PATHS = ["/Meas/Acc/52", "/Meas/Gyro/13", "/Meas/Magn/104", "/Meas/IMU6/104", "/Meas/IMU6m/26", "/Meas/IMU9/104"]
VALUES = st.floats(-2000, 2000).map(lambda value: round(value, 2))


@settings(max_examples=150, deadline=None)
@given(path=st.sampled_from(PATHS), count=st.integers(1, 8), data=st.data(), stamp=st.integers(0, 2**32 - 1))
def test_reading_undoes_writing_of_motion(path: str, count: int, data: st.DataObject, stamp: int) -> None:
    where = read_path(path)
    vectors = st.lists(st.lists(VALUES, min_size=3, max_size=3), min_size=count, max_size=count)
    values = {"timestamp_ms": stamp, **{name: data.draw(vectors) for name in where.quantities}}
    payload = write_payload(where, values)
    decoded = show_payload(where, payload)
    assert decoded.pop("timestamp_ms") == stamp
    for name in where.quantities:
        np.testing.assert_allclose(np.array(decoded[name], np.float64), np.array(values[name]), atol=1e-4, rtol=0)


def test_reading_undoes_writing_of_the_rest() -> None:
    shown: dict[str, dict[str, object]] = {
        "/Meas/ECG/128": {"timestamp_ms": 7, "raw_int32": [*range(-8, 7), 2**31 - 1]},
        "/Meas/ECG/128/mV": {"timestamp_ms": 7, "raw_int16": [*range(-8, 7), -(2**15)]},
        "/Meas/HR": {"average_bpm": 61.5, "rr_ms": [981, 973]},
        "/Meas/Temp": {"timestamp_ms": 7, "temperature_k": 306.9},
    }
    for path, values in shown.items():
        decoded = show_payload(read_path(path), write_payload(read_path(path), values))
        assert {key: decoded[key] for key in values} == values


@pytest.mark.parametrize(
    ("path", "values"),
    [
        ("/Meas/Temp", {"temperature_k": 300}),
        ("/Meas/Acc/52", {"timestamp_ms": 2**32, "accel_m_s2": [[0, 0, 0]]}),
        ("/Meas/ECG/128", {"timestamp_ms": 1, "raw_int32": [2**40]}),
        ("/Meas/Acc/52", {"timestamp_ms": 1, "accel_m_s2": "x"}),
    ],
)
def test_what_cannot_be_written_is_refused(path: str, values: dict[str, object]) -> None:
    with pytest.raises(CodecError, match="no payload"):
        write_payload(read_path(path), values)


def test_data_of_two_notifications_are_no_single_packet() -> None:
    rows = [[0.0, 0.0, 1.0]] * 16
    values = {"reference": 1, "path": "/Meas/IMU6/208", "timestamp_ms": 5, "accel_m_s2": rows, "gyro_dps": rows}
    with pytest.raises(CodecError, match="388 bytes of data do not fit into one packet of 244"):
        encode_packet(SENSOR, "data", values)


def test_three_notifications_are_more_than_the_protocol_has() -> None:
    with pytest.raises(CodecError, match="two notifications"):
        write_data(1, bytes(313), 158)
    with pytest.raises(CodecError, match="reference"):
        write_command(1, 0)


@settings(max_examples=400, deadline=None)
@given(
    role=st.sampled_from(["data", "command"]),
    head=st.sampled_from([b"", b"\x01", b"\x02", b"\x02\x63", b"\x03\x63"]),
    data=st.binary(max_size=300),
    path=st.none() | st.sampled_from([*PATHS, "/Meas/HR", "/Meas/Temp", "/Meas/ECG/1", "/Meas/ECG/1/mV"]) | st.text(),
)
def test_nothing_raises_but_the_codecs_own_error(role: str, head: bytes, data: bytes, path: str | None) -> None:
    told = {} if path is None else {"path": path}
    try:
        decoded = decode_packet(SENSOR, role, head + data, told)
    except CodecError:
        return
    json.dumps(decoded, allow_nan=False)


# --- the stream -------------------------------------------------------------------------------------------------------

SAMPLES = st.lists(st.tuples(*[st.floats(-1, 1)] * 6), min_size=1, max_size=40)


def _notifications(packets: list[bytes], period_ns: int = 76_923_077) -> list[Notification]:
    """Let packets arrive at an even pace, a second part 1 ms after what came before it."""
    queue: list[Notification] = []
    arrival_ns = 0
    for data in packets:
        arrival_ns += 1_000_000 if data[:1] == b"\x03" else period_ns
        queue.append(Notification(DATA, data, arrival_ns))
    return queue


def _motion(count: int, rate_hz: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    noise = np.random.default_rng(count).normal(0, 5, (count, 6))
    return noise[:, :3], noise[:, 3:], 2.0 + np.arange(count) / rate_hz


@pytest.mark.parametrize("rate_hz", [13, 26, 52, 104])
@settings(max_examples=40, deadline=None)
@given(samples=SAMPLES)
def test_decoding_undoes_encoding(rate_hz: int, samples: list[tuple[float, ...]]) -> None:
    both = np.array(samples)
    acc, gyr = both[:, :3] * 160, both[:, 3:] * 36
    sensor_s = 5.0 + np.arange(len(acc)) / rate_hz
    writer = StreamEncoder(SENSOR, {"rate_hz": rate_hz})
    packets = writer.encode(acc, gyr, sensor_s) + writer.finish()
    assert max(map(len, packets)) <= SENSOR.min_mtu(SENSOR.resolve()) - 3
    reader = MovesenseReader({"rate_hz": rate_hz})
    chunks = [chunk for chunk in (reader.feed_all(_notifications(packets)), reader.finish()) if chunk is not None]
    np.testing.assert_allclose(np.concatenate([c.acc for c in chunks]), acc, atol=1e-5, rtol=0)
    np.testing.assert_allclose(np.concatenate([c.gyr for c in chunks]), gyr, atol=3e-6, rtol=0)
    stamps = np.concatenate([c.sensor_s for c in chunks if c.sensor_s is not None])
    np.testing.assert_allclose(stamps, sensor_s, atol=0.51e-3, rtol=0)
    assert (reader.malformed, reader.restarts) == (0, 0)


@settings(max_examples=100, deadline=None)
@given(
    rate_hz=st.sampled_from([52, 104]),
    cuts=st.lists(st.integers(0, 30), max_size=8),
    lost=st.sets(st.integers(0, 25), max_size=5),
    junk=st.lists(st.binary(max_size=200), max_size=3),
)
def test_any_division_of_the_notifications_gives_the_same(
    rate_hz: int, cuts: list[int], lost: set[int], junk: list[bytes]
) -> None:
    writer = MovesenseWriter({"rate_hz": rate_hz})
    packets = writer.encode(*_motion(70, rate_hz)) + writer.finish()
    kept = [data for place, data in enumerate(packets) if place not in lost]
    kept[3:3] = junk
    queue = _notifications(kept)
    at_once, in_parts = MovesenseReader({"rate_hz": rate_hz}), MovesenseReader({"rate_hz": rate_hz})
    whole = [at_once.feed_all(queue), at_once.finish()]
    places = sorted({min(cut, len(queue)) for cut in cuts} | {0, len(queue)})
    parts = [in_parts.feed_all(queue[a:b]) for a, b in itertools.pairwise(places)] + [in_parts.finish()]
    for name in ("acc", "gyr", "sensor_s", "arrival_s"):
        one, other = (
            np.concatenate(
                [np.empty_like(_motion(1, 52)[2 if name.endswith("_s") else 0][:0])]
                + [getattr(c, name) for c in got if c is not None]
            )
            for got in (whole, parts)
        )
        np.testing.assert_array_equal(one, other)
    assert at_once.malformed == in_parts.malformed


@pytest.mark.parametrize(("lost", "malformed"), [(4, 1), (5, 1)])
def test_a_lost_part_costs_its_packet_and_no_other(lost: int, malformed: int) -> None:
    acc, gyr, t_s = _motion(80, 104)
    writer = MovesenseWriter({"rate_hz": 104})
    packets = writer.encode(acc, gyr, t_s)
    assert len(packets) == 20
    assert [writer.samples_in(data) for data in packets[:2]] == [0, 8]
    del packets[lost]
    reader = MovesenseReader({"rate_hz": 104})
    chunk = reader.feed_all(_notifications(packets))
    assert chunk is not None
    kept = np.r_[0:16, 24:80]
    np.testing.assert_allclose(chunk.acc, acc[kept], atol=1e-5, rtol=0)
    assert chunk.sensor_s is not None
    np.testing.assert_allclose(chunk.sensor_s, t_s[kept], atol=0.51e-3, rtol=0)
    assert reader.malformed == malformed


def test_parts_of_two_packets_are_not_taken_for_one() -> None:
    acc, gyr, t_s = _motion(24, 104)
    queue = _notifications(MovesenseWriter({"rate_hz": 104}).encode(acc, gyr, t_s))
    del queue[1:3]  # the second part of the first packet and the first of the second
    reader = MovesenseReader({"rate_hz": 104})
    chunk = reader.feed_all(queue)
    assert chunk is not None
    np.testing.assert_allclose(chunk.acc, acc[16:], atol=1e-5, rtol=0)
    assert reader.malformed == 1


def test_a_firmware_that_sends_fewer_samples_to_a_packet_is_understood() -> None:
    acc, gyr, t_s = _motion(12, 52)
    payloads = [
        write_payload(
            read_path("/Meas/IMU6/52"),
            {
                "timestamp_ms": round(t_s[k] * 1000),
                "accel_m_s2": acc[k : k + 2],
                "gyro_dps": np.degrees(gyr[k : k + 2]),
            },
        )
        for k in range(0, 12, 2)
    ]
    reader = MovesenseReader({"rate_hz": 52})
    queue = _notifications([b"\x02\x01" + payload for payload in payloads])
    chunk, last = reader.feed_all(queue), reader.finish()
    assert chunk is not None
    assert last is not None
    np.testing.assert_allclose(np.concatenate((chunk.acc, last.acc)), acc, atol=1e-5, rtol=0)
    assert chunk.arrival_s is not None
    assert chunk.arrival_s[-1] == queue[-2].arrival_ns * 1e-9
    assert reader.malformed == 0


def test_the_clock_goes_on_over_its_wrap() -> None:
    acc, gyr, _ = _motion(8, 52)
    begin_s = 2**32 / 1000 - 0.1
    writer = MovesenseWriter({"rate_hz": 52})
    chunk = MovesenseReader({"rate_hz": 52}).feed_all(
        _notifications(writer.encode(acc, gyr, begin_s + np.arange(8) / 52))
    )
    assert chunk is not None
    assert chunk.sensor_s is not None
    np.testing.assert_allclose(chunk.sensor_s, begin_s + np.arange(8) / 52, atol=1e-3, rtol=0)


@pytest.mark.parametrize(
    ("data", "counted"),
    [
        (b"", 1),
        (b"\x02", 1),
        (b"\x07\x01abc", 1),
        (b"\x03\x01" + bytes(40), 1),
        (b"\x02\x01" + bytes(4) + np.full(24, np.nan, np.float32).tobytes(), 1),
        (b"\x02\x01" + bytes(4) + np.full(24, 1e9, np.float32).tobytes(), 1),
        (b"\x02\x01" + bytes(101), 1),
        (b"\x01\x01\xc8\x00", 0),
        (b"\x02\x63" + bytes(100), 0),
    ],
)
def test_what_is_none_of_the_stream_is_counted_or_passed_over(data: bytes, counted: int) -> None:
    reader = MovesenseReader({"rate_hz": 52})
    assert reader.feed_all(_notifications([data])) is None
    assert reader.finish() is None
    assert reader.malformed == counted


def test_the_stream_decoder_of_the_profile_reads_captured_packets() -> None:
    captured = BY_ID["movesense_gsp-005"]
    decoder = StreamDecoder(SENSOR, {"rate_hz": 52})
    chunk = decoder.feed(Notification(DATA, b"\x02\x01" + captured[HEAD_BYTES:], 10**9))
    assert chunk is not None
    np.testing.assert_allclose(chunk.acc[0], [-0.97152, 4.26895, 8.85615], atol=1e-5)
    np.testing.assert_allclose(np.degrees(chunk.gyr[3]), [-0.63, -1.4, -0.42], atol=1e-5)
    assert chunk.sensor_s is not None
    np.testing.assert_allclose(chunk.sensor_s, 172.46 + np.arange(4) / 52)
    with pytest.raises(UsageError, match="sensor_s is needed"):
        StreamEncoder(SENSOR, {}).encode(chunk.acc, chunk.gyr)
