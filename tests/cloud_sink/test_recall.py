"""What a kit says was acknowledged and the book lacks is asked for again: that, no more, and not in a storm."""

import random
import uuid
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gonio.cloud_sink.recall import FIRST_WAIT, LONGEST_WAIT, MAX_RANGES, recall, without
from gonio.cloud_sink.schema_down import RECALLS
from gonio.cloud_sink.store import Store
from gonio.messages import EndedOutbox, Envelope, HealthReport, Resend, payload_text, read_down

KIT = "kit-001"
OUTBOX = uuid.UUID(int=1)
OLD = uuid.UUID(int=9)
RNG = random.Random(4)  # noqa: S311 - jitter

Make = Callable[..., Envelope]


def report(envelope: Make, tick: int = 1, **values: object) -> Envelope:
    told = {"software": "0.1.0", "outbox_id": OUTBOX, "pending": 0} | values
    payload = payload_text(HealthReport.model_validate(told))
    return envelope(tick, kind="health", payload=payload, schema_version=2)


def take(store: Store, envelope: Make, now: datetime, numbers: Iterable[int], *reports: Envelope) -> None:
    store.ingest(KIT, [*(envelope(number, kind="check-in") for number in numbers), *reports], now)


def asked(store: Store, now: datetime) -> int:
    with store.down._writer.begin() as connection:
        return recall(connection, KIT, now, RNG)


def commands(store: Store) -> list[tuple[uuid.UUID, int, int]]:
    read = (read_down(row.envelope) for row in store.down.rows(KIT))
    return [(one.outbox_id, one.first, one.last) for one in read if isinstance(one, Resend)]


@pytest.mark.parametrize(
    ("there", "head", "expected"),
    [
        (range(1, 6), {"last_sequence": 5}, []),
        ([], {"last_sequence": 0}, []),
        ([1, 2, 5, 6], {"last_sequence": 6}, [(3, 4)]),
        ([1, 2], {"last_sequence": 7}, [(3, 7)]),
        ([], {"last_sequence": 3}, [(1, 3)]),
        ([2, 4], {"last_sequence": 6, "oldest_pending": 4, "pending": 1}, [(1, 1), (3, 3)]),
        ([1], {"last_sequence": 6, "oldest_pending": 2, "pending": 5}, []),
        ([1, 9], {"last_sequence": 9, "oldest_pending": 2, "pending": 7}, []),  # an urgent one came before the rest
    ],
    ids=[
        "all there",
        "nothing ever",
        "a gap",
        "the tail",
        "nothing left",
        "below what waits",
        "all waits",
        "overtaken",
    ],
)
def test_what_lacks_is_asked_for(
    store: Store, envelope: Make, now: datetime, there: Iterable[int], head: dict[str, int], expected: list[object]
) -> None:
    take(store, envelope, now, there, report(envelope, **head))
    assert asked(store, now) == len(expected)
    assert [(first, last) for _, first, last in commands(store)] == expected


def test_an_older_report_says_nothing_about_the_outbox(store: Store, envelope: Make, now: datetime) -> None:
    take(store, envelope, now, [1, 5], envelope(1, kind="health"))
    assert asked(store, now) == 0


def test_what_was_refused_or_lost_by_the_kit_itself_is_not_asked_for(
    store: Store, envelope: Make, now: datetime
) -> None:
    take(store, envelope, now, [1, 3])
    store.ingest(KIT, [envelope(2, kind="check-in", payload='{"unheard":1}')], now)
    ended = EndedOutbox(outbox_id=OLD, last_sequence=9, saved=3, lost=((1, 4), (8, 8)))
    store.ingest(KIT, [envelope(n, kind="check-in", outbox_id=OLD) for n in (5, 6)], now)
    store.ingest(KIT, [report(envelope, last_sequence=3, ended=(ended,))], now)
    assert asked(store, now) == 2
    assert commands(store) == [(OLD, 7, 7), (OLD, 9, 9)]


def test_of_an_outbox_set_aside_nothing_is_asked_while_anything_waits(
    store: Store, envelope: Make, now: datetime
) -> None:
    ended = EndedOutbox(outbox_id=OLD, last_sequence=9, saved=9)
    take(store, envelope, now, [1], report(envelope, last_sequence=2, oldest_pending=2, pending=1, ended=(ended,)))
    assert asked(store, now) == 0


def test_it_is_asked_again_after_growing_waits_until_it_comes(store: Store, envelope: Make, now: datetime) -> None:
    take(store, envelope, now, [1, 3], report(envelope, last_sequence=3))
    moment, waits = now, []
    for _ in range(9):
        assert asked(store, moment) == 1
        assert asked(store, moment + FIRST_WAIT / 2) == 0
        with store.down._reader.connect() as connection:
            (row,) = connection.execute(RECALLS.select()).all()
        waits.append(row.next_at - moment)
        moment = row.next_at
    assert all(FIRST_WAIT <= wait <= 1.5 * LONGEST_WAIT for wait in waits)
    assert max(waits) >= LONGEST_WAIT
    take(store, envelope, now, [2])
    assert asked(store, moment + 2 * LONGEST_WAIT) == 0
    with store.down._reader.connect() as connection:
        assert connection.execute(RECALLS.select()).all() == []


def test_many_gaps_are_asked_for_in_few_commands(store: Store, envelope: Make, now: datetime) -> None:
    take(store, envelope, now, range(2, 100, 2), report(envelope, last_sequence=99))
    assert asked(store, now) == MAX_RANGES
    assert commands(store)[0] == (OUTBOX, 1, 1)
    assert commands(store)[-1] == (OUTBOX, 31, 99)


def test_a_forged_number_costs_one_command(store: Store, envelope: Make, now: datetime) -> None:
    take(store, envelope, now, [1], report(envelope, last_sequence=2**53 - 1))
    assert asked(store, now) == 1
    assert commands(store) == [(OUTBOX, 2, 2**53 - 1)]


def test_another_kits_outbox_is_not_taken_for_its_own(store: Store, envelope: Make, now: datetime) -> None:
    store.ingest("kit-002", [envelope(n, kind="check-in", kit_id="kit-002") for n in (1, 2)], now)
    take(store, envelope, now, [], report(envelope, last_sequence=2))
    assert asked(store, now) == 1  # of a kit that lies; it has nothing to send under these numbers


def test_a_report_wakes_what_waits_and_recalls_in_one_call(store: Store, envelope: Make) -> None:
    now = datetime.now(UTC)
    captured = now - timedelta(minutes=1)
    store.ingest(KIT, [envelope(n, kind="check-in", captured=captured) for n in (1, 4)], now)
    store.ingest(KIT, [report(envelope, last_sequence=4)], now)
    assert store.down.heard({KIT, "kit-unknown"}) == 1
    assert store.down.heard({KIT}) == 0
    assert commands(store) == [(OUTBOX, 2, 3)]
    assert [read_down(one) for one in store.down.claim()] == [Resend(do="resend", outbox_id=OUTBOX, first=2, last=3)]


Ranges = list[tuple[int, int]]
RANGES = st.lists(st.tuples(st.integers(1, 60), st.integers(0, 8)).map(lambda pair: (pair[0], sum(pair))), max_size=8)


def numbers(ranges: Ranges) -> set[int]:
    return {number for first, last in ranges for number in range(first, last + 1)}


@given(RANGES, RANGES)
def test_taking_ranges_away_is_taking_numbers_away(some: Ranges, taken: Ranges) -> None:
    apart: Ranges = []
    for first, last in sorted(some):
        if not apart or apart[-1][1] < first:
            apart.append((first, last))
    left = without(apart, taken)
    assert numbers(left) == numbers(apart) - numbers(taken)
    assert left == sorted(left)
    assert sum(last - first + 1 for first, last in left) == len(numbers(left))
