"""Serving the clinic's pages on this computer."""

import asyncio
import errno
import socket
from collections.abc import AsyncIterator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from typing import Final

import uvicorn

from gonio.cloud_sink.review.app import create_app, utc_now
from gonio.cloud_sink.review.book import Book
from gonio.errors import UsageError
from gonio.identity.broker import is_loopback
from gonio.web.security import LOOPBACK_NAMES

DEFAULT_HOST: Final = "127.0.0.1"
DEFAULT_PORT: Final = 8600
_STOP_WITHIN_S: Final = 3  # a page is sent in milliseconds; a browser's idle connection is not waited for longer


class _Server(uvicorn.Server):
    """A server that leaves the process' signals to whoever runs it, and so stops by cancellation alone."""

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


@asynccontextmanager
async def review_server(
    store: Book, host: str = DEFAULT_HOST, port: int = DEFAULT_PORT, *, now: Callable[[], datetime] = utc_now
) -> AsyncIterator[str]:
    """Serve the review pages as long as the context lasts, and give their address.

    Args:
        store: the clinic's book.
        host: a loopback address or "localhost"; others are refused as long as the pages have no log-in.
        port: TCP port; 0 takes any that is free.
        now: the clock against which ages are told, aware.

    Raises:
        UsageError: a host that is not loopback, or a port that cannot be had.
    """
    sock = _listen(host, port)
    address = f"http://{f'[{host}]' if ':' in host else host}:{sock.getsockname()[1]}/"
    config = uvicorn.Config(
        create_app(store, names={*LOOPBACK_NAMES, host.lower()}, now=now),
        access_log=False,  # addresses of pages stay out of logs
        log_config=None,
        log_level="warning",
        server_header=False,
        lifespan="off",
        timeout_graceful_shutdown=_STOP_WITHIN_S,
    )
    server = _Server(config)
    task = asyncio.create_task(server.serve(sockets=[sock]), name="review pages")
    try:
        # the socket listens already: a browser that comes before the server is ready waits in its queue
        yield address
    finally:
        server.should_exit = True
        await task
        sock.close()


async def serve(
    store: Book,
    host: str = DEFAULT_HOST,
    port: int = DEFAULT_PORT,
    *,
    on_start: Callable[[str], None] = lambda _address: None,
) -> None:
    """Serve until cancelled.

    Args:
        store: the clinic's book.
        host: as in ``review_server``.
        port: likewise.
        on_start: called with the address as soon as a browser can open it.

    Raises:
        UsageError: as ``review_server``.
    """
    async with review_server(store, host, port) as address:
        on_start(address)
        await asyncio.Event().wait()


def _listen(host: str, port: int) -> socket.socket:
    if not is_loopback(host):
        raise UsageError(
            f"the review pages have no log-in yet, so they are not served on {host}: use --host 127.0.0.1, and reach "
            f"them from another computer through SSH (ssh -L {port or DEFAULT_PORT}:127.0.0.1:{port or DEFAULT_PORT})"
        )
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise UsageError(_why_not(error, host, port)) from error


def _why_not(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} on {host} is taken by another program: end that one, or choose another with --port"
    if error.errno == errno.EACCES:
        return f"port {port} needs rights that this user lacks: choose one above 1023 with --port"
    return f"cannot listen on {host}, port {port}: {error.strerror}"
