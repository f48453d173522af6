"""``gonio sink``: take records in from the broker, and ask the book whether it is complete."""

import asyncio
import logging
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, NoReturn

import typer

from gonio.cli import sink_audit, sink_copy, sink_project, sink_retain, sink_verify
from gonio.cli.options import ClinicDir

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from gonio.cloud_sink.ingest import BatchReport

app = typer.Typer(
    help="The clinic's intake: store what kits send, and prove that it is complete.", no_args_is_help=True
)

StoreUrl = Annotated[
    str,
    typer.Option(
        "--store", metavar="URL", help="The clinic's book: sqlite:///path/to/file or postgresql://user@host/database."
    ),
]

_PROGRESS_EVERY_S: Final = 10.0


@app.command()
def run(
    store: StoreUrl,
    broker: Annotated[
        str, typer.Option(metavar="URL", help="mqtts://host[:port], or mqtt:// to a broker on this machine.")
    ],
    share: Annotated[
        str | None, typer.Option(metavar="NAME", help="Share the load with all workers of this name.")
    ] = None,
    broker_ca: Annotated[
        Path | None,
        typer.Option(metavar="FILE", envvar="GONIO_SINK_BROKER_CA", help="PEM of the authority to trust."),
    ] = None,
    broker_cert: Annotated[
        Path | None,
        typer.Option(metavar="FILE", envvar="GONIO_SINK_BROKER_CERT", help="PEM of this worker's own certificate."),
    ] = None,
    broker_key: Annotated[
        Path | None, typer.Option(metavar="FILE", envvar="GONIO_SINK_BROKER_KEY", help="PEM of that one's key.")
    ] = None,
    mqtt_version: Annotated[Literal["3.1.1", "5"], typer.Option(help="5 only where the broker speaks it.")] = "3.1.1",
    records_key: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            envvar="GONIO_SINK_RECORDS_KEY",
            help="PEM of the key that signs what goes down to kits; records.key of the clinic's folder.",
            show_default=False,
        ),
    ] = None,
    clinic_dir: ClinicDir = None,
    signed_only: Annotated[
        bool, typer.Option("--signed-only", help="Refuse kits that are not enrolled; over mqtts:// that is always so.")
    ] = False,
) -> None:
    """Store what kits publish and acknowledge it after the commit; Ctrl-C leaves cleanly.

    User and password for the broker: GONIO_SINK_BROKER_USERNAME and GONIO_SINK_BROKER_PASSWORD in the environment.
    """
    from gonio.cloud_sink.clinic_folder import ClinicFolder
    from gonio.cloud_sink.ingest import run_sink
    from gonio.cloud_sink.store import open_store
    from gonio.cloud_sink.worker import collect_rarely
    from gonio.identity.broker import BrokerAddress, OwnCertificate
    from gonio.identity.keys import KeyPemFile

    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("alembic").setLevel(logging.WARNING)
    address = BrokerAddress.parse(
        broker,
        ca_file=broker_ca,
        own=OwnCertificate.of(broker_cert, broker_key),
        username=os.environ.get("GONIO_SINK_BROKER_USERNAME"),
        password=os.environ.get("GONIO_SINK_BROKER_PASSWORD"),
    )
    key = KeyPemFile(records_key) if records_key is not None else ClinicFolder.usual(clinic_dir).records_key()
    with open_store(store) as book:
        collect_rarely()
        sink = run_sink(
            book,
            address,
            share=share,
            protocol=mqtt_version,
            signed_only=signed_only,
            records_key=key,
            on_batch=_Progress(),
        )
        asyncio.run(_until_told(sink))


async def _until_told(running: "Coroutine[Any, Any, NoReturn]") -> None:
    sink = asyncio.ensure_future(running)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, sink.cancel)
    try:
        await sink
    except asyncio.CancelledError:
        logging.getLogger(__name__).info("stopped; what was not acknowledged, kits will send again")


class _Progress:
    """Says now and then what was taken in."""

    def __init__(self) -> None:
        self._stored = self._repeated = self._rejected = 0
        self._said_at = -_PROGRESS_EVERY_S

    def __call__(self, report: "BatchReport") -> None:
        self._stored += report.stored
        self._repeated += report.repeated
        self._rejected += report.rejected
        now = time.monotonic()
        if now - self._said_at >= _PROGRESS_EVERY_S:
            self._said_at = now
            logging.getLogger(__name__).info(
                "since the start: %d records stored, %d repeated, %d refused",
                self._stored,
                self._repeated,
                self._rejected,
            )


app.command()(sink_audit.audit)
app.command()(sink_verify.verify)
app.command()(sink_verify.evidence)
app.command()(sink_project.project)
app.command()(sink_copy.backup)
app.command()(sink_copy.restore)
app.command()(sink_retain.retain)
