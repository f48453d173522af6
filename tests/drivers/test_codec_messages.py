"""Messages of Movella DOT."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gonio.drivers.codecs.dot_message import MESSAGES, MIDS, decode_message, encode_message
from gonio.drivers.errors import CodecError


@settings(deadline=None)
@given(st.binary(max_size=170))
def test_anything_decodes_to_something(data: bytes) -> None:
    decoded = decode_message(data)
    assert "checksum_ok" in decoded or decoded["truncated"] is True


@settings(deadline=None)
@given(st.binary(min_size=1, max_size=20), st.sampled_from(sorted(MIDS)))
def test_what_a_message_says_makes_the_same_message(body: bytes, mid: int) -> None:
    data = bytes([mid, len(body)]) + body
    data += bytes([-sum(data) % 256])
    decoded = decode_message(data)
    if any(value is None or str(value).startswith("unknown") for value in decoded.values()):
        return
    arguments = {key: value for key, value in decoded.items() if key not in ("checksum_ok", "mid", "reid")}
    if len(str(arguments.get("root_mac", "0" * 17))) != 17:
        return  # an address cut short
    assert encode_message(str(decoded["mid"]), str(decoded["reid"]), arguments) == data


@pytest.mark.parametrize(("mid", "reid"), [(MIDS[m], name) for m, names in MESSAGES.items() for name in names.values()])
def test_every_message_has_a_form_without_arguments(mid: str, reid: str) -> None:
    decoded = decode_message(encode_message(mid, reid))
    assert (decoded["mid"], decoded["reid"], decoded["checksum_ok"]) == (mid, reid, True)


def test_a_start_of_recording_tells_when_and_how_long() -> None:
    data = encode_message("recording", "start_recording", {"utc_s": 1_600_000_000, "recording_time_s": 60})
    assert data[:3] == bytes([1, 7, 0x40])
    assert decode_message(data)["utc_s"] == 1_600_000_000
    assert decode_message(data)["recording_time_s"] == 60


def test_a_wrong_sum_is_told_and_the_content_still_shown() -> None:
    data = bytes.fromhex("02025104a8")
    assert decode_message(data) == {
        "checksum_ok": False,
        "mid": "sync",
        "reid": "sync_status",
        "status": "synced(0x04)",
    }


@pytest.mark.parametrize("length", range(5))
def test_a_cut_message_says_so(length: int) -> None:
    assert decode_message(bytes.fromhex("02025104a7")[:length]) == {"truncated": True, "valid_bytes": length}


@pytest.mark.parametrize(
    ("mid", "reid", "arguments"),
    [
        ("dance", "start_sync", {}),
        ("sync", "dance", {}),
        ("sync", "start_sync", {"root_mac": "D4:22"}),
        ("sync", "start_sync", {"colour": "red"}),
        ("recording", "get_file_info", {"file": 256}),
        ("configuration", "device_tag", {"data_hex": "00" * 200}),
        ("configuration", "device_tag", {"data_hex": "zz"}),
    ],
)
def test_a_message_that_cannot_be_is_refused(mid: str, reid: str, arguments: dict[str, object]) -> None:
    with pytest.raises(CodecError):
        encode_message(mid, reid, arguments)
