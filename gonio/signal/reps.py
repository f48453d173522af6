"""Counting repetitions: a state machine on one signal, sample by sample.

A repetition is an excursion from a rest and most of the way back. The rest is followed, because people shift; the
excursion that counts is relative to the patient's own repetitions, so that small ones are not missed, with the
exercise's smallest as the floor. There is no minimum duration worth the name (a fast repetition is a repetition) and
no maximum below half a minute (a hold is a hold).

Walking
    A step flexes the knee as far as many an exercise does. What tells them apart is the shaking of both sensors above
    about 3 Hz: foot strikes reach thigh and shank alike (geometric mean of their roots mean square, measured: 0.7 to
    4 m/s² in treadmill gait, below 0.6 m/s² on average in slow, fast and clumsy exercises of eight recordings). While
    it is strong, the rest is only followed; an excursion that shook is not counted.
"""

import math
from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeAlias

from gonio.signal.chunks import RepEvent
from gonio.signal.exercises import ExerciseRule
from gonio.signal.goal import Goal
from gonio.signal.metrics import RepPath, rep_event

#: Excursion that starts a repetition, as a share of the median of the patient's last repetitions.
_RISE_SHARE: Final = 0.2
#: Share of the excursion that may be left when a repetition counts as done, and when it counts as back at rest.
_DONE_SHARE, _BACK_SHARE = 0.35, 0.12
#: Share of the patient's usual excursion (of the present one, while none is known) that a drop must have for a new
#: rise to be a new repetition.
_HALF_SHARE, _UNKNOWN_SHARE = 0.5, 0.35
#: Share of the start threshold within which the leg is at rest.
_REST_SHARE: Final = 0.35
_MEMORY: Final = 7  # repetitions that the patient's own excursion is the median of
_SHORTEST_S: Final = 0.45  # between leaving the rest and being back
#: Longest time away from rest, s: holds are 5 to 10 s; longer is a change of posture. Bounds the samples kept.
LONGEST_S: Final = 30.0
_LINGER_S: Final = 8.0  # a small offset held this long is the new rest
_RETURN_S: Final = 1.5  # time given to come from done to back
_FOLLOW_S: Final = 3.0  # time constant with which the rest follows small offsets
_WALK_FOLLOW_S: Final = 1.0  # and everything while walking
#: Shaking (m/s²) from which on the leg walks, and the one that spoils an excursion shorter than a slow step.
WALK_SHAKE: Final = 0.62
_BRISK_S, _BRISK_SHAKE = 1.6, 0.5
#: A single gentle step shakes little, but it ends with the thigh ahead of where it began (share of the flexion).
_STEP_S, _STEP_SHARE = 1.2, 0.12
#: A repetition ends in the posture it began in: both segments are back within 40° (lying down from standing is 90°),
#: those of a small one in the knee within a share of its range (a foot that is put forward ends where it never was).
_SAME_POSTURE, _LEAST_POSTURE, _POSTURE_SHARE = math.radians(40.0), math.radians(12.0), 0.5
#: An excursion that ends further from its beginning than this share of it, but where it had stopped on its way for that
#: long (s, within a share), began at the stop: a foot is lifted onto the step before it steps up.
_SHORT_SHARE, _STOP_S, _STOP_SHARE = 0.15, 0.3, 0.1
_QUIET_RAD_S: Final = 0.3  # slower is rest


class Sample(NamedTuple):
    """One moment as the counters see it.

    Attributes:
        t: kit's clock, s.
        flexion: rad, NaN where unknown.
        thigh: the thigh's inclination, rad, NaN where unknown.
        up1: "up" in the thigh sensor's frame.
        up2: "up" in the shank sensor's frame.
        shake: how strongly both sensors shake, m/s².
        speed: angular speed of the faster sensor, rad/s.
        measured: False inside a long gap.
        sure: False where the flexion is not ok; it still tells a repetition, but not how far it went.
    """

    t: float
    flexion: float
    thigh: float
    up1: list[float]
    up2: list[float]
    shake: float
    speed: float
    measured: bool
    sure: bool = True


#: Flexion and thigh's inclination at one moment, rad.
Pose: TypeAlias = tuple[float, float]


@dataclass(slots=True)
class _Excursion:
    t: list[float] = field(default_factory=list)
    x: list[float] = field(default_factory=list)
    flexion: list[float] = field(default_factory=list)
    thigh: list[float] = field(default_factory=list)
    speed: list[float] = field(default_factory=list)
    shake: float = 0.0
    measured: bool = True
    first: Sample | None = None
    last: Sample | None = None

    def add(self, sample: Sample, x: float) -> None:
        self.first = self.first or sample
        self.last = sample
        self.t.append(sample.t)
        self.x.append(x)
        self.flexion.append(sample.flexion if sample.sure else math.nan)
        self.thigh.append(sample.thigh)
        self.speed.append(sample.speed)
        self.shake += sample.shake
        self.measured = self.measured and sample.measured

    def part(self, begin: int, end: int) -> "_Excursion":
        """Give a part of the excursion, with the shaking spread evenly; what it ends with is kept for the posture."""
        return _Excursion(
            self.t[begin:end],
            self.x[begin:end],
            self.flexion[begin:end],
            self.thigh[begin:end],
            self.speed[begin:end],
            self.shake * (end - begin) / len(self.t),
            self.measured,
            self.last if begin else self.first,
            self.last,
        )


def _moved(one: Sample, other: Sample, within: float) -> bool:
    least = math.cos(within)
    ups = ((one.up1, other.up1), (one.up2, other.up2))
    return any(a[0] * b[0] + a[1] * b[1] + a[2] * b[2] < least for a, b in ups)


class RepCounter:
    """Counts the repetitions of one exercise in one signal."""

    def __init__(self, rule: ExerciseRule, rate_hz: float, goal: Goal | None = None) -> None:
        """Begin at rest, wherever the first sample is.

        Args:
            rule: what is counted.
            rate_hz: rate of the samples, Hz.
            goal: what every repetition is to reach.
        """
        self.rule = rule
        self._goal = goal or Goal()
        self.signal = rule.signal
        self._sign = -1.0 if rule.moves == "extends" else 1.0
        self._least = math.radians(rule.smallest)
        self._rise = self._least
        self._dt = 1.0 / rate_hz
        self._base = math.nan
        self._out = False
        self._done_at = math.nan
        self._peak = -math.inf
        self._low = math.inf
        self._valley = math.inf
        self._run = _Excursion()
        self._roms: list[float] = []
        self._quiet = 0
        self.quiet_s = 0.0
        self.last_rom = 0.0
        self.rest_pose: Pose = (math.nan, math.nan)
        self.far_pose: Pose = (math.nan, math.nan)

    def shift(self, by: float) -> None:
        """Move everything remembered by an angle in rad: the signal's zero was corrected."""
        move = self._sign * by
        self._base += move
        self._peak += move
        self._low += move
        self._valley += move
        self._run.x = [x + move for x in self._run.x]
        self._run.flexion = [f + by for f in self._run.flexion]

    def restart(self) -> None:
        """Forget the excursion under way; the next sample is rest."""
        self._base = math.nan
        self._rest(_Excursion())

    def _rest(self, run: _Excursion) -> None:
        self._out = False
        self._done_at = math.nan
        self._peak, self._low = -math.inf, math.inf
        self._run = run

    def step(self, sample: Sample, value: float) -> RepEvent | None:
        """Take one sample and the value, rad, of the signal that is counted (NaN: not known)."""
        x = self._sign * value
        if math.isnan(x):
            self.restart()
            return None
        if math.isnan(self._base):
            self._base = x
        if not self._out:
            self._at_rest(sample, x)
            return None
        run = self._run
        run.add(sample, x)
        self._peak = max(self._peak, x)
        rom = self._peak - self._base
        if not math.isnan(self._done_at):
            return self._returning(sample.t, x, rom)
        if x <= self._base + _DONE_SHARE * rom:
            self._done_at, self._low = sample.t, x
            return self._returning(sample.t, x, rom)
        self._valley = x if x >= self._peak else min(self._valley, x)
        drop = self._peak - self._valley
        if drop >= self._half() and x - self._valley >= 0.5 * drop:
            return self._again(sample, x)
        if sample.t - run.t[0] > LONGEST_S:
            self._base = x
            self._rest(_Excursion())
        return None

    def _half(self) -> float:
        """Give the drop, rad, after which a new rise is a new repetition, though the first rest was not reached."""
        if self._roms:
            return max(self._rise, _HALF_SHARE * self._usual())
        return max(self._least, _UNKNOWN_SHARE * (self._peak - self._base))

    def _usual(self) -> float:
        return sorted(self._roms)[len(self._roms) // 2]

    def _again(self, sample: Sample, x: float) -> RepEvent | None:
        """Count what went up and came down to a rest above the one it began at, and begin anew from there."""
        run, peak = self._run, self._peak
        lowest = min(range(run.x.index(peak), len(run.x)), key=run.x.__getitem__)
        self._base = self._valley
        self._rest(_Excursion())
        self._run.add(sample, x)
        self._out, self._peak, self._valley = True, x, x
        return self._judge(run.part(0, lowest + 1), self._base, self._base, peak)

    def _at_rest(self, sample: Sample, x: float) -> None:
        away = x - self._base
        if sample.shake > WALK_SHAKE:
            self._base += away * min(1.0, self._dt / _WALK_FOLLOW_S)
            self._run = _Excursion()
            self._quiet = 0
        elif away < _REST_SHARE * self._rise:
            self._base = x if away < 0 else self._base + away * min(1.0, self._dt / _FOLLOW_S)
            self._run = _Excursion()
            self._quiet += sample.speed < _QUIET_RAD_S
        elif self._run.t and sample.t - self._run.t[0] > _LINGER_S:
            self._base = x
            self._run = _Excursion()
        self._run.add(sample, x)
        if x - self._base >= self._rise:
            self._out = True
            self._peak = self._valley = x

    def _returning(self, t: float, x: float, rom: float) -> RepEvent | None:
        self._low = min(self._low, x)
        back = x <= self._base + _BACK_SHARE * rom
        turned = x > self._low + 0.05 * rom
        if not (back or turned or t - self._done_at > _RETURN_S):
            return None
        run, peak = self._run, self._peak
        run, base = self._from_stop(run, peak)
        low = self._base = self._low
        self.quiet_s, self._quiet = self._quiet * self._dt, 0
        self._rest(_Excursion())
        return self._judge(run, base, low, peak)

    def _from_stop(self, run: _Excursion, peak: float) -> tuple[_Excursion, float]:
        """Give the excursion and its base, rad; both from a stop on its way on when it came back to that only."""
        rom = peak - self._base
        if self.signal != "knee" or self._low - self._base <= _SHORT_SHARE * rom:
            return run, self._base
        top = run.x.index(peak)
        calm = [k for k in range(top) if run.speed[k] < _QUIET_RAD_S and abs(run.x[k] - self._low) < _STOP_SHARE * rom]
        if len(calm) * self._dt < _STOP_S:
            return run, self._base
        return run.part(calm[-1], len(run.t)), run.x[calm[-1]]

    def _judge(self, run: _Excursion, base: float, low: float, peak: float) -> RepEvent | None:
        rom = peak - base
        duration = run.t[-1] - run.t[0]
        shake = run.shake / len(run.t)
        if duration < _SHORTEST_S or shake > WALK_SHAKE or (duration < _BRISK_S and shake > _BRISK_SHAKE):
            return None
        within = _SAME_POSTURE
        if self.signal == "knee":
            within = min(within, max(_LEAST_POSTURE, _POSTURE_SHARE * rom))
        if run.first is None or run.last is None or _moved(run.first, run.last, within):
            return None
        stepped = run.thigh[-1] - run.thigh[0]
        if self.signal == "knee" and duration < _STEP_S and stepped > _STEP_SHARE * rom:
            return None
        usual = self._usual() if self._roms else None
        self.last_rom = rom
        self._roms = [*self._roms[1 - _MEMORY :], rom]
        self._rise = max(self._least, _RISE_SHARE * self._usual())
        top = run.x.index(peak)
        self.rest_pose, self.far_pose = (run.flexion[0], run.thigh[0]), (run.flexion[top], run.thigh[top])
        path = RepPath(run.t, run.x, run.flexion, base, low, self.signal, run.measured)
        return rep_event(path, self.rule, self._goal, usual)
