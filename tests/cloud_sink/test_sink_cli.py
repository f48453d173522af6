"""What operators type: ``gonio clinic …`` and ``gonio sink audit``."""

import json
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from gonio.cli import clinic, sink, sink_audit
from gonio.cloud_sink.store import open_store
from gonio.errors import UsageError
from gonio.messages import Envelope


def run(app: typer.Typer, *arguments: str) -> str:
    result = CliRunner().invoke(app, arguments)
    if result.exception is not None:
        raise result.exception
    return result.stdout


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/book.db"


def audited(*arguments: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run(sink.app, "audit", "--json", *arguments).splitlines()[-1])
    return found


def test_a_patient_a_kit_and_what_the_audit_says(url: str, envelope: Callable[..., Envelope], now: datetime) -> None:
    patient = run(clinic.app, "patient", "add", "A B", "--store", url, "--time-zone", "America/Chicago").strip()
    run(clinic.app, "kit", "bind", "kit-001", patient, "--store", url, "--since", "2026-03-01T00:00:00-06:00")
    with open_store(url) as store:
        store.ingest("kit-001", [envelope(1), envelope(4), envelope(6, schema_version=7)], now)
    outbox = str(uuid.UUID(int=1))
    found = audited("--store", url)
    log = found.pop("audit_log")
    assert found == {
        "records": 2,
        "doubled": 0,
        "missing": [
            {"kit": "kit-001", "outbox": outbox, "count": 2, "sequences": [2, 3], "known": {"unknown": 2}},
        ],
        "waiting": [],
        "lost": 0,
        "quarantined": 1,
        "data_days": 1,
        "unassigned": 0,
        "unsynchronised": 0,
        "repaired": 0,
        "voided": 0,
        "removed": 0,
    }
    assert (log["rows"], log["intact"], log["faults"]) == (2, True, [])
    text = run(sink.app, "audit", "--store", url)
    assert "sequences 2 to 3: the kit has not said whether it holds it" in text
    assert "audit log: 2 rows, unchanged" in text
    run(clinic.app, "kit", "unbind", "kit-001", "--store", url, "--at", "2026-03-01T00:00:01-06:00")
    assert audited("--store", url)["data_days"] == 0
    assert "2 sessions belong to no patient" in run(sink.app, "audit", "--store", url)
    assert patient in run(clinic.app, "patient", "list", "--store", url)


def test_the_audit_tells_day_by_day(url: str, envelope: Callable[..., Envelope], now: datetime) -> None:
    with open_store(url) as store:
        early = now - timedelta(days=3)
        store.ingest("kit-001", [envelope(1, captured=early), envelope(4), envelope(5)], now)
        store.ingest("kit-002", [envelope(1, kit_id="kit-002", outbox_id=uuid.UUID(int=3))], now)
    found = audited("--store", url, "--days", "--kit", "kit-001")
    assert [(day["date"], day["records"], day["late"]) for day in found["days"]] == [
        ("2026-03-05", 2, 0),
        ("2026-03-02", 1, 1),
    ]
    assert found["days"][0]["here"] == [{"outbox": str(uuid.UUID(int=1)), "first": 4, "last": 5}]
    (lack,) = found["not_here"]
    assert (lack["first"], lack["last"], lack["after"], lack["before"]) == (2, 3, "2026-03-02", "2026-03-05")
    text = run(sink.app, "audit", "--store", url, "--days", "--since", "2026-03-04")
    assert "2026-03-05  2 records (4-5)" in text
    assert "2026-03-02  " not in text
    assert "kit kit-002" in text
    assert "written after 2026-03-02 and before 2026-03-05" in text
    with pytest.raises(UsageError, match="is no date"):
        run(sink.app, "audit", "--store", url, "--days", "--since", "yesterday")


def test_the_audit_log_is_held_against_what_was_noted_and_exported(url: str, tmp_path: Path) -> None:
    with open_store(url, actor="operator:test") as store:
        for number in range(3):
            store.add_kit(f"kit-00{number}")
    (head,) = audited("--store", url)["audit_log"]["heads"]
    assert audited("--store", url, "--log-head", head)["audit_log"]["intact"]
    clinic_id, number, row_hash = head.split(":")
    forged = f"{clinic_id}:2:{row_hash}"
    (fault,) = audited("--store", url, "--log-head", forged)["audit_log"]["faults"]
    assert (fault["row"], fault["what"]) == (2, "it is not the row that was noted earlier")
    assert "audit log: 3 rows, CHANGED" in run(sink.app, "audit", "--store", url, "--log-head", forged)
    with pytest.raises(UsageError, match="is no head of an audit log"):
        run(sink.app, "audit", "--store", url, "--log-head", "x")
    run(sink.app, "audit", "--store", url, "--export-log", str(tmp_path / "log.jsonl"))
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["subject_id"] for line in lines] == ["kit-000", "kit-001", "kit-002"]
    assert lines[-1]["row_hash"] == row_hash
    with pytest.raises(UsageError, match="cannot be written"):
        run(sink.app, "audit", "--store", url, "--export-log", str(tmp_path / "log.jsonl"))


def test_a_backup_is_made_and_restored_by_command(
    url: str, tmp_path: Path, envelope: Callable[..., Envelope], now: datetime
) -> None:
    with open_store(url) as store:
        store.ingest("kit-001", [envelope(1), envelope(2), envelope(5)], now)
    (tmp_path / "passphrase").write_text("correct horse battery\n")
    secret = ("--passphrase-file", str(tmp_path / "passphrase"))
    file, new = str(tmp_path / "a.backup"), f"sqlite:///{tmp_path}/new.db"
    made = json.loads(run(sink.app, "backup", "--store", url, "--to", file, "--json", *secret))
    assert (made["rows"]["records"], made["encrypted"], made["bytes"]) == (3, True, Path(file).stat().st_size)
    assert (made["audit"]["records"], made["audit"]["missing"][0]["sequences"]) == (3, [3, 4])
    assert made["audit_log"]["intact"]
    with pytest.raises(UsageError, match="give its passphrase"):
        run(sink.app, "restore", "--from", file, "--store", new)
    came = json.loads(run(sink.app, "restore", "--from", file, "--store", new, "--json", *secret))
    assert came.pop("audit_log")["intact"]
    assert came == {
        "backup": made["backup"],
        "made_at": made["made_at"],
        "records": 3,
        "resend": [{"kit": "kit-001", "outbox": str(uuid.UUID(int=1)), "after": 5, "gaps": [[3, 4]]}],
    }
    assert audited("--store", new)["records"] == 3
    assert "read back and found whole" in run(sink.app, "backup", "--store", new, "--to", str(tmp_path / "b.backup"))
    again = f"sqlite:///{tmp_path}/again.db"
    text = run(sink.app, "restore", "--from", str(tmp_path / "b.backup"), "--store", again)
    assert "kit kit-001, outbox 00000000-0000-0000-0000-000000000001: sequence 5" in text


def test_a_forged_sequence_does_not_make_an_endless_answer(
    url: str, envelope: Callable[..., Envelope], now: datetime
) -> None:
    with open_store(url) as store:
        store.ingest("kit-001", [envelope(2**53 - 1)], now)
    (missing,) = audited("--store", url)["missing"]
    assert missing["count"] == 2**53 - 2
    assert missing["sequences"] == list(range(1, sink_audit.MAX_LISTED + 1))


@pytest.mark.parametrize("moment", ["yesterday", "2026-03-01T00:00:00"])
def test_a_time_without_its_offset_is_refused(url: str, moment: str) -> None:
    patient = run(clinic.app, "patient", "add", "A B", "--store", url, "--time-zone", "Europe/Berlin").strip()
    with pytest.raises(UsageError, match="write 2026"):
        run(clinic.app, "kit", "bind", "kit-001", patient, "--store", url, "--since", moment)


def test_an_audit_makes_no_store(url: str) -> None:
    with pytest.raises(UsageError, match="there is no store"):
        run(sink.app, "audit", "--store", url)


def test_a_broker_in_plain_text_elsewhere_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="mqtts://"):
        run(sink.app, "run", "--store", url, "--broker", "mqtt://broker.example")
