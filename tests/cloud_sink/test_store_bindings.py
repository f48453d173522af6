"""Whose record it is: who had the kit when it was captured, also when that is entered later."""

import uuid
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from gonio.cloud_sink.store import Store
from gonio.errors import UsageError
from gonio.messages import Envelope

Make = Callable[..., Envelope]
HOUR = timedelta(hours=1)


def owner(store: Store, record: Envelope) -> uuid.UUID | None:
    row = store.session(record.record_id)
    assert row is not None
    return row.patient_id


def test_a_record_belongs_to_who_had_the_kit_at_its_moment(store: Store, envelope: Make, now: datetime) -> None:
    first, second = (store.add_patient(name, "Europe/Berlin") for name in ("A", "B"))
    store.bind_kit("kit-001", first, since=now - 4 * HOUR)
    store.bind_kit("kit-001", second, since=now - 2 * HOUR)
    store.unbind_kit("kit-001", at=now - HOUR)
    moments = [5 * HOUR, 4 * HOUR, 3 * HOUR, 2 * HOUR, HOUR]
    records = [envelope(n + 1, captured=now - ago) for n, ago in enumerate(moments)]
    store.ingest("kit-001", list(reversed(records)), now)
    assert [owner(store, r) for r in records] == [None, first, first, second, None]


def test_binding_later_finds_what_came_before(store: Store, envelope: Make, now: datetime) -> None:
    record = envelope()
    store.ingest("kit-001", [record], now)
    assert owner(store, record) is None
    patient = store.add_patient("A", "Europe/Berlin")
    store.bind_kit("kit-001", patient, since=now - 2 * HOUR)
    assert owner(store, record) == patient


def test_a_wrong_clock_never_shows_a_session_to_the_wrong_patient(store: Store, envelope: Make, now: datetime) -> None:
    first, second = (store.add_patient(name, "Europe/Berlin") for name in ("A", "B"))
    store.bind_kit("kit-001", first, since=now - 4 * HOUR)
    sure = envelope(1, clock="unsynchronised", captured_at="1970-01-01T00:00:10.000+00:00")
    store.ingest("kit-001", [sure], now)
    assert owner(store, sure) == first
    store.bind_kit("kit-001", second, since=now + HOUR)
    unsure = envelope(2, clock="unsynchronised", captured=now - 3 * HOUR)
    store.ingest("kit-001", [unsure], now + 2 * HOUR)
    assert owner(store, unsure) is None
    assert owner(store, sure) == first


def test_binding_again_to_the_same_patient_changes_nothing(store: Store, now: datetime) -> None:
    patient = store.add_patient("A", "Europe/Berlin")
    store.bind_kit("kit-001", patient, since=now - HOUR, side="left")
    store.bind_kit("kit-001", patient, since=now, side="left")
    store.unbind_kit("kit-001", at=now + HOUR)
    with pytest.raises(UsageError, match="nobody has kit"):
        store.unbind_kit("kit-001", at=now + 2 * HOUR)


def test_the_past_is_not_rewritten(store: Store, now: datetime) -> None:
    first, second = (store.add_patient(name, "Europe/Berlin") for name in ("A", "B"))
    store.bind_kit("kit-001", first, since=now)
    with pytest.raises(UsageError, match="bind it from later on"):
        store.bind_kit("kit-001", second, since=now - HOUR)


def test_what_cannot_be_entered(store: Store, now: datetime) -> None:
    with pytest.raises(UsageError, match="printable"):
        store.add_patient(" ", "Europe/Berlin")
    for zone in ("Mars/Olympus", "", "../etc/passwd", "America"):
        with pytest.raises(UsageError, match="no time zone"):
            store.add_patient("A", zone)
    with pytest.raises(UsageError, match="no kit id"):
        store.add_kit("K")
    with pytest.raises(UsageError, match="no patient"):
        store.bind_kit("kit-001", uuid.uuid4(), since=now)
