"""Between the broker and the book: what happens to a batch when the book will not take it."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import pytest

from gonio.cloud_sink import worker
from gonio.cloud_sink.engine import StoreError, StoreUnavailableError
from gonio.cloud_sink.inbox import Arrival
from gonio.cloud_sink.model import Delivery
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
        acks = await Worker(store, thread).take_in(batch)
    return {kit: [ack.status for ack in words] for kit, words in acks}


async def test_one_publish_that_the_book_refuses_does_not_block_the_others(
    store: Store, envelope: Make, now: datetime, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real = store.ingest_batch

    def refusing(deliveries: Sequence[Delivery]) -> list[list[Ack]]:
        if any(delivery.kit_id == "kit-002" for delivery in deliveries):
            raise StoreError("no")
        return real(deliveries)

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

    def failing(deliveries: Sequence[Delivery]) -> list[list[Ack]]:
        nonlocal failures
        if failures:
            failures -= 1
            raise StoreUnavailableError("locked")
        return real(deliveries)

    monkeypatch.setattr(store, "ingest_batch", failing)
    found = await take_in(store, arrivals(envelope, now))
    assert set(found) == {"kit-001", "kit-002", "kit-003"}
    assert store.audit().records == 3


async def test_a_large_batch_is_stored_in_bounded_transactions(
    store: Store, envelope: Make, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "MAX_GROUP_RECORDS", 2)
    real, sizes = store.ingest_batch, []

    def counting(deliveries: Sequence[Delivery]) -> list[list[Ack]]:
        sizes.append(len(deliveries))
        return real(deliveries)

    monkeypatch.setattr(store, "ingest_batch", counting)
    found = await take_in(store, arrivals(envelope, now))
    assert sizes == [2, 1]
    assert len(found) == 3
