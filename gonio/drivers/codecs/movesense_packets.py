"""The packets of Movesense's GATT SensorData Protocol (GSP): what the host writes and what the sensor answers.

A command is a byte, a reference that the host chooses (1 to 255), and data; every answer carries the reference. Data
that do not fit into one notification come in two.

Source: movesense.com, GATT SensorData Protocol.
"""

from collections.abc import Mapping
from typing import Final

from gonio.drivers.codecs.movesense_data import can_be_whole, read_path, show_payload
from gonio.drivers.errors import CodecError

HELLO, SUBSCRIBE, UNSUBSCRIBE, FETCH_LOG, GET = range(5)
PUT_UTC, PUT_LOGGER_STATE = 8, 9
COMMANDS: Final[Mapping[int, str]] = {
    HELLO: "hello",
    SUBSCRIBE: "subscribe",
    UNSUBSCRIBE: "unsubscribe",
    FETCH_LOG: "fetch_log",
    GET: "get",
    5: "clear_log",
    6: "put_logger_config",
    7: "put_system_mode",
    PUT_UTC: "put_utc",
    PUT_LOGGER_STATE: "put_logger_state",
}
RESULT, DATA, DATA_PART_2 = 1, 2, 3
HEAD_BYTES: Final = 2
OK: Final = 200
_LOGGER_STATES: Final = {2: "stop", 3: "start"}
_HELLO_TEXTS: Final = ("serial", "product_name", "dfu_mac", "app_name", "app_version")
_PROTOCOL: Final = 1


def result_status(data: bytes) -> int:
    """Give the status of a result, as in HTTP; one old firmware wrote it with the high byte first.

    Raises:
        CodecError: these bytes are no result.
    """
    if len(data) < 4 or data[0] != RESULT:  # noqa: PLR2004 - result, reference, two bytes
        raise CodecError(f"{data.hex() or 'nothing'} is no result")
    little, big = int.from_bytes(data[2:4], "little"), int.from_bytes(data[2:4], "big")
    return big if not _is_status(little) and _is_status(big) else little


def _is_status(number: int) -> bool:
    return 100 <= number < 600  # noqa: PLR2004 - HTTP's


def show_command(data: bytes) -> dict[str, object]:
    """Decode a command that the host wrote.

    Raises:
        CodecError: no such command.
    """
    if len(data) < HEAD_BYTES:
        return {"truncated": True, "valid_bytes": len(data)}
    code, reference, rest = data[0], data[1], data[HEAD_BYTES:]
    if code not in COMMANDS:
        raise CodecError(f"{data.hex()} is no command of the GATT SensorData Protocol")
    decoded: dict[str, object] = {"command": COMMANDS[code], "reference": reference}
    return decoded | _arguments(code, rest) if rest else decoded


def _arguments(code: int, rest: bytes) -> dict[str, object]:
    if code in (SUBSCRIBE, GET):
        return {"path": rest.rstrip(b"\0").decode("ascii", "backslashreplace")}
    if code == FETCH_LOG:
        return {"log_id": int.from_bytes(rest, "little")}
    if code == PUT_UTC:
        return {"utc_us": int.from_bytes(rest, "little")}
    if code == PUT_LOGGER_STATE and rest[0] in _LOGGER_STATES:
        return {"state": _LOGGER_STATES[rest[0]]}
    return {"data_hex": rest.hex()}


def write_command(code: int, reference: int, rest: bytes = b"") -> bytes:
    """Write a command.

    Raises:
        CodecError: a number does not fit.
    """
    if code not in COMMANDS or not 0 < reference <= 255:  # noqa: PLR2004 - a byte
        raise CodecError(f"no command {code} with reference {reference}")
    return bytes((code, reference)) + rest


def show_answer(data: bytes, path: str | None) -> dict[str, object]:
    """Decode a notification.

    Args:
        data: the notification.
        path: what its reference was subscribed to, where that is known; without it a payload is not decoded.

    Raises:
        CodecError: it is none of the protocol.
    """
    if len(data) < HEAD_BYTES or (data[0] == RESULT and len(data) < 4):  # noqa: PLR2004 - with its status
        return {"truncated": True, "valid_bytes": len(data)}
    code, reference, payload = data[0], data[1], data[HEAD_BYTES:]
    if code == RESULT:
        return {
            "response": "command_result(1)",
            "reference": reference,
            "status": result_status(data),
            **_hello(payload[2:]),
        }
    if code == DATA:
        return {"response": "data(2)", "reference": reference, **_show_data(payload, path)}
    if code == DATA_PART_2:
        part = {"part": "second part", "part_hex": payload.hex()}
        return {"response": "data_part2(3)", "reference": reference, **part}
    raise CodecError(f"{data.hex()} is no answer of the GATT SensorData Protocol")


def _show_data(payload: bytes, path: str | None) -> dict[str, object]:
    known = None if path is None else read_path(path)
    whole = can_be_whole(len(payload)) if known is None else known.is_whole(len(payload))
    named = {} if known is None else {"path": known.text}
    if not whole:
        return {**named, "part": "first part", "part_hex": payload.hex()}
    if known is None:
        return {"payload_hex": payload.hex(), "needs": "the path that this reference was subscribed to (path)"}
    return {**named, **show_payload(known, payload)}


def show_joined(first: bytes, second: bytes, path: str | None) -> dict[str, object]:
    """Decode the second part of data beside its first; arguments and errors as ``show_answer``."""
    decoded = show_answer(second, path)
    if first[:1] != bytes((DATA,)) or first[1:2] != second[1:2]:
        return decoded
    payload = first[HEAD_BYTES:] + second[HEAD_BYTES:]
    decoded["joined_payload_hex"] = payload.hex()
    if path is not None and read_path(path).is_whole(len(payload)):
        decoded |= _show_data(payload, path)
    return decoded


def _hello(rest: bytes) -> dict[str, object]:
    """Decode what a result carries beyond its status: the answer to a hello, or something else."""
    if not rest:
        return {}
    texts = rest[1:].split(b"\0")
    if rest[0] != _PROTOCOL or len(texts) < len(_HELLO_TEXTS):
        return {"data_hex": rest.hex()}
    named = {name: text.decode("ascii", "backslashreplace") for name, text in zip(_HELLO_TEXTS, texts, strict=False)}
    return {"protocol_version": rest[0], **named}


def write_hello(reference: int, texts: Mapping[str, str]) -> bytes:
    """Write the answer to a hello; texts by the names of ``show_answer``."""
    body = b"".join(texts[name].encode("ascii") + b"\0" for name in _HELLO_TEXTS)
    return write_result(reference, OK) + bytes((_PROTOCOL,)) + body


def write_result(reference: int, status: int) -> bytes:
    """Write a result."""
    return bytes((RESULT, reference)) + status.to_bytes(2, "little")


def write_data(reference: int, payload: bytes, limit: int) -> list[bytes]:
    """Write data, in two notifications where one of ``limit`` bytes cannot hold them.

    Raises:
        CodecError: two cannot either.
    """
    room = limit - HEAD_BYTES
    if len(payload) > 2 * room:
        raise CodecError(f"{len(payload)} bytes do not fit into two notifications of {limit}")
    parts = [bytes((DATA, reference)) + payload[:room]]
    if len(payload) > room:
        parts.append(bytes((DATA_PART_2, reference)) + payload[room:])
    return parts
