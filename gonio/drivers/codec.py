"""From notifications to samples and back: the codecs of the profiles, behind one interface.

``StreamDecoder`` and ``StreamEncoder`` are the two directions of a running stream, in SI; ``decode_packet`` and
``encode_packet`` (from ``packets.py``) of any single packet, in the units that the sensor sends.
"""

from collections.abc import Iterable, Mapping

from gonio.drivers.codecs import get_codec
from gonio.drivers.codecs.base import Notification
from gonio.drivers.packets import decode_packet, encode_packet, reading_value
from gonio.firmware_profiles.schema import Profile
from gonio.signal.chunks import SampleChunk
from gonio.signal.consts import FloatArray

__all__ = ["Notification", "StreamDecoder", "StreamEncoder", "decode_packet", "encode_packet", "reading_value"]


class StreamDecoder:
    """Turns the notifications of one connection into samples; bytes that are none are counted, never raised.

    Attributes:
        stream: what a session streams under the settings.
        characteristic: UUID of the stream; notifications of others are ignored.
    """

    def __init__(self, profile: Profile, settings: Mapping[str, int | float]) -> None:
        """Prepare for a stream.

        Args:
            profile: the family.
            settings: chosen settings, and what the link learned; the others are the profile's defaults.

        Raises:
            UsageError: under these settings the sensor sends no acceleration with angular velocity.
        """
        resolved = profile.resolve(settings)
        self.stream = profile.stream(resolved)
        self.characteristic = profile.characteristic(self.stream.role).uuid
        self._reader = get_codec(self.stream.codec).reader(profile, resolved)

    @property
    def malformed(self) -> int:
        """Packets, or runs of foreign bytes, that could not be decoded."""
        return self._reader.malformed

    @property
    def restarts(self) -> int:
        """Times the sensor's clock began anew."""
        return self._reader.restarts

    def feed(self, notification: Notification) -> SampleChunk | None:
        """Give the samples that a notification completes, or None when there are none."""
        return self.feed_all((notification,))

    def feed_all(self, notifications: Iterable[Notification]) -> SampleChunk | None:
        """Give the samples that several notifications complete, in one chunk: a queue costs little more than one."""
        uuid = self.characteristic
        return self._reader.feed_all(
            [n for n in notifications if n.characteristic == uuid or n.characteristic.lower() == uuid]
        )

    def finish(self) -> SampleChunk | None:
        """End the stream: give what still waited for its successor, or None."""
        return self._reader.finish()


class StreamEncoder:
    """Turns samples into the notifications that a sensor of the family would send; the other side of StreamDecoder.

    Fields that carry neither time, acceleration nor angular velocity are 0 (a quaternion: no rotation). Values beyond
    the range of the wire stay at its end, as a sensor's do.

    Attributes:
        characteristic: UUID of the stream.
    """

    def __init__(self, profile: Profile, settings: Mapping[str, int | float]) -> None:
        """Prepare for a stream; arguments and errors as ``StreamDecoder``."""
        resolved = profile.resolve(settings)
        stream = profile.stream(resolved)
        self.characteristic = profile.characteristic(stream.role).uuid
        self._writer = get_codec(stream.codec).writer(profile, resolved)

    def encode(self, acc: FloatArray, gyr: FloatArray, sensor_s: FloatArray | None = None) -> list[bytes]:
        """Give the notifications that these samples fill; what fills none yet is kept for the next call.

        Args:
            acc: (n, 3) specific force, m/s².
            gyr: (n, 3) angular velocity, rad/s; not looked at where the family has no gyroscope.
            sensor_s: (n,) the sensor's own clock, s, from power-on; needed where the family sends one.

        Raises:
            UsageError: the family sends a clock and none is given.
        """
        return self._writer.encode(acc, gyr, sensor_s)

    def finish(self) -> list[bytes]:
        """Give what was kept, as the last notification."""
        return self._writer.finish()

    def samples_in(self, value: bytes) -> int:
        """Samples that a notification of this encoder completes (0 where it brings only the one half of them)."""
        return self._writer.samples_in(value)
