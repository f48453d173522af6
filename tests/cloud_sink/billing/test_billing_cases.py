"""What is billed when: each line a case, by the reading in docs/billing.md."""

import json
import os
from datetime import date, time, timedelta
from pathlib import Path
from typing import Any

import pytest

from gonio.cloud_sink.billing.case import Case, read_case
from gonio.cloud_sink.billing.engine import evaluate
from gonio.errors import UsageError
from tests.cloud_sink.billing.cases import (
    START,
    at,
    call,
    case,
    days,
    decide,
    episode,
    lines,
    plan,
    record,
    refusals,
    work,
)

SET_UP = "98975 GP"
LOW, HIGH = "98985 GP", "98977 GP"
TWO = days(4, 5)
EPISODE_2025: dict[str, Any] = {
    "episode": episode(activation=date(2025, 3, 3)),
    "consents": [{"given": date(2025, 3, 1)}],
    "plans": [plan(**{"from": date(2025, 1, 1), "to": None})],
    "as_of": date(2025, 6, 15),
}
Y25 = date(2025, 3, 3)


@pytest.mark.parametrize(
    ("records", "changes", "expected"),
    [
        # bands
        ([], {}, []),
        (days(4), {}, []),
        (days(4, 5), {}, [SET_UP, LOW]),
        (days(*range(1, 16)), {}, [SET_UP, LOW]),
        (days(*range(1, 17)), {}, [SET_UP, HIGH]),
        (days(*range(1, 31)), {}, [SET_UP, HIGH]),
        (days(*range(1, 32)), {}, [SET_UP, HIGH]),  # day 31 alone opens the second window, too little for it
        (days(*range(1, 33)), {}, [SET_UP, HIGH, LOW]),
        (days(30, 31), {}, []),  # one in each: nothing is carried over
        (days(29, 30, 31, 32), {}, [SET_UP, LOW, LOW]),
        (days(4) * 10, {}, []),  # ten on a day are one day
        (days(4) * 10 + days(8), {}, [SET_UP, LOW]),
        # what counts
        (days(4, 5, kind="check-in"), {}, [SET_UP, LOW]),
        (days(4, 5, kind="health"), {}, []),
        (days(4, 5, kind="log-in"), {}, []),
        (days(4, 5, test=True), {}, []),
        (days(4, 5, voided=True), {}, []),
        (days(4, 5, entered_by="staff"), {}, []),
        (days(4, 5, entered_by="patient"), {}, [SET_UP, LOW]),
        (days(4, 5, clock="unsynchronised"), {}, []),
        (days(4, 5, source="self-report"), {}, []),
        (days(4, 5, source="self-report"), {"settings": {"self_report_counts": True}}, [SET_UP, f"{LOW} self-report"]),
        (days(4, 5) + days(6, source="self-report"), {"settings": {"self_report_counts": True}}, [SET_UP, LOW]),
        (
            days(*range(1, 16)) + days(20, source="self-report"),
            {"settings": {"self_report_counts": True}},
            [SET_UP, f"{HIGH} self-report"],
        ),
        (days(4) + days(5, received_at=at(date(2026, 6, 16))), {}, []),  # not there yet
        (days(4) + days(5, received_at=at(date(2026, 6, 15), time(23, 59))), {}, [SET_UP, f"{LOW} late"]),
        (days(4) + days(5, received_at=at(date(2026, 3, 31), time(23, 59))), {}, [SET_UP, LOW]),
        (days(4) + days(5, received_at=at(date(2026, 4, 1), time(0, 0))), {}, [SET_UP, f"{LOW} late"]),
        (days(4, 5) + days(5, received_at=at(date(2026, 5, 1))), {}, [SET_UP, LOW]),  # the first to arrive decides
        # consent, plan, episode by the day
        (TWO, {"consents": []}, []),
        (TWO, {"consents": [{"given": date(2026, 3, 6)}]}, []),
        (TWO, {"consents": [{"given": date(2026, 3, 1), "withdrawn": date(2026, 3, 6)}]}, []),
        (TWO, {"consents": [{"given": date(2026, 3, 1), "withdrawn": date(2026, 3, 7)}]}, [SET_UP, LOW]),
        (
            TWO,
            {"consents": [{"given": date(2026, 3, 1), "withdrawn": date(2026, 3, 6)}, {"given": date(2026, 3, 6)}]},
            [SET_UP, LOW],
        ),
        (TWO, {"plans": []}, []),
        (TWO, {"plans": [plan(names_rtm=False)]}, []),
        (TWO, {"plans": [plan(to=date(2026, 3, 5))]}, []),
        (TWO, {"plans": [plan(to=date(2026, 3, 6))]}, [SET_UP, LOW]),
        (TWO, {"plans": [plan(to=None)]}, [SET_UP, LOW]),
        (TWO, {"plans": [plan(discipline="OT")]}, ["98975 GO", "98985 GO"]),
        (TWO, {"plans": [plan(discipline="SLP")]}, ["98975 GN", "98985 GN"]),
        (TWO, {"plans": [plan(to=date(2026, 3, 5)), plan(discipline="OT")]}, [SET_UP, "98985 GO"]),
        (TWO, {"episode": episode(closed=date(2026, 3, 5))}, []),
        (TWO, {"episode": episode(closed=date(2026, 3, 6))}, [SET_UP, LOW]),
        (days(4, 5, 34, 35), {"episode": episode(closed=date(2026, 3, 31))}, [SET_UP, LOW]),
        (days(-1, 0, 1), {}, []),  # before the activation
        # windows
        (TWO, {"as_of": date(2026, 3, 31)}, [SET_UP]),  # the set-up does not wait for its window, supply does
        (TWO, {"as_of": date(2026, 4, 1)}, [SET_UP, LOW]),
        (days(30, 31), {"settings": {"anchor": "first-data-day"}}, [SET_UP, LOW]),
        (
            days(14, 15),
            {"settings": {"anchor": "setup"}, "episode": episode(setup=episode(activation=date(2026, 3, 12))["setup"])},
            [SET_UP, LOW],
        ),
        (TWO, {"settings": {"anchor": "setup"}, "episode": episode(setup=None)}, []),
        # set-up
        (TWO, {"episode": episode(setup=None)}, [LOW]),
        (TWO, {"episode": episode(setup={"date": START, "education_documented": False, "by": "PT"})}, [LOW]),
        (
            TWO,
            {"episode": episode(setup={"date": START, "education_documented": True, "by": "PTA"})},
            ["98975 GP CQ", LOW],
        ),
        (
            TWO,
            {
                "episode": episode(setup={"date": START, "education_documented": True, "by": "OTA"}),
                "plans": [plan(discipline="OT")],
            },
            ["98975 GO CO", "98985 GO"],
        ),
        (
            days(4, 5, 8),
            {"episode": episode(setup={"date": date(2026, 3, 7), "education_documented": True, "by": "PT"})},
            [LOW, SET_UP],  # the third day reaches it: the first two were before the set-up
        ),
        (
            days(4, 5),
            {"episode": episode(setup={"date": date(2026, 3, 7), "education_documented": True, "by": "PT"})},
            [LOW],
        ),
        # gates of periods
        (TWO, {"device": {"attested": False}}, []),
        (TWO, {"other_practitioners": [{"from": date(2026, 3, 31), "to": date(2026, 4, 2)}]}, []),
        (TWO, {"other_practitioners": [{"from": date(2026, 4, 1), "to": None}]}, [SET_UP, LOW]),
        (TWO, {"other_services": [{"code": "99454", "from": date(2026, 3, 1), "to": date(2026, 3, 2)}]}, []),
        (TWO, {"other_services": [{"code": "99490", "from": date(2026, 3, 1), "to": None}]}, [SET_UP, LOW]),
        (TWO, {"surgeon_global": {"from": date(2026, 1, 1), "to": date(2026, 3, 2)}}, []),
        (TWO, {"surgeon_global": {"from": date(2026, 1, 1), "to": date(2026, 3, 1)}}, [SET_UP, LOW]),
        (
            TWO,
            {"prior_charges": [{"code": "98977", "period_start": date(2026, 3, 20), "period_end": date(2026, 4, 18)}]},
            [SET_UP],
        ),
        (
            TWO,
            {"prior_charges": [{"code": "98976", "period_start": date(2026, 3, 31), "period_end": date(2026, 4, 29)}]},
            [SET_UP],  # any supply code
        ),
        (
            TWO,
            {"prior_charges": [{"code": "98975", "period_start": date(2024, 1, 1), "period_end": date(2024, 1, 9)}]},
            [LOW],  # once an episode, whenever
        ),
        # payers and years
        (TWO, {"payer": "nobody"}, []),
        (days(*range(1, 16), start=Y25), EPISODE_2025, []),
        (days(*range(1, 17), start=Y25), EPISODE_2025, [SET_UP, HIGH]),
    ],
)  # fmt: skip
def test_supply_and_set_up(records: list[dict[str, Any]], changes: dict[str, Any], expected: list[str]) -> None:
    assert lines(decide(records, **changes)) == expected


def ladder(minutes: float, calls: int = 9, **more: Any) -> list[dict[str, Any]]:  # noqa: ANN401
    """Make so many minutes in all, with calls of two seconds in them."""
    inside = [call(1 / 30, hour=9 + n * 0.01, **more) for n in range(calls)]
    return [work(minutes, **more), *inside]


WITH_OTHER = call() | {"with": "other"}
WITH_CAREGIVER = call() | {"with": "caregiver"}
BILLED = {"code": "98979", "period_start": date(2026, 3, 1), "period_end": date(2026, 3, 31)}
NAIVE = {"kind": "session", "captured_at": "2026-03-05T18:00:00", "received_at": "2026-03-05T18:00:00Z"}
BACKWARDS = {"clinician": "a", "credential": "PT", "start": "2026-03-05T18:00:00Z", "end": "2026-03-05T17:00:00Z"}


@pytest.mark.parametrize(
    ("intervals", "changes", "expected"),
    [
        (ladder(9.99), {}, []),
        (ladder(10), {}, ["98979 GP"]),
        (ladder(19.99), {}, ["98979 GP"]),
        (ladder(20), {}, ["98980 GP"]),
        (ladder(39.99), {}, ["98980 GP"]),
        (ladder(40), {}, ["98980 GP", "98981 GP"]),
        (ladder(59.99), {}, ["98980 GP", "98981 GP"]),
        (ladder(60), {}, ["98980 GP", "98981x2 GP"]),
        (ladder(200), {}, ["98980 GP", "98981x8 GP"]),
        (ladder(240), {}, ["98980 GP", "98981x8 GP"]),  # nine contacts: one for the first, eight more
        (ladder(60, 2), {}, ["98980 GP", "98981 GP"]),
        (ladder(60, 1), {}, ["98980 GP"]),
        (ladder(60, 1), {"settings": {"extra_contact_per_98981": False}}, ["98980 GP", "98981x2 GP"]),
        (ladder(60, 0), {}, []),
        (ladder(15, 0), {}, []),
        # contacts
        ([work(15), call(mode="video")], {}, ["98980 GP"]),
        ([work(15), call(mode="message")], {}, []),
        ([work(15), call(answered=False)], {}, []),
        ([work(15), WITH_OTHER], {}, []),
        ([work(15), WITH_CAREGIVER], {}, ["98980 GP"]),
        ([work(15), call(0)], {}, []),
        ([work(15), call(who="aide")], {}, []),
        ([work(16), call(4), work(30, hour=14.9, kind="visit", who="aide")], {}, []),  # inside a visit
        ([work(16), call(4), work(30, hour=14.5, kind="visit")], {}, ["98980 GP"]),  # right after one
        # time
        ([work(10), work(10, who="OT"), call(5)], {}, ["98979 GP"]),  # at once, counted once
        ([work(10), work(10, hour=9.1), call(5)], {}, ["98980 GP"]),
        ([work(20), work(10, hour=9, kind="visit"), call(5)], {}, ["98979 GP"]),
        ([work(20, who="aide"), call(5)], {}, []),
        # nothing is carried over
        ([work(10, day=date(2026, 3, 31)), work(10, day=date(2026, 4, 1)), call(5)], {}, ["98979 GP"]),
        ([work(40, day=date(2026, 3, 31), hour=23.75), call(5)], {}, ["98980 GP"]),  # 15 of it before midnight
        ([work(20, day=date(2026, 3, 1)), call(5)], {}, []),  # before the activation
        (ladder(20), {"as_of": date(2026, 3, 31)}, []),  # the month has not ended
        (ladder(20), {"as_of": date(2026, 4, 1)}, ["98980 GP"]),
        # assistants: strictly more than a tenth
        ([work(18), work(2, hour=12, who="PTA"), call(1 / 30, hour=9)], {}, ["98980 GP"]),
        ([work(17.9), work(2.1, hour=12, who="PTA"), call(1 / 30, hour=9)], {}, ["98980 GP CQ"]),
        ([work(20), work(20, who="PTA"), call(1 / 30, hour=9)], {}, ["98980 GP"]),  # together it is the therapist's
        # gates
        (ladder(20), {"other_services": [{"code": "99457", "from": date(2026, 3, 31), "to": None}]}, []),
        (ladder(20), {"prior_charges": [BILLED]}, []),
    ],
)  # fmt: skip
def test_management(intervals: list[dict[str, Any]], changes: dict[str, Any], expected: list[str]) -> None:
    found = decide(days(9, 10), intervals, **changes)
    assert [line for line in lines(found) if line[:5] in {"98979", "98980", "98981"}] == expected


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"payer": "nobody"}, ["98977 no ruleset", "98975 no ruleset", "98980 no ruleset"]),
        ({"consents": [{"given": date(2026, 4, 1)}]}, ["98977 no consent"]),
        ({"plans": []}, ["98977 no plan of care"]),
        ({"consents": [], "plans": []}, ["98977 no consent"]),  # the first gate
        ({"episode": episode(setup=None)}, ["98975 set-up not documented"]),
        ({"device": {"attested": False}}, ["98985 device not attested", "98975 device not attested"]),
        (
            {"other_practitioners": [{"from": START}], "device": {"attested": False}},
            ["98985 device not attested", "98975 device not attested", "98980 another practitioner"],
        ),
        ({"surgeon_global": {"from": START}}, ["98985 surgeon global", "98975 surgeon global", "98980 surgeon global"]),
    ],
)
def test_the_first_gate_is_named(changes: dict[str, Any], expected: list[str]) -> None:
    found = decide(days(9, 10), ladder(25), as_of=date(2026, 4, 1), **changes)
    got = refusals(found)
    # the band of a refused window is told where it is known
    assert [line.replace("98985", "98977") for line in got] == [line.replace("98985", "98977") for line in expected]


def test_parts_of_seconds_add_up_exactly() -> None:
    """60 pieces of 1.1 s and 594 s are 11 minutes, of which the assistant's tenth is not more than a tenth."""
    pieces = [work(1.1 / 60, hour=9 + n / 60, who="PTA") for n in range(60)]
    found = decide(days(9, 10), [*pieces, work(534 / 60, hour=12), call(1)])
    (charge,) = [one for one in found.charges if one.code == "98979"]
    assert (charge.minutes, charge.modifiers) == (11, ("GP",))


def test_time_without_data_is_refused() -> None:
    found = decide(days(40, 41), ladder(25))
    assert "98980 no data to act on" in refusals(found)


def test_a_window_over_the_turn_of_the_year_is_held() -> None:
    started = date(2025, 12, 15)
    found = decide(
        days(1, 2, 20, start=started),
        episode=episode(activation=started),
        consents=[{"given": date(2025, 12, 1)}],
        plans=[plan(**{"from": date(2025, 1, 1)})],
        as_of=date(2026, 2, 1),
    )
    assert lines(found) == ["98975 GP hold", "98985 GP hold"]


def test_dates_are_the_patients_and_months_the_clinics() -> None:
    late = time(23, 30)
    records = [record(START, captured_at=at(START + timedelta(n), late, "America/Los_Angeles")) for n in (3, 4)]
    assert lines(decide(records, patient={"time_zone": "America/Los_Angeles"}))[-1] == LOW
    one_day = [record(START, captured_at=at(START + timedelta(3), time(0, 30))), *days(4)]
    assert lines(decide(one_day)) == []
    assert lines(decide(one_day, patient={"time_zone": "America/Los_Angeles"}))[-1] == LOW  # there it was yesterday


def test_reasons_are_sentences_with_days_rules_and_settings() -> None:
    found = decide(days(9, 10), ladder(45))
    for charge in found.charges:
        text = " ".join(charge.reasons)
        assert "rules: medicare-b 2026-11-23" in text
        assert all(len(reason) > 10 for reason in charge.reasons)
    assert "2026-03-10, 2026-03-11" in " ".join(found.charges[-1].reasons)


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"as_of": "yesterday"}, "as_of"),
        ({"as_of": "1066-10-14"}, "as_of"),
        ({"patient": {"time_zone": "Middle/Earth"}}, "patient.time_zone"),
        ({"settings": {"anchor": "moon"}}, "settings.anchor"),
        ({"records": [{"kind": "session"}]}, "records.0"),
        ({"records": [NAIVE | {"source": "sensor"}]}, "records.0.captured_at"),
        ({"plans": [{"from": "2026-03-02", "to": "2026-03-01", "names_rtm": True, "discipline": "PT"}]}, "plans.0"),
        ({"intervals": [BACKWARDS | {"kind": "work"}]}, "intervals.0"),
        ({"surprise": 1}, "surprise"),
    ],
)  # fmt: skip
def test_a_case_that_is_none_names_its_field(change: dict[str, Any], where: str) -> None:
    good = json.loads(case(TWO).model_dump_json(by_alias=True))
    assert read_case(json.dumps(good)) == case(TWO)
    with pytest.raises(UsageError, match=f"no billing case: {where}"):
        read_case(json.dumps(good | change))
    for text in ("", "[]", "{", '"x"'):
        with pytest.raises(UsageError, match="no billing case"):
            read_case(text)


def samples() -> list[Any]:
    folder = Path(os.environ.get("GONIO_DATA", Path(__file__).parents[4] / "shared" / "data"))
    file = folder.parent / "cases" / "billing.json"
    return json.loads(file.read_text()) if file.exists() else []


@pytest.mark.skipif(not samples(), reason="the sample cases (cases/billing.json beside GONIO_DATA) are not here")
def test_the_sample_cases_agree_to_the_letter() -> None:
    for sample in samples():
        found = evaluate(Case.model_validate_json(json.dumps(sample["case"]))).as_json()
        charges = [{name: value for name, value in one.items() if name != "reasons"} for one in found["charges"]]
        wanted = [
            {name: value for name, value in one.items() if name != "reasons"} for one in sample["answer"]["charges"]
        ]
        assert charges == wanted, sample["case"]["case"]
        assert found["refused"] == sample["answer"]["refused"], sample["case"]["case"]
