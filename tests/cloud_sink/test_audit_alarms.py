"""Refused records that tell of a fault or a forgery stand in the audit log, once each."""

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from gonio.cloud_sink.alarm import Alarm
from gonio.cloud_sink.audit_log import export, verify
from gonio.cloud_sink.store import Store, open_store
from gonio.errors import UsageError
from gonio.messages import Envelope

Make = Callable[..., Envelope]


def alarms(store: Store) -> list[dict[str, Any]]:
    with store._reader.connect() as connection:
        assert verify(connection).intact
        return [json.loads(line) for line in export(connection) if '"record-refused"' in line]


def kinds(store: Store) -> list[tuple[str, str]]:
    return [(line["subject_id"], json.loads(line["detail"])["alarm"]) for line in alarms(store)]


def test_changed_content_under_a_known_id_is_an_alarm(store: Store, envelope: Make, now: datetime) -> None:
    first = envelope(1)
    changed = first.model_copy(update={"payload": envelope(1).payload.replace("heel-slide", "mini-squat")})
    store.ingest("kit-001", [first, changed], now)
    (line,) = alarms(store)
    assert json.loads(line["detail"]) == {
        "alarm": Alarm.SAME_ID,
        "quarantine_id": json.loads(line["detail"])["quarantine_id"],
        "record_id": str(first.record_id),
        "outbox_id": str(first.outbox_id),
        "sequence": 1,
    }
    assert (line["actor"], line["subject_kind"], line["subject_id"]) == ("system:intake", "kit", "kit-001")
    assert "mini-squat" not in json.dumps(line)


def test_a_sequence_used_again_is_an_alarm(store: Store, envelope: Make, now: datetime) -> None:
    store.ingest("kit-001", [envelope(1), envelope(1)], now)
    assert kinds(store) == [("kit-001", Alarm.SAME_SEQUENCE)]


def test_another_kits_record_is_an_alarm(store: Store, envelope: Make, now: datetime) -> None:
    store.ingest("kit-002", [envelope(1)], now)
    assert kinds(store) == [("kit-002", Alarm.OTHER_KIT)]


def test_a_repeated_alarm_is_noted_once(store: Store, envelope: Make, now: datetime) -> None:
    forged = envelope(1)
    for n in range(3):
        store.ingest("kit-002", [forged, forged], now + timedelta(minutes=n))
    assert len(alarms(store)) == 1
    (row,) = store.quarantine()
    assert row.times == 6
    store.ingest("kit-002", [envelope(2), forged], now)
    assert len(alarms(store)) == 2


def test_a_record_that_is_merely_wrong_is_no_alarm(store: Store, envelope: Make, now: datetime) -> None:
    store.ingest("kit-001", [envelope(1, schema_version=999)], now)
    assert len(store.quarantine()) == 1
    assert alarms(store) == []


def actions(store: Store) -> list[tuple[str, str, str]]:
    with store._reader.connect() as connection:
        assert verify(connection).intact
        lines = [json.loads(line) for line in export(connection)]
    return [(line["actor"], line["action"], line["subject_id"]) for line in lines]


def test_what_is_done_to_people_and_kits_is_noted_once_it_changes_something(store_url: str, now: datetime) -> None:
    with open_store(store_url, actor="operator:ann") as store:
        patient = store.add_patient("Somebody's Name", "UTC")
        for _ in range(2):
            store.add_kit("kit-001", "blue")
            store.bind_kit("kit-001", patient, since=now)
        store.unbind_kit("kit-001", at=now + timedelta(days=1))
        store.rederive()
        assert actions(store) == [
            ("operator:ann", "patient-added", str(patient)),
            ("operator:ann", "kit-added", "kit-001"),
            ("operator:ann", "kit-bound", "kit-001"),
            ("operator:ann", "kit-unbound", "kit-001"),
            ("operator:ann", "derived-tables-made-again", "book"),
        ]
        assert "Somebody" not in "".join(store.proof.export_log())


def test_what_is_refused_is_not_noted(store: Store, now: datetime) -> None:
    with pytest.raises(UsageError):
        store.add_patient("", "UTC")
    with pytest.raises(UsageError):
        store.unbind_kit("kit-001", at=now)
    assert actions(store) == []
