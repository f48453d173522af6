"""The running stream of a MetaMotion: packed packets of acceleration and of angular velocity, joined into samples.

A packet holds three samples of one of the two, and neither time nor number. The law by which they are joined:

1. Both come from one chip at one rate, so undisturbed they take turns, in one of two ways: angular velocity follows
   acceleration by less than half a packet's time, or acceleration angular velocity. The kind that leads is decided
   once, from the first ``DECIDED_BY`` packets: each arrives later than at an even rate by what the radio and this
   computer delay, so the least late ones of both kinds tell how far the kinds are apart. Halves of a sample are then
   at most one and a half samples apart.
2. A packet that follows belongs to the leading one directly before it. One that leads and is succeeded by its own
   kind, or that follows and has none before it, has lost its partner: it is dropped, and counted from the first pair
   on (before, one of the two had merely started sooner). So a loss costs its own samples and shifts no others.
3. Order cannot tell one case: all that was lost began between the halves of a pair and ended between those of a
   later one. The one pair that is made of the two remaining halves is wrong, the next one right again. Halves that
   arrive more than ``APART_S`` from each other are therefore no pair; nearer ones can be, where a radio or a computer
   has paused.

The samples of a pair carry the arrival of its later half.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from gonio.drivers.codecs.base import Notification
from gonio.drivers.codecs.mbient_registers import (
    ACCELEROMETER,
    FRAME_BYTES,
    GYRO,
    HEAD_BYTES,
    READ,
    SAMPLES_EACH,
    SCALES,
    Implementation,
    RangeName,
    packed_register,
)
from gonio.errors import UsageError
from gonio.firmware_profiles.parts import Number
from gonio.signal.chunks import SampleChunk
from gonio.signal.consts import STANDARD_GRAVITY, FloatArray

DECIDED_BY: Final = 16
APART_S: Final = 1.0

_APART_NS: Final = round(APART_S * 1e9)

#: Which chip the accelerometer's implementation stands for.
IMPLEMENTATIONS: Final[Mapping[int, Implementation]] = {1: "BMI160", 4: "BMI270"}

_VALUES_EACH: Final = 3 * SAMPLES_EACH


class _Wire:
    """What the settings decide about the packets: their heads, and SI for each count."""

    def __init__(self, settings: Mapping[str, Number]) -> None:
        implementation = IMPLEMENTATIONS.get(int(settings["implementation"]))
        if implementation is None:
            known = ", ".join(f"{number} ({chip})" for number, chip in IMPLEMENTATIONS.items())
            raise UsageError(f"a MetaMotion's implementation is {known}, not {settings['implementation']}")
        self.acceleration = bytes((ACCELEROMETER, packed_register(ACCELEROMETER, implementation)))
        self.angular_velocity = bytes((GYRO, packed_register(GYRO, implementation)))
        self.acceleration_si = _scale(settings, "range_g") * STANDARD_GRAVITY
        self.angular_velocity_si = math.radians(_scale(settings, "range_dps"))


def _scale(settings: Mapping[str, Number], name: RangeName) -> float:
    scales, reach = SCALES[name], int(settings[name])
    if reach not in scales:
        raise UsageError(f"{name} is one of {', '.join(map(str, scales))}, not {reach}")
    return scales[reach]


class MetaMotionReader:
    """Reads the notifications of one stream.

    It holds back at most the first ``DECIDED_BY`` packets, then one.

    Attributes:
        malformed: packets that the sensor does not send.
        restarts: 0; there is no clock that could begin anew.
        unpaired: packets that were dropped because their partner was lost.
    """

    def __init__(self, settings: Mapping[str, Number]) -> None:
        """Begin with a stream.

        Args:
            settings: ``rate_hz``, ``range_g``, ``range_dps`` and ``implementation`` (of the accelerometer).

        Raises:
            UsageError: the family has no such range or implementation.
        """
        self.malformed = 0
        self.restarts = 0
        self.unpaired = 0
        self._wire = _Wire(settings)
        self._period_ns = SAMPLES_EACH / settings["rate_hz"] * 1e9
        self._heads = (self._wire.acceleration, self._wire.angular_velocity)
        self._leads = self._wire.acceleration
        self._first: list[Notification] | None = []
        self._waiting: Notification | None = None
        self._paired = False

    def feed_all(self, notifications: Sequence[Notification]) -> SampleChunk | None:
        """Give the samples that notifications complete, or None. Answers to questions are passed over."""
        heads = self._heads
        halves = [n for n in notifications if len(n.data) == FRAME_BYTES and n.data[:HEAD_BYTES] in heads]
        if len(halves) < len(notifications):
            others = (n.data for n in notifications if len(n.data) != FRAME_BYTES or n.data[:HEAD_BYTES] not in heads)
            self.malformed += sum(len(data) < HEAD_BYTES or not data[1] & READ for data in others)
        if self._first is not None:
            self._first += halves
            if len(self._first) < DECIDED_BY:
                return None
            halves = self._decide(self._first)
        return self._samples(halves)

    def finish(self) -> SampleChunk | None:
        """End the stream: give what was held back to see which kind leads."""
        return None if self._first is None else self._samples(self._decide(self._first))

    def _decide(self, first: list[Notification]) -> list[Notification]:
        """Find the kind that leads, and give what was held back."""
        turn = -1
        late_ns: dict[bytes, list[float]] = {head: [] for head in self._heads}
        for half in first[:DECIDED_BY]:
            head = half.data[:HEAD_BYTES]
            turn += head == self._wire.acceleration
            late_ns[head].append(half.arrival_ns - turn * self._period_ns)
        if all(late_ns.values()):
            acceleration_ns, angular_velocity_ns = map(min, late_ns.values())
            leads = angular_velocity_ns - acceleration_ns <= self._period_ns / 2
            self._leads = self._wire.acceleration if leads else self._wire.angular_velocity
        self._first = None
        return first

    def _samples(self, halves: list[Notification]) -> SampleChunk | None:
        leading, following = self._pairs(halves)
        if not leading:
            return None
        acceleration, angular_velocity = leading, following
        if self._leads != self._wire.acceleration:
            acceleration, angular_velocity = following, leading
        arrival_s = np.array([half.arrival_ns for half in following]) * 1e-9
        return SampleChunk(
            _si(acceleration, self._wire.acceleration_si),
            _si(angular_velocity, self._wire.angular_velocity_si),
            None,
            np.repeat(arrival_s, SAMPLES_EACH),
        )

    def _pairs(self, halves: list[Notification]) -> tuple[list[Notification], list[Notification]]:
        """Take the next packets; give those that lead and those that follow, pair by pair."""
        leading: list[Notification] = []
        following: list[Notification] = []
        waiting = self._waiting
        for half in halves:
            alone = 0
            if half.data.startswith(self._leads):
                alone = waiting is not None
                waiting = half
            elif waiting is not None and half.arrival_ns - waiting.arrival_ns <= _APART_NS:
                self._paired = True
                leading.append(waiting)
                following.append(half)
                waiting = None
            else:
                alone = 1 if waiting is None else 2
                waiting = None
            if alone and self._paired:
                self.unpaired += alone
        self._waiting = waiting
        return leading, following


def _si(packets: list[Notification], scale: float) -> FloatArray:
    """Give the samples (n, 3) of packets in SI."""
    words = np.frombuffer(b"".join([packet.data for packet in packets]), "<i2").reshape(-1, FRAME_BYTES // 2)
    return words[:, HEAD_BYTES // 2 :].reshape(-1, 3) * scale


class MetaMotionWriter:
    """Writes what a sensor with these settings sends: a packet of acceleration, then one of angular velocity."""

    def __init__(self, settings: Mapping[str, Number]) -> None:
        """Begin with a stream; arguments and errors as ``MetaMotionReader``."""
        self._wire = _Wire(settings)
        self._acc: FloatArray = np.empty((0, 3))
        self._gyr: FloatArray = np.empty((0, 3))

    def encode(self, acc: FloatArray, gyr: FloatArray, sensor_s: FloatArray | None) -> list[bytes]:  # noqa: ARG002 - no clock is sent
        """Give the packets that samples fill; the one or two of the next packet are kept.

        Args:
            acc: (n, 3) specific force, m/s²; beyond the range it stays at its end.
            gyr: (n, 3) angular velocity, rad/s; likewise.
            sensor_s: not used.
        """
        acc, gyr = np.vstack((self._acc, acc)), np.vstack((self._gyr, gyr))
        whole = len(acc) // SAMPLES_EACH * SAMPLES_EACH
        self._acc, self._gyr = acc[whole:], gyr[whole:]
        packets: list[bytes] = []
        for a, g in zip(
            _counts(acc[:whole], self._wire.acceleration_si),
            _counts(gyr[:whole], self._wire.angular_velocity_si),
            strict=True,
        ):
            packets += (self._wire.acceleration + a, self._wire.angular_velocity + g)
        return packets

    def finish(self) -> list[bytes]:
        """Give nothing: the sensor never sends a packet that is not full."""
        return []

    def samples_in(self, value: bytes) -> int:
        """Give the samples that a packet completes: those of angular velocity, which comes after."""
        return SAMPLES_EACH if value.startswith(self._wire.angular_velocity) else 0


def _counts(values: FloatArray, scale: float) -> list[bytes]:
    """Give the data of each packet."""
    counts = np.clip(np.rint(values / scale), -32768, 32767).astype("<i2").reshape(-1, _VALUES_EACH)
    return [row.tobytes() for row in counts]
