"""Serving the patient's page: to browsers on this computer, or to the phones of the home.

Inside the home it is plain HTTP unless the kit is given a certificate: no authority vouches for a name like
``gonio.local``. That is why phones are paired, why it answers to its own names only, and why it must not be reachable
from outside the home.
"""

import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from gonio.gateway.page.app import create_page
from gonio.gateway.page.home import Home
from gonio.gateway.page.maker import Place
from gonio.web.security import LOOPBACK_NAMES
from gonio.web.serving import listen, serving

DEFAULT_PORT: Final = 8700
EVERYWHERE: Final = "0.0.0.0"  # noqa: S104 - the phones of the home are elsewhere


@asynccontextmanager
async def page_server(
    home: Home,
    host: str = "127.0.0.1",
    port: int = DEFAULT_PORT,
    *,
    names: Sequence[str] = (),
    tls: tuple[Path, Path] | None = None,
    place: Place | None = None,
    ticket: str | None = None,
) -> AsyncIterator[str]:
    """Serve the page as long as the context lasts, and give its address.

    Args:
        home: the kit as its page knows it.
        host: the address to listen on; "0.0.0.0" for the phones of the home.
        port: TCP port; 0 takes any that is free.
        names: the names under which phones reach it, beside this computer's own; the first is told.
        tls: PEM files of certificate and key.
        place: see ``create_page``.
        ticket: likewise.

    Raises:
        UsageError: a port that cannot be had, or a certificate of no use.
    """
    sock = listen(host, port)
    known = [*(name.lower() for name in names), *(own_names() if host == EVERYWHERE else ())]
    shown = known[0] if known else host
    address = f"{'https' if tls else 'http'}://{shown}:{sock.getsockname()[1]}/"
    app = create_page(home, names={*LOOPBACK_NAMES, host.lower(), *known}, place=place, ticket=ticket)
    async with serving(app, sock, tls=tls):
        try:
            yield address
        finally:
            home.live.close()  # pages that watch would keep the server waiting


def own_names() -> list[str]:
    """Give the names and the address by which this computer is known in its own network."""
    name = socket.gethostname().lower()
    found = [f"{name.partition('.')[0]}.local", name]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # nothing is sent: it only chooses the interface (RFC 5737 address)
            found.append(probe.getsockname()[0])
        except OSError:  # there is no network: only this computer can look
            pass
    return found
