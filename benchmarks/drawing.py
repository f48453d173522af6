"""Plain charts as SVG: the same figures give the same bytes, so that a picture changes only when its figures do."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Final

import numpy as np
import svg

from gonio.signal.consts import FloatArray

INK, GREY, PALE, BLUE, ORANGE, RED = "#1a1a1a", "#8a8a8a", "#e6e6e6", "#0b62b8", "#c2571a", "#b3261e"
SERIES: Final = (BLUE, ORANGE, "#2e7d4f", "#7a3fa0", "#b3261e", "#5b6b00", GREY)
_FONT: Final = "system-ui, sans-serif"
_RIGHT, _TOP, _BOTTOM = 14, 30, 40


@dataclass
class Panel:
    """One pair of axes in a picture.

    Attributes:
        x: left and right end of the horizontal axis.
        y: lower and upper end of the vertical one.
        x_name: what the horizontal axis is; empty for none.
        y_name: what the vertical axis is.
        title: above it.
        width: px.
        height: px.
        left: its place in the picture, px.
        top: likewise.
        margin: left of the vertical axis, px.
    """

    x: tuple[float, float]
    y: tuple[float, float]
    x_name: str
    y_name: str
    title: str
    width: int = 760
    height: int = 260
    left: int = 0
    top: int = 0
    margin: int = 52
    elements: list[svg.Element] = field(default_factory=list)

    def px(self, x: float) -> float:
        """Give where x is, px."""
        share = (x - self.x[0]) / (self.x[1] - self.x[0])
        return round(self.left + self.margin + share * (self.width - self.margin - _RIGHT), 1)

    def py(self, y: float) -> float:
        """Give where y is, px."""
        share = (y - self.y[0]) / (self.y[1] - self.y[0])
        return round(self.top + self.height - _BOTTOM - share * (self.height - _TOP - _BOTTOM), 1)

    def axes(self, x_ticks: Sequence[float], y_ticks: Sequence[float]) -> None:
        """Draw title, grid and names."""
        left, right, bottom = self.px(self.x[0]), self.px(self.x[1]), self.py(self.y[0])
        for y in y_ticks:
            self.elements.append(svg.Line(x1=left, x2=right, y1=self.py(y), y2=self.py(y), stroke=PALE))
            self.text(left - 6, self.py(y) + 4, f"{y:g}", anchor="end", size=11)
        for x in x_ticks:
            self.elements.append(svg.Line(x1=self.px(x), x2=self.px(x), y1=bottom, y2=bottom + 4, stroke=GREY))
            self.text(self.px(x), bottom + 16, f"{x:g}", anchor="middle", size=11)
        self.elements.append(svg.Line(x1=left, x2=right, y1=bottom, y2=bottom, stroke=GREY))
        self.text(self.left + 8, self.top + 18, self.title, size=13, weight="600")
        if self.x_name:
            self.text(right, bottom + 32, self.x_name, anchor="end", size=11)
        middle = (self.py(self.y[0]) + self.py(self.y[1])) / 2
        self.elements.append(
            svg.Text(
                x=self.left + 13,
                y=round(middle, 1),
                text=escape(self.y_name),
                fill=INK,
                font_size=11,
                font_family=_FONT,
                text_anchor="middle",
                transform=[svg.Rotate(-90, self.left + 13, round(middle, 1))],
            )
        )

    def text(
        self,
        x: float,
        y: float,
        text: str,
        *,
        anchor: str = "start",
        size: int = 11,
        colour: str = INK,
        weight: str = "400",
    ) -> None:
        """Write at a place in px."""
        self.elements.append(
            svg.Text(
                x=round(x, 1),
                y=round(y, 1),
                text=escape(text),
                fill=colour,
                font_size=size,
                font_family=_FONT,
                font_weight=weight,  # type: ignore[arg-type]
                text_anchor=anchor,  # type: ignore[arg-type]
            )
        )

    def line(self, x: FloatArray, y: FloatArray, colour: str, *, width: float = 1.5, dashed: bool = False) -> None:
        """Draw a line (n,) over (n,); it is broken where y is NaN, and leaves out what no eye could tell."""
        parts: list[str] = []
        last: tuple[float, float] | None = None
        for a, b in zip(x.tolist(), y.tolist(), strict=True):
            if np.isnan(b):
                last = None
                continue
            point = self.px(a), self.py(min(max(b, self.y[0]), self.y[1]))
            if last is None:
                parts.append(f"M{point[0]} {point[1]}")
            elif abs(point[0] - last[0]) < 0.6 and abs(point[1] - last[1]) < 1.0:  # noqa: PLR2004 - px
                continue
            else:
                parts.append(f"L{point[0]} {point[1]}")
            last = point
        self.elements.append(
            svg.Path(
                d=" ".join(parts),  # type: ignore[arg-type]
                fill="none",
                stroke=colour,
                stroke_width=width,
                stroke_linejoin="round",
                stroke_dasharray=[5, 4] if dashed else None,
            )
        )

    def box(self, x: tuple[float, float], y: tuple[float, float], colour: str, *, opacity: float = 1.0) -> None:
        """Fill an oblong between two x and two y."""
        left, right = self.px(x[0]), self.px(x[1])
        top, bottom = self.py(max(y)), self.py(min(y))
        self.elements.append(
            svg.Rect(
                x=left,
                y=top,
                width=round(max(right - left, 0.5), 1),
                height=round(bottom - top, 1),
                fill=colour,
                fill_opacity=opacity,
            )
        )

    def upright(self, x: float, label: str) -> None:
        """Draw a vertical line with a word beside it."""
        top, bottom = self.py(self.y[1]), self.py(self.y[0])
        self.elements.append(
            svg.Line(x1=self.px(x), x2=self.px(x), y1=top, y2=bottom, stroke=INK, stroke_dasharray=[3, 3])
        )
        self.text(self.px(x) + 5, top + 12, label)

    def legend(self, names: Sequence[tuple[str, str]]) -> None:
        """Name the lines, right of the title."""
        x = self.left + self.width - _RIGHT - sum(34 + 6.1 * len(name) for name, _ in names)
        for name, colour in names:
            self.elements.append(
                svg.Line(
                    x1=round(x), x2=round(x + 18), y1=self.top + 14, y2=self.top + 14, stroke=colour, stroke_width=3
                )
            )
            self.text(x + 23, self.top + 18, name)
            x += 34 + 6.1 * len(name)


def save(path: Path, panels: Sequence[Panel], title: str, description: str) -> None:
    """Write a picture; a file that holds the same already is left alone."""
    width = max(panel.left + panel.width for panel in panels)
    height = max(panel.top + panel.height for panel in panels)
    picture = svg.SVG(
        viewBox=svg.ViewBoxSpec(0, 0, width, height),
        width=width,
        height=height,
        elements=[
            svg.Title(text=escape(title)),
            svg.Desc(text=escape(description)),
            svg.Rect(x=0, y=0, width=width, height=height, fill="#ffffff"),
            *(element for panel in panels for element in panel.elements),
        ],
    )
    text = str(picture) + "\n"
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")
