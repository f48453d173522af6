"""Running an ASGI application on a socket as a part of this process, with or without TLS."""

import asyncio
import errno
import socket
import ssl
from collections.abc import AsyncIterator, Generator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final

import uvicorn
from starlette.types import ASGIApp

from gonio.errors import UsageError

_STOP_WITHIN_S: Final = 3  # an answer takes milliseconds; an idle connection is not waited for longer


class _Server(uvicorn.Server):
    """A server that leaves the process' signals to whoever runs it, and so stops by cancellation alone."""

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


@asynccontextmanager
async def serving(app: ASGIApp, sock: socket.socket, *, tls: tuple[Path, Path] | None = None) -> AsyncIterator[None]:
    """Serve as long as the context lasts; the socket listens already, and is closed at the end.

    Args:
        app: what answers.
        sock: see ``listen``.
        tls: PEM files of certificate and key, for TLS 1.2 or newer.

    Raises:
        UsageError: the certificate cannot be used.
    """
    config = uvicorn.Config(
        app,
        access_log=False,  # addresses of pages stay out of logs
        log_config=None,
        log_level="warning",
        server_header=False,
        lifespan="off",
        timeout_graceful_shutdown=_STOP_WITHIN_S,
        ssl_certfile=tls[0] if tls else None,
        ssl_keyfile=tls[1] if tls else None,
    )
    try:
        config.load()
    except (OSError, ssl.SSLError) as error:
        raise UsageError(f"the certificate {tls[0] if tls else ''} cannot be used ({error}): give PEM files") from error
    if config.ssl is not None:
        config.ssl.minimum_version = ssl.TLSVersion.TLSv1_2
    server = _Server(config)
    task = asyncio.create_task(server.serve(sockets=[sock]), name="web server")
    try:
        # the socket listens already: who comes before the server is ready waits in its queue
        yield
    finally:
        server.should_exit = True
        await task
        sock.close()


def listen(host: str, port: int) -> socket.socket:
    """Listen; port 0 takes any that is free.

    Raises:
        UsageError: that cannot be had.
    """
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
