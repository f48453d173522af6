from typing import Any

import pytest

from examples.review_sample import make_sensor, make_session
from gonio.cloud_sink.review.flags import FLAGS, SENSOR_FAULTS, flag_finding
from gonio.cloud_sink.review.quality import judge, known_share
from gonio.cloud_sink.review.session_view import _sensor_column
from gonio.web.words import Level


def _judge(clock: str = "synchronised", **changes: Any) -> Any:  # noqa: ANN401 - fields of a summary
    return judge(make_session(**changes), clock=clock)


def test_a_clean_session_is_sound_and_says_nothing() -> None:
    verdict = _judge()
    assert (verdict.level, verdict.word, verdict.findings) == (Level.GOOD, "Sound", ())


@pytest.mark.parametrize(
    "flag", sorted([*FLAGS, *(f"{segment}-{fault}" for segment in ("thigh", "shank") for fault in SENSOR_FAULTS)])
)
def test_each_known_flag_is_a_sentence_with_something_to_do(flag: str) -> None:
    verdict = _judge(flags=(flag,))
    assert verdict.level is not Level.GOOD
    assert flag not in verdict.findings[0].what
    assert verdict.findings[0].do.endswith(".")


def test_an_unknown_flag_is_shown_as_it_is() -> None:
    verdict = _judge(flags=("brand-new-flag",))
    assert verdict.level is Level.WATCH
    assert "“brand-new-flag”" in verdict.findings[0].what
    assert flag_finding("brand-new-flag") == verdict.findings[0]


@pytest.mark.parametrize(
    ("changes", "level", "words"),
    [
        ({"calibrated_at_s": None, "ok_fraction": 0}, Level.ACT, "never known"),
        ({"zero": "range"}, Level.WATCH, "straightest angle"),
        ({"zero": "none"}, Level.ACT, "No zero"),
        ({"gap_s": (20.0, 30.0)}, Level.WATCH, "trustworthy only"),
        ({"ok_fraction": 0.3}, Level.ACT, "trustworthy only"),
        ({"interrupted": True}, Level.WATCH, "cut off"),
        ({"sensors": (make_sensor("shank", 0),)}, Level.ACT, "The shank's sensor sent nothing"),
        ({"sensors": (make_sensor("thigh", 60, lost=400),)}, Level.WATCH, "lost 11\u202f%"),
        ({"sensors": (make_sensor("thigh", 60, lost=1800),)}, Level.ACT, "lost 50\u202f%"),
        ({"recognised": True}, Level.GOOD, "recognised from the motion"),
    ],
)
def test_what_limits_the_trust_is_a_finding(changes: dict[str, Any], level: Level, words: str) -> None:
    verdict = _judge(**changes)
    assert verdict.level is level
    assert any(words in finding.what for finding in verdict.findings)


def test_a_clock_that_was_not_set_makes_no_evidence() -> None:
    assert _judge(clock="unsynchronised").level is Level.ACT


def test_a_low_battery_and_a_long_silence_are_findings() -> None:
    sensor = make_sensor("thigh", 60).model_copy(update={"battery_percent": 7, "gaps": 2, "longest_gap_s": 3.4})
    whats = [finding.what for finding in _judge(sensors=(sensor,)).findings]
    assert any("7 %" in what for what in whats)
    assert any("silent 2 times, the longest for 3 s" in what for what in whats)


@pytest.mark.parametrize(
    ("away_s", "words"), [(0.0, "2"), (0.4, "2, away for under 1 s"), (63.2, "2, away for 1 min 3 s")]
)
def test_the_page_says_for_how_long_a_sensor_was_away(away_s: float, words: str) -> None:
    sensor = make_sensor("thigh", 60).model_copy(update={"reconnects": 2, "away_s": away_s})
    assert _sensor_column(sensor).values[-1] == words


def test_what_fields_and_flags_both_say_is_told_once() -> None:
    sensors = (make_sensor("thigh", 60), make_sensor("shank", 0))
    flags = ("no-shank-samples", "no-standing", "not-calibrated", "zero-assumed")
    verdict = _judge(sensors=sensors, flags=flags, calibrated_at_s=None, ok_fraction=0, zero="none")
    assert len(verdict.findings) == 2


def test_findings_stand_worst_first() -> None:
    verdict = _judge(clock="unsynchronised", interrupted=True, recognised=True, flags=("gap",))
    levels = [finding.level for finding in verdict.findings]
    assert levels == [Level.ACT, Level.WATCH, Level.WATCH, Level.GOOD]


def test_time_before_calibration_does_not_lower_the_share() -> None:
    summary = make_session(still_s=22.0)
    assert summary.ok_fraction < 0.8
    assert known_share(summary) > 0.98
