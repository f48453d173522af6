"""What is advised when it hurts, what may be praised, and when to remind."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gonio.gateway.patient.discomfort import RED_FLAGS, Advice, Limits, advise
from gonio.gateway.patient.progress import (
    REAL_CHANGE_DEG,
    RangeDay,
    Standing,
    Word,
    best_of_days,
    corridor,
    standing,
    word_of_bend,
)
from gonio.gateway.patient.reminders import GRACE, MAX_A_DAY, Reminded, Why, due
from gonio.messages.check_in import CheckIn
from gonio.messages.patient import Pause, Preference, Reminder

HOME = ZoneInfo("America/Chicago")
TODAY = date(2026, 3, 3)  # a Tuesday


@pytest.mark.parametrize(
    ("told", "usual", "advice"),
    [
        ({"pain_after": 0}, (), Advice.GO_ON),
        ({"pain_after": 3}, (), Advice.GO_ON),
        ({"pain_before": 1, "pain_during": 4, "pain_after": 2}, (), Advice.EASE),
        ({"pain_after": 5}, (), Advice.EASE),
        ({"pain_after": 6}, (), Advice.STOP_AND_ASK),
        ({"pain_after": 10}, (), Advice.STOP_AND_ASK),
        ({"pain_after": 3}, (1, 1, 2), Advice.EASE),  # two above the usual
        ({"pain_after": 3}, (2, 2, 2), Advice.GO_ON),
        ({"stop_reason": "pain"}, (), Advice.EASE),
        ({"stop_reason": "tired"}, (), Advice.GO_ON),
        ({"red_flags": ("fever",)}, (), Advice.DOCTOR_TODAY),
        ({"red_flags": ("of-a-newer-list",)}, (), Advice.DOCTOR_TODAY),
        ({"red_flags": ("fever", "chest-pain"), "pain_after": 0}, (), Advice.EMERGENCY),
    ],
)
def test_what_is_advised(told: dict[str, Any], usual: tuple[int, ...], advice: Advice) -> None:
    guidance = advise(CheckIn(**told), usual)
    assert guidance.advice is advice
    assert guidance.may_praise == (advice is Advice.GO_ON)


@given(
    st.integers(0, 9),
    st.lists(st.integers(0, 10), max_size=7),
    st.lists(st.sampled_from(RED_FLAGS), max_size=3, unique=True),
    st.sampled_from(RED_FLAGS),
)
def test_more_pain_or_another_flag_is_never_taken_more_lightly(
    pain: int, usual: list[int], flags: list[str], flag: str
) -> None:
    now = advise(CheckIn(pain_after=pain, red_flags=tuple(flags)), usual).advice
    assert advise(CheckIn(pain_after=pain + 1, red_flags=tuple(flags)), usual).advice >= now
    assert advise(CheckIn(pain_after=pain, red_flags=(*flags, flag)), usual).advice >= now


@pytest.mark.parametrize(("ease", "stop", "rise"), [(0, 6, 2.0), (7, 6, 2.0), (4, 11, 2.0), (4, 6, 0.0)])
def test_limits_that_are_none_are_refused(ease: int, stop: int, rise: float) -> None:
    with pytest.raises(ValueError, match="in order"):
        Limits(ease, stop, rise)


# --- progress ---


@pytest.mark.parametrize(
    ("day", "lines"), [(13, None), (14, (80, 90)), (21, (85, 95)), (28, (90, 100)), (49, (100, 110)), (400, (105, 115))]
)
def test_the_corridor_is_straight_between_milestones(day: int, lines: tuple[float, float] | None) -> None:
    assert corridor(day) == lines
    assert corridor(day, ()) is None


@pytest.mark.parametrize(
    ("tested", "day", "expected"),
    [(79, 14, Standing.BEHIND), (80, 14, Standing.ON_WAY), (91, 14, Standing.AHEAD), (120, 3, None)],
)
def test_where_a_tested_bend_stands(tested: float, day: int, expected: Standing | None) -> None:
    assert standing(tested, day) is expected


def week(*bends: float | None) -> list[RangeDay]:
    """Give days that end today."""
    return [RangeDay(TODAY - timedelta(len(bends) - 1 - n), bend, None) for n, bend in enumerate(bends)]


@pytest.mark.parametrize(
    ("bends", "more", "word"),
    [
        ((90,), {}, Word.FIRST),
        ((90, 95), {}, Word.SAME),  # within the error of measurement
        ((90, 95.1), {}, Word.MORE),
        ((90, 84), {}, Word.LESS),
        ((None, None), {}, None),
        ((90, 97), {"may_praise": False}, None),  # it hurts: no record is worth it
        ((90, 97), {"ceiling_deg": 95}, None),  # beyond what the surgeon allows
        ((90, 95), {"ceiling_deg": 95, "goal_deg": 95}, Word.REACHED),
        ((120, *[None] * 7, 90), {}, Word.FIRST),  # eight days ago is not last week
    ],
)
def test_what_may_be_said_of_a_bend(bends: tuple[float | None, ...], more: dict[str, Any], word: Word | None) -> None:
    assert word_of_bend(week(*bends), TODAY, **more) is word


@given(st.lists(st.floats(0, 140), min_size=2, max_size=8), st.floats(-REAL_CHANGE_DEG, REAL_CHANGE_DEG))
def test_no_change_is_claimed_within_the_error(bends: list[float], change: float) -> None:
    assert word_of_bend(week(*bends, max(bends[-7:]) + change * 0.999), TODAY) is Word.SAME


def test_the_best_of_a_day() -> None:
    monday = TODAY - timedelta(1)
    found = [(TODAY, 80.0, 5.0), (monday, None, None), (TODAY, 90.0, None), (TODAY, 85.0, 3.0)]
    assert best_of_days(found) == [RangeDay(monday, None, None), RangeDay(TODAY, 90.0, 3.0)]


# --- reminders ---


def at(hour: int, minute: int = 0, *, day: int = 0) -> datetime:
    return datetime.combine(TODAY + timedelta(day), time(hour, minute), tzinfo=HOME)


EIGHT = Preference(reminders=(Reminder(at=time(8)),))


@pytest.mark.parametrize(
    ("preference", "reminded", "now", "left", "expected"),
    [
        (EIGHT, Reminded(), at(7, 59), True, None),
        (EIGHT, Reminded(), at(8), True, Why.TIME),
        (EIGHT, Reminded(), at(9, 59), True, Why.TIME),  # the kit was off at eight
        (EIGHT, Reminded(), at(10), True, None),
        (EIGHT, Reminded(), at(8), False, None),  # all is done
        (EIGHT, Reminded((at(8),), 1), at(8, 5), True, None),  # it was given
        (EIGHT, Reminded((at(8, day=-1),), 1), at(8), True, Why.TIME),
        (EIGHT.model_copy(update={"opt_outs": ("reminders",)}), Reminded(), at(8), True, None),
        (EIGHT.model_copy(update={"pause": Pause(since=TODAY, reason="travel")}), Reminded(), at(8), True, None),
        (EIGHT.model_copy(update={"quiet_from": time(21), "quiet_to": time(8, 30)}), Reminded(), at(8), True, None),
        (
            EIGHT.model_copy(update={"quiet_from": time(21), "quiet_to": time(8, 30)}),
            Reminded(),
            at(8, 30),
            True,
            Why.TIME,
        ),
        (Preference(reminders=(Reminder(at=time(8), weekdays=(1, 3)),)), Reminded(), at(8), True, None),
        (EIGHT, Reminded((at(8),), 0, at(9)), at(8, 59), True, None),  # snoozed
        (EIGHT, Reminded((at(8),), 0, at(9)), at(9), True, Why.SNOOZED),
        (EIGHT, Reminded((at(8, day=-1),), 0, at(9, day=-1)), at(9), True, Why.TIME),  # yesterday's has lapsed
        (EIGHT, Reminded((at(8, day=-1),), 7), at(8), True, None),  # ignored for long
        (EIGHT, Reminded((at(8, day=-3),), 7), at(8), True, Why.TIME),
    ],
)
def test_when_to_remind(
    preference: Preference,
    reminded: Reminded,
    now: datetime,
    left: bool,  # noqa: FBT001 - a column
    expected: Why | None,
) -> None:
    assert due(preference, reminded, now, HOME, left=left) is expected


def run_day(preference: Preference, reminded: Reminded, day: int, minutes: int = 10) -> Reminded:
    """Live through a day without doing anything."""
    moment, end = at(0, day=day).astimezone(UTC), at(0, day=day + 1).astimezone(UTC)
    while moment < end:
        if due(preference, reminded, moment, HOME, left=True) is not None:
            reminded = reminded.give(moment)
        moment += timedelta(minutes=minutes)
    return reminded


def test_a_snooze_into_quiet_hours_silences_one_evening_only() -> None:
    preference = EIGHT.model_copy(update={"quiet_from": time(22), "quiet_to": time(7)})
    reminded = run_day(preference, Reminded().snooze(at(22, 30)), 0)
    assert reminded.shown == ()
    assert run_day(preference, reminded, 1).shown == (at(8, day=1),)


def test_who_never_reacts_is_left_in_peace() -> None:
    often = Preference(reminders=tuple(Reminder(at=time(hour)) for hour in range(6, 22, 2)))
    reminded, given = Reminded(), []
    for day in range(14):
        before = len(reminded.shown)
        reminded = run_day(often, reminded, day)
        given.append(len(reminded.shown) - before)
    assert given[0] == 3
    assert given[1:5] == [1, 1, 1, 1]
    assert sum(given[5:]) <= 3
    assert run_day(often, reminded.react(), 20).shown[-1] > at(0, day=20)


@given(
    st.lists(st.times(), max_size=20),
    st.none() | st.times(),
    st.none() | st.times(),
    st.integers(-200, 200),
)
def test_never_in_quiet_hours_never_too_often(
    times: list[time], quiet_from: time | None, quiet_to: time | None, day: int
) -> None:
    preference = Preference(
        reminders=tuple(Reminder(at=one) for one in times), quiet_from=quiet_from, quiet_to=quiet_to
    )
    reminded = run_day(preference, Reminded(), day, minutes=30)
    assert len(reminded.shown) <= MAX_A_DAY
    assert len(reminded.shown) <= len(times)
    for moment in reminded.shown:
        local = moment.astimezone(HOME).time()
        if quiet_from is not None and quiet_to is not None and quiet_from < quiet_to:
            assert not quiet_from <= local < quiet_to


@pytest.mark.parametrize(
    ("day", "slot", "moment"),
    [
        (date(2026, 3, 8), time(2, 30), datetime(2026, 3, 8, 8, 30, tzinfo=UTC)),  # skipped: as much later
        (date(2026, 11, 1), time(1, 30), datetime(2026, 11, 1, 6, 30, tzinfo=UTC)),  # twice: the first one
    ],
)
def test_a_clock_change_gives_one_reminder(day: date, slot: time, moment: datetime) -> None:
    preference = Preference(reminders=(Reminder(at=slot),))
    assert due(preference, Reminded(), moment - timedelta(minutes=1), HOME, left=True) is None
    assert due(preference, Reminded(), moment, HOME, left=True) is Why.TIME
    given = Reminded().give(moment)
    for later in (timedelta(minutes=5), timedelta(hours=1), GRACE):
        assert due(preference, given, moment + later, HOME, left=True) is None
