"""The bounded queue between Bluetooth's callback and the decoder."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gonio.drivers.codec import Notification
from gonio.drivers.inbox import Inbox


def note(number: int) -> Notification:
    return Notification("x", number.to_bytes(2, "little"), number)


@given(capacity=st.integers(1, 8), steps=st.lists(st.integers(0, 12), max_size=8))
def test_what_is_taken_and_what_is_dropped_is_all_that_came_in_order(capacity: int, steps: list[int]) -> None:
    async def run() -> None:
        inbox, came, taken = Inbox(capacity), 0, []
        for burst in steps:
            for _ in range(burst):
                inbox.put(note(came))
                came += 1
            if burst:
                got = await inbox.take()
                assert len(got) == min(burst, capacity)
                taken += got
        inbox.end()
        assert await inbox.take() == []
        assert len(taken) + inbox.dropped == came
        assert [n.arrival_ns for n in taken] == sorted(n.arrival_ns for n in taken)

    asyncio.run(run())


async def test_a_reader_is_woken_by_a_notification_and_by_the_end() -> None:
    inbox = Inbox(4)
    reader = asyncio.create_task(inbox.take())
    await asyncio.sleep(0)
    inbox.put(note(1))
    assert await reader == [note(1)]
    reader = asyncio.create_task(inbox.take())
    await asyncio.sleep(0)
    inbox.end()
    assert await reader == []


async def test_what_came_before_an_error_is_given_before_it() -> None:
    inbox = Inbox(4)
    inbox.put(note(1))
    inbox.end(ConnectionError("gone"))
    inbox.put(note(2))  # too late
    inbox.end()  # the first end counts
    assert await inbox.take() == [note(1)]
    for _ in range(2):
        with pytest.raises(ConnectionError, match="gone"):
            await inbox.take()
    assert inbox.dropped == 0
