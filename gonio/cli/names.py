"""Names that ``--help`` shows; they stand here so that it needs neither numbers nor filters, which load slowly."""

from typing import Final

#: ``signal.consts.EXERCISES``, as a list for people; a test compares the two.
EXERCISE_NAMES: Final = (
    "quad-set, heel-slide, straight-leg-raise, straight-leg-raise-side, straight-leg-raise-prone, short-arc-quad, "
    "long-arc-quad, terminal-knee-extension, sit-to-stand, mini-squat, step-up, lunge, bridge, hamstring-curl"
)
