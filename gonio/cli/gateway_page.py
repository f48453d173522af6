"""``gonio gateway serve`` and ``phones``: the kit with the patient's page, and the card that lets phones in."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from gonio.gateway.page.home import Home
    from gonio.gateway.settings import KitSettings

DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", help="Where the kit keeps its data [GONIO_KIT_DATA_DIR].", show_default=False),
]


def _say(text: str = "") -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def serve(
    data_dir: DataDir = None,
    broker: Annotated[
        str | None, typer.Option("--broker", help="As for 'run'; by default the enrolled clinic's.", show_default=False)
    ] = None,
    host: Annotated[
        str, typer.Option("--host", help="0.0.0.0 lets the phones of this network in, once they are paired.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0 takes any that is free.")] = 8700,
    name: Annotated[
        list[str] | None, typer.Option("--name", help="A further name that phones reach it by; repeat it.")
    ] = None,
    tls_cert: Annotated[
        Path | None, typer.Option(help="PEM file of a certificate: the page is served by HTTPS.")
    ] = None,
    tls_key: Annotated[Path | None, typer.Option(help="PEM file of its key.")] = None,
) -> None:
    """Run the kit with the patient's page until Ctrl-C: what a kit's service runs.

    Prints the page's address and the code that pairs a phone. SIGUSR1 is the kit's button: it begins the exercise that
    is left today, and ends it.
    """
    from gonio.errors import UsageError
    from gonio.gateway.settings import KitSettings

    if (tls_cert is None) != (tls_key is None):
        raise UsageError("a certificate and its key belong together: give --tls-cert and --tls-key")
    tls = (tls_cert, tls_key) if tls_cert is not None and tls_key is not None else None
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s", stream=sys.stderr)
    settings = KitSettings.load(data_dir=data_dir, broker=broker)
    asyncio.run(_serve(settings, host, port, tuple(name or ()), tls))


async def _serve(
    settings: KitSettings, host: str, port: int, names: tuple[str, ...], tls: tuple[Path, Path] | None
) -> None:
    from zoneinfo import ZoneInfo

    from gonio.gateway.kit import Kit
    from gonio.gateway.page.home import Home
    from gonio.gateway.page.maker import Place
    from gonio.gateway.page.phones import spaced
    from gonio.gateway.page.serve import page_server
    from gonio.gateway.signs import NoSigns, ProgramSigns
    from gonio.gateway.time_zone import local_time_zone

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    signs = NoSigns() if settings.signs is None else ProgramSigns(settings.signs)

    async def identify(_: object) -> None:
        signs.light("identify")
        signs.sound("identify")

    async with (
        Kit(settings, commands={"identify": identify}) as kit,
        Home(kit, zone=ZoneInfo(local_time_zone()), signs=signs) as home,
        page_server(home, host, port, names=names, tls=tls, place=Place(settings.emergency)) as address,
    ):
        if kit.recovered:
            _say(f"{len(kit.recovered)} session(s) had been cut off; they are closed and will be sent.")
        loop.add_signal_handler(signal.SIGUSR1, home.button)
        _say(f"patient's page: {address}")
        _say(f"code for a new phone: {spaced(home.phones.code)}")
        await stop.wait()
        await _leave(home)


async def _leave(home: Home) -> None:
    """End a session that runs, and give the clinic a moment for what is unsent."""
    await home.live.stop()
    await home.kit.uplink.drain(5.0)


def phones(
    data_dir: DataDir = None,
    new_code: Annotated[bool, typer.Option("--new-code", help="Make another code; paired phones stay.")] = False,
    address: Annotated[
        str | None,
        typer.Option(
            "--address", help="The page's address: prints a picture for a phone's camera.", show_default=False
        ),
    ] = None,
) -> None:
    """Show the phones that may open the page, and the code that pairs one; the kit must not run meanwhile."""
    from gonio.gateway.page.phones import Phones, spaced
    from gonio.gateway.settings import KitSettings
    from gonio.gateway.store import KitStore

    settings = KitSettings.load(data_dir=data_dir)
    with KitStore.open(settings.data_dir, settings.keys()) as store:
        known = Phones(lambda: store)
        if new_code:
            known.renew_code()
        for one in known.all():
            _say(f"{one.name}  {one.author}  since {one.paired_at:%Y-%m-%d}")
        if not known.all():
            _say("No phone is paired yet.")
        if address is not None:
            import segno

            segno.make(f"{address.rstrip('/')}/pair?code={known.code}").terminal(compact=True)
        _say(f"code for a new phone: {spaced(known.code)}")
