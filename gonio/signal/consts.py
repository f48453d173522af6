"""Units, frames, signs and names that the whole signal chain shares.

Frames
    *Sensor frame*: right-handed, fixed to the sensor's housing, whatever way it is strapped on.
    *Earth frame*: z up; the heading of x is arbitrary (no magnetometer is used) and differs between sensors.

Signs
    Flexion of the knee is positive, the straight leg is 0, hyperextension is negative.
    An accelerometer at rest reads +g along "up" (specific force).

Units
    SI and radians everywhere inside; degrees, g and degrees per second only at a wire or a human.
"""

from typing import Final, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

FloatArray: TypeAlias = npt.NDArray[np.float64]
BoolArray: TypeAlias = npt.NDArray[np.bool_]

Segment: TypeAlias = Literal["thigh", "shank"]
Side: TypeAlias = Literal["left", "right"]
RepSignal: TypeAlias = Literal["knee", "thigh"]

SEGMENTS: Final[tuple[Segment, Segment]] = ("thigh", "shank")

#: Standard gravity, m/s² (CGPM 1901): the factor between g on a wire and SI inside.
STANDARD_GRAVITY: Final = 9.80665

#: The exercises of the product, by the names used everywhere.
EXERCISES: Final[tuple[str, ...]] = (
    "quad-set",
    "heel-slide",
    "straight-leg-raise",
    "straight-leg-raise-side",
    "straight-leg-raise-prone",
    "short-arc-quad",
    "long-arc-quad",
    "terminal-knee-extension",
    "sit-to-stand",
    "mini-squat",
    "step-up",
    "lunge",
    "bridge",
    "hamstring-curl",
)

#: What an exercise is called when none was recognised (gait, rest).
NO_EXERCISE: Final = "none"

#: The flag of a session in which a sensor had no gyroscope: repetitions by the leg's tilt, and no angle of the knee.
INCLINATION_ONLY: Final = "inclination-only"
