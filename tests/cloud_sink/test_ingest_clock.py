"""A worker's clock that goes back: no good record is refused for it, and none is told a wrong moment without need."""

import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest
from sqlalchemy import select

from gonio.cloud_sink.arrival_clock import STEP_BACK, ArrivalClock
from gonio.cloud_sink.inbox import Arrival
from gonio.cloud_sink.judge import MAX_AHEAD
from gonio.cloud_sink.model import Delivery
from gonio.cloud_sink.schema import RECORDS
from gonio.cloud_sink.store import Store
from gonio.cloud_sink.worker import Worker
from gonio.messages import AckStatus, BadRecord, Envelope, Kind, pack, up_topic

Make = Callable[..., Envelope]
DECADE = timedelta(days=3650)
SECOND = timedelta(seconds=1)


def delivery(at: datetime, *items: Envelope | BadRecord) -> Delivery:
    return Delivery("kit-001", items, at)


@pytest.mark.parametrize("back", [timedelta(0), STEP_BACK])
def test_a_small_step_back_is_no_fault_and_a_record_from_the_future_is_judged(
    envelope: Make, now: datetime, back: timedelta
) -> None:
    clock = ArrivalClock(now + back)
    from_the_future = delivery(now, envelope(1, captured=now + MAX_AHEAD + SECOND))
    assert clock.place(from_the_future) is from_the_future


def test_after_a_jump_back_records_are_held_against_the_latest_moment_seen(
    envelope: Make, now: datetime, caplog: pytest.LogCaptureFixture
) -> None:
    clock = ArrivalClock(None)
    clock.place(delivery(now))
    old, new, ahead = (
        envelope(n, captured=at) for n, at in ((1, now - DECADE), (2, now + MAX_AHEAD), (3, now + MAX_AHEAD + SECOND))
    )
    unset = envelope(4, captured=now + DECADE, clock="unsynchronised")
    bad = BadRecord("0", "no record", None)
    jumped = now - DECADE
    assert clock.place(delivery(jumped, old, bad)) == delivery(jumped, old, bad)
    assert clock.place(delivery(jumped, old, new, ahead, unset, bad)) == delivery(now, old, new, unset, bad)
    assert clock.place(delivery(jumped, ahead)) == delivery(now)
    assert clock.place(delivery(jumped, unset)) == delivery(now, unset)
    assert caplog.text.count("set it") == 1


def test_after_a_jump_ahead_that_was_put_right_the_right_clock_is_believed(envelope: Make, now: datetime) -> None:
    clock = ArrivalClock(now + DECADE)
    usual = delivery(now, envelope(1, captured=now))
    assert clock.place(usual) is usual


async def test_no_good_record_is_refused_by_a_worker_whose_clock_went_back(
    store: Store, envelope: Make, now: datetime
) -> None:
    first, good, ahead = (envelope(n, captured=at) for n, at in ((1, now), (2, now + SECOND), (3, now + 2 * MAX_AHEAD)))
    store.ingest("kit-001", [first], now)
    topic = up_topic("kit-001", Kind.SESSION)
    with ThreadPoolExecutor(1) as thread:
        started_back = Worker(store, thread, signed_only=False)
        acks = await started_back.take_in([Arrival(topic, pack([good, ahead]), now - DECADE)])
        assert [(ack.record_id, ack.status) for _, words in acks for ack in words] == [
            (good.record_id, AckStatus.STORED)
        ]
        assert store.audit().quarantined == 0
        with store._reader.connect() as connection:
            assert set(connection.execute(select(RECORDS.c.received_at)).scalars()) == {now}
        put_right = await started_back.take_in([Arrival(topic, pack([ahead]), now + 2 * MAX_AHEAD)])
    assert [ack.status for _, words in put_right for ack in words] == [AckStatus.STORED]


async def test_a_record_without_a_date_is_its_patients_though_the_workers_clock_went_back(
    store: Store, envelope: Make, now: datetime
) -> None:
    patient = store.add_patient("A", "America/Chicago")
    store.bind_kit("kit-001", patient, since=now - timedelta(days=3))
    store.ingest("kit-001", [envelope(1, captured=now)], now)
    undated = envelope(2, captured=now - DECADE, clock="unsynchronised", boot_id=uuid.UUID(int=99))
    with ThreadPoolExecutor(1) as thread:
        publish = Arrival(up_topic("kit-001", Kind.SESSION), pack([undated]), now - DECADE)
        acks = await Worker(store, thread, signed_only=False).take_in([publish])
    assert [ack.status for _, words in acks for ack in words] == [AckStatus.STORED]
    session = store.session(undated.record_id)
    assert session is not None
    assert session.patient_id == patient
