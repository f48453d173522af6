"""From notifications to samples and back: the codecs of the profiles, behind one interface.

``StreamDecoder`` and ``StreamEncoder`` are the two directions of a running stream; ``decode_packet`` and
``encode_packet`` of any single packet, in the units that the sensor sends.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from gonio.drivers.commands import decode_command, describe_command
from gonio.drivers.dot_message import decode_message, encode_message
from gonio.drivers.errors import CodecError
from gonio.drivers.fields import TO_SI, Decoded, Value, beyond_limit, decode_fields, encode_fields, motion_dtype
from gonio.drivers.wit_packets import decode_stream_packet
from gonio.drivers.wit_stream import MOTION, Frame, FrameStream
from gonio.errors import UsageError
from gonio.firmware_profiles.schema import Packet, PacketField, Profile
from gonio.signal.chunks import SampleChunk
from gonio.signal.consts import FloatArray

#: A step of the sensor's clock that differs by more than this from the host's elapsed time is a restart, not a gap:
#: a clock of 32 bits in µs cannot tell a restart after 36 to 71 minutes from a long gap by itself. Notifications can
#: be late by seconds, not by this much.
RESTART_DISAGREEMENT_S: Final = 30.0


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
        repeated: packets that were older than their predecessor by less than a second, and were dropped.
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

    @property
    def repeated(self) -> int:
        """Packets that were slightly older than their predecessor, and were dropped."""
        return self._clock.repeated if self._clock else 0

    def feed(self, notification: Notification) -> SampleChunk | None:
        """Give the samples that a notification completes, or None when there are none."""
        if notification.characteristic.lower() != self.characteristic:
            return None
        if self._frames is None:
            return self._packet_samples(notification)
        return self._frame_samples(self._frames.feed(notification.data, notification.arrival_ns))

    def finish(self) -> SampleChunk | None:
        """End the stream: give the sample that still waited for its successor, or None."""
        return self._frame_samples(self._frames.finish()) if self._frames else None

    def _packet_samples(self, notification: Notification) -> SampleChunk | None:
        data, size = notification.data, self._packet.size
        if not size <= len(data) <= self._packet.wire_size or any(data[size:]):
            self._malformed += 1
            return None
        record = np.frombuffer(data, self._dtype, 1)
        acc, gyr = self._si(record, "acceleration"), self._si(record, "angular_velocity")
        if acc is None or gyr is None:
            self._malformed += 1
            return None
        sensor_s = None
        if self._clock is not None:
            moment = self._clock.unwrap(int(record["time"][0]), notification.arrival_ns)
            if moment is None:
                return None
            sensor_s = np.array([moment])
        return SampleChunk(acc, gyr, sensor_s, np.array([notification.arrival_ns * 1e-9]))

    def _frame_samples(self, frames: list[Frame]) -> SampleChunk | None:
        motion = [frame for frame in frames if frame.data.startswith(MOTION)]
        if not motion:
            return None
        records = np.frombuffer(b"".join(frame.data for frame in motion), self._dtype)
        acc, gyr = self._si(records, "acceleration"), self._si(records, "angular_velocity")
        if acc is None or gyr is None:
            self._malformed += len(motion)
            return None
        return SampleChunk(acc, gyr, None, np.array([frame.arrival_ns * 1e-9 for frame in motion]))

    def _si(self, records: np.ndarray[tuple[int], np.dtype[np.void]], carries: str) -> FloatArray | None:
        """Give a quantity in SI, or None where it is no number or more than the sensor can mean."""
        field = _carrier(self._packet, carries)
        value = records[carries].astype(np.float64) * field.scale + field.bias
        if not np.isfinite(value).all() or (field.limit is not None and (np.abs(value) > field.limit).any()):
            return None
        si: FloatArray = value * TO_SI[field.unit]
        return si


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
        self.repeated = 0

    def unwrap(self, raw: int, arrival_ns: int) -> float | None:
        """Give the moment in s, or None for a packet older than its predecessor that is no restart."""
        if self._last is not None:
            step = (raw - self._last) % self._modulus
            elapsed_s = (arrival_ns - self._last_arrival_ns) * 1e-9
            if step >= self._modulus // 2:
                if (self._modulus - step) * self._tick_s < 1.0:
                    self.repeated += 1
                    return None
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

    def _put(self, records: np.ndarray[tuple[int], np.dtype[np.void]], carries: str, values: FloatArray) -> None:
        field = _carrier(self._packet, carries)
        wire = (values / TO_SI[field.unit] - field.bias) / field.scale
        kind = records.dtype[carries].base
        if kind.kind == "f":
            limit = (field.limit or np.inf) * (1 - 1e-6)
            records[carries] = np.clip(wire, -limit, limit)
        else:
            info = np.iinfo(kind)
            records[carries] = np.clip(np.rint(wire), info.min, info.max).astype(kind)


def decode_packet(
    profile: Profile, characteristic: str, data: bytes, settings: Mapping[str, object] | None = None
) -> dict[str, object]:
    """Decode one packet, read or written, in the units that it carries.

    Args:
        profile: the family.
        characteristic: UUID, the beginning of one (``15172004``, ``ffe4``), or role.
        data: the bytes.
        settings: what the packet does not say by itself (``payload_mode``); names that the family does not know are
            ignored here.

    Returns:
        Values by name. A cut packet gives what is whole in it, with ``truncated`` true. Where several payload modes
        fit the bytes and none is given, ``candidates`` lists what each would mean.

    Raises:
        UsageError: no such characteristic or setting.
        CodecError: the bytes are no packet of this characteristic.
    """
    role = profile.role_of(characteristic)
    chosen = profile.resolve({k: v for k, v in (settings or {}).items() if k in profile.settings})
    told = {k: chosen[k] for k in (settings or {}) if k in profile.settings}
    packets = {name: packet for name, packet in profile.packets.items() if packet.role == role}
    if any(packet.codec == "dot_message" for packet in packets.values()):
        return dict(decode_message(data))
    if any(packet.codec == "wit_stream" for packet in packets.values()):
        return decode_stream_packet(packets, data)
    written = _written(profile, role, data)
    if written is not None:
        return dict(written)
    if not packets:
        sizes = [command.size for command in profile.commands.values() if command.role == role]
        if sizes and len(data) < min(sizes):
            return {"truncated": True, "valid_bytes": len(data)}
        raise CodecError(f"{data.hex()} is no packet that {profile.family} has on {role}")
    return _decode_flat(profile, role, packets, data, told)


def _written(profile: Profile, role: str, data: bytes) -> Decoded | None:
    try:
        return describe_command(profile, decode_command(profile, role, data))
    except CodecError:
        return None


def _decode_flat(
    profile: Profile, role: str, packets: dict[str, Packet], data: bytes, told: Mapping[str, int | float]
) -> dict[str, object]:
    """Choose among the flat packets of a role: by the settings told, by prefix, by length, by what the bytes can be."""
    begun = [p for p in packets.values() if data.startswith(p.prefix) or p.prefix.startswith(data)]
    if told:
        begun = [p for p in begun if all(told.get(k, v) == v for k, v in p.when.items())]
        if not begun:
            asked = ", ".join(f"{k}={v}" for k, v in told.items())
            raise CodecError(f"{profile.family} sends nothing on {role} that can be decoded with {asked}")
    short = [p for p in begun if len(data) < p.size]
    fitting = [p for p in begun if p.size <= len(data) <= p.wire_size]
    if len(begun) > 1 and not short:
        fitting = [p for p in fitting if _plausible(p, data)] or fitting
    if len(begun) == 1 and short:
        return _decoded(begun[0], data)
    if len(fitting) == 1 and not (short and len(begun) > 1):
        return _decoded(fitting[0], data)
    if not fitting and not short:
        sizes = sorted({p.wire_size for p in packets.values()})
        raise CodecError(
            f"{len(data)} bytes beginning {data[:4].hex()} are no packet that {profile.family} sends on {role} "
            f"(its packets have {', '.join(map(str, sizes))} bytes)"
        )
    return _candidates(fitting or short, data)


def _plausible(packet: Packet, data: bytes) -> bool:
    """Tell whether the bytes can be this packet: zeros as padding, quaternions of length 1, numbers in range."""
    if any(data[packet.size :]):
        return False
    decoded = decode_fields(packet, data[: packet.size])
    quaternion = decoded.get("quaternion_wxyz", decoded.get("dq_wxyz"))
    if isinstance(quaternion, list):
        parts = [part for part in quaternion if isinstance(part, int | float)]
        if len(parts) < len(quaternion) or abs(sum(part * part for part in parts) - 1) > 0.01:  # noqa: PLR2004
            return False
    return not beyond_limit(packet, decoded) and all(v is not None for v in _flat(decoded))


def _flat(decoded: Decoded) -> list[Value]:
    return [item for value in decoded.values() for item in (value if isinstance(value, list) else [value])]


def _decoded(packet: Packet, data: bytes) -> dict[str, object]:
    decoded: dict[str, object] = {**packet.when}
    if packet.size_key and len(data) >= packet.size:
        decoded[packet.size_key] = packet.size
    values = decode_fields(packet, data[: packet.size])
    decoded.update(values)
    if len(data) > packet.size:
        decoded["padding_bytes"] = len(data) - packet.size
    if bad := beyond_limit(packet, values):
        decoded["out_of_range"] = bad
    return decoded


def _candidates(packets: list[Packet], data: bytes) -> dict[str, object]:
    """Give what every candidate says, then each by itself."""
    each = [_decoded(packet, data) for packet in packets]
    common: dict[str, object] = {
        key: value for key, value in each[0].items() if all(key in other and other[key] == value for other in each)
    }
    return {**common, "candidates": [{k: v for k, v in one.items() if k not in common} for one in each]}


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
    if layout.codec == "dot_message":
        rest = {k: v for k, v in values.items() if k not in ("mid", "reid", "checksum_ok")}
        return encode_message(str(values.get("mid")), str(values.get("reid")), rest)
    return encode_fields(layout, values)


def reading_value(profile: Profile, name: str, data: bytes) -> int | float | str | None:
    """Find a reading ("battery", "firmware") in a value that was read or notified.

    Returns:
        The value (battery: percent), or None when these bytes do not hold it: whoever waits for an answer waits on.
    """
    reading = next((r for key, r in profile.readings.items() if key == name), None)
    if reading is None:
        return None
    packet = profile.packets[reading.packet]
    frames: tuple[bytes, ...] = (data,)
    if packet.codec == "wit_stream":
        stream = FrameStream()
        frames = tuple(frame.data for frame in (*stream.feed(data), *stream.finish()))
    for frame in frames:
        if frame.startswith(packet.prefix) and len(frame) >= packet.size:
            decoded = decode_fields(packet, frame)
            value = decoded.get(reading.value)
            if isinstance(value, int | float | str) and reading.value not in beyond_limit(packet, decoded):
                return value
    return None
