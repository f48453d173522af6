"""The profiles that come with gonio load, and a wrong one is refused with the place that is wrong."""

import copy
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from gonio.drivers.codecs import MODULES, get_codec
from gonio.drivers.codecs.base import Codec
from gonio.errors import UsageError
from gonio.firmware_profiles import Profile, ProfileError, builtin_profiles, get_profile, load_profile
from gonio.firmware_profiles.checks import evidence_problems
from gonio.firmware_profiles.loading import read_profile
from gonio.firmware_profiles.parts import CodecName
from gonio.firmware_profiles.versions import in_range

FOLDER = Path(__file__).parents[2] / "gonio" / "firmware_profiles"


@cache
def _parsed(family: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((FOLDER / f"{family}.yaml").read_text(encoding="utf-8"))
    return content


def _content(family: str = "movella_dot") -> dict[str, Any]:
    return copy.deepcopy(_parsed(family))


def _load(tmp_path: Path, content: object) -> Profile:
    path = tmp_path / "sensor.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return load_profile(path)


def test_every_profile_is_named_like_its_file() -> None:
    assert [p.family for p in builtin_profiles()] == sorted(path.stem for path in FOLDER.glob("*.yaml"))


def test_hyphens_stand_for_underscores() -> None:
    assert get_profile("Movella-DOT") is get_profile("movella_dot")


def test_an_unknown_family_is_refused_with_those_there_are() -> None:
    with pytest.raises(UsageError, match=r"'fitbit'; these are: .*movella_dot, .*witmotion_ble5"):
        get_profile("fitbit")


def test_mtu_follows_from_payload_and_rate() -> None:
    dot, wit = get_profile("movella_dot"), get_profile("witmotion_ble5")
    assert [dot.min_mtu(dot.resolve({"payload_mode": mode})) for mode in (20, 21, 26)] == [43, 43, 66]
    assert [dot.packets[name].min_mtu() for name in ("free_acceleration", "custom_1")] == [23, 43]
    assert [wit.min_mtu(wit.resolve({"rate_hz": rate})) for rate in (10, 100, 200)] == [23, 83, 163]


def test_settings_are_completed_and_found_by_name() -> None:
    dot = get_profile("movella_dot")
    assert dot.resolve({"payload_mode": "custom_5", "rate_hz": "30"}) == {
        "rate_hz": 30,
        "payload_mode": 26,
        "filter_profile": 0,
    }
    with pytest.raises(UsageError, match="no setting 'colour'; it has rate_hz, payload_mode, filter_profile"):
        dot.resolve({"colour": "red"})


def _packet(content: dict[str, Any], name: str = "rate_quantities") -> dict[str, Any]:
    packet: dict[str, Any] = content["packets"][name]
    return packet


def _overlap(c: dict[str, Any]) -> None:
    _packet(c)["fields"][2]["offset"] = 12


def _beyond(c: dict[str, Any]) -> None:
    _packet(c)["fields"][2]["offset"] = 20


def _unit(c: dict[str, Any]) -> None:
    _packet(c)["fields"][2]["unit"] = "furlong"


def _type(c: dict[str, Any]) -> None:
    _packet(c)["fields"][2]["type"] = "f16"


def _role(c: dict[str, Any]) -> None:
    _packet(c)["role"] = "tiny_payload"


def _stream_unit(c: dict[str, Any]) -> None:
    _packet(c)["fields"][2]["unit"] = "deg"


def _twice(c: dict[str, Any]) -> None:
    _packet(c)["fields"][2]["name"] = "acceleration_m_s2"


def _when(c: dict[str, Any]) -> None:
    _packet(c)["when"] = {"payload_mode": 99}


def _uuid(c: dict[str, Any]) -> None:
    c["gatt"]["measurement"]["characteristics"]["control"]["uuid"] = "2001"


def _uuid_twice(c: dict[str, Any]) -> None:
    characteristics = c["gatt"]["measurement"]["characteristics"]
    characteristics["control"]["uuid"] = characteristics["long_payload"]["uuid"]


def _no_stop(c: dict[str, Any]) -> None:
    del c["sequences"]["stop"]


def _stop_does_nothing(c: dict[str, Any]) -> None:
    c["sequences"]["stop"] = [{"unsubscribe": "stream"}]


def _stays_subscribed(c: dict[str, Any]) -> None:
    c["sequences"]["stop"] = [{"write": "stop_measurement"}]


def _late_notifications(c: dict[str, Any]) -> None:
    c["sequences"]["start"].reverse()


def _leaves_before_stop(c: dict[str, Any]) -> None:
    c["sequences"]["stop"].reverse()


def _never_subscribed(c: dict[str, Any]) -> None:
    c["sequences"]["start"] = [{"write": "start_measurement"}]


def _unknown_command(c: dict[str, Any]) -> None:
    c["sequences"]["start"][1]["write"] = "take_off"


def _two_in_a_step(c: dict[str, Any]) -> None:
    c["sequences"]["start"] = [{"subscribe": "stream", "write": "start_measurement"}]


def _loose(c: dict[str, Any]) -> None:
    c["sequences"]["prepare"] = [{"write": "set_power_saving"}]


def _unbounded(c: dict[str, Any]) -> None:
    del c["commands"]["set_tag"]["parameters"]


def _bounds_too_wide(c: dict[str, Any]) -> None:
    c["commands"]["set_tag"]["parameters"]["tag_length"] = {"min": 0, "max": 300}


def _template(c: dict[str, Any]) -> None:
    c["commands"]["identify"]["bytes"] = "01 0x01"


def _not_writable(c: dict[str, Any]) -> None:
    c["commands"]["identify"]["role"] = "device_info"


def _too_long(c: dict[str, Any]) -> None:
    c["commands"]["start_measurement"]["bytes"] = "01 01 00 {payload_mode:u8}"


def _default(c: dict[str, Any]) -> None:
    c["settings"]["rate_hz"]["default"] = 61


def _reading(c: dict[str, Any]) -> None:
    c["readings"]["battery"]["value"] = "volts"


def _clock(c: dict[str, Any]) -> None:
    c["time"] = {"source": "host"}


def _half_a_clock(c: dict[str, Any]) -> None:
    del c["time"]["bits"]


def _clock_width(c: dict[str, Any]) -> None:
    c["time"]["bits"] = 16


def _text_carries(c: dict[str, Any]) -> None:
    _packet(c)["fields"][2]["type"] = "ascii"


def _unknown_key(c: dict[str, Any]) -> None:
    c["colour"] = "red"


def _padding(c: dict[str, Any]) -> None:
    _packet(c)["padded_to"] = 20


def _version(c: dict[str, Any]) -> None:
    c["schema"] = 2


ASK = {"write": "stop_measurement", "answer": "control_state", "timeout_s": 1}


def _asks(c: dict[str, Any], **more: Any) -> None:  # noqa: ANN401 - any part of a question
    c["sequences"]["prepare"] = [{"subscribe": "battery"}, {"ask": {**ASK, **more}}]
    c["sequences"]["stop"] += [{"unsubscribe": "battery"}]


def _asks_in_vain(c: dict[str, Any]) -> None:
    _asks(c)


def _asks_for_nothing(c: dict[str, Any]) -> None:
    _asks(c, answer="oracle")


def _asks_for_ever(c: dict[str, Any]) -> None:
    _asks(c)
    del c["sequences"]["prepare"][1]["ask"]["timeout_s"]


def _learns_what_is_not_listed(c: dict[str, Any]) -> None:
    _asks(c, learn={"factor": "payload_mode"})


def _expects_no_field(c: dict[str, Any]) -> None:
    _asks(c, expect={"mood": 1})


def _remedy(c: dict[str, Any]) -> None:
    _asks(c, again_after={6: "pray"})


def _step_when(c: dict[str, Any]) -> None:
    c["sequences"]["prepare"] = [{"write": "set_output_rate", "when": {"payload_mode": [20, 99]}}]


def _step_firmware(c: dict[str, Any]) -> None:
    c["sequences"]["prepare"] = [{"write": "set_output_rate", "firmware": "2 or so"}]


def _scale_by(c: dict[str, Any]) -> None:
    _packet(c)["fields"][1]["scale_by"] = "range_g"


def _no_rate(c: dict[str, Any]) -> None:
    del c["settings"]["rate_hz"]


def _no_motion(c: dict[str, Any]) -> None:
    for packet in c["packets"].values():
        for field in packet.get("fields", []):
            if field.get("carries") == "angular_velocity":
                del field["carries"]


def _stream_role(c: dict[str, Any]) -> None:
    c["streams"] = [{"role": "nowhere", "codec": "polar_pmd"}]


def _stream_never(c: dict[str, Any]) -> None:
    c["streams"] = [{"role": "medium_payload", "codec": "polar_pmd", "when": {"payload_mode": 20}}]


def _codec(c: dict[str, Any]) -> None:
    _packet(c)["codec"] = "magic"


def _text_first(c: dict[str, Any]) -> None:
    _packet(c)["fields"][0] = {"name": "note", "offset": 0, "type": "text"}


def _undated(c: dict[str, Any]) -> None:
    c["regulatory"] = {"statement": "none found"}


def _unsourced(c: dict[str, Any]) -> None:
    c["regulatory"] = {"statement": "class I", "date": "2026-11-23"}


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_overlap, "packet rate_quantities: field angular_velocity_dps: overlaps acceleration_m_s2"),
        (_beyond, "packet rate_quantities: field angular_velocity_dps: bytes 20 to 31 reach beyond size 28"),
        (_unit, "packets > rate_quantities > fields > angular_velocity_dps > unit: "),
        (_type, "packets > rate_quantities > fields > angular_velocity_dps > type: "),
        (_role, "packet rate_quantities: unknown role tiny_payload"),
        (_stream_unit, "angular_velocity needs count 3 and a unit of dps, rad/s"),
        (_twice, "field acceleration_m_s2: the name is used twice"),
        (_when, "when payload_mode is 99: the settings have no such value"),
        (_uuid, "gatt > measurement > characteristics > control > uuid: "),
        (_uuid_twice, "gatt: UUID 15172002-4947-11e9-8646-d663bd873d93 is given twice"),
        (_no_stop, "sequences > stop: "),
        (_stop_does_nothing, "sequence stop: start writes a command, but nothing stops it"),
        (_stays_subscribed, "sequence stop: does not unsubscribe from stream"),
        (_late_notifications, "sequence start: the command comes before the notifications are on"),
        (_leaves_before_stop, "sequence stop: writes a command after the notifications are off"),
        (_never_subscribed, "sequence start: does not subscribe to stream"),
        (_unknown_command, "sequence start, step 2: unknown command take_off"),
        (_two_in_a_step, "a step does exactly one of"),
        (_loose, "sequence prepare, step 1: command set_power_saving needs timeout_x_min"),
        (_unbounded, "command set_tag: parameter tag_length: is no setting and has no bounds"),
        (_bounds_too_wide, "command set_tag: parameter tag_length: 0 to 300 does not fit into u8"),
        (_template, "'0x01' is neither a byte"),
        (_not_writable, "command identify: role device_info cannot be written"),
        (_too_long, "command start_measurement: 4 bytes are more than the 3 of control"),
        (_default, "the default 61 is not among the values"),
        (_reading, "reading battery: packet battery has no field volts"),
        (_clock, "has a clock, but time.source is host"),
        (_half_a_clock, "a clock in the packets needs tick_s, bits and marks"),
        (_clock_width, "packet rate_quantities: field timestamp_us is u32, but time.bits is 16"),
        (_text_carries, "angular_velocity must be a number, not ascii"),
        (_unknown_key, "colour: Extra inputs are not permitted"),
        (_padding, "padded_to 20 is below size 28"),
        (_version, "schema: "),
        (_asks_in_vain, "sequence prepare, step 2: asks before it subscribes to control"),
        (_asks_for_nothing, "sequence prepare, step 2: unknown packet oracle"),
        (_asks_for_ever, "sequences > prepare > 1 > ask > timeout_s: "),
        (_learns_what_is_not_listed, "learns factor, which is not listed under learned"),
        (_expects_no_field, "sequence prepare, step 2: packet control_state has no field mood"),
        (_remedy, "sequence prepare, step 2: unknown command pray"),
        (_step_when, "sequence prepare, step 1: when payload_mode is 99: the settings have no such value"),
        (_step_firmware, "'2 or so' is no range of versions: write conditions as in '>=2.0,<3'"),
        (_scale_by, "packet rate_quantities: range_g is neither a setting nor learned"),
        (_no_rate, "settings: a family that streams needs the setting rate_hz"),
        (_no_motion, "sequences: no packet carries acceleration and angular_velocity"),
        (_stream_role, "stream 1: unknown role nowhere"),
        (_stream_never, "streams: none fits the default settings"),
        (_codec, "packets > rate_quantities > codec: "),
        (_text_first, "field note: a text goes up to the packet's end, so nothing can follow it"),
        (_undated, "give the date on which the statement was looked for"),
        (_unsourced, "give the source of the maker's statement"),
    ],
)
def test_a_wrong_profile_is_refused_with_file_and_place(
    tmp_path: Path, spoil: Callable[[dict[str, Any]], None], message: str
) -> None:
    content = _content()
    spoil(content)
    with pytest.raises(ProfileError) as caught:
        _load(tmp_path, content)
    assert str(tmp_path / "sensor.yaml") in str(caught.value)
    assert message in str(caught.value)


def test_fields_that_mean_to_share_bytes_may() -> None:
    content = _content("witmotion_ble5")
    motion = content["packets"]["motion"]["fields"]
    assert [field.get("union", False) for field in motion] == [False, True, True, True]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "is not YAML"),
        ("- 1", "a profile is a mapping"),
        ("", "a profile is a mapping"),
        ("schema: 1", "family: "),
    ],
)
def test_a_file_that_is_no_profile_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "sensor.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ProfileError, match=message):
        load_profile(path)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match=r"none\.yaml: cannot be read"):
        load_profile(tmp_path / "none.yaml")


def test_a_packet_without_evidence_is_told() -> None:
    content = _content()
    del content["packets"]["battery"]["vectors"]
    content["packets"]["rate_quantities"]["vectors"] = ["movella_dot-999"]
    assert list(evidence_problems(read_profile(content, "sensor"))) == [
        "packet rate_quantities: vector movella_dot-999 is not among the profile's vectors, so its kind is not known",
        "packet battery: has no example: nothing shows that its layout is right",
    ]


def test_every_codec_that_profiles_may_name_is_there() -> None:
    names = get_args(CodecName)
    assert set(names) == set(MODULES)
    assert all(isinstance(get_codec(name), Codec) for name in names)


@pytest.mark.parametrize(
    ("version", "wanted", "inside"),
    [
        ("2.1.0", ">=2.0,<3", True),
        ("v2.0", ">=2", True),
        ("3.0.0", ">=2.0,<3", False),
        ("2.10", ">2.9", True),
        ("1.9.9", "<2, >=1.9", True),
        ("2", "==2.0.0", True),
        ("2.0.1", "<=2", False),
        ("unknown", ">=0", False),
    ],
)
def test_versions_compare_number_by_number(version: str, wanted: str, inside: bool) -> None:  # noqa: FBT001 - expected
    assert in_range(version, wanted) is inside


def test_a_profile_for_a_firmware_has_its_packets_and_steps() -> None:
    content = _content()
    content["firmware"] = ">=1.5"
    content["packets"]["rate_quantities"]["firmware"] = "<2"
    content["sequences"]["prepare"] = [
        {"write": "set_output_rate", "firmware": ">=2"},
        {"write": "stop_measurement", "firmware": "<2"},
    ]
    profile = read_profile(content, "sensor")
    old, new = profile.for_firmware("1.6.0"), profile.for_firmware("2.0.0")
    assert ("rate_quantities" in old.packets, "rate_quantities" in new.packets) == (True, False)
    assert [step.write for p in (old, new) if p.sequences for step in p.sequences.prepare] == [
        "stop_measurement",
        "set_output_rate",
    ]
    assert profile.for_firmware("") is profile
    assert [profile.supports(version) for version in ("1.4", "1.5", "")] == [False, True, True]
