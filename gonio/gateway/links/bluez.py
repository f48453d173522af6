"""The Bluetooth of a Linux computer: BlueZ's adapters, and the word of its service when they come and go.

bleak tells of neither: when bluetoothd ends, no callback comes and links seem to stand for ever. So this watches
D-Bus itself: who owns ``org.bluez`` (NameOwnerChanged), which adapters there are (ObjectManager) and which of them are
switched on (PropertiesChanged). The interfaces are in BlueZ's doc/org.bluez.Adapter.rst and org.bluez.Device.rst.

The module can be imported on any computer; ``system_bluetooth`` uses it on Linux only.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from gonio.errors import RetryableError
from gonio.gateway.links.service import AdapterPort, BluetoothService, FixedBluetooth

if sys.platform == "linux":  # only there it is installed, and only there it is used
    from bleak.backends.bluezdbus.utils import get_dbus_authenticator
    from dbus_fast import BusType, DBusFastError, MessageFlag, MessageType, Variant, unpack_variants
    from dbus_fast.aio import MessageBus
    from dbus_fast.message import Message

log = logging.getLogger(__name__)

_BLUEZ: Final = "org.bluez"
_ADAPTER: Final = "org.bluez.Adapter1"
_DEVICE: Final = "org.bluez.Device1"
_OBJECTS: Final = "org.freedesktop.DBus.ObjectManager"
_PROPERTIES: Final = "org.freedesktop.DBus.Properties"
_BUS: Final = "org.freedesktop.DBus"
_CALL_S: Final = 5.0  # for an answer of the bus
_AGAIN_S: Final = 5.0  # before the bus is tried again
_SETTLE_S: Final = 0.5  # between the end of a connection attempt and forgetting its device

_RULES: Final = (
    f"type='signal',sender='{_BUS}',interface='{_BUS}',member='NameOwnerChanged',arg0='{_BLUEZ}'",
    f"type='signal',sender='{_BLUEZ}',interface='{_OBJECTS}'",
    f"type='signal',sender='{_BLUEZ}',interface='{_PROPERTIES}',member='PropertiesChanged',arg0='{_ADAPTER}'",
)

#: Objects of BlueZ by path, each with its interfaces by name, each with its properties.
_Objects: TypeAlias = Mapping[str, Mapping[str, Mapping[str, Any]]]


class _BusError(RetryableError):
    """The bus refused, or nobody answered on it."""


def system_bluetooth() -> BluetoothService:
    """Give this computer's Bluetooth: BlueZ's on Linux, elsewhere the one adapter that the system has."""
    return BluezService() if sys.platform == "linux" else FixedBluetooth()


class BluezService:
    """BlueZ, watched over the system's D-Bus.

    Where the bus cannot be reached, the first adapter is offered all the same: whoever uses it gets the error that
    says what to do.
    """

    def __init__(self) -> None:
        """Prepare; nothing is asked before ``watched``."""
        self._bus: MessageBus | None = None
        self._powered: frozenset[str] | None = None  # names of the adapters that are switched on; None: not known

    def adapters(self) -> Sequence[AdapterPort]:
        """Give the adapters that are there and switched on; the first one, unseen, while the bus is not reached."""
        if self._powered is None:
            return (AdapterPort("the computer's adapter"),)
        return tuple(AdapterPort(name, bluez=name) for name in sorted(self._powered))

    @contextlib.asynccontextmanager
    async def watched(self, on_change: Callable[[], None]) -> AsyncIterator[None]:
        """Watch the bus, and come back to it when it is lost."""
        known = asyncio.Event()
        watching = asyncio.create_task(self._live(on_change, known), name="bluez-watch")
        try:
            await known.wait()
            yield
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)

    async def release(self, address: str, *, firmly: bool = False) -> bool:
        """End a connection that BlueZ still holds; tell whether it held one.

        Args:
            address: the sensor's.
            firmly: let BlueZ forget all it knows of the sensor, also an attempt to connect that hangs.
        """
        bus = self._bus
        if bus is None:
            return False
        held = False
        with contextlib.suppress(_BusError):
            for path, interfaces in (await _objects(bus)).items():
                device = interfaces.get(_DEVICE, {})
                if str(device.get("Address", "")).upper() != address.upper():
                    continue
                held = held or bool(device.get("Connected"))
                if held or firmly:
                    await _call(bus, _BLUEZ, path, _DEVICE, "Disconnect")  # ends an attempt of its own, too
                if firmly and not device.get("Connected"):
                    await asyncio.sleep(_SETTLE_S)  # bluetoothd 5.66 died of one that came while an attempt ended
                    await _call(bus, _BLUEZ, str(device.get("Adapter")), _ADAPTER, "RemoveDevice", "o", path)
        return held

    async def revive(self, port: AdapterPort) -> bool:
        """Switch an adapter off and on: it may be in a state in which it scans and hears nobody, until that is done."""
        bus = self._bus
        if bus is None or port.bluez is None:
            return False
        path = f"/org/bluez/{port.bluez}"
        try:
            await _switch(bus, path, on=False)
            try:
                await asyncio.sleep(_SETTLE_S)
            finally:  # also when the kit is being left: nobody else would switch it on again
                await _switch(bus, path, on=True)
        except _BusError as error:
            log.warning("the adapter %s could not be switched off and on: %s", port.name, error)
            return False
        return True

    async def _live(self, on_change: Callable[[], None], known: asyncio.Event) -> None:
        told = False
        while True:
            try:
                await self._follow(on_change, known)
            except _BusError as error:
                if not told:
                    log.warning("Bluetooth's comings and goings cannot be watched: %s", error)
                told = True
            self._powered = None
            known.set()
            on_change()
            await asyncio.sleep(_AGAIN_S)

    async def _follow(self, on_change: Callable[[], None], known: asyncio.Event) -> None:
        """Follow the adapters until the bus is lost.

        Raises:
            _BusError: it is lost, or cannot be reached.
        """
        changed = asyncio.Event()

        def on_message(message: Message) -> None:
            if message.member == "NameOwnerChanged":  # whatever was connected is so no more
                self._powered = frozenset()
                on_change()
            if message.member == "NameOwnerChanged" or _of_an_adapter(message):
                changed.set()

        bus = await _open()
        lost = asyncio.ensure_future(_until_lost(bus, changed))
        try:
            bus.add_message_handler(on_message)
            for rule in _RULES:
                await _call(bus, _BUS, "/org/freedesktop/DBus", _BUS, "AddMatch", "s", rule)
            self._bus = bus
            while not lost.done():
                changed.clear()
                self._powered = await _powered(bus)
                known.set()
                on_change()
                await changed.wait()
        finally:
            self._bus = None
            bus.disconnect()
            await lost
        raise _BusError("the connection to the system's D-Bus was lost")


async def _open() -> MessageBus:
    bus = MessageBus(bus_type=BusType.SYSTEM, auth=get_dbus_authenticator())
    try:
        async with asyncio.timeout(_CALL_S):
            await bus.connect()
    except (OSError, EOFError, TimeoutError, DBusFastError) as error:
        bus.disconnect()
        raise _BusError(f"the system's D-Bus cannot be reached ({error or type(error).__name__})") from error
    return bus


async def _until_lost(bus: MessageBus, changed: asyncio.Event) -> None:
    try:
        with contextlib.suppress(OSError, EOFError, DBusFastError):
            await bus.wait_for_disconnect()  # type: ignore[no-untyped-call]  # dbus-fast leaves it untyped
    finally:
        changed.set()


async def _call(
    bus: MessageBus, destination: str, path: str, interface: str, member: str, signature: str = "", *body: object
) -> list[Any]:
    """Call a method, without starting a service that does not run.

    Raises:
        _BusError: the answer is an error, or there is none in time.
    """
    call = Message(
        destination=destination,
        path=path,
        interface=interface,
        member=member,
        signature=signature,
        body=list(body),
        flags=MessageFlag.NO_AUTOSTART,
    )
    try:
        async with asyncio.timeout(_CALL_S):
            answer = await bus.call(call)
    except (OSError, EOFError, TimeoutError, DBusFastError) as error:
        raise _BusError(f"{member}: {error or type(error).__name__}") from error
    if answer is None or answer.message_type is MessageType.ERROR:
        raise _BusError(f"{member}: {None if answer is None else answer.error_name}")
    return list(answer.body)


async def _switch(bus: MessageBus, path: str, *, on: bool) -> None:
    await _call(bus, _BLUEZ, path, _PROPERTIES, "Set", "ssv", _ADAPTER, "Powered", Variant("b", on))


async def _objects(bus: MessageBus) -> _Objects:
    (objects,) = await _call(bus, _BLUEZ, "/", _OBJECTS, "GetManagedObjects")
    unpacked: _Objects = unpack_variants(objects)
    return unpacked


async def _powered(bus: MessageBus) -> frozenset[str]:
    """Give the names of the adapters that are switched on; none where nobody owns BlueZ's name."""
    try:
        objects = await _objects(bus)
    except _BusError:
        return frozenset()
    return frozenset(
        path.rpartition("/")[2]
        for path, interfaces in objects.items()
        if interfaces.get(_ADAPTER, {}).get("Powered") is True
    )


def _of_an_adapter(message: Message) -> bool:
    """Tell whether a signal is of an adapter that comes, goes, or is switched on or off."""
    if message.member == "PropertiesChanged":
        return "Powered" in message.body[1]
    return message.member in {"InterfacesAdded", "InterfacesRemoved"} and _ADAPTER in message.body[1]
