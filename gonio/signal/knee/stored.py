"""What is kept of a calibration, so that the next session with the same mounting need not begin from nothing."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self, TypeAlias

Triple: TypeAlias = tuple[float, float, float]

_SOURCES: Final = ("standing", "pose", "range")
_SIZE: Final = 3
_UNIT_ERROR: Final = 1e-3  # of an axis's length: more than rounding to four digits leaves
_MOST_RAD: Final = 7.0  # an inclination lies within ±pi, a difference of two within twice that


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

    def __post_init__(self) -> None:
        for name, axis in (("thigh", self.thigh), ("shank", self.shank)):
            if len(axis) != _SIZE or not all(math.isfinite(part) for part in axis):
                raise ValueError(f"{name} is not three finite numbers")
            if abs(math.hypot(*axis) - 1.0) > _UNIT_ERROR:
                raise ValueError(f"{name} is not of length 1")
        if not abs(self.straight) <= _MOST_RAD:
            raise ValueError("straight is no angle in rad")
        if not (math.isnan(self.upright) or abs(self.upright) <= _MOST_RAD):
            raise ValueError("upright is no angle in rad")
        if self.zero not in _SOURCES:
            raise ValueError(f"zero is none of {', '.join(_SOURCES)}")

    def to_dict(self) -> dict[str, object]:
        """Give what ``json.dumps`` takes; an inclination that is not known is None, for JSON has no NaN."""
        return {
            "thigh": list(self.thigh),
            "shank": list(self.shank),
            "straight_rad": self.straight,
            "upright_rad": None if math.isnan(self.upright) else self.upright,
            "zero": self.zero,
        }

    @classmethod
    def from_dict(cls, data: object) -> Self:
        """Read what ``to_dict`` gave, also when it went through JSON.

        Raises:
            ValueError: it is not such a thing, with the reason.
        """
        if not isinstance(data, Mapping):
            raise ValueError("a calibration is an object")  # noqa: TRY004 - what comes from a file is a bad value
        missing = {"thigh", "shank", "straight_rad", "upright_rad", "zero"} - data.keys()
        if missing:
            raise ValueError(f"a calibration without {', '.join(sorted(missing))}")
        upright, zero = data["upright_rad"], data["zero"]
        if not isinstance(zero, str):
            raise ValueError("zero is no text")  # noqa: TRY004
        return cls(
            _triple(data["thigh"], "thigh"),
            _triple(data["shank"], "shank"),
            _number(data["straight_rad"], "straight_rad"),
            math.nan if upright is None else _number(upright, "upright_rad"),
            zero,
        )


def _number(value: object, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{name} is no number")  # noqa: TRY004
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ValueError(f"{name} is not finite")
    return number


def _triple(value: object, name: str) -> Triple:
    if not isinstance(value, list | tuple) or len(value) != _SIZE:
        raise ValueError(f"{name} is not three numbers")
    x, y, z = (_number(part, name) for part in value)
    return x, y, z
