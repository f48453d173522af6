"""What each exercise looks like to the chain, written so that a physiotherapist can read and correct it.

``signal`` is what is counted: the knee's flexion, or the tilt of the leg where the knee stays straight. ``moves`` is
the way that a repetition goes from its rest: a heel slide flexes from a straight leg, a long arc quad extends from a
bent one. ``smallest`` is the least excursion, in degrees, that can be a repetition of anybody; above it the
thresholds follow the patient's own repetitions (see ``reps``). Nothing here is a duration: holds may be long.
"""

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from gonio.signal.consts import EXERCISES, RepSignal

Way: TypeAlias = Literal["flexes", "extends", "lifts"]


@dataclass(frozen=True, slots=True)
class ExerciseRule:
    """One exercise.

    Attributes:
        name: its product-wide name.
        signal: what is counted.
        moves: which way a repetition goes from its rest.
        smallest: least excursion of a repetition, degrees.
        closed: True where the foot keeps to floor or couch, so that thigh and shank turn against each other.
        faint: True where the motion is so small that a count is of low confidence.
    """

    name: str
    signal: RepSignal
    moves: Way
    smallest: float
    closed: bool = False
    faint: bool = False


RULES: Final[dict[str, ExerciseRule]] = {
    rule.name: rule
    for rule in (
        ExerciseRule("quad-set", "knee", "extends", 3.0, faint=True),
        ExerciseRule("heel-slide", "knee", "flexes", 12.0, closed=True),
        ExerciseRule("straight-leg-raise", "thigh", "lifts", 2.5),
        ExerciseRule("straight-leg-raise-side", "thigh", "lifts", 2.5),
        ExerciseRule("straight-leg-raise-prone", "thigh", "lifts", 2.5),
        ExerciseRule("short-arc-quad", "knee", "extends", 8.0),
        ExerciseRule("long-arc-quad", "knee", "extends", 12.0),
        ExerciseRule("terminal-knee-extension", "knee", "extends", 8.0, closed=True),
        ExerciseRule("sit-to-stand", "knee", "extends", 25.0, closed=True),
        ExerciseRule("mini-squat", "knee", "flexes", 18.0, closed=True),
        ExerciseRule("step-up", "knee", "extends", 15.0, closed=True),
        ExerciseRule("lunge", "knee", "flexes", 20.0, closed=True),
        ExerciseRule("bridge", "thigh", "lifts", 5.0),
        ExerciseRule("hamstring-curl", "knee", "flexes", 15.0),
    )
}

if tuple(RULES) != EXERCISES:  # a name added in one place only is found at import
    raise RuntimeError("every exercise of the product needs its rule, in the product's order")

#: What is looked for when no exercise was declared: the first that completes a repetition shows the way.
UNDECLARED: Final[tuple[ExerciseRule, ...]] = (
    ExerciseRule("", "knee", "flexes", 18.0),
    ExerciseRule("", "knee", "extends", 18.0),
    ExerciseRule("", "thigh", "lifts", 6.0),
)
