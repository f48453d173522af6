"""A stored calibration as a value: what it takes, and its way through JSON."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gonio.signal.knee.stored import StoredCalibration

Z = (0.0, 0.0, 1.0)
X = (1.0, 0.0, 0.0)


def unit(angles: tuple[float, float]) -> tuple[float, float, float]:
    a, b = angles
    return math.cos(a) * math.cos(b), math.sin(a) * math.cos(b), math.sin(b)


angle = st.floats(-math.pi, math.pi)
axis = st.tuples(angle, angle).map(unit)


@given(axis, axis, angle, angle | st.just(math.nan), st.sampled_from(["standing", "pose", "range"]))
def test_it_comes_back_from_json_as_it_was(
    thigh: tuple[float, float, float],
    shank: tuple[float, float, float],
    straight: float,
    upright: float,
    zero: str,
) -> None:
    before = StoredCalibration(thigh, shank, straight, upright, zero)
    text = json.dumps(before.to_dict(), allow_nan=False)
    after = StoredCalibration.from_dict(json.loads(text))
    assert after.to_dict() == before.to_dict()
    assert math.isnan(after.upright) == math.isnan(upright)


@pytest.mark.parametrize(
    ("thigh", "straight", "upright", "zero", "reason"),
    [
        ((0.0, 0.0, 0.5), 0.0, 0.0, "standing", "thigh is not of length 1"),
        ((0.0, math.nan, 1.0), 0.0, 0.0, "standing", "thigh is not three finite numbers"),
        (Z, math.nan, 0.0, "standing", "straight is no angle"),
        (Z, 100.0, 0.0, "standing", "straight is no angle"),
        (Z, 0.0, math.inf, "standing", "upright is no angle"),
        (Z, 0.0, 0.0, "stored", "zero is none of"),
    ],
)
def test_what_cannot_be_is_refused(
    thigh: tuple[float, float, float], straight: float, upright: float, zero: str, reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        StoredCalibration(thigh, X, straight, upright, zero)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"thigh": [1, 2]}, "thigh is not three numbers"),
        ({"shank": "xyz"}, "shank is not three numbers"),
        ({"shank": [True, 0, 0]}, "shank is no number"),
        ({"straight_rad": "0"}, "straight_rad is no number"),
        ({"straight_rad": math.inf}, "straight_rad is not finite"),
        ({"straight_rad": 10**400}, "straight_rad is not finite"),
        ({"upright_rad": math.nan}, "upright_rad is not finite"),
        ({"zero": 1}, "zero is no text"),
    ],
)
def test_a_damaged_file_is_refused_with_the_reason(change: dict[str, object], reason: str) -> None:
    good = StoredCalibration(Z, X, 0.1, 0.2, "pose").to_dict()
    with pytest.raises(ValueError, match=reason):
        StoredCalibration.from_dict({**good, **change})


@pytest.mark.parametrize("data", [None, [], "text", {}])
def test_something_else_is_refused(data: object) -> None:
    with pytest.raises(ValueError, match="a calibration"):
        StoredCalibration.from_dict(data)


@given(st.dictionaries(st.sampled_from(["thigh", "shank", "straight_rad", "upright_rad", "zero"]), st.none()))
def test_a_part_of_one_is_refused(data: dict[str, None]) -> None:
    with pytest.raises(ValueError, match=r"a calibration without|is no|is not"):
        StoredCalibration.from_dict(data)
