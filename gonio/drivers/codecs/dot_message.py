"""Messages of Movella DOT: synchronisation, recording on board, configuration.

``MID, LEN, DATA[LEN], CHECKSUM``; all bytes together sum to 0 modulo 256. The first byte of DATA says which message
it is. Source: Xsens DOT BLE Services Specification XD0506P rev F; configuration: Movella's of 2023.
"""

from collections.abc import Mapping
from typing import Final

from gonio.drivers.errors import CodecError
from gonio.drivers.fields import Decoded, Value

MAX_BYTES: Final = 160  # of the message characteristics
_HEAD: Final = 2  # MID and LEN

MIDS: Final = {1: "recording", 2: "sync", 3: "configuration"}

#: Message names by MID and id.
MESSAGES: Final[Mapping[int, Mapping[int, str]]] = {
    1: {
        0x01: "ack",
        0x02: "get_state",
        0x30: "erase_flash",
        0x40: "start_recording",
        0x41: "stop_recording",
        0x42: "get_recording_time",
        0x50: "get_flash_info",
        0x60: "get_file_info",
        0x70: "get_file_data",
        0x73: "stop_export",
        0x74: "select_export_data",
        0x75: "retransmit",
        0x76: "invalid_packet",
    },
    2: {
        0x01: "start_sync",
        0x02: "stop_sync",
        0x03: "start_sync_result",
        0x08: "get_sync_status",
        0x50: "stop_sync_result",
        0x51: "sync_status",
    },
    3: {
        0x01: "mac_address",
        0x02: "device_tag",
        0x03: "serial_number",
        0x04: "factory_reset",
        0x05: "filter_profile_count",
        0x06: "filter_profile_name",
    },
}

_RECORDING_RESULTS: Final = {
    0x00: "success",
    0x02: "invalid",
    0x03: "flash_busy",
    0x06: "idle",
    0x30: "erasing",
    0x40: "recording",
    0x50: "exporting_flash_info",
    0x60: "exporting_file_info",
    0x70: "exporting_file_data",
}
_START_SYNC_RESULTS: Final = {
    0: "success",
    5: "too_few_samples",
    7: "skew_too_large",
    8: "start_timing",
    9: "not_started",
}
_STOP_SYNC_RESULTS: Final = {0: "success", 1: "failed"}
_SYNC_STATUS: Final = {0x04: "synced", 0x09: "not_synced"}
_EXPORT_IDS: Final = {
    0x00: "timestamp",
    0x01: "quaternion",
    0x04: "euler",
    0x05: "dq",
    0x06: "dv",
    0x07: "acc",
    0x08: "gyr",
    0x09: "mag",
    0x0A: "status",
    0x0B: "clip_count_acc",
    0x0C: "clip_count_gyr",
}

#: What follows the id: (key, kind) in order. Kinds: a width in bytes (unsigned), "mac" (reversed), "ids", "rest",
#: or a table of names.
_Kind = int | str | Mapping[int, str]
_ARGUMENTS: Final[Mapping[tuple[int, int], tuple[tuple[str, _Kind], ...]]] = {
    (1, 0x01): (("result", _RECORDING_RESULTS), ("ack_of_reid", MESSAGES[1])),
    (1, 0x30): (("utc_s", 4),),
    (1, 0x40): (("utc_s", 4), ("recording_time_s", 2)),
    (1, 0x60): (("file", 1),),
    (1, 0x70): (("file", 1),),
    (1, 0x74): (("ids", "ids"),),
    (2, 0x01): (("root_mac", "mac"),),
    (2, 0x03): (("result", _START_SYNC_RESULTS),),
    (2, 0x50): (("result", _STOP_SYNC_RESULTS),),
    (2, 0x51): (("status", _SYNC_STATUS),),
}
#: The specification's examples name these without their number.
_BARE: Final = {(2, 0x03), (2, 0x50)}
_MAC_BYTES: Final = 6


def _named(table: Mapping[int, str], code: int, *, bare: bool = False) -> str:
    name = table.get(code, "unknown")
    return name if bare and code in table else f"{name}(0x{code:02x})"


def _export_name(code: int) -> str:
    return f"{_EXPORT_IDS.get(code, 'unknown')}({code:02x})"


def decode_message(data: bytes) -> Decoded:
    """Read a message; a cut one says ``truncated``, a wrong sum ``checksum_ok: false``. It never raises."""
    if len(data) <= _HEAD or len(data) < _HEAD + data[1] + 1 or data[1] == 0:
        return {"truncated": True, "valid_bytes": len(data)}
    mid, length = data[0], data[1]
    end = _HEAD + length
    reid, rest = data[_HEAD], data[_HEAD + 1 : end]
    names = MESSAGES.get(mid, {})
    decoded: Decoded = {
        "checksum_ok": sum(data[: end + 1]) % 256 == 0,
        "mid": MIDS.get(mid, f"unknown(0x{mid:02x})"),
        "reid": names.get(reid, f"unknown(0x{reid:02x})"),
    }
    for key, kind in _arguments(mid, reid, rest):
        if isinstance(kind, int):
            value, rest = _take(rest, kind)
            decoded[key] = value
        elif kind == "mac":
            decoded[key], rest = rest[:_MAC_BYTES][::-1].hex(":").upper(), rest[_MAC_BYTES:]
        elif kind == "ids":
            ids: list[Value] = [_export_name(code) for code in rest]
            decoded[key], rest = ids, b""
        elif rest and not isinstance(kind, str):
            decoded[key], rest = _named(kind, rest[0], bare=(mid, reid) in _BARE), rest[1:]
    if rest:
        decoded["data_hex"] = rest.hex()
    return decoded


def _arguments(mid: int, reid: int, rest: bytes) -> tuple[tuple[str, _Kind], ...]:
    """Give what follows the id; an acknowledgement of an export selection repeats the selection."""
    arguments = _ARGUMENTS.get((mid, reid), ())
    if (mid, reid) == (1, 1) and len(rest) > 1 and rest[1] == 0x74:  # noqa: PLR2004 - select_export_data
        return (*arguments, ("ids", "ids"))
    return arguments


def _take(rest: bytes, width: int) -> tuple[int | None, bytes]:
    if len(rest) < width:
        return None, b""
    return int.from_bytes(rest[:width], "little"), rest[width:]


def encode_message(mid: str, reid: str, arguments: Mapping[str, object] | None = None) -> bytes:
    """Write a message with its checksum.

    Args:
        mid: group, such as "sync".
        reid: message, such as "start_sync".
        arguments: what follows, by the keys and in the form of ``decode_message``.

    Raises:
        CodecError: no such message, or an argument that it has not or cannot hold.
    """
    number = _code(MIDS, mid)
    code = _code(MESSAGES.get(number, {}), reid)
    given = dict(arguments or {})
    body = bytes([code])
    rest_kinds = _ARGUMENTS.get((number, code), ())
    if "ids" in given and (number, code) == (1, 1):
        rest_kinds = (*rest_kinds, ("ids", "ids"))
    for key, kind in rest_kinds:
        if key in given:
            body += _argument_bytes(key, kind, given.pop(key))
    body += _hex(given.pop("data_hex", ""))
    if given:
        raise CodecError(f"message {mid} {reid} has no {', '.join(given)}")
    if _HEAD + len(body) + 1 > MAX_BYTES:
        raise CodecError(f"message {mid} {reid} is over {MAX_BYTES} bytes")
    message = bytes([number, len(body)]) + body
    return message + bytes([-sum(message) % 256])


def _hex(value: object) -> bytes:
    try:
        return bytes.fromhex(str(value).replace(":", ""))
    except ValueError as error:
        raise CodecError(f"{value!r} is not hexadecimal") from error


def _code(table: Mapping[int, str], name: str) -> int:
    bare = name.split("(", 1)[0]
    for code, known in table.items():
        if known == bare:
            return code
    number = name[len(bare) + 1 : -1]
    try:
        code = int(number, 16)
    except ValueError:
        code = -1
    if not 0 <= code <= 255:  # noqa: PLR2004 - a byte
        raise CodecError(f"no message part is called {name!r}; known are {', '.join(table.values())}")
    return code


def _argument_bytes(key: str, kind: _Kind, value: object) -> bytes:
    if isinstance(kind, int):
        if not isinstance(value, int) or not 0 <= value < 256**kind:
            raise CodecError(f"{key}: {value!r} does not fit into {kind} bytes")
        return value.to_bytes(kind, "little")
    if kind == "mac":
        address = _hex(value)
        if len(address) != _MAC_BYTES:
            raise CodecError(f"{key}: {value!r} is no address")
        return address[::-1]
    if kind == "ids":
        if not isinstance(value, list | tuple):
            raise CodecError(f"{key}: a list is needed")
        return bytes(_code(_EXPORT_IDS, str(item)) for item in value)
    return bytes([_code(kind, str(value))]) if not isinstance(kind, str) else b""
