"""What operators type: ``gonio clinic …`` and ``gonio sink audit``."""

import json
import uuid
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from gonio.cli import clinic, sink
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


def test_a_patient_a_kit_and_what_the_audit_says(url: str, envelope: Callable[..., Envelope], now: datetime) -> None:
    patient = run(clinic.app, "patient", "add", "A B", "--store", url, "--time-zone", "America/Chicago").strip()
    run(clinic.app, "kit", "bind", "kit-001", patient, "--store", url, "--since", "2026-03-01T00:00:00-06:00")
    with open_store(url) as store:
        store.ingest("kit-001", [envelope(1), envelope(4), envelope(6, schema_version=7)], now)
    outbox = str(uuid.UUID(int=1))
    assert json.loads(run(sink.app, "audit", "--store", url, "--json").splitlines()[-1]) == {
        "records": 2,
        "doubled": 0,
        "missing": [{"kit": "kit-001", "outbox": outbox, "count": 2, "sequences": [2, 3]}],
        "quarantined": 1,
        "data_days": 1,
    }
    assert "sequences 2 to 3" in run(sink.app, "audit", "--store", url)
    run(clinic.app, "kit", "unbind", "kit-001", "--store", url, "--at", "2026-03-01T00:00:01-06:00")
    assert json.loads(run(sink.app, "audit", "--store", url, "--json"))["data_days"] == 0
    assert "2 sessions belong to no patient" in run(sink.app, "audit", "--store", url)
    assert patient in run(clinic.app, "patient", "list", "--store", url)


def test_a_forged_sequence_does_not_make_an_endless_answer(
    url: str, envelope: Callable[..., Envelope], now: datetime
) -> None:
    with open_store(url) as store:
        store.ingest("kit-001", [envelope(2**53 - 1)], now)
    (missing,) = json.loads(run(sink.app, "audit", "--store", url, "--json"))["missing"]
    assert missing["count"] == 2**53 - 2
    assert missing["sequences"] == list(range(1, sink.MAX_LISTED + 1))


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
