"""From notifications to samples and back: the codecs of the profiles, behind one interface.

``StreamDecoder`` and ``StreamEncoder`` are the two directions of a running stream, in SI; ``decode_packet`` and
``encode_packet`` (from ``packets.py``) of any single packet, in the units that the sensor sends.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np

from gonio.drivers.fields import TO_SI, encode_fields, motion_dtype
from gonio.drivers.packets import decode_packet, encode_packet, reading_value
from gonio.drivers.wit_stream import Frame, FrameStream
from gonio.errors import UsageError
from gonio.firmware_profiles.schema import Packet, PacketField, Profile
from gonio.signal.chunks import SampleChunk
from gonio.signal.consts import BoolArray, FloatArray

__all__ = ["Notification", "StreamDecoder", "StreamEncoder", "decode_packet", "encode_packet", "reading_value"]

#: A step of the sensor's clock that differs by more than this from the host's elapsed time is a restart, not a gap:
#: a clock of 32 bits in µs cannot tell a restart after 36 to 71 minutes from a long gap by itself. Notifications can
#: be late by seconds, not by this much.
RESTART_DISAGREEMENT_S: Final = 30.0

#: A step back by less than this is a packet that the host delivered again, not a restart: no sensor starts to stream
#: within a second of its power-on.
REPEAT_S: Final = 1.0


_Records: TypeAlias = np.ndarray[tuple[int], np.dtype[np.void]]  # frames of one packet, by what they carry


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


class StreamDecoder:
    """Turns the notifications of one connection into samples; bytes that are none are counted, never raised.

    Attributes:
        characteristic: UUID of the stream; notifications of others are ignored.
        malformed: packets (of a byte stream: unbroken runs of bytes) that could not be decoded.
        restarts: times the sensor's clock began anew.
    """

    def __init__(self, profile: Profile, settings: Mapping[str, int | float]) -> None:
        """Prepare for a stream.

        Args:
            profile: the family.
            settings: chosen settings; the others are the profile's defaults.

        Raises:
            UsageError: under these settings the sensor sends no acceleration with angular velocity.
        """
        resolved = profile.resolve(settings)
        _, self._packet = profile.stream_packet(resolved)
        self.characteristic = profile.characteristic(self._packet.role).uuid
        self._dtype = motion_dtype(self._packet)
        self._clock = _Clock(profile) if self._packet.field("time") else None
        self._frames = FrameStream() if self._packet.codec == "wit_stream" else None
        self._malformed = 0

    @property
    def malformed(self) -> int:
        """Packets, or runs of foreign bytes, that could not be decoded."""
        return self._malformed + (self._frames.foreign_runs if self._frames else 0)

    @property
    def restarts(self) -> int:
        """Times the sensor's clock began anew."""
        return self._clock.restarts if self._clock else 0

    def feed(self, notification: Notification) -> SampleChunk | None:
        """Give the samples that a notification completes, or None when there are none."""
        return self.feed_all((notification,))

    def feed_all(self, notifications: Iterable[Notification]) -> SampleChunk | None:
        """Give the samples that several notifications complete, in one chunk: a queue costs little more than one."""
        mine = [n for n in notifications if n.characteristic.lower() == self.characteristic]
        if self._frames is None:
            return self._samples(self._whole_packets(mine))
        return self._samples([frame for n in mine for frame in self._frames.feed(n.data, n.arrival_ns)])

    def finish(self) -> SampleChunk | None:
        """End the stream: give the sample that still waited for its successor, or None."""
        return self._samples(self._frames.finish()) if self._frames else None

    def _whole_packets(self, notifications: list[Notification]) -> list[Frame]:
        """Take what has the packet's length and nothing but zeros as padding; count the rest."""
        size, wire_size = self._packet.size, self._packet.wire_size
        whole = [
            Frame(n.data[:size], n.arrival_ns)
            for n in notifications
            if size <= len(n.data) <= wire_size and not n.data[size:].strip(b"\0")
        ]
        self._malformed += len(notifications) - len(whole)
        return whole

    def _samples(self, frames: list[Frame]) -> SampleChunk | None:
        """Turn frames into samples; those of another kind are left out, those that make no sense are counted."""
        frames = [frame for frame in frames if frame.data.startswith(self._packet.prefix)]
        if not frames:
            return None
        records = np.frombuffer(b"".join(frame.data for frame in frames), self._dtype)
        acc, acc_ok = self._si(records, "acceleration")
        gyr, gyr_ok = self._si(records, "angular_velocity")
        ok = acc_ok & gyr_ok
        if not ok.all():
            self._malformed += int(np.count_nonzero(~ok))
            records, acc, gyr = records[ok], acc[ok], gyr[ok]
            frames = [frame for frame, good in zip(frames, ok, strict=True) if good]
            if not frames:
                return None
        sensor_s = None
        if self._clock is not None:
            raw = records["time"].tolist()
            moments = [self._clock.unwrap(t, frame.arrival_ns) for t, frame in zip(raw, frames, strict=True)]
            sensor_s = np.array(moments)
        return SampleChunk(acc, gyr, sensor_s, np.array([frame.arrival_ns * 1e-9 for frame in frames]))

    def _si(self, records: _Records, carries: str) -> tuple[FloatArray, BoolArray]:
        """Give a quantity (n, 3) in SI, and for each sample whether it is a number that the sensor can mean."""
        field = _carrier(self._packet, carries)
        with np.errstate(invalid="ignore"):  # a signalling NaN warns when it is converted
            value = records[carries].astype(np.float64) * field.scale + field.bias
        # no number compares as not within
        limit = field.limit or np.finfo(np.float64).max
        within: BoolArray = np.logical_and.reduce(np.abs(value) <= limit, axis=1)
        return value * TO_SI[field.unit], within


def _carrier(packet: Packet, carries: str) -> PacketField:
    field = packet.field(carries)
    if field is None:  # stream_packet gave a packet that carries both
        raise UsageError(f"the packet carries no {carries}")
    return field


class _Clock:
    """Undoes the wrap-around of a sensor's clock, and tells a restart from a wrap."""

    def __init__(self, profile: Profile) -> None:
        self._tick_s = profile.time.tick_s or 1.0
        self._modulus = 1 << (profile.time.bits or 64)
        self._last: int | None = None
        self._last_arrival_ns = 0
        self._base = 0
        self.restarts = 0

    def unwrap(self, raw: int, arrival_ns: int) -> float:
        """Give the moment in s; of a packet that came again (a second old at most) its own, earlier one."""
        if self._last is not None:
            step = (raw - self._last) % self._modulus
            elapsed_s = (arrival_ns - self._last_arrival_ns) * 1e-9
            if step >= self._modulus // 2:
                back = self._modulus - step
                if back * self._tick_s < REPEAT_S:
                    return (self._base + self._last - back) * self._tick_s
                self._restart()
            elif abs(step * self._tick_s - elapsed_s) > RESTART_DISAGREEMENT_S:
                self._restart()
            elif raw < self._last:
                self._base += self._modulus
        self._last, self._last_arrival_ns = raw, arrival_ns
        return (self._base + raw) * self._tick_s

    def _restart(self) -> None:
        self.restarts += 1
        self._base = 0


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
        _, self._packet = profile.stream_packet(resolved)
        self.characteristic = profile.characteristic(self._packet.role).uuid
        self._dtype = motion_dtype(self._packet)
        self._frames_each = self._packet.frames_at(resolved.get("rate_hz", 0))
        self._tick_s = profile.time.tick_s or 1.0
        self._modulus = 1 << (profile.time.bits or 64)
        blank = {f.name: [1.0, 0.0, 0.0, 0.0] for f in self._packet.fields if f.name == "quaternion_wxyz"}
        self._blank = encode_fields(self._packet, blank)
        self._held: list[bytes] = []

    def encode(self, acc: FloatArray, gyr: FloatArray, sensor_s: FloatArray | None = None) -> list[bytes]:
        """Give the notifications that these samples fill; frames that fill none yet are kept for the next call.

        Args:
            acc: (n, 3) specific force, m/s².
            gyr: (n, 3) angular velocity, rad/s.
            sensor_s: (n,) the sensor's own clock, s, from power-on; needed where the family sends one.

        Raises:
            UsageError: the family sends a clock and none is given.
        """
        size = self._packet.size
        wire = np.frombuffer(self._blank[:size] * len(acc), np.uint8).copy()
        records = wire.view(self._dtype)
        self._put(records, "acceleration", acc)
        self._put(records, "angular_velocity", gyr)
        if self._packet.field("time"):
            if sensor_s is None:
                raise UsageError("the family sends its clock: sensor_s is needed")
            ticks = np.rint(sensor_s / self._tick_s).astype(np.int64) % self._modulus
            records["time"] = ticks
        tail = self._blank[self._packet.size :]
        data = wire.tobytes()
        self._held += [data[i : i + size] + tail for i in range(0, len(data), size)]
        whole = len(self._held) // self._frames_each * self._frames_each
        ready, self._held = self._held[:whole], self._held[whole:]
        return [b"".join(ready[i : i + self._frames_each]) for i in range(0, whole, self._frames_each)]

    def finish(self) -> list[bytes]:
        """Give what was kept, as the last notification."""
        held, self._held = self._held, []
        return [b"".join(held)] if held else []

    def _put(self, records: _Records, carries: str, values: FloatArray) -> None:
        field = _carrier(self._packet, carries)
        wire = (values / TO_SI[field.unit] - field.bias) / field.scale
        kind = records.dtype[carries].base
        if kind.kind == "f":
            limit = (field.limit or np.inf) * (1 - 1e-6)
            records[carries] = np.clip(wire, -limit, limit)
        else:
            info = np.iinfo(kind)
            records[carries] = np.clip(np.rint(wire), info.min, info.max).astype(kind)
