import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from uuid import UUID

import pytest

from examples.review_sample import NOW, SampleBook, make_sensor, make_session, sample_clinic
from gonio.messages import AngleCurve, RepReport

MakeApp = Callable[..., Any]
Get = Callable[..., Awaitable[Any]]
HOSTILE = "<script>alert(1)</script>\"'&<b>"


async def test_an_empty_clinic_says_what_will_appear_and_how(get: Get) -> None:
    answer = await get("/patients")
    assert answer.status == 200
    assert "No patient yet" in answer.text
    assert "gonio demo" in answer.text
    assert 'class="band"' not in answer.text


async def test_the_root_leads_to_the_patients(get: Get) -> None:
    answer = await get("/")
    assert (answer.status, answer.headers["location"]) == (307, "/patients")


async def test_patients_stand_by_last_activity_and_those_without_sessions_last(get: Get, book: SampleBook) -> None:
    book.add_patient("Zoe Never")
    early = book.add_patient("Early Bird")
    late = book.add_patient("Late Riser")
    book.add(early, make_session(), NOW - timedelta(days=3))
    book.add(late, make_session(peak_deg=77), NOW - timedelta(hours=2))
    text = (await get("/patients")).text
    assert text.index("Late Riser") < text.index("Early Bird") < text.index("Zoe Never")
    assert "2 h ago" in text
    assert "3 days ago" in text


async def test_a_patient_without_sessions_is_told_what_will_appear(get: Get, book: SampleBook) -> None:
    patient = book.add_patient("Noor Newcomer")
    text = (await get(f"/patients/{patient}")).text
    assert "No session yet" in text
    assert "<figure" not in text


async def test_a_session_is_listed_on_its_day_in_the_patients_time_zone(get: Get, book: SampleBook) -> None:
    patient = book.add_patient("Night Owl", "America/New_York")
    # 23:30 on the 21st in New York is 4:30 on the 22nd in UTC and in Berlin already 5:30
    book.add(patient, make_session(), datetime(2026, 11, 22, 4, 30, tzinfo=UTC))
    text = (await get(f"/patients/{patient}")).text
    assert "Saturday, 21 November 2026" in text
    assert "Sunday, 22 November" not in text
    assert "23:30" in text


async def test_a_patient_whose_time_zone_is_unknown_is_shown_in_utc_and_told_so(get: Get, book: SampleBook) -> None:
    patient = book.add_patient("Far Out", "Mars/Olympus_Mons")
    book.add(patient, make_session(), datetime(2026, 11, 22, 4, 30, tzinfo=UTC))
    text = (await get(f"/patients/{patient}")).text
    assert "Sunday, 22 November 2026" in text
    assert "time zone is not known" in text


async def test_a_session_shows_its_figures_curve_repetitions_and_streams(get: Get, book: SampleBook) -> None:
    patient = book.add_patient("Alex Example")
    record = book.add(patient, make_session(reps=10, peak_deg=90, min_deg=3), NOW - timedelta(hours=1))
    text = (await get(f"/sessions/{record}")).text
    assert "Mini squat, left knee" in text
    assert "Monday, 23 November 2026, 9:30" in text
    assert text.count('role="img"') == 3  # one curve, three sizes
    rows = re.findall(r'<tr><th scope="row" class="n">\d+</th>', text[text.index('id="reps"') :])
    assert len(rows) == 10
    assert "10 repetitions, largest flexion" in text
    assert "59.98 Hz" in text
    assert "81 %" in text
    assert "Sound" in text


@pytest.mark.parametrize(
    ("source", "words"),
    [("simulated", "Simulated data — not a patient"), ("recording", "Recording played back"), ("sensor", None)],
)
async def test_what_no_patient_did_wears_the_band_on_every_page(
    get: Get, book: SampleBook, source: Literal["simulated", "recording", "sensor"], words: str | None
) -> None:
    patient = book.add_patient("Alex Example")
    record = book.add(patient, make_session(source=source), NOW - timedelta(hours=1))
    for path in ("/patients", f"/patients/{patient}", f"/sessions/{record}"):
        text = (await get(path)).text
        assert ('class="band"' in text) == (words is not None)
        assert words is None or words in text


async def test_names_from_outside_are_escaped_everywhere(get: Get, book: SampleBook) -> None:
    patient = book.add_patient(HOSTILE)
    sensor = make_sensor("thigh", 60).model_copy(update={"name": HOSTILE, "firmware": "<i>", "family": "<u>"})
    record = book.add(patient, make_session(sensors=(sensor,), software=HOSTILE), NOW)
    for path in ("/patients", f"/patients/{patient}", f"/sessions/{record}"):
        text = (await get(path)).text
        assert "<script>alert" not in text
        assert "<b>" not in text
        assert "&lt;script&gt;" in text


async def test_titles_and_addresses_bear_no_name(get: Get, book: SampleBook) -> None:
    patient = book.add_patient("Alex Example")
    record = book.add(patient, make_session(), NOW)
    for path in ("/patients", f"/patients/{patient}", f"/sessions/{record}"):
        text = (await get(path)).text
        title = re.search("<title>(.*?)</title>", text)
        assert title is not None
        assert "Alex" not in title[1]
        assert not [address for address in re.findall(r'(?:href|src)="(.*?)"', text) if "lex" in address]


async def test_every_page_of_the_sample_clinic_renders(ask_app: Get, make_app: MakeApp) -> None:
    sample = sample_clinic()
    app = make_app(sample.book, lambda: NOW)
    for name, path in sample.pages.items():
        answer = await ask_app(app, path)
        assert answer.status == (404 if name == "missing" else 200), name
        assert not re.search(r'[ <"]style=', answer.text), name
        assert "None" not in re.sub(r"<td>None</td>|<dd>None<", "", answer.text), name
        assert "nan" not in re.findall(r'"([^"]*)"', answer.text), name


@pytest.mark.parametrize(
    "path", ["/patients/nobody", f"/patients/{UUID(int=7)}", f"/sessions/{UUID(int=8)}", "/x", "/static/x"]
)
async def test_what_is_not_there_answers_404_with_a_way_out(get: Get, path: str) -> None:
    answer = await get(path)
    assert answer.status == 404
    assert "This page is not here" in answer.text
    assert 'href="/patients"' in answer.text


async def test_a_page_can_only_be_read(get: Get) -> None:
    answer = await get("/patients", method="POST")
    assert answer.status == 405
    assert "Nothing was changed" in answer.text


async def test_older_sessions_are_a_page_away_and_none_is_lost_between(get: Get, book: SampleBook) -> None:
    patient = book.add_patient("Alex Example")
    for k in range(130):
        book.add(patient, make_session(reps=1), NOW - timedelta(hours=k))
    first = (await get(f"/patients/{patient}")).text
    older = re.search(r'href="([^"]*before=[^"]*)"', first)
    assert older is not None
    second = (await get(older[1].replace("&amp;", "&"))).text
    seen = [re.findall(r'href="/sessions/([^"]*)"', text) for text in (first, second)]
    assert [len(one) for one in seen] == [100, 30]
    assert len({*seen[0], *seen[1]}) == 130
    assert "Newest sessions" in second


async def test_an_interrupted_session_says_so(get: Get, book: SampleBook) -> None:
    patient = book.add_patient("Alex Example")
    record = book.add(patient, make_session(interrupted=True), NOW)
    assert "cut off by a loss of power" in (await get(f"/sessions/{record}")).text
    assert "Interrupted" in (await get(f"/patients/{patient}")).text


async def test_a_session_of_nobody_says_so(get: Get, book: SampleBook) -> None:
    record = book.add(None, make_session(), NOW)
    assert "belongs to no patient" in (await get(f"/sessions/{record}")).text


async def test_a_session_is_compared_with_the_one_before_beyond_the_error_only(get: Get, book: SampleBook) -> None:
    patient = book.add_patient("Alex Example")
    for days, peak in ((3, 70.0), (2, 90.0), (1, 93.0)):
        changes: dict[str, Any] = {"max_flexion_deg": peak}
        book.add(patient, make_session(**changes), NOW - timedelta(days=days))
    records = [row.record_id for row in book.sessions(patient)]
    assert "no change beyond the error of measurement (5°)" in (await get(f"/sessions/{records[0]}")).text
    assert "20° more this time" in (await get(f"/sessions/{records[1]}")).text
    assert "The time before" not in (await get(f"/sessions/{records[2]}")).text


async def test_an_extension_deficit_is_not_told_without_a_zero(get: Get, book: SampleBook) -> None:
    record = book.add(None, make_session(min_deg=12, zero="range"), NOW)
    text = (await get(f"/sessions/{record}")).text
    assert "cannot be told without a zero" in text
    assert "12° short" not in text


async def test_a_straightening_exercise_is_marked_where_it_is_straightest(get: Get, book: SampleBook) -> None:
    rep = RepReport(
        start_s=1.0, peak_s=3.0, end_s=5.0, signal="knee", peak_flexion_deg=85.0, min_flexion_deg=4.0, rom_deg=81.0
    )
    summary = make_session(exercise="long-arc-quad").model_copy(
        update={
            "curve": AngleCurve(step_s=1.0, flexion_deg=(85, 85, 40, 4, 40, 85)),
            "reps": (rep,),
            "duration_s": 6.0,
            "max_flexion_deg": 85.0,
            "min_flexion_deg": 4.0,
        }
    )
    text = (await get(f"/sessions/{book.add(None, summary, NOW)}")).text
    assert "1 repetition, smallest flexion 4°" in text
    labels = re.findall(r'<text[^>]* class="label"[^>]*>([^<]*)</text>', text)
    assert labels == ["4°"] * 3
