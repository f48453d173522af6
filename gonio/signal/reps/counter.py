"""Counting repetitions: a state machine on one signal, sample by sample.

A repetition is an excursion from a rest and most of the way back. The rest is followed, because people shift; the
excursion that counts is relative to the patient's own repetitions (or the therapist's template of one), so that small
ones are not missed, with the exercise's smallest as the floor. There is no minimum duration worth the name (a fast
repetition is a repetition) and no maximum below a hold's length.
What is none of all that goes up and down again is told by ``excursion``.
"""

import math
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from gonio.signal.chunks import RepEvent
from gonio.signal.consts import RepSignal
from gonio.signal.reps.excursion import TWO_STRIDES_S, doubt
from gonio.signal.reps.exercises import ExerciseRule
from gonio.signal.reps.gait import SETTLED_S
from gonio.signal.reps.goal import Goal
from gonio.signal.reps.metrics import RepPath, rep_event
from gonio.signal.reps.moments import Moments
from gonio.signal.reps.recognise import Look
from gonio.signal.reps.tilt import Anew, tilt_from

#: Excursion that starts a repetition, as a share of the median of the patient's last repetitions.
_RISE_SHARE: Final = 0.2
#: Share of the excursion that may be left when a repetition counts as done, and when it counts as back at rest.
_DONE_SHARE, _BACK_SHARE = 0.35, 0.12
#: Share of the patient's usual excursion (of the present one, while none is known) that a drop must have for a new
#: rise to be a new repetition.
_HALF_SHARE, _UNKNOWN_SHARE = 0.5, 0.35
#: Share of the start threshold within which the leg is at rest.
_REST_SHARE: Final = 0.35
#: Once so many repetitions of an undeclared exercise are known, its floor (to keep out shuffling) falls to this share.
_KNOWN, _UNNAMED_SHARE = 3, 0.4
_MEMORY: Final = 7  # repetitions that the patient's own excursion is the median of
#: Longest time away from rest, s: where a hold is part of the exercise (they are 5 to 10 s, and some hold longer), and
#: where none is; longer is a change of posture, such as a time on a chair. Bounds the samples kept.
LONGEST_S, _LONGEST_UNHELD_S = 30.0, 15.0
_LINGER_S: Final = 8.0  # a small offset held this long is the new rest
_RETURN_S: Final = 1.5  # time given to come from done to back
_FOLLOW_S: Final = 3.0  # time constant with which the rest follows small offsets
#: An excursion that ends further from its beginning than this share of it, but where it had stopped on its way for that
#: long (s, within a share), began at the stop: a foot is lifted onto the step before it steps up.
_SHORT_SHARE, _STOP_S, _STOP_SHARE = 0.15, 0.3, 0.1
#: Slower is rest (the foot's stance in a slow walk is as slow for a second), and slower than that is lying still.
_QUIET_RAD_S, _STILL_RAD_S = 0.3, 0.15
#: Rest that a repetition's path begins with where there is some, s, and the least fall of a signal that is still on its
#: way back, as a share of the range within a time, s: so the path holds the whole of both ways.
_LEAD_S, _FALLING_SHARE, _FALLING_S = 0.6, 0.01, 0.1
#: A leg at rest for that long is not in the middle of a walk; one that moves by less than this share of how far it came
#: down in that time lies still.
_STOPPED_S, _STILL_SHARE = 0.8, 0.1
_TRIM: Final = 256  # samples at rest that may gather before they are dropped


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """A repetition and what tells which exercise it belongs to.

    Attributes:
        rep: the repetition.
        bend: the counted signal at rest, rad.
        quiet_s: how long the leg had been at rest before it, s.
        look: its rest and its far end as both sensors show them, whatever is known of the knee.
    """

    rep: RepEvent
    bend: float
    quiet_s: float
    look: Look


@dataclass(frozen=True, slots=True, eq=False)
class _Candidate:
    path: RepPath
    span: tuple[float, float]  # s, from leaving the rest to being back
    look: Look
    rom: float
    quiet_s: float
    due_s: float  # when it can be judged


class RepCounter:
    """Counts the repetitions of one exercise in one signal."""

    def __init__(
        self,
        rule: ExerciseRule,
        rate_hz: float,
        goal: Goal | None = None,
        walking: Callable[[float, float], bool] = lambda _moment_s, _now_s: False,
        judged_as: RepSignal | None = None,
    ) -> None:
        """Begin at rest, wherever the first sample is.

        Args:
            rule: what is counted.
            rate_hz: rate of the samples, Hz.
            goal: what every repetition is to reach.
            walking: tells whether a moment fell into walking by what was known at another, as ``Gait.walking``.
            judged_as: the signal that the exercise itself has, where another one stands in for it: a repetition on the
                knee does not go round, whatever it is counted by.
        """
        self.rule = rule
        self._goal = goal or Goal()
        self._walking = walking
        self.signal = rule.signal
        self._judged_as = judged_as or rule.signal
        self._sign = -1.0 if rule.moves == "extends" else 1.0
        self._least = math.radians(rule.smallest)
        template = self._goal.template
        self._template = [] if template is None else [template.rom]
        self._roms: list[float] = []
        self._dt = 1.0 / rate_hz
        self._follow = min(1.0, self._dt / _FOLLOW_S)
        self._lead, self._lag = round(_LEAD_S * rate_hz), max(1, round(_FALLING_S * rate_hz))
        self._longest = LONGEST_S if rule.held or not rule.name else _LONGEST_UNHELD_S
        self._past = Moments([], [], [], [], [], [], [], [], [])
        self._x: list[float] = []
        self._base = math.nan
        self._waiting: deque[_Candidate] = deque()
        self._given_s = -math.inf  # end of the last repetition given
        self._last: tuple[float, float] = (-math.inf, 0.0)  # end (s) and range (rad) of the last candidate
        self._settled_s = -math.inf  # when the last candidate had stopped falling
        self._quiet = 0
        self._stop = round(_STOPPED_S * rate_hz)
        self._learn()
        self._begin(0)

    def _begin(self, start: int) -> None:
        """Be at rest from a sample on."""
        self._start = start
        self._out = False
        self._calm = 0
        self._peak = self._valley = self._low = math.nan
        self._top = self._lowest = start
        self._done_at = math.nan
        self._back: int | None = None  # where it was first back

    def _learn(self) -> None:
        roms = self._roms or self._template
        self._usual = usual = sorted(roms)[len(roms) // 2] if roms else None
        least = self._least if self.rule.name or len(self._roms) < _KNOWN else _UNNAMED_SHARE * self._least
        self._rise = least if usual is None else max(least, _RISE_SHARE * usual)
        self._near = _REST_SHARE * self._rise

    @property
    def waiting_since_s(self) -> float:
        """When the first began, on the kit's clock, s, that waits to be judged; infinite when none does."""
        return self._waiting[0].span[0] if self._waiting else math.inf

    def shift(self, by: float) -> None:
        """Move everything remembered by an angle in rad: the signal's zero was corrected."""
        move = self._sign * by
        self._base += move
        self._peak += move
        self._low += move
        self._valley += move
        self._x = [x + move for x in self._x]
        self._past.flexion = [f + by for f in self._past.flexion]

    def feed(self, moments: Moments, values: list[float], anew: Sequence[Anew] = ()) -> list[tuple[int, Found]]:
        """Take consecutive samples and the values, rad, of the signal that is counted (NaN: not known).

        Args:
            moments: the samples.
            values: of the signal that is counted.
            anew: where among them the tilt's rest turned out to have been another one: then what has been since is
                counted anew.

        Returns:
            What is now a repetition, each with the index of the sample that it became one with.
        """
        if not self._out and self._start > _TRIM + self._lead:
            self._trim()
        first = len(self._x)
        self._past.extend(moments)
        self._x.extend(values if self._sign > 0 else [-v for v in values])
        found: list[tuple[int, Found]] = []
        i = first
        for one in anew:
            found += ((one.index, rep) for _, rep in self._run(i, first + one.index + 1, first))
            i = first + one.index + 1
            found += ((one.index, rep) for _, rep in self._run(self._back_to(one, i), i, first))
        return found + self._run(i, len(self._x), first)

    def _back_to(self, anew: Anew, end: int) -> int:
        """Go back to where the rest was another one, but not before what was counted; give the index there."""
        begin = min(bisect_left(self._past.t, max(anew.since_s, self._given_s)), end - 1)
        for k in range(begin, end):
            self._x[k] = tilt_from(anew.rest, self._past.up1[k], self._past.up2[k])
        while self._waiting and self._waiting[-1].path.t_s[-1] > anew.since_s:
            self._waiting.pop()
        self._base = math.nan
        self._begin(begin)
        return begin

    def _run(self, begin: int, end: int, first: int) -> list[tuple[int, Found]]:
        """Go through samples of the history; give repetitions with their index from ``first`` on."""
        found: list[tuple[int, Found]] = []
        xs, times, waiting = self._x, self._past.t, self._waiting
        i = begin
        while i < end:
            stopped = False
            after = self._swing(i, end) if self._out else self._rest(i, end)
            if after > i:
                i, stopped = after, not self._out and self._calm >= self._stop
            else:
                (self._away if self._out else self._leave)(i, xs[i])
                i += 1
            if waiting and (stopped or times[i - 1] >= waiting[0].due_s):
                found += ((i - 1 - first, one) for one in self._judge(times[i - 1], stopped=stopped))
        return found

    def _rest(self, begin: int, end: int) -> int:
        """Go through samples at rest; give the index after the last, or after the one at which a candidate is due."""
        speeds, times = self._past.speed, self._past.t
        base, near, follow = self._base, self._near, self._follow
        quiet, calm = self._quiet, self._calm
        stop, due_s = (self._stop, self._waiting[0].due_s) if self._waiting else (math.inf, math.inf)
        after = end
        for i, x in enumerate(self._x[begin:end], begin):
            away = x - base
            if not away < near:  # true for NaN
                after = i
                break
            base = x if away < 0.0 else base + away * follow
            speed = speeds[i]
            calm = calm + 1 if speed < _STILL_RAD_S else 0
            if speed < _QUIET_RAD_S:
                quiet += 1
            if calm >= stop or times[i] >= due_s:
                after = i + 1
                break
        if after > begin:
            self._start = after - 1
            self._base, self._quiet, self._calm = base, quiet, calm
        return after

    def _swing(self, begin: int, end: int) -> int:
        """Go through samples of an excursion that only move its peak and its valley, as ``_rest`` does through a rest.

        Where more may happen it stops, and ``_away`` decides.
        """
        if not math.isnan(self._done_at):
            return begin
        speeds, times = self._past.speed, self._past.t
        base, left_s, longest, half = self._base, times[self._start], self._longest, self._half()
        peak, valley, top, lowest, calm = self._peak, self._valley, self._top, self._lowest, self._calm
        due_s = self._waiting[0].due_s if self._waiting else math.inf
        after = end
        for i, x in enumerate(self._x[begin:end], begin):
            if times[i] - left_s > longest or not x > base + _DONE_SHARE * (peak - base):  # true for NaN
                after = i
                break
            if x > peak:
                peak = valley = x
                top, calm = i, 0
            else:
                still = calm + 1 if speeds[i] < _STILL_RAD_S else 0
                drop = peak - min(x, valley)
                if drop >= half and (still > self._stop or x - valley >= 0.5 * drop):
                    after = i
                    break
                if x < valley:
                    valley, lowest = x, i
                calm = still
            if times[i] >= due_s:
                after = i + 1
                break
        self._peak, self._valley, self._top, self._lowest, self._calm = peak, valley, top, lowest, calm
        return after

    def finish(self) -> list[Found]:
        """End the stream: judge what is still waiting by what is known."""
        return self._judge(math.inf)

    def _trim(self) -> None:
        drop = self._start - self._lead
        self._past.drop(drop)
        del self._x[:drop]
        self._start = self._top = self._lowest = self._lead  # and nothing else: when this happens is the chunks' doing

    # --- the machine ------------------------------------------------------------------------------------------------

    def _leave(self, i: int, x: float) -> None:
        """Take a sample off the rest that is no excursion yet, or the first one of an excursion."""
        self._calm = 0
        if math.isnan(x) or math.isnan(self._base):
            self._base = x
            self._begin(i)
        elif x - self._base >= self._rise:
            self._out = True
            self._peak = self._valley = x
            self._top = i
        elif self._past.t[i] - self._past.t[self._start] > _LINGER_S:
            self._base = x
            self._start = i

    def _away(self, i: int, x: float) -> None:
        if x > self._peak:
            self._peak = self._valley = x
            self._top = i
            self._calm = 0
            self._patience(i, x)
            return
        if math.isnan(x):
            self._leave(i, x)
            return
        rom = self._peak - self._base
        if not math.isnan(self._done_at):
            self._returning(i, x, rom)
        elif x <= self._base + _DONE_SHARE * rom:
            self._done_at, self._low, self._lowest = self._past.t[i], x, i
            self._returning(i, x, rom)
        elif x < self._valley:
            self._valley, self._lowest = x, i
        else:
            drop = self._peak - self._valley
            if x - self._valley >= 0.5 * drop and drop >= self._half():
                self._again(i, x)
            else:
                self._patience(i, x)
        self._calm = self._calm + 1 if self._past.speed[i] < _STILL_RAD_S else 0
        if self._out and self._calm > self._stop and self._peak - x >= self._half():
            self._settle(i, x)

    def _patience(self, i: int, x: float) -> None:
        if self._past.t[i] - self._past.t[self._start] > self._longest:
            self._base = x
            self._begin(i)

    def _half(self) -> float:
        """Give the drop, rad, after which a new rise is a new repetition, though the first rest was not reached."""
        if self._roms:
            return max(self._rise, _HALF_SHARE * (self._usual or 0.0))
        return max(self._least, _UNKNOWN_SHARE * (self._peak - self._base))

    def _again(self, i: int, x: float) -> None:
        """Close what went up and came down to a rest above the one it began at, and begin anew from there."""
        lowest, valley = self._lowest, self._valley
        self._close(self._start, lowest + 1, lowest + 1, valley, valley, i)
        self._base = valley
        self._begin(lowest)
        self._out, self._peak, self._valley, self._top = True, x, x, i

    def _settle(self, i: int, x: float) -> None:
        """Close what came down to a place above the rest it began at, and lies still there: that is the rest now."""
        drop = self._peak - x
        if drop < _UNKNOWN_SHARE * (self._peak - self._base) or abs(self._x[i - self._stop] - x) > _STILL_SHARE * drop:
            return  # sagging, or on its way
        self._close(self._start, i + 1, i + 1, x, x, i)
        self._base = x
        self._begin(i)

    def _returning(self, i: int, x: float, rom: float) -> None:
        if x < self._low:
            self._low, self._lowest = x, i
        back = x <= self._base + _BACK_SHARE * rom
        if back and self._back is None:
            self._back = i
        turned = x > self._low + 0.05 * rom
        falling = x <= self._x[i - self._lag] - _FALLING_SHARE * rom
        if not ((back and not falling) or turned or self._past.t[i] - self._done_at > _RETURN_S):
            return
        start, base = self._from_stop(rom)
        end = (i if self._back is None else self._back) + 1
        self._close(start, end, max(end, (self._lowest if turned else i) + 1), base, self._low, i)
        self._base = self._low
        self._begin(i)

    def _from_stop(self, rom: float) -> tuple[int, float]:
        """Give beginning and base, rad; both of a stop on the way out when it came back to that only."""
        if self.signal != "knee" or self._low - self._base <= _SHORT_SHARE * rom:
            return self._start, self._base
        xs, speed = self._x, self._past.speed
        near = range(self._start, self._top)
        calm = [k for k in near if speed[k] < _QUIET_RAD_S and abs(xs[k] - self._low) < _STOP_SHARE * rom]
        if len(calm) * self._dt < _STOP_S:
            return self._start, self._base
        return calm[-1], xs[calm[-1]]

    # --- what is a repetition ---------------------------------------------------------------------------------------

    def _close(self, start: int, end: int, settled: int, base: float, low: float, now: int) -> None:
        """Take an excursion for a candidate, unless it is none at first sight.

        Args:
            start: index where it left the rest.
            end: index after it was back.
            settled: index after it had stopped falling.
            base: the rest before it, rad.
            low: the rest after it, rad.
            now: index of the last sample.
        """
        past = self._past
        rom = self._peak - base
        quiet_s, self._quiet = self._quiet * self._dt, 0
        t = past.t[start:end]
        waits = doubt(past, slice(start, end), rom, self._judged_as, self._last)
        if waits is None:
            return
        self._last = (t[-1], rom)
        top = max(start, min(end - 1, self._top))
        look = Look((past.up1[start], past.up2[start]), (past.up1[top], past.up2[top]), self.signal)
        measured = all(past.measured[start:end])
        begin, near = start, _SHORT_SHARE * rom
        while (
            begin > max(0, start - self._lead)
            and past.t[begin - 1] > self._settled_s
            and past.measured[begin]
            and abs(self._x[begin - 1] - base) < near
        ):
            begin -= 1
        self._settled_s = past.t[settled - 1]
        both = zip(past.flexion[begin:settled], past.sure[begin:settled], strict=True)
        flexion = [angle if sure else math.nan for angle, sure in both]
        path = RepPath(past.t[begin:settled], self._x[begin:settled], flexion, base, low, self.signal, measured)
        due_s = 0.5 * (t[0] + t[-1]) + SETTLED_S if waits else past.t[now]
        self._waiting.append(_Candidate(path, (t[0], t[-1]), look, rom, quiet_s, due_s))

    def _judge(self, now_s: float, *, stopped: bool = False) -> list[Found]:
        """Give the candidates that are due (all, when the leg has stopped) and were no walking."""
        found = []
        while self._waiting and (stopped or self._waiting[0].due_s <= now_s):
            one = self._waiting.popleft()
            left, back = one.span
            if back - left < TWO_STRIDES_S and any(self._walking(s, now_s) for s in (left, 0.5 * (left + back))):
                continue
            usual = self._usual if self._roms else None
            self._given_s = back
            self._roms = [*self._roms[1 - _MEMORY :], one.rom]
            self._learn()
            rep = rep_event(one.path, self.rule, self._goal, usual)
            found.append(Found(rep, self._sign * one.path.base, one.quiet_s, one.look))
        return found
