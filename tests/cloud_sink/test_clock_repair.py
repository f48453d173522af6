"""True moments from monotonic time: exact where the clocks are, within the quartz's drift, never over a step."""

import uuid
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gonio.cloud_sink.clock_repair import TOLERANCE_S, Repair, Tick, repair

BEGIN = datetime(2026, 3, 1, tzinfo=UTC)
NOW = BEGIN + timedelta(days=60)
NS = 1_000_000_000
SECONDS = st.integers(0, 30 * 86_400)
#: Parts per million by which a plain quartz runs fast or slow.
DRIFT = st.integers(-50, 50)


def tick(at_s: float, *, off_s: float = 0.0, ppm: int = 0, number: int | None = None) -> Tick:
    """One moment of a boot at BEGIN whose monotonic clock runs ``ppm`` fast and whose wall clock is ``off_s`` ahead."""
    monotonic_ns = int(at_s * NS) + int(at_s) * ppm * 1000
    return Tick(
        monotonic_ns, BEGIN + timedelta(seconds=at_s + off_s), uuid.UUID(int=int(at_s) if number is None else number)
    )


def repaired(at_s: int, ticks: list[Tick], ppm: int = 0) -> Repair:
    found = repair(tick(at_s, ppm=ppm).monotonic_ns, NOW, sorted(ticks))
    assert found is not None
    return found


def test_without_evidence_nothing_is_known() -> None:
    assert repair(5, NOW, []) is None


@given(at_s=SECONDS, ticks=st.lists(SECONDS.map(tick), min_size=1, max_size=8))
def test_the_true_moment_is_found_from_either_side(at_s: int, ticks: list[Tick]) -> None:
    found = repaired(at_s, ticks)
    assert found.at == BEGIN + timedelta(seconds=at_s)
    assert abs(found.apart_s) == min(abs(at_s - t.monotonic_ns / NS) for t in ticks)


@given(at_s=SECONDS, others=st.lists(SECONDS, min_size=1, max_size=8), ppm=DRIFT)
def test_a_quartz_that_drifts_is_no_conflict(at_s: int, others: list[int], ppm: int) -> None:
    found = repaired(at_s, [tick(other, ppm=ppm) for other in others], ppm)
    assert found.at is not None
    error_s = abs((found.at - BEGIN).total_seconds() - at_s)
    assert error_s <= abs(found.apart_s) * 51e-6 + 1e-5


@given(
    at_s=SECONDS,
    stepped_s=st.floats(TOLERANCE_S * 1.1, 1e7).flatmap(lambda s: st.sampled_from([s, -s])),
    before=st.lists(st.integers(0, 3600), min_size=1, max_size=4),
    after=st.lists(st.integers(7200, 14_400), min_size=1, max_size=4),
)
def test_what_lies_between_two_that_disagree_is_not_repaired(
    at_s: int, stepped_s: float, before: list[int], after: list[int]
) -> None:
    """A clock that was stepped: what lies on one side of all the evidence is repaired by that side."""
    ticks = [tick(s) for s in before] + [tick(s, off_s=stepped_s) for s in after]
    found = repaired(at_s, ticks)
    if max(before) <= at_s < min(after):
        assert found.at is None
        assert found.other is not None
        assert found.disagree_s == pytest.approx(abs(stepped_s), abs=1e-3)
    else:
        off_s = stepped_s if at_s >= min(after) else 0
        if BEGIN.timestamp() + at_s + off_s < NOW.timestamp():  # else it would be of the future
            assert found.at is not None
            assert abs((found.at - BEGIN).total_seconds() - at_s - off_s) < 1e-3


def test_a_computer_that_slept_disagrees_with_itself() -> None:
    """Its monotonic clock stood still for eight hours: nobody knows on which side of the sleep the record lies."""
    found = repaired(5000, [tick(1000), tick(9000, off_s=8 * 3600)])
    assert (found.at, found.evidence, found.other, found.disagree_s) == (
        None,
        uuid.UUID(int=1000),  # as far away as the other, and the earlier one
        uuid.UUID(int=9000),
        8 * 3600,
    )


@pytest.mark.parametrize(
    ("monotonic_s", "captured"),
    [
        (0, datetime(2020, 1, 2, tzinfo=UTC)),  # three days before: before any kit of ours
        (9e9, BEGIN),  # of a boot that is to last for centuries
        (4 * 86_400, NOW - timedelta(hours=24)),
    ],
)
def test_a_moment_that_cannot_be_is_not_believed(monotonic_s: float, captured: datetime) -> None:
    evidence = Tick(3 * 86_400 * NS, captured, uuid.UUID(int=1))
    possible = repair(evidence.monotonic_ns, NOW, [evidence])
    assert possible is not None
    assert possible.at == captured
    found = repair(int(monotonic_s * NS) + (2 * 86_400 * NS if captured > BEGIN else 0), NOW, [evidence])
    assert found is not None
    assert found.at is None


@given(
    monotonic_ns=st.integers(0, 2**63 - 1),
    ticks=st.lists(
        st.builds(
            Tick,
            st.integers(0, 2**63 - 1),
            st.datetimes(datetime(2020, 1, 1), datetime(9998, 12, 31), timezones=st.just(UTC)),  # noqa: DTZ001
            st.uuids(),
        ),
        max_size=5,
    ),
)
def test_whatever_a_kit_says_a_moment_is_found_or_not(monotonic_ns: int, ticks: list[Tick]) -> None:
    found = repair(monotonic_ns, NOW, sorted(ticks))
    assert (found is None) == (not ticks)
    if found is not None and found.at is not None:
        assert datetime(2020, 1, 1, tzinfo=UTC) <= found.at <= NOW + timedelta(days=1)
