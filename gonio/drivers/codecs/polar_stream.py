"""The running stream of a Polar sensor: frames of acceleration and of angular velocity, each with a time of its own.

Each kind of frame says when its last sample was taken; the others lie evenly between that and the frame before. Where
a frame was lost they keep the step of the frames before the loss, so that a gap stays a gap.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from gonio.drivers.codecs.base import Notification
from gonio.drivers.codecs.clock import RESTART_DISAGREEMENT_S
from gonio.drivers.codecs.polar_delta import Whole
from gonio.drivers.codecs.polar_frames import Frame, read_frame
from gonio.drivers.codecs.polar_pairing import Paired, Pairing
from gonio.drivers.codecs.polar_time import NANOSECONDS, sample_times
from gonio.drivers.errors import CodecError
from gonio.drivers.fields import TO_SI
from gonio.firmware_profiles.parts import Number
from gonio.signal.chunks import SampleChunk
from gonio.signal.consts import FloatArray

#: A frame lasts as long as its samples did, to within this share; more, and another one is missing before it.
_LATE: Final = 1.1

#: A frame this much older than the last is one that the host delivered again; older, and the clock began anew.
_REPEAT_NS: Final = 10 * NANOSECONDS

#: What the sensors' ranges (16 g, 2000 dps) leave to be meant, with some room: 16 bits of mg go up to 32.8 g.
_MOST: Final[Mapping[str, float]] = {"acc": 33.0 * TO_SI["g"], "gyro": 2500.0 * TO_SI["dps"]}


class _Line:
    """The frames of one measurement, one after the other.

    Attributes:
        previous_ns: time of the last frame, 0 before the first.
        previous_arrival_ns: when that came.
    """

    def __init__(self, rate_hz: float) -> None:
        self.previous_ns = 0
        self.previous_arrival_ns = 0
        self._step_ns = NANOSECONDS / rate_hz

    def began_anew(self, frame_ns: int, arrival_ns: int) -> bool:
        """Tell whether the sensor's clock is another one since the last frame."""
        if not self.previous_ns:
            return False
        step_ns = frame_ns - self.previous_ns
        if step_ns < 0:
            return step_ns <= -_REPEAT_NS
        return abs(step_ns - (arrival_ns - self.previous_arrival_ns)) > RESTART_DISAGREEMENT_S * NANOSECONDS

    def times(self, frame_ns: int, arrival_ns: int, count: int) -> Whole | None:
        """Give the times of a frame's samples, in ns; None for a frame that came before.

        Raises:
            CodecError: the frame has a time that cannot be.
        """
        if self.previous_ns and frame_ns <= self.previous_ns:
            return None
        step_ns = (frame_ns - self.previous_ns) / count
        since_ns = self.previous_ns
        if since_ns and step_ns <= _LATE * self._step_ns:
            self._step_ns = max(step_ns, self._step_ns / _LATE)
        else:
            since_ns = max(frame_ns - round(count * self._step_ns), 1)
        times = sample_times(frame_ns, since_ns, count, 0.0)
        self.previous_ns, self.previous_arrival_ns = frame_ns, arrival_ns
        return times


class PolarReader:
    """Reads the notifications of one stream (``MotionReader``).

    It holds back what waits for its partner: at most ``polar_pairing.MAX_WAITING`` samples of each quantity.

    Attributes:
        malformed: frames that could not be decoded, cut ones included: without its last sample a frame has no time.
        restarts: times the sensor's clock began anew.
    """

    def __init__(self, settings: Mapping[str, Number], *, gyro: bool) -> None:
        """Begin with a stream.

        Args:
            settings: ``rate_hz``, and ``factor_acc`` and ``factor_gyr`` as the sensor told them at the start.
            gyro: whether the sensor has one; without it there is nothing to pair with.
        """
        self.malformed = 0
        self.restarts = 0
        self._rate_hz = float(settings["rate_hz"])
        self._factors = {
            "acc": float(settings.get("factor_acc", 1.0)),
            "gyro": float(settings.get("factor_gyr", 1.0)),
        }
        self._gyro = gyro
        self._pairing = Pairing(NANOSECONDS / self._rate_hz)
        self._lines = self._new_lines()

    def _new_lines(self) -> dict[str, _Line]:
        return {name: _Line(self._rate_hz) for name in (("acc", "gyro") if self._gyro else ("acc",))}

    def feed_all(self, notifications: Sequence[Notification]) -> SampleChunk | None:
        """Give the samples that notifications complete, or None; frames of other measurements are passed over."""
        parts: list[Paired] = []
        arrivals: list[int] = []
        for notification in notifications:
            part = self._samples(notification)
            if part is not None and len(part.time_ns):
                parts.append(part)
                arrivals.append(notification.arrival_ns)
        if not parts:
            return None
        return SampleChunk(
            np.concatenate([part.acc for part in parts]),
            np.concatenate([part.gyr for part in parts]),
            np.concatenate([part.time_ns for part in parts]) / NANOSECONDS,
            np.repeat(np.array(arrivals) * 1e-9, [len(part.time_ns) for part in parts]),
        )

    def finish(self) -> SampleChunk | None:
        """End the stream: what still waits for its partner has none."""
        self._pairing.clear()
        return None

    def _samples(self, notification: Notification) -> Paired | None:
        try:
            frame = read_frame(notification.data)
            if frame.measurement not in self._lines:
                return None
            values = self._si(frame)
            times = self._times(frame, len(values), notification.arrival_ns)
        except CodecError:
            self.malformed += 1
            return None
        if times is None:
            return None
        if not self._gyro:
            return Paired(times, values, np.full_like(values, np.nan))
        pair = self._pairing.add_acc if frame.measurement == "acc" else self._pairing.add_gyr
        return pair(times, values)

    def _si(self, frame: Frame) -> FloatArray:
        """Give the samples (n, 3) in SI.

        Raises:
            CodecError: the frame is cut, of an unknown kind, or holds what the sensor cannot mean.
        """
        if frame.unpacked is None or frame.unpacked.truncated or not len(frame.unpacked.samples):
            raise CodecError(f"a frame {frame.title} of {frame.measurement} that cannot be used")
        factor = self._factors[frame.measurement] if frame.compressed else 1.0
        unit = "dps" if frame.measurement == "gyro" else "g" if frame.compressed and frame.kind == 0 else "mg"
        values = frame.values(factor * TO_SI[unit])
        if not (np.abs(values) <= _MOST[frame.measurement]).all():  # no number compares as not within
            raise CodecError(f"a frame of {frame.measurement} with values beyond the sensor's range")
        return values

    def _times(self, frame: Frame, count: int, arrival_ns: int) -> Whole | None:
        if any(line.began_anew(frame.timestamp_ns, arrival_ns) for line in self._lines.values()):
            self.restarts += 1
            self._lines = self._new_lines()
            self._pairing.clear()
        return self._lines[frame.measurement].times(frame.timestamp_ns, arrival_ns, count)
