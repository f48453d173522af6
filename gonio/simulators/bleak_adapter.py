"""The virtual Bluetooth adapter that clients and scanners share, with the faults of real ones at hand.

What it can be made to do was measured with bleak 3.1 and BlueZ 5.66: see docs/bluetooth.md for each fault, where it
was seen and what cures it.
"""

import asyncio
from collections import Counter, deque
from typing import Any, Final

from bleak.exc import BleakBluetoothNotAvailableError, BleakBluetoothNotAvailableReason, BleakError
from bumble import hci
from bumble.device import Connection, Device

from gonio.simulators.radio import Radio, random_address, uninterrupted

IN_PROGRESS: Final = "[org.bluez.Error.InProgress] Operation already in progress"
CANCELED: Final = "[org.bluez.Error.Failed] br-connection-canceled"
NO_SERVICES: Final = "failed to discover services, device disconnected"
NO_SLOT: Final = "[org.bluez.Error.Failed] le-connection-abort-by-local (0x0d: limited resources)"
NO_SERVICE: Final = "[org.freedesktop.DBus.Error.ServiceUnknown] The name org.bluez was not provided"


def note_outcome(task: "asyncio.Task[Any]") -> None:
    """Look at a task's outcome, so that asyncio does not report it as forgotten."""
    if not task.cancelled():
        task.exception()


class VirtualAdapter:
    """A controller does one thing at a time; a host that asks for more gets what BlueZ gives.

    Attributes:
        central: the device that plays the adapter.
        slots: connections that its controller can hold; None for as many as come.
        connects_while_scanning: False lets a connection fail while it scans, as some controllers do.
        most_at_once: the largest number of connection attempts that ever were under way together.
        attempts: connection attempts so far, by address.
        unclean: lost connections by address whose client has not been disconnected: each adds a delivery.
        services: how many services there have been; what belongs to an earlier one is dead and does not know it.
    """

    def __init__(self, central: Device, radio: Radio | None = None) -> None:
        """Use a device that is powered on.

        Args:
            central: it plays the adapter.
            radio: the air that it is on; needed to switch it off or to end its service.
        """
        self.central = central
        self.slots: int | None = None
        self.connects_while_scanning = True
        self.most_at_once = 0
        self.attempts: Counter[str] = Counter()
        self.unclean: Counter[str] = Counter()
        self.services = 1
        self._radio = radio
        self._powered = True
        self._serving = True
        self._orphans: set[str] = set()  # sensors that the radio still holds for a service that is gone
        self._failures: dict[str, deque[str]] = {}
        self._under_way: dict[str, asyncio.Task[Connection]] = {}
        self._scanners = 0
        self._scan_switch = asyncio.Lock()
        self._connecting = asyncio.Lock()
        self._background: set[asyncio.Task[None]] = set()

    # --- faults ------------------------------------------------------------------------------------------------------

    def fail_next(self, address: str, *errors: str) -> None:
        """Let the next connection attempts to a sensor fail with these texts, one after the other."""
        self._failures.setdefault(address.upper(), deque()).extend(errors)

    def switch(self, *, on: bool) -> None:
        """Switch the adapter on or off; off, all its links are lost and nothing can be begun."""
        self._powered = on
        if not on:
            self._drop_all()

    def kill_service(self, *, holding: bool = False) -> None:
        """Let the service end as bluetoothd does when it is killed: no callback, links seem to stand, data end.

        Args:
            holding: the kernel keeps the radio links: the sensors stay connected to nobody, and do not advertise.
        """
        self._serving = False
        self.services += 1
        if holding:
            self._orphans = {
                connection.peer_address.to_string(with_type_qualifier=False)
                for connection in self.central.connections.values()
            }
        else:
            self._drop_all()

    def start_service(self) -> None:
        """Let the service run again; it knows nothing of what was before."""
        self._serving = True

    def release(self, address: str) -> bool:
        """End a link that was kept from an earlier service; tell whether there was one."""
        held = address.upper() in self._orphans
        if held:
            self._orphans.discard(address.upper())
            self._on_the_air().drop(address)
        return held

    def _on_the_air(self) -> Radio:
        if self._radio is None:
            raise RuntimeError("this fault needs the radio: VirtualAdapter(central, radio)")
        return self._radio

    def _drop_all(self) -> None:
        self._on_the_air().drop(self.central.random_address.to_string(with_type_qualifier=False))

    def require_service(self) -> None:
        """Refuse what the system refuses while Bluetooth is off or its service gone.

        Raises:
            BleakError: it is.
        """
        if not self._serving:
            raise BleakError(NO_SERVICE)
        if not self._powered:
            raise BleakBluetoothNotAvailableError(
                "No powered Bluetooth adapters found.", BleakBluetoothNotAvailableReason.POWERED_OFF
            )

    # --- scanning and connecting -------------------------------------------------------------------------------------

    async def start_scanning(self) -> None:
        """Let the controller scan; it does while anybody wants it to."""
        self.require_service()
        async with self._scan_switch:
            if self._scanners == 0:
                try:
                    await uninterrupted(self.central.start_scanning(legacy=True, filter_duplicates=False))
                except asyncio.CancelledError:  # it has begun, and nobody would end it
                    await uninterrupted(self.central.stop_scanning(legacy=True))
                    raise
            self._scanners += 1

    async def stop_scanning(self) -> None:
        """Want it no more."""
        async with self._scan_switch:
            self._scanners -= 1
            if self._scanners == 0:
                await uninterrupted(self.central.stop_scanning(legacy=True))

    async def connect(self, address: str) -> Connection:
        """Connect to a device, however long it takes; when cancelled, the attempt is withdrawn from the controller.

        The controller is free for the next attempt when this one has really ended, not when its caller gave up.

        Raises:
            BleakError: what BlueZ would answer.
        """
        self._require_place(address)
        self.attempts[address] += 1
        await self._connecting.acquire()
        attempt = asyncio.create_task(
            self.central.connect(random_address(address), timeout=None), name=f"connect {address}"
        )
        self._under_way[address] = attempt
        attempt.add_done_callback(lambda _: self._ended(address))
        attempt.add_done_callback(note_outcome)
        try:
            return await asyncio.shield(attempt)
        except asyncio.CancelledError:
            withdrawal = asyncio.create_task(self._withdraw(attempt), name=f"withdraw connect {address}")
            self._background.add(withdrawal)
            withdrawal.add_done_callback(self._background.discard)
            await asyncio.wait({withdrawal})
            raise

    def _require_place(self, address: str) -> None:
        self.require_service()
        self.most_at_once = max(self.most_at_once, len(self._under_way) + 1)
        if self._scanners and not self.connects_while_scanning:
            raise BleakError(IN_PROGRESS)
        if address in self._under_way:  # BlueZ fails both
            self.fail_next(address, CANCELED)
            raise BleakError(IN_PROGRESS)
        if self.slots is not None and len(self.central.connections) >= self.slots:
            raise BleakError(NO_SLOT)

    def spoilt(self, address: str) -> str | None:
        """Give the text with which an attempt that has just succeeded is to fail; None where it may stand."""
        failures = self._failures.get(address.upper())
        return failures.popleft() if failures else None

    def _ended(self, address: str) -> None:
        self._under_way.pop(address, None)
        self._connecting.release()

    async def _withdraw(self, attempt: "asyncio.Task[Connection]") -> None:
        while not attempt.done():  # again where the attempt had not yet reached the controller
            await self.central.send_sync_command(hci.HCI_LE_Create_Connection_Cancel_Command())
            await asyncio.wait({attempt}, timeout=0.05)
        if not attempt.cancelled() and attempt.exception() is None:  # it was faster than we
            await attempt.result().disconnect()
