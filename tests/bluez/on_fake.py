"""A daemon for a test, and what its ends need of bleak."""

import contextlib
from collections.abc import AsyncIterator

from bleak.backends.bluezdbus.manager import get_global_bluez_manager
from dbus_fast import Message
from dbus_fast.aio import MessageBus

from tests.bluez.bluez_objects import OBJECTS
from tests.bluez.fake_bluez import FakeBluez
from tests.bluez.fake_sensor import FakeSensor


@contextlib.asynccontextmanager
async def bluez(address: str, *sensors: FakeSensor, adapters: tuple[str, ...] = ("hci0",)) -> AsyncIterator[FakeBluez]:
    """Run a daemon; afterwards leave the bus."""
    async with FakeBluez(address, sensors, adapters).running() as daemon:
        try:
            yield daemon
        finally:
            bus = await _bleaks_bus()
            bus.disconnect()
            await bus.wait_for_disconnect()  # type: ignore[no-untyped-call]  # dbus-fast leaves it untyped


async def _bleaks_bus() -> MessageBus:
    bus = (await get_global_bluez_manager())._bus
    assert bus is not None
    return bus


async def everything_is_told() -> None:
    """Wait until bleak has heard what the daemon has said so far."""
    await (await _bleaks_bus()).call(Message("org.bluez", "/", OBJECTS, "GetManagedObjects"))


def consecutive(numbers: list[int]) -> bool:
    """Tell whether not one is missing, doubled or displaced."""
    return numbers == list(range(numbers[0], numbers[0] + len(numbers)))
