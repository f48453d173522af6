"""Between the broker and the book: what happens to a batch when the book will not take it."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import pytest

from gonio.cloud_sink import worker
from gonio.cloud_sink.engine import StoreError, StoreUnavailableError
from gonio.cloud_sink.inbox import Arrival
from gonio.cloud_sink.model import Delivery
from gonio.cloud_sink.partitions import AHEAD, OTHER, parts
from gonio.cloud_sink.store import Store
from gonio.cloud_sink.worker import Worker
from gonio.messages import Ack, AckStatus, Envelope, Kind, pack, up_topic

Make = Callable[..., Envelope]


def arrivals(make: Make, now: datetime) -> list[Arrival]:
    kits = ("kit-001", "kit-002", "kit-003")
    return [
        Arrival(up_topic(kit, Kind.SESSION), pack([make(1, kit_id=kit, outbox_id=f"{n:032x}", monotonic_ns=n)]), now)
        for n, kit in enumerate(kits)
    ]


async def take_in(store: Store, batch: Sequence[Arrival]) -> dict[str, list[AckStatus]]:
    with ThreadPoolExecutor(1) as thread:
        acks = await Worker(store, thread, signed_only=False).take_in(batch)
    return {kit: [ack.status for ack in words] for kit, words in acks}


async def test_one_publish_that_the_book_refuses_does_not_block_the_others(
    store: Store, envelope: Make, now: datetime, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real = store.ingest_batch

    def refusing(deliveries: Sequence[Delivery], *, signed_only: bool) -> list[list[Ack]]:
        if any(delivery.kit_id == "kit-002" for delivery in deliveries):
            raise StoreError("no")
        return real(deliveries, signed_only=signed_only)

    monkeypatch.setattr(store, "ingest_batch", refusing)
    found = await take_in(store, arrivals(envelope, now))
    assert found == {"kit-001": [AckStatus.STORED], "kit-003": [AckStatus.STORED]}
    assert store.audit().records == 2
    assert "kit-002" in caplog.text


async def test_a_book_that_cannot_be_used_is_waited_for(
    store: Store, envelope: Make, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "FIRST_PAUSE_S", 0.001)
    real, failures = store.ingest_batch, 3

    def failing(deliveries: Sequence[Delivery], *, signed_only: bool) -> list[list[Ack]]:
        nonlocal failures
        if failures:
            failures -= 1
            raise StoreUnavailableError("locked")
        return real(deliveries, signed_only=signed_only)

    monkeypatch.setattr(store, "ingest_batch", failing)
    found = await take_in(store, arrivals(envelope, now))
    assert set(found) == {"kit-001", "kit-002", "kit-003"}
    assert store.audit().records == 3


async def test_a_large_batch_is_stored_in_bounded_transactions(
    store: Store, envelope: Make, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "MAX_GROUP_RECORDS", 2)
    real, sizes = store.ingest_batch, []

    def counting(deliveries: Sequence[Delivery], *, signed_only: bool) -> list[list[Ack]]:
        sizes.append(len(deliveries))
        return real(deliveries, signed_only=signed_only)

    monkeypatch.setattr(store, "ingest_batch", counting)
    found = await take_in(store, arrivals(envelope, now))
    assert sizes == [2, 1]
    assert len(found) == 3


@pytest.mark.parametrize("refused", [False, True])
async def test_the_parts_of_months_to_come_are_made_once_a_day_and_in_nobodys_way(
    store: Store, envelope: Make, now: datetime, monkeypatch: pytest.MonkeyPatch, *, refused: bool
) -> None:
    made: list[datetime] = []

    def make_parts(moment: datetime) -> None:
        made.append(moment)
        if refused:
            raise StoreError("permission denied")

    monkeypatch.setattr(store, "make_parts", make_parts)
    with ThreadPoolExecutor(1) as thread:
        taking = Worker(store, thread, signed_only=False)
        acks = [await taking.take_in([arrival]) for arrival in arrivals(envelope, now)]
    assert [len(words) for words in acks] == [1, 1, 1]
    assert len({moment.date() for moment in made}) == len(made)  # more than one only where midnight came meanwhile


async def test_a_worker_makes_the_parts_of_months_to_come(store: Store, envelope: Make, now: datetime) -> None:
    with store._writer.begin() as connection:
        for part in parts(connection):
            if part != OTHER:
                connection.exec_driver_sql(f"ALTER TABLE records DETACH PARTITION {part}")
                connection.exec_driver_sql(f"DROP TABLE {part}")
        on_postgres = connection.dialect.name == "postgresql"
    await take_in(store, arrivals(envelope, now))
    with store._reader.connect() as connection:
        assert len(parts(connection)) == (1 + 1 + AHEAD if on_postgres else 0)
