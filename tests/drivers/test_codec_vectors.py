"""Every packet with known content decodes to what its source says, and is written again to the same bytes."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from gonio.cli.decode import SETTABLE
from gonio.drivers.codec import decode_packet, encode_packet
from gonio.drivers.commands import decode_command, encode_command
from gonio.drivers.errors import CodecError
from gonio.errors import UsageError
from gonio.firmware_profiles import Profile, builtin_profiles, get_profile

#: Keys of the vectors that comment on a packet and are not in it.
COMMENTS = {"inferred", "host_time_s", "algorithm", "expect", "expect_strict_parser"}

VECTORS: list[dict[str, Any]] = [
    vector
    for path in sorted((Path(__file__).parent / "vectors").glob("*.json"))
    for vector in json.loads(path.read_text())
]
#: Packets that no sensor should send, or accept, and whose vectors say just that.
INVALID = {"bluetooth_sig-003"}
REFUSED = {"nordic_thingy52-014"}
VALID = [vector for vector in VECTORS if vector["id"] not in INVALID]
#: Families whose vectors are decoded by a test of their own, beside that of their codec.
OWN_TESTS = {"polar_pmd", "movesense_gsp"}
#: Families whose maker's tests print three or four decimals of values that have more.
PRINTED_ROUGHLY = {"mbientlab_metamotion"}


def _told(vector: dict[str, Any]) -> dict[str, Any]:
    """Give what the packet does not carry and the vector's source had known."""
    return {name: vector["decoded"][name] for name in SETTABLE if name in vector["decoded"]}


def _as_printed(read: Any, printed: Any) -> bool:  # noqa: ANN401 - any decoded value
    """Tell whether a value is what its source prints with few decimals, some of them cut off."""
    if isinstance(printed, list):
        return isinstance(read, list) and len(read) == len(printed) and all(map(_as_printed, read, printed))
    if isinstance(printed, float) and isinstance(read, int | float):
        decimals = -int(Decimal(str(printed)).as_tuple().exponent)
        return abs(read - printed) < 1.1 * 10.0**-decimals
    return bool(read == printed)


@pytest.mark.parametrize("vector", [v for v in VALID if v["device"] not in OWN_TESTS], ids=lambda v: v["id"])
def test_every_vector_decodes_to_what_its_source_says(vector: dict[str, Any]) -> None:
    profile = get_profile(vector["device"])
    decoded = decode_packet(profile, vector["characteristic"], bytes.fromhex(vector["hex"]), _told(vector))
    expected = {key: value for key, value in vector["decoded"].items() if key not in COMMENTS}
    if vector["device"] in PRINTED_ROUGHLY:
        wrong = {key: decoded.get(key) for key, value in expected.items() if not _as_printed(decoded.get(key), value)}
        assert not wrong, expected
    else:
        assert {key: decoded.get(key) for key in expected} == expected


@pytest.mark.parametrize("vector", [v for v in VECTORS if v["id"] in INVALID], ids=lambda v: v["id"])
def test_an_invalid_packet_is_an_error(vector: dict[str, Any]) -> None:
    with pytest.raises(CodecError):
        decode_packet(get_profile(vector["device"]), vector["characteristic"], bytes.fromhex(vector["hex"]))


@pytest.mark.parametrize("vector", [v for v in VECTORS if v["id"] in REFUSED], ids=lambda v: v["id"])
def test_a_command_out_of_bounds_is_told_as_such_and_never_written(vector: dict[str, Any]) -> None:
    profile = get_profile(vector["device"])
    data = bytes.fromhex(vector["hex"])
    assert decode_packet(profile, vector["characteristic"], data)["refused"]
    written = decode_command(profile, vector["characteristic"], data)
    with pytest.raises(UsageError):
        encode_command(profile, written.name, written.parameters)


@pytest.mark.parametrize("vector", VALID, ids=lambda v: v["id"])
def test_short_names_of_characteristics_do(vector: dict[str, Any]) -> None:
    profile = get_profile(vector["device"])
    begins = [vector["characteristic"][:length] for length in (8, 13)]  # of some families all share the first part
    known = [c.uuid for c in profile.characteristics.values()]
    short = next(b for b in begins if sum(uuid.startswith(b) for uuid in known) == 1).removeprefix("0000")
    data = bytes.fromhex(vector["hex"])
    assert decode_packet(profile, short, data) == decode_packet(profile, vector["characteristic"], data)


@pytest.mark.parametrize(
    "vector", [v for v in VALID if v["direction"] == "to_device" and v["id"] not in REFUSED], ids=lambda v: v["id"]
)
def test_every_command_is_written_as_its_source_has_it(vector: dict[str, Any]) -> None:
    profile = get_profile(vector["device"])
    data = bytes.fromhex(vector["hex"])
    if "mid" in vector["decoded"]:
        decoded = decode_packet(profile, vector["characteristic"], data)
        assert encode_packet(profile, "message_command", decoded) == data
    else:
        written = decode_command(profile, vector["characteristic"], data)
        assert encode_command(profile, written.name, written.parameters) == data


@pytest.mark.parametrize(
    "vector",
    [v for v in VECTORS if v["device"] == "movella_dot" and v["direction"] == "from_device"],
    ids=lambda v: v["id"],
)
def test_every_packet_of_a_dot_is_written_as_its_source_has_it(vector: dict[str, Any]) -> None:
    profile = get_profile("movella_dot")
    data = bytes.fromhex(vector["hex"])
    role = profile.role_of(vector["characteristic"])
    decoded = decode_packet(profile, role, data, _told(vector))
    mode = vector["decoded"].get("payload_mode")
    name = next(n for n, p in profile.packets.items() if p.role == role and p.when.get("payload_mode") == mode)
    fields = {field.name for field in profile.packets[name].fields} or set(decoded)
    assert encode_packet(profile, name, {key: value for key, value in decoded.items() if key in fields}) == data


@pytest.mark.parametrize("profile", builtin_profiles(), ids=lambda p: p.family)
def test_the_profile_names_just_the_vectors_that_are_tested(profile: Profile) -> None:
    named = {(kind, name) for kind, names in profile.vectors.model_dump().items() for name in names}
    assert named == {(v["kind"], v["id"]) for v in VECTORS if v["device"] == profile.family}


def test_without_its_mode_a_payload_is_told_as_what_it_can_be() -> None:
    profile = get_profile("movella_dot")
    decoded = decode_packet(profile, "15172004", bytes.fromhex("d8052244af9640406b2aa7405add14c000000000"))
    assert decoded["timestamp_us"] == 1143080408
    assert decoded["candidates"] == [
        {"payload_mode": 4, "euler_xyz_deg": [3.009197, 5.223928, -2.3260102]},
        {"payload_mode": 6, "free_acceleration_m_s2": [3.009197, 5.223928, -2.3260102]},
    ]


def test_a_quaternion_of_length_1_without_padding_can_only_be_one() -> None:
    profile = get_profile("movella_dot")
    data = encode_packet(
        profile, "orientation_quaternion", {"timestamp_us": 7, "quaternion_wxyz": [0.5, -0.5, 0.5, 0.5]}
    )
    assert decode_packet(profile, "15172004", data) == {
        "payload_mode": 5,
        "payload_bytes": 20,
        "timestamp_us": 7,
        "quaternion_wxyz": [0.5, -0.5, 0.5, 0.5],
    }


def test_a_payload_cut_by_a_small_mtu_says_so() -> None:
    profile = get_profile("movella_dot")
    whole = encode_packet(profile, "extended_quaternion", {"timestamp_us": 9, "quaternion_wxyz": [1.0, 0.0, 0.0, 0.0]})
    decoded = decode_packet(profile, "15172003", whole[:20], {"payload_mode": 2})
    assert decoded["truncated"] is True
    assert decoded["valid_bytes"] == 20
    assert decoded["quaternion_wxyz"] == [1.0, 0.0, 0.0, 0.0]
    assert "free_acceleration_m_s2" not in decoded
    unknown = decode_packet(profile, "15172003", whole[:20])
    assert unknown["truncated"] is True
    assert unknown["timestamp_us"] == 9
