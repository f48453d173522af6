"""Any single packet, read or written, in the units that the sensor sends."""

from collections.abc import Mapping, Sequence

from gonio.drivers.codecs import get_codec
from gonio.drivers.errors import CodecError
from gonio.errors import UsageError
from gonio.firmware_profiles.parts import CodecName
from gonio.firmware_profiles.schema import Profile


def decode_packet(
    profile: Profile, characteristic: str, data: bytes, settings: Mapping[str, object] | None = None
) -> dict[str, object]:
    """Decode one packet, read or written, in the units that it carries.

    Args:
        profile: the family.
        characteristic: UUID, the beginning of one (``15172004``, ``ffe4``), or role.
        data: the bytes.
        settings: what the packet does not say by itself (``payload_mode``, ``range_g``, ``firmware``); names that the
            family's codec does not know are ignored.

    Returns:
        Values by name. A cut packet gives what is whole in it, with ``truncated`` true. Where several payload modes
        fit the bytes and none is given, ``candidates`` lists what each would mean.

    Raises:
        UsageError: no such characteristic or setting.
        CodecError: the bytes are no packet of this characteristic.
    """
    role = profile.role_of(characteristic)
    known, told = _told(profile, role, settings or {})
    return get_codec(codec_of(known, role)).decode(known, role, data, told)


def decode_packets(
    profile: Profile, characteristic: str, packets: Sequence[bytes], settings: Mapping[str, object] | None = None
) -> list[dict[str, object] | CodecError]:
    """Decode packets that came one after the other; in place of a bad one stands its error.

    Arguments and errors as ``decode_packet``.
    """
    role = profile.role_of(characteristic)
    known, told = _told(profile, role, settings or {})
    return get_codec(codec_of(known, role)).decode_all(known, role, packets, told)


def _told(profile: Profile, role: str, settings: Mapping[str, object]) -> tuple[Profile, dict[str, object]]:
    """Give the profile of the firmware that was told, and the rest, the family's own settings by their values.

    A named codec also decodes what was recorded under settings that the profile has not: it gets them as they are.
    """
    told = dict(settings)
    known = profile.for_firmware(str(told.pop("firmware", "")))
    named = codec_of(known, role) != "struct"
    for name in [name for name in told if name in profile.settings or name in profile.learned]:
        try:
            told[name] = profile.resolve({name: told[name]})[name]
        except UsageError:
            if not named:
                raise
    return known, told


def codec_of(profile: Profile, role: str) -> CodecName:
    """Give the name of the codec that reads a characteristic."""
    names = [stream.codec for stream in profile.streams if stream.role == role]
    names += [packet.codec for packet in profile.packets.values() if packet.role == role]
    return next((name for name in names if name != "struct"), "struct")


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
    return get_codec(layout.codec).encode(profile, packet, values)


def find_packet(profile: Profile, packet: str, data: bytes) -> Mapping[str, object] | None:
    """Give what a packet of the profile says if it is in a value that was read or notified, or None."""
    return get_codec(profile.packets[packet].codec).find(profile, packet, data)


def reading_value(profile: Profile, name: str, data: bytes) -> int | float | str | None:
    """Find a reading ("battery", "firmware") in a value that was read or notified.

    Returns:
        The value (battery: percent), or None when these bytes do not hold it: whoever waits for an answer waits on.
    """
    reading = next((r for key, r in profile.readings.items() if key == name), None)
    if reading is None:
        return None
    value = (find_packet(profile, reading.packet, data) or {}).get(reading.value)
    return value if isinstance(value, int | float | str) else None
