"""Guessing is slow, and nobody's failures keep a colleague's known browser out."""

import itertools
import json
import tempfile
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from gonio.cloud_sink.accounts import Accounts, Outcome, throttle
from gonio.cloud_sink.accounts.throttle import MAX_DELAY_S, Counter, Scope, delay_s, is_milestone
from gonio.cloud_sink.accounts.vault import Vault
from gonio.cloud_sink.engine import open_engine, writer
from gonio.cloud_sink.schema import HOME_CLINIC
from gonio.cloud_sink.schema_accounts import THROTTLE
from tests.cloud_sink.accounts.conftest import CHEAP, KEY, Clock, People


@given(st.sampled_from(list(Scope)), st.integers(0, 10**9))
def test_delays_only_grow_and_are_bounded(scope: Scope, failures: int) -> None:
    assert 0 <= delay_s(scope, failures) <= delay_s(scope, failures + 1) <= MAX_DELAY_S
    assert delay_s(scope, 0) == 0


def test_the_delays_in_full() -> None:
    assert [delay_s(Scope.DEVICE, n) for n in range(16)] == [0] * 5 + [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900]
    assert [n for n in range(200) if is_milestone(Scope.LOGIN, n)] == [5, 10, 20, 40, 80, 160]


def test_who_guesses_from_elsewhere_waits_longer_and_longer(people: People, clock: Clock) -> None:
    ann = people.add()
    waits = []
    for n in range(12):
        while (tried := ann.try_password("wrong", source=f"198.51.100.{n}")).outcome is Outcome.WAIT:
            waits.append(tried.wait_s)
            clock.move(seconds=tried.wait_s)
    assert waits == [1, 2, 4, 8, 16, 32, 64]
    refused = ann.try_password(source="203.0.113.5")
    assert (refused.outcome, refused.wait_s) == (Outcome.WAIT, 128), "the right password waits as well"


def test_a_thousand_failures_elsewhere_do_not_keep_a_known_browser_out(people: People, clock: Clock) -> None:
    ann = people.add()
    for n in range(1000):
        ann.try_password("wrong", source=f"198.51.{n % 256}.{n // 256}")
        if n % 10 == 0:
            clock.move(seconds=30)
    assert ann.try_password().outcome is Outcome.WAIT
    ann.sign_in()


def test_the_colleagues_address_does_not_matter_to_a_known_browser(people: People) -> None:
    ann = people.add()
    for n in range(100):
        people.accounts.sign_in(f"nobody{n}@c.example", "wrong", source=ann.source)
    assert people.accounts.sign_in("nobody@c.example", "wrong", source=ann.source).outcome is Outcome.WAIT
    ann.sign_in()


def test_one_who_tries_many_logins_from_one_line_waits(people: People) -> None:
    outcomes = [
        people.accounts.sign_in(f"nobody{n}@c.example", "wrong", source=f"2001:db8::{n:x}").outcome for n in range(31)
    ]
    assert outcomes == [Outcome.REFUSED] * 30 + [Outcome.WAIT]
    other = people.accounts.sign_in("nobody@c.example", "wrong", source="2001:db8:0:1::1")
    assert other.outcome is Outcome.REFUSED
    mapped = [people.accounts.sign_in(f"m{n}@c.example", "x", source="::ffff:192.0.2.9").outcome for n in range(30)]
    assert mapped == [Outcome.REFUSED] * 30
    assert people.accounts.sign_in("m@c.example", "x", source="192.0.2.9").outcome is Outcome.WAIT


def test_a_second_factor_is_not_guessed_quickly_either(accounts: Accounts, people: People, clock: Clock) -> None:
    ann = people.add()
    clock.move(minutes=5)
    outcomes = []
    for _ in range(6):
        token = ann.try_password(source="198.51.100.1").token or ""
        outcomes.append(accounts.second_factor(token, "000000", source="198.51.100.1").outcome)
    assert outcomes == [Outcome.REFUSED] * 5 + [Outcome.WAIT]
    ann.sign_in()
    token = ann.try_password(source="198.51.100.1").token or ""
    assert accounts.second_factor(token, ann.code(), source="").outcome is Outcome.DONE, "once the second has passed"


def test_a_right_password_takes_its_own_attempt_back_and_no_other(people: People) -> None:
    ann = people.add()
    for _ in range(4):
        ann.try_password("wrong")
    for _ in range(20):
        assert ann.try_password().outcome is Outcome.FACTOR
    assert ann.try_password("wrong").wait_s == 1


def test_own_failures_are_forgotten_once_signed_in(people: People, clock: Clock) -> None:
    ann = people.add()
    for _ in range(5):
        ann.try_password("wrong", device=ann.device)
    assert ann.try_password(device=ann.device).outcome is Outcome.WAIT
    clock.move(seconds=1)
    ann.sign_in()
    (note,) = [note for note in people.notes("signed-in") if json.loads(note.detail).get("browser") == "known"]
    assert json.loads(note.detail)["failures_before"] == 5
    assert ann.try_password("wrong", device=ann.device).wait_s == 0


def test_failures_are_forgotten_after_a_day_and_unlocked_by_an_administrator(people: People, clock: Clock) -> None:
    ann = people.add()
    office = people.accounts.administration_of(HOME_CLINIC, "operator:test")
    for _ in range(5):
        ann.try_password("wrong", device=ann.device)
        ann.try_password("wrong")
    assert {ann.try_password().outcome, ann.try_password(device=ann.device).outcome} == {Outcome.WAIT}
    office.unlock(ann.identity.user_id)
    assert {ann.try_password().outcome, ann.try_password(device=ann.device).outcome} == {Outcome.FACTOR}
    for _ in range(5):
        ann.try_password("wrong")
    clock.move(hours=24)
    assert ann.try_password().outcome is Outcome.FACTOR


def test_a_clock_set_back_keeps_nobody_out(people: People, clock: Clock) -> None:
    ann = people.add()
    for _ in range(5):
        ann.try_password("wrong")
    clock.move(days=-30)
    assert ann.try_password("wrong").outcome is Outcome.REFUSED


def test_failures_are_noted_in_bundles_with_ids_alone(people: People, clock: Clock) -> None:
    ann = people.add()
    for n in range(60):
        ann.try_password("wrong", source=f"198.51.100.{n}")
        clock.move(seconds=MAX_DELAY_S)
    notes = people.notes("sign-in-failed")
    assert [json.loads(note.detail)["failures"] for note in notes] == [5, 10, 20, 40]
    user_id = ann.sign_in().user_id
    assert {(note.actor, note.subject_kind, note.subject_id) for note in notes} == {
        ("system:accounts", "user", str(user_id))
    }
    for n in range(5):
        people.accounts.sign_in("nobody@c.example", "wrong", source=f"203.0.113.{n}")
    last = people.notes("sign-in-failed")[-1]
    assert (last.subject_kind, last.subject_id) == ("login", "unknown")


def test_counters_outlast_a_restart_and_are_shared(store_url: str, people: People, clock: Clock) -> None:
    ann = people.add()
    for _ in range(5):
        ann.try_password("wrong")
    engine = open_engine(store_url, create=False)
    other = Accounts(engine, KEY, passwords=CHEAP, clock=clock)
    assert other.sign_in(ann.login, ann.password, source="203.0.113.1").outcome is Outcome.WAIT
    engine.dispose()


def test_counters_are_bounded() -> None:
    vault = Vault(KEY)
    logins = {throttle.of_login(vault, f"{n}@c.example").bucket for n in range(20_000)}
    assert {len(bucket) for bucket in logins} == {4}, "two bytes: 65,536 places and no more"
    assert (
        len(
            {throttle.of_login(Vault(bytes(32)), f"{n}").bucket for n in range(3)}
            - {throttle.of_login(vault, f"{n}").bucket for n in range(3)}
        )
        == 3
    ), "who lacks the key cannot tell which logins meet"


def test_old_counters_are_cleared_away(accounts: Accounts, people: People, clock: Clock) -> None:
    ann = people.add()
    for n in range(20):
        accounts.sign_in(f"nobody{n}@c.example", "wrong", source=f"198.51.100.{n}")
    clock.move(hours=25)
    ann.sign_in()
    with accounts._reader.connect() as connection:
        assert connection.execute(select(func.count()).select_from(THROTTLE)).scalar_one() == 0


# --- the law ---

#: What others do: who (a stranger, or the owner from elsewhere), whether with the right password, after how long.
OTHERS = st.lists(
    st.tuples(st.integers(0, 3), st.booleans(), st.sampled_from([0.0, 0.5, 1.0, 60.0, 900.0, 90_000.0])), max_size=40
)


@settings(max_examples=25, deadline=None)
@given(others=OTHERS, own_failures=st.integers(0, 8))
def test_a_known_browser_waits_for_nothing_but_its_own_failures(
    others: list[tuple[int, bool, float]], own_failures: int
) -> None:
    """Law: whatever others do, a known browser with the right password gets in after at most its own delay."""
    with tempfile.TemporaryDirectory() as folder:
        engine = open_engine(f"sqlite:///{folder}/book.db", create=True)
        try:
            clock = Clock()
            people = People(Accounts(engine, KEY, passwords=CHEAP, clock=clock), clock)
            ann = people.add()
            for _ in range(own_failures):
                tried = ann.try_password("wrong", device=ann.device)
                if tried.outcome is Outcome.WAIT:
                    break
            counted = min(own_failures, 5)
            failed_at = clock.now
            for who, right, pause in others:
                device = [None, "forged", "", ann.device and ann.device[:-1]][who]
                step = ann.try_password(None if right else "wrong", device=device, source=f"203.0.113.{who}")
                if step.token is not None:
                    people.accounts.second_factor(step.token, "000000", source="203.0.113.1", device=device)
                clock.move(seconds=pause)
            own = timedelta(seconds=delay_s(Scope.DEVICE, counted))
            clock.now = max(clock.now, failed_at + own)
            ann.sign_in()
        finally:
            engine.dispose()


@settings(max_examples=30, deadline=None)
@given(pauses=st.lists(st.sampled_from([0.0, 0.5, 1.0, 5.0, 60.0, 900.0]), min_size=1, max_size=60))
def test_no_pattern_of_pauses_gets_more_guesses_than_the_delays_allow(pauses: list[float]) -> None:
    """Between two guesses that are looked at lies the delay of all failures before."""
    with tempfile.TemporaryDirectory() as folder:
        engine = open_engine(f"sqlite:///{folder}/book.db", create=True)
        try:
            clock = Clock()
            counter = Counter(Scope.LOGIN, "00ff")
            looked_at = []
            for pause in pauses:
                clock.move(seconds=pause)
                with writer(engine).begin() as connection:
                    attempt = throttle.admit(connection, [counter], clock.now)
                if attempt.wait_s == 0:
                    looked_at.append(clock.now)
                    assert attempt.failures[counter] == len(looked_at)
            gaps = [(b - a).total_seconds() for a, b in itertools.pairwise(looked_at)]
            assert all(gap >= delay_s(Scope.LOGIN, n) for n, gap in enumerate(gaps, start=1))
        finally:
            engine.dispose()


@pytest.mark.parametrize("taken_back", [False, True], ids=["failed", "right"])
def test_attempts_at_once_are_counted_before_they_are_looked_at(
    store_url: str, clock: Clock, *, taken_back: bool
) -> None:
    engine = open_engine(store_url, create=True)
    counter = Counter(Scope.LOGIN, "00ff")
    attempts = []
    for _ in range(8):
        with writer(engine).begin() as connection:
            attempts.append(throttle.admit(connection, [counter], clock.now))
    assert [attempt.wait_s for attempt in attempts] == [0] * 5 + [1] * 3
    if taken_back:
        with writer(engine).begin() as connection:
            throttle.take_back(connection, attempts[0], clock.now)
        with writer(engine).begin() as connection:
            again = throttle.admit(connection, [counter], clock.now)
        assert again.wait_s == 1, "the failures of others stay"
        clock.move(seconds=1)
        with writer(engine).begin() as connection:
            assert throttle.admit(connection, [counter], clock.now).failures == {counter: 5}
    engine.dispose()
