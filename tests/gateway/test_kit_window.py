import random

from hypothesis import given
from hypothesis import strategies as st

from gonio.gateway.window import URGENT_ROOM, SendWindow


def window(size: int = 3) -> SendWindow:
    return SendWindow(size=size, answer_s=10.0, longest_s=100.0, rng=random.Random(1))  # noqa: S311 - jitter


def test_no_more_than_the_window_waits_for_an_answer() -> None:
    w = window()
    assert w.choose([1, 2, 3, 4, 5], 0.0) == [1, 2, 3]
    w.sent([1, 2, 3], 0.0)
    assert w.choose([1, 2, 3, 4, 5], 1.0) == []
    w.settled([2])
    assert w.choose([1, 3, 4, 5], 1.0) == [4]


def test_what_was_never_sent_goes_before_what_is_never_answered() -> None:
    w = window()
    w.sent([1, 2, 3], 0.0)
    assert w.choose([1, 2, 3, 4, 5], 1000.0) == [4, 5, 1]


def test_an_urgent_record_overtakes_a_full_window_and_what_was_never_sent() -> None:
    w = window()
    assert w.choose([1, 2, 3, 4, 5], 0.0) == [1, 2, 3]
    w.sent([1, 2, 3], 0.0)
    assert w.choose([9, 1, 2, 3, 4], 1.0, [9]) == [9]
    w.sent([9], 1.0)
    assert w.choose([9, 1, 2, 3, 4], 2.0, [9]) == []  # nor does it come too often
    assert w.choose([9, 1, 2, 3, 4], 1000.0, [9]) == [9, 4, 1, 2]  # before the rest also when it was lost once


def test_urgent_records_that_are_never_answered_hold_up_nobody() -> None:
    w = window()
    urgent = list(range(100, 100 + 2 * URGENT_ROOM))
    chosen = w.choose([*urgent, 1, 2, 3, 4], 0.0, urgent[:URGENT_ROOM])
    assert chosen == urgent[: URGENT_ROOM + 3]  # those beyond their room are the first of the others
    w.sent(chosen, 0.0)
    w.settled(urgent[URGENT_ROOM : URGENT_ROOM + 3])
    left = [number for number in urgent if number not in urgent[URGENT_ROOM : URGENT_ROOM + 3]]
    assert len(w.choose([*left, 1, 2, 3, 4], 1.0, left[:URGENT_ROOM])) == 3


def test_a_new_connection_sends_again_at_once() -> None:
    w = window()
    w.sent([1, 2], 0.0)
    w.reconnected()
    assert w.choose([1, 2], 0.1) == [1, 2]


def test_waits_grow_to_a_bound_and_never_undercut_the_answer() -> None:
    w = window(size=1)
    now, waits = 0.0, []
    for _ in range(60):
        w.sent([1], now)
        due = w.next_due_s(now)
        assert due is not None
        waits.append(due - now)
        now = due
    assert all(10.0 <= wait <= 110.0 + 1e-6 for wait in waits)
    assert max(waits[:2]) <= 30.0
    assert max(waits) > 60.0


@given(st.lists(st.tuples(st.sampled_from(["choose", "settle", "reconnect"]), st.floats(0, 50)), max_size=30))
def test_the_window_never_stands_still_while_something_waits(steps: list[tuple[str, float]]) -> None:
    w, now, pending = window(), 0.0, list(range(1, 8))
    for step, wait in steps:
        now += wait
        if step == "settle" and pending:
            w.settled([pending.pop(0)])
        elif step == "reconnect":
            w.reconnected()
        chosen = w.choose(pending[: w.reach], now)
        w.sent(chosen, now)
        if pending:
            due = w.next_due_s(now)
            assert due is not None
            assert due > now
