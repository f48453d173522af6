"""Serving the clinic's pages: plain HTTP to browsers on this computer only, TLS to all others."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Final

from gonio.cloud_sink.review.app import create_app, utc_now
from gonio.cloud_sink.review.gate import House
from gonio.errors import UsageError
from gonio.identity.broker import is_loopback
from gonio.web.security import LOOPBACK_NAMES
from gonio.web.serving import listen, serving

DEFAULT_HOST: Final = "127.0.0.1"
DEFAULT_PORT: Final = 8600


@asynccontextmanager
async def review_server(
    house: House,
    host: str = DEFAULT_HOST,
    port: int = DEFAULT_PORT,
    *,
    names: Sequence[str] = (),
    tls: tuple[Path, Path] | None = None,
    now: Callable[[], datetime] = utc_now,
) -> AsyncIterator[str]:
    """Serve the review pages as long as the context lasts, and give their address.

    Args:
        house: accounts and book; ``secure`` where there is TLS.
        host: the address to listen on; without TLS a loopback address or "localhost".
        port: TCP port; 0 takes any that is free.
        names: the names under which browsers reach it, beside those of this computer; the first is told.
        tls: PEM files of certificate and key.
        now: the clock against which ages are told, aware.

    Raises:
        UsageError: a host that is not loopback without TLS, a port that cannot be had, or a certificate of no use.
    """
    if tls is None and not is_loopback(host):
        raise UsageError(
            f"without TLS the pages are not served on {host}, as passwords would cross the network in plain text: give "
            f"--tls-cert and --tls-key (gonio clinic authority issue pages), or use --host 127.0.0.1"
        )
    sock = listen(host, port)
    known = [name.lower() for name in names]
    shown = known[0] if known else host
    address = f"{'https' if tls else 'http'}://{f'[{shown}]' if ':' in shown else shown}:{sock.getsockname()[1]}/"
    app = create_app(house, names={*LOOPBACK_NAMES, host.lower(), *known}, now=now)
    async with serving(app, sock, tls=tls):
        yield address


async def serve(
    house: House,
    host: str = DEFAULT_HOST,
    port: int = DEFAULT_PORT,
    *,
    names: Sequence[str] = (),
    tls: tuple[Path, Path] | None = None,
    on_start: Callable[[str], None] = lambda _address: None,
) -> None:
    """Serve until cancelled.

    Args:
        house: as in ``review_server``.
        host: likewise.
        port: likewise.
        names: likewise.
        tls: likewise.
        on_start: called with the address as soon as a browser can open it.

    Raises:
        UsageError: as ``review_server``.
    """
    async with review_server(house, host, port, names=names, tls=tls) as address:
        on_start(address)
        await asyncio.Event().wait()
