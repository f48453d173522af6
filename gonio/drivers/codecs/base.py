"""What a codec is: the way one kind of packets is read and written.

A profile names the codec of each packet and stream; the table of names stands in ``__init__.py`` beside this file.
``decode``, ``find`` and ``encode`` take single packets, in the units that the sensor sends; a reader and a writer are
the two directions of a running stream, in SI.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from gonio.drivers.errors import CodecError
from gonio.errors import UsageError
from gonio.firmware_profiles.parts import Number
from gonio.firmware_profiles.schema import Profile
from gonio.signal.chunks import SampleChunk
from gonio.signal.consts import FloatArray


@dataclass(frozen=True, slots=True)
class Notification:
    """What a sensor sent.

    Attributes:
        characteristic: UUID, lower case.
        data: the value.
        arrival_ns: the host's monotonic clock when it came.
    """

    characteristic: str
    data: bytes
    arrival_ns: int


class MotionReader(Protocol):
    """Turns the notifications of one stream into samples; bytes that are none are counted, never raised.

    Any division of the same notifications among calls gives bit-identical samples. What it holds back is bounded.
    """

    @property
    def malformed(self) -> int:
        """Packets (of a byte stream: unbroken runs of foreign bytes) that could not be decoded."""
        ...

    @property
    def restarts(self) -> int:
        """Times the sensor's clock began anew."""
        ...

    def feed_all(self, notifications: Sequence[Notification]) -> SampleChunk | None:
        """Give the samples that notifications of the stream's characteristic complete, in one chunk, or None."""
        ...

    def finish(self) -> SampleChunk | None:
        """End the stream: give what was held back, or None."""
        ...


class MotionWriter(Protocol):
    """Turns samples into the notifications that a sensor would send; the other side of a reader."""

    def encode(self, acc: FloatArray, gyr: FloatArray, sensor_s: FloatArray | None) -> list[bytes]:
        """Give the notifications that samples fill; what fills none yet is kept. See ``StreamEncoder.encode``."""
        ...

    def finish(self) -> list[bytes]:
        """Give what was kept."""
        ...

    def samples_in(self, value: bytes) -> int:
        """Samples that a notification of this writer completes (0 where it brings only the one half of them)."""
        ...


def candidates(each: Sequence[Mapping[str, object]]) -> dict[str, object]:
    """Put together what a packet can mean: what all (at least one) say, then under ``candidates`` each by itself."""
    common = {
        key: value for key, value in each[0].items() if all(key in other and other[key] == value for other in each)
    }
    return {**common, "candidates": [{k: v for k, v in one.items() if k not in common} for one in each]}


class Codec(ABC):
    """One kind of packets. It has no state."""

    @abstractmethod
    def decode(self, profile: Profile, role: str, data: bytes, told: Mapping[str, object]) -> dict[str, object]:
        """Decode one packet, read or written.

        Args:
            profile: the family.
            role: the characteristic.
            data: the bytes.
            told: what the packet does not carry and somebody has said: values of settings, and of whatever else the
                codec knows (``previous_timestamp_ns``, ``implementation``), numbers as numbers. Nothing is completed
                here: what is not in it nobody has said.

        Returns:
            Values by name, the unit in the name. A cut packet gives what is whole in it, with ``truncated`` true.

        Raises:
            CodecError: the bytes are no packet of this characteristic.
        """

    def decode_all(
        self, profile: Profile, role: str, packets: Sequence[bytes], told: Mapping[str, object]
    ) -> list[dict[str, object] | CodecError]:
        """Decode packets of one characteristic that came one after the other; of a bad one, give its error.

        A codec whose packets go on in the next one says here what they are together.
        """
        decoded: list[dict[str, object] | CodecError] = []
        for data in packets:
            try:
                decoded.append(self.decode(profile, role, data, told))
            except CodecError as error:
                decoded.append(error)
        return decoded

    @abstractmethod
    def encode(self, profile: Profile, packet: str, values: Mapping[str, object]) -> bytes:
        """Write one packet.

        Args:
            profile: the family.
            packet: its name in the profile.
            values: in the form that ``decode`` gives.

        Raises:
            CodecError: values that it cannot hold.
        """

    @abstractmethod
    def find(self, profile: Profile, packet: str, data: bytes) -> Mapping[str, object] | None:
        """Give what a packet says if it is in a value that was read or notified, or None: whoever waits, waits on.

        Args:
            profile: the family.
            packet: its name in the profile.
            data: the value; never raises, whatever it is.
        """

    def reader(self, profile: Profile, settings: Mapping[str, Number]) -> MotionReader:  # noqa: ARG002 - of the seam
        """Make the reader of a stream.

        Args:
            profile: the family.
            settings: settings and learned values, complete (as ``Profile.resolve`` gives them).

        Raises:
            UsageError: the family streams no motion under them.
        """
        raise UsageError(f"{profile.family} streams no motion")

    def writer(self, profile: Profile, settings: Mapping[str, Number]) -> MotionWriter:  # noqa: ARG002 - of the seam
        """Make the writer of a stream; arguments and errors as ``reader``."""
        raise UsageError(f"{profile.family} streams no motion")
