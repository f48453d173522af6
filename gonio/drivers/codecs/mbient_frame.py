"""One packet from a MetaMotion, read and written, in the units of the sensor's own ranges (g, dps, µT)."""

import math
import struct
from collections.abc import Mapping
from typing import Final

from gonio.drivers.codecs.base import candidates
from gonio.drivers.codecs.mbient_registers import (
    ACCELEROMETER,
    CHIPS,
    FRAME_BYTES,
    HEAD_BYTES,
    LOGGING,
    MODULES,
    READ,
    REGISTER_BITS,
    REGISTERS,
    SCALES,
    SETTINGS,
    TEMPERATURE,
    Implementation,
    Quantity,
    RangeName,
    Register,
)
from gonio.drivers.errors import CodecError
from gonio.drivers.fields import from_float32

_DIGITS: Final = 6  # of a scaled whole number
_FLOAT_DIGITS: Final = 9  # of a scaled float

#: Registers that answer a read and are never sent by themselves.
_ANSWERS: Final = {
    (SETTINGS, 0x0C),
    (SETTINGS, 0x11),
    (SETTINGS, 0x12),
    (TEMPERATURE, 0x01),
    (ACCELEROMETER, 0x1A),
    (LOGGING, 0x04),
}


def decode_frame(
    data: bytes,
    implementation: Implementation | None = None,
    ranges: Mapping[RangeName, int] | None = None,
) -> dict[str, object]:
    """Decode a packet from the sensor.

    Args:
        data: the packet.
        implementation: which chip measures; needed only where a register's meaning depends on it and its length
            leaves it open: then ``candidates`` lists each meaning.
        ranges: the ranges in force. Without the one needed, numbers are given as they are on the wire, under ``raw``,
            and ``missing`` names it.

    Returns:
        ``module``, ``register`` and the values by name. Of a cut packet what is whole in it, with ``truncated`` true.
        A register that is not in the tables gives its bytes as ``data_hex``.

    Raises:
        CodecError: these bytes are none of the sensor's packets, or no such range exists.
    """
    if len(data) < HEAD_BYTES:
        return {"truncated": True, "valid_bytes": len(data)}
    module, register, payload = data[0], data[1] & REGISTER_BITS, data[HEAD_BYTES:]
    if module not in MODULES or len(data) > FRAME_BYTES:
        raise CodecError(f"{len(data)} bytes beginning {data[:4].hex()} are no packet of a MetaMotion")
    if register == 0:
        return decode_module_info(module, payload)
    head: dict[str, object] = {"module": MODULES[module]}
    meanings = REGISTERS.get((module, register))
    if meanings is None:
        return {**head, "register": f"0x{register:02x}", "data_hex": payload.hex()}
    fitting = [m for m in meanings if implementation is None or m.implementation in (None, implementation)]
    whole = [m for m in fitting if m.size == len(payload)]
    possible = whole or [m for m in fitting if m.size > len(payload)]
    if not possible:
        of = f" of a {implementation}" if implementation else ""
        raise CodecError(
            f"{data.hex()} is no packet{of}: {MODULES[module]} register {register:02x} holds no such bytes"
        )
    each = [_decode_register(meaning, payload, ranges or {}) for meaning in possible]
    if len(each) == 1:
        return {**head, **each[0]}
    return {**head, **candidates(each)}


def decode_module_info(module: int, payload: bytes) -> dict[str, object]:
    """Decode the answer to a read of register 0: whether the module is there, and what it is."""
    present = bool(payload)
    decoded: dict[str, object] = {
        "register": "module_info",
        "module_id": module,
        "present": present,
        "implementation": payload[0] if present else None,
        "revision": payload[1] if len(payload) > 1 else None,
    }
    if not present:
        decoded["meaning"] = f"{MODULES[module]} absent (no implementation/revision bytes)"
    elif len(payload) == 1:
        decoded.update({"truncated": True, "valid_bytes": HEAD_BYTES + 1})
    else:
        chip = CHIPS.get(module, {}).get(payload[0])
        named = f" = {chip}" if chip else ""
        decoded["meaning"] = f"{MODULES[module]} present, implementation {payload[0]}{named}, revision {payload[1]}"
    if payload[2:]:
        decoded["data_hex"] = payload[2:].hex()
    return decoded


def _decode_register(meaning: Register, payload: bytes, ranges: Mapping[RangeName, int]) -> dict[str, object]:
    decoded: dict[str, object] = {}
    if meaning.implementation:
        decoded["implementation"] = meaning.implementation
    decoded["register"] = meaning.name
    if len(payload) < meaning.size:
        decoded.update({"truncated": True, "valid_bytes": HEAD_BYTES + len(payload)})
    at = 0
    for quantity in meaning.quantities:
        decoded.update(_decode_quantity(quantity, payload[at : at + quantity.size], ranges))
        at += quantity.size
    return decoded


def _decode_quantity(quantity: Quantity, data: bytes, ranges: Mapping[RangeName, int]) -> dict[str, object]:
    """Read what is whole: of several samples whole samples, of one its numbers."""
    unit = quantity.number_bytes * (quantity.count if quantity.samples > 1 else 1)
    whole = len(data) // unit * unit
    if whole == 0:
        return {}
    raw = [number for (number,) in struct.iter_unpack(f"<{quantity.code}", data[:whole])]
    told: dict[str, object] = {}
    if isinstance(quantity.scale, float | int):
        key, values = quantity.key, [_value(quantity, number, quantity.scale) for number in raw]
    elif quantity.scale not in ranges:
        key, values = "raw", raw
        told = {"missing": [quantity.scale]}
    else:
        reach = ranges[quantity.scale]
        key, values = quantity.key, [_value(quantity, number, scale_of(quantity.scale, reach)) for number in raw]
        told = {quantity.scale: reach}
    if quantity.samples > 1:
        return {**told, key: [values[i : i + quantity.count] for i in range(0, len(values), quantity.count)]}
    return {**told, key: values if quantity.count > 1 else values[0]}


def _value(quantity: Quantity, number: float, scale: float) -> int | float | str | None:
    if quantity.labels is not None:
        return quantity.labels.get(int(number), f"unknown(0x{int(number):02x})")
    if quantity.code != "f":
        return round(number * scale, _DIGITS) if scale != 1 else int(number)
    if not math.isfinite(number):
        return None
    shortest = from_float32(number)
    return shortest if scale == 1 else round(shortest * scale, _FLOAT_DIGITS)


def scale_of(name: RangeName, reach: int) -> float:
    """Give the unit for each count on the wire.

    Raises:
        CodecError: no such range.
    """
    scales = SCALES[name]
    if reach not in scales:
        raise CodecError(f"{name} is one of {', '.join(map(str, scales))}, not {reach}")
    return scales[reach]


def encode_frame(values: Mapping[str, object]) -> bytes:
    """Write a packet as the sensor sends it.

    Args:
        values: in the form that ``decode_frame`` gives, with the ``implementation`` where the register depends on it.

    Raises:
        CodecError: no such packet, or a value that it cannot hold.
    """
    if values.get("register") == "module_info":
        return _encode_module_info(values)
    for (module, register), meanings in REGISTERS.items():
        for meaning in meanings:
            if (MODULES[module], meaning.name) != (values.get("module"), values.get("register")):
                continue
            if meaning.implementation in (None, values.get("implementation", meaning.implementation)):
                answer = READ if (module, register) in _ANSWERS else 0
                body = b"".join(_encode_quantity(quantity, values) for quantity in meaning.quantities)
                return bytes((module, register | answer)) + body
    asked = " ".join(str(values[key]) for key in ("implementation", "module", "register") if key in values)
    raise CodecError(f"a MetaMotion sends no packet {asked!r}")


def _encode_module_info(values: Mapping[str, object]) -> bytes:
    module, present = values.get("module_id"), values.get("present", True)
    body = (values.get("implementation"), values.get("revision")) if present else ()
    try:
        return bytes((module, READ, *body))  # type: ignore[arg-type] # what is no byte raises
    except (TypeError, ValueError) as error:
        raise CodecError(f"module information {dict(values)} cannot be written") from error


def _encode_quantity(quantity: Quantity, values: Mapping[str, object]) -> bytes:
    given = values.get(quantity.key)
    numbers = _flat(given)
    if len(numbers) != quantity.count * quantity.samples:
        raise CodecError(f"{quantity.key}: {quantity.count * quantity.samples} numbers are needed, not {given!r}")
    scale = quantity.scale
    if not isinstance(scale, float | int):
        reach = values.get(scale)
        if not isinstance(reach, int):
            raise CodecError(f"{quantity.key}: {scale} is needed")
        scale = scale_of(scale, reach)
    try:
        return b"".join(struct.pack(f"<{quantity.code}", _raw(quantity, number, scale)) for number in numbers)
    except (struct.error, OverflowError, ValueError, TypeError) as error:
        raise CodecError(f"{quantity.key}: {given!r} cannot be written") from error


def _flat(given: object) -> list[object]:
    if isinstance(given, list | tuple):
        return [number for item in given for number in _flat(item)]
    return [given]


def _raw(quantity: Quantity, number: object, scale: float) -> int | float:
    if quantity.labels is not None:
        codes = [code for code, label in quantity.labels.items() if label == number]
        if not codes:
            raise ValueError(number)
        return codes[0]
    if not isinstance(number, int | float):
        raise TypeError(number)
    return number / scale if quantity.code == "f" else round(number / scale)
