"""What each exercise looks like to the chain, written so that a physiotherapist can read and correct it.

Every exercise is one ``ExerciseRule``; nothing else in the chain knows an exercise by name. Angles are in degrees, as
people say them. The thigh's angle is its inclination against standing: 0 upright, 90 level with the knee in front
(sitting, lying on the back), -90 lying on the front. The knee's angle is its flexion, 0 straight.

How to read a rule
    *Counting.* ``signal`` is what is counted: the knee's flexion, or the tilt of the leg where the knee stays straight.
    ``moves`` is the way a repetition goes from its rest: a heel slide flexes from a straight leg, a long arc quad
    extends from a bent one. ``smallest`` is the least excursion that can be a repetition of anybody; above it the
    thresholds follow the patient's own repetitions (see ``counter``). ``complete`` is the share of the patient's usual
    range, or of his template's, below which a repetition is a partial one. Nothing here is a duration: holds may be
    long, and a fast repetition is one.

    *Phases.* ``concentric`` is where the trained muscle shortens: on the way ``out`` from the rest (the quadriceps in
    a long arc quad) or on the way ``back`` to it (the same muscle in a squat). ``held`` says whether a hold is asked.

    *What may be said of it.* ``measures`` names the figures that mean something in this exercise.

    *Recognising it.* ``rest`` is where the leg rests: one posture or several that the exercise is done in. ``turn`` is
    how far thigh and shank turn to the far end of a full repetition, forward and up being positive; only the proportion
    of the two is used, so that a small repetition looks like a large one. ``most`` is the largest turn of either that
    still is this exercise. ``covers`` are exercises whose motion also goes under this name in practice, so that they
    are never held against it.

How to add one
    1. Put its name into ``consts.EXERCISES`` and its rule, in the same order, here. The ranges of ``rest`` should be
       what a clinic will really see (high and low chairs, a towel under the knee), not what the textbook draws: a
       knee outside them by 15° or more, and a thigh by 25°, are held against the name.
    2. Give the simulator its choreography (``simulators/leg_exercises.CATALOGUE``).
    3. Run ``tests/signal/test_exercise_*``: they take every name from here, count simulated repetitions of good and bad
       quality, and tell the new exercise from all others. Where two cannot be told apart, ``covers`` says so.

Sources: the signals, figures and doses are those of the product's clinical table (home programmes after knee
replacement and for knee pain); the postures and turns follow from the geometry of a leg with thigh and shank of equal
length and are an engineer's reading, to be corrected by whoever knows better.
"""

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from gonio.signal.consts import EXERCISES, RepSignal

Way: TypeAlias = Literal["flexes", "extends", "lifts"]
#: Where in a repetition the trained muscle shortens; None: not known, so not told.
Shortening: TypeAlias = Literal["out", "back"]
#: Figures that mean something in an exercise: largest flexion, smallest flexion short of straight, the knee's largest
#: flexion while the straight leg is raised, how far the leg is raised, and the hold at the far end.
Measure: TypeAlias = Literal["flexion", "extension-deficit", "extensor-lag", "height", "hold"]
#: From, to, degrees.
Range: TypeAlias = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Posture:
    """Where a leg rests.

    Attributes:
        thigh: its inclination against standing, degrees; lying on the side it has none.
        knee: flexion, degrees.
        aside: True for lying on the side.
    """

    thigh: Range
    knee: Range
    aside: bool = False


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
        complete: share of the usual (or the template's) range that a complete repetition reaches.
        concentric: where the trained muscle shortens.
        held: whether a hold at the far end is part of it.
        measures: the figures that mean something in it.
        rest: the postures it is done from; none where any will do.
        turn: how far thigh and shank turn in a full repetition, degrees; None where they hardly do.
        most: largest turn of either segment, degrees.
        covers: exercises that go under this name too.
        common: how often it is done beside those that look like it (1: it is the common one); where the motion cannot
            tell, the commoner name is taken.
    """

    name: str
    signal: RepSignal
    moves: Way
    smallest: float
    closed: bool = False
    faint: bool = False
    complete: float = 0.7
    concentric: Shortening | None = None
    held: bool = False
    measures: tuple[Measure, ...] = ()
    rest: tuple[Posture, ...] = ()
    turn: tuple[float, float] | None = None
    most: float = 180.0
    covers: tuple[str, ...] = ()
    common: float = 1.0


_STRAIGHT_KNEE: Final = (-10.0, 30.0)  # a lag or a towel under the knee included
_LYING_THIGH: Final = (65.0, 115.0)  # on the back, the head of the bed up or not
_PRONE_THIGH: Final = (-120.0, -65.0)

_QUAD_SET: Final = ExerciseRule(
    "quad-set",
    signal="knee",
    moves="extends",
    smallest=3.0,
    faint=True,
    complete=0.5,  # of some 6 degrees, within which the angle's own error is large
    concentric="out",
    held=True,
    measures=("extension-deficit", "hold"),
    rest=(Posture(thigh=_LYING_THIGH, knee=(-10.0, 30.0)),),
    most=12.0,
    common=0.2,
)

_HEEL_SLIDE: Final = ExerciseRule(
    "heel-slide",
    signal="knee",
    moves="flexes",
    smallest=12.0,
    closed=True,
    concentric="out",
    measures=("flexion", "extension-deficit", "hold"),
    rest=(Posture(thigh=(65.0, 125.0), knee=(-10.0, 45.0)),),  # a stiff knee lies bent, and so lifts the thigh
    turn=(48.0, -48.0),
    most=100.0,
)

_STRAIGHT_LEG_RAISE: Final = ExerciseRule(
    "straight-leg-raise",
    signal="thigh",
    moves="lifts",
    smallest=2.5,
    concentric="out",
    held=True,
    measures=("height", "extensor-lag", "hold"),
    rest=(Posture(thigh=_LYING_THIGH, knee=_STRAIGHT_KNEE),),
    turn=(43.0, 40.0),
    most=90.0,
)

_STRAIGHT_LEG_RAISE_SIDE: Final = ExerciseRule(
    "straight-leg-raise-side",
    signal="thigh",
    moves="lifts",
    smallest=2.5,
    concentric="out",
    held=True,
    measures=("height", "extensor-lag", "hold"),
    rest=(Posture(thigh=(-180.0, 180.0), knee=_STRAIGHT_KNEE, aside=True),),
    turn=(37.0, 37.0),
    most=70.0,
    common=0.5,
)

_STRAIGHT_LEG_RAISE_PRONE: Final = ExerciseRule(
    "straight-leg-raise-prone",
    signal="thigh",
    moves="lifts",
    smallest=2.5,
    concentric="out",
    held=True,
    measures=("height", "extensor-lag", "hold"),
    rest=(Posture(thigh=_PRONE_THIGH, knee=_STRAIGHT_KNEE),),
    turn=(-20.0, -23.0),
    most=50.0,
    common=0.3,
)

_SHORT_ARC_QUAD: Final = ExerciseRule(
    "short-arc-quad",
    signal="knee",
    moves="extends",
    smallest=8.0,
    concentric="out",
    held=True,
    measures=("extension-deficit", "hold"),
    rest=(Posture(thigh=(90.0, 140.0), knee=(15.0, 60.0)),),  # on the back, a roll under the knee
    turn=(0.0, 42.0),
    most=75.0,
    common=0.5,
)

_LONG_ARC_QUAD: Final = ExerciseRule(
    "long-arc-quad",
    signal="knee",
    moves="extends",
    smallest=12.0,
    concentric="out",
    held=True,
    measures=("extension-deficit", "hold"),
    rest=(Posture(thigh=(55.0, 115.0), knee=(60.0, 120.0)),),  # sitting, the shank hanging
    turn=(3.0, 85.0),
    most=125.0,
)

_TERMINAL_KNEE_EXTENSION: Final = ExerciseRule(
    "terminal-knee-extension",
    signal="knee",
    moves="extends",
    smallest=8.0,
    closed=True,
    concentric="out",
    held=True,
    measures=("extension-deficit", "hold"),
    rest=(Posture(thigh=(0.0, 40.0), knee=(15.0, 60.0)),),  # standing against a band
    turn=(-16.0, 25.0),
    most=60.0,
    covers=("short-arc-quad",),  # lying, over a roll, some call it by this name
    common=0.5,
)

_SIT_TO_STAND: Final = ExerciseRule(
    "sit-to-stand",
    signal="knee",
    moves="extends",
    smallest=25.0,
    closed=True,
    concentric="out",
    measures=("flexion", "extension-deficit"),
    rest=(Posture(thigh=(60.0, 115.0), knee=(65.0, 125.0)),),
    turn=(-82.0, 8.0),
    most=115.0,
    covers=("step-up",),  # from a high chair
)

_MINI_SQUAT: Final = ExerciseRule(
    "mini-squat",
    signal="knee",
    moves="flexes",
    smallest=18.0,
    closed=True,
    concentric="back",
    measures=("flexion",),
    rest=(Posture(thigh=(-20.0, 20.0), knee=(-10.0, 30.0)),),
    turn=(38.0, -19.0),
    most=115.0,
    covers=("lunge",),  # feet apart, it is a split squat
)

_STEP_UP: Final = ExerciseRule(
    "step-up",
    signal="knee",
    moves="extends",
    smallest=15.0,
    closed=True,
    concentric="out",
    measures=("flexion", "extension-deficit"),
    rest=(Posture(thigh=(15.0, 65.0), knee=(25.0, 85.0)),),
    turn=(-46.0, 7.0),
    most=90.0,
    covers=("sit-to-stand", "terminal-knee-extension"),  # from a high and from a low step
)

_LUNGE: Final = ExerciseRule(
    "lunge",
    signal="knee",
    moves="flexes",
    smallest=20.0,
    closed=True,
    concentric="back",
    measures=("flexion",),
    rest=(Posture(thigh=(15.0, 60.0), knee=(-5.0, 60.0)),),
    turn=(50.0, -23.0),
    most=115.0,
    covers=("mini-squat", "hamstring-curl"),  # stepping forward from standing; the leg behind
)

_BRIDGE: Final = ExerciseRule(
    "bridge",
    signal="thigh",
    moves="lifts",
    smallest=5.0,
    concentric="out",
    held=True,
    measures=("height", "hold"),
    rest=(Posture(thigh=(105.0, 165.0), knee=(55.0, 130.0)),),
    turn=(-26.0, -11.0),
    most=60.0,
    common=0.5,
)

_HAMSTRING_CURL: Final = ExerciseRule(
    "hamstring-curl",
    signal="knee",
    moves="flexes",
    smallest=15.0,
    concentric="out",
    measures=("flexion",),
    rest=(Posture(thigh=(-25.0, 30.0), knee=(-10.0, 40.0)), Posture(thigh=_PRONE_THIGH, knee=(-10.0, 40.0))),
    turn=(-5.0, -90.0),
    most=140.0,
)

RULES: Final[dict[str, ExerciseRule]] = {
    rule.name: rule
    for rule in (
        _QUAD_SET,
        _HEEL_SLIDE,
        _STRAIGHT_LEG_RAISE,
        _STRAIGHT_LEG_RAISE_SIDE,
        _STRAIGHT_LEG_RAISE_PRONE,
        _SHORT_ARC_QUAD,
        _LONG_ARC_QUAD,
        _TERMINAL_KNEE_EXTENSION,
        _SIT_TO_STAND,
        _MINI_SQUAT,
        _STEP_UP,
        _LUNGE,
        _BRIDGE,
        _HAMSTRING_CURL,
    )
}

if tuple(RULES) != EXERCISES:  # a name added in one place only is found at import
    raise RuntimeError("every exercise of the product needs its rule, in the product's order")

#: What is looked for when no exercise was declared: the first that completes a repetition shows the way. What the
#: muscle does on it depends on the exercise (a squat flexes under load, a heel slide does not), so it is not told.
UNDECLARED: Final[tuple[ExerciseRule, ...]] = (
    ExerciseRule("", "knee", "flexes", 18.0),
    ExerciseRule("", "knee", "extends", 18.0),
    ExerciseRule("", "thigh", "lifts", 6.0),
)
