"""What befalls a kit's Bluetooth in a bad hour, on real BlueZ: run inside the machine.

    python -m tests.bluez.scenario

Five simulated sensors, four of them at 60 Hz and one at 100 Hz of a world at a quarter of the machine's speed, stream
to the kit's own link supervisor; links are lost, bluetoothd is killed, the adapter is switched off and on. What came
of it goes to ``summary.json`` in the machine's folder.
"""

import asyncio
import contextlib
import json
import os
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

from gonio.drivers.link import Patience
from gonio.drivers.link_errors import SensorLostError
from gonio.firmware_profiles import builtin_profiles, get_profile
from gonio.gateway.links.bluez import BluezService
from gonio.gateway.links.hub import LinkHub, LinkOptions
from gonio.gateway.links.keeper import SensorKeeper
from gonio.gateway.links.pauses import LinkTiming
from gonio.gateway.links.stream import KeptStream
from gonio.gateway.records import PairedSensor
from tests.bluez.handles import Hardware, hardware, kill_bluetoothd, switch
from tests.bluez.numbering import SPEED, number_of

FAMILIES: Final = (*["movella_dot"] * 4, "witmotion_ble5")
ROUNDS: Final = 5  # of all links lost at once

#: New samples after a fault that show that a sensor streams again, and of quiet streaming at the end.
ENOUGH: Final = 30
QUIET: Final = 90

#: For all sensors to stream again, s; generous, because the machine may be emulated on a busy computer.
PATIENCE_S: Final = 120.0

#: An emulated computer takes twenty times as long as a real one for whatever it does.
OPTIONS: Final = LinkOptions(
    timing=LinkTiming(unheard_s=60.0, suspect_s=3.0, first_data_s=40.0, silence_s=12.0),
    patience=Patience(attempts=1, connect_s=40.0, operation_s=20.0, mtu_s=20.0, disconnect_s=20.0),
)


@dataclass
class Heard:
    """What has come from one sensor.

    Attributes:
        numbers: of its samples, as they came.
        links: connections that streamed.
        losses: why they ended.
    """

    numbers: list[int] = field(default_factory=list)
    links: int = 0
    losses: list[str] = field(default_factory=list)
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    def add(self, numbers: list[int]) -> None:
        """Take samples."""
        self.numbers += numbers
        self._news.set()

    async def wait_for(self, count: int) -> None:
        """Wait for so many new samples."""
        wanted = len(self.numbers) + count
        while len(self.numbers) < wanted:
            self._news.clear()
            await self._news.wait()


def tell(line: str) -> None:
    """Write a line for whoever looks for what went wrong."""
    sys.stdout.write(f"{time.monotonic():6.1f} {line}\n")
    sys.stdout.flush()


def world_ns() -> int:
    """Give the clock of the simulated world."""
    return int(time.monotonic_ns() * SPEED)


async def take(keeper: SensorKeeper, heard: Heard) -> None:
    """Take a sensor's samples, for ever."""
    while True:
        stream = KeptStream(keeper)
        await stream.start()
        heard.links += 1
        try:
            async for chunk in stream.chunks():
                heard.add(number_of(chunk.acc))
        except SensorLostError as error:
            heard.losses.append(str(error))


async def all_give(heard: dict[str, Heard], count: int) -> bool:
    """Wait until every sensor has given so many new samples; tell whether it came to that."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.gather(*(one.wait_for(count) for one in heard.values()))
    except TimeoutError:
        return False
    return True


async def power_cycle() -> None:
    """Switch the adapter off, and on again."""
    await switch(on=False)
    await asyncio.sleep(2.0)
    await switch(on=True)


async def bad_hour(devices: Hardware, heard: dict[str, Heard]) -> list[dict[str, object]]:
    """Inflict one fault after the other; give what came of each."""
    loop = asyncio.get_running_loop()

    async def lose_links() -> None:
        await devices.lose(devices.addresses)

    async def nothing() -> None:
        pass

    async def kill() -> None:
        await asyncio.to_thread(kill_bluetoothd)

    faults = [
        ("nothing yet", nothing),
        *[("all links lost", lose_links)] * ROUNDS,
        ("bluetoothd killed", kill),
        ("adapter off and on", power_cycle),
    ]
    recoveries: list[dict[str, object]] = []
    for name, inflict in faults:
        await inflict()
        since_s = loop.time()
        back = await all_give(heard, ENOUGH)
        recoveries.append({"fault": name, "back": back, "seconds": round(loop.time() - since_s, 1)})
        tell(str(recoveries[-1]))
    await all_give(heard, QUIET)
    return recoveries


def summary_of(heard: Heard, keeper: SensorKeeper, sent: int) -> dict[str, object]:
    """Tell what came from a sensor."""
    numbers, report = heard.numbers, keeper.report()
    return {
        "family": keeper.sensor.family,
        "sent": sent,
        "received": len(numbers),
        "doubled": len(numbers) - len(set(numbers)),
        "in_order": numbers == sorted(numbers),
        "missing": numbers[-1] - numbers[0] + 1 - len(set(numbers)),
        "missing_at_the_end": numbers[-1] - numbers[-QUIET] + 1 - QUIET,
        "links": heard.links,
        "losses": heard.losses,
        "report": asdict(report),
    }


async def main() -> None:
    """Run the scenario and write its summary."""
    async with hardware(FAMILIES) as devices, contextlib.AsyncExitStack() as stack:
        families = dict(zip(devices.addresses, FAMILIES, strict=True))
        hub = LinkHub(BluezService(), builtin_profiles(), monotonic_ns=world_ns, options=OPTIONS, tell=tell)
        await stack.enter_async_context(hub)
        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        heard = {address: Heard() for address in families}
        keepers = {
            address: hub.keep(PairedSensor("thigh", address, family, f"{family} {number}"), get_profile(family))
            for number, (address, family) in enumerate(families.items(), 1)
        }
        taking = [tasks.create_task(take(keepers[address], one)) for address, one in heard.items()]
        recoveries = await bad_hour(devices, heard)
        sent = await devices.sent()
        for task in taking:
            task.cancel()
        sensors = {address: summary_of(heard[address], keepers[address], sent[address]) for address in families}
    summary = json.dumps({"recoveries": recoveries, "sensors": sensors}, indent=1)
    (Path(os.environ["GONIO_MACHINE_OUT"]) / "summary.json").write_text(summary)


if __name__ == "__main__":
    asyncio.run(main())
