"""What of an outbox is not in the book, and what the kit says of it."""

from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from gonio.cloud_sink.lacking import Lack, Standing, lacking
from gonio.messages import EndedOutbox, HealthReport

OUTBOX = UUID(int=1)
OTHER = UUID(int=2)
NUMBERS = st.integers(1, 30)


def report(**changes: object) -> HealthReport:
    return HealthReport.model_validate({"software": "x", "pending": 0, "outbox_id": OUTBOX, **changes})


def test_what_the_kit_holds_waits_and_what_it_was_acknowledged_is_lost() -> None:
    told = report(last_sequence=20, oldest_pending=8, pending=9)
    assert lacking(OUTBOX, [(3, 4), (7, 9)], 12, told, []) == [
        Lack(3, 4, Standing.LOST),
        Lack(7, 7, Standing.LOST),
        Lack(8, 9, Standing.WAITING),
        Lack(13, 20, Standing.WAITING),
    ]


def test_a_book_from_an_older_backup_lacks_what_the_kit_was_acknowledged() -> None:
    assert lacking(OUTBOX, [], 5, report(last_sequence=9), []) == [Lack(6, 9, Standing.LOST)]
    assert lacking(OUTBOX, [], 0, report(last_sequence=3), []) == [Lack(1, 3, Standing.LOST)]


def test_a_kit_that_has_not_reported_leaves_gaps_unknown() -> None:
    assert lacking(OUTBOX, [(2, 3)], 9, None, []) == [Lack(2, 3, Standing.UNKNOWN)]
    assert lacking(OUTBOX, [(2, 3)], 9, report(outbox_id=OTHER, last_sequence=4), []) == [Lack(2, 3, Standing.UNKNOWN)]
    assert lacking(OUTBOX, [(6, 6)], 9, report(last_sequence=4), []) == [Lack(6, 6, Standing.UNKNOWN)]
    assert lacking(OUTBOX, [(2, 3)], 9, HealthReport(software="x", pending=0), []) == [Lack(2, 3, Standing.UNKNOWN)]


def test_what_stands_in_the_quarantine_is_refused_and_not_lost() -> None:
    assert lacking(OUTBOX, [(2, 4)], 9, report(last_sequence=9), [3, 3]) == [
        Lack(2, 2, Standing.LOST),
        Lack(3, 3, Standing.REFUSED),
        Lack(4, 4, Standing.LOST),
    ]


def test_what_a_damaged_outbox_lost_is_told_apart() -> None:
    ended = EndedOutbox(outbox_id=OUTBOX, last_sequence=10, saved=8, lost=((4, 5),))
    told = report(outbox_id=OTHER, last_sequence=1, pending=2, ended=(ended,))
    assert lacking(OUTBOX, [(2, 5)], 8, told, []) == [
        Lack(2, 3, Standing.UNKNOWN),
        Lack(4, 5, Standing.LOST_ON_KIT),
        Lack(9, 10, Standing.UNKNOWN),
    ]
    told = told.model_copy(update={"pending": 0})
    assert lacking(OUTBOX, [(2, 5)], 8, told, [])[0] == Lack(2, 3, Standing.LOST)


@given(
    here=st.sets(NUMBERS, max_size=30),
    last=NUMBERS,
    oldest=st.none() | NUMBERS,
    refused=st.lists(NUMBERS, max_size=5),
    lost=st.lists(st.tuples(NUMBERS, NUMBERS), max_size=3),
)
@settings(deadline=None)
def test_every_number_that_is_not_here_is_told_once(
    here: set[int], last: int, oldest: int | None, refused: list[int], lost: list[tuple[int, int]]
) -> None:
    top = max(here, default=0)
    absent = [n for n in range(1, top) if n not in here]
    ended = EndedOutbox(outbox_id=OUTBOX, last_sequence=last, saved=0, lost=tuple(lost))
    for told in (
        report(last_sequence=last, oldest_pending=oldest),
        report(outbox_id=OTHER, last_sequence=1, ended=(ended,)),
    ):
        found = lacking(OUTBOX, [(n, n) for n in absent], top, told, refused)
        numbers = [n for lack in found for n in range(lack.first, lack.last + 1)]
        assert numbers == [*absent, *range(top + 1, last + 1)]
        assert all(lack.count > 0 for lack in found)
