"""The computer's Bluetooth as the kit sees it: which adapters can be used now, and a word when that changes."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

from bleak.backends.client import BaseBleakClient
from bleak.backends.scanner import BaseBleakScanner


@dataclass(frozen=True, slots=True)
class AdapterPort:
    """An adapter that can be used.

    Attributes:
        name: for people.
        scanner_backend: bleak's scanner, where it is not the system's.
        client_backend: bleak's client likewise.
        bluez: its name in BlueZ (``hci1``), where the system's backend is to use this one and not the first.
    """

    name: str
    scanner_backend: type[BaseBleakScanner] | None = None
    client_backend: type[BaseBleakClient] | None = None
    bluez: str | None = None


class BluetoothService(Protocol):
    """What the kit needs to know of the computer's Bluetooth."""

    def adapters(self) -> Sequence[AdapterPort]:
        """Give the adapters that can be used now; none while Bluetooth is off or its service gone."""
        ...

    def watched(self, on_change: Callable[[], None]) -> AbstractAsyncContextManager[None]:
        """Call a function, in the event loop, whenever ``adapters`` may have changed, while the context is open."""
        ...

    async def release(self, address: str, *, firmly: bool = False) -> bool:
        """End a connection that the system still holds from a program that is gone; tell whether there was one.

        Args:
            address: the sensor's.
            firmly: let the system forget all it knows of the sensor, also an attempt to connect that hangs.
        """
        ...

    async def revive(self, port: AdapterPort) -> bool:
        """Switch an adapter off and on; tell whether that could be done."""
        ...


class FixedBluetooth:
    """Adapters that are there: the platform's one where nothing tells more of it, or virtual ones."""

    def __init__(self, ports: Sequence[AdapterPort] = (AdapterPort("the computer's adapter"),)) -> None:
        """Begin with some adapters."""
        self._ports = tuple(ports)
        self._listeners: list[Callable[[], None]] = []

    def adapters(self) -> Sequence[AdapterPort]:
        """Give the adapters."""
        return self._ports

    def change(self, ports: Sequence[AdapterPort]) -> None:
        """Let there be other adapters from now on."""
        self._ports = tuple(ports)
        for listener in tuple(self._listeners):
            listener()

    @asynccontextmanager
    async def watched(self, on_change: Callable[[], None]) -> AsyncIterator[None]:
        """Call a function whenever the adapters change."""
        self._listeners.append(on_change)
        try:
            yield
        finally:
            self._listeners.remove(on_change)

    async def release(self, address: str, *, firmly: bool = False) -> bool:  # noqa: ARG002 - there is nobody to ask
        """End nothing."""
        return False

    async def revive(self, port: AdapterPort) -> bool:  # noqa: ARG002 - there is nobody to ask
        """Switch nothing."""
        return False
