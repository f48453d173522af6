"""A broker of the test's own, and a sink that listens to it."""

import asyncio
import contextlib
import os
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from gonio.cloud_sink.ingest import BatchReport, run_sink
from gonio.cloud_sink.store import Store
from gonio.identity.broker import BrokerAddress

_LISTENS_WITHIN_S = 60.0


def find_mosquitto() -> str | None:
    """Find the broker's program: Debian has it where only root looks."""
    return shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


def free_port() -> int:
    """Find a loopback port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Mosquitto:
    """A mosquitto on a loopback port of its own, that can be killed and started again."""

    def __init__(self, folder: Path, *lines: str) -> None:
        """Prepare; nothing is started yet.

        Args:
            folder: where its configuration is written.
            lines: of the configuration, beside those that make it private; without any, everybody is let in.
        """
        self.port = free_port()
        self._config = folder / "mosquitto.conf"
        common = (f"listener {self.port} 127.0.0.1", "persistence false", "user root")
        self._config.write_text("\n".join([*common, *(lines or ("allow_anonymous true",)), ""]), encoding="utf-8")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> BrokerAddress:
        """Where it is."""
        return BrokerAddress.parse(self.url)

    @property
    def url(self) -> str:
        """Where it is, as the commands take it."""
        return f"mqtt://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it and wait until it takes connections."""
        self._process = subprocess.Popen(
            [find_mosquitto() or "mosquitto", "-c", str(self._config)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        while True:
            if self._process.poll() is not None:
                raise RuntimeError("mosquitto ended at its start")
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return

    def kill(self) -> None:
        """Kill it, if it runs."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@contextmanager
def running_mosquitto(folder: Path, *lines: str) -> Iterator[Mosquitto]:
    """Run a broker as long as the context lasts, whatever was killed or started meanwhile."""
    server = Mosquitto(folder, *lines)
    server.start()
    try:
        yield server
    finally:
        server.kill()


@asynccontextmanager
async def listening_sink(
    store: Store,
    broker: Mosquitto,
    **options: Any,  # noqa: ANN401 - run_sink's
) -> AsyncIterator[list[BatchReport]]:
    """Run a sink that listens, and give what it says of each batch."""
    reports: list[BatchReport] = []
    listening = asyncio.Event()
    task = asyncio.create_task(
        run_sink(store, broker.address, on_batch=reports.append, on_listening=listening.set, **options)
    )
    try:
        await asyncio.wait_for(listening.wait(), _LISTENS_WITHIN_S)
        yield reports
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
