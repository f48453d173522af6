"""What the kit's own records tell: pauses as they were left in force, days done and rested, nothing struck out."""

import uuid
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from gonio.gateway.patient.history import History, Kept, KeptCheckIn, KeptSession, history_of, kept
from gonio.gateway.patient.schedule import Given
from gonio.messages import Envelope, Kind, new_record_id, payload_text, wire_time
from gonio.messages.check_in import CheckIn, HandExercise, VoidReport
from gonio.messages.down import Prescribed, Program
from gonio.messages.patient import Pause, Preference
from gonio.messages.session import AngleCurve, RepReport, SessionSummary

HOME = ZoneInfo("America/Chicago")
MONDAY = date(2026, 3, 2)
NOON = datetime(2026, 3, 2, 18, tzinfo=UTC)
KINDS = {SessionSummary: Kind.SESSION, CheckIn: Kind.CHECK_IN, VoidReport: Kind.VOID, Preference: Kind.PREFERENCE}


def record(payload: CheckIn | VoidReport | Preference | SessionSummary, day: int = 0) -> Kept:
    envelope = Envelope(
        record_id=new_record_id(),
        kind=KINDS[type(payload)],
        kit_id="kit-00000001",
        outbox_id=uuid.UUID(int=1),
        sequence=1,
        boot_id=uuid.UUID(int=2),
        monotonic_ns=0,
        captured_at=wire_time(NOON + timedelta(days=day)),
        clock="synchronised",
        schema_version=payload.SCHEMA_VERSION,
        payload=payload_text(payload),
    )
    one = kept(envelope, payload)
    assert one is not None
    return one


def pause(first: int, last: int | None) -> Preference:
    until = None if last is None else MONDAY + timedelta(last)
    return Preference(pause=Pause(since=MONDAY + timedelta(first), until=until, reason="travel"))


@pytest.mark.parametrize(
    ("told", "days"),
    [
        ([(0, pause(0, 4))], {0, 1, 2, 3, 4}),
        ([(0, pause(0, None)), (3, Preference())], {0, 1, 2}),  # ended on the third day
        ([(0, pause(0, 9)), (2, Preference(language="de", pause=pause(0, 9).pause))], set(range(10))),  # not touched
        ([(0, pause(5, 9)), (2, Preference())], set()),  # called off before it began
        ([(0, pause(0, 2)), (5, pause(6, 7))], {0, 1, 2, 6, 7}),  # both were
        ([(0, pause(0, 1)), (5, Preference())], {0, 1}),
    ],
)
def test_a_pause_holds_for_as_long_as_it_was_left_in_force(told: list[tuple[int, Preference]], days: set[int]) -> None:
    history = history_of([record(one, day) for day, one in told])
    assert {n for n in range(12) if history.paused_on(MONDAY + timedelta(n), HOME)} == days


def test_days_done_are_those_on_which_something_prescribed_was_done() -> None:
    plan = Program(
        program_id=uuid.uuid4(),
        version=1,
        valid_from=MONDAY,
        exercises=(Prescribed(exercise="bridge", side="left", reps=8, weekdays=(1, 2)),),
    )
    by_hand = [HandExercise(exercise="bridge", side="left"), HandExercise(exercise="bridge", side="right")]
    told = [record(CheckIn(by_hand=(by_hand[0],)), 0), record(CheckIn(by_hand=(by_hand[1],)), 1)]
    told.append(record(CheckIn(by_hand=(by_hand[0],)), 2))  # nothing was prescribed on that day
    told.append(record(CheckIn(by_hand=(by_hand[0],), about=MONDAY + timedelta(1)), 4))
    assert history_of(told).days_done([Given(plan)], HOME) == {MONDAY, MONDAY + timedelta(1)}


def test_what_is_struck_out_is_in_nothing() -> None:
    told = record(CheckIn(pain_after=8))
    assert isinstance(told, KeptCheckIn)
    struck = record(VoidReport(record_id=told.record_id, reason="mistake"), 1)
    history = history_of([told, struck])
    assert history.check_ins == ()
    assert history.days_rested(HOME) == set()
    assert history.struck_out.keys() == {told.record_id}


def test_pain_by_day_and_the_usual_of_the_week_before() -> None:
    history = history_of([record(CheckIn(pain_before=p, pain_after=2), day) for day, p in ((0, 5), (0, 3), (8, 6))])
    assert history.worst_pain_by_day(HOME) == {MONDAY: 5, MONDAY + timedelta(8): 6}
    assert history.usual_pain(NOON + timedelta(days=2)) == [5, 3]
    assert history.usual_pain(NOON + timedelta(days=9)) == [6]


def test_nothing_is_known_of_a_kit_without_records() -> None:
    empty = history_of([])
    assert empty == History()
    assert (empty.simulated, empty.preference) == (False, Preference())


def test_a_session_keeps_its_counts_and_not_its_repetitions() -> None:
    reps = tuple(
        RepReport(
            start_s=n, peak_s=n, end_s=n, signal="knee", peak_flexion_deg=90, min_flexion_deg=5, rom_deg=85, **more
        )
        for n, more in enumerate(({"on_target": True}, {"on_target": False}, {"complete": False}, {}))
    )
    summary = SessionSummary(
        sitting_id=uuid.uuid4(),
        exercise="bridge",
        side="left",
        source="sensor",
        duration_s=9,
        reps=reps,
        max_flexion_deg=90,
        min_flexion_deg=5,
        zero="standing",
        calibrated_at_s=1,
        ok_fraction=0.9,
        sensors=(),
        curve=AngleCurve(step_s=1, flexion_deg=(1, 2)),
        software="gonio",
    )
    one = record(summary)
    assert isinstance(one, KeptSession)
    assert (one.complete, one.on_target, one.sure) == (3, 1, True)
    assert (one.summary.reps, one.summary.curve) == ((), None)
    assert (one.done().sets, one.done().reps) == (1, 3)
