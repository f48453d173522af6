"""A kit's records as the clinic's tests need them."""

import json
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gonio.cloud_sink.store import Store, open_store
from gonio.messages import AngleCurve, Envelope, RepReport, SessionSummary, new_record_id, payload_text, wire_time
from tests.cloud_sink.postgres import PostgresCluster, installed_postgres, make_template, running_cluster

NOW = datetime(2026, 3, 5, 18, 0, tzinfo=UTC)


def _session_payload(reps: int = 2, source: str = "sensor", **changes: Any) -> str:  # noqa: ANN401 - fields of the model
    values: dict[str, Any] = {
        "sitting_id": uuid.UUID(int=7),
        "exercise": "heel-slide",
        "side": "left",
        "source": source,
        "duration_s": 60.0,
        "reps": tuple(
            RepReport(
                start_s=3.0 * i,
                peak_s=3.0 * i + 1,
                end_s=3.0 * i + 2,
                signal="knee",
                peak_flexion_deg=91.5,
                min_flexion_deg=2.0,
                rom_deg=89.5,
            )
            for i in range(reps)
        ),
        "max_flexion_deg": 91.5,
        "min_flexion_deg": 2.0,
        "zero": "standing",
        "calibrated_at_s": 4.0,
        "ok_fraction": 0.95,
        "sensors": (),
        "curve": AngleCurve(step_s=0.5, flexion_deg=(0, 45, None, 91)),
        "software": "0.1.0",
        **changes,
    }
    return payload_text(SessionSummary(**values))


def _payload(kind: str, n: int) -> str:
    """Make a valid payload of a kind; those of two numbers differ."""
    if kind == "session":
        return _session_payload()
    values: dict[str, dict[str, Any]] = {
        "check-in": {"pain_during": n % 11, "note": f"note {n}"},
        "void": {"record_id": str(uuid.UUID(int=n)), "reason": "not-me"},
        "message": {"text": f"message {n}"},
        "preference": {"language": "es", "reminders": [{"at": f"{n % 24:02}:00"}]},
        "receipt": {"of": str(uuid.UUID(int=n)), "of_kind": "program", "status": "applied"},
        "health": {"software": "0.1.0", "pending": n},
    }
    return json.dumps(values[kind])


def _envelope(
    sequence: int = 1,
    *,
    kind: str = "session",
    captured: datetime | None = None,
    **changes: Any,  # noqa: ANN401 - as above
) -> Envelope:
    health = kind == "health"
    values: dict[str, Any] = {
        "record_id": new_record_id(),
        "kind": kind,
        "kit_id": "kit-001",
        "outbox_id": None if health else uuid.UUID(int=1),
        "sequence": None if health else sequence,
        "boot_id": uuid.UUID(int=2),
        "monotonic_ns": sequence,
        "captured_at": wire_time(captured or NOW - timedelta(hours=1)),
        "clock": "synchronised",
        "schema_version": 1,
        "payload": _payload(kind, sequence),
        **changes,
    }
    return Envelope(**values)


@pytest.fixture(scope="session")
def envelope() -> Callable[..., Envelope]:
    """Make a valid record of kit-001, with changes."""
    return _envelope


@pytest.fixture(scope="session")
def session_payload() -> Callable[..., str]:
    """Make the payload of a session, with changes."""
    return _session_payload


@pytest.fixture(scope="session")
def now() -> datetime:
    """Give the moment at which the tests' records arrive."""
    return NOW


@pytest.fixture(scope="module")
def mortal_postgres() -> Iterator[PostgresCluster]:
    """Give a server that a test may kill, and that syncs."""
    with running_cluster(installed_postgres()) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresCluster]:
    """Give a PostgreSQL server of the tests' own; the promise of a commit is tested elsewhere, so it need not sync."""
    with running_cluster(installed_postgres(), fsync="off", max_connections="50") as cluster:
        yield cluster


@pytest.fixture(scope="session")
def template(postgres: PostgresCluster) -> str:
    """Give the name of a database that is an empty book."""
    return make_template(postgres)


@pytest.fixture
def postgres_url(postgres: PostgresCluster, template: str) -> Iterator[str]:
    """Give the address of an empty book in PostgreSQL."""
    url = postgres.create(template=template)
    yield url
    postgres.drop(url)


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Give the address of an empty book, or of a file where one can be made: every test runs on both stores."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/book.db"
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    with open_store(store_url) as book:
        yield book
