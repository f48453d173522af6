"""The exercises as a therapist would describe them: where the leg rests, how far it goes, and at what pace.

Angles are in degrees (see ``leg_score.COORDINATES``). The doses that the holds come from are in the product's facts;
where a prescribed hold would make a demonstration tedious (heel slide, 6 s) the default is shorter and the caller
asks for more.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from gonio.errors import UsageError
from gonio.signal.consts import RepSignal

Posture: TypeAlias = Literal["standing", "seated", "supine", "hook-lying", "side", "prone", "step", "split"]
Quality: TypeAlias = Literal["good", "low-amplitude", "fast", "jerky", "partial"]

QUALITIES: Final[tuple[Quality, ...]] = ("good", "low-amplitude", "fast", "jerky", "partial")

_QUICKEST_S: Final = 0.2
_SLOWEST_S: Final = 120.0


@dataclass(frozen=True, slots=True)
class Tempo:
    """The pace of one repetition, s: out to the far end, hold there, back, rest before the next."""

    out_s: float
    hold_s: float
    back_s: float
    rest_s: float

    def __post_init__(self) -> None:
        moves = all(_QUICKEST_S <= part <= _SLOWEST_S for part in (self.out_s, self.back_s))
        if not (moves and all(0 <= part <= _SLOWEST_S for part in (self.hold_s, self.rest_s))):
            raise UsageError(
                f"a tempo has {_QUICKEST_S:g} to {_SLOWEST_S:g} s out and back, and 0 to {_SLOWEST_S:g} s hold and rest"
            )

    @property
    def total_s(self) -> float:
        """Duration of a repetition with its rest, s."""
        return self.out_s + self.hold_s + self.back_s + self.rest_s


@dataclass(frozen=True, slots=True)
class Exercise:
    """One exercise.

    Attributes:
        posture: the position it is done in.
        signal: what moves most: the knee's flexion, or the thigh.
        main: the coordinate in whose degrees the exercise's range is given.
        rest: coordinates between repetitions.
        far: coordinates at the far end of a full repetition.
        tempo: the pace of a good repetition.
        planted: whether the foot stays on its place and the pelvis moves.
        slides: whether the heel keeps to the bed; the hip then follows the knee.
    """

    posture: Posture
    signal: RepSignal
    main: str
    rest: Mapping[str, float]
    far: Mapping[str, float]
    tempo: Tempo
    planted: bool = False
    slides: bool = False

    @property
    def range_deg(self) -> float:
        """How far a full repetition goes in its main coordinate, degrees."""
        return abs(self.far[self.main] - self.rest[self.main])


#: A knee of 5 degrees while standing belongs to a hip of 2: the shank then leans back by 3.
CATALOGUE: Final[Mapping[str, Exercise]] = {
    "quad-set": Exercise(
        "supine", "knee", "knee", {"hip": 2.0, "knee": 5.0}, {"hip": 0.5, "knee": -1.0}, Tempo(0.8, 6.0, 0.8, 2.0)
    ),
    "heel-slide": Exercise(
        "supine",
        "knee",
        "knee",
        {"hip": 0.0, "knee": 4.0},
        {"hip": 0.0, "knee": 100.0},
        Tempo(2.2, 0.8, 2.0, 0.7),
        slides=True,
    ),
    "straight-leg-raise": Exercise(
        "supine", "thigh", "hip", {"hip": 2.0, "knee": 3.0}, {"hip": 45.0, "knee": 6.0}, Tempo(1.6, 3.0, 1.8, 1.2)
    ),
    "straight-leg-raise-side": Exercise(
        "side",
        "thigh",
        "abduction",
        {"abduction": -2.0, "hip": 2.0, "knee": 4.0},
        {"abduction": 35.0, "hip": 0.0, "knee": 6.0},
        Tempo(1.5, 3.0, 1.7, 1.2),
    ),
    "straight-leg-raise-prone": Exercise(
        "prone", "thigh", "hip", {"hip": 0.0, "knee": 3.0}, {"hip": -20.0, "knee": 6.0}, Tempo(1.2, 3.0, 1.4, 1.2)
    ),
    "short-arc-quad": Exercise(
        "supine", "knee", "knee", {"hip": 25.0, "knee": 45.0}, {"hip": 26.0, "knee": 3.0}, Tempo(1.2, 4.0, 1.4, 1.2)
    ),
    "long-arc-quad": Exercise(
        "seated", "knee", "knee", {"hip": 84.0, "knee": 88.0}, {"hip": 87.0, "knee": 6.0}, Tempo(1.7, 4.0, 1.9, 1.2)
    ),
    "terminal-knee-extension": Exercise(
        "standing",
        "knee",
        "knee",
        {"hip": 18.0, "knee": 42.0},
        {"hip": 2.0, "knee": 1.0},
        Tempo(1.0, 4.0, 1.2, 1.0),
        planted=True,
    ),
    "sit-to-stand": Exercise(
        "seated",
        "knee",
        "knee",
        {"hip": 84.0, "knee": 95.0},
        {"hip": 2.0, "knee": 5.0},
        Tempo(1.9, 0.8, 2.1, 1.0),
        planted=True,
    ),
    "mini-squat": Exercise(
        "standing",
        "knee",
        "knee",
        {"hip": 2.0, "knee": 5.0},
        {"hip": 40.0, "knee": 62.0},
        Tempo(1.7, 0.8, 1.6, 1.0),
        planted=True,
    ),
    "step-up": Exercise(
        "step",
        "knee",
        "knee",
        {"hip": 50.0, "knee": 60.0},
        {"hip": 4.0, "knee": 7.0},
        Tempo(1.4, 0.7, 1.6, 1.0),
        planted=True,
    ),
    "lunge": Exercise(
        "split",
        "knee",
        "knee",
        {"hip": 28.0, "knee": 15.0},
        {"hip": 78.0, "knee": 88.0},
        Tempo(1.6, 0.6, 1.5, 1.0),
        planted=True,
    ),
    "bridge": Exercise(
        "hook-lying",
        "thigh",
        "hip",
        {"hip": 48.0, "knee": 100.0},
        {"hip": 22.0, "knee": 85.0},
        Tempo(1.4, 3.0, 1.6, 1.2),
        planted=True,
    ),
    "hamstring-curl": Exercise(
        "standing", "knee", "knee", {"hip": 2.0, "knee": 7.0}, {"hip": -4.0, "knee": 95.0}, Tempo(1.7, 0.6, 1.7, 0.9)
    ),
}

_KNEE_LIMITS_DEG: Final = (-12.0, 150.0)


def scaled(name: str, range_deg: float | None) -> tuple[Exercise, float]:
    """Look an exercise up and give the share of its far end that a range asks for.

    Args:
        name: of the exercise.
        range_deg: how far a full repetition goes in the exercise's main coordinate, degrees; None for the usual.

    Raises:
        UsageError: The exercise is unknown, or a knee does not go that far.
    """
    exercise = CATALOGUE.get(name)
    if exercise is None:
        raise UsageError(f"there is no exercise {name!r}; there are: {', '.join(sorted(CATALOGUE))}")
    share = 1.0 if range_deg is None else range_deg / exercise.range_deg
    knee = exercise.rest["knee"] + share * (exercise.far["knee"] - exercise.rest["knee"])
    if not (share > 0 and _KNEE_LIMITS_DEG[0] <= knee <= _KNEE_LIMITS_DEG[1]):
        raise UsageError(
            f"a {name} over {range_deg} degrees is beyond a leg: it starts at {exercise.rest[exercise.main]:g} degrees "
            f"and usually goes {exercise.range_deg:g}"
        )
    return exercise, share
