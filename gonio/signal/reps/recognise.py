"""Which exercise is it? From the postures of thigh and shank at the rest and at the far end of each repetition.

What is looked at
    The direction of "up" in both sensors at the rest that a repetition left and where it was furthest. With the knee's
    frame these become the thigh's inclination against standing, the knee's flexion, whether the leg lies on its side
    (the knee's axis upright), and how far thigh and shank turn, forward or backward. Where nobody was seen standing the
    thigh's inclination is not known (lever arms were seen to miss it by 70°). Without the frame only the sizes of the
    two turns are known: that tells a raised straight leg from a shank that swings alone, and no more. Between the three
    raises of a straight leg, for one, nothing can be told then.

How it is judged
    A feature within the range that ``exercises`` declares fits; outside it the fit falls to nothing over a margin. An
    exercise's *likeness* is that of its worst feature, 0 to 1. An exercise is *named* by the density of its
    declaration where the repetition lies: among those that fit, the one that is said more narrowly. Its confidence is
    its share of all densities, with an even one for "something else" beside them.

What it cannot tell
    Which end is the rest is what the counting took it for. Where that is the upper end, a step-up looks like a squat
    (and sit-to-stand like a deep one). A lunge whose front thigh is near upright at rest is a squat by its looks.

When a declared name is doubted
    Only when in most repetitions the declared exercise (and all that it covers) does not fit at all while one other
    fits well; where the zero was assumed, it must not fit by the sizes of the turns alone either. A wrongly doubted
    name costs more trust than one let pass.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Final, NamedTuple, TypeAlias

import numpy as np

from gonio.signal.consts import EXERCISES, NO_EXERCISE, RepSignal
from gonio.signal.knee.tracker import KneeFrame, Vector, inclination
from gonio.signal.reps.exercises import RULES, ExerciseRule, Posture, Range

#: "Up" in the frames of the thigh's and of the shank's sensor.
Ups: TypeAlias = tuple[Vector, Vector]

#: Margins over which a fit falls to nothing: of the flexion at rest when the zero comes from standing or a pose, and
#: when it was assumed (a knee that never was straight is then said to have been), degrees; of the thigh's inclination,
#: which rests on somebody who stood upright; of the size of a turn, as a share of the largest.
_MARGIN, _MARGIN_ASSUMED, _MARGIN_THIGH, _MARGIN_SIZE = 15.0, 35.0, 25.0, 0.5
#: Proportion of the two turns, as an angle in degrees: what fits, and the margin; an error of each turn adds to both.
_SAME_WAY, _MARGIN_WAY, _TURN_ERROR = 20.0, 20.0, 2.0
#: Cosine between the knee's axis and the vertical from which on a leg lies on its side; a leg on its back that is
#: rolled outward by 45° stays below 0.71. About an axis steeper than that there is no inclination.
_ASIDE, _MARGIN_ASIDE = 0.82, 0.12
#: What a repetition counted by the other signal than the exercise's own speaks against it.
_OTHER_SIGNAL: Final = 0.5
#: Density of "something else": any posture of the thigh, any flexion to 160°, any way, any size to 150°.
_ANYTHING: Final = 1.0 / (360.0 * 160.0 * 360.0 * 150.0)
#: A declared name is doubted from so many repetitions on, below this likeness, when another has at least this one.
_FEWEST, _UNLIKE, _LIKE = 3, 0.1, 0.6
#: Least confidence of a name that is not marked uncertain, and what is left of it where the zero was assumed.
_SURE, _LEFT_ASSUMED = 0.5, 0.5


class Look(NamedTuple):
    """What one repetition looked like: "up" at the rest it left and at its far end, and what it was counted by."""

    rest: Ups
    far: Ups
    signal: RepSignal


@dataclass(frozen=True, slots=True)
class Features:
    """One repetition in the terms of the declarations, degrees; NaN where it is not known.

    Attributes:
        thigh: the thigh's inclination at rest.
        knee: flexion at rest.
        margin: by how much the flexion may be off.
        aside: cosine between the knee's axis and the vertical at rest, no unit.
        thigh_turn: of the thigh from the rest to the far end; forward and up positive where ``signed``.
        shank_turn: of the shank likewise.
        signed: False where only the sizes of the turns are known.
        signal: what the repetition was counted by.
    """

    thigh: float
    knee: float
    margin: float
    aside: float
    thigh_turn: float
    shank_turn: float
    signed: bool
    signal: RepSignal


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a session's motion says about its name.

    Attributes:
        name: the exercise that the motion looks most like.
        confidence: share of all that it could be, 0 to 1.
        likeness: how well the motion fits the declared name (this one, where none was declared), 0 to 1; NaN when
            there was nothing to judge by.
        other: True when a declared name does not fit and another does.
    """

    name: str
    confidence: float
    likeness: float
    other: bool

    @property
    def sure(self) -> bool:
        """Whether the name may stand without a mark of doubt."""
        return self.confidence >= _SURE


def features(looks: Sequence[Look], frame: KneeFrame | None, *, assumed: bool) -> list[Features]:
    """Describe repetitions.

    Args:
        looks: what was seen of them.
        frame: the knee's frame; None while it is not known.
        assumed: whether the frame's zero was assumed, not seen in standing or a pose.
    """
    if frame is None or not looks:
        return [_unsigned(look, math.nan) for look in looks]
    ups = np.array([(*look.rest, *look.far) for look in looks])  # (n, 4, 3): thigh and shank at rest, and far
    asides = np.maximum(np.abs(ups[:, 0] @ frame.thigh), np.abs(ups[:, 1] @ frame.shank)).tolist()
    ways = [inclination(ups[:, k], frame.shank if k % 2 else frame.thigh) for k in range(4)]
    found = []
    for look, aside, way in zip(looks, asides, np.degrees(ways).T.tolist(), strict=True):
        if aside > _ASIDE:
            found.append(_unsigned(look, aside))
            continue
        one, two, one_far, two_far = way
        found.append(
            Features(
                thigh=math.nan if assumed else _wrap(math.degrees(frame.upright) - one),
                knee=_wrap(two - one - math.degrees(frame.straight)),
                margin=_MARGIN_ASSUMED if assumed else _MARGIN,
                aside=aside,
                thigh_turn=_wrap(one - one_far),
                shank_turn=_wrap(two - two_far),
                signed=True,
                signal=look.signal,
            )
        )
    return found


def _unsigned(look: Look, aside: float) -> Features:
    one, two = (_angle(rest, far) for rest, far in zip(look.rest, look.far, strict=True))
    return Features(math.nan, math.nan, _MARGIN, aside, one, two, False, look.signal)


def likeness(name: str, seen: Features) -> float:
    """Tell how well a repetition fits an exercise, 0 to 1: the fit of its worst feature."""
    return _best(RULES[name], seen)[0]


def most_like(seen: Features, program: Sequence[str] = ()) -> dict[str, float]:
    """Give each exercise's share of all that a repetition could be; of all exercises, where no program is given."""
    known = [name for name in (program or EXERCISES) if name in RULES]
    density = {name: _best(RULES[name], seen)[1] for name in known}
    whole = sum(density.values()) + _anything(seen)
    return {name: value / whole for name, value in density.items()}


def judge(
    declared: str | None, looks: Sequence[Look], frame: KneeFrame | None, *, assumed: bool, program: Sequence[str] = ()
) -> Verdict:
    """Judge a session.

    Args:
        declared: its declared exercise; None when none was.
        looks: its repetitions.
        frame: the knee's frame; None when it is not known.
        assumed: whether the frame's zero was assumed.
        program: the exercises among which one is recognised; all when empty.
    """
    seen = features(looks, frame, assumed=assumed)
    if not seen:
        return Verdict(declared or NO_EXERCISE, 0.0, math.nan, other=False)
    shares = [most_like(one, program) for one in seen]
    mean = {name: sum(share[name] for share in shares) / len(shares) for name in shares[0]}
    name = max(mean, key=mean.__getitem__)
    confidence = mean[name] * (_LEFT_ASSUMED if assumed else 1.0)
    if declared not in RULES:
        return Verdict(name, confidence, median(likeness(name, one) for one in seen), other=False)
    fits = _usual_fit((declared, *RULES[declared].covers), seen)
    return Verdict(name, confidence, fits, doubted(declared, looks, frame, assumed=assumed))


def doubted(declared: str, looks: Sequence[Look], frame: KneeFrame | None, *, assumed: bool) -> bool:
    """Tell whether a session's motion clearly is another exercise's: ``Verdict.other``, which costs less by itself.

    Args:
        declared: its declared exercise.
        looks: its repetitions.
        frame: the knee's frame; None when it is not known.
        assumed: whether the frame's zero was assumed.
    """
    if len(looks) < _FEWEST or declared not in RULES:
        return False
    names = (declared, *RULES[declared].covers)
    seen = features(looks, frame, assumed=assumed)
    if _usual_fit(names, seen) >= _UNLIKE:
        return False
    if assumed and _usual_fit(names, features(looks, None, assumed=True)) >= _UNLIKE:
        return False
    # counted the declared exercise's way, another one's rest may have been taken for its far end
    back = [turned(one) for one in seen]
    return any(max(_usual_fit((rival,), seen), _usual_fit((rival,), back)) >= _LIKE for rival in RULES)


def _usual_fit(names: tuple[str, ...], seen: list[Features]) -> float:
    return median(max(likeness(name, one) for name in names) for one in seen)


def _best(rule: ExerciseRule, seen: Features) -> tuple[float, float]:
    """Give likeness and density the way a repetition was counted; by the leg's tilt, which has no way, also back."""
    fit = _fit(rule, seen)
    return fit if seen.signal == "knee" else max(fit, _fit(rule, turned(seen)))


def turned(seen: Features) -> Features:
    """Give a repetition with its rest taken for its far end."""
    return replace(
        seen,
        thigh=_wrap(seen.thigh + seen.thigh_turn),
        knee=_wrap(seen.knee + seen.thigh_turn - seen.shank_turn),
        thigh_turn=-seen.thigh_turn,
        shank_turn=-seen.shank_turn,
    )


def _fit(rule: ExerciseRule, seen: Features) -> tuple[float, float]:
    """Give an exercise's likeness and its density where a repetition lies."""
    size = max(abs(seen.thigh_turn), abs(seen.shank_turn))
    fits = [_within(size, (0.0, rule.most), _MARGIN_SIZE * rule.most)]
    density = rule.common * fits[0] / rule.most
    if rule.turn is not None:
        loose = math.degrees(math.atan2(_TURN_ERROR, size))
        same = _SAME_WAY + loose
        fits.append(_within(_apart(rule.turn, seen), (0.0, same), _MARGIN_WAY))
        density *= fits[-1] / (2.0 * same)
    else:
        density /= 360.0 if seen.signed else 90.0
    if rule.rest:
        worst, dense = max((_posture(rest, seen) for rest in rule.rest), key=lambda fit: (fit[1], fit[0]))
        fits.append(worst)
        density *= dense / len(rule.rest)
    if rule.signal != seen.signal:
        density *= _OTHER_SIGNAL
    return min(fits), density


def _posture(rest: Posture, seen: Features) -> tuple[float, float]:
    """Give a posture's fit and density where a repetition rests; what is not known speaks for or against nothing."""
    fits, density = [1.0], 1.0
    if not math.isnan(seen.aside):
        aside = 1.0 - (_ASIDE - seen.aside if rest.aside else seen.aside - _ASIDE) / _MARGIN_ASIDE
        fits.append(max(0.0, min(1.0, aside)))
        density *= fits[-1]
    for value, span, margin in ((seen.thigh, rest.thigh, _MARGIN_THIGH), (seen.knee, rest.knee, seen.margin)):
        if not math.isnan(value):
            fits.append(_within(value, span, margin))
            density *= fits[-1] / (span[1] - span[0])
    return min(fits), density


def _anything(seen: Features) -> float:
    """Give the density of "something else", over the features that are known."""
    density = _ANYTHING
    if math.isnan(seen.thigh):
        density *= 360.0
    if math.isnan(seen.knee):
        density *= 160.0
    return density if seen.signed else 4.0 * density


def _apart(turn: tuple[float, float], seen: Features) -> float:
    """Give how far the proportion of thigh's and shank's turn is from a declared one, degrees."""
    declared, found = turn, (seen.thigh_turn, seen.shank_turn)
    if not seen.signed:
        declared, found = (abs(turn[0]), abs(turn[1])), (abs(found[0]), abs(found[1]))
    ways = [math.degrees(math.atan2(shank, thigh)) for thigh, shank in (declared, found)]
    return abs(_wrap(ways[0] - ways[1]))


def _within(value: float, span: Range, margin: float) -> float:
    """Give 1 within a range of angles, falling to 0 over a margin outside it, degrees."""
    middle, half = 0.5 * (span[0] + span[1]), 0.5 * (span[1] - span[0])
    outside = abs(_wrap(value - middle)) - half
    return max(0.0, min(1.0, 1.0 - outside / margin))


def _angle(one: Vector, other: Vector) -> float:
    """Give the angle between two directions, degrees."""
    (a, b, c), (x, y, z) = one, other
    across = math.hypot(b * z - c * y, c * x - a * z, a * y - b * x)
    return math.degrees(math.atan2(across, a * x + b * y + c * z))


def _wrap(angle: float) -> float:
    """Bring an angle in degrees into -180 to 180."""
    return (angle + 180.0) % 360.0 - 180.0
