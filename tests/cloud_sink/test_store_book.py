"""The book's promises: each record once, kept to the letter, read back as sent; what is missing is named."""

import json
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from gonio.cloud_sink.schema import HOME_CLINIC, METADATA, RECORDS
from gonio.cloud_sink.store import Store, open_store
from gonio.messages import AckStatus, Envelope, SessionSummary

Make = Callable[..., Envelope]


def test_new_then_repeated_then_once(store: Store, envelope: Make, now: datetime) -> None:
    record = envelope()
    assert [a.status for a in store.ingest("kit-001", [record, record], now)] == [
        AckStatus.STORED,
        AckStatus.REPEATED,
    ]
    assert [a.status for a in store.ingest("kit-001", [record], now)] == [AckStatus.REPEATED]
    assert store.audit().records == 1


def test_the_payload_is_kept_to_the_letter(
    store: Store, envelope: Make, session_payload: Callable[..., str], now: datetime
) -> None:
    odd = "  " + session_payload().replace(",", " ,\t") + "\n"
    record = envelope(payload=odd, signature="c2lnbmVk", key_id="key-1", captured_at="2026-03-05T11:00:00.125-06:00")
    store.ingest("kit-001", [record], now)
    with store._reader.connect() as connection:
        row = connection.execute(select(RECORDS)).mappings().one()
    fields = {name: row[name] for name in Envelope.model_fields}
    assert Envelope(**fields) == record
    assert Envelope(**fields).signed_bytes() == record.signed_bytes()


def test_a_session_is_read_back_as_it_was_sent(store: Store, envelope: Make, now: datetime) -> None:
    patient = store.add_patient("A", "America/Chicago")
    store.bind_kit("kit-001", patient, since=now - timedelta(days=2))
    record = envelope(captured_at="2026-03-05T11:00:00.125-06:00")
    store.ingest("kit-001", [record], now)
    row = store.session(record.record_id)
    assert row is not None
    assert store.sessions(patient) == [row]
    assert row.patient_id == patient
    assert row.captured.isoformat() == "2026-03-05T11:00:00.125000-06:00"
    assert row.received_at == now
    assert row.summary == SessionSummary.model_validate_json(record.payload)
    found = store.patient(patient)
    assert found is not None
    assert (found.sessions, found.last_session_at) == (1, row.captured)
    assert store.patients() == [found]
    assert store.session(uuid.uuid4()) is None
    assert store.patient(uuid.uuid4()) is None


def test_sessions_come_newest_first_in_pages(store: Store, envelope: Make, now: datetime) -> None:
    patient = store.add_patient("A", "America/Chicago")
    store.bind_kit("kit-001", patient, since=now - timedelta(days=30))
    records = [envelope(n + 1, captured=now - timedelta(days=n)) for n in range(5)]
    store.ingest("kit-001", list(reversed(records)), now)
    first = store.sessions(patient, limit=2)
    rest = store.sessions(patient, before=first[-1].captured)
    assert [row.record_id for row in first + rest] == [r.record_id for r in records]


def test_the_newest_health_of_a_kit_replaces_the_older(store: Store, envelope: Make, now: datetime) -> None:
    def health(n: int, **changes: Any) -> Envelope:  # noqa: ANN401 - fields of the envelope
        return envelope(n, kind="health", **changes)

    def shown() -> Any:  # noqa: ANN401 - of JSON
        with store._reader.connect() as connection:
            table = METADATA.tables["kit_health"]
            payload: str = connection.execute(select(table.c.payload)).scalar_one()
            return json.loads(payload)["pending"]

    store.ingest("kit-001", [health(2), health(1)], now)
    assert shown() == 2
    store.ingest("kit-001", [health(1)], now)
    assert shown() == 2
    other_boot = health(1, boot_id=uuid.uuid4(), captured=now, payload='{"software": "0.1.0", "pending": 0}')
    store.ingest("kit-001", [other_boot], now)
    assert shown() == 0
    assert store.audit().records == 0


def test_audit_names_what_is_missing(store: Store, envelope: Make, now: datetime) -> None:
    store.ingest("kit-001", [envelope(n) for n in (2, 3, 6, 2**53 - 1)], now)
    store.ingest("kit-002", [envelope(1, kit_id="kit-002", outbox_id=uuid.UUID(int=5))], now)
    gaps = [(g.kit_id, g.first, g.last) for g in store.audit().gaps]
    assert gaps == [("kit-001", 1, 1), ("kit-001", 4, 5), ("kit-001", 7, 2**53 - 2)]


def test_audit_finds_one_capture_under_two_ids(store: Store, envelope: Make, now: datetime) -> None:
    store.ingest("kit-001", [envelope(1), envelope(1, outbox_id=uuid.UUID(int=99)), envelope(2)], now)
    assert store.audit().doubled == 1


@pytest.mark.parametrize(
    ("changes", "days"),
    [
        ({}, 1),
        ({"clock": "unsynchronised"}, 0),
        ({"kind": "check-in"}, 0),
        ({"payload": "simulated"}, 0),
        ({"payload": "recording"}, 0),
        ({"captured_at": "2026-03-05T07:00:00.000+00:00"}, 2),  # 01:00 in Chicago: another date than the day before
        ({"captured_at": "2026-03-05T05:00:00.000+00:00"}, 1),  # 23:00 in Chicago: the same date as the day before
    ],
)
def test_data_days_are_dates_of_the_patient_with_real_measurements(
    store: Store, envelope: Make, session_payload: Callable[..., str], now: datetime, changes: dict[str, Any], days: int
) -> None:
    patient = store.add_patient("A", "America/Chicago")
    store.bind_kit("kit-001", patient, since=now - timedelta(days=10))
    if "payload" in changes:
        changes = {"payload": session_payload(source=changes["payload"])}
    records = [envelope(1, **changes), envelope(2, **changes)]
    if "captured_at" in changes:
        records.append(envelope(3, captured_at="2026-03-04T20:00:00.000-06:00"))
    store.ingest("kit-001", records, now)
    assert store.audit().data_days == days


def test_nobodys_session_is_no_data_day(store: Store, envelope: Make, now: datetime) -> None:
    store.ingest("kit-001", [envelope(1), envelope(2), envelope(3, kind="check-in")], now)
    assert (store.audit().data_days, store.audit().unassigned) == (0, 2)


def test_one_book_many_handles(store_url: str, envelope: Make, now: datetime) -> None:
    with open_store(store_url) as one, open_store(store_url) as other:
        one.ingest("kit-001", [envelope(1)], now)
        other.ingest("kit-001", [envelope(2)], now)
        assert one.audit() == other.audit()
        assert one.audit().records == 2


def test_the_view_of_repetitions_says_what_the_payloads_say(
    store: Store, envelope: Make, session_payload: Callable[..., str], now: datetime
) -> None:
    """Also where a sensor's name has a NUL character, which PostgreSQL's JSON does not take."""
    sensor = {"segment": "thigh", "family": "f", "name": "a\x00\\\\u0000", "samples": 1}
    unmeasured = session_payload(1).replace('"signal"', '"measured":false,"signal"')
    payloads = [session_payload(3, sensors=(sensor,)), session_payload(0), unmeasured]
    sent = [envelope(n, payload=text, record_id=uuid.UUID(int=n)) for n, text in enumerate(payloads, start=1)]
    sent.append(envelope(4, kind="check-in"))
    assert {ack.status for ack in store.ingest("kit-001", sent, now)} == {AckStatus.STORED}
    names = ("start_s", "peak_s", "end_s", "signal", "peak_flexion_deg", "min_flexion_deg", "rom_deg", "measured")
    expected = [
        (number, *(getattr(rep, name) for name in names))
        for record in sent[:3]
        for number, rep in enumerate(SessionSummary.model_validate_json(record.payload).reps, start=1)
    ]
    query = f"SELECT number, {', '.join(names)} FROM repetitions ORDER BY record_id, number"  # noqa: S608 - names
    with store._reader.connect() as connection:
        assert [tuple(row) for row in connection.exec_driver_sql(query)] == expected
        kept = connection.exec_driver_sql("SELECT DISTINCT clinic_id FROM repetitions").scalars().all()
    assert [uuid.UUID(str(clinic)) for clinic in kept] == [HOME_CLINIC]
