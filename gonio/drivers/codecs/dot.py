"""The codec ``dot_message``: the message service of Movella DOT."""

from collections.abc import Mapping

from gonio.drivers.codecs.base import Codec
from gonio.drivers.codecs.dot_message import decode_message, encode_message
from gonio.firmware_profiles.schema import Profile


class DotMessageCodec(Codec):
    """Messages with a checksum."""

    def decode(self, profile: Profile, role: str, data: bytes, told: Mapping[str, object]) -> dict[str, object]:  # noqa: ARG002 - of the seam
        """Read a message; it never raises."""
        return dict(decode_message(data))

    def encode(self, profile: Profile, packet: str, values: Mapping[str, object]) -> bytes:  # noqa: ARG002 - of the seam
        """Write a message: ``mid`` and ``reid`` beside its arguments."""
        arguments = {k: v for k, v in values.items() if k not in ("mid", "reid", "checksum_ok")}
        return encode_message(str(values.get("mid")), str(values.get("reid")), arguments)

    def find(self, profile: Profile, packet: str, data: bytes) -> Mapping[str, object] | None:  # noqa: ARG002 - of the seam
        """Give a whole message with a right sum."""
        message = decode_message(data)
        return message if message.get("checksum_ok") else None


CODEC = DotMessageCodec()
