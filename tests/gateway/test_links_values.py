"""Counts, words and log of a link: pure but for the log's two files."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gonio.gateway.links import words
from gonio.gateway.links.diary import LINE_BYTES, NAME, OLDER, Diary, last_sentences
from gonio.gateway.links.statistics import LinkReport, LinkStatistics
from gonio.gateway.links.table import TABLE, Event, State
from gonio.signal.chunks import SampleChunk

RATE_HZ = 100.0


def chunk(numbers: list[int], *, arrival_s: list[float] | None = None, clock: bool = True) -> SampleChunk:
    x = np.array(numbers, dtype=np.float64) / RATE_HZ
    ones = np.ones((len(x), 3))
    arrivals = x + 5.0 if arrival_s is None else np.array(arrival_s)
    return SampleChunk(ones, ones, x if clock else None, arrivals)


def statistics() -> LinkStatistics:
    one = LinkStatistics()
    one.connected(RATE_HZ, 0.0)
    return one


@given(st.sets(st.integers(1, 400)), st.lists(st.integers(0, 400), max_size=6))
def test_lost_samples_are_those_that_did_not_come_however_the_stream_is_cut(gone: set[int], cuts: list[int]) -> None:
    numbers = [n for n in range(402) if n not in gone]
    one = statistics()
    edges = sorted({0, *(min(cut, len(numbers)) for cut in cuts), len(numbers)})
    for begin, end in pairwise(edges):
        one.feed(chunk(numbers[begin:end]))
    whole = statistics()
    whole.feed(chunk(numbers))
    assert one.report(9.0) == whole.report(9.0)
    assert (one.report(9.0).received, one.report(9.0).lost) == (len(numbers), len(gone))


def test_what_was_in_the_air_during_an_absence_is_lost_and_the_absence_has_its_length() -> None:
    one = statistics()
    one.feed(chunk(list(range(100))))
    one.disconnected(6.0)
    one.disconnected(6.5)
    assert one.report(7.0).away_s == 1.0
    one.connected(RATE_HZ, 8.0)
    one.feed(chunk(list(range(320, 400))))
    assert one.report(9.0) == LinkReport(
        received=180, lost=220, gaps=1, longest_silence_s=2.21, reconnects=1, away_s=2.0
    )


def test_a_sensor_without_a_clock_has_gaps_and_no_count_of_lost_samples() -> None:
    one = statistics()
    one.feed(chunk([0, 1, 2, 3], arrival_s=[0.0, 0.1, 0.2, 1.2], clock=False))
    report = one.report(2.0)
    assert (report.lost, report.gaps, report.longest_silence_s) == (None, 1, 1.0)


def test_a_stop_on_purpose_or_a_clock_that_began_anew_is_no_loss() -> None:
    one = statistics()
    one.feed(chunk([500, 501], arrival_s=[0.0, 0.01]))
    one.feed(chunk([3, 4], arrival_s=[0.02, 0.03]))
    one.halted()
    one.feed(chunk([900, 901], arrival_s=[20.0, 20.01]))
    one.feed(chunk([], arrival_s=[]))
    report = one.report(30.0)
    assert (report.received, report.lost, report.gaps) == (6, 0, 0)


def test_before_the_first_connection_nobody_is_away() -> None:
    one = LinkStatistics()
    one.disconnected(1.0)
    assert one.report(50.0) == LinkReport()


@pytest.mark.parametrize("state", list(State))
def test_every_state_has_words_and_trouble_has_advice(state: State) -> None:
    assert words.STANDING[state]
    advice = words.what_to_do(state, failures=0, heard_before=True)
    assert (advice is not None) == (state in {State.MISSING, State.UNAVAILABLE, State.REFUSED})


def test_advice_knows_what_was_before() -> None:
    assert "phone" in (words.what_to_do(State.MISSING, failures=0, heard_before=True) or "")
    assert "phone" not in (words.what_to_do(State.MISSING, failures=0, heard_before=False) or "")
    assert "phone" in (words.what_to_do(State.WAITING, failures=3, heard_before=True) or "")
    assert "adapter" in (words.what_to_do(State.WAITING, failures=0, heard_before=True, full=True) or "")


def test_the_log_tells_losses_and_returns_and_not_every_step() -> None:
    told = {
        (before, event): words.told(before, event, now, "why")
        for (before, event), now in TABLE.items()
        if before is not now
    }
    assert told[State.STREAMING, Event.LINK_LOST] == "is lost (why)"
    assert told[State.CONNECTING, Event.FAILED] == "could not be connected (why)"
    assert told[State.STARTING, Event.STARTED] == "streams (why)"
    assert told[State.SEARCHING, Event.HEARD] is None
    assert told[State.WAITING, Event.DUE] is None
    assert told[State.UNAVAILABLE, Event.BLUETOOTH_BACK] is not None


def test_a_low_battery_is_told() -> None:
    assert words.battery_words(16) is None
    assert "12 %" in (words.battery_words(12) or "")


def test_the_log_has_times_keeps_the_newest_and_stays_within_its_bound(tmp_path: Path) -> None:
    moment = datetime(2026, 11, 23, 18, 0, tzinfo=UTC)

    def now() -> datetime:
        nonlocal moment
        moment += timedelta(seconds=1)
        return moment

    diary = Diary(tmp_path, now=now, half_bytes=2000)
    for number in range(300):
        diary.write(f"the thigh sensor\nstreams, number {number}")
    lines = last_sentences(tmp_path, 5)
    assert lines[-1] == "2026-11-23 18:05:00+00:00  the thigh sensor streams, number 299"
    assert len(lines) == 5
    assert sum((tmp_path / name).stat().st_size for name in (NAME, OLDER)) <= 4000
    assert last_sentences(tmp_path, 0) == []
    assert last_sentences(tmp_path / "none", 5) == []
    diary.write("ä" * 1000)
    assert len(last_sentences(tmp_path, 1)[0].encode()) <= LINE_BYTES + 30


def test_a_log_that_cannot_be_written_costs_nothing_but_the_sentence(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    diary = Diary(tmp_path / "missing", now=lambda: datetime.now(UTC))
    diary.write("one")
    diary.write("two")
    assert len(caplog.records) == 1
    (tmp_path / "missing").mkdir()
    diary.write("three")
    assert len(last_sentences(tmp_path / "missing", 9)) == 1
