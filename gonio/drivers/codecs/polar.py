"""The codec ``polar_pmd``: the measurement service of Polar's Verity Sense, OH1 and H10."""

from collections.abc import Mapping
from typing import Final

from gonio.drivers.codecs.base import Codec
from gonio.drivers.codecs.polar_control import (
    OPERATIONS,
    ControlAnswer,
    read_answer,
    show_control,
    write_answer,
    write_features,
)
from gonio.drivers.codecs.polar_frames import MEASUREMENTS
from gonio.drivers.codecs.polar_show import show_frame
from gonio.drivers.codecs.polar_stream import PolarReader
from gonio.drivers.codecs.polar_write import PolarWriter, write_decoded
from gonio.drivers.errors import CodecError
from gonio.firmware_profiles.parts import Number
from gonio.firmware_profiles.schema import Profile

#: Names of roles and packets in the profiles.
CONTROL_POINT: Final = "control_point"
ANSWER: Final = "control_answer"
FEATURES: Final = "features"


class PolarCodec(Codec):
    """Data frames, and the control point with its commands and answers."""

    def decode(self, profile: Profile, role: str, data: bytes, told: Mapping[str, object]) -> dict[str, object]:  # noqa: ARG002 - of the seam
        """Decode a frame, a command or an answer."""
        return show_control(data) if role == CONTROL_POINT else show_frame(data, told)

    def encode(self, profile: Profile, packet: str, values: Mapping[str, object]) -> bytes:  # noqa: ARG002 - of the seam
        """Write a frame, an answer, or the features."""
        if packet == FEATURES:
            supports = values.get("supports", ())
            return write_features([str(name) for name in supports] if isinstance(supports, list | tuple) else [])
        return _written_answer(values) if packet == ANSWER else write_decoded(values)

    def find(self, profile: Profile, packet: str, data: bytes) -> Mapping[str, object] | None:  # noqa: ARG002 - of the seam
        """Give what an answer or the features say, or None."""
        try:
            if packet == ANSWER:
                read_answer(data)
            return show_control(data)
        except CodecError:
            return None

    def reader(self, profile: Profile, settings: Mapping[str, Number]) -> PolarReader:
        """Make the reader of a stream."""
        return PolarReader(settings, gyro=profile.gyro)

    def writer(self, profile: Profile, settings: Mapping[str, Number]) -> PolarWriter:
        """Make the writer of a stream."""
        return PolarWriter(settings, gyro=profile.gyro)


def _written_answer(values: Mapping[str, object]) -> bytes:
    operation = next((code for code, name in OPERATIONS.items() if name == values.get("response_to")), None)
    measurement = next((code for code, name in MEASUREMENTS.items() if name == values.get("measurement")), None)
    status, more = values.get("status", 0), values.get("more", 0)
    if operation is None or measurement is None or not isinstance(status, int) or not isinstance(more, int):
        raise CodecError(f"no answer can be written from {', '.join(values)}")
    try:
        parameters = bytes.fromhex(str(values.get("params_hex", "")))
        return write_answer(ControlAnswer(operation, measurement, status, more, parameters))
    except ValueError as error:
        raise CodecError(f"no answer can be written: {error}") from error


CODEC = PolarCodec()
