"""Virtual sensors: Bluetooth peripherals that speak a family's own GATT layout and packets.

A sensor is fed with motion by a function of time and lives on the clock of a simulated world: the sample that is due
at a moment of the world is sent at that moment, in order, and what is late is caught up. Its own clock has an offset
and a drift, and its samples are spaced by it. Names say that the sensor is simulated.
"""

import asyncio
import math
from collections.abc import Callable
from types import TracebackType
from typing import Final, Protocol, Self, TypeAlias

import numpy as np
from bumble.att import Attribute, AttributeValue
from bumble.core import UUID, AdvertisingData
from bumble.device import Connection, Device
from bumble.gatt import Characteristic, Service

from gonio.drivers.codec import StreamEncoder
from gonio.errors import UsageError
from gonio.firmware_profiles import Profile
from gonio.signal.consts import FloatArray
from gonio.simulators.peripheral_dot import DotFirmware
from gonio.simulators.peripheral_firmware import Firmware
from gonio.simulators.peripheral_wit import WitFirmware
from gonio.simulators.world import World

#: Moments (n,) in s after the motion's beginning -> specific force (n, 3) m/s² and angular velocity (n, 3) rad/s.
Feed: TypeAlias = Callable[[FloatArray], tuple[FloatArray, FloatArray]]

_FIRMWARES: Final[dict[str, type[Firmware]]] = {"movella_dot": DotFirmware, "witmotion_ble5": WitFirmware}
_NAMES: Final = {"movella_dot": "Movella DOT SIM", "witmotion_ble5": "WT901BLE67 SIM"}
_ADDRESSES: Final = {"movella_dot": "D4:22:CD:51:4D", "witmotion_ble5": "E5:57:49:54:4D"}

_ADVERTISING_INTERVAL_MS: Final = 60.0

#: Samples fetched from the feed at once: one call for many is cheaper than many calls.
_BLOCK: Final = 64

#: Notifications sent without letting others run, while a sensor catches up.
_BURST: Final = 16

_GATT_PROPERTIES: Final = {
    "read": Characteristic.Properties.READ,
    "write": Characteristic.Properties.WRITE,
    "write-without-response": Characteristic.Properties.WRITE_WITHOUT_RESPONSE,
    "notify": Characteristic.Properties.NOTIFY,
    "indicate": Characteristic.Properties.INDICATE,
}


class Air(Protocol):
    """Where a sensor transmits: the virtual ``Radio``, or a real controller."""

    async def device(self, name: str, address: str) -> Device:
        """Give a device that is powered on."""
        ...

    async def remove(self, device: Device) -> None:
        """Take the device off the air."""
        ...

    def loses_payload(self, address: str) -> bool:
        """Tell whether the sensor drops the measurement that it is about to send."""
        ...


def simulated_families() -> tuple[str, ...]:
    """The families that virtual sensors exist of."""
    return tuple(_FIRMWARES)


def sensor_name(family: str, number: int) -> str:
    """Name of the n-th virtual sensor of a family; it fits the profile and says that it is simulated."""
    return f"{_NAMES[family]} {number}"


def sensor_address(family: str, number: int) -> str:
    """Static random address of the n-th virtual sensor of a family (0 to 255)."""
    return f"{_ADDRESSES[family]}:{number:02X}"


class _Samples:
    """A motion sampled at an even rate, from index 0 at the motion's beginning."""

    def __init__(self, feed: Feed, duration_s: float, rate_hz: float) -> None:
        self._feed = feed
        self._rate_hz = rate_hz
        self.count = math.floor(duration_s * rate_hz + 1e-6) + 1
        self._begin = 0  # index of the block's first sample
        self._acc: FloatArray = np.empty((0, 3))
        self._gyr: FloatArray = np.empty((0, 3))

    def take(self, first: int, stop: int) -> tuple[FloatArray, FloatArray]:
        """Give samples first to stop - 1; earlier ones than those of the last call are gone."""
        known = self._begin + len(self._acc)
        if first > known:  # passed over, unseen
            self._begin, known = first, first
            self._acc = self._gyr = np.empty((0, 3))
        if stop > known:
            until = min(max(stop, known + _BLOCK), self.count)
            t_s = np.arange(known, until) / self._rate_hz
            acc, gyr = self._feed(t_s)
            keep = slice(first - self._begin, None)
            self._acc, self._gyr = np.vstack((self._acc[keep], acc)), np.vstack((self._gyr[keep], gyr))
            self._begin = first
        part = slice(first - self._begin, stop - self._begin)
        return self._acc[part], self._gyr[part]


class VirtualSensor:
    """One sensor on the air, from ``async with`` on: connectable at once, sending while the motion lasts.

    Attributes:
        name: as advertised.
        address: its Bluetooth address.
        samples_sent: samples that left the sensor in notifications.
        samples_lost: samples whose notification the sensor dropped.
        first_sample_s: the sensor's own clock at the last start of a stream, s (NaN before).
    """

    def __init__(  # noqa: PLR0913 - a sensor has as many parts
        self,
        radio: Air,
        profile: Profile,
        feed: Feed,
        world: World,
        *,
        duration_s: float,
        name: str | None = None,
        address: str | None = None,
        rate_hz: float | None = None,
        clock_ppm: float = 0.0,
        clock_offset_s: float = 0.0,
    ) -> None:
        """Make a sensor.

        Args:
            radio: where it transmits.
            profile: its family.
            feed: what it measures.
            world: whose clock it lives on; the motion begins when that says so.
            duration_s: how long the motion lasts, s.
            name: advertised; by default the family's first.
            address: static random; by default the family's first.
            rate_hz: sample rate saved in the sensor, Hz; by default the one it is delivered with.
            clock_ppm: how much its clock is fast, parts per million.
            clock_offset_s: what its clock reads at power-on, s.

        Raises:
            UsageError: there is no virtual sensor of this family, or it has no such rate.
        """
        if profile.family not in _FIRMWARES:
            known = ", ".join(simulated_families())
            raise UsageError(f"there is no virtual sensor of the family {profile.family}; there are {known}")
        self.name = name or sensor_name(profile.family, 1)
        self.address = (address or sensor_address(profile.family, 1)).upper()
        self.samples_sent = 0
        self.samples_lost = 0
        self.first_sample_s = math.nan
        self._radio = radio
        self._profile = profile
        self._feed = feed
        self._world = world
        self._duration_s = duration_s
        self._clock_rate = 1.0 + clock_ppm * 1e-6
        self._clock_offset_s = clock_offset_s
        self._firmware = _FIRMWARES[profile.family](profile, address=self.address, rate_hz=rate_hz)
        self._power_on_s = 0.0
        self._device: Device | None = None
        self._connection: Connection | None = None
        self._subscribed: set[str] = set()
        self._characteristics: dict[str, Characteristic[bytes]] = {}
        self._stream: tuple[str, dict[str, float]] | None = None  # role and settings of what is being sent
        self._changed = asyncio.Event()
        self._listened = asyncio.Event()
        self._ended = asyncio.Event()
        self._leaving = False
        self._replies: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue()  # one for each write of the host
        self._life: asyncio.Task[None] | None = None

    def own_clock_s(self, world_s: float) -> float:
        """What the sensor's clock reads at a moment of the world, both in s."""
        return self._clock_offset_s + (world_s - self._power_on_s) * self._clock_rate

    async def __aenter__(self) -> Self:
        self._power_on_s = self._world.now_s()
        device = self._device = await self._radio.device(self.name, self.address)
        device.add_services([self._service(uuid) for uuid in self._profile.gatt])
        device.on(Device.EVENT_CONNECTION, self._on_connection)
        self._life = asyncio.create_task(self._live(device), name=f"virtual sensor {self.name}")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        life, device = self._life, self._device
        if life is None or device is None:
            return
        self._leaving = True
        self._changed.set()
        await asyncio.wait({life})
        await self._radio.remove(device)
        if (fault := life.exception()) is not None and error is None:
            raise fault

    async def wait_for_listener(self) -> None:
        """Wait until the sensor has somebody to send to."""
        await self._listened.wait()

    async def wait_for_end(self) -> None:
        """Wait until the motion's last sample has been sent, which on a busy computer can be after its time."""
        await self._ended.wait()

    # -- GATT ------------------------------------------------------------------------------------------------------

    def _service(self, name: str) -> Service:
        service = self._profile.gatt[name]
        characteristics = []
        for role, described in service.characteristics.items():
            properties = Characteristic.Properties(0)
            for word in described.properties:
                properties |= _GATT_PROPERTIES[word]
            characteristic: Characteristic[bytes] = Characteristic(
                described.uuid,
                properties,
                Attribute.Permissions.READABLE | Attribute.Permissions.WRITEABLE,
                AttributeValue(
                    read=lambda _connection, role=role: self._firmware.read(role),
                    write=lambda _connection, value, role=role: self._on_write(role, value),
                ),
            )
            characteristic.on(
                Characteristic.EVENT_SUBSCRIPTION,
                lambda _bearer, notify, _indicate, role=role: self._on_subscription(role, notify),
            )
            self._characteristics[role] = characteristic
            characteristics.append(characteristic)
        return Service(service.uuid, characteristics)

    def _on_write(self, role: str, value: bytes) -> None:
        for reply in self._firmware.write(role, bytes(value)):
            self._replies.put_nowait(reply)
        self._changed.set()

    def _on_subscription(self, role: str, notify: bool) -> None:  # noqa: FBT001 - called by bumble
        (self._subscribed.add if notify else self._subscribed.discard)(role)
        self._changed.set()

    def _on_connection(self, connection: Connection) -> None:
        self._connection = connection
        connection.on(Connection.EVENT_DISCONNECTION, self._on_disconnection)
        self._changed.set()

    def _on_disconnection(self, _reason: int) -> None:
        self._connection = None
        self._subscribed.clear()
        self._changed.set()

    async def _notify(self, role: str, value: bytes) -> None:
        connection, device = self._connection, self._device
        if connection is not None and device is not None and role in self._subscribed:
            await device.gatt_server.notify_subscriber(connection, self._characteristics[role], value)

    # -- life ------------------------------------------------------------------------------------------------------

    async def _live(self, device: Device) -> None:
        async with asyncio.TaskGroup() as tasks:
            answering = tasks.create_task(self._answer(), name="answers")
            sending: asyncio.Task[None] | None = None
            advertising = False
            while not self._leaving:
                if self._connection is None and not advertising:
                    await device.start_advertising(
                        advertising_data=self._advertisement(),
                        scan_response_data=self._scan_response(),
                        advertising_interval_min=_ADVERTISING_INTERVAL_MS,
                        advertising_interval_max=_ADVERTISING_INTERVAL_MS,
                    )
                advertising = self._connection is None
                stream = self._wanted_stream()
                if stream != self._stream:
                    self._stream = stream
                    (self._listened.clear if stream is None else self._listened.set)()
                    if sending is not None:
                        sending.cancel()
                    sending = None if stream is None else tasks.create_task(self._send_motion(stream[0]), name="motion")
                await self._changed.wait()
                self._changed.clear()
            for task in (answering, sending):
                if task is not None:
                    task.cancel()

    def _wanted_stream(self) -> tuple[str, dict[str, float]] | None:
        if self._connection is None or not self._firmware.measuring:
            return None
        settings = dict(self._firmware.settings)
        role = self._profile.stream_packet(settings)[1].role
        return (role, settings) if role in self._subscribed else None

    async def _answer(self) -> None:
        while True:
            await self._notify(*await self._replies.get())

    async def _send_motion(self, role: str) -> None:
        """Send the samples that are due, from now to the motion's end."""
        settings = dict(self._firmware.settings)
        encoder = StreamEncoder(self._profile, settings)
        frames = self._profile.stream_packet(settings)[1].frames_at(settings["rate_hz"])
        rate_hz = self._firmware.rate_hz * self._clock_rate  # on the world's clock
        samples = _Samples(self._feed, self._duration_s, rate_hz)
        listening_s = self._world.now_s()
        began_s = await self._world.wait_for_motion()
        index = max(0, math.ceil((listening_s - began_s) * rate_hz))
        self.first_sample_s = self.own_clock_s(began_s + index / rate_hz)
        while index < samples.count:
            await self._world.sleep_until(began_s + (min(index + frames, samples.count) - 1) / rate_hz)
            due = min(math.floor((self._world.now_s() - began_s) * rate_hz + 1e-6) + 1, samples.count)
            stop = min(index + min(due - index, _BURST * frames) // frames * frames, samples.count)
            if due == samples.count and due - index < frames:  # the last ones do not fill a notification
                stop = due
            if stop <= index:
                continue
            acc, gyr = samples.take(index, stop)
            sensor_s = self._clock_offset_s + (
                (began_s - self._power_on_s) * self._clock_rate + np.arange(index, stop) / self._firmware.rate_hz
            )
            values = encoder.encode(acc, gyr, sensor_s)
            if stop == samples.count:
                values += encoder.finish()
            await self._send(role, values, stop - index, frames)
            index = stop
        self._ended.set()

    async def _send(self, role: str, values: list[bytes], samples: int, frames: int) -> None:
        for number, value in enumerate(values):
            held = min(frames, samples - number * frames)
            if self._radio.loses_payload(self.address):
                self.samples_lost += held
            else:
                self.samples_sent += held
                await self._notify(role, value)

    # -- advertising -----------------------------------------------------------------------------------------------

    def _advertisement(self) -> bytes:
        company = self._profile.match.company_id
        parts: list[tuple[int, bytes]] = [
            (AdvertisingData.FLAGS, b"\x06"),
            (AdvertisingData.COMPLETE_LOCAL_NAME, self.name.encode()),
        ]
        if company is not None:
            parts.append((AdvertisingData.MANUFACTURER_SPECIFIC_DATA, company.to_bytes(2, "little") + b"SIM"))
        return bytes(AdvertisingData(parts))

    def _scan_response(self) -> bytes:
        services = [UUID(uuid).to_bytes() for uuid in self._profile.match.services]
        if not services:
            return b""
        return bytes(
            AdvertisingData([(AdvertisingData.COMPLETE_LIST_OF_128_BIT_SERVICE_CLASS_UUIDS, b"".join(services))])
        )
