import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.request import urlopen
from uuid import uuid4

from examples.review_sample import make_session
from gonio.cloud_sink.schema import HOME_CLINIC
from gonio.cloud_sink.store import Store, open_store
from gonio.messages import AckStatus, Envelope, Kind, SessionSummary, new_record_id, wire_time

MakeApp = Callable[..., Any]
Ask = Callable[..., Awaitable[Any]]
CAPTURED = datetime(2026, 11, 22, 4, 30, tzinfo=UTC)


def _fill(store: Store, captured: datetime, sequence: int = 1) -> None:
    envelope = Envelope(
        record_id=new_record_id(),
        kind=Kind.SESSION,
        kit_id="kit-1",
        outbox_id=uuid4(),
        sequence=sequence,
        boot_id=uuid4(),
        monotonic_ns=1,
        captured_at=wire_time(captured),
        clock="synchronised",
        schema_version=SessionSummary.SCHEMA_VERSION,
        payload=make_session(reps=10, peak_deg=90).model_dump_json(),
    )
    acks = store.ingest("kit-1", [envelope], captured + timedelta(minutes=1))
    assert [ack.status for ack in acks] == [AckStatus.STORED]


async def test_the_pages_show_what_the_clinics_store_took_in(tmp_path: Path, ask_app: Ask, make_app: MakeApp) -> None:
    with open_store(f"sqlite:///{tmp_path}/clinic.db") as store:
        patient = store.add_patient("Alex Example", "America/New_York")
        store.bind_kit("kit-1", patient, since=CAPTURED - timedelta(days=1))
        _fill(store, CAPTURED)
        app = make_app(store.of_clinic(HOME_CLINIC), lambda: CAPTURED + timedelta(hours=1))
        patients = (await ask_app(app, "/patients")).text
        assert "Alex Example" in patients
        assert "1 h ago" in patients
        sessions = (await ask_app(app, f"/patients/{patient}")).text
        assert "Saturday, 21 November 2026" in sessions
        record = store.sessions(patient)[0].record_id
        session = (await ask_app(app, f"/sessions/{record}")).text
        assert "10 repetitions, largest flexion" in session


def test_the_command_serves_a_store_and_ends_calmly(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/clinic.db"
    with open_store(url) as store:
        store.add_patient("Alex Example", "America/New_York")
    code = "from gonio.cli.review import app; app()"
    command = [sys.executable, "-c", code, "serve", "--store", url, "--port", "0", "--clinic-dir", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert "Nobody can sign in yet" in process.stdout.readline()
        line = process.stdout.readline()
        address = next(word for word in line.split() if word.startswith("http://"))
        with urlopen(address, timeout=10) as answer:  # noqa: S310 - http
            text = answer.read().decode()
        assert "gonio clinic user invite" in text
        assert "Alex Example" not in text
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=15)
    assert process.returncode == 0
    assert errors == ""
