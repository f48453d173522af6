"""Flat packets: the fields of a profile's packet read from bytes and written to bytes.

Here stand the only conversions between what sensors send (g, degrees a second) and SI.
"""

import math
import struct
from collections.abc import Mapping
from typing import Final, TypeAlias

import numpy as np

from gonio.drivers.errors import CodecError
from gonio.firmware_profiles.packets import TYPE_BYTES, Packet, PacketField
from gonio.signal.consts import STANDARD_GRAVITY

Value: TypeAlias = int | float | str | bool | None
Decoded: TypeAlias = dict[str, "Value | list[Value]"]

#: SI per unit, for the quantities that a stream of motion carries.
TO_SI: Final[Mapping[str, float]] = {
    "m/s2": 1.0,
    "g": STANDARD_GRAVITY,
    "mg": STANDARD_GRAVITY / 1000,
    "rad/s": 1.0,
    "dps": math.pi / 180,
}

_NUMPY: Final[Mapping[str, str]] = {
    "u8": "u1",
    "i8": "i1",
    "u16": "<u2",
    "i16": "<i2",
    "u32": "<u4",
    "i32": "<i4",
    "u64": "<u8",
    "f32": "<f4",
}
_STRUCT: Final = {"u8": "B", "i8": "b", "u16": "H", "i16": "h", "u32": "I", "i32": "i", "u64": "Q", "f32": "f"}
_TEXTS: Final = ("ascii", "version", "mac", "mac_le")
_DIGITS: Final = 6  # of a scaled whole number; the finest step in use is 3e-5


def _from_float32(value: float) -> float | None:
    """Give the shortest decimal that means this float32; None for what is no number."""
    return float(str(np.float32(value))) if math.isfinite(value) else None


def _number(field: PacketField, raw: float) -> Value:
    if field.steps:
        level = raw * field.scale + field.bias
        return next((value for least, value in field.steps if level >= least - 1e-9), 0)
    if field.type == "bool":
        return bool(raw)
    if field.labels:
        return field.labels.get(int(raw), int(raw))
    if field.scale == 1 and field.bias == 0:
        return _from_float32(raw) if field.type == "f32" else int(raw)
    value = raw * field.scale + field.bias
    whole = field.scale.is_integer() and field.bias.is_integer() and field.type != "f32"
    return int(value) if whole else round(value, _DIGITS) if math.isfinite(value) else None


def _text(field: PacketField, data: bytes) -> str:
    if field.type == "ascii":
        return data.split(b"\0", 1)[0].decode("ascii", "backslashreplace")
    if field.type == "version":
        return ".".join(str(byte) for byte in data)
    return (data[::-1] if field.type == "mac_le" else data).hex(":").upper()


def _read(field: PacketField, data: bytes) -> Decoded:
    """Read one field; of a cut one its whole elements, by the names of its parts."""
    if field.type in _TEXTS:
        part = data[field.offset : field.end]
        return {field.name: _text(field, part)} if len(part) == field.size else {}
    width = TYPE_BYTES[field.type]
    count = min(field.count, max(0, len(data) - field.offset) // width)
    if count == 0:
        return {}
    raw = struct.unpack_from(f"<{count}{_STRUCT.get(field.type, 'B')}", data, field.offset)
    if field.flags:
        return {field.name: [name for bit, name in field.flags.items() if raw[0] >> bit & 1]}
    values = [_number(field, item) for item in raw]
    if field.count == 1:
        return {field.name: values[0]}
    if count < field.count and field.parts:
        return dict(zip(field.parts, values, strict=False))
    return {field.name: values}


def decode_fields(packet: Packet, data: bytes) -> Decoded:
    """Read the fields of a packet, in their units on the wire.

    Args:
        packet: the layout.
        data: the bytes; of a cut packet the whole fields and elements are given, and ``truncated`` with
            ``valid_bytes``.

    Returns:
        Values by field name: numbers (rounded to six decimals where scaled), texts, lists; None for what is no number.
    """
    decoded: Decoded = {}
    if len(data) < packet.size:
        decoded.update({"truncated": True, "valid_bytes": len(data)})
    for field in packet.fields:
        decoded.update(_read(field, data))
    return decoded


def beyond_limit(packet: Packet, decoded: Decoded) -> list[str]:
    """Name the fields whose value the sensor cannot mean."""
    bad = []
    for field in packet.fields:
        value = decoded.get(field.name)
        values = value if isinstance(value, list) else [value]
        if field.limit is not None and any(isinstance(v, int | float) and abs(v) > field.limit for v in values):
            bad.append(field.name)
    return bad


def _raw(field: PacketField, value: object) -> int | float:
    if field.labels and isinstance(value, str):
        codes = [code for code, label in field.labels.items() if label == value]
        if not codes:
            raise CodecError(f"{field.name}: no code means {value!r}")
        return codes[0]
    if not isinstance(value, int | float):
        raise CodecError(f"{field.name}: {value!r} is no number")
    if field.type == "f32":
        return (value - field.bias) / field.scale
    exact = value if field.scale == 1 and field.bias == 0 else (value - field.bias) / field.scale
    return round(exact)


def _text_bytes(field: PacketField, value: object) -> bytes:
    if not isinstance(value, str):
        raise CodecError(f"{field.name}: {value!r} is no text")
    try:
        if field.type == "ascii":
            data = value.encode("ascii").ljust(field.size, b"\0")
        elif field.type == "version":
            data = bytes(int(part) for part in value.split("."))
        else:
            data = bytes.fromhex(value.replace(":", ""))
    except ValueError as error:
        raise CodecError(f"{field.name}: {value!r} cannot be written as {field.type}") from error
    if len(data) != field.size:
        raise CodecError(f"{field.name}: {value!r} does not take {field.size} bytes")
    return data[::-1] if field.type == "mac_le" else data


def encode_fields(packet: Packet, values: Mapping[str, object]) -> bytes:
    """Write a packet, padding included; fields that are not given are 0.

    Args:
        packet: the layout.
        values: by field name, in the form that ``decode_fields`` gives. A field with ``steps`` or ``flags`` cannot be
            written: give the one that covers the same bytes.

    Raises:
        CodecError: a field that the packet has not, or a value that it cannot hold.
    """
    data = bytearray(packet.wire_size)
    data[: len(packet.prefix)] = packet.prefix
    fields = {field.name: field for field in packet.fields}
    for name, value in values.items():
        field = fields.get(name)
        if field is None or field.derived:
            raise CodecError(f"the packet has no field {name} that can be written")
        if field.type in _TEXTS:
            data[field.offset : field.end] = _text_bytes(field, value)
            continue
        items = value if isinstance(value, list | tuple) else [value]
        if len(items) != field.count:
            raise CodecError(f"{name}: {len(items)} values for {field.count}")
        try:
            raw = [_raw(field, item) for item in items]
            struct.pack_into(f"<{field.count}{_STRUCT.get(field.type, 'B')}", data, field.offset, *raw)
        except (struct.error, OverflowError, ValueError) as error:
            raise CodecError(f"{name}: {value!r} does not fit into {field.type}") from error
    return bytes(data)


def motion_dtype(packet: Packet) -> np.dtype[np.void]:
    """Give the numpy type of one frame, with the fields ``time``, ``acceleration``, ``angular_velocity`` it carries."""
    carried = [field for field in packet.fields if field.carries]
    return np.dtype(
        {
            "names": [str(field.carries) for field in carried],
            "formats": [_NUMPY[f.type] if f.count == 1 else (_NUMPY[f.type], (f.count,)) for f in carried],
            "offsets": [field.offset for field in carried],
            "itemsize": packet.size,
        }
    )
