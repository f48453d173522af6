"""How each repetition was done, as a therapist reads it."""

import re
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest

from examples.review_sample import NOW, SampleBook, aim, as_version_1, make_raise, make_session, sample_id
from gonio.cloud_sink.review.flags import FLAGS, SENSOR_FAULTS
from gonio.cloud_sink.review.measures import goal_words
from gonio.cloud_sink.review.quality import judge
from gonio.cloud_sink.review.session_reps import STEADY, repetitions, sets, tempo_words
from gonio.messages import GoalReport, SessionSummary
from gonio.web.words import Level

Get = Callable[..., Awaitable[Any]]


def heads(summary: SessionSummary) -> list[str]:
    return [column.head for column in repetitions(summary).columns]


def column(summary: SessionSummary, head: str) -> list[str]:
    return [str(cell.text) for one in repetitions(summary).columns if one.head == head for cell in one.cells]


async def page(get: Get, book: SampleBook, summary: SessionSummary) -> str:
    text: str = (await get(f"/sessions/{book.add(None, summary, NOW - timedelta(hours=1))}")).text
    return text


def test_a_bend_shows_phases_velocity_and_smoothness() -> None:
    assert heads(make_session()) == [
        "No.", "Start", "Smallest", "Range as a bar", "Largest", "Range", "Con.", "Hold", "Ecc.", "Speed", "Smooth",
    ]  # fmt: skip


def test_an_older_kits_session_shows_out_and_back_and_no_empty_column() -> None:
    old = as_version_1(make_session())
    assert heads(old) == ["No.", "Start", "Smallest", "Range as a bar", "Largest", "Range", "Out", "Back"]
    assert sets(old).columns == ()


async def test_an_older_kits_page_claims_nothing_of_what_it_did_not_tell(get: Get, book: SampleBook) -> None:
    text = await page(get, book, as_version_1(make_session()))
    for word in ("Peak velocity", "partial", "Sets", "Concentric", "fits it", "target"):
        assert word not in text
    assert "Tempo, out and back" in text


def test_a_raise_shows_height_and_lag_in_place_of_the_knees_range() -> None:
    raised = make_raise()
    assert heads(raised)[3:5] == ["Height", "Lag"]
    assert "Smallest" not in heads(raised)
    assert "Lag" not in heads(make_raise(known=False))
    bridge = raised.model_copy(update={"exercise": "bridge"})
    assert heads(bridge)[3:5] == ["Height", "Knee"]


def test_what_was_judged_against_a_target_is_shown_to_a_tenth() -> None:
    aimed = aim(make_session(peak_deg=90), GoalReport(flexion_deg=90.0))
    for shown, rep, result in zip(column(aimed, "Largest"), aimed.reps, column(aimed, "Result"), strict=True):
        assert shown == f"{rep.peak_flexion_deg:.1f}°"
        assert (float(shown.removesuffix("°")) >= 90.0) == (result == "on target")
    assert {"on target", "off target"} == set(column(aimed, "Result"))


def test_a_partial_repetition_is_marked_with_a_shape_and_a_word() -> None:
    summary = make_session(reps=6, partial=(2, 5))
    (result,) = [one for one in repetitions(summary).columns if one.head == "Result"]
    assert [(cell.text, cell.level) for cell in result.cells[:2]] == [("complete", None), ("partial", Level.WATCH)]


async def test_the_head_of_the_page_counts_partial_ones_and_those_on_target(get: Get, book: SampleBook) -> None:
    aimed = aim(make_session(peak_deg=90, partial=(3,)), GoalReport(flexion_deg=80.0, hold_s=2.0))
    text = await page(get, book, aimed)
    assert "1 of them partial" in text
    assert "9 of 10" in text
    assert "asked: bend to 80°, hold 2 s" in text
    assert "target 80°" in text


async def test_a_partial_repetition_does_not_lower_the_mean_range(get: Get, book: SampleBook) -> None:
    whole, some = make_session(peak_deg=90, min_deg=0), make_session(peak_deg=90, min_deg=0, partial=(2, 5))
    shown = [
        re.search(r"Range a repetition</dt><dd><span class=.value.>(\d+)°", await page(get, book, one))
        for one in (whole, some)
    ]
    assert all(shown)
    assert len({match[1] for match in shown if match}) == 1


@pytest.mark.parametrize(
    ("goal", "words"),
    [
        (GoalReport(), ""),
        (GoalReport(extension_deg=0.0, hold_s=2.5), "straighten to 0°, hold 2.5 s"),
        (GoalReport(height_deg=30.0), "raise by 30°"),
    ],
)
def test_a_goal_is_told_in_words(goal: GoalReport, words: str) -> None:
    assert goal_words(goal) == words


@pytest.mark.parametrize(
    ("trend", "words"),
    [
        (None, "—"),
        (0.0, "steady"),
        (STEADY - 0.001, "steady"),
        (0.02, "slowing 2\u202f% each repetition"),
        (-0.034, "quickening 3\u202f% each repetition"),
    ],
)
def test_the_tempo_of_a_set_is_told_in_words(trend: float | None, words: str) -> None:
    assert tempo_words(trend) == words


async def test_walking_and_likeness_are_told_where_they_are_known(get: Get, book: SampleBook) -> None:
    text = await page(get, book, make_session(steps=14, walking_s=11.0, likeness=0.9))
    assert "walked 11 s of it, 14 steps of this leg" in text
    assert "the motion fits it 90\u202f%" in text
    assert "walked" not in await page(get, book, make_session())


async def test_a_kept_calibration_says_so(get: Get, book: SampleBook) -> None:
    text = await page(get, book, make_session(zero="stored", calibration="stored"))
    assert "with what the kit kept of an earlier session" in text
    assert "An earlier session" in text
    assert "of an earlier session" not in await page(get, book, make_session())


async def test_a_raise_has_a_curve_of_its_tilt_and_one_of_its_knee(get: Get, book: SampleBook) -> None:
    text = await page(get, book, make_raise())
    assert text.count('role="img"') == 6
    assert "10 repetitions, raised by up to" in text
    assert "The knee meanwhile: extensor lag" in text


async def test_a_raise_without_a_knee_angle_is_no_void_session(get: Get, book: SampleBook) -> None:
    blind = make_raise(known=False)
    text = await page(get, book, blind)
    assert text.count('role="img"') == 3
    assert "Tilt of the leg from its rest" in text
    verdict = judge(blind, clock="synchronised")
    assert verdict.level is Level.WATCH
    assert len(verdict.findings) == 1
    bent = make_session(calibrated_at_s=None, ok_fraction=0.0, zero="none", flags=("not-calibrated",))
    assert judge(bent, clock="synchronised").level is Level.ACT


async def test_both_legs_of_a_sitting_stand_side_by_side(get: Get, book: SampleBook) -> None:
    patient = book.add_patient("Alex Example")
    sitting = sample_id(5)

    def leg(side: Any, peak: float, minutes: int, **changes: Any) -> Any:  # noqa: ANN401 - fields of a summary
        summary = make_session(side=side, peak_deg=peak, min_deg=0, sitting_id=sitting, **changes)
        return book.add(patient, summary, NOW - timedelta(minutes=minutes))

    left, right = leg("left", 60, 30), leg("right", 120, 20)
    leg("right", 140, 10, exercise="lunge")
    leg("right", 140, 5, source="recording")
    text = (await get(f"/sessions/{left}")).text
    assert "The left leg reaches 50\u202f% of the right one&#39;s range" in text
    assert f'href="/sessions/{right}"' in text
    assert re.search(r">\d+° less<", text)
    assert "The right leg reaches" in (await get(f"/sessions/{right}")).text


async def test_another_sittings_leg_is_not_compared(get: Get, book: SampleBook) -> None:
    patient = book.add_patient("Alex Example")
    left = book.add(patient, make_session(side="left", seed=1), NOW - timedelta(minutes=30))
    book.add(patient, make_session(side="right", seed=2), NOW - timedelta(minutes=20))
    assert "leg reaches" not in (await get(f"/sessions/{left}")).text


@pytest.mark.parametrize(
    "flag", ["sensors-exchanged", "other-leg", "same-segment", "not-a-hinge", "no-motion", "only-thigh", "only-shank"]
)
def test_a_session_that_measured_no_knee_is_no_evidence(flag: str) -> None:
    assert FLAGS[flag].level is Level.ACT


def test_a_faulty_sensor_makes_no_evidence_but_where_its_clock_is_odd_or_moments_were_clipped() -> None:
    mild = {fault for fault, (level, _, _) in SENSOR_FAULTS.items() if level is not Level.ACT}
    assert mild == {"rate-off", "saturated"}
