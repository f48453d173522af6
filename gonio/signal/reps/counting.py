"""Which signal of which exercise is counted: one counter for a declared exercise, rivals for an undeclared one.

A declared exercise of the knee is counted by the leg's tilt as long as the angle is not known. Once it is known the
samples kept meanwhile are counted by it, and of the tilt's repetitions those stand that ended before these samples.

Of an undeclared exercise all signals are counted. A repetition *convinces* when it began from a rest and is no mere
shuffling. The first signal of the knee with ``_CLEAR`` convincing repetitions is what is done, and from then on its
repetitions are given as they come; the leg's tilt, which every movement of the knee moves too, has its turn at the end
only, when it tells of many more repetitions than the knee's angle.
"""

import math
from dataclasses import dataclass, field, replace
from typing import Final

from gonio.signal.chunks import RepEvent
from gonio.signal.consts import NO_EXERCISE, RepSignal
from gonio.signal.knee.slip import BEFORE, slipped
from gonio.signal.knee.tracker import KneeFrame
from gonio.signal.reps.counter import Found, RepCounter
from gonio.signal.reps.exercises import RULES, UNDECLARED, ExerciseRule
from gonio.signal.reps.gait import Gait
from gonio.signal.reps.goal import Goal
from gonio.signal.reps.moments import Moments
from gonio.signal.reps.recognise import Look, Verdict, doubted, judge
from gonio.signal.reps.tilt import Anew, Tilt

_QUIET_S: Final = 0.3  # rest before a repetition that convinces
_WIDE: Final = math.radians(35.0)  # flexion, or bend of the rest from which a knee extends, that is no shuffling
#: So many repetitions, alike in range and duration within these factors, show what is done.
_CLEAR, _ALIKE_ROM, _ALIKE_TIME = 3, 2.0, 3.0
#: The first of them larger than the others by this factor is doubted where another signal's are alike within that one.
_LED_IN, _VERY_LIKE = 1.25, 1.15
_MOST: Final = 2000  # repetitions of a rival that are kept
_JUDGED: Final = 40  # last repetitions that the exercise is told by
_MIN_REPS: Final = 2  # of an undeclared exercise that is not clear
_SPARE_SHARE: Final = 0.5  # of the knee's smallest range is the smallest tilt: a closed knee is shared by two segments
_MANY: Final = 2.0  # times the knee's repetitions that the tilt must have to be what is done


@dataclass(slots=True, eq=False)
class _Rival:
    """One counter and what it has found that was not given yet."""

    counter: RepCounter
    found: list[Found] = field(default_factory=list)

    def keep(self, one: Found) -> None:
        if len(self.found) < _MOST:
            self.found.append(one)

    def convincing(self) -> list[Found]:
        """Give the repetitions that an undeclared exercise may be named after: from a rest, and not just shuffling."""
        return [one for one in self.found if self._convinces(one)]

    def _convinces(self, one: Found) -> bool:
        if self.counter.rule.moves == "extends":
            return one.quiet_s >= _QUIET_S and one.bend > _WIDE
        return one.quiet_s >= _QUIET_S or one.rep.rom > _WIDE

    def worth(self) -> list[Found]:
        """Give all from the first convincing repetition on."""
        first = next((k for k, one in enumerate(self.found) if self._convinces(one)), len(self.found))
        return self.found[first:]

    def began_s(self) -> float:
        """Give when the last few convincing repetitions began, on the kit's clock, s."""
        return self.convincing()[-_CLEAR:][0].rep.start_s

    def is_clear(self) -> bool:
        """Tell whether the last few convincing repetitions were alike."""
        last = self.convincing()[-_CLEAR:]
        if len(last) < _CLEAR:
            return False
        times = [one.rep.end_s - one.rep.start_s for one in last]
        return self.spread() < _ALIKE_ROM and max(times) < _ALIKE_TIME * min(times)

    def spread(self) -> float:
        """Give the largest range of the last few convincing repetitions over the smallest."""
        roms = [one.rep.rom for one in self.convincing()[-_CLEAR:]]
        return max(roms) / min(roms)


class Counting:
    """The counters of a session and what they found.

    Attributes:
        gait: what is known of walking; to be fed with every sample before ``feed`` is.
        found: the repetitions given so far, with what tells which exercise they belong to.
        tilt: the leg's tilt from where it rests at the samples fed last, rad; empty once nothing is counted by it.
        anew: where among them the rest turned out to have been another one.
    """

    def __init__(
        self,
        exercise: str | None,
        rate_hz: float,
        *,
        goal: Goal | None = None,
        program: tuple[str, ...] = (),
        joint: bool = True,
        blurred: bool = False,
    ) -> None:
        """Begin a session.

        Args:
            exercise: the declared exercise, "none", or None to recognise it.
            rate_hz: rate of the grid, Hz.
            goal: what every repetition is to reach.
            program: the exercises among which one is recognised; all when empty.
            joint: False when there will be no angle of the knee: a declared exercise is counted by the tilt.
            blurred: True when the samples are smoothed so much that they do not show how fast and how smoothly.

        Raises:
            ValueError: the exercise is not known.
        """
        if exercise is not None and exercise != NO_EXERCISE and exercise not in RULES:
            raise ValueError(f"there is no exercise {exercise!r}; there are: {', '.join(RULES)}")
        self.gait = Gait(rate_hz)
        self.found: list[Found] = []
        self.tilt: list[float] = []
        self.anew: list[Anew] = []
        self._declared = exercise
        self._blurred = blurred
        self._program = program
        self._elsewhere = 0  # repetitions found while the sensors sat elsewhere
        self._compared = 0  # repetitions asked whether the sensors sat as in those before
        rules: tuple[ExerciseRule, ...] = UNDECLARED
        if exercise is not None:
            rules = () if exercise == NO_EXERCISE else (RULES[exercise],)
        judged_as: RepSignal | None = "knee" if blurred and exercise is None else None
        rivals = [_Rival(RepCounter(rule, rate_hz, goal, self.gait.walking, judged_as)) for rule in rules]
        self._knee = [one for one in rivals if one.counter.signal == "knee"]
        self._lift = next((one for one in rivals if one.counter.signal == "thigh"), None)
        self._chosen: _Rival | None = rivals[0] if exercise in RULES else None
        if self._lift is None and self._chosen is not None and not self._chosen.counter.rule.faint:
            rule = self._chosen.counter.rule
            tilted = replace(rule, signal="thigh", moves="lifts", smallest=_SPARE_SHARE * rule.smallest)
            judged_as = "knee" if blurred else None
            self._lift = _Rival(RepCounter(tilted, rate_hz, None, self.gait.walking, judged_as))
        if not joint and self._chosen is not None and self._lift is not None:
            self._chosen, self._knee = self._lift, []
        self._tilt = None if self._lift is None else Tilt(rate_hz)
        self._known_s: float | None = None  # when the knee's angle begins to be known

    @property
    def reps(self) -> tuple[RepEvent, ...]:
        """The repetitions given so far."""
        return tuple(one.rep for one in self.found)

    @property
    def signal(self) -> RepSignal | None:
        """What the session is counted by; None while that is not clear."""
        return None if self._chosen is None else self._chosen.counter.signal

    @property
    def steps(self) -> int:
        """Steps of this leg while walking."""
        return self.gait.steps

    @property
    def walking_s(self) -> float:
        """Time spent walking, s."""
        return self.gait.walking_s

    def feed(self, moments: Moments, *, replay: bool = False) -> list[RepEvent]:
        """Take consecutive samples and give what is complete; in a replay only the knee's counters listen."""
        events: list[tuple[int, int, _Rival, Found]] = []
        self.tilt, self.anew = [], []
        if self._lift is not None and self._tilt is not None and not replay:
            self.tilt, self.anew = self._tilt.feed(moments.t, moments.up1, moments.up2, moments.speed)
            events = [(k, 0, self._lift, one) for k, one in self._lift.counter.feed(moments, self.tilt, self.anew)]
        if self._knee and self._is_known(moments):
            for order, rival in enumerate(self._knee, start=1):
                events += ((k, order, rival, one) for k, one in rival.counter.feed(moments, moments.flexion))
        out: list[RepEvent] = []
        if self._declared is not None and self._known_s is not None and self._knee and self._lift is not None:
            out += self._give(self._lifts_before())
        for _, _, rival, one in sorted(events, key=lambda event: event[:2]):
            if self._chosen is None:
                rival.keep(one)
                if rival is not self._lift and rival.is_clear():
                    out += self._choose_first()
            elif rival is self._chosen:
                out += self._give([one])
            elif rival is self._lift:
                rival.keep(one)
        return out

    def _is_known(self, moments: Moments) -> bool:
        """Tell whether the knee's angle has begun to be known."""
        if self._known_s is None:
            known = [t for t, flexion in zip(moments.t, moments.flexion, strict=True) if not math.isnan(flexion)]
            if known:
                self._known_s = known[0]
        return self._known_s is not None

    def _give(self, found: list[Found]) -> list[RepEvent]:
        if self._blurred:
            nan = math.nan
            found = [replace(one, rep=replace(one.rep, peak_velocity=nan, smoothness=nan)) for one in found]
        self.found += found
        return [one.rep for one in found]

    def _lifts_before(self) -> list[Found]:
        """End counting by the tilt; give what it counted before the knee's angle began to be known."""
        lift, self._lift, self._tilt = self._lift, None, None
        if lift is None or self._known_s is None:
            return []
        for one in lift.counter.finish():
            lift.keep(one)
        return [one for one in self._worth(lift) if one.rep.end_s <= self._known_s]

    def _worth(self, rival: _Rival) -> list[Found]:
        """Give what is kept and counts; a declared exercise need not convince."""
        return rival.worth() if self._declared is None else rival.found

    def _choose_first(self) -> list[RepEvent]:
        """Settle on the signal of the knee that began first: later on, both ends of one motion look like a rest.

        But where its first repetition is larger and another's are alike, that was the way into the exercise's posture.
        """
        clear = [one for one in self._knee if len(one.convincing()) >= _CLEAR - 1]
        first = min(clear, key=_Rival.began_s)
        roms = [one.rep.rom for one in first.convincing()[-_CLEAR:]]
        if roms[0] > _LED_IN * max(roms[1:]):
            first = next((one for one in clear if one.spread() < _VERY_LIKE), first)
        if any(one.counter.waiting_since_s < first.began_s() for one in self._knee):
            return []  # that may have been the first
        return self._choose(first)

    def _choose(self, rival: _Rival) -> list[RepEvent]:
        """Settle on what is done: one of the knee's signals."""
        self._chosen = rival
        self._knee = [rival]
        found, rival.found = rival.worth(), []
        return self._give(self._lifts_before() + found)

    def shift(self, by: float) -> None:
        """Take note that the flexion's zero was corrected by an angle in rad."""
        for rival in self._knee:
            rival.counter.shift(by)

    def finish(self) -> list[RepEvent]:
        """End the stream: give what was still waiting, and decide what was done where that was not clear."""
        rivals = [*self._knee, *([] if self._lift is None else [self._lift])]
        for rival in rivals:
            rival.found += rival.counter.finish()
        chosen = self._chosen
        if chosen is not None:
            if self._lift is not None and chosen is not self._lift and self._known_s is None:
                chosen = self._lift  # the angle never was known
        elif rivals:
            chosen = self._best(rivals)
        if chosen is None:
            return []
        self._chosen = chosen
        self._knee, self._lift, self._tilt = [], None, None
        left, chosen.found = self._worth(chosen), []
        return self._give(left)

    def _best(self, rivals: list[_Rival]) -> _Rival | None:
        """Give the rival that an undeclared session is counted by, if any convinces."""
        knee = max(self._knee, key=lambda one: len(one.convincing()))
        lift = next((one for one in rivals if one.counter.signal == "thigh"), None)
        best = knee
        if lift is not None and len(lift.worth()) >= max(_MIN_REPS, _MANY * len(knee.worth())):
            best = lift
        return best if best.worth() else None

    def moved(self) -> None:
        """Take note that the sensors do not sit any more as they did."""
        self._elsewhere = self._compared = len(self.found)

    def slipped(self) -> bool:
        """Tell whether one of the repetitions found since this was last asked shows that a sensor was turned."""
        begin, self._compared = self._compared, len(self.found)
        return any(
            slipped([one.look for one in self.found[max(self._elsewhere, k - BEFORE) : k]], self.found[k].look)
            for k in range(begin, len(self.found))
        )

    def verdict(self, frame: KneeFrame | None, *, assumed: bool) -> Verdict:
        """Judge which exercise the repetitions show.

        Args:
            frame: the knee's frame; None when it is not known.
            assumed: whether its zero was assumed.
        """
        looks, frame = self._looks(frame)
        return judge(self._declared, looks, frame, assumed=assumed, program=self._program)

    def doubted(self, frame: KneeFrame | None, *, assumed: bool) -> bool:
        """Tell whether the repetitions clearly are another exercise's than the declared one; arguments as above."""
        looks, frame = self._looks(frame)
        return self._declared is not None and doubted(self._declared, looks, frame, assumed=assumed)

    def _looks(self, frame: KneeFrame | None) -> tuple[list[Look], KneeFrame | None]:
        """Give the repetitions that are judged, and the frame if it tells anything of them."""
        looks = [one.look for one in self.found]
        now = looks[self._elsewhere :]
        return (now[-_JUDGED:], frame) if now else (looks[-_JUDGED:], None)  # none of how the sensors sat before

    def flags(self) -> set[str]:
        """Give what limits the trust in the count."""
        if self._declared in RULES and RULES[self._declared].faint:
            return {"count-faint"}
        return set()
