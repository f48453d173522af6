"""An angle over a session: the curve, its repetitions, and the times at which nothing was known."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
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
    room,
    ticks,
)
from gonio.web.words import UNKNOWN, degrees, duration, number

#: Distances between ticks of time, s.
TIME_STEPS: Final = (0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400)
_MINUTE_TICKS_FROM_S: Final = 150.0
_GAP_LABEL_PX: Final = 78
_HEADROOM_PX: Final = 46  # the repetitions' numbers, and the label of the highest peak below them


@dataclass(frozen=True, slots=True)
class Quantity:
    """The angle that a curve shows.

    Attributes:
        name: as it stands alone: "Knee flexion".
        axis: its name on the axis, with the unit.
        zero: what zero is, in a word.
        zero_words: the same as a sentence's part.
        brief: the head of its column.
    """

    name: str
    axis: str
    zero: str
    zero_words: str
    brief: str


KNEE: Final = Quantity("Knee flexion", "Knee flexion (degrees)", "straight", "0° is the straight leg", "Flexion")
TILT: Final = Quantity("Tilt of the leg", "Tilt of the leg from its rest (degrees)", "rest", "0° is its rest", "Tilt")


@dataclass(frozen=True, slots=True)
class RepMark:
    """A repetition as marked on the curve.

    Attributes:
        number: counted from 1.
        start_s: when it left its rest, s after the session's start.
        peak_s: when it turned back.
        end_s: when it was back.
        turn_deg: the angle where it turned back, degrees; None when not known.
        lowest: True where the movement straightens the knee, so that it turns at the smallest flexion.
        sure: False when a gap fell inside.
    """

    number: int
    start_s: float
    peak_s: float
    end_s: float
    turn_deg: float | None
    lowest: bool
    sure: bool


@dataclass(frozen=True, slots=True)
class Curve:
    """What is drawn.

    Attributes:
        step_s: spacing of the points, s.
        angle_deg: degrees at k * step_s; None where not known.
        reps: in order.
        duration_s: the time axis' length.
        known_from_s: from when on the angle was known; None when never.
        what: which angle it is.
        target_deg: what each repetition was to reach; None when nothing was asked.
    """

    step_s: float
    angle_deg: tuple[int | None, ...]
    reps: tuple[RepMark, ...]
    duration_s: float
    known_from_s: float | None
    what: Quantity = KNEE
    target_deg: float | None = None


def draw_curve(curve: Curve, *, key: str, title: str, description: str) -> Chart:
    """Draw the curve in all sizes.

    Args:
        curve: what is drawn.
        key: unique within the page.
        title: the finding.
        description: the same at length.
    """
    span = max(curve.duration_s, curve.step_s * (len(curve.angle_deg) - 1), 1.0)
    values = [float(v) for v in curve.angle_deg if v is not None] + [
        rep.turn_deg for rep in curve.reps if rep.turn_deg is not None
    ]
    values += [] if curve.target_deg is None else [curve.target_deg]
    pictures = tuple(
        Markup(str(_draw(size, curve, span, angle_range(values, size, _HEADROOM_PX), (key, title, description))))  # noqa: S704 - words() escapes
        for size in (SMALL, MEDIUM, LARGE)
    )
    return Chart(
        key=key,
        title=title,
        description=description,
        pictures=pictures,
        columns=("Time after the start (s)", curve.what.brief, "Repetition"),
        rows=_rows(curve),
        zooms=bool(values),
    )


def _draw(size: Size, curve: Curve, span: float, angles: tuple[float, float], names: tuple[str, str, str]) -> svg.SVG:
    x = Scale(0, span, 0, size.plot_width)
    y = Scale(*angles, size.plot_height, 0)
    key, title, description = names
    hatch = f"{key}-{size.name}-hatch"
    inside = svg.SVG(
        x=size.LEFT,
        y=size.TOP,
        width=size.plot_width,
        height=size.plot_height,
        xmlns=None,
        class_=["inside"],
        overflow="hidden",
        elements=[
            *_gaps(curve, span, x, size.plot_height, hatch),
            *_rep_bands(curve.reps, x, size.plot_height),
            *_known_from(curve, x, size.plot_height),
            svg.Line(x1=0, x2=size.plot_width, y1=y(0), y2=y(0), **paint("zero")),
            *_target(curve.target_deg, size, y),
            svg.Path(d=_path(curve, x, y), stroke_linecap="round", **paint("line")),
            *_turns(curve.reps, x, y),
        ],
    )
    return picture(
        size,
        key,
        title,
        description,
        data=frame((0, round(span, 3)), angles, (size.LEFT, size.TOP, size.plot_width, size.plot_height)),
        elements=[
            svg.Defs(elements=[_hatch(hatch)]),
            *angle_axis(
                size,
                Scale(*angles, size.TOP + size.plot_height, size.TOP),
                name=curve.what.axis,
                zero=curve.what.zero,
            ),
            inside,
            _time_axis(size, span),
        ],
    )


def _hatch(name: str) -> svg.Pattern:
    return svg.Pattern(
        id=name,
        width=7,
        height=7,
        patternUnits="userSpaceOnUse",
        patternTransform=[svg.Rotate(45)],
        elements=[
            svg.Rect(width=7, height=7, **paint("gap")),
            svg.Line(x1=0, x2=0, y1=0, y2=7, **paint("hatch")),
        ],
    )


def time_label(value_s: float, span_s: float) -> str:
    """Write a time on the axis: seconds in a short session, minutes and seconds in a longer one."""
    if span_s < _MINUTE_TICKS_FROM_S:
        return number(value_s, 0 if value_s == int(value_s) else 1)
    minutes, rest = divmod(round(value_s), 60)
    return f"{minutes}:{rest:02}"


def _time_axis(size: Size, span: float) -> svg.G:
    x = Scale(0, span, size.LEFT, size.LEFT + size.plot_width)
    bottom = size.TOP + size.plot_height
    elements: list[svg.Element] = []
    for value in ticks(0, span, size.plot_width // 64, TIME_STEPS):
        elements.append(svg.Line(x1=x(value), x2=x(value), y1=bottom, y2=bottom + 5, **paint("grid")))
        elements.append(
            svg.Text(x=x(value), y=bottom + 19, text=time_label(value, span), text_anchor="middle", **paint("tick"))
        )
    unit = "s" if span < _MINUTE_TICKS_FROM_S else "min:s"
    name = svg.Text(
        x=size.LEFT + size.plot_width,
        y=size.height - 6,
        text=f"Time after the start ({unit})",
        text_anchor="end",
        **paint("axis-name"),
    )
    return svg.G(elements=[svg.G(class_=["time-ticks"], elements=elements), name])


def unknown_spans(curve: Curve, span: float) -> list[tuple[float, float]]:
    """List the times (from, to; s) at which the angle was not known, to half a step around what was."""
    half = curve.step_s / 2
    spans: list[tuple[float, float]] = []
    position = 0
    for known, run in groupby(curve.angle_deg, key=lambda value: value is not None):
        length = len(list(run))
        if not known:
            start = 0.0 if position == 0 else position * curve.step_s - half
            spans.append((start, min(span, (position + length) * curve.step_s - half)))
        position += length
    tail = max(0.0, (position - 1) * curve.step_s + half) if position else 0.0
    if span - tail > max(curve.step_s, 0.5):
        spans.append((tail, span))
    return spans


def _gaps(curve: Curve, span: float, x: Scale, height: float, hatch: str) -> list[svg.Element]:
    elements: list[svg.Element] = []
    for start, end in unknown_spans(curve, span):
        times = {"t0": round(start, 3), "t1": round(end, 3)}
        rect = svg.Rect(
            x=x(start), y=0, width=max(1.0, x(end) - x(start)), height=height, fill=f"url(#{hatch})", data=times
        )
        elements.append(rect)
        if x(end) - x(start) >= _GAP_LABEL_PX:
            text = svg.Text(
                x=round((x(start) + x(end)) / 2, 1),
                y=height - 8,
                text="not known",
                text_anchor="middle",
                data={"t": round((start + end) / 2, 3)},
                **paint("gap-label"),
            )
            elements.append(text)
    return elements


def _rep_bands(reps: Sequence[RepMark], x: Scale, height: float) -> list[svg.Element]:
    elements: list[svg.Element] = []
    numbered_px = -1e9
    for rep in reps:
        left, right = x(rep.start_s), x(rep.end_s)
        elements.append(
            svg.Rect(
                x=left,
                y=0,
                width=max(1.0, round(right - left, 1)),
                height=height,
                data={"t0": rep.start_s, "t1": rep.end_s},
                **paint("rep" if rep.sure else "rep unsure"),
            )
        )
        middle = (left + right) / 2
        label = str(rep.number)
        fits = middle - numbered_px >= room(label)
        numbered_px = middle if fits else numbered_px
        elements.append(
            svg.Text(
                x=round(middle, 1),
                y=14,
                text=label,
                text_anchor="middle",
                data={"t": round((rep.start_s + rep.end_s) / 2, 3), **({} if fits else {"crowded": "yes"})},
                visibility=None if fits else "hidden",
                **paint("rep-number"),
            )
        )
    return elements


def _known_from(curve: Curve, x: Scale, height: float) -> list[svg.Element]:
    start = curve.known_from_s
    if start is None or start <= curve.step_s:
        return []
    times = {"t0": round(start, 3), "t1": round(start, 3)}
    return [svg.Line(x1=x(start), x2=x(start), y1=0, y2=height, data=times, **paint("known"))]


def _target(target_deg: float | None, size: Size, y: Scale) -> list[svg.Element]:
    if target_deg is None:
        return []
    label = f"target {degrees(target_deg)}"
    return [
        svg.Line(x1=0, x2=size.plot_width, y1=y(target_deg), y2=y(target_deg), **paint("target")),
        svg.Text(x=6, y=round(y(target_deg) - 6, 1), text=label, **paint("target-label")),
    ]


def _path(curve: Curve, x: Scale, y: Scale) -> list[svg.PathData]:
    steps: list[svg.PathData] = []
    drawing = False
    for index, value in enumerate(curve.angle_deg):
        if value is None:
            drawing = False
            continue
        px, py = x(index * curve.step_s), y(value)
        if not drawing:
            steps.append(svg.MoveTo(px, py))
            drawing = True
        steps.append(svg.LineTo(px, py))  # to itself at first: a lone point is a dot
    return steps


def _turns(reps: Sequence[RepMark], x: Scale, y: Scale) -> list[svg.Element]:
    """Mark where each repetition turned back; name the furthest, and the others where there is room."""
    known = [(rep, rep.turn_deg) for rep in reps if rep.turn_deg is not None]
    if not known:
        return []
    furthest = max(known, key=lambda pair: -pair[1] if pair[0].lowest else pair[1])[0]
    elements: list[svg.Element] = []
    labelled_px = -1e9
    for rep, turn in known:
        px, py, label = x(rep.peak_s), y(turn), degrees(turn)
        near = rep is not furthest and abs(px - x(furthest.peak_s)) < room(label)
        fits = rep is furthest or (px - labelled_px >= room(label) and not near)
        labelled_px = px if fits else labelled_px
        spot = {"t": round(rep.peak_s, 3)}
        elements.append(svg.Circle(cx=px, cy=py, r=4, data=spot, **paint("point" if rep.sure else "point unsure")))
        elements.append(
            svg.Text(
                x=px,
                y=round(py + 19 if rep.lowest else py - 10, 1),
                text=label,
                text_anchor="middle",
                data=spot if fits else {**spot, "crowded": "yes"},
                visibility=None if fits else "hidden",
                **paint("label"),
            )
        )
    return elements


def _rows(curve: Curve) -> tuple[Row, ...]:
    rows: list[Row] = []
    reps = iter(curve.reps)
    rep = next(reps, None)
    for index, value in enumerate(curve.angle_deg):
        t_s = index * curve.step_s
        while rep is not None and t_s > rep.end_s:
            rep = next(reps, None)
        within = rep if rep is not None and t_s >= rep.start_s else None
        when = f"{number(t_s, 1)} s" if t_s < _MINUTE_TICKS_FROM_S else duration(t_s)
        what = "not known" if value is None else degrees(value)
        say = f"{when}: {what}" + (f", repetition {within.number}" if within else "")
        cells = (number(t_s, 1), UNKNOWN if value is None else degrees(value), str(within.number) if within else "")
        rows.append(Row(cells=cells, x=round(t_s, 3), y=value, say=say))
    return tuple(rows)


def curve_words(curve: Curve) -> str:
    """Describe the curve for those who do not see it."""
    known = [value for value in curve.angle_deg if value is not None]
    span = f"{curve.what.name} over {duration(curve.duration_s)}"
    if not known:
        return f"{span}; the angle was never known."
    unknown = unknown_spans(curve, max(curve.duration_s, curve.step_s))
    gaps = f" The angle was not known in {len(unknown)} stretches of time." if len(unknown) > 1 else ""
    return (
        f"{span}, between {degrees(min(known))} and {degrees(max(known))}; {curve.what.zero_words}. "
        f"Repetitions marked: {len(curve.reps)}.{gaps}"
    )
