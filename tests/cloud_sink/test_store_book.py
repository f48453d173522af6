"""The book's promises: each record once whatever the order and repetition, derived tables that follow from it."""

import json
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from gonio.cloud_sink.model import Delivery
from gonio.cloud_sink.schema import HOME_CLINIC, METADATA, RECORDS, SESSIONS
from gonio.cloud_sink.store import Store, open_store
from gonio.messages import AckStatus, Envelope, SessionSummary

if TYPE_CHECKING:
    from tests.cloud_sink.postgres import PostgresCluster

Make = Callable[..., Envelope]
Rows = dict[str, list[dict[str, Any]]]

#: What time or chance decides: everything else in the book must be the same whatever the order of arrival.
CHANCE = {"received_at", "first_seen_at", "added_at", "binding_id", "patient_id"}


def rows(store: Store, *, without: frozenset[str] = frozenset()) -> Rows:
    with store._reader.connect() as connection:
        return {
            table.name: sorted(
                (
                    {k: v for k, v in row.items() if k not in without}
                    for row in connection.execute(select(table)).mappings()
                ),
                key=repr,
            )
            for table in METADATA.sorted_tables
        }


@st.composite
def arrivals(draw: st.DrawFn) -> list[list[int]]:
    """Batches of record numbers 0 to 11: any order, any repetition, each record at least once."""
    order = draw(st.permutations(range(12)))
    extra = draw(st.lists(st.integers(0, 11), max_size=12))
    numbers = list(order)
    for number in extra:
        numbers.insert(draw(st.integers(0, len(numbers))), number)
    cuts = sorted(draw(st.lists(st.integers(0, len(numbers)), max_size=5)))
    return [numbers[a:b] for a, b in zip([0, *cuts], [*cuts, len(numbers)], strict=True)]


def twelve_records(make: Make, now: datetime) -> list[Envelope]:
    """Two kits, one of which changes hands halfway; sessions, check-ins, health; one clock not synchronised."""
    records = []
    for n in range(12):
        kind = ("session", "session", "check-in", "health")[n % 4]
        kit = f"kit-00{n % 2 + 1}"
        records.append(
            make(
                n + 1,
                kind=kind,
                captured=now - timedelta(days=12 - n),
                kit_id=kit,
                record_id=uuid.UUID(int=1000 + n),
                outbox_id=None if kind == "health" else uuid.UUID(int=10 + n % 2),
                clock="unsynchronised" if n == 5 else "synchronised",
            )
        )
    return records


NewBook = Callable[[], AbstractContextManager[Store]]


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def new_book(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> NewBook:
    """Make empty books by copying one: quicker than making one for each example."""
    if request.param == "sqlite":
        empty = tmp_path_factory.mktemp("empty") / "book.db"
        open_store(f"sqlite:///{empty}").close()

        @contextmanager
        def copy_of_file() -> Iterator[Store]:
            with tempfile.TemporaryDirectory() as folder:
                shutil.copy(empty, folder)
                with open_store(f"sqlite:///{folder}/{empty.name}") as store:
                    yield store

        return copy_of_file

    cluster: PostgresCluster = request.getfixturevalue("postgres")
    template: str = request.getfixturevalue("template")

    @contextmanager
    def copy_of_database() -> Iterator[Store]:
        url = cluster.create(template=template)
        try:
            with open_store(url) as store:
                yield store
        finally:
            cluster.drop(url)

    return copy_of_database


def fill(store: Store, records: list[Envelope], groups: list[list[int]], *, bind_at: int, now: datetime) -> Rows:
    """Take records in, group by group; give the kits to patients before group ``bind_at``, or after the last."""
    patients = [store.add_patient(name, "America/Chicago") for name in ("A", "B")]
    for index, group in enumerate([*groups, []]):
        if index == min(bind_at, len(groups)):
            store.bind_kit("kit-001", patients[0], since=now - timedelta(days=30))
            store.bind_kit("kit-001", patients[1], since=now - timedelta(days=6))
            store.bind_kit("kit-002", patients[0], since=now - timedelta(days=30))
        for acks in store.ingest_batch([Delivery(records[n].kit_id, (records[n],), now) for n in group]):
            assert all(ack.status is not AckStatus.REJECTED for ack in acks)
    found = rows(store, without=frozenset(CHANCE))
    names = {row.patient_id: row.name for row in store.patients()}
    with store._reader.connect() as connection:
        owned = connection.execute(select(SESSIONS.c.record_id, SESSIONS.c.patient_id)).all()
    found["owners"] = [{"record": record, "owner": names.get(patient)} for record, patient in sorted(owned)]
    return found


@pytest.fixture(scope="session")
def expected(new_book: NewBook, envelope: Make, now: datetime) -> Rows:
    """Give the book of twelve records that came in order, once, to bound kits."""
    with new_book() as store:
        found = fill(store, twelve_records(envelope, now), [list(range(12))], bind_at=0, now=now)
    assert {row["owner"] for row in found["owners"]} == {"A", "B"}
    assert len(found["records"]) == 9
    return found


@given(batches=arrivals(), bind_at=st.integers(0, 6))
@settings(max_examples=25, deadline=None)
def test_any_order_and_repetition_gives_the_same_book(
    new_book: NewBook, expected: Rows, envelope: Make, now: datetime, batches: list[list[int]], bind_at: int
) -> None:
    with new_book() as store:
        assert fill(store, twelve_records(envelope, now), batches, bind_at=bind_at, now=now) == expected


@given(batches=arrivals())
@settings(max_examples=15, deadline=None)
def test_derived_tables_are_what_the_records_say(
    new_book: NewBook, envelope: Make, now: datetime, batches: list[list[int]]
) -> None:
    records = twelve_records(envelope, now)
    with new_book() as store:
        patient = store.add_patient("A", "Europe/Berlin")
        store.bind_kit("kit-001", patient, since=now - timedelta(days=8))
        for group in batches:
            store.ingest_batch([Delivery(records[n].kit_id, (records[n],), now) for n in group])
        before = rows(store)
        assert len(before["sessions"]) == 6
        store.rederive()
        assert rows(store) == before


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
