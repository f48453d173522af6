"""What is old enough goes, with all that derives from it; that it was there, and that nothing is missing, stays."""

import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select
from typer.testing import CliRunner

from gonio.cli.main import app
from gonio.cloud_sink import schema_all
from gonio.cloud_sink.audit_log import Action
from gonio.cloud_sink.partitions import first_id, make_parts, parts
from gonio.cloud_sink.retention import remove_expired, years_before
from gonio.cloud_sink.schema import DAY_ENTRIES, HOME_CLINIC, RECORDS, SESSIONS
from gonio.cloud_sink.schema_audit import AUDIT_LOG
from gonio.cloud_sink.store import Store, open_store
from gonio.messages import AckStatus, Envelope, wire_time

NOW = datetime(2034, 6, 15, 12, tzinfo=UTC)
OLD = datetime(2026, 3, 5, 18, tzinfo=UTC)
BEFORE = years_before(NOW, 7)


def old_id(number: int) -> uuid.UUID:
    return uuid.UUID(int=first_id(OLD).int | 0x7 << 76 | 0b10 << 62 | number)


@pytest.fixture
def filled(store: Store, envelope: Callable[..., Envelope]) -> tuple[Store, list[Envelope]]:
    """A book with five records of 2026, each of its own part of derived tables, and two of 2034."""
    with store._writer.begin() as connection:
        make_parts(connection, OLD)
        make_parts(connection, NOW)
    patient = store.add_patient("A", "America/Chicago")
    store.bind_kit("kit-001", patient, since=OLD - timedelta(days=90))
    kinds = ("session", "session", "check-in", "message", "preference")
    old = [
        envelope(n, record_id=old_id(n), kind=kind, captured_at=wire_time(OLD)) for n, kind in enumerate(kinds, start=1)
    ]
    new = [envelope(n, captured_at=wire_time(NOW)) for n in (6, 7)]
    assert {ack.status for ack in store.ingest("kit-001", old, OLD)} == {AckStatus.STORED}
    assert {ack.status for ack in store.ingest("kit-001", new, NOW)} == {AckStatus.STORED}
    return store, [*old, *new]


def rows(store: Store) -> dict[str, int]:
    with store._reader.connect() as connection:
        return {
            table.name: connection.execute(select(func.count()).select_from(table)).scalar_one()
            for table in schema_all.METADATA.sorted_tables
        }


def test_old_records_go_with_all_that_derives_from_them(filled: tuple[Store, list[Envelope]]) -> None:
    store, sent = filled
    with store._reader.connect() as connection:
        months = parts(connection)
    told: list[int] = []
    found = store.remove_expired(BEFORE, actor="operator:test", told=told.append)
    assert (found.records, found.first_received, found.last_received) == (5, OLD, OLD)
    assert told[-1] == 5
    left = rows(store)
    assert (left["records"], left["sessions"], left["day_entries"]) == (2, 2, 2)
    with store._reader.connect() as connection:
        kept = set(connection.scalars(select(RECORDS.c.record_id)))
        assert kept == {envelope.record_id for envelope in sent[5:]}
        for table in (SESSIONS, DAY_ENTRIES):
            assert set(connection.scalars(select(table.c.record_id))) == kept
        assert set(parts(connection)) == set(months) - {"records_2026_03"}
        last = connection.execute(select(AUDIT_LOG).order_by(AUDIT_LOG.c.number.desc())).mappings().first()
    assert last is not None
    assert (last["action"], last["actor"], last["clinic_id"]) == (Action.RETENTION, "operator:test", HOME_CLINIC)


def test_what_was_removed_is_no_gap_and_is_not_taken_in_again(filled: tuple[Store, list[Envelope]]) -> None:
    store, sent = filled
    store.remove_expired(BEFORE, actor="operator:test")
    assert store.audit().gaps == ()
    assert [ack.status for ack in store.ingest("kit-001", sent, NOW)] == [AckStatus.REPEATED] * 7
    assert (rows(store)["records"], store.audit().quarantined) == (2, 0)
    (ack,) = store.ingest("kit-001", [sent[0].model_copy(update={"record_id": old_id(99)})], NOW)
    assert ack.status is AckStatus.REJECTED


@pytest.mark.parametrize("size", [1, 2, 3])
def test_one_that_was_stopped_goes_on(filled: tuple[Store, list[Envelope]], size: int) -> None:
    store, _ = filled

    class Stopped(Exception):  # noqa: N818 - as a power cut would
        pass

    def stop(_: int) -> None:
        raise Stopped

    with pytest.raises(Stopped):
        remove_expired(store._writer, BEFORE, actor="operator:test", told=stop, size=size)
    partly = rows(store)["records"]
    assert 2 <= partly < 7
    remove_expired(store._writer, BEFORE, actor="operator:test", size=size)
    assert rows(store)["records"] == 2
    assert store.expired(BEFORE).records == 0


def test_a_record_is_old_by_when_it_was_received(
    store: Store, envelope: Callable[..., Envelope], now: datetime
) -> None:
    late = envelope(1, record_id=old_id(1), captured_at=wire_time(OLD))
    store.ingest("kit-001", [late], NOW)
    assert store.remove_expired(BEFORE, actor="operator:test").records == 0
    assert rows(store)["records"] == 1


def test_a_leap_day_has_an_anniversary() -> None:
    assert years_before(datetime(2032, 2, 29, tzinfo=UTC), 7) == datetime(2025, 2, 28, tzinfo=UTC)


def test_the_command_says_what_would_go_and_removes_only_when_told(
    store_url: str, envelope: Callable[..., Envelope], now: datetime
) -> None:
    longer_ago = datetime.now(UTC) - timedelta(days=6 * 366 + 30)
    with open_store(store_url) as store:
        store.ingest("kit-001", [envelope(1, captured_at=wire_time(longer_ago))], longer_ago)
    run = CliRunner().invoke
    looked = run(app, ["sink", "retain", "--store", store_url, "--years", "6"])
    assert "1 records" in looked.output
    assert "nothing was (add --remove)" in looked.output
    assert run(app, ["sink", "retain", "--store", store_url, "--years", "2", "--remove"]).exit_code != 0
    assert run(app, ["sink", "retain", "--store", store_url, "--years", "6", "--remove"]).exit_code == 0
    again = run(app, ["sink", "retain", "--store", store_url, "--years", "6", "--remove"])
    assert "there is nothing to remove" in again.output
