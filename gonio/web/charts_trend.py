"""One value a session over days: does it move, and by more than the error of measurement?"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final

import svg
from markupsafe import Markup

from gonio.web.charts import (
    LARGE,
    MEDIUM,
    SMALL,
    Chart,
    Row,
    Scale,
    Size,
    angle_axis,
    angle_range,
    frame,
    paint,
    picture,
)
from gonio.web.words import UNKNOWN, clock, degrees, short_day

#: A change between sessions smaller than this is within the error of measurement, degrees (two-sensor systems after
#: knee replacement: mean error 2.6 to 3°, accepted at 5°; JFMK 2021, 6:60; PMC6427361).
REAL_CHANGE_DEG: Final = 5.0
_DAY_STEPS: Final = (1, 2, 7, 14, 28, 91, 182, 364, 728, 1820, 3640)
_LABEL_PX: Final = 40
_HEADROOM_PX: Final = 22


@dataclass(frozen=True, slots=True)
class TrendPoint:
    """One session; ``at`` in the time zone in which its day is counted, the value in degrees."""

    at: datetime
    value: float | None
    sure: bool


def draw_trend(
    points: Sequence[TrendPoint],
    *,
    key: str,
    title: str,
    description: str,
    what: str,
    between: tuple[datetime, datetime],
    sizes: tuple[Size, ...] = (SMALL, MEDIUM, LARGE),
) -> Chart:
    """Draw the values of sessions over time.

    Args:
        points: in order of time.
        key: unique within the page.
        title: the finding.
        description: the same at length.
        what: what each value is, as the head of its column in the table.
        between: first and last moment of the time axis, which all plots of a page share.
        sizes: which to draw.
    """
    first = between[0].replace(hour=0, minute=0, second=0, microsecond=0)
    last = between[1].replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    rows = tuple(
        Row(
            cells=(
                f"{short_day(p.at)} {p.at.year}, {clock(p.at)}",
                degrees(p.value),
                "" if p.value is None else "measured" if p.sure else "uncertain",
            ),
            x=_days(p.at, first),
            y=p.value,
            say=f"{short_day(p.at)}, {clock(p.at)}: {_say(p)}",
        )
        for p in points
    )
    pictures = tuple(
        Markup(str(_draw(size, points, (first, last), (key, title, description))))  # noqa: S704 - words() escapes
        for size in sizes
    )
    return Chart(key, title, description, pictures, ("Session", what, "Certainty"), rows)


def _say(point: TrendPoint) -> str:
    if point.value is None:
        return f"not measured ({UNKNOWN})"
    return degrees(point.value) + ("" if point.sure else ", uncertain")


def _days(moment: datetime, first: datetime) -> float:
    """Days after the first midnight, by the calendar: a day is a day even where the clock changes."""
    whole = (moment.date() - first.date()).days
    return round(whole + (moment.hour * 60 + moment.minute) / 1440, 4)


def _draw(
    size: Size, points: Sequence[TrendPoint], between: tuple[datetime, datetime], names: tuple[str, str, str]
) -> svg.SVG:
    first, last = between
    span = float((last.date() - first.date()).days)
    known = [(p, p.value) for p in points if p.value is not None]
    edges = [edge for _, v in known for edge in (v - REAL_CHANGE_DEG, v + REAL_CHANGE_DEG)]
    angles = angle_range(edges, size, _HEADROOM_PX)
    x = Scale(0, span, size.LEFT + 10, size.width - size.RIGHT - 14)
    y = Scale(*angles, size.TOP + size.plot_height, size.TOP)
    return picture(
        size,
        *names,
        data=frame((0, span), angles, (size.LEFT + 10, size.TOP, size.plot_width - 24, size.plot_height)),
        elements=[
            *angle_axis(size, y),
            *_day_axis(size, first, span, x),
            *_links(known, first, x, y),
            *(element for p, v in known for element in _mark(p.sure, x(_days(p.at, first)), v, y)),
            *_labels([(x(_days(p.at, first)), v) for p, v in known], y),
        ],
    )


def _mark(sure: bool, px: float, value: float, y: Scale) -> list[svg.Element]:  # noqa: FBT001 - a mark has two looks
    bar = svg.Line(x1=px, x2=px, y1=y(value - REAL_CHANGE_DEG), y2=y(value + REAL_CHANGE_DEG))
    for name, what in paint("error" if sure else "error unsure").items():
        setattr(bar, name, what)
    return [bar, svg.Circle(cx=px, cy=y(value), r=4.5, **paint("point" if sure else "point unsure"))]


def _links(known: Sequence[tuple[TrendPoint, float]], first: datetime, x: Scale, y: Scale) -> list[svg.Element]:
    """Join sessions of the same day and of neighbouring days; a missed day leaves a gap that one sees."""
    steps: list[svg.PathData] = []
    for (one, low), (two, high) in pairwise(known):
        if (two.at.date() - one.at.date()).days <= 1:
            steps += [svg.MoveTo(x(_days(one.at, first)), y(low)), svg.LineTo(x(_days(two.at, first)), y(high))]
    return [svg.Path(d=steps, **paint("link"))] if steps else []


def _labels(spots: Sequence[tuple[float, float]], y: Scale) -> list[svg.Element]:
    """Name the first, the last and the largest value, the last one first where there is no room for all."""
    if not spots:
        return []
    elements: list[svg.Element] = []
    taken: list[float] = []
    for px, value in (spots[-1], spots[0], max(spots, key=lambda spot: spot[1])):
        if all(abs(px - other) >= _LABEL_PX for other in taken):
            taken.append(px)
            top = round(y(value + REAL_CHANGE_DEG) - 6, 1)
            elements.append(svg.Text(x=px, y=top, text=degrees(value), text_anchor="middle", **paint("label")))
    return elements


def _day_axis(size: Size, first: datetime, span: float, x: Scale) -> list[svg.Element]:
    bottom = size.TOP + size.plot_height
    room = max(1, size.plot_width // 68)
    step = next((s for s in _DAY_STEPS if span / s <= room), int(span / room) + 1)
    elements: list[svg.Element] = []
    for number_of_days in range(0, int(span) + 1, step):
        px = x(number_of_days)
        moment = first + timedelta(days=number_of_days)
        text = short_day(moment) if span < 300 else f"{moment:%b %Y}"  # noqa: PLR2004 - days
        elements.append(svg.Line(x1=px, x2=px, y1=bottom, y2=bottom + 5, **paint("grid")))
        elements.append(svg.Text(x=px, y=bottom + 19, text=text, text_anchor="middle", **paint("tick")))
    name = svg.Text(x=size.width - size.RIGHT, y=size.height - 6, text="Day", text_anchor="end", **paint("axis-name"))
    return [*elements, name]
