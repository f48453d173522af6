"""What the scenario takes in its hands: the simulated hardware, the adapter's switch, bluetoothd's life."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from dbus_fast import BusType, Message, MessageType, Variant
from dbus_fast.aio import MessageBus


class Hardware:
    """The adapter and sensors, which run in a process of their own, as they do in life.

    Attributes:
        addresses: of the sensors.
    """

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.addresses: list[str] = []
        self._process = process

    async def ready(self) -> None:
        """Wait until the sensors are on the air."""
        self.addresses = json.loads(await self._line())

    async def lose(self, addresses: Sequence[str]) -> None:
        """Lose the links of some sensors."""
        await self._ask("lose " + " ".join(addresses))

    async def sent(self) -> dict[str, int]:
        """Samples that each sensor has sent so far."""
        report: dict[str, int] = json.loads(await self._ask("report"))
        return report

    async def _ask(self, line: str) -> bytes:
        if self._process.stdin is None:
            raise RuntimeError("the hardware takes no input")
        self._process.stdin.write(f"{line}\n".encode())
        return await self._line()

    async def _line(self) -> bytes:
        if self._process.stdout is None or not (line := await self._process.stdout.readline()):
            raise RuntimeError("the hardware is gone")
        return line


@asynccontextmanager
async def hardware(families: Sequence[str]) -> AsyncIterator[Hardware]:
    """Give an adapter that hears a sensor of each family."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.bluez.hardware", *families),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        devices = Hardware(process)
        await devices.ready()
        yield devices
    finally:
        process.kill()
        await process.wait()


async def switch(*, on: bool) -> None:
    """Switch the adapter, as ``bluetoothctl power`` does."""
    bus = await MessageBus(bus_type=BusType.SYSTEM).connect()
    try:
        reply = await bus.call(
            Message(
                destination="org.bluez",
                path="/org/bluez/hci0",
                interface="org.freedesktop.DBus.Properties",
                member="Set",
                signature="ssv",
                body=["org.bluez.Adapter1", "Powered", Variant("b", on)],
            )
        )
    finally:
        bus.disconnect()
    if reply is None or reply.message_type is MessageType.ERROR:
        raise RuntimeError(f"the adapter cannot be switched: {reply}")


def kill_bluetoothd() -> None:
    """End bluetoothd without a word, as a crash does."""
    for process in Path("/proc").iterdir():
        if process.name.isdigit() and (process / "comm").read_text().strip() == "bluetoothd":
            os.kill(int(process.name), signal.SIGKILL)
            return
    raise RuntimeError("no bluetoothd runs")
