"""The codec ``movesense_gsp``: Movesense's GATT SensorData Protocol."""

from collections.abc import Mapping, Sequence
from typing import Final

from gonio.drivers.codecs.base import Codec
from gonio.drivers.codecs.movesense_data import read_path, write_payload
from gonio.drivers.codecs.movesense_packets import (
    COMMANDS,
    DATA,
    DATA_PART_2,
    HEAD_BYTES,
    show_answer,
    show_command,
    show_joined,
    write_command,
    write_data,
    write_hello,
    write_result,
)
from gonio.drivers.codecs.movesense_stream import MovesenseReader, MovesenseWriter
from gonio.drivers.errors import CodecError
from gonio.firmware_profiles.parts import Number
from gonio.firmware_profiles.schema import Profile

#: Names of packets in the profile; that of the commands is their role's too.
COMMAND: Final = "command"
RESULT: Final = "result"
HELLO: Final = "hello"

_LONGEST_NOTIFICATION: Final = 244


class MovesenseCodec(Codec):
    """Commands, results, and data by the path that was subscribed to."""

    def decode(self, profile: Profile, role: str, data: bytes, told: Mapping[str, object]) -> dict[str, object]:  # noqa: ARG002 - of the seam
        """Decode a command or a notification."""
        return show_command(data) if role == COMMAND else show_answer(data, _path(told))

    def decode_all(
        self, profile: Profile, role: str, packets: Sequence[bytes], told: Mapping[str, object]
    ) -> list[dict[str, object] | CodecError]:
        """Decode packets that came one after the other; a second part is joined with its first."""
        decoded = super().decode_all(profile, role, packets, told)
        firsts: dict[int, bytes] = {}  # by reference
        for place, data in enumerate(packets):
            if role == COMMAND or len(data) < HEAD_BYTES:
                continue
            if data[0] == DATA:
                firsts[data[1]] = data
            elif data[0] == DATA_PART_2 and data[1] in firsts:
                decoded[place] = show_joined(firsts.pop(data[1]), data, _path(told))
        return decoded

    def encode(self, profile: Profile, packet: str, values: Mapping[str, object]) -> bytes:  # noqa: ARG002 - of the seam
        """Write a command without arguments or with a path, a result, the answer to a hello, or data of one packet."""
        reference, status = values.get("reference"), values.get("status", 200)
        if not isinstance(reference, int) or not isinstance(status, int) or not 0 <= reference < 256:  # noqa: PLR2004
            raise CodecError("a packet has a reference, and a result a status")
        if packet == COMMAND:
            code = next((code for code, name in COMMANDS.items() if name == values.get("command")), -1)
            return write_command(code, reference, str(values.get("path", "")).encode("ascii", "replace"))
        if packet == HELLO:
            return _hello(reference, values)
        if packet == RESULT:
            return write_result(reference, status)
        payload = write_payload(read_path(str(values.get("path"))), values)
        first, *more = write_data(reference, payload, _LONGEST_NOTIFICATION)
        if more:
            raise CodecError(f"{len(payload)} bytes of data do not fit into one packet of {_LONGEST_NOTIFICATION}")
        return first

    def find(self, profile: Profile, packet: str, data: bytes) -> Mapping[str, object] | None:  # noqa: ARG002 - of the seam
        """Give what a result, or the answer to a hello, says."""
        try:
            decoded = show_answer(data, None)
        except CodecError:
            return None
        wanted = "app_version" if packet == HELLO else "status"
        return decoded if wanted in decoded else None

    def reader(self, profile: Profile, settings: Mapping[str, Number]) -> MovesenseReader:  # noqa: ARG002 - of the seam
        """Make the reader of a stream."""
        return MovesenseReader(settings)

    def writer(self, profile: Profile, settings: Mapping[str, Number]) -> MovesenseWriter:  # noqa: ARG002 - of the seam
        """Make the writer of a stream."""
        return MovesenseWriter(settings)


def _hello(reference: int, values: Mapping[str, object]) -> bytes:
    try:
        return write_hello(reference, {name: str(text) for name, text in values.items()})
    except (KeyError, UnicodeEncodeError) as error:
        raise CodecError(f"the answer to a hello cannot be written from {', '.join(values)}") from error


def _path(told: Mapping[str, object]) -> str | None:
    return str(told["path"]) if "path" in told else None


CODEC = MovesenseCodec()
