"""What is kept of a calibration, so that the next session with the same mounting need not begin from nothing."""

from dataclasses import dataclass
from typing import TypeAlias

Triple: TypeAlias = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class StoredCalibration:
    """The knee's axis and zeros as one session found them; plain numbers, fit for JSON.

    Attributes:
        thigh: the knee's unit axis in the thigh sensor's frame, turned so that flexion is positive.
        shank: the same in the shank sensor's frame.
        straight: difference of the inclinations of the straight leg, rad.
        upright: the thigh's inclination in standing, rad; NaN when it was not known.
        zero: where the zero came from: "standing", "pose" or "range".
    """

    thigh: Triple
    shank: Triple
    straight: float
    upright: float
    zero: str
