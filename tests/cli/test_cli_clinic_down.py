"""``gonio clinic message, program, command, down``: what is sent, and what a person reads of it."""

import json
import uuid
from datetime import date, time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gonio.cli.clinic import app
from gonio.cloud_sink.store import open_store
from gonio.errors import UsageError
from gonio.messages import (
    AllowSensors,
    Capture,
    ClinicMessage,
    DownPayload,
    Identify,
    Program,
    Resend,
    RotateCredentials,
    Wipe,
    read_down,
)

KIT = "kit-001"
PROGRAM = """
program_id: 00000000-0000-4000-8000-000000000001
version: 2
valid_from: 2026-03-06
exercises:
  - exercise: heel-slide
    side: left
    sets: 3
    reps: 10
    weekdays: [1, 3, 5]
    at: [08:00, 19:30]
    ceiling_deg: 95.5
"""


@pytest.fixture
def url(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path}/book.db"
    with open_store(url) as book:
        book.add_kit(KIT)
    return url


def run(*arguments: str) -> str:
    return CliRunner().invoke(app, arguments, catch_exceptions=False).output


def sent(url: str) -> list[DownPayload]:
    with open_store(url) as book:
        return [read_down(row.envelope) for row in book.down.rows(KIT)]


def test_a_message_goes_out_and_is_listed(url: str) -> None:
    record_id = run("message", "send", KIT, "How is the knee?", "--store", url).splitlines()[-1]
    assert sent(url) == [ClinicMessage(text="How is the knee?", sender="Your physiotherapist")]
    listed = run("down", "list", KIT, "--store", url)
    assert record_id in listed
    assert "message" in listed
    assert "queued" in listed
    assert "knee" not in listed  # what it says is the patient's


def test_a_program_is_read_with_times_as_times(url: str, tmp_path: Path) -> None:
    file = tmp_path / "program.yaml"
    file.write_text(PROGRAM)
    run("program", "set", KIT, str(file), "--store", url)
    (program,) = sent(url)
    assert isinstance(program, Program)
    assert (program.version, program.valid_from) == (2, date(2026, 3, 6))
    assert program.exercises[0].at == (time(8), time(19, 30))
    assert program.exercises[0].weekdays == (1, 3, 5)
    assert program.exercises[0].ceiling_deg == 95.5


def test_commands_go_out(url: str) -> None:
    outbox = uuid.uuid4()
    run("command", "identify", KIT, "--store", url)
    run("command", "capture", KIT, "--seconds", "30", "--store", url)
    run("command", "resend", KIT, str(outbox), "3", "9", "--store", url)
    run("command", "rotate-credentials", KIT, "--store", url)
    run("command", "sensors", KIT, "--thigh", "D4:22:CD:00:00:01", "--shank", "D4:22:CD:00:00:02", "--store", url)
    run("command", "wipe", KIT, "--store", url)
    run("command", "wipe", KIT, "--at-once", "--decommission", "--store", url)
    assert sent(url) == [
        Identify(do="identify"),
        Capture(do="capture", duration_s=30),
        Resend(do="resend", outbox_id=outbox, first=3, last=9),
        RotateCredentials(do="rotate-credentials"),
        AllowSensors(do="sensors", thigh="D4:22:CD:00:00:01", shank="D4:22:CD:00:00:02"),
        Wipe(do="wipe"),
        Wipe(do="wipe", at_once=True, decommission=True),
    ]


def test_one_sensor_is_not_sent_for_both_places(url: str) -> None:
    address = "D4:22:CD:00:00:01"
    with pytest.raises(UsageError, match="not the same one"):
        run("command", "sensors", KIT, "--thigh", address, "--shank", address, "--store", url)
    assert sent(url) == []


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("- 1\n- 2", "it cannot be sent"),
        ("program_id: x", "it cannot be sent"),
        ("a: [", "is no YAML"),
        (PROGRAM.replace("reps: 10", "reps: many"), "exercises.0.reps"),
    ],
    ids=["a list", "fields missing", "broken", "no number"],
)
def test_a_program_that_cannot_be_is_refused_with_its_fault(url: str, tmp_path: Path, text: str, why: str) -> None:
    file = tmp_path / "program.yaml"
    file.write_text(text)
    with pytest.raises(UsageError, match=why):
        run("program", "set", KIT, str(file), "--store", url)
    assert sent(url) == []


def test_an_unknown_kit_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="the clinic has no kit kit-999"):
        run("message", "send", "kit-999", "Hello", "--store", url)


def test_who_sent_it_is_in_the_audit_log(url: str) -> None:
    run("message", "send", KIT, "How is the knee?", "--store", url)
    with open_store(url) as book, book._reader.connect() as connection:
        (row,) = connection.exec_driver_sql(
            "SELECT actor, detail FROM audit_log WHERE action = 'message-sent'"
        ).fetchall()
    assert row[0].startswith("operator:")
    assert list(json.loads(row[1])) == ["record"]
