"""Any order, any grouping and any repetition of arrivals, and bindings entered at any time, give the same book."""

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
from gonio.cloud_sink.schema import METADATA
from gonio.cloud_sink.store import Store, open_store
from gonio.messages import AckStatus, Envelope

if TYPE_CHECKING:
    from tests.cloud_sink.postgres import PostgresCluster

Make = Callable[..., Envelope]
Rows = dict[str, list[dict[str, Any]]]

#: What time or chance decides: everything else in the book must be the same whatever the order of arrival.
CHANCE = frozenset({"received_at", "first_seen_at", "added_at", "binding_id"})
#: Tables that tell what was done to the book, in its order.
HISTORY = frozenset({"audit_log", "audit_heads"})

HOUR = timedelta(hours=1)
RECORDS = 26


def rows(store: Store, *, without: frozenset[str] = frozenset()) -> Rows:
    """Give the whole book but its audit log; patients by their names."""
    names = {row.patient_id: row.name for row in store.patients()}
    with store._reader.connect() as connection:
        return {
            table.name: sorted(
                (
                    {k: names.get(v, v) if k == "patient_id" else v for k, v in row.items() if k not in without}
                    for row in connection.execute(select(table)).mappings()
                ),
                key=repr,
            )
            for table in METADATA.sorted_tables
            if table.name not in HISTORY
        }


def all_kinds(make: Make, now: datetime, simulated: str) -> list[Envelope]:
    """Two kits with all that one record can say about another; ``wrong`` is what a clock shows that was never set."""
    begin, wrong = now - timedelta(days=10), datetime.fromisoformat("1970-01-01T00:00:10+00:00")
    made: list[Envelope] = []

    def add(kit: int, boot: int, hours: float, kind: str = "session", *, clock: bool = True, **changes: Any) -> int:  # noqa: ANN401
        """Add a record of a boot that began ``100 * (boot % 2)`` hours after ``begin``; give its number."""
        number = len(made)
        moment = begin + timedelta(hours=100 * (boot % 2) + hours)
        record = make(
            number + 1,
            kind=kind,
            kit_id=f"kit-00{kit}",
            record_id=uuid.UUID(int=1000 + number),
            outbox_id=None if kind == "health" else uuid.UUID(int=10 + kit),
            boot_id=uuid.UUID(int=boot),
            monotonic_ns=int(hours * 3600e9),
            captured=moment if clock else wrong,
            clock="synchronised" if clock else "unsynchronised",
            **changes,
        )
        made.append(record)
        return number

    def void(kit: int, boot: int, hours: float, target: int, *, clock: bool = True, by: str = "person") -> int:
        payload = f'{{"record_id":"{uuid.UUID(int=1000 + target)}","reason":"not-me","said_by":"{by}"}}'
        return add(kit, boot, hours, "void", clock=clock, payload=payload)

    # kit-001: a boot with two sides of evidence, a boot that health alone tells of, a boot of which nothing is known
    add(1, 2, 8, clock=False)  # 0: repaired from 1
    add(1, 2, 10)
    add(1, 2, 90, "check-in", clock=False)  # 2: repaired from 3, struck out by 5
    struck = add(1, 2, 95)  # 3: struck out by 4, which is evidence none the less
    void(1, 2, 96, struck)
    void(1, 2, 97, 2, clock=False)  # 5: repaired itself
    add(1, 3, 2, clock=False)  # 6: repaired from 8
    add(1, 3, 60, "health", schema_version=2)
    add(1, 3, 1, "health")
    add(1, 3, 70, "health", clock=False)
    add(1, 4, 5, clock=False)  # 10: never repaired
    # kit-002: a clock that was stepped between 11 and 13; what may not strike out anything
    add(2, 6, 10)
    add(2, 6, 11, clock=False)  # 12: a conflict
    add(2, 6, 12, captured_at=(begin + 20 * HOUR).isoformat(timespec="milliseconds"))
    add(2, 6, 30, clock=False)  # 14: repaired from 13
    void(2, 7, 1, 1)  # another kit's record
    void(2, 7, 2, 999)  # one that never comes
    void(2, 7, 3, 11, by="simulated")  # what a person did
    virtual = add(2, 7, 4, payload=simulated)
    void(2, 7, 5, virtual, by="simulated")
    void(2, 7, 5.5, 23)  # no session and no check-in
    add(2, 7, 6, "check-in")
    add(2, 7, 7, "message", clock=False)
    add(2, 7, 8, "preference")
    add(2, 7, 9, "preference", clock=False)
    add(2, 7, 10, "receipt", clock=False)
    assert len(made) == RECORDS
    return made


@st.composite
def arrivals(draw: st.DrawFn) -> list[list[int]]:
    """Batches of record numbers: any order, any repetition, each record at least once."""
    numbers = list(draw(st.permutations(range(RECORDS))))
    for number in draw(st.lists(st.integers(0, RECORDS - 1), max_size=12)):
        numbers.insert(draw(st.integers(0, len(numbers))), number)
    cuts = sorted(draw(st.lists(st.integers(0, len(numbers)), max_size=8)))
    return [numbers[a:b] for a, b in zip([0, *cuts], [*cuts, len(numbers)], strict=True)]


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


def fill(store: Store, records: list[Envelope], groups: list[list[int]], *, bind_at: int, now: datetime) -> None:
    """Take records in, group by group; give the kits to patients before group ``bind_at``, or after the last."""
    patients = [store.add_patient(name, "America/Chicago") for name in ("A", "B")]
    for index, group in enumerate([*groups, []]):
        if index == min(bind_at, len(groups)):
            store.bind_kit("kit-001", patients[0], since=now - timedelta(days=30))
            store.bind_kit("kit-001", patients[1], since=now - timedelta(days=9))
            store.bind_kit("kit-002", patients[0], since=now - timedelta(days=30))
        for acks in store.ingest_batch([Delivery(records[n].kit_id, (records[n],), now) for n in group]):
            assert all(ack.status is not AckStatus.REJECTED for ack in acks)


@pytest.fixture(scope="session")
def records(envelope: Make, session_payload: Callable[..., str], now: datetime) -> list[Envelope]:
    return all_kinds(envelope, now, session_payload(source="simulated"))


@pytest.fixture(scope="session")
def expected(new_book: NewBook, records: list[Envelope], now: datetime) -> Rows:
    """Give the book of all records that came in order, once, one by one, to bound kits."""
    with new_book() as store:
        fill(store, records, [[n] for n in range(RECORDS)], bind_at=0, now=now)
        return rows(store, without=CHANCE)


def by_number(found: list[dict[str, Any]], *names: str) -> dict[int, Any]:
    values = {row["record_id"].int - 1000: tuple(row[name] for name in names) for row in found}
    return {number: value[0] if len(names) == 1 else value for number, value in sorted(values.items())}


def test_what_the_book_says_of_all_kinds(expected: Rows, now: datetime) -> None:
    begin = now - timedelta(days=10)
    assert by_number(expected["sessions"], "clock", "voided", "patient_id") == {
        0: ("repaired", False, "A"),
        1: ("synchronised", False, "A"),
        3: ("synchronised", True, "B"),
        6: ("repaired", False, "B"),
        10: ("unsynchronised", False, None),
        11: ("synchronised", False, "A"),
        12: ("unsynchronised", False, "A"),
        13: ("synchronised", False, "A"),
        14: ("repaired", False, "A"),
        18: ("synchronised", True, "A"),
    }
    assert by_number(expected["check_ins"], "clock", "voided", "patient_id", "pain_during") == {
        2: ("repaired", True, "B", 3),
        21: ("synchronised", False, "A", 0),
    }
    started = by_number(expected["sessions"], "started_at")
    assert started[0] == begin + 8 * HOUR
    assert started[6] == begin + 102 * HOUR
    assert started[14] == begin + 38 * HOUR  # the stepped clock's word: ten hours later than the other's
    assert by_number(expected["clock_repairs"], "outcome", "evidence_id", "other_id") == {
        number: (outcome, uuid.UUID(int=1000 + evidence), other if other is None else uuid.UUID(int=1000 + other))
        for number, outcome, evidence, other in [
            (0, "repaired", 1, None),
            (2, "repaired", 3, 1),
            (5, "repaired", 4, None),
            (6, "repaired", 8, None),
            (12, "conflict", 11, 13),
            (14, "repaired", 13, None),
            (22, "repaired", 21, 23),
            (24, "repaired", 23, None),
            (25, "repaired", 23, None),
        ]
    }
    assert set(by_number(expected["day_entries"], "local_date")) == {0, 1, 6, 11, 12, 13, 14, 21}
    assert by_number(expected["patient_messages"], "clock", "patient_id") == {22: ("repaired", "A")}
    assert by_number(expected["preferences"], "at") == {23: begin + 108 * HOUR, 24: begin + 109 * HOUR}
    assert by_number(expected["down_receipts"], "at") == {25: begin + 110 * HOUR}
    assert len(expected["voids"]) == 7


@given(batches=arrivals(), bind_at=st.integers(0, 9))
@settings(max_examples=20, deadline=None)
def test_any_order_and_repetition_gives_the_same_book(
    new_book: NewBook, expected: Rows, records: list[Envelope], now: datetime, batches: list[list[int]], bind_at: int
) -> None:
    with new_book() as store:
        fill(store, records, batches, bind_at=bind_at, now=now)
        assert rows(store, without=CHANCE) == expected


@given(batches=arrivals())
@settings(max_examples=10, deadline=None)
def test_derived_tables_are_what_the_records_say(
    new_book: NewBook, records: list[Envelope], now: datetime, batches: list[list[int]]
) -> None:
    with new_book() as store:
        patient = store.add_patient("A", "Europe/Berlin")
        store.bind_kit("kit-001", patient, since=now - timedelta(days=8))
        for group in batches:
            store.ingest_batch([Delivery(records[n].kit_id, (records[n],), now) for n in group])
        assert store.void_record(records[1].record_id, "a test of the kit", "operator:test")
        before = rows(store)
        assert len(before["sessions"]) == 10
        store.rederive()
        assert rows(store) == before
