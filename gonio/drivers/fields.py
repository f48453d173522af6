"""Flat packets: the fields of a profile's packet read from bytes and written to bytes.

Here stand the only conversions between what sensors send (g, degrees a second) and SI.
"""

import math
import re
import struct
from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

import numpy as np

from gonio.drivers.errors import CodecError
from gonio.firmware_profiles.packets import TEXTS, TYPE_BYTES, Packet, PacketField
from gonio.firmware_profiles.parts import Number
from gonio.signal.consts import STANDARD_GRAVITY

Value: TypeAlias = int | float | str | bool | None
Decoded: TypeAlias = dict[str, object]  # a Value, a list of them, or a list of such lists

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
    "i64": "<i8",
    "f32": "<f4",
    "f64": "<f8",
}
_STRUCT: Final = {
    "u8": "B",
    "i8": "b",
    "u16": "H",
    "i16": "h",
    "u32": "I",
    "i32": "i",
    "u64": "Q",
    "i64": "q",
    "f32": "f",
    "f64": "d",
}
_DIGITS: Final = 6  # of a scaled number at least; a finer scale shows as many as it has


def from_float32(value: float) -> float:
    """Give the shortest decimal that means this float32."""
    return float(str(np.float32(value)))


def field_scale(field: PacketField, settings: Mapping[str, Number]) -> float:
    """Give a field's scale under settings; without the one that decides it, what the profile has alone."""
    return field.scale * settings.get(field.scale_by, 1) if field.scale_by else field.scale


def _number(field: PacketField, raw: float, scale: float) -> Value:
    if field.steps:
        level = raw * scale + field.bias
        return next((value for least, value in field.steps if level >= least - 1e-9), 0)
    if field.type == "bool":
        return bool(raw)
    if field.labels:
        return field.labels.get(int(raw), int(raw))
    if not math.isfinite(raw):
        return None
    if scale == 1 and field.bias == 0:
        return raw if field.type == "f64" else from_float32(raw) if field.type == "f32" else int(raw)
    value = raw * scale + field.bias
    whole = float(scale).is_integer() and field.bias.is_integer() and field.type not in ("f32", "f64")
    return int(value) if whole else round(value, max(_DIGITS, math.ceil(-math.log10(abs(scale)))))


def _text(field: PacketField, data: bytes) -> str:
    if field.type == "ascii":
        return data.split(b"\0", 1)[0].decode("ascii", "backslashreplace")
    if field.type == "text":
        return data.rstrip(b"\0").decode("utf-8", "backslashreplace")
    if field.type == "version":
        return ".".join(str(byte) for byte in data)
    if field.type == "hex":
        return data.hex()
    if field.type == "datetime":
        year, *rest = struct.unpack("<H5B", data)
        return "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}".format(year, *rest)
    return (data[::-1] if field.type == "mac_le" else data).hex(":").upper()


def _read(field: PacketField, data: bytes, settings: Mapping[str, Number]) -> Decoded:
    """Read one field; of a cut one its whole elements, by the names of its parts."""
    if field.type in TEXTS:
        part = data[field.offset :] if field.type == "text" else data[field.offset : field.end]
        return {field.name: _text(field, part)} if len(part) >= field.size else {}
    count = min(field.count, max(0, len(data) - field.offset) // TYPE_BYTES[field.type])
    if count == 0:
        return {}
    raw = _numbers(field, data, count)
    if field.flags:
        return {field.name: [name for bit, name in field.flags.items() if int(raw[0]) >> bit & 1]}
    scale = field_scale(field, settings)
    values = [_number(field, item, scale) for item in raw]
    return {field.name: values[0]} if field.count == 1 else _shown(field, values)


def _shown(field: PacketField, values: list[Value]) -> Decoded:
    """Show the elements of a field as its profile wants them."""
    if field.parts and (len(values) < field.count or field.apart):
        return dict(zip(field.parts, values, strict=False))
    if field.rows:
        each = field.count // field.rows
        return {field.name: [values[at : at + each] for at in range(0, len(values), each)]}
    return {field.name: values}


def _numbers(field: PacketField, data: bytes, count: int) -> Sequence[int | float]:
    if field.type in ("u24", "i24"):
        ends = [field.offset + 3 * number for number in range(count)]
        return [int.from_bytes(data[i : i + 3], "little", signed=field.type == "i24") for i in ends]
    return struct.unpack_from(f"<{count}{_STRUCT.get(field.type, 'B')}", data, field.offset)


def decode_fields(packet: Packet, data: bytes, settings: Mapping[str, Number] | None = None) -> Decoded:
    """Read the fields of a packet, in their units on the wire.

    Args:
        packet: the layout.
        data: the bytes; of a cut packet the whole fields and elements are given, and ``truncated`` with
            ``valid_bytes``.
        settings: those that decide a field's scale.

    Returns:
        Values by field name: numbers (rounded to six decimals where scaled), texts, lists; None for what is no number.
    """
    decoded: Decoded = {}
    begun = (len(data) - packet.size) % packet.batch.size if packet.batch else 0
    if len(data) < packet.size or begun:
        decoded.update({"truncated": True, "valid_bytes": len(data)})
    for field in packet.fields:
        decoded.update(_read(field, data, settings or {}))
    if packet.batch:
        size = packet.batch.size
        starts = range(packet.size, len(data) - size + 1, size)
        for field in packet.batch.fields:
            each = [_read(field, data[at : at + size], settings or {}) for at in starts]
            decoded[field.name] = [one[field.name] for one in each]
    return decoded


def beyond_limit(packet: Packet, decoded: Decoded) -> list[str]:
    """Name the fields whose value the sensor cannot mean."""
    bad = []
    for field in packet.sample_fields:
        numbers = [v for v in flattened(decoded.get(field.name)) if isinstance(v, int | float)]
        least, most = field.valid or (-math.inf, math.inf)
        limit = math.inf if field.limit is None else field.limit
        if any(abs(v) > limit or not least <= v <= most for v in numbers):
            bad.append(field.name)
    return bad


def flattened(value: object) -> list[object]:
    """Give the single values of a decoded one, which may be a list of lists."""
    return [item for part in value for item in flattened(part)] if isinstance(value, list) else [value]


def _raw(field: PacketField, value: object, scale: float) -> int | float:
    if field.labels and isinstance(value, str):
        codes = [code for code, label in field.labels.items() if label == value]
        if not codes:
            raise CodecError(f"{field.name}: no code means {value!r}")
        return codes[0]
    if not isinstance(value, int | float):
        raise CodecError(f"{field.name}: {value!r} is no number")
    if field.type in ("f32", "f64"):
        return (value - field.bias) / scale
    exact = value if scale == 1 and field.bias == 0 else (value - field.bias) / scale
    return round(exact)


def _text_bytes(field: PacketField, value: object) -> bytes:
    if not isinstance(value, str):
        raise CodecError(f"{field.name}: {value!r} is no text")
    try:
        if field.type == "text":
            return value.encode()
        if field.type == "ascii":
            data = value.encode("ascii").ljust(field.size, b"\0")
        elif field.type == "version":
            data = bytes(int(part) for part in value.split("."))
        elif field.type == "datetime":
            year, *rest = (int(part) for part in re.split("[-T:]", value))
            data = struct.pack("<H5B", year, *rest)
        else:
            data = bytes.fromhex(value.replace(":", ""))
    except (ValueError, struct.error) as error:
        raise CodecError(f"{field.name}: {value!r} cannot be written as {field.type}") from error
    if len(data) != field.size:
        raise CodecError(f"{field.name}: {value!r} does not take {field.size} bytes")
    return data[::-1] if field.type == "mac_le" else data


def encode_fields(packet: Packet, values: Mapping[str, object], settings: Mapping[str, Number] | None = None) -> bytes:
    """Write a packet, padding included; fields that are not given are 0.

    Args:
        packet: the layout.
        values: by field name, in the form that ``decode_fields`` gives. A field with ``steps`` or ``flags`` cannot be
            written: give the one that covers the same bytes.
        settings: those that decide a field's scale.

    Raises:
        CodecError: a field that the packet has not, or a value that it cannot hold.
    """
    chosen = settings or {}
    data = bytearray(packet.size if packet.open_ended else packet.wire_size)
    data[: len(packet.prefix)] = packet.prefix
    batch = packet.batch
    listed = {f.name: values[f.name] for f in batch.fields if f.name in values} if batch else {}
    _write(packet.fields, {name: value for name, value in values.items() if name not in listed}, data, chosen)
    if batch:
        columns = {name: column if isinstance(column, list) else [] for name, column in listed.items()}
        counts = {len(column) for column in columns.values()} or {0}
        if len(counts) > 1 or max(counts) > batch.max:
            raise CodecError(f"the samples' fields are lists of the same length, at most {batch.max}")
        for number in range(max(counts)):
            element = bytearray(batch.size)
            _write(batch.fields, {name: column[number] for name, column in columns.items()}, element, chosen)
            data += element
    return bytes(data)


def _write(
    layout: Sequence[PacketField], values: Mapping[str, object], data: bytearray, settings: Mapping[str, Number]
) -> None:
    fields = {field.name: field for field in layout}
    for name, value in _joined(layout, values).items():
        field = fields.get(name)
        if field is None or field.derived:
            raise CodecError(f"the packet has no field {name} that can be written")
        if field.type in TEXTS:
            data[field.offset : None if field.type == "text" else field.end] = _text_bytes(field, value)
            continue
        items = value if isinstance(value, list | tuple) else [value]
        if field.rows:
            items = [item for row in items if isinstance(row, list | tuple) for item in row]
        if len(items) != field.count:
            raise CodecError(f"{name}: {len(items)} values for {field.count}")
        scale = field_scale(field, settings)
        try:
            _put(field, [_raw(field, item, scale) for item in items], data)
        except (struct.error, OverflowError, ValueError) as error:
            raise CodecError(f"{name}: {value!r} does not fit into {field.type}") from error


def _joined(layout: Sequence[PacketField], values: Mapping[str, object]) -> dict[str, object]:
    """Put the values of fields that are shown part by part together again."""
    joined = dict(values)
    for field in layout:
        if field.apart and all(part in joined for part in field.parts):
            joined[field.name] = [joined.pop(part) for part in field.parts]
    return joined


def _put(field: PacketField, raw: list[int | float], data: bytearray) -> None:
    if field.type in ("u24", "i24"):
        parts = [int(item).to_bytes(3, "little", signed=field.type == "i24") for item in raw]
        data[field.offset : field.end] = b"".join(parts)
    else:
        struct.pack_into(f"<{field.count}{_STRUCT.get(field.type, 'B')}", data, field.offset, *raw)


def carried_dtype(fields: Sequence[PacketField], size: int) -> np.dtype[np.void]:
    """Give the numpy type of ``size`` bytes, with what the fields carry by its name (``time``, ``acceleration``)."""
    carried = [field for field in fields if field.carries]
    return np.dtype(
        {
            "names": [str(field.carries) for field in carried],
            "formats": [_NUMPY[f.type] if f.count == 1 else (_NUMPY[f.type], (f.count,)) for f in carried],
            "offsets": [field.offset for field in carried],
            "itemsize": size,
        }
    )
