"""MetaMotion's packets and commands by module, register and chip."""

import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gonio.drivers.codec import decode_packet, encode_packet
from gonio.drivers.codecs.mbient_commands import decode_command
from gonio.drivers.codecs.mbient_frame import decode_frame, encode_frame
from gonio.drivers.codecs.mbient_registers import (
    MODULES,
    REGISTERS,
    SCALES,
    Implementation,
    Quantity,
    RangeName,
    Register,
)
from gonio.drivers.commands import encode_command
from gonio.drivers.errors import CodecError
from gonio.errors import UsageError
from gonio.firmware_profiles import get_profile

PROFILE = get_profile("mbientlab_metamotion")
NUMBERS: dict[str, st.SearchStrategy[float]] = {
    "b": st.integers(-128, 127),
    "B": st.integers(0, 255),
    "h": st.integers(-32768, 32767),
    "H": st.integers(0, 65535),
    "i": st.integers(-(2**31), 2**31 - 1),
    "I": st.integers(0, 2**32 - 1),
    "f": st.floats(-1e6, 1e6, width=32),
}
MEANINGS = [(module, number, meaning) for (module, number), each in REGISTERS.items() for meaning in each]


@st.composite
def packets(draw: st.DrawFn) -> tuple[bytes, Register, dict[RangeName, int]]:
    """Draw a packet from the sensor, with what it does not carry."""
    module, number, meaning = draw(st.sampled_from(MEANINGS))
    body = b""
    for quantity in meaning.quantities:
        numbers = st.sampled_from(sorted(quantity.labels)) if quantity.labels else NUMBERS[quantity.code]
        for _ in range(quantity.count * quantity.samples):
            body += struct.pack(f"<{quantity.code}", draw(numbers))
    ranges: dict[RangeName, int] = {name: draw(st.sampled_from(sorted(scales))) for name, scales in SCALES.items()}
    return bytes((module, number)) + body, meaning, ranges


def _raw(data: bytes, quantities: tuple[Quantity, ...]) -> list[float]:
    codes = "".join(q.code * q.count * q.samples for q in quantities)
    return list(struct.unpack(f"<{codes}", data))


@settings(max_examples=400, deadline=None)
@given(packets())
def test_what_a_packet_says_makes_the_same_packet(drawn: tuple[bytes, Register, dict[RangeName, int]]) -> None:
    data, meaning, ranges = drawn
    decoded = decode_frame(data, meaning.implementation, ranges)
    assert decoded["register"] == meaning.name
    written = encode_frame(decoded)
    assert (written[0], written[1] & 0x7F) == (data[0], data[1])
    assert _raw(written[2:], meaning.quantities) == pytest.approx(
        _raw(data[2:], meaning.quantities), rel=1e-6, abs=1e-5
    )
    if not any(quantity.code == "f" for quantity in meaning.quantities):
        assert written[2:] == data[2:]


@settings(max_examples=300, deadline=None)
@given(drawn=packets(), length=st.integers(0, 19))
def test_a_cut_packet_says_so_and_gives_only_what_is_whole(
    drawn: tuple[bytes, Register, dict[RangeName, int]], length: int
) -> None:
    data, meaning, ranges = drawn
    cut = data[: min(length, len(data) - 1)]
    decoded = decode_frame(cut, meaning.implementation, ranges)
    assert decoded["truncated"] is True
    assert decoded["valid_bytes"] == len(cut)
    whole = decode_frame(data, meaning.implementation, ranges)
    for key in {quantity.key for quantity in meaning.quantities} & set(decoded):
        value = decoded[key]
        assert value == (whole[key][: len(value)] if isinstance(value, list) else whole[key])  # type: ignore[index]


@settings(max_examples=2000, deadline=None)
@given(
    data=st.binary(max_size=24)
    | st.tuples(st.sampled_from(sorted(MODULES)), st.binary(max_size=20)).map(lambda both: bytes((both[0],)) + both[1]),
    role=st.sampled_from(["notification", "command"]),
    told=st.fixed_dictionaries(
        {},
        optional={
            "implementation": st.sampled_from(["BMI160", "BMI270", 1, 4]),
            "range_g": st.sampled_from([2, 16, "8"]),
            "range_dps": st.sampled_from([125, "2000"]),
        },
    ),
)
def test_anything_decodes_or_is_told_to_be_foreign(data: bytes, role: str, told: dict[str, Any]) -> None:
    try:
        decoded = decode_packet(PROFILE, role, data, told)
    except CodecError:
        return
    assert decoded.get("truncated") or {"register", "command", "candidates"} & set(decoded)


@given(
    st.dictionaries(st.sampled_from(["module", "register", "accel_g", "module_id", "revision"]), st.none() | st.text())
)
def test_values_that_no_packet_can_hold_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(CodecError):
        encode_frame(values)


@pytest.mark.parametrize(
    ("data", "implementation", "register", "key"),
    [
        ("1305a40000000000", "BMI160", "data", "gyro_dps"),
        ("1305" + "a400" * 9, "BMI270", "packed_data", "gyro_dps"),
        ("1304a40000000000", "BMI270", "data", "gyro_dps"),
        ("1307" + "a400" * 9, "BMI160", "packed_data", "gyro_dps"),
        ("031c" + "0001" * 9, "BMI160", "packed_data", "accel_g"),
        ("0305" + "0001" * 9, "BMI270", "packed_data", "accel_g"),
        ("039a1400", "BMI160", "step_count", "steps"),
        ("030b1400", "BMI270", "step_count", "steps"),
        ("030b22", "BMI160", "motion", "motion_bits"),
    ],
)
def test_the_same_register_means_what_the_chip_makes_of_it(
    data: str, implementation: Implementation, register: str, key: str
) -> None:
    for told in ({}, {"implementation": implementation}):  # its length alone leaves no doubt either
        decoded = decode_packet(PROFILE, "326a9006", bytes.fromhex(data), told | {"range_g": 2, "range_dps": 2000})
        assert (decoded["implementation"], decoded["register"]) == (implementation, register)
        assert key in decoded


def test_a_packet_of_the_other_chip_is_foreign() -> None:
    with pytest.raises(CodecError, match="no packet of a BMI160: accelerometer register 05"):
        decode_packet(PROFILE, "notification", bytes.fromhex("0305" + "00" * 18), {"implementation": "BMI160"})
    with pytest.raises(CodecError, match="BMI160: gyro register 05"):
        decode_packet(PROFILE, "notification", bytes.fromhex("1305" + "00" * 18), {"implementation": 1})


def test_where_a_cut_packet_leaves_it_open_both_meanings_are_given() -> None:
    decoded = decode_packet(PROFILE, "notification", bytes.fromhex("1305a400"), {"range_dps": 2000})
    assert decoded == {
        "module": "gyro",
        "truncated": True,
        "valid_bytes": 4,
        "candidates": [
            {"implementation": "BMI160", "register": "data", "range_dps": 2000, "gyro_dps": [10.0]},
            {"implementation": "BMI270", "register": "packed_data"},
        ],
    }


def test_without_its_range_a_packet_gives_counts_and_says_what_is_missing() -> None:
    decoded = decode_packet(PROFILE, "notification", bytes.fromhex("030416c494a22ad0"))
    assert decoded["raw"] == [-15338, -23916, -12246]
    assert decoded["missing"] == ["range_g"]
    assert "accel_g" not in decoded


@pytest.mark.parametrize("range_g", [2, 4, 8, 16])
def test_the_scale_follows_the_range(range_g: int) -> None:
    data = encode_packet(
        PROFILE,
        "acceleration",
        {"module": "accelerometer", "register": "data", "range_g": range_g, "accel_g": [1, -0.5, range_g / 2]},
    )
    assert struct.unpack("<3h", data[2:]) == (32768 // range_g, -16384 // range_g, 16384)
    assert decode_packet(PROFILE, "notification", data, {"range_g": range_g})["accel_g"] == [1, -0.5, range_g / 2]


@pytest.mark.parametrize(("range_dps", "counts"), [(2000, 16.4), (1000, 32.8), (500, 65.6), (250, 131.2), (125, 262.4)])
def test_so_does_that_of_the_gyroscope(range_dps: int, counts: float) -> None:
    data = bytes.fromhex("1304") + struct.pack("<3h", 0, round(counts * 100), -round(counts * 10))
    decoded = decode_packet(PROFILE, "notification", data, {"range_dps": range_dps})
    assert decoded["gyro_dps"] == pytest.approx([0, 100, -10], abs=0.5 / counts)


@pytest.mark.parametrize(
    ("data", "values"),
    [
        ("1904" + struct.pack("<3fB", 1000, -500, 250, 3).hex(), {"accel_g": [1, -0.5, 0.25], "accuracy": 3}),
        ("1906" + struct.pack("<3fB", 20, -40.5, 1, 1).hex(), {"mag_ut": [20, -40.5, 1], "accuracy": 1}),
        (
            "1908" + struct.pack("<4f", 359.5, -10, 20, 0.5).hex(),
            {"heading_deg": 359.5, "pitch_deg": -10, "roll_deg": 20, "yaw_deg": 0.5},
        ),
        ("190a" + struct.pack("<3f", 9.80665, 0, -19.6133).hex(), {"linear_accel_g": [1, 0, -2]}),
        ("190b030102", {"accel_calibration": 3, "gyro_calibration": 1, "mag_calibration": 2}),
        ("1907" + "0000c07f" + "00" * 12, {"quaternion_wxyz": [None, 0, 0, 0]}),
        ("010101", {"switch": "pressed"}),
        ("010102", {"switch": "unknown(0x02)"}),
        ("048100fe00", {"channel": 0, "temperature_c": 31.75}),
        ("048102f8ff", {"channel": 2, "temperature_c": -1}),
        ("1505b60c72f789ee", {"mag_ut": [203.375, -136.875, -279.4375]}),
        ("12010080c501", {"pressure_pa": 116096}),
        ("0205aabb", {"register": "0x05", "data_hex": "aabb"}),
    ],
)
def test_what_else_a_sensor_may_send(data: str, values: dict[str, Any]) -> None:
    decoded = decode_packet(PROFILE, "notification", bytes.fromhex(data))
    assert {key: decoded[key] for key in values} == values


def test_a_module_says_whether_it_is_there_and_what_it_is() -> None:
    assert decode_frame(bytes.fromhex("1380"))["present"] is False
    assert decode_frame(bytes.fromhex("13800001"))["meaning"] == "gyro present, implementation 0 = BMI160, revision 1"
    led = decode_frame(bytes.fromhex("0280000103"))
    assert (led["meaning"], led["data_hex"]) == ("LED present, implementation 0, revision 1", "03")
    cut = decode_frame(bytes.fromhex("038004"))
    assert (cut["truncated"], cut["implementation"], cut["revision"]) == (True, 4, None)
    # the answer names implementations of its own: none that was told can be wrong for it
    assert decode_packet(PROFILE, "notification", bytes.fromhex("13800001"), {"implementation": 0})["present"] is True
    for data in ("1380", "13800001", "03800400"):
        assert encode_frame(decode_frame(bytes.fromhex(data))).hex() == data


@pytest.mark.parametrize(
    ("told", "text"),
    [({"implementation": "BMI300"}, "BMI160"), ({"range_g": 3}, "2, 4, 8, 16"), ({"range_dps": 4000}, "2000")],
)
def test_what_no_sensor_of_the_family_has_cannot_be_told(told: dict[str, Any], text: str) -> None:
    with pytest.raises(UsageError, match=text):
        decode_packet(PROFILE, "notification", bytes.fromhex("030416c494a22ad0"), told)


# --- what a host writes --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ("0303a803", "accel config BMI270 100 Hz +/-16 g"),
        ("03032503", "accel config BMI160 12.5 Hz +/-2 g"),
        ("03032101", "accel config BMI270 0.78125 Hz +/-4 g"),
        ("03038108", "accel config BMI160 0.78125 Hz +/-8 g"),
        ("03032c0c", "accel config BMI160 1600 Hz +/-16 g"),
        ("03020001", "accel data disable"),
        ("030100", "accel stop"),
        ("031c01", "subscribe accel packed data"),
        ("030500", "unsubscribe accel packed data"),
        ("13032600", "gyro config 25 Hz 2000 dps"),
        ("13032d04", "gyro config 3200 Hz 125 dps"),
        ("130501", "subscribe gyro data or packed data"),
        ("130701", "subscribe gyro packed data"),
        ("13020100", "gyro data enable"),
        ("150101", "mag start"),
        ("150102", "mag suspend"),
        ("1504040e", "mag repetitions xy 9 z 15"),
        ("150306", "mag rate 25 Hz"),
        ("19020110", "fusion config NDOF +/-2 g 2000 dps"),
        ("19030800", "fusion output enable quaternion"),
        ("1903007f", "fusion output disable all"),
        ("190100", "fusion stop"),
        ("190701", "subscribe fusion quaternion"),
        ("0380", "read module info of accelerometer"),
        ("11cc", "read battery"),
        ("118c", "read battery"),
        ("048101", "read temperature of channel 1"),
        ("020201", "LED stop and clear"),
        ("020101", "LED play"),
        ("110906000600000 05802".replace(" ", ""), "connection parameters 7.5 to 7.5 ms, latency 0, timeout 6000 ms"),
        ("0b0100", "logging stop"),
        ("fe01", "reset"),
    ],
)
def test_a_command_is_told_in_a_sentence(data: str, sentence: str) -> None:
    assert decode_packet(PROFILE, "326a9001", bytes.fromhex(data))["command"] == sentence


def test_the_chip_decides_what_is_subscribed_to() -> None:
    told = [decode_command(bytes.fromhex("130501"), chip)["command"] for chip in ("BMI160", "BMI270")]
    assert told == ["subscribe gyro data", "subscribe gyro packed data"]
    with pytest.raises(CodecError, match="BMI160"):
        decode_command(bytes.fromhex("030501"), "BMI160")


@pytest.mark.parametrize("data", ["", "03", "0303", "030328", "0302", "1109060006"])
def test_a_cut_command_says_so(data: str) -> None:
    assert decode_command(bytes.fromhex(data)) == {"truncated": True, "valid_bytes": len(data) // 2}


@pytest.mark.parametrize("data", ["ff01", "0303280d", "0303a80c", "13032805", "030105", "03010101", "03" * 21])
def test_what_no_sensor_obeys_is_no_command(data: str) -> None:
    with pytest.raises(CodecError, match="no command of a MetaMotion"):
        decode_command(bytes.fromhex(data))


@pytest.mark.parametrize("name", PROFILE.commands)
def test_every_command_of_the_profile_is_one_that_the_codec_reads(name: str) -> None:
    data = encode_command(PROFILE, name, PROFILE.resolve())
    decoded = decode_packet(PROFILE, "command", data)
    assert "write register" not in str(decoded["command"])
    for told, setting in (("rate_hz", "rate_hz"), ("range_g", "range_g"), ("range_dps", "range_dps")):
        if told in decoded:
            assert decoded[told] == PROFILE.settings[setting].default


@pytest.mark.parametrize("rate_hz", [25, 50, 100, 200])
@pytest.mark.parametrize("range_g", [2, 4, 8, 16])
@pytest.mark.parametrize("chip", ["BMI160", "BMI270"])
def test_rate_and_range_reach_the_chip_in_its_own_codes(rate_hz: int, range_g: int, chip: str) -> None:
    chosen = PROFILE.resolve({"rate_hz": rate_hz, "range_g": range_g})
    data = encode_command(PROFILE, f"configure_accelerometer_{chip.lower()}", chosen)
    assert decode_packet(PROFILE, "command", data) == {
        "command": f"accel config {chip} {rate_hz} Hz +/-{range_g} g",
        "implementation": chip,
        "rate_hz": rate_hz,
        "range_g": range_g,
    }
    gyro = decode_packet(PROFILE, "command", encode_command(PROFILE, "configure_gyro", chosen))
    assert (gyro["rate_hz"], gyro["range_dps"]) == (rate_hz, 2000)
