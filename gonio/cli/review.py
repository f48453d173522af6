"""``gonio review``: the clinic's pages."""

import asyncio
import contextlib
import signal
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from gonio.cli.options import ClinicDir, StoreUrl
from gonio.errors import UsageError

app = typer.Typer(help="The clinic's pages: patients, sessions, angle curves.", no_args_is_help=True)


@app.callback()
def _root() -> None:
    """Keep ``serve`` a command of its own though it is the only one so far."""


@app.command()
def serve(
    store: StoreUrl,
    host: Annotated[str, typer.Option(help="The address to listen on; one of this computer only, unless with TLS.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=0, max=65_535, help="TCP port; 0 takes any that is free.")] = 8600,
    name: Annotated[
        list[str] | None, typer.Option("--name", help="A name under which browsers reach it; several may be given.")
    ] = None,
    tls_cert: Annotated[Path | None, typer.Option(metavar="FILE", help="PEM of the server's certificate.")] = None,
    tls_key: Annotated[Path | None, typer.Option(metavar="FILE", help="PEM of its key.")] = None,
    idle_minutes: Annotated[int, typer.Option(min=1, max=120, help="Sign off who does nothing for so long.")] = 15,
    clinic_dir: ClinicDir = None,
) -> None:
    """Serve the review pages until Ctrl-C. Everybody signs in.

    The first administrator is invited on the command line:

        gonio clinic user invite EMAIL --name NAME --role admin --store URL --url http://127.0.0.1:8600
    """
    from gonio.cloud_sink.accounts import Lifetimes
    from gonio.cloud_sink.clinic_folder import ClinicFolder
    from gonio.cloud_sink.review.gate import House
    from gonio.cloud_sink.review.serve import serve as serve_pages
    from gonio.cloud_sink.store import open_store

    if (tls_cert is None) != (tls_key is None):
        raise UsageError("a certificate needs its key: give --tls-cert and --tls-key")
    tls = None if tls_cert is None or tls_key is None else (tls_cert, tls_key)
    key = ClinicFolder.usual(clinic_dir).pages_key()

    async def run() -> None:
        task = asyncio.current_task()
        if task is not None:
            # ended by a service manager as calmly as by Ctrl-C
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        accounts = book.accounts(key, lifetimes=Lifetimes(idle=timedelta(minutes=idle_minutes)))
        house = House(accounts, book.of_clinic, book.stock, secure=tls is not None)
        if not accounts.has_users():
            typer.echo("Nobody can sign in yet: invite the first administrator (gonio clinic user invite --help)")
        await serve_pages(
            house,
            host,
            port,
            names=name or (),
            tls=tls,
            on_start=lambda url: typer.echo(f"Review pages: {url}  (Ctrl-C ends)"),
        )

    with open_store(store) as book, contextlib.suppress(KeyboardInterrupt, asyncio.CancelledError):
        asyncio.run(run())
