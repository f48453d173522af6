"""The codec ``struct``: packets that are nothing but the fields of their profile, and streams of them."""

from collections.abc import Mapping

from gonio.drivers.codecs.base import Codec, candidates
from gonio.drivers.codecs.flat_stream import FlatReader, FlatWriter
from gonio.drivers.commands import decode_command, describe_command
from gonio.drivers.errors import CodecError
from gonio.drivers.fields import Decoded, beyond_limit, decode_fields, encode_fields, flattened
from gonio.firmware_profiles.parts import Number
from gonio.firmware_profiles.schema import Packet, Profile


class FlatCodec(Codec):
    """Flat packets, told apart by the settings under which they are sent, their prefix, and what the bytes can be."""

    def decode(self, profile: Profile, role: str, data: bytes, told: Mapping[str, object]) -> dict[str, object]:
        """Decode a packet; where several fit, ``candidates`` lists what each would mean."""
        written = _written(profile, role, data)
        if written is not None:
            return dict(written)
        packets = {name: packet for name, packet in profile.packets.items() if packet.role == role}
        if not packets:
            sizes = [command.size for command in profile.commands.values() if command.role == role]
            if sizes and len(data) < min(sizes):
                return {"truncated": True, "valid_bytes": len(data)}
            raise CodecError(f"{data.hex()} is no packet that {profile.family} has on {role}")
        return _choose(profile, role, packets, data, told)

    def encode(self, profile: Profile, packet: str, values: Mapping[str, object]) -> bytes:
        """Write a packet, padding included; fields that are not given are 0."""
        return encode_fields(profile.packets[packet], values, profile.resolve())

    def find(self, profile: Profile, packet: str, data: bytes) -> Mapping[str, object] | None:
        """Give the packet's fields; those that it cannot mean are left out."""
        return find_fields(profile.packets[packet], data)

    def reader(self, profile: Profile, settings: Mapping[str, Number]) -> FlatReader:
        """Make the reader of a stream."""
        return FlatReader(profile, settings)

    def writer(self, profile: Profile, settings: Mapping[str, Number]) -> FlatWriter:
        """Make the writer of a stream."""
        return FlatWriter(profile, settings)


CODEC = FlatCodec()


def find_fields(packet: Packet, data: bytes) -> Mapping[str, object] | None:
    """Give the fields of a packet whose prefix and length are right, without those whose value it cannot mean."""
    if not data.startswith(packet.prefix) or not packet.size <= len(data) <= packet.wire_size:
        return None
    decoded = decode_fields(packet, data)
    bad = beyond_limit(packet, decoded)
    return {name: value for name, value in decoded.items() if name not in bad}


def _written(profile: Profile, role: str, data: bytes) -> Decoded | None:
    try:
        return describe_command(profile, decode_command(profile, role, data))
    except CodecError:
        return None


def _choose(
    profile: Profile, role: str, packets: dict[str, Packet], data: bytes, told: Mapping[str, object]
) -> dict[str, object]:
    """Choose among the packets of a role: by the settings told, by prefix, by length, by what the bytes can be."""
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
    known = {*profile.settings, *profile.learned}
    settings = profile.resolve({name: value for name, value in told.items() if name in known})
    if len(possible) > 1:
        possible = [p for p in possible if _plausible(p, data)] or possible
    if len(possible) == 1:
        return _decoded(possible[0], data, settings)
    return candidates([_decoded(packet, data, settings) for packet in possible])


def _plausible(packet: Packet, data: bytes) -> bool:
    """Tell whether the bytes can be this packet: zeros as padding, quaternions of length 1, numbers in range."""
    if not packet.open_ended and any(data[packet.size :]):
        return False
    decoded = decode_fields(packet, data)
    quaternion = decoded.get("quaternion_wxyz", decoded.get("dq_wxyz"))
    if isinstance(quaternion, list) and len(quaternion) == 4:  # noqa: PLR2004 - not cut
        parts = [part for part in quaternion if isinstance(part, int | float)]
        if abs(sum(part * part for part in parts) - 1) > 0.01:  # noqa: PLR2004 - far above any rounding
            return False
    return not beyond_limit(packet, decoded) and all(v is not None for v in flattened(list(decoded.values())))


def _decoded(packet: Packet, data: bytes, settings: Mapping[str, Number]) -> dict[str, object]:
    decoded: dict[str, object] = {**packet.when}
    if packet.size_key and len(data) >= packet.size:
        decoded[packet.size_key] = packet.size
    decoded.update({f.scale_by: settings[f.scale_by] for f in packet.sample_fields if f.scale_by})
    values = decode_fields(packet, data, settings)
    decoded.update(values)
    if len(data) > packet.size and not packet.open_ended:
        decoded["padding_bytes"] = len(data) - packet.size
    if bad := beyond_limit(packet, values):
        decoded["out_of_range"] = bad
        invalid = [
            f"{field.name}: {values[field.name]} is invalid: it must be {field.valid[0]:g} to {field.valid[1]:g}"
            for field in packet.sample_fields
            if field.name in bad and field.valid
        ]
        if invalid:
            raise CodecError("; ".join(invalid))
    return decoded
