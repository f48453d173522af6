"""bleak over a bumble central: the client code of the kit runs unchanged against virtual sensors.

``backends(central)`` gives the two classes that ``BleakScanner(backend=...)`` and ``BleakClient(backend=...)`` take.
They behave as bleak does on Linux where a gateway can tell: one connection attempt at a time, a time-out is a
TimeoutError, an operation cut off by a lost link is GATT protocol error 14, later ones find no services, and the
disconnected callback comes for every end of a connection.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, ClassVar, Final, TypeVar

from bleak.args import SizedBuffer
from bleak.assigned_numbers import CharacteristicPropertyName
from bleak.backends.characteristic import BleakGATTCharacteristic
from bleak.backends.client import BaseBleakClient, NotifyCallback
from bleak.backends.descriptor import BleakGATTDescriptor
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData, AdvertisementDataCallback, BaseBleakScanner
from bleak.backends.service import BleakGATTService, BleakGATTServiceCollection
from bleak.exc import BleakError, BleakGATTProtocolError, BleakGATTProtocolErrorCode
from bumble import core, hci
from bumble.device import Advertisement, Connection, Device, Peer
from bumble.gatt import GATT_CLIENT_CHARACTERISTIC_CONFIGURATION_DESCRIPTOR

from gonio.simulators.bleak_adapter import NO_SERVICE, VirtualAdapter, note_outcome

_T = TypeVar("_T")

#: What the central offers in the MTU exchange, as Linux does.
_OFFERED_MTU: Final = 517

#: How long an orderly disconnection may take, real s.
_DISCONNECT_TIMEOUT_S: Final = 5.0

_PROPERTIES: Final[dict[int, CharacteristicPropertyName]] = {
    0x01: "broadcast",
    0x02: "read",
    0x04: "write-without-response",
    0x08: "write",
    0x10: "notify",
    0x20: "indicate",
}

_SERVICE_UUID_TYPES: Final = (
    core.AdvertisingData.INCOMPLETE_LIST_OF_16_BIT_SERVICE_CLASS_UUIDS,
    core.AdvertisingData.COMPLETE_LIST_OF_16_BIT_SERVICE_CLASS_UUIDS,
    core.AdvertisingData.INCOMPLETE_LIST_OF_128_BIT_SERVICE_CLASS_UUIDS,
    core.AdvertisingData.COMPLETE_LIST_OF_128_BIT_SERVICE_CLASS_UUIDS,
)


def _uuid_text(uuid: core.UUID) -> str:
    digits = uuid.to_bytes(force_128=True)[::-1].hex()
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def _advertisement_data(advertisement: Advertisement) -> AdvertisementData:
    data = advertisement.data
    uuids = [uuid for kind in _SERVICE_UUID_TYPES for listed in data.get_all(kind) for uuid in listed]
    name = data.get(core.AdvertisingData.COMPLETE_LOCAL_NAME)
    manufacturer = data.get_all(core.AdvertisingData.MANUFACTURER_SPECIFIC_DATA)
    return AdvertisementData(
        local_name=name if isinstance(name, str) else None,
        manufacturer_data={company: bytes(payload) for company, payload in manufacturer},
        service_data={},
        service_uuids=sorted({_uuid_text(uuid) for uuid in uuids}),
        tx_power=None,
        rssi=advertisement.rssi,
        platform_data=(advertisement,),
    )


class BumbleScanner(BaseBleakScanner):
    """bleak's scanner on a bumble central."""

    adapter: ClassVar[VirtualAdapter]

    def __init__(
        self,
        detection_callback: AdvertisementDataCallback | None,
        service_uuids: list[str] | None,
        scanning_mode: str,  # noqa: ARG002 - bleak's signature; this air has no scan responses to ask for
        **_kwargs: object,
    ) -> None:
        super().__init__(detection_callback, service_uuids)

    def _on_advertisement(self, advertisement: Advertisement) -> None:
        data = _advertisement_data(advertisement)
        if not self.is_allowed_uuid(data.service_uuids):
            return
        address = advertisement.address.to_string(with_type_qualifier=False)
        device = self.create_or_update_device(address, address, data.local_name, advertisement.address, data)
        self.call_detection_callbacks(device, data)

    async def start(self) -> None:
        """Start scanning."""
        self.seen_devices = {}
        self.adapter.central.on(Device.EVENT_ADVERTISEMENT, self._on_advertisement)
        await self.adapter.start_scanning()

    async def stop(self) -> None:
        """Stop scanning; the controller goes on while others scan."""
        self.adapter.central.remove_listener(Device.EVENT_ADVERTISEMENT, self._on_advertisement)
        await self.adapter.stop_scanning()


class _Link:
    """One connection of a client and the operations that wait on it."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.peer = Peer(connection)
        self.gone = asyncio.Event()
        self._operations: set[asyncio.Task[Any]] = set()
        connection.on(Connection.EVENT_DISCONNECTION, self._on_disconnection)

    def _on_disconnection(self, _reason: int) -> None:
        self.gone.set()
        for operation in self._operations:
            operation.cancel()

    async def operate(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Run one operation.

        A cancelled caller leaves it running: the answer of the peer belongs to this request and must not be taken
        for that of the next.

        Raises:
            BleakGATTProtocolError: the peer refused, or the link was lost (code 14, as on Linux).
            BleakError: the peer never answered.
        """
        if self.gone.is_set():
            work.close()
            raise BleakError("Not connected")
        operation = asyncio.create_task(work, name="gatt operation")
        self._operations.add(operation)
        operation.add_done_callback(self._operations.discard)
        operation.add_done_callback(note_outcome)
        await asyncio.wait({operation})
        if operation.cancelled():
            raise BleakGATTProtocolError(BleakGATTProtocolErrorCode.UNLIKELY_ERROR)
        try:
            return operation.result()
        except core.TimeoutError as error:
            raise BleakError("the peer did not answer") from error
        except core.ProtocolError as error:
            code = int(error.error_code or BleakGATTProtocolErrorCode.UNLIKELY_ERROR)
            raise BleakGATTProtocolError(code) from error
        except (core.BaseBumbleError, hci.HCI_Error) as error:
            raise BleakError(str(error)) from error


class BumbleClient(BaseBleakClient):
    """bleak's client on a bumble central."""

    adapter: ClassVar[VirtualAdapter]

    def __init__(self, address_or_ble_device: BLEDevice | str, **kwargs: Any) -> None:  # noqa: ANN401 - as in bleak
        super().__init__(address_or_ble_device, **kwargs)
        self._device_name = address_or_ble_device.name if isinstance(address_or_ble_device, BLEDevice) else None
        self._link: _Link | None = None
        self._service = self.adapter.services
        self._leaving = False
        self._unclean = False

    @property
    def name(self) -> str:
        """The advertised name, or the address."""
        return self._device_name or self.address

    @property
    def mtu_size(self) -> int:
        """The negotiated MTU, 23 while there is no connection."""
        return self._link.connection.att_mtu if self._link is not None else 23

    @property
    def is_connected(self) -> bool:
        """Whether there is a connection."""
        return self._link is not None

    async def connect(self, pair: bool, **_kwargs: object) -> None:  # noqa: FBT001 - bleak's signature
        """Connect and discover the services within the client's time-out."""
        if self._link is not None:
            raise BleakError("already connected")
        if pair:
            raise BleakError("virtual devices do not pair")
        async with asyncio.timeout(self._timeout):
            connection = await self.adapter.connect(self.address)
            link = self._link = _Link(connection)
            self._service, self._leaving = self.adapter.services, False
            connection.on(Connection.EVENT_DISCONNECTION, self._on_disconnection)
            if (spoilt := self.adapter.spoilt(self.address)) is not None:
                await self.disconnect()
                raise BleakError(spoilt)
            try:
                await link.operate(link.peer.request_mtu(_OFFERED_MTU))
                self.services = await link.operate(self._discover(link.peer))
            except BleakError as error:
                await self.disconnect()
                raise BleakError("failed to discover services, device disconnected") from error
            except asyncio.CancelledError:
                await self.disconnect()
                raise

    async def _discover(self, peer: Peer) -> BleakGATTServiceCollection:
        services = BleakGATTServiceCollection()
        for found in await peer.discover_services():
            service = BleakGATTService(found, found.handle, _uuid_text(found.uuid))
            services.add_service(service)
            for proxy in await found.discover_characteristics():
                properties = [name for bit, name in _PROPERTIES.items() if proxy.properties & bit]
                characteristic = BleakGATTCharacteristic(
                    proxy, proxy.handle, _uuid_text(proxy.uuid), properties, lambda: self.mtu_size - 3, service
                )
                services.add_characteristic(characteristic)
                for descriptor in await proxy.discover_descriptors():
                    services.add_descriptor(
                        BleakGATTDescriptor(descriptor, descriptor.handle, _uuid_text(descriptor.type), characteristic)
                    )
        return services

    def _on_disconnection(self, _reason: int) -> None:
        if self._orphaned:  # nobody is there to tell of it
            return
        self._link = None
        self.services = None
        if not self._leaving:
            self._unclean = True
            self.adapter.unclean[self.address] += 1
        if self._disconnected_callback is not None:
            self._disconnected_callback()

    @property
    def _orphaned(self) -> bool:
        """Whether the service that made the connection is gone: it stands for this client, and nothing comes of it."""
        return self._service != self.adapter.services

    async def disconnect(self) -> None:
        """End the connection, if there is one; also after a loss it lets go of what was subscribed."""
        self._leaving = True
        if self._unclean:
            self._unclean = False
            self.adapter.unclean[self.address] -= 1
        link = self._link
        if link is None:
            return
        if self._orphaned:
            self._link = None
            self.adapter.require_service()
            return
        ending = asyncio.create_task(link.connection.disconnect(), name=f"disconnect {self.address}")
        ending.add_done_callback(note_outcome)
        await asyncio.wait({ending}, timeout=_DISCONNECT_TIMEOUT_S)
        ending.cancel()  # no effect where it has ended

    async def pair(self, *_args: object, **_kwargs: object) -> None:
        """Refuse: virtual devices do not pair."""
        raise BleakError("virtual devices do not pair")

    async def unpair(self) -> None:
        """Refuse: virtual devices do not pair."""
        raise BleakError("virtual devices do not pair")

    def _connected(self) -> _Link:
        if self._link is None:
            raise BleakError("Not connected")
        if self._orphaned:
            raise BleakError(NO_SERVICE)
        return self._link

    async def read_gatt_char(
        self,
        characteristic: BleakGATTCharacteristic,
        *,
        use_cached: bool = False,  # noqa: ARG002 - bleak's signature
        **_kwargs: object,
    ) -> bytearray:
        """Read a characteristic (there is no cache)."""
        link = self._connected()
        return bytearray(await link.operate(link.peer.gatt_client.read_value(characteristic.handle)))

    async def read_gatt_descriptor(
        self,
        descriptor: BleakGATTDescriptor,
        *,
        use_cached: bool = False,  # noqa: ARG002 - bleak's signature
        **_kwargs: object,
    ) -> bytearray:
        """Read a descriptor (there is no cache)."""
        link = self._connected()
        return bytearray(await link.operate(link.peer.gatt_client.read_value(descriptor.handle)))

    async def write_gatt_char(
        self,
        characteristic: BleakGATTCharacteristic,
        data: SizedBuffer,
        response: bool,  # noqa: FBT001 - bleak's signature
    ) -> None:
        """Write a characteristic."""
        link = self._connected()
        write = link.peer.gatt_client.write_value(characteristic.handle, bytes(data), with_response=response)
        await link.operate(write)

    async def write_gatt_descriptor(self, descriptor: BleakGATTDescriptor, data: SizedBuffer) -> None:
        """Write a descriptor."""
        link = self._connected()
        await link.operate(link.peer.gatt_client.write_value(descriptor.handle, bytes(data), with_response=True))

    async def start_notify(
        self, characteristic: BleakGATTCharacteristic, callback: NotifyCallback, **_kwargs: object
    ) -> None:
        """Have notifications given to a callback."""
        link = self._connected()
        client = link.peer.gatt_client
        deliveries = 1 + self.adapter.unclean[self.address]  # BlueZ keeps what a lost client had subscribed

        def deliver(value: bytes) -> None:
            if not self._orphaned:
                for _ in range(deliveries):
                    callback(bytearray(value))

        client.notification_subscribers[characteristic.handle] = {deliver}
        await link.operate(client.write_value(self._cccd(characteristic), b"\x01\x00", with_response=True))

    async def stop_notify(self, characteristic: BleakGATTCharacteristic) -> None:
        """End notifications; those still on their way are delivered first."""
        link = self._connected()
        client = link.peer.gatt_client
        await link.operate(client.write_value(self._cccd(characteristic), b"\x00\x00", with_response=True))
        client.notification_subscribers.pop(characteristic.handle, None)

    @staticmethod
    def _cccd(characteristic: BleakGATTCharacteristic) -> int:
        uuid = _uuid_text(GATT_CLIENT_CHARACTERISTIC_CONFIGURATION_DESCRIPTOR)
        descriptor = characteristic.get_descriptor(uuid)
        if descriptor is None:
            raise BleakError(f"characteristic {characteristic.uuid} does not notify")
        return descriptor.handle


def backends(central: Device | VirtualAdapter) -> tuple[type[BaseBleakScanner], type[BaseBleakClient]]:
    """Make bleak's backends over a bumble central.

    Args:
        central: a device that is powered on and plays the kit's Bluetooth adapter; or the adapter, to be given faults.

    Returns:
        The class for ``BleakScanner(backend=...)`` and the one for ``BleakClient(backend=...)``.
    """
    shared = central if isinstance(central, VirtualAdapter) else VirtualAdapter(central)

    class CentralScanner(BumbleScanner):
        adapter = shared

    class CentralClient(BumbleClient):
        adapter = shared

    return CentralScanner, CentralClient
