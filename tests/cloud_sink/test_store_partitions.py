"""Records on PostgreSQL stand in a part for each month; a place in an outbox is taken once whatever the month."""

import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from gonio.cloud_sink.partitions import AHEAD, OTHER, first_id, make_parts, month_start, part_name, parts
from gonio.cloud_sink.store import Store, open_store
from gonio.messages import AckStatus, Envelope

MARCH = datetime(2031, 3, 14, 9, tzinfo=UTC)


@pytest.fixture
def postgres_store(postgres_url: str) -> Iterator[Store]:
    with open_store(postgres_url) as store:
        yield store


def id_at(moment: datetime, number: int = 0) -> uuid.UUID:
    return uuid.UUID(int=first_id(moment).int | 0x7 << 76 | 0b10 << 62 | number)


@pytest.mark.parametrize(
    ("offset", "month"), [(0, "2031_03"), (1, "2031_04"), (9, "2031_12"), (10, "2032_01"), (-3, "2030_12")]
)
def test_a_month_has_a_name_and_a_beginning(offset: int, month: str) -> None:
    assert part_name(month_start(MARCH, offset)) == f"records_{month}"


def test_every_id_of_a_month_lies_between_its_bounds() -> None:
    low, high = first_id(month_start(MARCH)), first_id(month_start(MARCH, 1))
    assert low < id_at(month_start(MARCH)) < id_at(MARCH) < id_at(month_start(MARCH, 1) - timedelta(milliseconds=1))
    assert id_at(month_start(MARCH, 1) - timedelta(milliseconds=1)) < high < id_at(month_start(MARCH, 1))


def test_a_book_on_sqlite_has_no_parts(store: Store) -> None:
    with store._writer.begin() as connection:
        if connection.dialect.name == "sqlite":
            assert (parts(connection), make_parts(connection, MARCH)) == ([], [])
        else:
            assert OTHER in parts(connection)


def where_from(store: Store, record_id: uuid.UUID) -> str:
    with store._reader.connect() as connection:
        query = text("SELECT tableoid::regclass::text FROM records WHERE record_id = :id")
        return str(connection.execute(query, {"id": record_id}).scalar_one())


def test_records_go_to_their_month(postgres_store: Store, envelope: Callable[..., Envelope], now: datetime) -> None:
    with postgres_store._writer.begin() as connection:
        made = make_parts(connection, MARCH)
        assert made == [part_name(month_start(MARCH, n)) for n in range(AHEAD + 1)]
        assert make_parts(connection, MARCH) == []
    in_march, long_ago = id_at(MARCH), id_at(datetime(1970, 1, 5, tzinfo=UTC))
    postgres_store.ingest(
        "kit-001", [envelope(1, record_id=in_march), envelope(2, record_id=long_ago), envelope(3)], now
    )
    assert (where_from(postgres_store, in_march), where_from(postgres_store, long_ago)) == ("records_2031_03", OTHER)
    assert postgres_store.audit().records == 3


def test_a_month_that_has_strays_gets_no_part_and_loses_nothing(
    postgres_store: Store, envelope: Callable[..., Envelope], now: datetime
) -> None:
    stray = id_at(MARCH)
    postgres_store.ingest("kit-001", [envelope(1, record_id=stray)], now)
    with postgres_store._writer.begin() as connection:
        assert part_name(month_start(MARCH)) not in make_parts(connection, MARCH)
    assert where_from(postgres_store, stray) == OTHER


def test_a_place_is_taken_once_whatever_the_month(
    store: Store, envelope: Callable[..., Envelope], now: datetime
) -> None:
    with store._writer.begin() as connection:
        make_parts(connection, MARCH)
    first, second = envelope(1, record_id=id_at(MARCH)), envelope(1, record_id=id_at(month_start(MARCH, 1)))
    (ack,) = store.ingest("kit-001", [first], now)
    assert ack.status is AckStatus.STORED
    (ack,) = store.ingest("kit-001", [second], now)
    assert ack.status is AckStatus.REJECTED
    assert "another id" in (ack.reason or "")
    (again, other) = store.ingest("kit-001", [first, envelope(2, record_id=second.record_id)], now)
    assert (again.status, other.status) == (AckStatus.REPEATED, AckStatus.STORED)
