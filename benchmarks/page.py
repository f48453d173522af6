"""The kit with two sensors at 60 Hz and the page open: how late the gauge is, and what it costs.

One process holds the kit, the page's server and one watcher (the live view's event stream, read over TCP). The virtual
sensors run in it, too, so a run without session and page is measured first and the sensors' own part in a run of the
sensors alone is told beside it: what is said of the kit is an upper bound.
"""

import argparse
import asyncio
import json
import resource
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from gonio.demo.scene import Scene, scene, simulated_leg
from gonio.gateway import events
from gonio.gateway.kit import Kit
from gonio.gateway.page.door import COOKIE
from gonio.gateway.page.home import Home
from gonio.gateway.page.live import Wanted
from gonio.gateway.page.serve import page_server
from gonio.gateway.settings import KitSettings
from gonio.simulators.world import World


def cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def watch(address: str, token: str, late_ms: list[float]) -> None:
    """Read the event stream as a browser does."""
    parts = urlsplit(address)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    writer.write(f"GET /live/events HTTP/1.1\r\nHost: {parts.netloc}\r\nCookie: {COOKIE}={token}\r\n\r\n".encode())
    while line := await reader.readline():
        if line.startswith(b"data: "):
            view = json.loads(line[6:])
            if view["deg"] is not None:
                late_ms.append(time.time() * 1e3 - view["wall_ms"] + view["latency_ms"])


async def session(leg: Scene, folder: Path, seconds: float, *, page: bool) -> tuple[float, list[float]]:
    """Run one session; gives the share of a core that the whole process took, and the gauge's lateness, ms."""
    late_ms: list[float] = []
    world = leg.world
    settings = KitSettings(data_dir=folder, broker="mqtt://127.0.0.1:1")
    kit = Kit(
        settings,
        source="simulated",
        monotonic_ns=world.monotonic_ns,
        scanner_backend=leg.scanner_backend,
        client_backend=leg.client_backend,
    )
    started = asyncio.Event()

    def listen(event: events.SessionEvent) -> None:
        if isinstance(event, events.SessionStarted):
            world.begin_motion()
            started.set()

    async with kit, Home(kit, zone=ZoneInfo("UTC")) as home, page_server(home, port=0) as address:
        await kit.find_and_pair(thigh=leg.sensors["thigh"].address, shank=leg.sensors["shank"].address)
        watcher = None
        if page:
            token = home.phones.admit("bench", "patient", kit.now())
            watcher = asyncio.create_task(watch(address, token, late_ms))
        run = asyncio.create_task(home.live.run(Wanted("heel-slide", "right"), listener=listen))
        await started.wait()
        before, began = cpu_s(), time.monotonic()
        await asyncio.sleep(seconds)
        share = (cpu_s() - before) / (time.monotonic() - began)
        kit.stop_session()
        await run
        if watcher is not None:
            watcher.cancel()
    return share, late_ms


async def main(seconds: float) -> None:
    """Measure with and without the page."""
    for page in (False, True):
        world = World()
        motion = simulated_leg("heel-slide", seconds + 10, "right", 1)
        with tempfile.TemporaryDirectory() as folder:
            async with scene(motion, "movella_dot", world, seed=1) as leg:
                share, late_ms = await session(leg, Path(folder), seconds, page=page)
        late_ms.sort()
        late = "" if not late_ms else f", gauge late {late_ms[len(late_ms) // 2]:.1f} ms (median)"
        late += "" if not late_ms else f", {late_ms[int(0.95 * len(late_ms))]:.1f} ms (95 %) over {len(late_ms)} views"
        print(f"{'page open' if page else 'no page'}: {100 * share:.1f} % of a core, virtual sensors included{late}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    asyncio.run(main(parser.parse_args().seconds))
