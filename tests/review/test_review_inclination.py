"""A session of sensors without a gyroscope: its page says so, and shows no angle of the knee."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest

from examples.review_sample import NOW, SampleBook, make_raise, make_session
from gonio.cloud_sink.review.quality import judge
from gonio.cloud_sink.review.session_charts import session_charts
from gonio.cloud_sink.review.session_figures import figures
from gonio.cloud_sink.review.session_reps import repetitions
from gonio.messages import SessionSummary
from gonio.signal.consts import INCLINATION_ONLY
from gonio.web.words import UNKNOWN, Level

Get = Callable[..., Awaitable[Any]]


def inclined(exercise: str) -> SessionSummary:
    raised = make_raise(known=False)
    reps = tuple(
        rep.model_copy(update={"peak_velocity_dps": None, "smoothness": None, "on_target": None}) for rep in raised.reps
    )
    return raised.model_copy(
        update={"exercise": exercise, "reps": reps, "flags": (INCLINATION_ONLY,), "goal": None, "sets": ()}
    )


@pytest.mark.parametrize(("exercise", "range_name"), [("long-arc-quad", "Tilt"), ("straight-leg-raise", "Height")])
def test_only_tilt_and_times_are_shown(exercise: str, range_name: str) -> None:
    summary = inclined(exercise)
    shown = {figure.name: figure for figure in figures(summary)}
    assert shown["Knee angle"].value == UNKNOWN
    assert "inclination only" in shown["Knee angle"].note
    assert not {"Largest flexion", "Extension", "Extensor lag", "Peak velocity"} & shown.keys()
    heads = [column.head for column in repetitions(summary).columns]
    assert heads[2] == range_name
    assert not {"Lag", "Knee", "Speed", "Smooth", "Smallest", "Largest"} & set(heads)
    (chart,) = session_charts(summary)
    assert ("tilted" if range_name == "Tilt" else "raised") in chart.chart.title


def test_it_is_to_be_read_with_care_and_says_why_once() -> None:
    verdict = judge(inclined("long-arc-quad"), clock="synchronised")
    assert verdict.level is Level.WATCH
    (finding,) = verdict.findings
    assert "inclination alone" in finding.what


async def test_the_page_says_inclination_only(get: Get, book: SampleBook) -> None:
    for summary, says in ((inclined("long-arc-quad"), True), (make_session(), False)):
        text = (await get(f"/sessions/{book.add(None, summary, NOW - timedelta(hours=1))}")).text
        assert ("inclination only" in text) is says
        assert ("without a gyroscope" in text) is says
