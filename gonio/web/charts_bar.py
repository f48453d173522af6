"""A range of angles as a bar on a common track: small enough for a table's cell."""

from typing import Final

import svg
from markupsafe import Markup

from gonio.web.charts import Scale, paint

#: The track: the angles a knee can take, degrees.
TRACK_DEG: Final = (-15.0, 150.0)
_WIDTH: Final = 132
_HEIGHT: Final = 14


def range_bar(low: float | None, high: float | None, *, sure: bool = True) -> Markup:
    """Draw from the smallest to the largest flexion, degrees; nothing on the track where they are not known.

    It is decoration beside the same numbers in words and hidden from those who hear the page.
    """
    x = Scale(*TRACK_DEG, 0, _WIDTH)
    elements: list[svg.Element] = [svg.Rect(y=4, width=_WIDTH, height=6, rx=3, **paint("track"))]
    if low is not None and high is not None:
        left, right = (x(min(max(value, TRACK_DEG[0]), TRACK_DEG[1])) for value in (min(low, high), max(low, high)))
        width = max(3.0, round(right - left, 1))
        elements.append(svg.Rect(x=left, y=4, width=width, height=6, rx=3, **paint("bar" if sure else "bar unsure")))
    elements.append(svg.Line(x1=x(0), x2=x(0), y1=0, y2=_HEIGHT, **paint("zero")))
    picture = svg.SVG(
        viewBox=svg.ViewBoxSpec(0, 0, _WIDTH, _HEIGHT),
        width=_WIDTH,
        height=_HEIGHT,
        class_=["range-bar"],
        extra={"aria-hidden": "true", "focusable": "false"},
        elements=elements,
    )
    return Markup(str(picture))  # noqa: S704 - numbers only
