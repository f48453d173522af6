"""``gonio clinic enrolment``: the service that kits talk to when they are claimed and when they renew."""

import asyncio
import contextlib
import logging
import signal
import sys
from typing import Annotated

import typer

from gonio.cli.options import ClinicDir, StoreUrl

app = typer.Typer(help="The service at which kits enrol and renew their certificates.", no_args_is_help=True)


@app.callback()
def _root() -> None:
    """Keep ``serve`` a command of its own though it is the only one so far."""


@app.command()
def serve(
    store: StoreUrl,
    broker: Annotated[str, typer.Option(metavar="URL", help="What kits are told of the broker: mqtts://host:8883.")],
    name: Annotated[
        list[str], typer.Option("--name", help="A name or address under which kits reach this; the first is told.")
    ],
    host: Annotated[str, typer.Option(help="The address to listen on; 0.0.0.0 is all.")] = "0.0.0.0",  # noqa: S104 - kits come from outside, over TLS
    port: Annotated[int, typer.Option(min=0, max=65_535, help="TCP port; 0 takes any that is free.")] = 8610,
    clinic_dir: ClinicDir = None,
) -> None:
    """Serve until Ctrl-C, over TLS with a certificate of the clinic's authority."""
    from gonio.cloud_sink.clinic_folder import ClinicFolder
    from gonio.cloud_sink.enrolment.serve import enrolment_server
    from gonio.cloud_sink.store import open_store

    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("alembic").setLevel(logging.WARNING)
    folder = ClinicFolder.usual(clinic_dir)

    async def run() -> None:
        task = asyncio.current_task()
        if task is not None:
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        async with enrolment_server(book, folder, broker, host=host, port=port, names=name) as address:
            typer.echo(f"Kits enrol at {address}  (Ctrl-C ends)")
            await asyncio.Event().wait()

    with open_store(store) as book, contextlib.suppress(KeyboardInterrupt, asyncio.CancelledError):
        asyncio.run(run())
