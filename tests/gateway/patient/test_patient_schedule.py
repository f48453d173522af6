"""What is due on a day, in the patient's own days; and the streak of days on which something was done."""

import uuid
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gonio.gateway.patient.schedule import Done, Given, due_on, in_force, prescribed_on
from gonio.gateway.patient.streak import DayKind, Streak, day_kinds, streak
from gonio.messages.down import Prescribed, Program
from gonio.messages.patient import Pause

MONDAY = date(2026, 3, 2)
HOME = ZoneInfo("America/Chicago")
D, M, R, F, O = DayKind.DONE, DayKind.MISSED, DayKind.RESTED, DayKind.FREE, DayKind.OPEN  # noqa: E741


def exercise(name: str = "heel-slide", **changes: object) -> Prescribed:
    return Prescribed(**({"exercise": name, "side": "left", "reps": 10} | changes))


def program(*exercises: Prescribed, since: date = MONDAY, made: date | None = None, **changes: object) -> Given:
    values = {"program_id": uuid.UUID(int=1), "version": 1, "valid_from": since, "exercises": exercises}
    return Given(Program(**(values | changes)), made)


@pytest.mark.parametrize(
    ("day", "expected"),
    [
        (-1, None),  # none has begun
        (0, 1),
        (2, 1),
        (3, 2),  # the newer one's first day
        (6, 2),
        (7, None),  # it has ended; the older one does not come back
    ],
)
def test_the_program_that_came_last_is_in_force_from_its_first_day(day: int, expected: int | None) -> None:
    newer = program(exercise(), since=MONDAY + timedelta(3), version=2, valid_to=MONDAY + timedelta(6))
    found = in_force([program(exercise()), newer], MONDAY + timedelta(day))
    assert (found and found.version) == expected


def test_a_program_counts_from_the_day_on_which_it_was_made_and_rewrites_no_day_before() -> None:
    older = program(exercise(), since=MONDAY)
    dated_back = program(exercise("bridge"), since=MONDAY, made=MONDAY + timedelta(3), version=2)
    names = [prescribed_on([older, dated_back], (), MONDAY + timedelta(n))[0].exercise for n in range(5)]
    assert names == ["heel-slide"] * 3 + ["bridge"] * 2


def test_an_older_version_that_comes_late_changes_nothing() -> None:
    newer, older = program(exercise(), version=2), program(exercise("bridge"), version=1)
    assert in_force([newer, older], MONDAY) == newer.program


def test_a_program_beside_it_that_has_ended_leaves_the_other_in_force() -> None:
    week = program(exercise("bridge"), program_id=uuid.UUID(int=2), valid_to=MONDAY)
    both = [program(exercise()), week]
    assert [found.exercises[0].exercise for n in range(2) if (found := in_force(both, MONDAY + timedelta(n)))] == [
        "bridge",
        "heel-slide",
    ]


def test_repetitions_without_a_rest_between_them_count_as_the_sets_that_they_are() -> None:
    noon = datetime(2026, 3, 2, 18, tzinfo=UTC)
    (due,) = due_on([program(exercise(sets=3))], (), [Done(noon, "heel-slide", "left", 1, 25)], MONDAY, HOME)
    assert (due.sets, due.done) == (3, 2)


def test_nothing_is_due_on_rest_days_and_in_pauses() -> None:
    plan = program(exercise(weekdays=(1, 3, 5)), exercise("bridge"))
    names = [[one.exercise for one in prescribed_on([plan], (), MONDAY + timedelta(n))] for n in range(3)]
    assert names == [["heel-slide", "bridge"], ["bridge"], ["heel-slide", "bridge"]]
    pause = Pause(since=MONDAY, until=MONDAY + timedelta(1), reason="travel")
    assert [len(prescribed_on([plan], (pause,), MONDAY + timedelta(n))) for n in range(3)] == [0, 0, 2]
    assert prescribed_on([program(exercise(), paused=True)], (), MONDAY) == ()


@pytest.mark.parametrize(
    ("at", "counts"),
    [
        (datetime(2026, 3, 2, 5, 59, tzinfo=UTC), False),  # Sunday, 23:59 in Chicago
        (datetime(2026, 3, 2, 6, 0, tzinfo=UTC), True),
        (datetime(2026, 3, 3, 5, 59, tzinfo=UTC), True),
        (datetime(2026, 3, 3, 6, 0, tzinfo=UTC), False),
        (datetime(2026, 3, 2, 23, 30, tzinfo=ZoneInfo("Asia/Tokyo")), True),  # on a journey
    ],
)
def test_a_session_counts_on_the_patients_own_date(at: datetime, counts: bool) -> None:  # noqa: FBT001 - a column
    (due,) = due_on([program(exercise())], (), [Done(at, "heel-slide", "left")], MONDAY, HOME)
    assert (due.done, due.left) == ((1, 0) if counts else (0, 1))


def test_sets_are_counted_by_exercise_and_side() -> None:
    noon = datetime(2026, 3, 2, 18, tzinfo=UTC)
    plan = program(exercise(sets=2, times_a_day=2), exercise(side="right", sets=3), exercise(sets=1))
    done = [Done(noon, "heel-slide", "left", 5), Done(noon, "heel-slide", "right"), Done(noon, "lunge", "left", 9)]
    assert [(due.sets, due.done, due.left) for due in due_on([plan], (), done, MONDAY, HOME)] == [
        (4, 4, 0),
        (3, 1, 2),
        (1, 1, 0),
    ]


@given(st.lists(st.integers(0, 9), max_size=8), st.integers(1, 5), st.integers(1, 3))
def test_done_and_left_are_what_is_prescribed(counts: list[int], sets: int, times: int) -> None:
    noon = datetime(2026, 3, 2, 18, tzinfo=UTC)
    done = [Done(noon, "heel-slide", "left", count) for count in counts]
    (due,) = due_on([program(exercise(sets=sets, times_a_day=times))], (), done, MONDAY, HOME)
    assert due.done + due.left == due.sets == sets * times
    assert due.done == min(due.sets, sum(counts))


def test_what_was_done_has_an_offset() -> None:
    with pytest.raises(ValueError, match="offset"):
        Done(datetime.combine(MONDAY, time(8)), "bridge", "left")


# --- streak ---


def counted(*kinds: DayKind) -> Streak:
    return streak([(MONDAY + timedelta(n), kind) for n, kind in enumerate(kinds)])


@pytest.mark.parametrize(
    ("kinds", "days", "best", "repaired", "broken"),
    [
        ([], 0, 0, None, None),
        ([M, M, O], 0, 0, None, None),
        ([D, D, O], 2, 2, None, None),
        ([D, F, F, D], 2, 2, None, None),  # rest days neither add nor break
        ([D, R, D], 2, 2, None, None),  # a rest for pain keeps it
        ([D, D, M, O], 2, 2, 2, None),  # one missed day is bridged
        ([D, M, D, D], 3, 3, 1, None),
        ([D, D, M, M, O], 0, 2, None, 2),  # two are not
        ([D, D, M, D, M, D], 2, 3, 4, 2),  # before the second last missed day nothing counts
        ([D, M, M, D, M, D], 2, 2, 4, 2),
    ],
)
def test_streaks(kinds: list[DayKind], days: int, best: int, repaired: int | None, broken: int | None) -> None:
    day = {None: None} | {n: MONDAY + timedelta(n) for n in range(9)}
    assert counted(*kinds) == Streak(days, best, day[repaired], day[broken])


KINDS = st.lists(st.sampled_from(DayKind), max_size=30)


@given(KINDS, st.data())
def test_a_day_that_was_done_after_all_never_shortens_a_streak(kinds: list[DayKind], data: st.DataObject) -> None:
    if not kinds:
        return
    at = data.draw(st.integers(0, len(kinds) - 1))
    before = counted(*kinds)
    after = counted(*kinds[:at], D, *kinds[at + 1 :])
    assert after.days >= before.days
    assert after.best >= before.best


@given(KINDS, st.data(), st.sampled_from([F, R, O]))
def test_days_of_rest_change_nothing(kinds: list[DayKind], data: st.DataObject, rest: DayKind) -> None:
    at = data.draw(st.integers(0, len(kinds)))
    with_rest = counted(*kinds[:at], rest, *kinds[at:])
    assert (with_rest.days, with_rest.best) == (counted(*kinds).days, counted(*kinds).best)


def test_kinds_of_days() -> None:
    plan = program(exercise(weekdays=(1, 2, 3, 5, 6)))
    pause = Pause(since=MONDAY + timedelta(4), until=MONDAY + timedelta(4), reason="illness")
    days = day_kinds(
        [plan],
        [pause],
        {MONDAY, MONDAY + timedelta(3)},
        {MONDAY + timedelta(1)},
        first=MONDAY - timedelta(1),
        today=MONDAY + timedelta(5),
    )
    assert [kind for _, kind in days] == [F, D, R, M, F, F, O]
