"""The codec ``wit_stream``: WitMotion's byte stream."""

from collections.abc import Mapping, Sequence

import numpy as np

from gonio.drivers.codecs.base import Codec, Notification
from gonio.drivers.codecs.clock import IntArray
from gonio.drivers.codecs.flat import find_fields
from gonio.drivers.codecs.flat_stream import FlatWriter, MotionFields, Records
from gonio.drivers.codecs.wit_packets import decode_stream_packet
from gonio.drivers.codecs.wit_stream import FrameStream
from gonio.drivers.fields import carried_dtype, encode_fields
from gonio.firmware_profiles.parts import Number
from gonio.firmware_profiles.schema import Profile
from gonio.signal.chunks import SampleChunk


class WitCodec(Codec):
    """Frames in a stream of bytes."""

    def decode(self, profile: Profile, role: str, data: bytes, told: Mapping[str, object]) -> dict[str, object]:  # noqa: ARG002 - of the seam
        """Decode the frames of one notification."""
        return decode_stream_packet({n: p for n, p in profile.packets.items() if p.role == role}, data)

    def encode(self, profile: Profile, packet: str, values: Mapping[str, object]) -> bytes:
        """Write one frame."""
        return encode_fields(profile.packets[packet], values)

    def find(self, profile: Profile, packet: str, data: bytes) -> Mapping[str, object] | None:
        """Find a frame of a kind among others."""
        stream = FrameStream()
        frames = (*stream.feed(data), *stream.finish())
        found = (find_fields(profile.packets[packet], frame.data) for frame in frames)
        return next((fields for fields in found if fields is not None), None)

    def reader(self, profile: Profile, settings: Mapping[str, Number]) -> "WitReader":
        """Make the reader of a stream."""
        return WitReader(profile, settings)

    def writer(self, profile: Profile, settings: Mapping[str, Number]) -> FlatWriter:
        """Make the writer of a stream."""
        return FlatWriter(profile, settings)


CODEC = WitCodec()


class WitReader:
    """Reads the motion frames out of the stream (``MotionReader``)."""

    restarts = 0  # it has no clock

    def __init__(self, profile: Profile, settings: Mapping[str, Number]) -> None:
        """Prepare for a stream; arguments and errors as ``Codec.reader``."""
        _, self._packet = profile.stream_packet(settings)
        self._motion = MotionFields(self._packet, settings)
        self._dtype = carried_dtype(self._packet.fields, self._packet.size)
        self._frames = FrameStream()

    @property
    def malformed(self) -> int:
        """Unbroken runs of bytes that belong to no frame."""
        return self._frames.foreign_runs

    def feed_all(self, notifications: Sequence[Notification]) -> SampleChunk | None:
        """Give the samples of the frames that notifications complete."""
        return self._samples(
            *self._frames.feed_all([n.data for n in notifications], [n.arrival_ns for n in notifications])
        )

    def finish(self) -> SampleChunk | None:
        """End the stream: give the frame that still waited for its successor, or None."""
        last = self._frames.finish()
        return self._samples(b"".join([f.data for f in last]), np.array([f.arrival_ns for f in last], np.int64))

    def _samples(self, frames: bytes, arrival_ns: IntArray) -> SampleChunk | None:
        wire = np.frombuffer(frames, np.uint8).reshape(-1, self._packet.size)
        mine = (wire[:, : len(self._packet.prefix)] == list(self._packet.prefix)).all(axis=1)
        if not mine.all():  # answers stand between the motion
            frames, arrival_ns = wire[mine].tobytes(), arrival_ns[mine]
        if not frames:
            return None
        records: Records = np.frombuffer(frames, self._dtype)
        acc, _ = self._motion.read(records, "acceleration")
        gyr, _ = self._motion.read(records, "angular_velocity")
        return SampleChunk(acc, gyr, None, np.multiply(arrival_ns, 1e-9))
