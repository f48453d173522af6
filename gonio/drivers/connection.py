"""One Bluetooth connection to a sensor, over bleak: made, asked and ended with a time-out on every wait.

Why each precaution is taken stands in the comments; the faults behind them were measured with bleak and BlueZ.
"""

import asyncio
import contextlib
import random
import weakref
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from bleak import BleakClient
from bleak.backends.characteristic import BleakGATTCharacteristic
from bleak.backends.client import BaseBleakClient
from bleak.backends.device import BLEDevice
from bleak.backends.service import BleakGATTServiceCollection
from bleak.exc import BleakBluetoothNotAvailableError, BleakError, BleakGATTProtocolError, BleakGATTProtocolErrorCode

from gonio.drivers.link_errors import (
    BluetoothUnavailableError,
    SensorLostError,
    SensorRefusedError,
    SensorUnreachableError,
    SensorUnsuitableError,
)
from gonio.drivers.link_values import Patience
from gonio.drivers.scan import FoundSensor
from gonio.firmware_profiles.packets import ATT_HEADER_BYTES

_T = TypeVar("_T")

#: Takes a notification's value; a plain function, because bleak would make a task of a coroutine for every packet.
OnValue = Callable[[BleakGATTCharacteristic, bytearray], None]

#: bleak tells of a failure by its own errors, of a lost D-Bus or socket by the system's, and of a link that is lost
#: between two of its own steps by a failed assertion (bleak 3.1, BlueZ: ``disconnect`` after services came too late).
_FAILURES: Final = (BleakError, OSError, EOFError, AssertionError)

_MTU_POLL_S: Final = 0.1

# One connection attempt at a time for each adapter: two at once make BlueZ fail both. By event loop, because a lock
# belongs to one; by backend and, in BlueZ, by adapter.
_connecting: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[object, asyncio.Lock]] = (
    weakref.WeakKeyDictionary()
)


class SensorConnection:
    """A connection that can be lost; once it is, every operation raises the same error.

    Attributes:
        lost: why the connection is of no more use, None while it is.
    """

    def __init__(
        self,
        found: FoundSensor,
        *,
        patience: Patience,
        on_lost: Callable[[SensorLostError], None],
        client_backend: type[BaseBleakClient] | None = None,
    ) -> None:
        """Prepare a connection.

        Args:
            found: the sensor.
            patience: how long to wait for what.
            on_lost: is told once when it is lost.
            client_backend: bleak's backend; by default the platform's.
        """
        self.lost: SensorLostError | None = None
        self._found = found
        self._patience = patience
        self._on_lost = on_lost
        self._backend = client_backend
        self._client: BleakClient | None = None
        self._up = False  # the client is connected; before, it may see links come and go that it makes anew by itself

    @property
    def label(self) -> str:
        """The sensor's name and address, for messages."""
        return f"{self._found.name} ({self._found.address})"

    async def connect(self) -> None:
        """Connect, in several attempts if need be.

        Raises:
            BluetoothUnavailableError: the computer cannot connect to anything now.
            SensorUnreachableError: no attempt succeeded.
            SensorLostError: one did, and the link was lost at once.
        """
        adapter = (self._backend, _adapter_of(self._found.device))
        lock = _connecting.setdefault(asyncio.get_running_loop(), {}).setdefault(adapter, asyncio.Lock())
        pause_s = self._patience.backoff_s
        failure: Exception | None = None
        for attempt in range(self._patience.attempts):
            if attempt:
                await asyncio.sleep(pause_s * random.uniform(0.5, 1.5))  # noqa: S311 - only keeps kits out of step
                pause_s *= 2
            async with lock:
                self.lost = None
                client = self._client = BleakClient(
                    self._found.device,
                    disconnected_callback=self._on_disconnected,
                    timeout=self._patience.connect_s,
                    backend=self._backend,
                )
                try:
                    async with asyncio.timeout(self._patience.connect_s):
                        await client.connect()
                    if not client.is_connected:
                        raise BleakError("it was lost as soon as it was connected")  # noqa: TRY301 - as bleak's own
                except BleakBluetoothNotAvailableError as error:
                    self._client = None
                    raise BluetoothUnavailableError(f"Bluetooth cannot be used now: {error}") from error
                except (*_FAILURES, TimeoutError) as error:
                    # BlueZ can be connected without telling; a retry without this would be delivered everything twice
                    await self.disconnect()
                    failure = error
                except BaseException:
                    await self.disconnect()
                    raise
                else:
                    self._up = True
                    return
        raise SensorUnreachableError(
            f"no connection to {self.label} in {self._patience.attempts} attempts "
            f"({str(failure) or type(failure).__name__}): see that it is near, charged, and not connected to a phone"
        ) from failure

    async def disconnect(self) -> None:
        """Say goodbye; also after a loss, or BlueZ would deliver the next connection's notifications twice."""
        client, self._client, self._up = self._client, None, False
        if client is None:
            return
        with contextlib.suppress(*_FAILURES, TimeoutError):  # it is gone either way
            async with asyncio.timeout(self._patience.disconnect_s):
                await client.disconnect()

    def _connected(self) -> BleakClient:
        if self.lost is not None:
            raise self.lost
        if self._client is None:
            raise RuntimeError("the link is used outside of its 'async with'")
        return self._client

    def characteristic(self, uuid: str) -> BleakGATTCharacteristic:
        """Give a characteristic that the sensor must have.

        Raises:
            SensorUnsuitableError: it has none, or several.
        """
        try:
            found = self._connected().services.get_characteristic(uuid)
        except BleakError as error:  # several with this UUID, or the services went with the link
            if not self._connected().is_connected:
                raise self.lose("was lost while it was looked at") from error
            raise self.unsuitable(f"its characteristic {uuid} cannot be told: {error}") from error
        if found is None:
            raise self.unsuitable(f"it has no characteristic {uuid}")
        return found

    @property
    def services(self) -> BleakGATTServiceCollection:
        """What the sensor has."""
        return self._connected().services

    def has(self, uuid: str) -> bool:
        """Whether the sensor has a characteristic, which its profile does not need."""
        return any(one.uuid.lower() == uuid for one in self._connected().services.characteristics.values())

    def unsuitable(self, what: str) -> SensorUnsuitableError:
        """Make the error that says what the sensor lacks."""
        return SensorUnsuitableError(
            f"{self.label} does not fit the profile {self._found.family}: {what}; "
            "its firmware may be too old or too new, or it is another product"
        )

    async def mtu(self, source: BleakGATTCharacteristic, needed: int) -> int:
        """Give the ATT MTU; wait a little while it is not yet known to be enough (BlueZ tells it after connecting).

        Args:
            source: the characteristic that must carry it.
            needed: what is enough, bytes.
        """
        for _ in range(round(self._patience.mtu_s / _MTU_POLL_S)):
            if self._mtu_now(source) >= needed:
                break
            await asyncio.sleep(_MTU_POLL_S)
        return self._mtu_now(source)

    def _mtu_now(self, source: BleakGATTCharacteristic) -> int:
        self._connected()
        # the client's own mtu_size stays 23 on BlueZ
        return source.max_write_without_response_size + ATT_HEADER_BYTES

    async def read(self, uuid: str, what: str) -> bytes:
        """Read a characteristic; errors as ``_operate``."""
        target = self.characteristic(uuid)
        return bytes(await self._operate(self._connected().read_gatt_char(target), what))

    async def write(self, uuid: str, data: bytes, what: str) -> None:
        """Write a characteristic, confirmed where it can be; errors as ``_operate``."""
        target = self.characteristic(uuid)
        response = "write" in target.properties
        await self._operate(self._connected().write_gatt_char(target, data, response=response), what)

    async def subscribe(self, uuid: str, on_value: OnValue) -> None:
        """Have the notifications of a characteristic given to a function; errors as ``_operate``."""
        target = self.characteristic(uuid)
        await self._operate(self._connected().start_notify(target, on_value), f"notify on {uuid}")

    async def unsubscribe(self, uuid: str) -> None:
        """End notifications; errors as ``_operate``."""
        target = self.characteristic(uuid)
        await self._operate(self._connected().stop_notify(target), f"end notifications on {uuid}")

    async def _operate(self, operation: Awaitable[_T], what: str) -> _T:
        """Wait for an answer of the sensor.

        Raises:
            SensorRefusedError: the answer is no.
            SensorLostError: there is none.
        """
        try:
            async with asyncio.timeout(self._patience.operation_s):
                return await operation
        except TimeoutError:
            raise self.lose(f"did not answer within {self._patience.operation_s:.3g} s ({what})") from None
        except BleakGATTProtocolError as error:
            # BlueZ gives "unlikely error" to whatever a lost link has cut off
            if self.lost is None and error.code != BleakGATTProtocolErrorCode.UNLIKELY_ERROR:
                raise SensorRefusedError(f"{self.label} refused to {what} ({error.code.name})") from error
            raise self.lost or self.lose(f"was lost ({what})") from error
        except _FAILURES as error:
            raise self.lost or self.lose(f"was lost ({what}: {error})") from error

    def lose(self, what: str) -> SensorLostError:
        """Give the sensor up; the first reason stays.

        Args:
            what: the reason, as the end of a sentence that begins with the sensor's name.
        """
        if self.lost is None:
            self.lost = SensorLostError(f"{self.label} {what}")
            self._on_lost(self.lost)
        return self.lost

    def _on_disconnected(self, client: BleakClient) -> None:
        if client is self._client and self._up:
            self.lose("is gone: the Bluetooth link was lost")


def _adapter_of(device: BLEDevice) -> str | None:
    """Give the path of the adapter that heard a device, where BlueZ did; None elsewhere."""
    properties = device.details.get("props") if isinstance(device.details, dict) else None
    return properties.get("Adapter") if isinstance(properties, dict) else None
