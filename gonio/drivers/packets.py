"""Any single packet, read or written, in the units that the sensor sends."""

from collections.abc import Mapping

from gonio.drivers.commands import decode_command, describe_command
from gonio.drivers.dot_message import decode_message, encode_message
from gonio.drivers.errors import CodecError
from gonio.drivers.fields import Decoded, Value, beyond_limit, decode_fields, encode_fields
from gonio.drivers.wit_packets import decode_stream_packet
from gonio.drivers.wit_stream import FrameStream
from gonio.errors import UsageError
from gonio.firmware_profiles.schema import Packet, Profile


def decode_packet(
    profile: Profile, characteristic: str, data: bytes, settings: Mapping[str, object] | None = None
) -> dict[str, object]:
    """Decode one packet, read or written, in the units that it carries.

    Args:
        profile: the family.
        characteristic: UUID, the beginning of one (``15172004``, ``ffe4``), or role.
        data: the bytes.
        settings: what the packet does not say by itself (``payload_mode``); names that the family does not know are
            ignored here.

    Returns:
        Values by name. A cut packet gives what is whole in it, with ``truncated`` true. Where several payload modes
        fit the bytes and none is given, ``candidates`` lists what each would mean.

    Raises:
        UsageError: no such characteristic or setting.
        CodecError: the bytes are no packet of this characteristic.
    """
    role = profile.role_of(characteristic)
    chosen = profile.resolve({k: v for k, v in (settings or {}).items() if k in profile.settings})
    told = {k: chosen[k] for k in (settings or {}) if k in profile.settings}
    packets = {name: packet for name, packet in profile.packets.items() if packet.role == role}
    if any(packet.codec == "dot_message" for packet in packets.values()):
        return dict(decode_message(data))
    if any(packet.codec == "wit_stream" for packet in packets.values()):
        return decode_stream_packet(packets, data)
    written = _written(profile, role, data)
    if written is not None:
        return dict(written)
    if not packets:
        sizes = [command.size for command in profile.commands.values() if command.role == role]
        if sizes and len(data) < min(sizes):
            return {"truncated": True, "valid_bytes": len(data)}
        raise CodecError(f"{data.hex()} is no packet that {profile.family} has on {role}")
    return _decode_flat(profile, role, packets, data, told)


def _written(profile: Profile, role: str, data: bytes) -> Decoded | None:
    try:
        return describe_command(profile, decode_command(profile, role, data))
    except CodecError:
        return None


def _decode_flat(
    profile: Profile, role: str, packets: dict[str, Packet], data: bytes, told: Mapping[str, int | float]
) -> dict[str, object]:
    """Choose among the flat packets of a role: by the settings told, by prefix, by length, by what the bytes can be."""
    begun = [p for p in packets.values() if data.startswith(p.prefix) or p.prefix.startswith(data)]
    if told:
        begun = [p for p in begun if all(told.get(k, v) == v for k, v in p.when.items())]
        if not begun:
            asked = ", ".join(f"{k}={v}" for k, v in told.items())
            raise CodecError(f"{profile.family} sends nothing on {role} that can be decoded with {asked}")
    possible = [p for p in begun if len(data) <= p.wire_size]
    if not possible:
        sizes = sorted({p.wire_size for p in packets.values()})
        raise CodecError(
            f"{len(data)} bytes beginning {data[:4].hex()} are no packet that {profile.family} sends on {role} "
            f"(its packets have {', '.join(map(str, sizes))} bytes)"
        )
    if len(possible) > 1:
        possible = [p for p in possible if _plausible(p, data)] or possible
    return _decoded(possible[0], data) if len(possible) == 1 else _candidates(possible, data)


def _plausible(packet: Packet, data: bytes) -> bool:
    """Tell whether the bytes can be this packet: zeros as padding, quaternions of length 1, numbers in range."""
    if any(data[packet.size :]):
        return False
    decoded = decode_fields(packet, data[: packet.size])
    quaternion = decoded.get("quaternion_wxyz", decoded.get("dq_wxyz"))
    if isinstance(quaternion, list) and len(quaternion) == 4:  # noqa: PLR2004 - not cut
        parts = [part for part in quaternion if isinstance(part, int | float)]
        if abs(sum(part * part for part in parts) - 1) > 0.01:  # noqa: PLR2004 - far above any rounding
            return False
    return not beyond_limit(packet, decoded) and all(v is not None for v in _flat(decoded))


def _flat(decoded: Decoded) -> list[Value]:
    return [item for value in decoded.values() for item in (value if isinstance(value, list) else [value])]


def _decoded(packet: Packet, data: bytes) -> dict[str, object]:
    decoded: dict[str, object] = {**packet.when}
    if packet.size_key and len(data) >= packet.size:
        decoded[packet.size_key] = packet.size
    values = decode_fields(packet, data[: packet.size])
    decoded.update(values)
    if len(data) > packet.size:
        decoded["padding_bytes"] = len(data) - packet.size
    if bad := beyond_limit(packet, values):
        decoded["out_of_range"] = bad
    return decoded


def _candidates(packets: list[Packet], data: bytes) -> dict[str, object]:
    """Give what every candidate says, then each by itself."""
    each = [_decoded(packet, data) for packet in packets]
    common: dict[str, object] = {
        key: value for key, value in each[0].items() if all(key in other and other[key] == value for other in each)
    }
    return {**common, "candidates": [{k: v for k, v in one.items() if k not in common} for one in each]}


def encode_packet(profile: Profile, packet: str, values: Mapping[str, object]) -> bytes:
    """Write a packet, padding included; fields that are not given are 0.

    Args:
        profile: the family.
        packet: its name in the profile.
        values: in the form that ``decode_packet`` gives; of a message ``mid`` and ``reid`` beside its arguments.

    Raises:
        UsageError: the profile has no such packet.
        CodecError: values that it cannot hold.
    """
    layout = profile.packets.get(packet)
    if layout is None:
        raise UsageError(f"{profile.family} has no packet {packet!r}; it has {', '.join(profile.packets)}")
    if layout.codec == "dot_message":
        rest = {k: v for k, v in values.items() if k not in ("mid", "reid", "checksum_ok")}
        return encode_message(str(values.get("mid")), str(values.get("reid")), rest)
    return encode_fields(layout, values)


def reading_value(profile: Profile, name: str, data: bytes) -> int | float | str | None:
    """Find a reading ("battery", "firmware") in a value that was read or notified.

    Returns:
        The value (battery: percent), or None when these bytes do not hold it: whoever waits for an answer waits on.
    """
    reading = next((r for key, r in profile.readings.items() if key == name), None)
    if reading is None:
        return None
    packet = profile.packets[reading.packet]
    frames: tuple[bytes, ...] = (data,)
    if packet.codec == "wit_stream":
        stream = FrameStream()
        frames = tuple(frame.data for frame in (*stream.feed(data), *stream.finish()))
    for frame in frames:
        if frame.startswith(packet.prefix) and len(frame) >= packet.size:
            decoded = decode_fields(packet, frame)
            value = decoded.get(reading.value)
            if isinstance(value, int | float | str) and reading.value not in beyond_limit(packet, decoded):
                return value
    return None
