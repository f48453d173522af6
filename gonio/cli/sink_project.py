"""``gonio sink project``: fill InfluxDB, for dashboards, from the clinic's book."""

import getpass
import logging
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from gonio.errors import UsageError

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from gonio.cloud_sink.projection.queue import ProjectionQueue
    from gonio.cloud_sink.projection.run import Round
    from gonio.cloud_sink.projection.writer import Influx

_PROGRESS_EVERY_S: Final = 10.0
_LISTED: Final = 20  # refused records that are named
_MAX_NAME: Final = 64
_MAX_ACTOR: Final = 128  # what the audit log takes


def project(
    store: Annotated[
        str,
        typer.Option("--store", metavar="URL", help="The clinic's book: sqlite:///path or postgresql://user@host/db."),
    ],
    influx: Annotated[
        str | None, typer.Option(metavar="URL", help="https://host[:8086], or http:// to this machine.")
    ] = None,
    org: Annotated[str | None, typer.Option(help="InfluxDB's organisation (with InfluxDB 3 any word).")] = None,
    bucket: Annotated[str | None, typer.Option(help="The bucket; with InfluxDB 3 the database.")] = None,
    token_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A file with the token; or give it as GONIO_INFLUX_TOKEN."),
    ] = None,
    influx_ca: Annotated[
        Path | None, typer.Option(metavar="FILE", help="PEM of the authority to trust for InfluxDB.")
    ] = None,
    name: Annotated[str, typer.Option(help="Of this projection, where there are several.")] = "influx",
    once: Annotated[bool, typer.Option("--once", help="End when nothing waits, or when InfluxDB is away.")] = False,
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Take all points away and write them again from the book.")
    ] = False,
    forget: Annotated[
        bool, typer.Option("--forget", help="Take the projection out: nothing is queued for it any more.")
    ] = False,
) -> None:
    """Write sessions, repetitions, angle curves, check-ins and kits' health to InfluxDB 2 (or 3), and keep at it.

    The first call registers the projection: from then on whatever the book takes in is queued for it, in the same
    transaction. While InfluxDB is away the queue waits in the book. Ctrl-C leaves cleanly, and a kill loses nothing.
    """
    from gonio.cloud_sink.engine import open_engine
    from gonio.cloud_sink.projection.queue import ProjectionQueue

    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("alembic").setLevel(logging.WARNING)
    if not 1 <= len(name) <= _MAX_NAME or not name.isprintable():
        raise UsageError(f"a projection's name has 1 to {_MAX_NAME} printable characters")
    if not forget and (influx is None or org is None or bucket is None):
        raise UsageError("name where the points go: --influx https://host:8086 --org ORG --bucket BUCKET")
    engine = open_engine(store, create=False)
    try:
        queue = ProjectionQueue(engine, name)
        if influx is None or org is None or bucket is None or forget:
            _forget(engine, queue, name)
        else:
            from gonio.cloud_sink.projection.writer import Influx, Target

            target = Target(influx, org, bucket, _token(token_file), influx_ca)
            with Influx(target) as server:
                _project(engine, queue, server, name, str(target), once=once, rebuild=rebuild)
    finally:
        engine.dispose()


def _forget(engine: "Engine", queue: "ProjectionQueue", name: str) -> None:
    from gonio.cloud_sink.projection.lock import only_projector

    with only_projector(engine, name):
        known = queue.forget()
    if not known:
        raise UsageError(f"there is no projection {name!r} in this store")
    typer.echo(f"the projection {name!r} is taken out; its points stay where they are")


def _project(
    engine: "Engine",
    queue: "ProjectionQueue",
    server: "Influx",
    name: str,
    target: str,
    *,
    once: bool,
    rebuild: bool,
) -> None:
    from gonio.cloud_sink.engine import StoreUnavailableError
    from gonio.cloud_sink.projection.lock import only_projector
    from gonio.cloud_sink.projection.run import FIRST_PAUSE_S, Projector, project_all, project_on

    stop = threading.Event()
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stop.set())
    progress = _Progress()
    registered = False
    while True:
        try:
            with only_projector(engine, name) as check:
                if not registered:
                    queue.register(target, rebuild=rebuild, actor=f"operator:{getpass.getuser()}"[:_MAX_ACTOR])
                    registered = True
                if once:
                    project_all(Projector(queue, server), progress)
                else:
                    project_on(Projector(queue, server), progress, check=check, wait=stop.wait)
            break
        except StoreUnavailableError as error:
            if once:
                raise
            logging.getLogger(__name__).warning("%s; trying again", error)
            if stop.wait(FIRST_PAUSE_S):
                break
    _tell(queue, progress)


def _token(file: Path | None) -> str:
    if file is None:
        return os.environ.get("GONIO_INFLUX_TOKEN", "").strip()
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"the token's file {file} cannot be read: give a readable file with the token alone"
        ) from error


class _Progress:
    """Counts rounds, and says now and then how far it is."""

    def __init__(self) -> None:
        self.written = self.taken_away = 0
        self._said_at = time.monotonic()

    def __call__(self, done: "Round") -> None:
        self.written += done.written
        self.taken_away += done.taken_away
        now = time.monotonic()
        if now - self._said_at >= _PROGRESS_EVERY_S:
            self._said_at = now
            logging.getLogger(__name__).info("since the start: %d records written", self.written)


def _tell(queue: "ProjectionQueue", progress: _Progress) -> None:
    left = queue.backlog()
    typer.echo(
        f"{progress.written} records written, {progress.taken_away} taken away, {left.waiting} wait, "
        f"{left.refused} refused"
    )
    for record_id, reason in queue.refused(_LISTED):
        typer.echo(f"refused: record {record_id}: {reason}")
    if left.refused:
        typer.echo("a refused record is tried again when it changes in the book, or with --rebuild")
