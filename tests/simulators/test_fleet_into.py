"""A fleet's history straight in a book: the same patients, once, whatever was stopped; nothing of it is a data day."""

import json
import sqlite3
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from typer.testing import CliRunner

from gonio.cli.main import app
from gonio.cloud_sink.schema import RECORDS
from gonio.cloud_sink.store import Store, open_store
from gonio.errors import PeerError
from gonio.messages import Kind
from gonio.simulators import fleet_into
from gonio.simulators.fleet_into import IntoOptions, put_fleet


def options(folder: Path, *, kits: int = 3, records: int = 40) -> IntoOptions:
    return IntoOptions(
        kits=kits,
        records=records,
        book=f"sqlite:///{folder}/book.db",
        data_dir=folder / "fleet",
        truth=folder / "truth",
        processes=1,
    )


def quiet(_: str) -> None:
    pass


def truth_of(folder: Path) -> dict[str, dict[str, Any]]:
    return {line["record_id"]: line for line in map(json.loads, (folder / "truth").read_text().splitlines())}


def book_of(store: Store) -> dict[str, tuple[str, int, str, str]]:
    columns = RECORDS.c
    with store._engine.connect() as connection:
        rows = connection.execute(
            select(columns.record_id, columns.kit_id, columns.sequence, columns.kind, columns.content_hash)
        )
        return {str(row[0]): (row[1], row[2], row[3], row[4].hex()) for row in rows}


def test_the_book_holds_what_the_truth_says_and_no_data_day(tmp_path: Path) -> None:
    result = put_fleet(options(tmp_path), quiet)
    assert (result.kits, result.records, result.stored) == (3, 120, 120)
    truth = truth_of(tmp_path)
    with open_store(options(tmp_path).book) as store:
        found = book_of(store)
        audit = store.audit()
        patients = store.patients()
    assert found == {key: (line["kit"], line["sequence"], line["kind"], line["sha256"]) for key, line in truth.items()}
    assert len(found) == 120
    assert {kind for _, _, kind, _ in found.values()} >= {Kind.SESSION.value, Kind.CHECK_IN.value}
    assert (audit.doubled, audit.gaps, audit.quarantined, audit.data_days) == (0, (), 0, 0)
    assert audit.unassigned == 0
    assert len(patients) == 3


def test_records_arrive_when_they_would_have(tmp_path: Path) -> None:
    put_fleet(options(tmp_path, kits=1), quiet)
    truth = truth_of(tmp_path)
    with open_store(options(tmp_path).book) as store, store._engine.connect() as connection:
        for record_id, received_at in connection.execute(select(RECORDS.c.record_id, RECORDS.c.received_at)):
            true_at = datetime.fromisoformat(truth[str(record_id)]["true_at"])
            assert timedelta() < received_at - true_at <= timedelta(minutes=10)


def test_stopped_and_started_again_it_puts_in_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet_into, "BATCH", 7)
    real, calls = Store.ingest_batch, 0

    class StoppedError(Exception):
        pass

    def ingest(*arguments: object, signed_only: bool) -> object:
        nonlocal calls
        calls += 1
        if calls == 8:
            raise StoppedError
        return real(*arguments, signed_only=signed_only)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(Store, "ingest_batch", ingest)
        with pytest.raises(StoppedError):
            put_fleet(options(tmp_path), quiet)
    result = put_fleet(options(tmp_path), quiet)
    assert 0 < result.stored < result.records == 120
    assert put_fleet(options(tmp_path), quiet).stored == 0
    assert len(truth_of(tmp_path)) == 120 == len((tmp_path / "truth").read_text().splitlines())
    with open_store(options(tmp_path).book) as store:
        assert book_of(store).keys() == truth_of(tmp_path).keys()
        assert len(store.patients()) == 3


def test_another_fleet_in_the_same_book_has_other_kits(tmp_path: Path) -> None:
    put_fleet(options(tmp_path), quiet)
    other = replace(options(tmp_path), data_dir=tmp_path / "other", truth=None)
    assert put_fleet(other, quiet).stored == 120
    with open_store(other.book) as store:
        assert store.audit().records == 240


def test_a_book_that_holds_something_else_under_an_id_is_told(tmp_path: Path) -> None:
    put_fleet(options(tmp_path, kits=1), quiet)
    with sqlite3.connect(tmp_path / "book.db") as db:
        db.execute("UPDATE records SET content_hash = zeroblob(32) WHERE sequence = 5")
    db.close()
    with pytest.raises(PeerError, match="refuses record"):
        put_fleet(options(tmp_path, kits=1), quiet)


def test_the_command_uses_several_processes_and_says_what_it_did(tmp_path: Path) -> None:
    wanted = options(tmp_path, kits=5, records=30)
    arguments = ["simulate", "fleet", "--kits", "5", "--records", "30", "--data-dir", str(wanted.data_dir)]
    said = CliRunner().invoke(app, [*arguments, "--into", wanted.book, "--json"])
    assert said.exit_code == 0, said.output
    told = json.loads(said.output.splitlines()[-1])
    assert (told["source"], told["records"], told["made"]) == ("simulated", 150, 150)
    for wrong in (["--into", wanted.book, "--rate", "5"], []):
        refused = CliRunner().invoke(app, [*arguments, *wrong])
        assert refused.exit_code != 0
