"""The codec ``mbient_frame``: MbientLab's MetaMotion, by module, register and implementation."""

from collections.abc import Mapping

from gonio.drivers.codecs.base import Codec
from gonio.drivers.codecs.mbient_commands import decode_command
from gonio.drivers.codecs.mbient_frame import decode_frame, encode_frame
from gonio.drivers.codecs.mbient_registers import READ, SCALES, Implementation, RangeName
from gonio.drivers.codecs.mbient_stream import IMPLEMENTATIONS, MetaMotionReader, MetaMotionWriter
from gonio.drivers.errors import CodecError
from gonio.errors import UsageError
from gonio.firmware_profiles.parts import Number
from gonio.firmware_profiles.schema import Profile


class MetaMotionCodec(Codec):
    """Packets and commands of a MetaMotion."""

    def decode(self, profile: Profile, role: str, data: bytes, told: Mapping[str, object]) -> dict[str, object]:
        """Decode a packet, or on the characteristic that is written a command."""
        about_itself = len(data) > 1 and data[1] == READ  # it names implementations of its own
        implementation = None if about_itself else _implementation(told.get("implementation"))
        if any(command.role == role for command in profile.commands.values()):
            return decode_command(data, implementation)
        return decode_frame(data, implementation, _ranges(told))

    def encode(self, profile: Profile, packet: str, values: Mapping[str, object]) -> bytes:
        """Write a packet."""
        data = encode_frame(values)
        if not data.startswith(profile.packets[packet].prefix):
            raise CodecError(f"{data.hex()} is another packet than {packet}")
        return data

    def find(self, profile: Profile, packet: str, data: bytes) -> Mapping[str, object] | None:
        """Give what a packet says, if its module and register are those of the value and nothing is cut."""
        if not data.startswith(profile.packets[packet].prefix):
            return None
        try:
            decoded = decode_frame(data)
        except CodecError:
            return None
        return None if decoded.get("truncated") else decoded

    def reader(self, profile: Profile, settings: Mapping[str, Number]) -> MetaMotionReader:  # noqa: ARG002 - of the seam
        """Make the reader of a stream of packed packets."""
        return MetaMotionReader(settings)

    def writer(self, profile: Profile, settings: Mapping[str, Number]) -> MetaMotionWriter:  # noqa: ARG002 - of the seam
        """Make the writer of a stream of packed packets."""
        return MetaMotionWriter(settings)


CODEC = MetaMotionCodec()


def _implementation(told: object) -> Implementation | None:
    """Give the chip that was told by name, or by the number of the accelerometer's implementation.

    Raises:
        UsageError: there is no such.
    """
    if told is None:
        return None
    for number, chip in IMPLEMENTATIONS.items():
        if str(told).upper() in (chip, str(number)):
            return chip
    known = ", ".join(f"{chip} ({number})" for number, chip in IMPLEMENTATIONS.items())
    raise UsageError(f"implementation is one of {known}, not {told}")


def _ranges(told: Mapping[str, object]) -> dict[RangeName, int]:
    """Give the ranges that were told.

    Raises:
        UsageError: the sensor has no such range.
    """
    ranges: dict[RangeName, int] = {}
    for name, scales in SCALES.items():
        if name in told:
            known = [reach for reach in scales if str(told[name]) in (str(reach), f"{reach}.0")]
            if not known:
                raise UsageError(f"{name} is one of {', '.join(map(str, scales))}, not {told[name]}")
            ranges[name] = known[0]
    return ranges
