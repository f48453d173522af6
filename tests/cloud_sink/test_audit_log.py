"""The audit log: a chain of rows in which every change is found, and found at its place."""

import json
import threading
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import insert, text
from sqlalchemy.exc import DBAPIError

from gonio.cloud_sink.audit_log import Action, Entry, Head, LogCheck, append, export, verify
from gonio.cloud_sink.schema import CLINICS, HOME_CLINIC
from gonio.cloud_sink.store import Store

OTHER_CLINIC = UUID("00000000-0000-7000-8000-000000000002")


def entry(name: str = "kit-001", clinic: UUID = HOME_CLINIC, **changes: Any) -> Entry:  # noqa: ANN401 - of an Entry
    return Entry(
        **{
            "clinic_id": clinic,
            "actor": "operator:test",
            "action": Action.KIT_ADDED,
            "subject_kind": "kit",
            "subject_id": name,
            **changes,
        }
    )


def write(store: Store, *entries: Entry) -> None:
    with store._writer.begin() as connection:
        append(connection, entries)


def check(store: Store, *anchors: Head) -> LogCheck:
    with store._reader.connect() as connection:
        return verify(connection, anchors)


def tamper(store: Store, *statements: str) -> None:
    """Change the log as its database's owner can: with the triggers out of the way."""
    with store._writer.begin() as connection:
        if connection.dialect.name == "sqlite":
            names = connection.execute(text("SELECT name FROM sqlite_schema WHERE type = 'trigger'")).scalars().all()
            for name in names:
                connection.exec_driver_sql(f"DROP TRIGGER {name}")
        else:
            for table in ("audit_log", "audit_heads"):
                connection.exec_driver_sql(f"ALTER TABLE {table} DISABLE TRIGGER ALL")
        for statement in statements:
            connection.exec_driver_sql(statement)


def faults(store: Store, *anchors: Head) -> list[tuple[int, str]]:
    return [(fault.number, fault.what) for fault in check(store, *anchors).faults]


@pytest.fixture
def log(store: Store) -> Store:
    """Give a store whose log has 7 rows."""
    write(store, *(entry(f"kit-{n}") for n in range(1, 4)))
    for n in range(4, 8):
        write(store, entry(f"kit-{n}", reason="moved", detail={"n": n, "to": "ünïcode\u0000"}))
    return store


def test_a_log_that_nobody_touched_is_intact(log: Store) -> None:
    found = check(log)
    assert (found.rows, found.intact, found.faults) == (7, True, ())
    assert [head.number for head in found.heads] == [7]


def test_an_empty_log_is_intact(store: Store) -> None:
    assert check(store) == LogCheck(0, (), (), 0)


@pytest.mark.parametrize("column", ["actor", "action", "subject_kind", "subject_id", "reason", "detail"])
def test_a_changed_row_is_found_at_its_place(log: Store, column: str) -> None:
    tamper(log, f"UPDATE audit_log SET {column} = '{{}}x' WHERE number = 3")  # noqa: S608 - names of the test
    assert faults(log) == [(3, "its content is not what was written")]


def test_a_changed_time_is_found(log: Store) -> None:
    tamper(log, "UPDATE audit_log SET at = (SELECT min(at) FROM audit_log) WHERE number = 5")
    assert [number for number, _ in faults(log)] == [5]


def test_a_removed_row_is_found(log: Store) -> None:
    tamper(log, "DELETE FROM audit_log WHERE number IN (3, 4)")
    assert faults(log) == [(3, "rows 3 to 4 are missing")]


def test_a_removed_first_row_is_found(log: Store) -> None:
    tamper(log, "DELETE FROM audit_log WHERE number = 1")
    assert faults(log) == [(1, "rows 1 to 1 are missing")]


def test_a_row_removed_and_the_rest_renumbered_is_found(log: Store) -> None:
    tamper(
        log,
        "DELETE FROM audit_log WHERE number = 6",
        "UPDATE audit_log SET number = 6 WHERE number = 7",
        "UPDATE audit_heads SET number = 6",
    )
    assert [number for number, _ in faults(log)] == [6, 6]


def test_two_rows_that_changed_places_are_found(log: Store) -> None:
    tamper(
        log,
        "UPDATE audit_log SET number = 100 WHERE number = 2",
        "UPDATE audit_log SET number = 2 WHERE number = 3",
        "UPDATE audit_log SET number = 3 WHERE number = 100",
    )
    assert {number for number, _ in faults(log)} == {2, 3, 4}


def test_a_log_cut_at_its_end_is_found(log: Store) -> None:
    tamper(log, "DELETE FROM audit_log WHERE number > 5")
    assert faults(log) == [(6, "the log was cut: rows 6 to 7 are missing at its end")]


def test_a_log_cut_with_its_head_is_found_by_what_was_noted_earlier(log: Store) -> None:
    (noted,) = check(log).heads
    tamper(
        log,
        "DELETE FROM audit_log WHERE number > 5",
        "UPDATE audit_heads SET number = 5, row_hash = (SELECT row_hash FROM audit_log WHERE number = 5)",
    )
    assert faults(log) == []  # the chain alone cannot tell
    assert faults(log, noted) == [(7, "the row that was noted earlier is not there")]


def test_a_log_written_anew_is_found_by_what_was_noted_earlier(log: Store) -> None:
    (noted,) = check(log).heads
    tamper(log, "DELETE FROM audit_log", "DELETE FROM audit_heads")
    write(log, *(entry(f"kit-{n}") for n in range(1, 10)))
    assert check(log).intact
    assert faults(log, noted) == [(7, "it is not the row that was noted earlier")]


def test_a_row_put_in_behind_the_head_is_found(log: Store) -> None:
    tamper(
        log,
        "INSERT INTO audit_log SELECT clinic_id, 8, at, actor, action, subject_kind, subject_id, reason, detail, "
        "row_hash, row_hash FROM audit_log WHERE number = 7",
    )
    assert (8, "rows stand behind the log's head") in faults(log)


def test_a_removed_head_is_found(log: Store) -> None:
    tamper(log, "DELETE FROM audit_heads")
    assert faults(log) == [(7, "the log has rows and its head is missing")]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_log SET reason = 'other' WHERE number = 1",
        "DELETE FROM audit_log",
        "DELETE FROM audit_heads",
        "UPDATE audit_heads SET number = 3",
    ],
)
def test_the_database_refuses_to_change_the_log(log: Store, statement: str) -> None:
    with pytest.raises(DBAPIError, match="audit log"), log._writer.begin() as connection:
        connection.exec_driver_sql(statement)
    assert check(log).intact


def test_an_entry_goes_with_its_transaction(log: Store) -> None:
    with log._writer.connect() as connection, connection.begin() as transaction:
        append(connection, [entry("never")])
        transaction.rollback()
    assert check(log).rows == 7


def test_each_clinic_has_a_chain_of_its_own(log: Store) -> None:
    with log._writer.begin() as connection:
        connection.execute(insert(CLINICS).values(clinic_id=OTHER_CLINIC, name="Other", time_zone="UTC"))
    write(log, entry("a", OTHER_CLINIC), entry("b"), entry("c", OTHER_CLINIC))
    found = check(log)
    assert found.intact
    assert [(head.clinic_id, head.number) for head in found.heads] == [(HOME_CLINIC, 8), (OTHER_CLINIC, 2)]


def test_writers_at_once_make_one_chain(log: Store) -> None:
    def note(worker: int) -> None:
        for n in range(10):
            write(log, entry(f"worker-{worker}-{n}"))

    workers = [threading.Thread(target=note, args=(n,)) for n in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    found = check(log)
    assert (found.rows, found.intact) == (47, True)


def test_the_export_has_every_row_once_in_order(log: Store) -> None:
    with log._reader.connect() as connection:
        lines = [json.loads(line) for line in export(connection)]
    assert [line["number"] for line in lines] == list(range(1, 8))
    assert lines[0]["previous_hash"] == "00" * 32
    assert [line["previous_hash"] for line in lines[1:]] == [line["row_hash"] for line in lines[:-1]]
    assert json.loads(lines[6]["detail"]) == {"n": 7, "to": "ünïcode\u0000"}


TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)


@given(
    rows=st.lists(
        st.builds(
            entry, TEXT, actor=TEXT, action=TEXT, reason=TEXT, detail=st.dictionaries(TEXT, TEXT | st.integers())
        ),
        max_size=5,
    ),
    at=st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30)),  # noqa: DTZ001 - made aware below
)
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_written_reads_back_intact(store: Store, rows: list[Entry], at: datetime) -> None:
    with store._writer.begin() as connection:
        append(connection, rows, at=at.replace(tzinfo=UTC))
    assert check(store).intact


def test_an_entry_that_is_too_long_is_refused_before_anything_is_written() -> None:
    with pytest.raises(ValueError, match="reason of an audit entry has at most 500"):
        entry(reason="x" * 501)
