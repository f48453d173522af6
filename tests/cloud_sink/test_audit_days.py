"""The audit: every sequence that is not here is told, with what is known of it and the days between which it lies."""

import json
import uuid
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from gonio.cloud_sink.kit_days import OutboxRange
from gonio.cloud_sink.lacking import Lack, Standing
from gonio.cloud_sink.store import Store
from gonio.messages import EndedOutbox, Envelope, HealthReport

Make = Callable[..., Envelope]
OUTBOX = uuid.UUID(int=1)
NEXT_OUTBOX = uuid.UUID(int=9)


@pytest.fixture
def health(envelope: Make) -> Callable[..., Envelope]:
    def make(**changes: Any) -> Envelope:  # noqa: ANN401 - of a HealthReport
        report = HealthReport.model_validate({"software": "x", "pending": 0, "outbox_id": OUTBOX, **changes})
        return envelope(kind="health", schema_version=2, payload=report.model_dump_json())

    return make


def lacks(store: Store) -> dict[str, list[Lack]]:
    return {box.kit_id: list(box.lacks) for box in store.audit().lacking}


def test_what_waits_on_the_kit_is_not_missing_and_what_was_acknowledged_is(
    store: Store, envelope: Make, health: Make, now: datetime
) -> None:
    store.ingest("kit-001", [envelope(n) for n in (1, 2, 3, 6)], now)
    assert lacks(store) == {"kit-001": [Lack(4, 5, Standing.UNKNOWN)]}
    store.ingest("kit-001", [health(last_sequence=9, oldest_pending=7, pending=3)], now)
    assert lacks(store) == {"kit-001": [Lack(4, 5, Standing.LOST), Lack(7, 9, Standing.WAITING)]}
    found = store.audit()
    assert [(gap.first, gap.last) for gap in found.gaps] == [(4, 5)]
    assert (found.count(Standing.LOST), found.count(Standing.WAITING)) == (2, 3)
    store.ingest("kit-001", [envelope(n) for n in (4, 5, 7, 8, 9)], now)
    assert store.audit().lacking == ()


def test_a_book_that_lost_its_end_is_found_by_what_the_kit_says(
    store: Store, envelope: Make, health: Make, now: datetime
) -> None:
    store.ingest("kit-001", [envelope(n) for n in (1, 2, 3)], now)
    store.ingest("kit-001", [health(last_sequence=8)], now)
    assert [(gap.first, gap.last) for gap in store.audit().gaps] == [(4, 8)]


def test_a_kit_of_which_nothing_is_here_but_its_report_lacks_all(store: Store, health: Make, now: datetime) -> None:
    store.add_kit("kit-001")
    store.ingest("kit-001", [health(last_sequence=4, oldest_pending=1, pending=4)], now)
    assert lacks(store) == {"kit-001": [Lack(1, 4, Standing.WAITING)]}
    (state,) = store.proof.states()
    assert (state.here, state.count(Standing.WAITING), state.heard_at) == (0, 4, now)


def test_what_is_in_quarantine_is_told_apart(store: Store, envelope: Make, health: Make, now: datetime) -> None:
    store.ingest("kit-001", [envelope(1), envelope(2, schema_version=999), envelope(3)], now)
    store.ingest("kit-001", [health(last_sequence=3, rejected=1)], now)
    assert lacks(store) == {"kit-001": [Lack(2, 2, Standing.REFUSED)]}
    (refusal,) = store.proof.refusals("kit-001")
    assert (refusal.outbox_id, refusal.sequence) == (OUTBOX, 2)
    assert store.proof.refusals("kit-002") == []


def test_two_outboxes_of_a_kit_stand_side_by_side(store: Store, envelope: Make, health: Make, now: datetime) -> None:
    store.ingest("kit-001", [envelope(1), envelope(3), envelope(1, outbox_id=NEXT_OUTBOX)], now)
    ended = EndedOutbox(outbox_id=OUTBOX, last_sequence=4, saved=2, lost=((4, 4),))
    store.ingest("kit-001", [health(outbox_id=NEXT_OUTBOX, last_sequence=1, ended=(ended,))], now)
    assert lacks(store) == {"kit-001": [Lack(2, 2, Standing.LOST), Lack(4, 4, Standing.LOST_ON_KIT)]}


def test_more_waiting_than_the_kit_holds_cannot_all_come(
    store: Store, envelope: Make, health: Make, now: datetime
) -> None:
    store.ingest("kit-001", [envelope(1)], now)
    store.ingest("kit-001", [health(last_sequence=6, oldest_pending=2, pending=2)], now)
    (state,) = store.proof.states()
    assert state.count(Standing.WAITING) == 5
    assert state.unexplained == 3


def test_an_audit_of_one_kit_knows_only_that_kit(store: Store, envelope: Make, now: datetime) -> None:
    other = {"kit_id": "kit-002", "outbox_id": NEXT_OUTBOX, "boot_id": uuid.UUID(int=5)}
    store.ingest("kit-001", [envelope(1), envelope(3)], now)
    store.ingest("kit-002", [envelope(2, **other), envelope(4, schema_version=999, **other)], now)
    one, two = store.proof.audit("kit-001"), store.proof.audit("kit-002")
    assert (one.records, one.quarantined, [gap.first for gap in one.gaps]) == (2, 0, [2])
    assert (two.records, two.quarantined, [gap.first for gap in two.gaps]) == (1, 1, [1])
    assert store.audit().records == 3


def test_a_day_is_the_patients(store: Store, envelope: Make, now: datetime) -> None:
    evening = datetime(2026, 3, 5, 4, 30, tzinfo=UTC)  # 4 March, 22:30 in Chicago
    patient = store.add_patient("A B", "America/Chicago")
    store.bind_kit("kit-001", patient, since=evening - timedelta(days=2))
    records = [
        envelope(1, captured=evening - timedelta(hours=24)),
        envelope(2, captured=evening),
        envelope(5, captured=evening + timedelta(hours=2)),
        envelope(6, captured=evening + timedelta(hours=3)),
    ]
    store.ingest("kit-001", records, evening + timedelta(hours=12))
    found = store.proof.days("kit-001")
    assert [(day.day, day.records) for day in found.days] == [
        (date(2026, 3, 5), 2),
        (date(2026, 3, 4), 1),
        (date(2026, 3, 3), 1),
    ]
    assert found.days[0].here == (OutboxRange(OUTBOX, 5, 6),)
    (dated,) = found.lacks
    assert (dated.lack.first, dated.lack.last) == (3, 4)
    assert (dated.after, dated.before) == (date(2026, 3, 4), date(2026, 3, 5))
    assert [day.late for day in found.days] == [0, 0, 1]
    assert [day.late for day in store.proof.days("kit-001", late=timedelta(hours=10)).days] == [0, 1, 1]
    assert [day.day for day in store.proof.days("kit-001", since=date(2026, 3, 4)).days] == [
        date(2026, 3, 5),
        date(2026, 3, 4),
    ]


def test_a_clock_that_tells_no_time_has_no_day_and_bounds_nothing(store: Store, envelope: Make, now: datetime) -> None:
    odd = {"clock": "unsynchronised", "captured": datetime(1970, 1, 1, tzinfo=UTC), "boot_id": uuid.UUID(int=77)}
    store.ingest("kit-001", [envelope(1), envelope(3, **odd), envelope(5)], now)
    found = store.proof.days("kit-001")
    assert [(day.day, day.records, day.unsynchronised) for day in found.days] == [(now.date(), 2, 0), (None, 1, 1)]
    assert [(dated.after, dated.before) for dated in found.lacks] == [(now.date(), None), (None, now.date())]


def test_a_repaired_clock_has_its_true_day(store: Store, envelope: Make, now: datetime) -> None:
    hour_ns = 3600 * 10**9
    odd = {"clock": "unsynchronised", "captured": datetime(1970, 1, 1, tzinfo=UTC), "monotonic_ns": 10 * hour_ns}
    true = envelope(2, captured=now - timedelta(hours=1), monotonic_ns=40 * hour_ns)
    store.ingest("kit-001", [envelope(1, **odd), true], now)
    found = store.proof.days("kit-001")
    assert [(day.day, day.repaired, day.unsynchronised) for day in found.days] == [
        (now.date(), 0, 0),
        ((now - timedelta(hours=31)).date(), 1, 0),
    ]
    assert (store.audit().repaired, store.audit().unsynchronised) == (1, 0)


def test_a_voided_session_is_counted_as_such(store: Store, envelope: Make, now: datetime) -> None:
    one = envelope(1)
    store.ingest("kit-001", [one, envelope(2)], now)
    store.void_record(one.record_id, "worn on the wrong leg", "operator:test")
    assert [(day.records, day.voided) for day in store.proof.days("kit-001").days] == [(2, 1)]
    assert store.audit().voided == 1


def test_refusals_stand_under_the_day_on_which_they_came(store: Store, envelope: Make, now: datetime) -> None:
    store.ingest("kit-001", [envelope(1, captured=now - timedelta(days=3))], now)
    store.ingest("kit-001", [envelope(2, schema_version=999)], now)
    days = store.proof.days("kit-001").days
    assert [(day.day, day.records, day.quarantined) for day in days] == [
        (now.date(), 0, 1),
        (now.date() - timedelta(days=3), 1, 0),
    ]


def test_simulated_sessions_are_told(
    store: Store, envelope: Make, session_payload: Callable[..., str], now: datetime
) -> None:
    store.ingest("kit-001", [envelope(1, payload=session_payload(source="simulated")), envelope(2)], now)
    assert [day.simulated for day in store.proof.days("kit-001").days] == [1]
    assert store.proof.sources(["kit-001", "kit-009"]) == {"kit-001": {"simulated"}, "kit-009": frozenset()}


def test_late_records_are_counted_by_kit(store: Store, envelope: Make, now: datetime) -> None:
    store.ingest("kit-001", [envelope(1, captured=now - timedelta(hours=25)), envelope(2)], now)
    assert store.proof.late(["kit-001", "kit-009"]) == {"kit-001": 1, "kit-009": 0}


def test_a_kit_that_leaves_every_other_number_out_is_counted_in_full(
    store: Store, envelope: Make, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gonio.cloud_sink.outboxes.MAX_GAPS", 5)
    store.ingest("kit-001", [envelope(2 * n) for n in range(1, 20)], now)
    (box,) = store.audit().lacking
    assert (box.here, box.last, len(box.lacks)) == (19, 38, 5)


def test_the_log_can_be_exported(store: Store) -> None:
    patient = store.add_patient("Somebody's Name", "UTC")
    text = "\n".join(store.proof.export_log())
    assert "Somebody" not in text
    assert store.proof.log().intact
    assert [json.loads(line)["subject_id"] for line in text.splitlines()] == [str(patient)]
