"""The patient's plots: range of motion over the weeks, days done, pain; SVG with the values in a table beside it."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Final

import svg
from markupsafe import Markup

from gonio.gateway.page.languages import Speech
from gonio.gateway.page.languages import mark as _
from gonio.gateway.patient.progress import REAL_CHANGE_DEG, RangeDay
from gonio.gateway.patient.streak import DayKind
from gonio.web.charts import Scale, words

_WIDTH: Final = 340
_HEIGHT: Final = 230
_LEFT: Final = 44
_RIGHT: Final = 10
_TOP: Final = 12
_BOTTOM: Final = 30
_CELL: Final = 44
_DAYS: Final = 7
_SHAPES: Final = {
    DayKind.DONE: ("●", _("done")),
    DayKind.MISSED: ("○", _("not done")),
    DayKind.RESTED: ("◐", _("rested for pain")),
    DayKind.FREE: ("·", _("free")),
    DayKind.OPEN: ("◌", _("today")),
}


def draw_range(
    found: Sequence[RangeDay],
    corridor: Mapping[date, tuple[float, float]],
    between: tuple[date, date],
    said: Speech,
) -> Markup:
    """Draw bend and straightening of each day, with the error of measurement and the corridor of milestones.

    Args:
        found: the best of days.
        corridor: least and aim of days, degrees.
        between: first and last day.
        said: the language.
    """
    known = [(one.day, one.bend_deg) for one in found if one.bend_deg is not None]
    straight = [(one.day, one.straight_deg) for one in found if one.straight_deg is not None]
    tops = [bend for _day, bend in known] + [aim for _least, aim in corridor.values()]
    y = Scale(-10, max([90.0, *tops]) + 10, _HEIGHT - _BOTTOM, _TOP)
    x = _day_scale(between)
    elements = _axes(y, range(0, int(y.high), 30), between, said, unit="°")
    if corridor:
        days = sorted(corridor)
        outline = [(x(_since(between, d)), y(corridor[d][1])) for d in days]
        outline += [(x(_since(between, d)), y(corridor[d][0])) for d in reversed(days)]
        steps: list[svg.PathData] = [svg.MoveTo(*outline[0]), *(svg.LineTo(*one) for one in outline[1:])]
        elements.append(svg.Path(d=steps, class_=["corridor"], fill="#e7f5ec"))
    for name, points in (("point", known), ("point straight", straight)):
        for day, value in points:
            px = x(_since(between, day))
            bar = (y(value - REAL_CHANGE_DEG), y(value + REAL_CHANGE_DEG))
            elements.append(svg.Line(x1=px, x2=px, y1=bar[0], y2=bar[1], class_=["error"], stroke="#0b5fcc"))
            elements.append(svg.Circle(cx=px, cy=y(value), r=5, class_=name.split(), fill="#0b5fcc"))
    title = said(_("Bend and straightening of each day, in degrees"))
    return _picture(_WIDTH, _HEIGHT, title, elements)


def draw_pain(worst: Mapping[date, int], between: tuple[date, date], said: Speech) -> Markup:
    """Draw each day's worst pain, 0 to 10; days on which nothing was told stay empty."""
    y = Scale(0, 10, _HEIGHT - _BOTTOM, _TOP)
    x = _day_scale(between)
    elements = _axes(y, range(0, 11, 5), between, said)
    for day, pain in worst.items():
        px = x(_since(between, day))
        elements.append(svg.Line(x1=px, x2=px, y1=y(0), y2=y(pain), class_=["pain"], stroke="#8a5200", stroke_width=4))
        elements.append(svg.Circle(cx=px, cy=y(pain), r=4, class_=["pain"], fill="#8a5200"))
    return _picture(_WIDTH, _HEIGHT, said(_("Worst pain of each day, from 0 to 10")), elements)


def draw_days(days: Sequence[tuple[date, DayKind]], said: Speech) -> list[list[tuple[date, str, str]]]:
    """Give the days by weeks that begin on Monday: date, shape and word of each."""
    weeks: list[list[tuple[date, str, str]]] = []
    for day, kind in days:
        if not weeks or day.isoweekday() == 1:
            weeks.append([])
        shape, word = _SHAPES[kind]
        weeks[-1].append((day, shape, said(word)))
    return weeks


def _axes(y: Scale, ticks: range, between: tuple[date, date], said: Speech, unit: str = "") -> list[svg.Element]:
    elements: list[svg.Element] = []
    for tick in ticks:
        elements.append(
            svg.Line(x1=_LEFT, x2=_WIDTH - _RIGHT, y1=y(tick), y2=y(tick), class_=["grid"], stroke="#dfe3e8")
        )
        elements.append(
            svg.Text(x=_LEFT - 6, y=y(tick) + 5, text=f"{tick}{unit}", text_anchor="end", class_=["tick"], font_size=14)
        )
    for day, anchor, px in ((between[0], "start", _LEFT), (between[1], "end", _WIDTH - _RIGHT)):
        text = words(said.short_day(day))
        elements.append(
            svg.Text(x=px, y=_HEIGHT - 8, text=text, text_anchor=anchor, class_=["tick"], font_size=14)  # type: ignore[arg-type]
        )
    return elements


def _day_scale(between: tuple[date, date]) -> Scale:
    return Scale(0, max(1, (between[1] - between[0]).days), _LEFT + 8, _WIDTH - _RIGHT - 8)


def _since(between: tuple[date, date], day: date) -> int:
    return (day - between[0]).days


def _picture(width: int, height: int, title: str, elements: list[svg.Element]) -> Markup:
    drawn = svg.SVG(
        viewBox=svg.ViewBoxSpec(0, 0, width, height),
        class_=["patient-plot"],
        extra={"role": "img", "aria-label": words(title)},
        elements=elements,
    )
    return Markup(str(drawn))  # noqa: S704 - words() escapes all texts
