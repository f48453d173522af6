"""The ledger of data days: whose date it is on journeys, at midnight and at changes of the clock, and what counts."""

import uuid
from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, text

from gonio.cloud_sink.ledger import PatientDay
from gonio.cloud_sink.store import Store, open_store
from gonio.errors import UsageError
from gonio.messages import AckStatus, Envelope

Make = Callable[..., Envelope]
FIRST, LAST = date(2026, 1, 1), date(2026, 12, 31)
#: Long before all records here.
SINCE = datetime.fromisoformat("2026-01-01T00:00:00+00:00")


def patient_with_kit(store: Store, zone: str = "America/Chicago", kit: str = "kit-001") -> uuid.UUID:
    patient = store.add_patient(zone, zone)
    store.bind_kit(kit, patient, since=SINCE)
    return patient


def days(store: Store, patient: uuid.UUID | None = None) -> list[PatientDay]:
    return list(store.ledger.days(FIRST, LAST, patient_id=patient))


@pytest.mark.parametrize(
    ("zone", "captured_at", "expected"),
    [
        ("America/Chicago", "2026-03-04T23:59:59.999-06:00", "2026-03-04"),
        ("America/Chicago", "2026-03-05T00:00:00.000-06:00", "2026-03-05"),
        # on a journey: the kit is in Tokyo, where it is the 5th; at home, which decides, it is the 4th
        ("America/Chicago", "2026-03-05T08:00:00.000+09:00", "2026-03-04"),
        ("Asia/Tokyo", "2026-03-04T17:00:00.000-06:00", "2026-03-05"),
        # the hour that is skipped on 8 March 2026 in Chicago, on both sides of it
        ("America/Chicago", "2026-03-08T01:59:59.999-06:00", "2026-03-08"),
        ("America/Chicago", "2026-03-09T04:59:59.999+00:00", "2026-03-08"),
        ("America/Chicago", "2026-03-09T05:00:00.000+00:00", "2026-03-09"),
        # the night of 25 October 2026 in Berlin, which is 25 hours long
        ("Europe/Berlin", "2026-10-24T22:00:00.000+00:00", "2026-10-25"),
        ("Europe/Berlin", "2026-10-25T22:59:59.999+00:00", "2026-10-25"),
        ("Europe/Berlin", "2026-10-25T23:00:00.000+00:00", "2026-10-26"),
        ("Pacific/Kiritimati", "2026-03-05T10:00:00.000+00:00", "2026-03-06"),
        ("Pacific/Pago_Pago", "2026-03-05T10:59:59.999+00:00", "2026-03-04"),
    ],
)
def test_a_session_counts_on_the_patients_own_date(
    store: Store, envelope: Make, zone: str, captured_at: str, expected: str
) -> None:
    patient = patient_with_kit(store, zone)
    record = envelope(captured_at=captured_at)
    store.ingest("kit-001", [record], datetime.fromisoformat(captured_at))
    (day,) = days(store)
    assert (day.patient_id, day.local_date.isoformat(), day.counts) == (patient, expected, True)
    assert [(behind.record_id, behind.captured_at) for behind in day.records] == [(record.record_id, captured_at)]
    assert store.ledger.data_days(FIRST, LAST) == {patient: 1}


@pytest.mark.parametrize(
    ("changes", "payload", "counts"),
    [
        ({}, None, True),
        ({}, "simulated", False),
        ({}, "recording", False),
        ({"clock": "unsynchronised"}, None, False),
        ({"kind": "check-in"}, None, False),
        ({"kind": "check-in"}, '{"pain_after":2,"said_by":"simulated"}', False),
    ],
)
def test_what_makes_a_data_day(
    store: Store,
    envelope: Make,
    session_payload: Callable[..., str],
    now: datetime,
    changes: dict[str, Any],
    payload: str | None,
    counts: bool,  # noqa: FBT001 - a parameter
) -> None:
    patient = patient_with_kit(store)
    if payload is not None:
        changes = changes | {"payload": payload if "{" in payload else session_payload(source=payload)}
    store.ingest("kit-001", [envelope(1, **changes), envelope(2, **changes)], now)
    (day,) = days(store)
    assert day.counts is counts
    assert store.ledger.data_days(FIRST, LAST) == ({patient: 1} if counts else {})
    assert store.audit().data_days == counts


def test_self_report_is_told_apart_from_what_a_simulator_says(store: Store, envelope: Make, now: datetime) -> None:
    patient_with_kit(store)
    virtual = envelope(2, kind="check-in", payload='{"pain_after":2,"said_by":"simulated"}')
    store.ingest("kit-001", [envelope(1, kind="check-in"), virtual], now)
    (day,) = days(store)
    assert {record.source for record in day.records} == {"self-report", "simulated"}


def test_days_with_the_records_behind_each_in_order_of_arrival(store: Store, envelope: Make, now: datetime) -> None:
    one, other = patient_with_kit(store), patient_with_kit(store, "Europe/Berlin", "kit-002")
    day = timedelta(days=1)
    late, early, check_in = envelope(1), envelope(2), envelope(3, kind="check-in")
    old = envelope(4, captured=now - 3 * day)
    foreign = envelope(1, kit_id="kit-002", outbox_id=uuid.UUID(int=2))
    store.ingest("kit-001", [early], now)
    store.ingest("kit-001", [old, check_in], now + day)
    store.ingest("kit-001", [late], now + 9 * day)
    store.ingest("kit-002", [foreign], now)
    assert [
        (found.local_date.isoformat(), [(r.record_id, r.received_at) for r in found.records])
        for found in days(store, one)
    ] == [
        ("2026-03-02", [(old.record_id, now + day)]),
        (
            "2026-03-05",
            [(early.record_id, now), (check_in.record_id, now + day), (late.record_id, now + 9 * day)],
        ),
    ]
    assert {found.patient_id for found in days(store)} == {one, other}
    assert store.ledger.data_days(FIRST, LAST) == {one: 2, other: 1}
    assert store.ledger.data_days(date(2026, 3, 3), date(2026, 3, 5)) == {one: 1, other: 1}
    assert list(store.ledger.days(date(2026, 3, 6), LAST)) == []


def test_a_kit_that_moves_takes_no_day_along(store: Store, envelope: Make, now: datetime) -> None:
    """Also with what the first patient did and the kit sent only after it had moved."""
    first, second = (store.add_patient(name, "America/Chicago") for name in "AB")
    hour = timedelta(hours=1)
    store.bind_kit("kit-001", first, since=now - 48 * hour)
    store.ingest("kit-001", [envelope(1, captured=now - 30 * hour)], now - 29 * hour)
    store.bind_kit("kit-001", second, since=now - 10 * hour)
    store.ingest("kit-001", [envelope(2, captured=now - 11 * hour), envelope(3, captured=now - 9 * hour)], now)
    assert store.ledger.data_days(FIRST, LAST) == {first: 2, second: 1}


# --- struck out ---


@pytest.mark.parametrize("kind", ["session", "check-in"])
@pytest.mark.parametrize("void_first", [True, False])
def test_what_the_patient_strikes_out_stays_and_never_counts(
    store: Store,
    envelope: Make,
    now: datetime,
    kind: str,
    void_first: bool,  # noqa: FBT001 - a parameter
) -> None:
    patient = patient_with_kit(store)
    target = envelope(1, kind=kind)
    void = envelope(2, kind="void", payload=f'{{"record_id":"{target.record_id}","reason":"not-me"}}')
    for record in (void, target) if void_first else (target, void):
        (ack,) = store.ingest("kit-001", [record], now)
        assert ack.status is AckStatus.STORED
    assert days(store) == []
    assert store.audit().records == 2
    shown = store.sessions(patient) if kind == "session" else store.said.check_ins(patient)
    assert [row.voided for row in shown] == [True]
    assert [(void.by, void.reason) for void in store.said.voids(target.record_id)] == [("patient", "not-me")]
    assert store.patients()[0].sessions == 0


def test_no_kit_strikes_out_what_another_measured(store: Store, envelope: Make, now: datetime) -> None:
    patient = patient_with_kit(store)
    target = envelope(1)
    payload = f'{{"record_id":"{target.record_id}","reason":"not-me"}}'
    forged = envelope(1, kind="void", kit_id="kit-002", outbox_id=uuid.UUID(int=2), payload=payload)
    store.ingest("kit-002", [forged], now)
    store.ingest("kit-001", [target], now)
    assert store.ledger.data_days(FIRST, LAST) == {patient: 1}
    assert store.said.voids(target.record_id) == []


def test_what_staff_strike_out_is_logged_and_survives_deriving_again(
    store: Store, envelope: Make, now: datetime
) -> None:
    patient = patient_with_kit(store)
    record, other = envelope(1), envelope(2)
    store.ingest("kit-001", [record, other], now)
    assert store.void_record(record.record_id, " shown to a visitor ", "operator:kim")
    assert not store.void_record(record.record_id, "again", "operator:kim")
    (day,) = days(store)
    assert [behind.record_id for behind in day.records] == [other.record_id]
    store.rederive()
    store.ingest("kit-001", [record], now)
    assert days(store) == [day]
    found = {row.record_id: row.voided for row in store.sessions(patient)}
    assert found == {record.record_id: True, other.record_id: False}
    assert [(void.by, void.reason) for void in store.said.voids(record.record_id)] == [
        ("operator:kim", "shown to a visitor")
    ]
    with store._reader.connect() as connection:
        log = connection.execute(text("SELECT actor, subject_id, reason FROM audit_log WHERE action = 'record-voided'"))
        assert [tuple(row) for row in log] == [("operator:kim", str(record.record_id), "shown to a visitor")]


def test_what_staff_cannot_strike_out(store: Store, envelope: Make, now: datetime) -> None:
    message = envelope(1, kind="message")
    store.ingest("kit-001", [message], now)
    for record_id in (message.record_id, uuid.uuid4()):
        with pytest.raises(UsageError, match="no session and no check-in"):
            store.void_record(record_id, "a reason", "operator:kim")
    with pytest.raises(UsageError, match="needs its reason"):
        store.void_record(message.record_id, " ", "operator:kim")


def test_data_days_of_all_patients_are_read_from_their_index(tmp_path: Path, now: datetime) -> None:
    """Told by the plan, as times are no evidence here: ten thousand patients take a tenth of a second by it."""
    asked: list[str] = []
    with open_store(f"sqlite:///{tmp_path}/book.db") as store:
        event.listen(store._engine, "before_cursor_execute", lambda *said: asked.append(said[2]))
        store.ledger.data_days(FIRST, now.date())
        with store._reader.connect() as connection:
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {asked[-1]}", ("2026-01-01", "2026-01-30")).all()
    assert any(
        "COVERING INDEX ix_day_entries_patient_id_local_date_counts (patient_id=? AND local_date>" in row[-1]
        for row in plan
    )
