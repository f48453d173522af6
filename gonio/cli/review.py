"""``gonio review``: the clinic's pages."""

import asyncio
import contextlib
import signal

import typer

app = typer.Typer(help="The clinic's pages: patients, sessions, angle curves.", no_args_is_help=True)


@app.callback()
def _root() -> None:
    """Keep ``serve`` a command of its own though it is the only one so far."""


@app.command()
def serve(
    store: str = typer.Option(
        ..., "--store", help="The clinic's book: sqlite:///path/to/file or postgresql://user@host/database."
    ),
    host: str = typer.Option("127.0.0.1", "--host", help="A loopback address: the pages have no log-in yet."),
    port: int = typer.Option(8600, "--port", min=0, max=65_535, help="TCP port; 0 takes any that is free."),
) -> None:
    """Serve the review pages until Ctrl-C."""
    from gonio.cloud_sink.review.serve import serve as serve_pages
    from gonio.cloud_sink.store import open_store

    async def run() -> None:
        task = asyncio.current_task()
        if task is not None:
            # ended by a service manager as calmly as by Ctrl-C
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        await serve_pages(book, host, port, on_start=lambda url: typer.echo(f"Review pages: {url}  (Ctrl-C ends)"))

    book = open_store(store)
    with contextlib.suppress(KeyboardInterrupt, asyncio.CancelledError):
        asyncio.run(run())
