"""``gonio sink project`` killed wherever it happens to be."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime, timedelta

from gonio.cloud_sink.engine import open_engine
from gonio.cloud_sink.store import open_store
from gonio.messages import Envelope
from tests.cloud_sink.projection.conftest import Bench
from tests.cloud_sink.projection.influx_server import InfluxServer

Make = Callable[..., Envelope]


def arguments(url: str, server: InfluxServer, *more: str) -> list[str]:
    where = ("--influx", server.url, "--org", server.org, "--bucket", server.bucket)
    return ["project", "--store", url, *where, *more]


def test_killed_anywhere_it_comes_to_the_same(
    store_url: str, influx: InfluxServer, envelope: Make, now: datetime
) -> None:
    """A kit changes hands while its projector is killed at four of its requests; the server is asked in between."""
    with open_store(store_url) as store:
        bench = Bench(store, open_engine(store_url, create=False), influx, now)
        bench.register()
        for n in range(1, 41):
            bench.take_in(envelope(n, captured=now - timedelta(hours=6 * n)))
        since = now - timedelta(days=20)
        running: subprocess.Popen[bytes] | None = None
        kills = 0
        environment = os.environ | {"GONIO_INFLUX_TOKEN": influx.token}
        command = [sys.executable, "-m", "gonio", "sink", *arguments(store_url, influx, "--once")]

        def kill() -> None:
            nonlocal kills
            if running is not None and kills < 4:
                kills += 1
                running.send_signal(signal.SIGKILL)
                if kills % 2:  # else the server goes on with the request while the process dies
                    running.wait()

        influx.on_write = influx.on_delete = kill
        for hand in range(6):
            if hand < 4:
                since += timedelta(days=2)
                bench.store.bind_kit("kit-001", store.add_patient(f"Patient {hand}", "UTC"), since=since)
            running = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
            status = running.wait()
        assert kills == 4
        assert status == 0
        assert bench.queue.backlog().waiting == 0
        assert influx.snapshot() == bench.fresh()
        assert len(influx.rows("session")) == 40
        bench.engine.dispose()
