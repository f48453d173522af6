"""Which signal of which exercise is counted: one counter for a declared exercise, rivals for an undeclared one."""

import math
from collections import Counter
from dataclasses import replace
from typing import Final

from gonio.signal.chunks import RepEvent
from gonio.signal.consts import NO_EXERCISE
from gonio.signal.exercises import RULES, UNDECLARED, ExerciseRule
from gonio.signal.goal import Goal
from gonio.signal.recognise import guess
from gonio.signal.reps import RepCounter, Sample

_FOLLOW_S: Final = 1.5  # time constant with which the tilt's rest follows a leg that lies still
_QUIET_S: Final = 0.5  # rest before the repetition that an undeclared session is named after
_WIDE: Final = math.radians(35.0)  # flexion, or bend of the rest from which a knee extends, that is no shuffling
#: A leg that lies still and tilted by more than any raise has changed its posture: that is its rest now (where the knee
#: may bend, in all but the declared raises of a straight leg, the thigh must be so).
_MOVED, _MOVED_S, _LYING_RAD_S = math.radians(62.0), 0.4, 0.2
_PATIENCE_S: Final = 20.0  # as has one that stays away for longer than a hold
_NEAR: Final = math.radians(4.0)
MAX_WAITING: Final = 500  # lifts kept until the session shows that they are what was done
MIN_LIFTS: Final = 2
_SPARE_SHARE: Final = 0.5  # of the knee's smallest range is the smallest tilt: a closed knee is shared by two segments


class _Tilt:
    """How far the leg is tilted from where it rests, whichever way: it needs no axis and no calibration.

    The larger of the two sensors' angles between "up" now and "up" at rest.
    """

    def __init__(self, rate_hz: float, *, straight: bool) -> None:
        self._straight = straight
        self._share = 1.0 - math.exp(-1.0 / (_FOLLOW_S * rate_hz))
        self._rest: tuple[list[float], list[float]] | None = None
        self._since = self._lain = 0
        self._patience = round(_PATIENCE_S * rate_hz)
        self._moved = round(_MOVED_S * rate_hz)

    def step(self, up1: list[float], up2: list[float], speed: float) -> float:
        if self._rest is None:
            self._rest = (list(up1), list(up2))
        one, two = (_angle(r, u) for r, u in zip(self._rest, (up1, up2), strict=True))
        tilt = max(one, two)
        self._since = 0 if tilt < _NEAR else self._since + 1
        self._lain = self._lain + 1 if (tilt if self._straight else one) > _MOVED and speed < _LYING_RAD_S else 0
        if self._since > self._patience or self._lain > self._moved:
            self._rest = (list(up1), list(up2))
            self._since = self._lain = 0
            return 0.0
        if tilt < _NEAR:
            for rest, up in zip(self._rest, (up1, up2), strict=True):
                for k in range(3):
                    rest[k] += self._share * (up[k] - rest[k])
        return tilt


def _angle(a: list[float], b: list[float]) -> float:
    dot = a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
    norm = math.sqrt((a[0] ** 2 + a[1] ** 2 + a[2] ** 2) * (b[0] ** 2 + b[1] ** 2 + b[2] ** 2))
    return math.acos(max(-1.0, min(1.0, dot / norm)))


def _convincing(counter: RepCounter) -> bool:
    """Tell whether an undeclared exercise may be named after this repetition: from a rest, and not just shuffling."""
    if counter.rule.moves == "flexes":
        return counter.last_rom > _WIDE
    if counter.quiet_s < _QUIET_S:
        return False
    return counter.rule.moves == "lifts" or counter.rest_pose[0] > _WIDE


class Counting:
    """The counters of a session and what they found."""

    def __init__(
        self, exercise: str | None, rate_hz: float, *, goal: Goal | None = None, program: tuple[str, ...] = ()
    ) -> None:
        """Begin a session.

        Args:
            exercise: the declared exercise, "none", or None to recognise it.
            rate_hz: rate of the grid, Hz.
            goal: what every repetition is to reach.
            program: the exercises among which one is recognised; all when empty.

        Raises:
            ValueError: the exercise is not known.
        """
        if exercise is not None and exercise != NO_EXERCISE and exercise not in RULES:
            raise ValueError(f"there is no exercise {exercise!r}; there are: {', '.join(RULES)}")
        del program
        self._declared = exercise
        rules: tuple[ExerciseRule, ...] = UNDECLARED
        if exercise is not None:
            rules = () if exercise == NO_EXERCISE else (RULES[exercise],)
        self._rate = rate_hz
        self._rules = rules
        self._counters = [RepCounter(rule, rate_hz, goal) for rule in rules]
        self._chosen: RepCounter | None = self._counters[0] if exercise in RULES else None
        #: While the angle is not known, a declared exercise of the knee is counted by the leg's tilt; that count stands
        #: only if the angle never becomes known.
        self._spare: RepCounter | None = None
        if self._chosen is not None and self._chosen.signal == "knee" and not self._chosen.rule.faint:
            rule = self._chosen.rule
            tilted = replace(rule, signal="thigh", moves="lifts", smallest=_SPARE_SHARE * rule.smallest)
            self._spare = RepCounter(tilted, rate_hz, goal)
        uses_tilt = self._spare is not None or any(rule.signal == "thigh" for rule in rules)
        self._tilt = _Tilt(rate_hz, straight=self._chosen is not None and self._spare is None) if uses_tilt else None
        self._waiting: list[RepEvent] = []
        self._reps: list[RepEvent] = []
        self._guesses: list[tuple[str, bool]] = []

    @property
    def reps(self) -> tuple[RepEvent, ...]:
        """The repetitions reported so far."""
        return tuple(self._reps)

    def step(self, sample: Sample, *, replay: bool = False) -> list[RepEvent]:
        """Take one sample and give what is complete; in a replay only the knee's counters listen."""
        tilt = (
            self._tilt.step(sample.up1, sample.up2, sample.speed) if self._tilt is not None and not replay else math.nan
        )
        if self._spare is not None:
            self._count_spare(self._spare, sample, tilt)
        found = []
        for counter in self._counters:
            if counter.signal == "knee":
                rep = counter.step(sample, sample.flexion)
            elif replay:
                continue
            else:
                rep = counter.step(sample, tilt)
            if rep is not None:
                found += self._take(counter, rep)
        return found

    def _count_spare(self, spare: RepCounter, sample: Sample, tilt: float) -> None:
        if not math.isnan(sample.flexion):  # the angle is known now, and all kept samples are counted by it
            self._spare = self._tilt = None
            self._waiting.clear()
            return
        rep = spare.step(sample, tilt)
        if rep is not None:
            self._waiting = [*self._waiting[1 - MAX_WAITING :], rep]

    def _take(self, counter: RepCounter, rep: RepEvent) -> list[RepEvent]:
        if self._chosen is None:
            if not _convincing(counter):
                return []
            if counter.signal == "thigh":  # only when no knee motion claims the session
                self._waiting = [*self._waiting[1 - MAX_WAITING :], rep]
                return []
            self._chosen = counter
        if counter is not self._chosen:
            return []
        self._reps.append(rep)
        self._guesses.append(guess(counter.rule, counter.rest_pose, counter.far_pose))
        return [rep]

    def shift(self, by: float) -> None:
        """Take note that the flexion's zero was corrected by an angle in rad."""
        for counter in self._counters:
            if counter.signal == "knee":
                counter.shift(by)

    def finish(self) -> list[RepEvent]:
        """End the stream: lifts of the leg count when nothing else did, its tilt when the knee's angle never came."""
        if self._spare is None:
            if self._chosen is not None or len(self._waiting) < MIN_LIFTS:
                return []
            self._chosen = next(c for c in self._counters if c.signal == "thigh")
        self._reps, self._waiting = self._waiting, []
        return list(self._reps)

    def exercise(self) -> tuple[str, bool, bool]:
        """Give the exercise's name, whether it was recognised, and whether the recognition is unsure."""
        if self._declared is not None:
            return self._declared, False, False
        if self._chosen is None or not self._reps:
            return NO_EXERCISE, True, False
        if self._chosen.signal == "thigh":
            return "straight-leg-raise", True, True  # which way the leg lies cannot be told without standing
        names = Counter(name for name, _ in self._guesses)
        name, votes = names.most_common(1)[0]
        sure = sum(clear for guessed, clear in self._guesses if guessed == name)
        return name, True, 2 * min(votes, sure) <= len(self._guesses)

    def flags(self) -> set[str]:
        """Give what limits the trust in the count."""
        if self._declared in RULES and RULES[self._declared].faint:
            return {"count-faint"}
        return set()
