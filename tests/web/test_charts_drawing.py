import math
import re
from datetime import datetime, timedelta
from xml.etree import ElementTree as ET
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gonio.web.charts import LARGE, PAINT, SMALL, Scale, angle_range, ticks
from gonio.web.charts_bar import range_bar
from gonio.web.charts_curve import Curve, RepMark, curve_words, draw_curve, time_label, unknown_spans
from gonio.web.charts_trend import TrendPoint, draw_trend

BERLIN = ZoneInfo("Europe/Berlin")
SVG = "{http://www.w3.org/2000/svg}"


def _curve(*flexion: int | None, reps: tuple[RepMark, ...] = (), step_s: float = 1.0) -> Curve:
    return Curve(step_s, flexion, reps, step_s * max(0, len(flexion) - 1), 0.0)


def _parse(picture: str) -> ET.Element:
    return ET.fromstring(picture)  # noqa: S314 - our own drawing


def _numbers(root: ET.Element) -> list[float]:
    geometry = ("x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "r", "width", "height")
    return [float(v) for e in root.iter() for k, v in e.attrib.items() if k in geometry]


angles = st.one_of(st.none(), st.integers(-360, 360))


@given(st.lists(angles, max_size=40), st.floats(0.01, 600))
def test_any_curve_is_drawn_as_well_formed_finite_svg(flexion: list[int | None], step_s: float) -> None:
    curve = _curve(*flexion, step_s=step_s)
    chart = draw_curve(curve, key="c", title="t", description=curve_words(curve))
    for picture in chart.pictures:
        root = _parse(picture)
        assert root.attrib["role"] == "img"
        assert all(math.isfinite(value) for value in _numbers(root))
        assert all(float(e.attrib["width"]) > 0 for e in root.iter(f"{SVG}rect"))
    assert len(chart.rows) == len(flexion)


@given(
    st.lists(st.tuples(st.integers(0, 2000), st.one_of(st.none(), st.floats(-360, 360)), st.booleans()), max_size=30)
)
def test_any_trend_is_drawn_as_well_formed_finite_svg(spots: list[tuple[int, float | None, bool]]) -> None:
    start = datetime(2026, 3, 28, 12, tzinfo=BERLIN)
    points = [TrendPoint(start + timedelta(days=d), v, sure) for d, v, sure in sorted(spots, key=lambda s: s[0])]
    last = points[-1].at if points else start
    chart = draw_trend(points, key="t", title="t", description="d", what="Angle", between=(start, last))
    for picture in chart.pictures:
        root = _parse(picture)
        assert all(math.isfinite(value) for value in _numbers(root))
        assert len(list(root.iter(f"{SVG}circle"))) == sum(p.value is not None for p in points)


def test_words_are_escaped() -> None:
    hostile = "<script>&\"'"
    chart = draw_curve(_curve(1, 2), key="c", title=hostile, description=hostile)
    root = _parse(chart.pictures[0])
    assert root.findtext(f"{SVG}title") == hostile
    assert root.findtext(f"{SVG}desc") == hostile


def test_no_style_attribute_and_every_mark_is_painted_without_a_stylesheet() -> None:
    rep = RepMark(1, 0.0, 1.0, 2.0, 50.0, lowest=False, sure=True)
    chart = draw_curve(_curve(0, 50, 0, None, reps=(rep,)), key="c", title="t", description="d")
    for element in _parse(chart.pictures[0]).iter():
        assert "style" not in element.attrib
        name = element.attrib.get("class", "")
        if name in PAINT:
            assert element.attrib.get("fill") or element.attrib.get("stroke")


def test_ids_do_not_clash_between_sizes() -> None:
    chart = draw_curve(_curve(0, None, 3), key="c", title="t", description="d")
    ids = [value for picture in chart.pictures for value in re.findall(r' id="([^"]*)"', picture)]
    assert len(ids) == len(set(ids)) == 9


def test_the_line_breaks_where_the_angle_is_not_known() -> None:
    picture = draw_curve(_curve(0, 10, None, None, 20, 30), key="c", title="t", description="d").pictures[0]
    path = _parse(picture).find(f".//{SVG}path")
    assert path is not None
    assert path.attrib["d"].count("M") == 2


def test_what_is_not_known_is_hatched_between_the_midpoints() -> None:
    assert unknown_spans(_curve(None, 1, 1, None, 1, None), 5.0) == [(0.0, 0.5), (2.5, 3.5), (4.5, 5.0)]
    assert unknown_spans(_curve(), 9.0) == [(0.0, 9.0)]
    assert unknown_spans(_curve(1, 2, 3), 2.0) == []
    # the session went on after the curve's last point
    assert unknown_spans(_curve(1, 2, 3), 10.0) == [(2.5, 10.0)]


def test_crowded_labels_are_hidden_but_the_furthest_is_named() -> None:
    reps = tuple(
        RepMark(k + 1, k, k + 0.5, k + 0.9, 90.0 + (k == 33), lowest=False, sure=True) for k in range(60)
    )  # fmt: skip
    chart = draw_curve(_curve(*[0] * 61, reps=reps), key="c", title="t", description="d")
    for picture in chart.pictures:
        shown = [
            e.text for e in _parse(picture).iter(f"{SVG}text") if e.get("class") == "label" and not e.get("visibility")
        ]
        assert "91°" in shown
        assert len(shown) <= 30


def test_a_curve_is_read_out_with_its_repetition() -> None:
    rep = RepMark(1, 1.0, 2.0, 3.0, 50.0, lowest=False, sure=True)
    rows = draw_curve(_curve(0, 10, 50, 10, None, reps=(rep,)), key="c", title="t", description="d").rows
    assert [row.say for row in rows] == [
        "0.0 s: 0°",
        "1.0 s: 10°, repetition 1",
        "2.0 s: 50°, repetition 1",
        "3.0 s: 10°, repetition 1",
        "4.0 s: not known",
    ]


def test_a_missed_day_breaks_the_trend() -> None:
    start = datetime(2026, 11, 20, 9, tzinfo=BERLIN)
    points = [TrendPoint(start + timedelta(days=d), 50.0 + d, True) for d in (0, 1, 3, 4)]
    chart = draw_trend(points, key="t", title="t", description="d", what="w", between=(start, points[-1].at))
    path = _parse(chart.pictures[-1]).find(f".//{SVG}path")
    assert path is not None
    assert path.attrib["d"].count("M") == 2


def test_an_uncertain_session_is_paler_and_says_so() -> None:
    start = datetime(2026, 11, 20, 9, tzinfo=BERLIN)
    points = [TrendPoint(start, 50.0, False), TrendPoint(start + timedelta(days=1), 51.0, True)]
    chart = draw_trend(points, key="t", title="t", description="d", what="w", between=(start, points[-1].at))
    classes = [e.attrib["class"] for e in _parse(chart.pictures[0]).iter(f"{SVG}circle")]
    assert classes == ["point unsure", "point"]
    assert chart.rows[0].say.endswith("uncertain")


def test_days_are_equally_long_where_the_clock_changes() -> None:
    start = datetime(2026, 10, 24, 9, tzinfo=BERLIN)  # summer time ends on the 25th
    points = [TrendPoint(start + timedelta(days=d), 50.0, True) for d in range(3)]
    chart = draw_trend(points, key="t", title="t", description="d", what="w", between=(start, points[-1].at))
    xs = [row.x for row in chart.rows]
    assert xs == pytest.approx([0.375, 1.375, 2.375])


@given(st.lists(st.floats(-360, 360), max_size=20), st.sampled_from([SMALL, LARGE]))
def test_the_angle_axis_holds_zero_and_every_value_below_the_labels(values: list[float], size: object) -> None:
    assert size in (SMALL, LARGE)
    chosen = SMALL if size is SMALL else LARGE
    low, high = angle_range(values, chosen, 46)
    assert low <= -10
    assert high >= 40
    y = Scale(low, high, chosen.plot_height, 0)
    assert all(low <= v <= high and y(v) >= 45 for v in values)


@given(st.floats(-1000, 1000), st.floats(0.5, 100_000), st.integers(2, 12))
def test_ticks_are_within_the_axis_and_few(low: float, span: float, at_most: int) -> None:
    values = ticks(low, low + span, at_most, (1, 2, 5, 10))
    assert len(values) <= at_most + 1
    assert all(low - 1e-6 * span <= v <= low + span * (1 + 1e-6) for v in values)


def test_times_on_the_axis_read_as_people_write_them() -> None:
    assert time_label(5, 60) == "5"
    assert time_label(0.5, 3) == "0.5"
    assert time_label(90, 600) == "1:30"


@pytest.mark.parametrize(("low", "high"), [(None, None), (3.0, 90.0), (-360.0, 360.0), (90.0, 3.0), (0.0, 0.0)])
def test_a_bar_stays_on_its_track(low: float | None, high: float | None) -> None:
    root = _parse(range_bar(low, high))
    assert root.attrib["aria-hidden"] == "true"
    for rect in root.iter(f"{SVG}rect"):
        left, width = float(rect.get("x", 0)), float(rect.attrib["width"])
        assert left >= 0
        assert left + width <= 132 + 3
