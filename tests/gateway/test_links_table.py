"""The table of a link's states: laws for every sequence of events, and the pure decisions beside it."""

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gonio.gateway.links import table
from gonio.gateway.links.choice import SLOTS, Candidate, choose
from gonio.gateway.links.pauses import LinkTiming, pause_s
from gonio.gateway.links.table import CLOSING, LINKED, TABLE, Event, State, after, matters

GOOD = (
    Event.WANTED,
    Event.BLUETOOTH_BACK,
    Event.CLOSED,
    Event.DUE,
    Event.HEARD,
    Event.CONNECTED,
    Event.PREPARED,
    Event.GO,
    Event.STARTED,
    Event.DATA,
)
SEQUENCES = st.lists(st.sampled_from(list(Event)), max_size=60)


def walk(events: list[Event], state: State = State.RESTING) -> list[State]:
    states = [state]
    for event in events:
        states.append(after(states[-1], event))
    return states


@given(SEQUENCES)
def test_from_wherever_events_lead_good_luck_leads_to_streaming(events: list[Event]) -> None:
    state = walk(events)[-1]
    for _ in State:
        if state is State.STREAMING:
            return
        state = next((after(state, event) for event in GOOD if matters(state, event)), state)
    assert state is State.STREAMING


@given(SEQUENCES)
def test_a_connection_is_made_only_after_the_old_one_was_closed(events: list[Event]) -> None:
    may_be_connected = False
    for before, now in pairwise(walk(events)):
        if now is before:
            continue
        if now in CLOSING:
            may_be_connected = False
        if now is State.CONNECTING:
            assert not may_be_connected
            may_be_connected = True
        if now not in LINKED:
            assert not may_be_connected


@given(SEQUENCES)
def test_one_step_leads_into_connecting_and_it_is_being_heard(events: list[Event]) -> None:
    for event, (before, now) in zip(events, pairwise(walk(events)), strict=True):
        if now is State.CONNECTING and before is not now:
            assert event is Event.HEARD
            assert before in {State.SEARCHING, State.MISSING}


@given(SEQUENCES)
def test_released_and_without_bluetooth_nothing_goes_on(events: list[Event]) -> None:
    state = walk(events)[-1]
    assert after(state, Event.RELEASED) is State.RESTING
    assert after(state, Event.BLUETOOTH_GONE) in {State.UNAVAILABLE, State.RESTING}


def test_every_state_is_described_and_has_a_way_in_and_a_way_out() -> None:
    assert table.__doc__ is not None
    for state in State:
        assert f"\n{state} " in table.__doc__
        assert any(before is state for before, _ in TABLE)
        assert any(now is state for now in TABLE.values())
    assert {event for _, event in TABLE} == set(Event)


@given(st.integers(1, 2000), st.integers(0, 2**32))
def test_a_pause_grows_to_its_limit_and_varies(failures: int, seed: int) -> None:
    timing = LinkTiming()
    pause = pause_s(failures, timing, random.Random(seed))  # noqa: S311 - a test's
    if failures == 1:
        assert pause == 0.0
        return
    bound = min(timing.longest_pause_s, timing.first_pause_s * 2.0 ** (failures - 2) if failures < 20 else 1e9)
    assert bound / 2 <= pause <= bound


def test_two_sensors_do_not_pause_in_step() -> None:
    timing = LinkTiming()
    assert len({pause_s(5, timing, random.Random(seed)) for seed in range(20)}) == 20  # noqa: S311 - a test's


def test_a_silence_is_suspect_after_some_notifications_but_never_at_once() -> None:
    timing = LinkTiming(suspect_notifications=5, suspect_s=0.5)
    assert timing.suspect_after_s(1 / 60) == 0.5
    assert timing.suspect_after_s(0.4) == 2.0
    with pytest.raises(ValueError, match="above 0"):
        LinkTiming(slice_s=0.0)


@given(
    st.dictionaries(
        st.sampled_from(["hci0", "hci1", "hci2"]),
        st.builds(Candidate, rssi=st.integers(-110, -20), held=st.integers(0, 8), slots=st.just(SLOTS)),
    )
)
def test_an_adapter_without_room_is_never_chosen(candidates: dict[str, Candidate]) -> None:
    chosen = choose(candidates)
    room = {name for name, one in candidates.items() if one.held < one.slots}
    assert (chosen in room) if room else chosen is None


def test_the_better_signal_wins_unless_the_adapter_is_busy_or_has_failed() -> None:
    near, far = Candidate(-50, 0, SLOTS), Candidate(-60, 0, SLOTS)
    assert choose({"hci0": far, "hci1": near}) == "hci1"
    assert choose({"hci0": Candidate(-52, 0, SLOTS), "hci1": Candidate(-50, 4, SLOTS)}) == "hci0"
    assert choose({"hci0": far, "hci1": Candidate(-50, 0, SLOTS, failures=2)}) == "hci0"
    assert choose({}) is None
