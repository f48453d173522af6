"""The ground of our charts: sizes, scales, ticks and paint; each kind of chart is a module beside this one.

Charts are drawn on the server as SVG and read well without script. A chart comes in up to three sizes so that its text
is legible on a phone and on a wide screen; the stylesheet shows the one that fits. Colours are written as attributes,
so that a picture also stands alone (in print, in a document), and the page's stylesheet overrides them by class, so
that they follow the reader's light or dark setting. No ``style`` attribute is used: the content-security policy
forbids it. Behind each chart stands its table, for readers, for copying, and for the script that reads values out.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, Final

import svg
from markupsafe import Markup

from gonio.web.words import number


@dataclass(frozen=True, slots=True)
class Size:
    """One size a chart is drawn in; px at its natural scale."""

    name: str
    width: int
    height: int

    LEFT = 60
    RIGHT = 14
    TOP = 30
    BOTTOM = 46

    @property
    def plot_width(self) -> int:
        """Width of the area inside the axes."""
        return self.width - self.LEFT - self.RIGHT

    @property
    def plot_height(self) -> int:
        """Height of the area inside the axes."""
        return self.height - self.TOP - self.BOTTOM


SMALL: Final = Size("s", 340, 250)
MEDIUM: Final = Size("m", 704, 320)
LARGE: Final = Size("l", 1104, 380)

#: What each class of mark looks like where no stylesheet is at hand (light, on paper).
PAINT: Final[dict[str, dict[str, Any]]] = {
    "grid": {"stroke": "#dfe3e8", "stroke_width": 1},
    "zero": {"stroke": "#4a525c", "stroke_width": 1.5},
    "tick": {"fill": "#4a525c", "font_size": 12},
    "axis-name": {"fill": "#4a525c", "font_size": 12},
    "line": {"stroke": "#0b5fcc", "stroke_width": 2, "fill": "none", "stroke_linejoin": "round"},
    "link": {"stroke": "#0b5fcc", "stroke_width": 1.5, "fill": "none", "opacity": 0.55},
    "point": {"fill": "#0b5fcc", "stroke": "#ffffff", "stroke_width": 1.5},
    "point unsure": {"fill": "#a9c6ee", "stroke": "#ffffff", "stroke_width": 1.5},
    "error": {"stroke": "#0b5fcc", "stroke_width": 1.5, "opacity": 0.35},
    "error unsure": {"stroke": "#0b5fcc", "stroke_width": 1.5, "opacity": 0.35, "stroke_dasharray": "2 3"},
    "label": {"fill": "#16191d", "font_size": 13, "font_weight": "600"},
    "rep": {"fill": "#0b5fcc", "fill_opacity": 0.07},
    "rep unsure": {"fill": "#9a5b00", "fill_opacity": 0.12},
    "rep-number": {"fill": "#4a525c", "font_size": 12},
    "gap": {"fill": "#eceff3"},
    "hatch": {"stroke": "#b4bcc6", "stroke_width": 1},
    "gap-label": {"fill": "#4a525c", "font_size": 12},
    "target": {"stroke": "#17703a", "stroke_width": 1.5, "stroke_dasharray": "7 4"},
    "target-label": {"fill": "#17703a", "font_size": 12, "font_weight": "600"},
    "known": {"stroke": "#4a525c", "stroke_width": 1, "stroke_dasharray": "4 3"},
    "track": {"fill": "#e6eaef"},
    "bar": {"fill": "#0b5fcc"},
    "bar unsure": {"fill": "#a9c6ee"},
}

FONT: Final = "system-ui, 'Segoe UI', Roboto, 'Helvetica Neue', 'Noto Sans', 'Liberation Sans', Arial, sans-serif"


def paint(name: str) -> dict[str, Any]:
    """Give the keyword arguments that paint an svg element as a class of mark."""
    return {"class_": name.split(), **PAINT[name]}


def frame(x: tuple[float, float], y: tuple[float, float], box: tuple[float, float, float, float]) -> dict[str, float]:
    """Give the data attributes by which the script turns px into values: both axes' ends, and the plot's box in px."""
    names = ("x0", "x1", "y0", "y1", "left", "top", "width", "height")
    return dict(zip(names, (*x, *y, *box), strict=True))


def words(text: str) -> str:
    """Escape a text for svg-py, which writes texts and attributes as they are."""
    return escape(text, quote=True)


def room(text: str) -> int:
    """Say how many px a label wants for itself, with the distance to its neighbour."""
    return 8 * len(text) + 6


@dataclass(frozen=True, slots=True)
class Scale:
    """A straight map from values to px."""

    low: float
    high: float
    start_px: float
    end_px: float

    def __call__(self, value: float) -> float:
        """Map a value, rounded to a tenth of a px."""
        return round(self.start_px + (value - self.low) / (self.high - self.low) * (self.end_px - self.start_px), 1)


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the table behind a chart.

    Attributes:
        cells: as written.
        x: where it stands on the chart's x axis, in the axis' own unit.
        y: likewise; None where nothing was measured.
        say: what the read-out says when the pointer is nearest to it.
    """

    cells: tuple[str, ...]
    x: float
    y: float | None
    say: str


@dataclass(frozen=True, slots=True)
class Chart:
    """A drawn chart with all its words.

    Attributes:
        key: unique within its page; letters, digits and hyphens.
        title: the finding, in words.
        description: the same at length, for those who do not see it.
        pictures: the SVGs, one a size.
        columns: heads of the table behind it.
        rows: of that table.
        zooms: whether the script may stretch the x axis (only a time axis in seconds).
    """

    key: str
    title: str
    description: str
    pictures: tuple[Markup, ...]
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    zooms: bool = False


def ticks(low: float, high: float, at_most: int, steps: Sequence[float]) -> list[float]:
    """Choose round values between low and high.

    Args:
        low: smallest value of the axis.
        high: largest value.
        at_most: how many there is room for.
        steps: the distances to choose from, ascending; beyond the last, its multiples by ten are taken.
    """
    step = next((s for s in steps if (high - low) / s <= at_most), 0.0) or steps[-1] * 10 ** math.ceil(
        math.log10((high - low) / at_most / steps[-1])
    )
    first = math.ceil(low / step - 1e-9)
    return [k * step for k in range(first, math.floor(high / step + 1e-9) + 1)]


#: Distances between ticks of angle, degrees.
ANGLE_STEPS: Final = (5, 10, 20, 30, 45, 90, 180, 360)


def angle_range(values: Sequence[float], size: Size, headroom_px: int) -> tuple[float, float]:
    """Choose the angle axis: the straight leg is always on it, and no less than -10° to 45° is shown.

    Args:
        values: all that are drawn, degrees.
        size: of the chart.
        headroom_px: what is kept free above the largest of them, for labels.
    """
    low = min(-10.0, *(math.floor(value / 10 - 0.4) * 10 for value in values)) if values else -10.0
    high = max([40.0, *values])
    return low, math.ceil((high + (high - low) * headroom_px / (size.plot_height - headroom_px)) / 5) * 5


def angle_axis(
    size: Size, scale: Scale, *, name: str = "Knee flexion (degrees)", zero: str = "straight"
) -> list[svg.Element]:
    """Draw the lines and numbers of an angle axis; its zero says what it is, the straight leg where nothing is said."""
    elements: list[svg.Element] = []
    right = size.width - size.RIGHT
    for value in ticks(scale.low, scale.high, size.plot_height // 36, ANGLE_STEPS):
        y = scale(value)
        elements.append(svg.Line(x1=size.LEFT, x2=right, y1=y, y2=y, **paint("zero" if value == 0 else "grid")))
        elements.append(
            svg.Text(x=size.LEFT - 8, y=y + 4, text=f"{number(value)}°", text_anchor="end", **paint("tick"))
        )
        if value == 0:
            elements.append(
                svg.Text(x=size.LEFT - 8, y=y + 17, text=words(zero), text_anchor="end", **paint("axis-name"))
            )
    elements.append(svg.Text(x=0, y=14, text=words(name), **paint("axis-name")))
    return elements


def picture(size: Size, key: str, title: str, description: str, **parts: Any) -> svg.SVG:  # noqa: ANN401 - as svg-py
    """Make the outer element of a chart: an image with a name and a description for those who hear it."""
    ids = f"{key}-{size.name}-title", f"{key}-{size.name}-desc"
    elements: list[svg.Element] = [
        svg.Title(id=ids[0], text=words(title)),
        svg.Desc(id=ids[1], text=words(description)),
        *parts.pop("elements"),
    ]
    return svg.SVG(
        viewBox=svg.ViewBoxSpec(0, 0, size.width, size.height),
        width=size.width,
        height=size.height,
        class_=["plot", f"plot-{size.name}"],
        extra={"role": "img", "aria-labelledby": ids[0], "aria-describedby": ids[1], "font-family": words(FONT)},
        elements=elements,
        **parts,
    )
