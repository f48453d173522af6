"""What befalls a kit's Bluetooth in a bad hour, on real BlueZ: run inside the machine.

    python -m tests.bluez.scenario

Four simulated sensors at 60 Hz stream to the product's own code; links are lost, bluetoothd is killed, the adapter is
switched off and on. What came of it goes to ``summary.json`` in the machine's folder.
"""

import asyncio
import json
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from gonio.drivers.link import SensorLink, scan
from gonio.errors import RetryableError
from gonio.firmware_profiles import get_profile
from tests.bluez.handles import Hardware, hardware, kill_bluetoothd, switch
from tests.bluez.numbering import number_of

FAMILY: Final = "movella_dot"
SENSORS: Final = 4
ROUNDS: Final = 5  # of all links lost at once

#: New samples after a fault that show that a sensor streams again, and of quiet streaming at the end.
ENOUGH: Final = 30
QUIET: Final = 180

#: For all sensors to stream again, s; generous, because the machine may be emulated on a busy computer.
PATIENCE_S: Final = 90.0


@dataclass
class Heard:
    """What has come from one sensor.

    Attributes:
        numbers: of its samples, as they came.
        missing_by_time: samples that the gateway knows to be lost, by the sensor's timestamps.
        links: connections that streamed.
        failures: why connections ended, or were not made.
    """

    numbers: list[int] = field(default_factory=list)
    missing_by_time: int = 0
    links: int = 0
    failures: list[str] = field(default_factory=list)
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


async def keep(address: str, heard: Heard, scanning: asyncio.Lock) -> None:
    """Let a sensor stream, for ever."""
    profile = get_profile(FAMILY)
    last_s: float | None = None
    while True:
        try:
            async with scanning:
                found = {one.address: one for one in await scan([profile], timeout_s=2.0, want=SENSORS)}
            if address not in found:
                continue
            async with SensorLink(found[address], profile) as link:
                await link.start()
                heard.links += 1
                async for chunk in link.chunks():
                    heard.add(number_of(chunk.acc))
                    for moment_s in chunk.sensor_s.tolist() if chunk.sensor_s is not None else []:
                        if last_s is not None:
                            heard.missing_by_time += round((moment_s - last_s) * link.info.rate_hz) - 1
                        last_s = moment_s
        except RetryableError as error:
            heard.failures.append(str(error))
            await asyncio.sleep(0.5)


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
        sys.stdout.write(f"{recoveries[-1]}\n")
    await all_give(heard, QUIET)
    return recoveries


async def main() -> None:
    """Run the scenario and write its summary."""
    async with hardware([FAMILY] * SENSORS) as devices, asyncio.TaskGroup() as tasks:
        heard = {address: Heard() for address in devices.addresses}
        scanning = asyncio.Lock()
        keepers = [tasks.create_task(keep(address, one, scanning)) for address, one in heard.items()]
        recoveries = await bad_hour(devices, heard)
        sent = await devices.sent()
        for keeper in keepers:
            keeper.cancel()
    sensors = {
        address: {
            "sent": sent[address],
            "received": len(one.numbers),
            "doubled": len(one.numbers) - len(set(one.numbers)),
            "in_order": one.numbers == sorted(one.numbers),
            "missing": one.numbers[-1] - one.numbers[0] + 1 - len(set(one.numbers)),
            "missing_by_time": one.missing_by_time,
            "missing_at_the_end": one.numbers[-1] - one.numbers[-QUIET] + 1 - QUIET,
            "links": one.links,
            "failures": one.failures,
        }
        for address, one in heard.items()
    }
    summary = json.dumps({"recoveries": recoveries, "sensors": sensors}, indent=1)
    (Path(os.environ["GONIO_MACHINE_OUT"]) / "summary.json").write_text(summary)


if __name__ == "__main__":
    asyncio.run(main())
