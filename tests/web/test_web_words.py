from datetime import UTC, datetime, timedelta

import pytest

from gonio.web.words import age, brief_day, clock, count, day, degrees, duration, number, percent

NOW = datetime(2026, 11, 22, 9, 40, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "places", "text"),
    [
        (0, 0, "0"),
        (-0.2, 0, "0"),
        (-3.6, 0, "\u22124"),
        (1234.5, 1, "1\u202f234.5"),
        (-1e6, 0, "\u22121\u202f000\u202f000"),
    ],
)
def test_numbers(value: float, places: int, text: str) -> None:
    assert number(value, places) == text


def test_an_unknown_angle_is_a_dash() -> None:
    assert (degrees(None), degrees(-0.4), degrees(90.4)) == ("—", "0°", "90°")


@pytest.mark.parametrize(
    ("share", "text"), [(0, "0 %"), (0.001, "under 1 %"), (0.5, "50 %"), (0.999, "over 99 %"), (1, "100 %")]
)
def test_a_share_is_whole_only_when_it_is(share: float, text: str) -> None:
    assert percent(share) == text.replace(" %", "\u202f%")


@pytest.mark.parametrize(
    ("value", "text"), [(0.4, "0 s"), (59.4, "59 s"), (59.9, "1 min"), (200, "3 min 20 s"), (3900, "1 h 5 min")]
)
def test_durations(value: float, text: str) -> None:
    assert duration(value) == text


@pytest.mark.parametrize(
    ("passed", "text"),
    [
        (timedelta(seconds=20), "just now"),
        (timedelta(minutes=12), "12 min ago"),
        (timedelta(hours=47), "47 h ago"),
        (timedelta(days=2), "2 days ago"),
        (timedelta(days=4000), "10 years ago"),
        (-timedelta(seconds=30), "just now"),
        (-timedelta(hours=3), "dated 3 h ahead"),
    ],
)
def test_ages(passed: timedelta, text: str) -> None:
    assert age(NOW - passed, NOW) == text


def test_moments_and_counts_as_people_say_them() -> None:
    assert brief_day(NOW) == "Sun, 22 Nov 2026"
    assert (day(NOW), clock(NOW)) == ("Sunday, 22 November 2026", "9:40")
    assert (count(1, "session"), count(0, "session"), count(2, "session is", "sessions are")) == (
        "1 session",
        "0 sessions",
        "2 sessions are",
    )
