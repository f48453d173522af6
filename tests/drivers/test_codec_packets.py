"""Single packets: what is written is read again; nothing foreign raises but the codec's own error."""

import contextlib
import math
import struct
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gonio.drivers.codec import decode_packet, encode_packet, reading_value
from gonio.drivers.commands import (
    Subscribe,
    Unsubscribe,
    Wait,
    Write,
    build_sequence,
    decode_command,
    encode_command,
    write_action,
)
from gonio.drivers.errors import CodecError
from gonio.drivers.fields import decode_fields, encode_fields
from gonio.errors import UsageError
from gonio.firmware_profiles import Packet, PacketField, Profile, builtin_profiles, get_profile
from gonio.firmware_profiles.commands import Slot
from gonio.firmware_profiles.packets import TEXTS, Batch

DOT = get_profile("movella_dot")
WIT = get_profile("witmotion_ble5")

#: One packet of every type of field, and one with samples behind a head.
EVERY_TYPE = Packet(
    title="every type",
    role="data",
    size=170,
    fields=tuple(
        PacketField(name=f"{kind}_{count}", offset=offset, type=kind, count=count, scale=scale)
        for kind, count, scale, offset in (
            ("u8", 1, 1, 0), ("i8", 3, 0.5, 1), ("u16", 2, 1, 4), ("i16", 1, 1e-7, 8), ("u24", 2, 1, 10),
            ("i24", 3, 0.25, 16), ("u32", 1, 1, 25), ("i32", 2, 2.0**-30, 29), ("u64", 1, 1, 37), ("i64", 2, 1, 45),
            ("f32", 3, 1, 61), ("f64", 2, 1, 73), ("bool", 1, 1, 89), ("ascii", 7, 1, 90), ("version", 3, 1, 97),
            ("mac", 1, 1, 100), ("mac_le", 1, 1, 106), ("hex", 5, 1, 112), ("datetime", 1, 1, 117),
            ("f64", 1, 0.1, 124), ("text", 1, 1, 170),
        )
    ),
)  # fmt: skip
BATCH = Packet(
    title="samples",
    role="data",
    size=6,
    fields=(PacketField(name="counter", offset=0, type="u16"), PacketField(name="time_us", offset=2, type="u32")),
    batch=Batch(
        size=9,
        max=7,
        fields=(
            PacketField(name="accel_g", offset=0, type="i16", count=3, scale=0.001, unit="g"),
            PacketField(name="level", offset=6, type="i24"),
        ),
    ),
)

FLAT = [
    pytest.param(EVERY_TYPE, id="every-type"),
    pytest.param(BATCH, id="batch"),
    *(
        pytest.param(p, id=f"{profile.family}-{name}")
        for profile in builtin_profiles()
        for name, p in profile.packets.items()
        if p.fields
    ),
]
COMMANDS = [
    pytest.param(profile, name, id=f"{profile.family}-{name}")
    for profile in builtin_profiles()
    for name in profile.commands
]
INTEGERS = {"u8": (0, 255), "i8": (-128, 127), "u16": (0, 2**16 - 1), "i16": (-(2**15), 2**15 - 1),
            "u24": (0, 2**24 - 1), "i24": (-(2**23), 2**23 - 1), "u32": (0, 2**32 - 1), "i32": (-(2**31), 2**31 - 1),
            "u64": (0, 2**64 - 1), "i64": (-(2**63), 2**63 - 1)}  # fmt: skip
MOMENTS = datetime(1, 1, 1), datetime(9999, 12, 31)  # noqa: DTZ001 - the packets tell no zone


def _element(field: PacketField) -> st.SearchStrategy[Any]:
    if field.labels:
        return st.sampled_from(sorted(field.labels.values()))
    if field.type == "bool":
        return st.booleans()
    if field.type in ("f32", "f64"):
        return st.floats(-1000, 1000, width=32)
    low, high = INTEGERS[field.type]
    plain = field.scale == 1 and field.bias == 0  # as a float the largest u64 would be one too many
    return st.integers(low, high).map(lambda raw: raw if plain else raw * field.scale + field.bias)


def _text(field: PacketField) -> st.SearchStrategy[str]:
    size = field.count
    texts: dict[str, st.SearchStrategy[str]] = {
        "ascii": st.text("ABCabc019-_", max_size=size),
        "version": st.binary(min_size=size, max_size=size).map(lambda data: ".".join(str(byte) for byte in data)),
        "hex": st.binary(min_size=size, max_size=size).map(bytes.hex),
        "datetime": st.datetimes(MOMENTS[0], MOMENTS[1]).map(lambda at: at.replace(microsecond=0).isoformat()),
        "text": st.text("abc 1.7é", max_size=20),
    }
    address = st.binary(min_size=6, max_size=6).map(lambda data: data.hex(":").upper())
    return texts.get(field.type, address)


def _value(field: PacketField) -> st.SearchStrategy[Any]:
    if field.type in TEXTS:
        return _text(field)
    one = _element(field)
    if field.rows:
        each = field.count // field.rows
        row = st.lists(one, min_size=each, max_size=each)
        return st.lists(row, min_size=field.rows, max_size=field.rows)
    return one if field.count == 1 else st.lists(one, min_size=field.count, max_size=field.count)


def _close(field: PacketField, read: Any, written: Any) -> bool:  # noqa: ANN401 - any decoded value
    if isinstance(read, list):
        return all(_close(field, a, b) for a, b in zip(read, written, strict=True))
    if isinstance(read, str | bool):
        return bool(read == written)
    step = {"f32": 1e-5, "f64": 1e-6}.get(field.type, abs(field.scale) / 2)
    return math.isclose(read, written, rel_tol=1e-7, abs_tol=step)


def _drawn(fields: Sequence[PacketField], taken: set[int], data: st.DataObject) -> dict[str, Any]:
    """Draw values for fields; of those that share bytes, for the first."""
    values = {}
    for field in fields:
        span = set(range(field.offset, field.end))
        if not field.derived and taken.isdisjoint(span):
            taken |= span
            values[field.name] = data.draw(_value(field), label=field.name)
    return values


def _read_again(field: PacketField, read: dict[str, Any]) -> Any:  # noqa: ANN401 - any decoded value
    return [read[part] for part in field.parts] if field.apart else read[field.name]


@pytest.mark.parametrize("packet", FLAT)
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_every_packet_is_read_as_it_was_written(packet: Packet, data: st.DataObject) -> None:
    values = _drawn(packet.fields, set(range(len(packet.prefix))), data)
    samples: list[dict[str, Any]] = []
    if packet.batch:
        count = data.draw(st.integers(0, packet.batch.max))
        samples = [_drawn(packet.batch.fields, set(), data) for _ in range(count)]
    columns = {name: [sample[name] for sample in samples] for name in (samples[0] if samples else ())}
    written = encode_fields(packet, {**values, **columns})
    assert len(written) == packet.wire_size or packet.open_ended
    read = decode_fields(packet, written)
    assert all(_close(f, _read_again(f, read), values[f.name]) for f in packet.fields if f.name in values)
    for field in packet.batch.fields if packet.batch else ():
        if field.name in columns:
            assert _close(field, read[field.name], columns[field.name])


@pytest.mark.parametrize(("profile", "name"), COMMANDS)
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_every_command_is_read_as_it_was_written(profile: Profile, name: str, data: st.DataObject) -> None:
    command = profile.commands[name]
    parameters: dict[str, Any] = {}
    for slot in (part for part in command.template if isinstance(part, Slot) and part.fixed is None):
        bounds = command.parameters.get(slot.name)
        if slot.type == "ascii":
            values: st.SearchStrategy[Any] = st.text("abc-19", max_size=slot.size)
        elif bounds and not bounds.codes:
            values = st.sampled_from(bounds.numbers)
        else:
            values = st.sampled_from(sorted(bounds.codes if bounds else profile.settings[slot.name].values))
        parameters[slot.name] = data.draw(values, label=slot.name)
    written = encode_command(profile, name, parameters)
    read = decode_command(profile, command.role, written)
    assert encode_command(profile, read.name, read.parameters) == written
    if read.name == name:  # otherwise a more special command has the same bytes
        assert parameters.items() <= dict(read.parameters).items()


@pytest.mark.parametrize(
    ("profile", "role"),
    [pytest.param(p, r, id=f"{p.family}-{r}") for p in builtin_profiles() for r in p.characteristics],
)
@settings(max_examples=30, deadline=None)
@given(data=st.binary(max_size=170), mode=st.none() | st.sampled_from([2, 5, 6, 16, 20, 21, 26]))
def test_arbitrary_bytes_raise_nothing_but_the_codecs_own_error(
    profile: Profile, role: str, data: bytes, mode: int | None
) -> None:
    told = {"payload_mode": mode} if mode and profile is DOT else {}
    with contextlib.suppress(CodecError):
        assert decode_packet(profile, role, data, told)
    for name in ("battery", "firmware"):
        reading_value(profile, name, data)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({}, "needs register"),
        ({"register": 0x98, "value": 0}, "register must be 0 to 151, not 152"),
        ({"register": 3, "value": 70_000}, "value must be 0 to 65535"),
        ({"register": "3", "value": 0}, "register must be"),
    ],
)
def test_a_parameter_out_of_bounds_is_refused(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        encode_command(WIT, "write_register", parameters)


def test_a_rate_that_the_family_has_not_is_refused_with_those_it_has() -> None:
    with pytest.raises(UsageError, match="movella_dot has no rate_hz 100; it has 1, 4, 10, 12, 15, 20, 30, 60"):
        encode_command(DOT, "set_output_rate", {"rate_hz": 100})


def test_an_unknown_command_is_refused_with_those_there_are() -> None:
    with pytest.raises(UsageError, match="no command 'fly'; it has start_measurement"):
        encode_command(DOT, "fly")


def test_a_dot_stream_is_subscribed_before_it_starts_and_stopped_before_it_is_left() -> None:
    chosen = DOT.resolve({"payload_mode": "custom_5", "rate_hz": 30})
    long_payload, control = DOT.characteristic("long_payload").uuid, DOT.characteristic("control").uuid
    assert build_sequence(DOT, "start", chosen) == (
        Subscribe(long_payload),
        Write(control, bytes.fromhex("01011a"), True, "start_measurement"),
    )
    assert build_sequence(DOT, "stop", chosen) == (
        Write(control, bytes.fromhex("01001a"), True, "stop_measurement"),
        Unsubscribe(long_payload),
    )
    (prepare,) = build_sequence(DOT, "prepare", chosen)
    assert isinstance(prepare, Write)
    assert prepare.data == bytes([48, *[0] * 23, 30, *[0] * 7])


def test_a_wit_sensor_is_unlocked_before_its_rate_is_set() -> None:
    command = WIT.characteristic("command").uuid
    assert build_sequence(WIT, "prepare", WIT.resolve({"rate_hz": 200})) == (
        Write(command, bytes.fromhex("ffaa6988b5"), True, "unlock"),
        Wait(0.1),
        Write(command, bytes.fromhex("ffaa030b00"), True, "set_rate"),
        Wait(0.1),
    )


def test_a_family_without_motion_has_no_stream_to_start() -> None:
    with pytest.raises(UsageError, match="gives no motion stream"):
        build_sequence(get_profile("witmotion_wtvb01_bt50"), "start", {})


def test_battery_and_firmware_are_found_in_what_was_read() -> None:
    battery = encode_packet(DOT, "battery", {"battery_percent": 87, "charging": True})
    info = encode_packet(DOT, "device_info", {"mac": "D4:22:CD:00:01:02", "firmware_version": "3.0.1"})
    assert reading_value(DOT, "battery", battery) == 87
    assert reading_value(DOT, "firmware", info) == "3.0.1"
    assert reading_value(DOT, "battery", battery[:1]) is None
    assert reading_value(DOT, "battery", b"\x65\x00") is None  # 101 %


def test_a_wit_sensors_battery_is_found_between_frames() -> None:
    motion = encode_packet(WIT, "motion", {"raw": [0, 0, 2048, 0, 0, 0, 0, 0, 0]})
    reply = encode_packet(WIT, "battery_register", {"battery_voltage_v": 3.79})
    assert reading_value(WIT, "battery", motion + reply + motion) == 50
    assert reading_value(WIT, "battery", motion * 3) is None
    assert reading_value(WIT, "firmware", reply) is None
    assert write_action(WIT, WIT.readings["battery"].command or "").data == bytes.fromhex("ffaa276400")


@pytest.mark.parametrize(
    ("volts", "percent"), [(4.2, 100), (3.96, 100), (3.95, 90), (3.68, 15), (3.67, 10), (3.4, 5), (3.39, 0)]
)
def test_the_battery_table_of_wit_sensors(volts: float, percent: int) -> None:
    reply = encode_packet(WIT, "battery_register", {"battery_voltage_v": volts})
    assert decode_packet(WIT, "ffe4", reply)["battery_percent_table"] == percent


def test_register_answers_are_told_by_their_first_register() -> None:
    quaternion = encode_packet(WIT, "quaternion_registers", {"quaternion_wxyz": [0.5, -0.5, 0.5, -0.5]})
    assert decode_packet(WIT, "ffe4", quaternion) == {
        "type": "register_reply",
        "start_register": 0x51,
        "quaternion_wxyz": [0.5, -0.5, 0.5, -0.5],
    }
    temperature = encode_packet(WIT, "temperature_register", {"temperature_c": -3.25})
    assert decode_packet(WIT, "ffe4", temperature)["temperature_c"] == -3.25
    other = b"\x55\x71\x10\x00" + struct.pack("<8h", *range(8))
    assert decode_packet(WIT, "ffe4", other)["registers"] == list(range(8))


def test_an_unknown_rate_code_is_shown_as_the_register_write_that_it_is() -> None:
    assert decode_packet(WIT, "ffe9", bytes.fromhex("ffaa030c00")) == {
        "command": "write_register",
        "register": 3,
        "value": 12,
    }


def test_a_frame_of_28_bytes_is_not_taken_for_motion() -> None:
    frame = bytes.fromhex("5561110016000200020000000100e60a430047000a00250025002500")
    with pytest.raises(CodecError, match="another product"):
        decode_packet(WIT, "ffe4", frame)


@pytest.mark.parametrize(
    ("characteristic", "data", "chosen", "message"),
    [
        ("15172003", bytes(41), {"payload_mode": 20}, "41 bytes beginning 00000000 are no packet"),
        ("15172004", bytes(20), {"payload_mode": 20}, "sends nothing on short_payload .* payload_mode=20"),
        ("15172003", bytes(40), {"payload_mode": 17}, "sends nothing on medium_payload .* payload_mode=17"),
        ("15172006", b"\x09\x00", {}, "no packet that movella_dot has on orientation_reset"),
    ],
)
def test_what_is_no_packet_is_told_as_such(
    characteristic: str, data: bytes, chosen: dict[str, Any], message: str
) -> None:
    with pytest.raises(CodecError, match=message):
        decode_packet(DOT, characteristic, data, chosen)


@pytest.mark.parametrize(
    ("packet", "values", "message"),
    [
        ("battery", {"battery_percent": 300}, "does not fit into u8"),
        ("battery", {"voltage": 3}, "no field voltage"),
        ("rate_quantities", {"acceleration_m_s2": [1.0, 2.0]}, "2 values for 3"),
        ("device_info", {"mac": "D4:22"}, "does not take 6 bytes"),
        ("device_info", {"firmware_version": "three"}, "cannot be written"),
        ("power_off_report", {"report": "resting"}, "no code means 'resting'"),
        ("extended_euler", {"status_flags": ["acc_clip_x"]}, "no field status_flags that can be written"),
        ("battery", {"battery_percent": "full"}, "is no number"),
    ],
)
def test_a_value_that_no_packet_can_hold_is_refused(packet: str, values: dict[str, Any], message: str) -> None:
    with pytest.raises(CodecError, match=message):
        encode_packet(DOT, packet, values)


def test_the_status_of_a_dot_names_what_was_clipped() -> None:
    data = encode_packet(
        DOT, "extended_quaternion", {"quaternion_wxyz": [1.0, 0.0, 0.0, 0.0], "status": 0b10_0000_1001}
    )
    decoded = decode_packet(DOT, "15172003", data, {"payload_mode": 2})
    assert decoded["status"] == 521
    assert decoded["status_flags"] == ["acc_clip_x", "gyr_clip_x", "new_mag_sample"]


def test_what_is_no_number_is_none() -> None:
    data = encode_packet(DOT, "free_acceleration", {})
    cut = data[:4] + np.float32(np.nan).tobytes() + data[8:]
    assert decode_packet(DOT, "15172004", cut, {"payload_mode": 6})["free_acceleration_m_s2"] == [None, 0, 0]
