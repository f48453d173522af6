"""What a record's points are: the same each time, apart from each other, and without a word about who it was."""

import uuid
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gonio.cloud_sink.projection.points import Drawn, Header, UnfitError, draw_check_in, draw_health, draw_session
from gonio.messages import AngleCurve, CheckIn, HealthReport, RepReport, SessionSummary, new_record_id
from tests.cloud_sink.projection.full_records import full_check_in, full_health, full_session
from tests.cloud_sink.projection.line_protocol import Point, read_line

AT = datetime(2026, 3, 5, 17, 0, 0, 123_000, tzinfo=UTC)
FIRST = uuid.UUID("01957000-0000-7000-8000-000000000001")


def header(record_id: uuid.UUID = FIRST, at: datetime = AT, episode: str = "none") -> Header:
    return Header(record_id, "kit-001", episode, at, "synchronised")


def read(drawn: Drawn) -> list[Point]:
    return [read_line(text) for text in drawn.lines]


def session(rep_peaks: tuple[float, ...] = (), curve: AngleCurve | None = None, **changes: object) -> SessionSummary:
    reps = tuple(
        RepReport(
            start_s=0.0,
            peak_s=peak,
            end_s=86_000.0,
            signal="knee",
            peak_flexion_deg=90.0,
            min_flexion_deg=0.0,
            rom_deg=90.0,
        )
        for peak in rep_peaks
    )
    return full_session().model_copy(update={"reps": reps, "curve": curve, **changes})


def test_a_session_gives_its_figures_its_repetitions_and_its_curve() -> None:
    summary = full_session()
    points = read(draw_session(header(), summary))
    assert summary.curve is not None
    known = [value for value in summary.curve.flexion_deg if value is not None]
    assert [p.measurement for p in points] == (
        ["session"] + ["repetition"] * len(summary.reps) + ["angle"] * len(known)
    )
    assert dict(points[0].tags) == {
        "clock": "synchronised",
        "device": "movesense+xsens-dot",
        "episode": "none",
        "exercise": "heel-slide",
        "kit": "kit-001",
        "side": "left",
        "source": "sensor",
    }
    assert {p.tags for p in points} == {points[0].tags}
    assert points[0].fields["record"] == str(FIRST)
    assert points[0].fields["repetitions"] == 2
    assert points[0].fields["partial_repetitions"] == 1
    assert points[0].fields["rom_max_deg"] == 91.0
    assert points[0].fields["rom_mean_deg"] == 90.0  # of complete, measured ones
    reps = [p for p in points if p.measurement == "repetition"]
    assert [p.fields["number"] for p in reps] == [1, 2, 3]
    start = points[0].time_ns
    assert [p.time_ns - start for p in reps] == [round(rep.peak_s * 1e9) for rep in summary.reps]
    assert 0 <= start - int(AT.timestamp() * 1000) * 1_000_000 < 1_000_000


def test_a_gap_of_the_curve_is_no_point() -> None:
    points = read(draw_session(header(), session(curve=AngleCurve(step_s=0.5, flexion_deg=(3, None, 5)))))[1:]
    assert [(p.fields["flexion_deg"], p.time_ns - points[0].time_ns) for p in points] == [(3, 0), (5, 10**9)]


@given(
    peaks=st.lists(st.floats(0, 86_000), max_size=30),
    step_s=st.floats(1e-12, 600),
    curve=st.lists(st.none() | st.integers(-360, 360), max_size=60),
)
def test_no_two_points_of_a_record_meet(peaks: list[float], step_s: float, curve: list[int | None]) -> None:
    summary = session(tuple(peaks), AngleCurve(step_s=step_s, flexion_deg=tuple(curve)))
    points = read(draw_session(header(), summary))
    assert len({(p.measurement, p.time_ns) for p in points}) == len(points)
    assert len(points) == 1 + len(peaks) + sum(value is not None for value in curve)
    drawn = draw_session(header(), summary)
    assert (min(p.time_ns for p in points), max(p.time_ns for p in points)) == (drawn.first_ns, drawn.last_ns)


def test_two_records_of_one_moment_do_not_meet() -> None:
    boot = datetime(1970, 1, 1, 0, 0, 5, tzinfo=UTC)
    times = {draw_session(header(new_record_id(), boot), session()).first_ns for _ in range(200)}
    assert len(times) == 200


def test_the_same_record_gives_the_same_lines_and_the_same_place() -> None:
    assert draw_session(header(), full_session()) == draw_session(header(), full_session())


@pytest.mark.parametrize(
    "other",
    [
        header(episode="0198"),
        header(at=AT + timedelta(milliseconds=1)),
        header(uuid.UUID(int=5)),
        Header(FIRST, "kit-002", "none", AT, "synchronised"),
        Header(FIRST, "kit-001", "none", AT, "repaired"),
    ],
)
def test_other_tags_or_another_moment_are_another_place(other: Header) -> None:
    assert draw_session(header(), full_session()).place != draw_session(other, full_session()).place


def test_values_are_no_part_of_the_place() -> None:
    corrected = full_session().model_copy(update={"max_flexion_deg": 12.0})
    assert draw_session(header(), full_session()).place == draw_session(header(), corrected).place


def test_a_moment_beyond_the_stores_time_is_unfit() -> None:
    with pytest.raises(UnfitError, match="2262"):
        draw_session(header(at=datetime(2300, 1, 1, tzinfo=UTC)), full_session())


@pytest.mark.parametrize("source", ["sensor", "simulated", "recording"])
def test_a_simulated_session_says_so_in_a_tag_of_every_point(source: str) -> None:
    points = read(draw_session(header(), full_session().model_copy(update={"source": source})))
    assert {dict(p.tags)["source"] for p in points} == {source}


def test_what_a_patient_writes_never_leaves_the_book() -> None:
    (point,) = read(draw_check_in(header(), full_check_in()))
    assert "secret" not in draw_check_in(header(), full_check_in()).lines[0]
    assert point.fields["pain"] == 8
    assert point.fields["urgent"] is True
    assert dict(point.tags)["source"] == "self-report"
    (simulated,) = read(draw_check_in(header(), CheckIn(pain_after=1, said_by="simulated")))
    assert dict(simulated.tags)["source"] == "simulated"


def test_the_health_of_a_kit() -> None:
    (point,) = read(draw_health(FIRST, "kit-001", AT, full_health()))
    assert point.fields["battery_shank_percent"] == 81
    assert dict(point.tags) == {"kit": "kit-001", "source": "kit"}
    (simulated,) = read(draw_health(FIRST, "kit-001", AT, HealthReport(software="1", pending=0, simulated=True)))
    assert dict(simulated.tags)["source"] == "simulated"
