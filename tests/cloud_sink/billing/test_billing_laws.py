"""Laws of the engine over generated episodes, and a second, slow reading of its hardest parts."""

import itertools
import random
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from gonio.cloud_sink.billing.case import ASSISTANTS, THERAPISTS, Case
from gonio.cloud_sink.billing.engine import Evaluation, evaluate
from gonio.cloud_sink.billing.minutes import months
from tests.cloud_sink.billing.cases import START, ZONE, at, case, record

CHICAGO = ZoneInfo(ZONE)
BAND = {None: 0, "98985": 1, "98977": 2}


@st.composite
def records(draw: st.DrawFn) -> dict[str, Any]:
    day = START + timedelta(days=draw(st.integers(-3, 95)))
    captured = at(day) + timedelta(minutes=draw(st.integers(-600, 700)))
    return record(day) | {
        "captured_at": captured,
        "received_at": captured + timedelta(hours=draw(st.sampled_from([0, 1, 30, 24 * 40, 24 * 200]))),
        "kind": draw(st.sampled_from(["session", "session", "check-in", "health"])),
        "source": draw(st.sampled_from(["sensor", "sensor", "self-report"])),
        "clock": draw(st.sampled_from(["synchronised"] * 4 + ["unsynchronised"])),
        "voided": draw(st.sampled_from([False] * 4 + [True])),
    }


@st.composite
def intervals(draw: st.DrawFn) -> dict[str, Any]:
    begin = datetime(2026, 3, 1, tzinfo=UTC) + timedelta(minutes=draw(st.integers(0, 90 * 24 * 60)))
    kind = draw(st.sampled_from(["work", "work", "call", "visit"]))
    values = {
        "clinician": draw(st.sampled_from("abc")),
        "credential": draw(st.sampled_from(["PT", "PT", "PTA", "OT", "aide"])),
        "start": begin,
        "end": begin + timedelta(seconds=draw(st.sampled_from([0, 1, 59, 60, 600, 1500, 7200, 90_000]))),
        "kind": kind,
    }
    if kind == "call":
        values |= {
            "mode": draw(st.sampled_from(["phone", "video", "message"])),
            "with": draw(st.sampled_from(["patient", "caregiver", "other"])),
            "answered": draw(st.booleans()),
        }
    return values


@st.composite
def cases(draw: st.DrawFn) -> Case:
    maybe = draw(st.integers(0, 7))
    changes: dict[str, Any] = {
        "as_of": START + timedelta(days=draw(st.integers(0, 130))),
        "settings": {
            "anchor": draw(st.sampled_from(["activation", "setup", "first-data-day"])),
            "self_report_counts": draw(st.booleans()),
            "extra_contact_per_98981": draw(st.booleans()),
        },
    }
    if maybe == 1:
        changes["consents"] = [{"given": START, "withdrawn": START + timedelta(days=draw(st.integers(0, 90)))}]
    if maybe == 2:
        changes["other_services"] = [{"code": "99454", "from": START + timedelta(days=draw(st.integers(0, 90)))}]
    many = draw(st.integers(0, 40))
    spread = [record(START + timedelta(days=n)) for n in draw(st.permutations(range(60)))[:many]]
    return case(draw(st.lists(records(), max_size=20)) + spread, draw(st.lists(intervals(), max_size=12)), **changes)


def supply(found: Evaluation) -> dict[date, str]:
    return {one.period_start: one.code for one in found.charges if one.code in {"98977", "98985"}}


@given(cases())
@settings(max_examples=150)
def test_any_case_is_decided_and_nothing_is_billed_twice(one: Case) -> None:
    found = evaluate(one)
    assert evaluate(one) == found
    codes = [charge.code for charge in found.charges]
    assert codes.count("98975") <= 1
    windows = sorted((c.period_start, c.period_end) for c in found.charges if c.code in {"98977", "98985"})
    assert all(a[1] < b[0] for a, b in itertools.pairwise(windows))
    for charge in found.charges:
        assert charge.period_start <= charge.period_end
        assert charge.code == "98975" or charge.period_end < one.as_of
    by_month: dict[date, set[str]] = {}
    for charge in found.charges:
        if charge.code in {"98979", "98980", "98981"}:
            assert charge.code not in by_month.get(charge.period_start, set())
            by_month.setdefault(charge.period_start, set()).add(charge.code)
    assert all(group in ({"98979"}, {"98980"}, {"98980", "98981"}) for group in by_month.values())


@given(cases(), st.randoms(use_true_random=False))
@settings(max_examples=60)
def test_the_order_of_arrival_never_matters(one: Case, rng: random.Random) -> None:
    def mixed(rows: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(rng.sample(rows, len(rows)))

    other = one.model_copy(update={"records": mixed(one.records), "intervals": mixed(one.intervals)})
    assert evaluate(other) == evaluate(one)


@given(cases(), st.integers(0, 90))
@settings(max_examples=80)
def test_one_more_day_never_lowers_a_band(one: Case, day: int) -> None:
    """With windows that stay where they are; an anchor at the first data day moves with it."""
    one = one.model_copy(update={"settings": one.settings.model_copy(update={"anchor": "activation"})})
    more = case([record(START + timedelta(days=day))]).records
    before, after = supply(evaluate(one)), supply(evaluate(one.model_copy(update={"records": one.records + more})))
    for window, code in before.items():
        assert BAND[after.get(window)] >= BAND[code]


@given(cases(), st.data())
@settings(max_examples=80)
def test_splitting_an_interval_changes_nothing(one: Case, data: st.DataObject) -> None:
    splittable = [n for n, i in enumerate(one.intervals) if i.kind == "work" and i.start < i.end]
    if not splittable:
        return
    at_number = data.draw(st.sampled_from(splittable))
    whole = one.intervals[at_number]
    middle = whole.start + (whole.end - whole.start) / data.draw(st.integers(2, 7))
    parts = (whole.model_copy(update={"end": middle}), whole.model_copy(update={"start": middle}))
    split = one.intervals[:at_number] + parts + one.intervals[at_number + 1 :]
    assert evaluate(one.model_copy(update={"intervals": split})) == evaluate(one)


@given(cases(), records())
@settings(max_examples=60)
def test_what_came_after_the_day_changes_nothing(one: Case, late: dict[str, Any]) -> None:
    late["received_at"] = at(one.as_of) + timedelta(days=2)
    more = one.records + case([late]).records
    assert evaluate(one.model_copy(update={"records": more})) == evaluate(one)


# --- a second reading, second by second ---


def slow_months(one: Case, counts: Callable[[date], bool]) -> dict[tuple[int, int], tuple[int, int]]:
    """Count seconds of each month, and those of assistants alone, by looking at each second."""
    seconds: dict[datetime, set[str]] = {}
    visited: set[datetime] = set()
    for i in one.intervals:
        moment = i.start.astimezone(UTC)
        while moment < i.end:
            if i.kind == "visit":
                visited.add(moment)
            elif i.credential in THERAPISTS | ASSISTANTS:
                seconds.setdefault(moment, set()).add(i.credential)
            moment += timedelta(seconds=1)
    found: dict[tuple[int, int], tuple[int, int]] = {}
    for moment, who in seconds.items():
        day = moment.astimezone(CHICAGO).date()
        if moment not in visited and counts(day):
            total, alone = found.get((day.year, day.month), (0, 0))
            found[day.year, day.month] = (total + 1, alone + (not who & THERAPISTS))
    return found


SHORT = intervals().filter(lambda one: one["end"] - one["start"] <= timedelta(minutes=25))
NEAR = SHORT.map(
    lambda one: (
        one
        | {
            "start": (
                base := datetime(2026, 4, 1, 4, tzinfo=UTC) + (one["start"] - datetime(2026, 3, 1, tzinfo=UTC)) / 600
            )
        }
        | {"end": base + (one["end"] - one["start"])}
    )
).map(lambda one: one | {name: one[name].replace(microsecond=0) for name in ("start", "end")})


@given(st.lists(NEAR, max_size=8), st.sets(st.sampled_from([date(2026, 3, 31), date(2026, 4, 1)])))
@settings(max_examples=60, deadline=None)
def test_minutes_are_those_of_a_slow_count(spent: list[dict[str, Any]], off: set[date]) -> None:
    """Around midnight of a month's end in Chicago (5:00 UTC), with some dates on which nothing counts."""
    one = case((), spent)

    def counts(day: date) -> bool:
        return day not in off

    quick = months(one.intervals, CHICAGO, counts)
    slow = slow_months(one, counts)
    assert {
        key: (month.time // timedelta(seconds=1), month.assistants // timedelta(seconds=1))
        for key, month in quick.items()
    } == slow


@given(cases())
@settings(max_examples=80)
def test_windows_are_those_of_a_slow_count(one: Case) -> None:
    """Day by day, for windows from the activation and no gate of overlap."""
    one = one.model_copy(
        update={"settings": one.settings.model_copy(update={"anchor": "activation"}), "other_services": ()}
    )
    found = supply(evaluate(one))
    first = START
    while first + timedelta(days=29) < one.as_of:
        count = 0
        for number in range(30):
            day = first + timedelta(days=number)
            consent = any(c.given <= day and (c.withdrawn is None or day < c.withdrawn) for c in one.consents)
            count += consent and any(
                r.captured_at.astimezone(CHICAGO).date() == day
                and r.kind in {"session", "check-in"}
                and not r.voided
                and r.clock == "synchronised"
                and (r.source == "sensor" or one.settings.self_report_counts)
                and r.received_at.astimezone(CHICAGO).date() <= one.as_of
                for r in one.records
            )
        assert found.get(first) == ("98977" if count >= 16 else "98985" if count >= 2 else None)
        first += timedelta(days=30)
