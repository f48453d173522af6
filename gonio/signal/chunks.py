"""The values that flow through the chain, from samples to repetitions.

Every value is frozen and checked when it is made, and its arrays are read-only: a stage can hand a chunk on
without copying it and nobody downstream can change it. A chunk may be empty; its length is its number of samples.
"""

import math
from dataclasses import dataclass, field
from typing import Final, TypeVar

import numpy as np
import numpy.typing as npt

from gonio.signal.consts import BoolArray, FloatArray, RepSignal, Segment
from gonio.signal.knee.stored import StoredCalibration

_A = TypeVar("_A", bound=np.generic)
_C = TypeVar("_C", "TimedChunk", "AlignedChunk", "KneeAngleChunk")


#: Numbers up to which a dot product stays on one core; the threads that it starts for more cost ten times what it does.
_ONE_CORE: Final = 8192

_FLOAT, _BOOL = np.dtype(np.float64), np.dtype(np.bool_)


def _frozen(array: npt.NDArray[_A], name: str, shape: tuple[int, ...], dtype: np.dtype[np.generic]) -> npt.NDArray[_A]:
    """Check shape and type of an array and return it read-only (a copy only if the caller could still write it)."""
    if not isinstance(array, np.ndarray) or array.dtype != dtype:
        raise TypeError(f"{name} must be an array of {dtype}")
    if array.shape != shape:
        raise ValueError(f"{name} has shape {array.shape}, expected {shape}")
    if array.flags.writeable:
        array = array.copy()
        array.flags.writeable = False
    return array


def _freeze(chunk: object, length: int, columns: tuple[tuple[str, int], ...], flags: tuple[str, ...] = ()) -> None:
    for name, width in columns:
        value = getattr(chunk, name)
        if value is None:
            continue
        frozen = _frozen(value, name, (length,) if width == 1 else (length, width), _FLOAT)
        if frozen is not value:
            object.__setattr__(chunk, name, frozen)
    for name in flags:
        object.__setattr__(chunk, name, _frozen(getattr(chunk, name), name, (length,), _BOOL))


def trusted(kind: type[_C], *values: object) -> _C:
    """Make a chunk without a check, of values in the order of its attributes.

    It is for a stage of the chain that has made the values itself, with arrays that are read-only and fit together:
    with ten samples to a chunk the checks would cost as much as what they check.
    """
    chunk = object.__new__(kind)
    for name, value in zip(kind.__slots__, values, strict=True):
        object.__setattr__(chunk, name, value)
    return chunk


@dataclass(frozen=True, slots=True, eq=False)
class SampleChunk:
    """Consecutive samples of one sensor, as a driver or a recording yields them.

    Attributes:
        acc: (n, 3) specific force, m/s², sensor frame; finite.
        gyr: (n, 3) angular velocity, rad/s, sensor frame; finite, or NaN throughout from a sensor without a gyroscope.
        sensor_s: (n,) time of each sample on the sensor's own clock, s, wrap-around undone; None when the sensor
            has no clock. It runs backwards only where the sensor restarted.
        arrival_s: (n,) host's monotonic clock when the notification that carried the sample came, s,
            non-decreasing; None when nobody noted it (then the sensors' clocks are taken to be one).
    """

    acc: FloatArray
    gyr: FloatArray
    sensor_s: FloatArray | None = None
    arrival_s: FloatArray | None = None

    def __post_init__(self) -> None:
        if self.sensor_s is None and self.arrival_s is None:
            raise ValueError("samples need a time: sensor_s, arrival_s or both")
        _freeze(self, len(self.acc), (("acc", 3), ("gyr", 3), ("sensor_s", 1), ("arrival_s", 1)))
        squares = 0.0  # their sum, one quick look, is a number only if all values are
        for value in (self.acc, self.gyr, self.sensor_s, self.arrival_s):
            if value is not None:
                flat = value.ravel()
                squares += float(flat.dot(flat) if len(flat) <= _ONE_CORE else np.square(flat).sum())
        if not math.isfinite(squares):
            self._require_numbers()
        if self.arrival_s is not None:
            late = self.arrival_s.tolist()
            if late != sorted(late):
                raise ValueError("arrival_s runs backwards")

    def _require_numbers(self) -> None:
        for name in ("acc", "gyr", "sensor_s", "arrival_s"):
            value = getattr(self, name)
            if value is None or np.isfinite(value).all() or (name == "gyr" and np.isnan(value).all()):
                continue
            raise ValueError(f"{name} holds a value that is no number")

    def __len__(self) -> int:
        return len(self.acc)


@dataclass(frozen=True, slots=True, eq=False)
class TimedChunk:
    """Consecutive samples of one sensor on the kit's clock, after the clock fit.

    Attributes:
        t_s: (n,) kit's clock, s, strictly increasing over the whole stream.
        acc: (n, 3) specific force, m/s², sensor frame.
        gyr: (n, 3) angular velocity, rad/s, sensor frame.
    """

    t_s: FloatArray
    acc: FloatArray
    gyr: FloatArray

    def __post_init__(self) -> None:
        _freeze(self, len(self.t_s), (("t_s", 1), ("acc", 3), ("gyr", 3)))
        if (self.t_s[1:] <= self.t_s[:-1]).any():
            raise ValueError("t_s does not increase")

    def __len__(self) -> int:
        return len(self.t_s)


@dataclass(frozen=True, slots=True, eq=False)
class AlignedChunk:
    """Both sensors on one time grid.

    Attributes:
        t_s: (n,) kit's clock, s, on the grid ``start + k / rate``.
        thigh_acc: (n, 3) specific force, m/s², frame of the thigh's sensor.
        thigh_gyr: (n, 3) angular velocity, rad/s, frame of the thigh's sensor.
        shank_acc: (n, 3) as above, shank.
        shank_gyr: (n, 3) as above, shank.
        measured: (n,) False inside a gap too long to bridge, where the values are only held together by a line.
    """

    t_s: FloatArray
    thigh_acc: FloatArray
    thigh_gyr: FloatArray
    shank_acc: FloatArray
    shank_gyr: FloatArray
    measured: BoolArray

    def __post_init__(self) -> None:
        columns = (("t_s", 1), ("thigh_acc", 3), ("thigh_gyr", 3), ("shank_acc", 3), ("shank_gyr", 3))
        _freeze(self, len(self.t_s), columns, ("measured",))

    def __len__(self) -> int:
        return len(self.t_s)


@dataclass(frozen=True, slots=True, eq=False)
class KneeAngleChunk:
    """The knee's flexion and the thigh's inclination on the grid.

    Attributes:
        t_s: (n,) kit's clock, s.
        flexion: (n,) rad, flexion positive, straight 0; NaN where nothing can be said.
        thigh_inclination: (n,) rad, of the thigh against standing, in the sagittal plane; positive as in raising
            the knee forward; NaN where nothing can be said.
        ok: (n,) True where the flexion is calibrated and measured and may be shown to a person.
    """

    t_s: FloatArray
    flexion: FloatArray
    thigh_inclination: FloatArray
    ok: BoolArray

    def __post_init__(self) -> None:
        _freeze(self, len(self.t_s), (("t_s", 1), ("flexion", 1), ("thigh_inclination", 1)), ("ok",))

    def __len__(self) -> int:
        return len(self.t_s)


@dataclass(frozen=True, slots=True)
class RepEvent:
    """One repetition, and how it was done.

    Attributes:
        start_s: kit's clock, s, when the movement left its rest.
        peak_s: when it was furthest.
        end_s: when it was back.
        signal: what was counted, the knee's flexion or the leg's tilt from where it rested ("thigh").
        peak_flexion: largest knee flexion in the repetition, rad (NaN when the angle was not ok throughout).
        min_flexion: smallest knee flexion in the repetition, rad (NaN likewise): the extension deficit where positive.
        rom: range of the counted signal over the repetition, rad.
        measured: False when a long gap fell inside, so that its figures are not evidence.
        concentric_s: time in which the exercise's muscle shortens, s (NaN where not told).
        hold_s: time at the far end, s (NaN likewise).
        eccentric_s: time in which the muscle lengthens under load, s (NaN likewise).
        peak_velocity: largest rate of the counted signal, rad/s (NaN likewise).
        smoothness: spectral arc length of the counted signal's speed, no unit, below 0; nearer 0 is smoother
            (Balasubramanian et al. 2015, doi 10.1186/s12984-015-0090-9); NaN likewise.
        extensor_lag: largest flexion while a leg that should be straight is raised, rad; NaN in other exercises and
            where the angle was not ok.
        complete: False for a partial one: it moved, but fell clearly short of the patient's own usual repetition or
            of what the exercise asks for.
        on_target: whether the prescribed target was met; None when none was given or it could not be judged.
    """

    start_s: float
    peak_s: float
    end_s: float
    signal: RepSignal
    peak_flexion: float
    min_flexion: float
    rom: float
    measured: bool = True
    concentric_s: float = float("nan")
    hold_s: float = float("nan")
    eccentric_s: float = float("nan")
    peak_velocity: float = float("nan")
    smoothness: float = float("nan")
    extensor_lag: float = float("nan")
    complete: bool = True
    on_target: bool | None = None

    def __post_init__(self) -> None:
        if not self.start_s <= self.peak_s <= self.end_s:
            raise ValueError("a repetition starts before its peak and ends after it")


@dataclass(frozen=True, slots=True)
class SetMetrics:
    """Consecutive repetitions without a long rest between them.

    Attributes:
        start_s: kit's clock, s, when the first began.
        end_s: when the last ended.
        complete: number of complete repetitions.
        partial: number of partial ones.
        on_target: number that met the target; None when none was given.
        rom_mean: mean range of the complete ones, rad (NaN when there is none).
        rom_cv: standard deviation over mean of their ranges: the lower, the more consistent (NaN for fewer than 2).
        rep_s: mean duration of a complete one, s (NaN when there is none).
        tempo_trend: change of the duration per repetition, as a share of the mean: 0.02 is 2 % slower each time, a
            sign of fatigue (NaN for fewer than 4).
    """

    start_s: float
    end_s: float
    complete: int
    partial: int
    on_target: int | None
    rom_mean: float
    rom_cv: float
    rep_s: float
    tempo_trend: float


@dataclass(frozen=True, slots=True)
class StreamDefects:
    """What went wrong on the way of one sensor's samples; every defect is counted, none is silent.

    Attributes:
        segment: where the sensor sits.
        samples: samples that arrived.
        lost: samples known (by the sensor's clock or counter) or estimated (by rate) to be missing.
        repeated: samples that came twice and were dropped.
        restarts: times the sensor's clock began anew.
        gaps: pauses too long to bridge.
        longest_gap_s: the longest of them, s.
        rate_hz: the sensor's real rate on the kit's clock, Hz (NaN before it is known).
        clipped: samples found to be at the end of the sensor's range.
    """

    segment: Segment
    samples: int = 0
    lost: int = 0
    repeated: int = 0
    restarts: int = 0
    gaps: int = 0
    longest_gap_s: float = 0.0
    rate_hz: float = float("nan")
    clipped: int = 0


@dataclass(frozen=True, slots=True)
class SessionResult:
    """What one session (one exercise on one side) came to.

    Attributes:
        exercise: the exercise's name, declared or recognised; "none" when there was none.
        recognised: True when the exercise was not declared but recognised from the motion.
        reps: the completed repetitions, in order.
        calibrated_at_s: kit's clock, s, from which on the angle was known; None when it never was.
        zero: where the angle's zero came from: "standing", "pose", "range" (the straightest seen) or "none".
        max_flexion: largest flexion in the repetitions (in all measured motion when there is none), rad, or NaN.
        min_flexion: smallest flexion likewise, rad, or NaN; positive is the extension deficit.
        ok_fraction: share of the samples whose angle was ok, 0 to 1.
        flags: names of what limits the trust in the result, sorted; empty when nothing does.
        defects: what happened to each sensor's stream.
        start_s: kit's clock of the first grid sample, s (NaN when there was none).
        end_s: of the last.
        curve_step_s: spacing of the curve's points, s.
        curve: flexion at start_s + k * curve_step_s, rad, NaN where not ok.
        tilt_curve: likewise the leg's tilt from where it rests, rad, where that is what is counted; else empty.
        sets: the repetitions in their sets.
        steps: steps of this leg while walking.
        walking_s: time spent walking, s.
        likeness: how well the motion fits the exercise's name, 0 to 1; NaN when it could not be judged.
        calibration: what a next session with the same mounting may begin with; None when nothing is worth keeping.
        resumed: whether this session began with what an earlier one had found, as the motion agreed.
    """

    exercise: str
    recognised: bool
    reps: tuple[RepEvent, ...]
    calibrated_at_s: float | None
    zero: str
    max_flexion: float
    min_flexion: float
    ok_fraction: float
    flags: tuple[str, ...]
    defects: tuple[StreamDefects, ...]
    start_s: float
    end_s: float
    curve_step_s: float
    curve: tuple[float, ...] = field(repr=False)
    tilt_curve: tuple[float, ...] = field(default=(), repr=False)
    sets: tuple[SetMetrics, ...] = ()
    steps: int = 0
    walking_s: float = 0.0
    likeness: float = float("nan")
    calibration: StoredCalibration | None = field(default=None, repr=False)
    resumed: bool = False
