"""A bad record is kept aside with its reason, is answered, and never harms the good ones beside it."""

import json
import uuid
import zlib
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from gonio.cloud_sink.inbox import Arrival
from gonio.cloud_sink.model import QUARANTINE_BYTES
from gonio.cloud_sink.store import Store
from gonio.cloud_sink.worker import read_publish
from gonio.messages import MAX_INFLATED_BYTES, AckStatus, Envelope, Kind, pack, up_topic

Make = Callable[..., Envelope]
TOPIC = up_topic("kit-001", Kind.SESSION)


def changed(payload: str, **changes: Any) -> str:  # noqa: ANN401 - fields of any type
    return json.dumps(json.loads(payload) | changes)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"kit_id": "kit-002"}, "another kit"),
        ({"captured_at": "1970-01-01T00:00:10.000+00:00"}, "before 2020"),
        ({"captured_at": "2026-03-06T18:00:00.001+00:00"}, "in the future"),
        ({"captured_at": "9999-12-31T23:59:59.999-14:00"}, "outside the calendar"),
        ({"captured_at": "0001-01-01T00:00:00.000+00:00", "clock": "unsynchronised"}, "outside what a clock can show"),
        ({"schema_version": 4}, "schema version 4 of session is not known"),
        ({"kind": "check-in", "schema_version": 2, "payload": "{}"}, "schema version 2 of check-in is not known"),
        ({"payload": "{"}, "JSON"),
        ({"payload": "{}"}, "Field required"),
        ({"kind": "check-in", "payload": "[1]"}, "be an object"),
        ({"kind": "check-in", "payload": "{'a': 1}"}, "Invalid JSON"),
        ({"kind": "check-in", "payload": '{"pain_after": NaN}'}, "finite number"),
        ({"kind": "check-in", "payload": '{"a":' * 5000}, "Invalid JSON"),
        ({"kind": "health", "payload": '"well"'}, "be an object"),
    ],
)
def test_a_record_that_cannot_be_accepted(
    store: Store, envelope: Make, now: datetime, changes: dict[str, Any], reason: str
) -> None:
    bad, good = envelope(1, **changes), envelope(2)
    acks = store.ingest("kit-001", [bad, good], now)
    assert [a.status for a in acks] == [AckStatus.REJECTED, AckStatus.STORED]
    assert acks[0].record_id == bad.record_id
    assert reason in (acks[0].reason or "")
    assert store.audit().records == 1
    kept = store.quarantine()
    assert [(row.topic_kit, row.record_id, row.reason) for row in kept] == [("kit-001", bad.record_id, acks[0].reason)]
    assert Envelope.model_validate_json(kept[0].content) == bad


@pytest.mark.parametrize(
    "changes",
    [
        {"max_flexion_deg": float("nan")},
        {"duration_s": float("inf")},
        {"ok_fraction": 1.5},
        {"side": "middle"},
        {"reps": [{"start_s": 5, "peak_s": 1, "end_s": 2, "signal": "knee", "rom_deg": 1}]},
        {"invented": 1},
    ],
)
def test_a_session_against_its_schema(
    store: Store, envelope: Make, session_payload: Callable[..., str], now: datetime, changes: dict[str, Any]
) -> None:
    (ack,) = store.ingest("kit-001", [envelope(payload=changed(session_payload(), **changes))], now)
    assert ack.status is AckStatus.REJECTED
    assert (store.audit().records, store.audit().quarantined) == (0, 1)


@pytest.mark.parametrize("captured_at", ["1970-01-01T00:00:10.000+00:00", "2099-01-01T00:00:00.000+00:00"])
def test_a_clock_that_owns_to_being_wrong_is_evidence(
    store: Store, envelope: Make, now: datetime, captured_at: str
) -> None:
    (ack,) = store.ingest("kit-001", [envelope(captured_at=captured_at, clock="unsynchronised")], now)
    assert ack.status is AckStatus.STORED


def test_the_same_id_with_other_content(store: Store, envelope: Make, now: datetime) -> None:
    first = envelope(1)
    changed_later = envelope(2, record_id=first.record_id)
    store.ingest("kit-001", [first], now)
    (ack,) = store.ingest("kit-001", [changed_later], now)
    assert ack.status is AckStatus.REJECTED
    assert "other content" in (ack.reason or "")
    assert store.audit().records == 1


def test_the_same_sequence_under_another_id(store: Store, envelope: Make, now: datetime) -> None:
    acks = store.ingest("kit-001", [envelope(1), envelope(1)], now)
    assert [a.status for a in acks] == [AckStatus.STORED, AckStatus.REJECTED]
    assert (store.audit().records, store.audit().quarantined) == (1, 1)


def test_another_kit_cannot_repeat_a_record_as_its_own(store: Store, envelope: Make, now: datetime) -> None:
    record = envelope(1)
    store.ingest("kit-001", [record], now)
    (ack,) = store.ingest("kit-002", [record.model_copy(update={"kit_id": "kit-002"})], now)
    assert ack.status is AckStatus.REJECTED


def test_a_refusal_that_comes_again_is_counted_not_kept_again(store: Store, envelope: Make, now: datetime) -> None:
    bad = envelope(1, schema_version=9)
    for minute in range(3):
        store.ingest("kit-001", [bad, bad], now + timedelta(minutes=minute))
    (row,) = store.quarantine()
    assert (row.times, row.last_received_at) == (6, now + timedelta(minutes=2))


def test_a_huge_refusal_is_kept_in_part(store: Store, now: datetime) -> None:
    store.ingest_batch([read_publish(Arrival(TOPIC, b"x" * 10_000_000, now))])
    (row,) = store.quarantine()
    assert (len(row.content), row.content_bytes) == (QUARANTINE_BYTES, 10_000_000)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "cut short"),
        (b"not zlib", "not zlib"),
        (zlib.compress(b"[]"), "list of 1 to"),
        (zlib.compress(b"{}"), "list of 1 to"),
        (zlib.compress(b"[" + b"1," * 100 + b"1]"), "list of 1 to"),
        (zlib.compress(b'["\xff\xfe"]'), "not JSON"),
        (zlib.compress(b"[1"), "not JSON"),
        (zlib.compress(b"[" * 100_000), "not JSON"),
        (zlib.compress(b"[1]")[:-3], "cut short"),
        (zlib.compress(b"[1]") + b"more", "bytes after its end"),
        (zlib.compress(b"0" * (MAX_INFLATED_BYTES + 1), 9), "inflates to over"),
    ],
)
def test_a_publish_that_cannot_be_read(store: Store, now: datetime, data: bytes, reason: str) -> None:
    assert store.ingest_batch([read_publish(Arrival(TOPIC, data, now))]) == [[]]
    (row,) = store.quarantine()
    assert reason in row.reason
    assert row.content == data[:QUARANTINE_BYTES]


def test_elements_that_are_no_records(store: Store, envelope: Make, now: datetime) -> None:
    good = envelope(1)
    known = uuid.uuid4()
    items = [
        json.loads(good.model_dump_json()),
        17,
        {"record_id": str(known), "kind": "session"},
        json.loads(envelope(2).model_dump_json()) | {"surprise": 1},
        json.loads(envelope(3).model_dump_json()) | {"\ud800" * 3: 1, "\x00\n": 2},
        json.loads(envelope(4).model_dump_json()) | {"f" * 100_000: 1},
        json.loads(envelope(5).model_dump_json()) | {"payload": "\ud800"},
    ]
    delivery = read_publish(Arrival(TOPIC, zlib.compress(json.dumps(items).encode()), now))
    (acks,) = store.ingest_batch([delivery])
    assert [a.status for a in acks] == [AckStatus.STORED] + [AckStatus.REJECTED] * 5
    assert acks[1].record_id == known
    assert all((a.reason or "").isprintable() for a in acks)
    assert store.audit().quarantined == 6


def test_a_topic_that_is_no_kits(store: Store, envelope: Make, now: datetime) -> None:
    assert store.ingest_batch([read_publish(Arrival("gonio/v1/UPPER/up/session", pack([envelope(1)]), now))]) == [[]]
    assert store.quarantine()[0].topic_kit == ""
