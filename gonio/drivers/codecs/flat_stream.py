"""Streams of flat packets: one sample a packet, or a batch of them behind one time."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple, TypeAlias

import numpy as np

from gonio.drivers.codecs.base import Notification
from gonio.drivers.codecs.clock import IntArray, SensorClock
from gonio.drivers.fields import TO_SI, carried_dtype, encode_fields, field_scale
from gonio.errors import UsageError
from gonio.firmware_profiles.packets import Packet
from gonio.firmware_profiles.parts import Number
from gonio.firmware_profiles.schema import Profile
from gonio.signal.chunks import SampleChunk
from gonio.signal.consts import BoolArray, FloatArray

Records: TypeAlias = np.ndarray[tuple[int], np.dtype[np.void]]  # frames of one packet, by what they carry


class MotionFields:
    """Acceleration and angular velocity in SI, from and to the fields of a packet that carry them."""

    def __init__(self, packet: Packet, settings: Mapping[str, Number]) -> None:
        """Prepare; ``settings`` decide the scales."""
        self._fields = {name: packet.field(name) for name in ("acceleration", "angular_velocity")}
        self._scales = {name: field_scale(field, settings) for name, field in self._fields.items() if field}

    def read(self, records: Records, carries: str) -> tuple[FloatArray, BoolArray]:
        """Give a quantity (n, 3) in SI, NaN where the family has it not, and which samples can be meant."""
        field = self._fields[carries]
        if field is None:
            return np.full((len(records), 3), np.nan), np.ones(len(records), np.bool_)
        within: BoolArray
        with np.errstate(invalid="ignore"):  # a signalling NaN warns when it is converted
            value = records[carries].astype(np.float64)
            value *= self._scales[carries]
        if field.bias:
            value += field.bias
        limit = field.limit or np.finfo(np.float64).max
        if field.type.startswith("f") or field.limit:  # no number compares as not within
            within = np.logical_and.reduce(np.abs(value) <= limit, axis=1)
        else:
            within = np.ones(len(records), np.bool_)
        value *= TO_SI[field.unit]
        return value, within

    def write(self, records: Records, carries: str, values: FloatArray) -> None:
        """Put a quantity (n, 3) in SI into frames; beyond the range of the wire it stays at its end."""
        field = self._fields[carries]
        if field is None:
            return
        wire = (values / TO_SI[field.unit] - field.bias) / self._scales[carries]
        kind = records.dtype[carries].base
        if kind.kind == "f":
            limit = (field.limit or np.inf) * (1 - 1e-6)
            records[carries] = np.clip(wire, -limit, limit)
        else:
            info = np.iinfo(kind)
            records[carries] = np.clip(np.rint(wire), info.min, info.max).astype(kind)


class FlatReader:
    """Reads a stream of flat packets (``MotionReader``)."""

    def __init__(self, profile: Profile, settings: Mapping[str, Number]) -> None:
        """Prepare for a stream; arguments and errors as ``Codec.reader``."""
        _, self._packet = profile.stream_packet(settings)
        self._motion = MotionFields(self._packet, settings)
        self._head = carried_dtype(self._packet.fields, self._packet.size)
        batch = self._packet.batch
        self._most_tail = self._packet.wire_size - self._packet.size
        self._batch = carried_dtype(batch.fields, batch.size) if batch else None
        self._times = BatchTimes(profile, self._packet, settings) if self._packet.field("time") else None
        self._malformed = 0

    @property
    def malformed(self) -> int:
        """Packets that could not be decoded."""
        return self._malformed

    @property
    def restarts(self) -> int:
        """Times the sensor's clock began anew."""
        return self._times.restarts if self._times else 0

    def feed_all(self, notifications: Sequence[Notification]) -> SampleChunk | None:
        """Give the samples of notifications; what has another length or padding is counted and left out."""
        values = [n.data for n in notifications]
        arrival_ns = np.array([n.arrival_ns for n in notifications], np.int64)
        run = self._runs(values, arrival_ns)
        heads: Records = np.frombuffer(run.heads, self._head)
        if not len(heads):
            return None
        if self._batch is None:
            return self._chunk(heads, heads, run.arrival_ns, None)
        return self._chunk(heads, np.frombuffer(run.samples, self._batch), run.arrival_ns, run.counts)

    def _runs(self, values: list[bytes], arrival_ns: IntArray) -> "_Packets":
        """Part values into heads and samples, run by run of the same length: mostly there is one."""
        if len(set(map(len, values))) == 1:
            return self._split(values, arrival_ns)
        begins = [0, *(i for i in range(1, len(values)) if len(values[i]) != len(values[i - 1])), len(values)]
        runs = [self._split(values[i:k], arrival_ns[i:k]) for i, k in pairwise(begins) if k > i]
        if not runs:
            return _Packets(b"", b"", arrival_ns, arrival_ns)
        return _Packets(
            b"".join([run.heads for run in runs]),
            b"".join([run.samples for run in runs]),
            np.concatenate([run.arrival_ns for run in runs]),
            np.concatenate([run.counts for run in runs]),
        )

    def _split(self, values: list[bytes], arrival_ns: IntArray) -> "_Packets":
        """Part values of one length into heads and samples; those that are no such packet are left out."""
        length, size, batch = len(values[0]), self._packet.size, self._packet.batch
        tail = length - size
        if not 0 <= tail <= self._most_tail or (batch and (tail == 0 or tail % batch.size)):
            self._malformed += len(values)
            return _Packets(b"", b"", arrival_ns[:0], arrival_ns[:0])
        joined = b"".join(values)
        if tail == 0 and not self._packet.prefix:
            return _Packets(joined, b"", arrival_ns, arrival_ns)
        wire = np.frombuffer(joined, np.uint8).reshape(len(values), length)
        if self._packet.prefix:
            mine = (wire[:, : len(self._packet.prefix)] == list(self._packet.prefix)).all(axis=1)
            wire, arrival_ns = wire[mine], arrival_ns[mine]
        if batch:
            counts = np.full(len(wire), tail // batch.size)
            return _Packets(wire[:, :size].tobytes(), wire[:, size:].tobytes(), arrival_ns, counts)
        if tail and wire[:, size:].any():
            padded = ~wire[:, size:].any(axis=1)
            self._malformed += len(wire) - int(np.count_nonzero(padded))
            wire, arrival_ns = wire[padded], arrival_ns[padded]
        return _Packets(wire[:, :size].tobytes(), b"", arrival_ns, arrival_ns)

    def finish(self) -> SampleChunk | None:
        """End the stream: nothing is held back."""
        return None

    def _chunk(
        self, heads: Records, samples: Records, arrival_ns: IntArray, counts: IntArray | None
    ) -> SampleChunk | None:
        """Make a chunk; those that make no sense are counted and left out.

        Args:
            heads: what stands once in a packet.
            samples: what stands in it for each sample.
            arrival_ns: of the packets.
            counts: samples in each packet; None for one in each.
        """
        acc, acc_ok = self._motion.read(samples, "acceleration")
        gyr, gyr_ok = self._motion.read(samples, "angular_velocity")
        ok = acc_ok & gyr_ok
        if not ok.all():
            owner = np.arange(len(heads)) if counts is None else np.repeat(np.arange(len(heads)), counts)
            good = np.ones(len(heads), np.bool_)
            good[owner[~ok]] = False  # a packet with a wrong number is wrong as a whole
            self._malformed += int(np.count_nonzero(~good))
            heads, arrival_ns, counts = heads[good], arrival_ns[good], None if counts is None else counts[good]
            acc, gyr = acc[good[owner]], gyr[good[owner]]
            if not len(heads):
                return None
        sensor_s = self._times.moments(heads, arrival_ns, counts) if self._times else None
        arrival_s: FloatArray = np.multiply(arrival_ns, 1e-9)
        if counts is not None:
            arrival_s = np.repeat(arrival_s, counts)
        return SampleChunk(acc, gyr, sensor_s, arrival_s)


class _Packets(NamedTuple):
    """Packets of one kind: their heads and samples in bytes, their arrivals, and samples in each (of a batch)."""

    heads: bytes
    samples: bytes
    arrival_ns: IntArray
    counts: IntArray


class BatchTimes:
    """The moments of samples on the sensor's clock, from the one time that each packet carries."""

    def __init__(self, profile: Profile, packet: Packet, settings: Mapping[str, Number]) -> None:
        """Prepare; between the samples of a batch lies the packet's period, or that of the rate that was set."""
        self._clock = SensorClock.of(profile)
        self._has_period = packet.field("period") is not None
        self._tick_s = profile.time.tick_s or 1.0
        self._step_s = 1.0 / settings.get("rate_hz", 1.0)
        self._marks_last = profile.time.marks == "last"

    @property
    def restarts(self) -> int:
        """Times the clock began anew."""
        return self._clock.restarts

    def moments(self, heads: Records, arrival_ns: IntArray, counts: IntArray | None) -> FloatArray:
        """Give the moments (n,) in s of all samples of packets; ``counts`` are None where each has one."""
        marked = self._clock.unwrap_all(heads["time"], arrival_ns)
        if counts is None:
            return marked
        step_s = heads["period"] * self._tick_s if self._has_period else np.full(len(heads), self._step_s)
        first = marked - (counts - 1) * step_s if self._marks_last else marked
        begins = np.cumsum(counts) - counts
        number = np.arange(int(counts.sum())) - np.repeat(begins, counts)
        moments: FloatArray = np.repeat(first, counts) + number * np.repeat(step_s, counts)
        return moments


class FlatWriter:
    """Writes a stream of flat packets (``MotionWriter``)."""

    def __init__(self, profile: Profile, settings: Mapping[str, Number]) -> None:
        """Prepare for a stream; arguments and errors as ``Codec.writer``."""
        _, packet = profile.stream_packet(settings)
        self._packet = packet
        self._motion = MotionFields(packet, settings)
        self._head = carried_dtype(packet.fields, packet.size)
        self._each = packet.frames_in(settings)
        self._tick_s = profile.time.tick_s or 1.0
        self._modulus = 1 << (profile.time.bits or 64)
        self._period = round(1 / settings.get("rate_hz", 1.0) / self._tick_s)
        self._marks_last = profile.time.marks == "last"
        blank = {f.name: [1.0, 0.0, 0.0, 0.0] for f in packet.fields if f.name == "quaternion_wxyz"}
        self._blank = encode_fields(packet, blank, settings)
        self._held: list[bytes] = []
        self._held_s: list[float] = []
        self._written = 0

    def samples_in(self, value: bytes) -> int:
        """Samples that a notification completes."""
        if self._packet.batch:
            return (len(value) - self._packet.size) // self._packet.batch.size
        return len(value) // self._packet.wire_size

    def encode(self, acc: FloatArray, gyr: FloatArray, sensor_s: FloatArray | None) -> list[bytes]:
        """Give the notifications that samples fill."""
        if self._packet.field("time") and sensor_s is None:
            raise UsageError("the family sends its clock: sensor_s is needed")
        times = np.zeros(len(acc)) if sensor_s is None else sensor_s
        batch = self._packet.batch
        size = batch.size if batch else self._packet.size
        wire = np.zeros(len(acc) * size, np.uint8) if batch else self._blanks(len(acc))
        records: Records = wire.view(carried_dtype(batch.fields, size) if batch else self._head)
        self._motion.write(records, "acceleration", acc)
        self._motion.write(records, "angular_velocity", gyr)
        if not batch:
            self._stamp(records, times)
        data = wire.tobytes()
        tail = b"" if batch else self._blank[size:]
        self._held += [data[i : i + size] + tail for i in range(0, len(data), size)]
        self._held_s += times.tolist()
        return self._fill(self._each, len(self._held) // self._each)

    def finish(self) -> list[bytes]:
        """Give what was kept, as the last notification."""
        return self._fill(len(self._held), 1) if self._held else []

    def _blanks(self, count: int) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
        return np.frombuffer(self._blank[: self._packet.size] * count, np.uint8).copy()

    def _fill(self, each: int, count: int) -> list[bytes]:
        """Make notifications of what was kept first."""
        held, times_s, whole = self._held, self._held_s, each * count
        self._held, self._held_s = held[whole:], times_s[whole:]
        return [self._joined(held[at : at + each], times_s[at : at + each]) for at in range(0, whole, each)]

    def _joined(self, parts: list[bytes], times_s: list[float]) -> bytes:
        if self._packet.batch is None:
            return b"".join(parts)
        wire = self._blanks(1)
        head: Records = wire.view(self._head)
        self._stamp(head, np.array([times_s[-1 if self._marks_last else 0]]))
        if "counter" in (head.dtype.names or ()):
            head["counter"] = self._written % (1 << 8 * head.dtype["counter"].itemsize)
        self._written += len(parts)
        return wire.tobytes() + b"".join(parts)

    def _stamp(self, records: Records, times_s: FloatArray) -> None:
        names = records.dtype.names or ()
        if "time" in names:
            records["time"] = np.rint(times_s / self._tick_s).astype(np.int64) % self._modulus
        if "period" in names:
            records["period"] = self._period
