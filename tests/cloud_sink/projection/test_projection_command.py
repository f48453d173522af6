"""``gonio sink project`` as an operator types it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gonio.cli import sink
from gonio.cloud_sink.store import open_store
from gonio.errors import GonioError, UsageError
from gonio.messages import Envelope
from tests.cloud_sink.postgres import PostgresCluster
from tests.cloud_sink.projection.influx_server import Answer, InfluxServer

Make = Callable[..., Envelope]


def arguments(url: str, server: InfluxServer, *more: str) -> list[str]:
    where = ("--influx", server.url, "--org", server.org, "--bucket", server.bucket)
    return ["project", "--store", url, *where, *more]


def run(url: str, server: InfluxServer, *more: str) -> str:
    result = CliRunner().invoke(sink.app, arguments(url, server, *more), env={"GONIO_INFLUX_TOKEN": server.token})
    if result.exception is not None:
        raise result.exception
    return result.stdout


def test_once_rebuild_and_forget(
    store_url: str, influx: InfluxServer, envelope: Make, now: datetime, tmp_path: Path
) -> None:
    with open_store(store_url) as store:
        store.ingest("kit-001", [envelope(1), envelope(2, kind="check-in")], now)
    assert "2 records written, 0 taken away, 0 wait, 0 refused" in run(store_url, influx, "--once")
    assert "0 records written" in run(store_url, influx, "--once")
    token = tmp_path / "token"
    token.write_text(influx.token + "\n", encoding="utf-8")
    assert "2 records written" in run(store_url, influx, "--once", "--rebuild", "--token-file", str(token))
    influx.refuses = lambda _point: "no"
    said = run(store_url, influx, "--once", "--rebuild")
    assert "2 refused" in said
    assert "partial write: no" in said
    assert "is taken out" in run(store_url, influx, "--forget")
    with pytest.raises(UsageError, match="no projection 'influx'"):
        run(store_url, influx, "--forget")


def test_once_does_not_wait_for_a_server_that_is_away(tmp_path: Path, influx: InfluxServer, envelope: Make) -> None:
    url = f"sqlite:///{tmp_path}/book.db"
    with open_store(url) as store:
        store.ingest("kit-001", [envelope(1)], datetime.fromisoformat("2026-03-05T18:00:00Z"))
    influx.answers = [Answer(503, "starting")]
    with pytest.raises(GonioError, match="503"):
        run(url, influx, "--once")
    assert "1 records written" in run(url, influx, "--once")


def test_where_to_must_be_said(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/book.db"
    open_store(url).close()
    raised = CliRunner().invoke(sink.app, ["project", "--store", url]).exception
    assert isinstance(raised, UsageError)
    assert "--bucket" in str(raised)


def test_it_outlives_its_store_and_leaves_cleanly(
    mortal_postgres: PostgresCluster, influx: InfluxServer, envelope: Make, now: datetime
) -> None:
    url = mortal_postgres.create()

    def wait_for_sessions(count: int) -> None:
        while len(influx.rows("session")) < count:
            assert running.poll() is None
            time.sleep(0.02)

    environment = os.environ | {"GONIO_INFLUX_TOKEN": influx.token}
    command = [sys.executable, "-m", "gonio", "sink", *arguments(url, influx)]
    with open_store(url) as store:
        store.ingest("kit-001", [envelope(1)], now)
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        wait_for_sessions(1)
        mortal_postgres.stop(signal.SIGQUIT)
        mortal_postgres.start()
        with open_store(url) as store:
            store.ingest("kit-001", [envelope(2, captured=now - timedelta(days=1))], now)
        wait_for_sessions(2)
        running.send_signal(signal.SIGTERM)
        said, complained = running.communicate(timeout=60)
    assert running.returncode == 0
    assert b"0 wait, 0 refused" in said
    assert b"Traceback" not in complained
    assert len(influx.rows("session")) == 2
