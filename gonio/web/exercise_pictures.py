"""A picture of each exercise: a figure at the beginning and at the far end of a repetition, side by side.

The figure is drawn from joint angles in the plane in which the leg moves: thighs and shanks of equal length, the hip's
flexion between trunk and thigh, the knee's between thigh and shank, both in degrees. The leg that exercises is bold.
Poses are those of a textbook repetition; nobody's measurement is in them.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

import svg
from markupsafe import Markup

from gonio.web.charts import words

Ground: TypeAlias = Literal["bed", "floor", "chair", "step"]
_Point: TypeAlias = tuple[float, float]

_LIMB: Final = 46.0  # px of thigh and of shank
_TRUNK: Final = 56.0
_HEAD: Final = 11.0
_FOOT: Final = 13.0
_WIDTH: Final = 210.0
_HEIGHT: Final = 226.0
_BASE: Final = 208.0  # px from the top to the ground
_BED: Final = 150.0  # px from the top to the middle of one who lies
_STEP: Final = 26.0
_DEEP_DEG: Final = 60.0  # of the hip: a lunge, beyond any small squat

_PAINT: Final[Mapping[str, dict[str, Any]]] = {
    "leg": {"stroke": "#0b5fcc", "stroke_width": 11, "stroke_linecap": "round", "stroke_linejoin": "round"},
    "body": {"stroke": "#4a525c", "stroke_width": 11, "stroke_linecap": "round", "stroke_linejoin": "round"},
    "other": {"stroke": "#b4bcc6", "stroke_width": 10, "stroke_linecap": "round", "stroke_linejoin": "round"},
    "ground": {"stroke": "#868f99", "stroke_width": 4, "stroke_linecap": "round"},
}


@dataclass(frozen=True, slots=True)
class _Pose:
    """The joints of the leg that exercises, degrees."""

    hip: float
    knee: float


@dataclass(frozen=True, slots=True)
class _Drawing:
    posture: Literal["lying", "prone", "upright"]
    ground: Ground
    rest: _Pose
    far: _Pose
    planted: bool = False
    heel_on_bed: bool = False
    other_bent: bool = False
    roll: bool = False


_DRAWINGS: Final[Mapping[str, _Drawing]] = {
    "quad-set": _Drawing("lying", "bed", _Pose(3, 7), _Pose(0, 0)),
    "heel-slide": _Drawing("lying", "bed", _Pose(0, 3), _Pose(0, 95), heel_on_bed=True),
    "straight-leg-raise": _Drawing("lying", "bed", _Pose(0, 0), _Pose(42, 0), other_bent=True),
    "straight-leg-raise-side": _Drawing("lying", "bed", _Pose(0, 0), _Pose(33, 0)),
    "straight-leg-raise-prone": _Drawing("prone", "bed", _Pose(0, 0), _Pose(-20, 0)),
    "short-arc-quad": _Drawing("lying", "bed", _Pose(25, 45), _Pose(26, 3), roll=True),
    "long-arc-quad": _Drawing("upright", "chair", _Pose(90, 88), _Pose(90, 4)),
    "terminal-knee-extension": _Drawing("upright", "floor", _Pose(18, 40), _Pose(0, 0), planted=True),
    "sit-to-stand": _Drawing("upright", "chair", _Pose(90, 92), _Pose(0, 0), planted=True),
    "mini-squat": _Drawing("upright", "floor", _Pose(0, 0), _Pose(42, 62), planted=True),
    "step-up": _Drawing("upright", "step", _Pose(52, 58), _Pose(0, 0), planted=True),
    "lunge": _Drawing("upright", "floor", _Pose(26, 16), _Pose(80, 86), planted=True),
    "bridge": _Drawing("lying", "bed", _Pose(50, 100), _Pose(22, 85), planted=True),
    "hamstring-curl": _Drawing("upright", "floor", _Pose(0, 4), _Pose(-3, 90)),
}


def exercise_picture(exercise: str, title: str, *, mirrored: bool = False) -> Markup:
    """Draw an exercise; an empty text for one that has no picture.

    Args:
        exercise: its product-wide name.
        title: what it shows, in words.
        mirrored: for the left leg the figure looks to the other side.
    """
    drawing = _DRAWINGS.get(exercise)
    if drawing is None:
        return Markup("")
    panels: list[svg.Element] = []
    for number, pose in enumerate((drawing.rest, drawing.far)):
        figure: list[svg.Element] = [svg.G(elements=_figure(drawing, pose))]
        if mirrored:
            figure = [svg.G(transform=[svg.Translate(_WIDTH, 0), svg.Scale(-1, 1)], elements=figure)]
        figure += [
            svg.Circle(cx=20, cy=22, r=15, class_=["count"], fill="none", stroke="#4a525c", stroke_width=2),
            svg.Text(x=20, y=28, text=str(number + 1), text_anchor="middle", font_size=17, class_=["count-number"]),
        ]
        panels.append(svg.G(transform=[svg.Translate(number * _WIDTH, 0)], elements=figure))
    drawn = svg.SVG(
        viewBox=svg.ViewBoxSpec(0, 0, 2 * _WIDTH, _HEIGHT),
        width=2 * _WIDTH,
        height=_HEIGHT,
        class_=["exercise-picture"],
        extra={"role": "img", "aria-label": words(title)},
        elements=panels,
    )
    return Markup(str(drawn))  # noqa: S704 - words() escapes the title, all else is ours


def pictured() -> frozenset[str]:
    """Name the exercises that have a picture."""
    return frozenset(_DRAWINGS)


def _figure(drawing: _Drawing, pose: _Pose) -> list[svg.Element]:
    """Draw one pose with what it is done on."""
    if drawing.posture == "upright":
        return _upright(drawing, pose)
    return _lying(drawing, pose)


def _upright(drawing: _Drawing, pose: _Pose) -> list[svg.Element]:
    ground = _BASE - (_STEP if drawing.ground == "step" else 0.0)
    knee, ankle, toe = _leg((0.0, 0.0), 90.0 - pose.hip, 90.0 - (pose.hip - pose.knee), -90.0)
    if drawing.planted:
        toe = (ankle[0] + _FOOT, ankle[1])
    # a planted foot stays where it is, and the body moves; otherwise the body sits or stands, and the foot moves
    x = (100.0 - ankle[0]) if drawing.planted else 84.0
    y = (ground - ankle[1]) if drawing.planted else (_BASE - _LIMB if drawing.ground == "chair" else ground - 2 * _LIMB)
    hip = (x, y)
    lean = 0.45 * pose.hip if drawing.planted and drawing.ground != "step" else 0.0
    neck = _along(hip, -90.0 + lean, _TRUNK)
    head = _along(neck, -90.0 + lean, _HEAD + 5.0)
    elements = _ground(drawing.ground, sat=x if drawing.ground == "chair" else None)
    other_knee = 0.0 if drawing.ground == "chair" else 90.0
    far_knee = _along(hip, other_knee, _LIMB)
    if (
        drawing.ground == "floor" and drawing.planted and pose.hip > _DEEP_DEG
    ):  # a lunge: the other knee goes down behind
        far_knee = _along(hip, 105.0, _LIMB)
        other = [hip, far_knee, _along(far_knee, 165.0, _LIMB)]
    elif drawing.planted and drawing.ground == "step":
        other = [hip, _along(hip, 100.0, _LIMB), (hip[0] - 22.0, min(_BASE, hip[1] + 2 * _LIMB))]
    elif drawing.planted:
        other = [hip, (hip[0] + knee[0] - 9.0, hip[1] + knee[1]), (hip[0] + ankle[0] - 12.0, ground)]
    else:
        other = [hip, far_knee, _along(far_knee, 90.0, _LIMB)]
    elements.append(_line("other", other))
    elements.append(_line("body", [hip, neck]))
    elements.append(_head(head))
    elements.append(_line("leg", [hip, *((hip[0] + px, hip[1] + py) for px, py in (knee, ankle, toe))]))
    return elements


def _lying(drawing: _Drawing, pose: _Pose) -> list[svg.Element]:
    up = -1.0 if drawing.posture == "prone" else 1.0
    hip_deg, lift = pose.hip, 0.0
    if drawing.heel_on_bed:
        hip_deg = pose.knee / 2
    elif drawing.planted:
        lift = _bridge_lift(pose)
        hip_deg = pose.hip + lift
    shoulder = (34.0, _BED)
    hip = _along(shoulder, -lift, _TRUNK)
    knee, ankle, toe = _leg(hip, -up * hip_deg, -up * (hip_deg - pose.knee), -90.0 if up > 0 else 0.0)
    elements = _ground("bed", sat=None)
    if drawing.roll:
        elements.append(
            svg.Circle(cx=round(knee[0], 1), cy=_BED - 3, r=11, fill="none", stroke="#868f99", stroke_width=4)
        )
    if drawing.other_bent:
        bent = _along(hip, -50.0, _LIMB)
        elements.append(_line("other", [hip, bent, _along(bent, 50.0, _LIMB)]))
    elif not drawing.planted:
        elements.append(_line("other", [hip, _along(hip, 0.0, 2 * _LIMB)]))
    head = _along(shoulder, 180.0, _HEAD + 4.0)
    elements += [_line("body", [shoulder, hip]), _head(head), _line("leg", [hip, knee, ankle, toe])]
    return elements


def _bridge_lift(pose: _Pose) -> float:
    """Find how steep the trunk is when shoulders and foot are both on the bed, degrees."""
    low, high = -10.0, 60.0
    for _ in range(40):
        middle = (low + high) / 2
        thigh = math.radians(pose.hip + middle)
        height = _TRUNK * math.sin(math.radians(middle)) + _LIMB * (
            math.sin(thigh) + math.sin(thigh - math.radians(pose.knee))
        )
        low, high = (middle, high) if height < 0 else (low, middle)
    return (low + high) / 2


def _leg(hip: _Point, thigh_deg: float, shank_deg: float, foot_turn_deg: float) -> tuple[_Point, _Point, _Point]:
    """Give knee, ankle and toes; directions in degrees, clockwise from the right."""
    knee = _along(hip, thigh_deg, _LIMB)
    ankle = _along(knee, shank_deg, _LIMB)
    return knee, ankle, _along(ankle, shank_deg + foot_turn_deg, _FOOT)


def _along(start: _Point, degrees: float, length: float) -> _Point:
    turn = math.radians(degrees)
    return start[0] + length * math.cos(turn), start[1] + length * math.sin(turn)


def _line(name: str, points: list[_Point]) -> svg.Element:
    flat: list[svg.PathData] = [svg.MoveTo(*_rounded(points[0])), *(svg.LineTo(*_rounded(p)) for p in points[1:])]
    return svg.Path(d=flat, fill="none", class_=[f"figure-{name}"], **_PAINT[name])


def _head(centre: _Point) -> svg.Element:
    x, y = _rounded(centre)
    return svg.Circle(cx=x, cy=y, r=_HEAD, fill="#4a525c", class_=["figure-head"])


def _rounded(point: _Point) -> _Point:
    return round(point[0], 1), round(point[1], 1)


def _ground(ground: Ground, *, sat: float | None) -> list[svg.Element]:
    """Draw what the figure lies, sits or stands on."""
    lines: list[list[_Point]] = []
    if ground == "bed":
        y = _BED + 10.0
        lines = [
            [(8.0, y), (_WIDTH - 8.0, y)],
            [(18.0, y), (18.0, y + 34)],
            [(_WIDTH - 18.0, y), (_WIDTH - 18.0, y + 34)],
        ]
    else:
        lines = [[(14.0, _BASE + 8.0), (_WIDTH - 14.0, _BASE + 8.0)]]
    if ground == "step":
        lines.append(
            [(82.0, _BASE + 8.0), (82.0, _BASE - _STEP + 8.0), (150.0, _BASE - _STEP + 8.0), (150.0, _BASE + 8.0)]
        )
    if sat is not None:
        seat = _BASE - _LIMB + 10.0
        lines += [
            [(26.0, seat), (82.0, seat)],
            [(30.0, seat - 56.0), (30.0, _BASE + 8.0)],
            [(76.0, seat), (76.0, _BASE + 8.0)],
        ]
    return [_line("ground", one) for one in lines]
