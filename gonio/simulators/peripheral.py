"""Virtual sensors: Bluetooth peripherals that speak a family's own GATT layout and packets.

A sensor is fed with motion by a function of time and lives on the clock of a simulated world: the sample that is due
at a moment of the world is sent at that moment, in order, and what is late is caught up. Its own clock has an offset
and a drift, and its samples are spaced by it. Names say that the sensor is simulated.
"""

import asyncio
import contextlib
import math
import time
import weakref
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Final, Protocol, Self, TypeAlias

import numpy as np
from bumble.att import Attribute, AttributeValue
from bumble.core import UUID, AdvertisingData, ProtocolError
from bumble.device import Connection, Device
from bumble.gatt import Characteristic, Service

from gonio.firmware_profiles import Profile
from gonio.simulators.peripheral_clock import OwnClock
from gonio.simulators.peripheral_families import sensor_address, sensor_name, simulated_families, virtual_family
from gonio.simulators.peripheral_firmware import Firmware, Surroundings
from gonio.simulators.peripheral_samples import Feed, Samples
from gonio.simulators.world import World

__all__ = ["Air", "Feed", "VirtualSensor", "sensor_address", "sensor_name", "simulated_families"]

_ADVERTISING_INTERVAL_MS: Final = 60.0

#: Notifications sent without letting others run, while a sensor catches up.
_BURST: Final = 16

#: From a sensor's last notification until it switches off: a link that is cut loses what is still on its way.
_LAST_WORDS_S: Final = 0.05

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


#: The sensors on each air, by address: those that synchronise find each other by it.
_on_air: weakref.WeakKeyDictionary[Air, dict[str, Firmware]] = weakref.WeakKeyDictionary()

#: What is being streamed: role, settings, and how often the sensor had been started. A change begins a new stream.
_Stream: TypeAlias = tuple[str, dict[str, int | float], int]


class VirtualSensor:
    """One sensor on the air, from ``async with`` on: connectable at once, sending while the motion lasts.

    Attributes:
        name: as advertised.
        address: its Bluetooth address.
        firmware: what answers in it; known inside ``async with``.
        clock: its own clock, begun inside ``async with``.
        samples_sent: samples that left the sensor in notifications.
        samples_lost: samples whose notification (or one of them) the sensor dropped.
        first_sample_s: the sensor's own clock at the last start of a stream, s (NaN before).
    """

    firmware: Firmware

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
        now_s: Callable[[], float] = time.monotonic,
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
            now_s: clock for whatever expires or takes its time in the sensor, s.

        Raises:
            UsageError: there is no virtual sensor of this family, or it has no such rate.
        """
        self._make = virtual_family(profile.family).firmware
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
        self._rate_hz = rate_hz
        self._clock_ppm, self._clock_offset_s = clock_ppm, clock_offset_s
        self._now_s = now_s
        self._make(profile, Surroundings(self.address), rate_hz)  # a rate that it lacks is told here
        self.clock = OwnClock(0.0)
        self._device: Device | None = None
        self._connection: Connection | None = None
        self._subscribed: dict[str, bool] = {}  # role -> whether by indications
        self._characteristics: dict[str, Characteristic[bytes]] = {}
        self._stream: _Stream | None = None
        self._changed = asyncio.Event()
        self._listened = asyncio.Event()
        self._ended = asyncio.Event()
        self._leaving = False
        self._replies: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue()  # few for each write of the host
        self._life: asyncio.Task[None] | None = None

    def own_clock_s(self, world_s: float) -> float:
        """What the sensor's clock reads at a moment of the world, both in s."""
        return self.clock.reads(world_s)

    async def __aenter__(self) -> Self:
        self.clock = OwnClock(self._world.now_s(), offset_s=self._clock_offset_s, ppm=self._clock_ppm)
        neighbours = _on_air.setdefault(self._radio, {})
        around = Surroundings(self.address, self._now_s, self._world.now_s, self.clock, neighbours)
        self.firmware = neighbours[self.address] = self._make(self._profile, around, self._rate_hz)
        device = self._device = await self._radio.device(self.name, self.address)
        device.add_services([self._service(name) for name in self._profile.gatt])
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
        _on_air.get(self._radio, {}).pop(self.address, None)
        await self._radio.remove(device)
        if (fault := life.exception()) is not None and error is None:
            raise fault

    async def wait_for_listener(self) -> None:
        """Wait until the sensor has somebody to send to."""
        await self._listened.wait()

    async def wait_for_end(self) -> None:
        """Wait until the motion's last sample has been sent, which on a busy computer can be after its time."""
        await self._ended.wait()

    def tell(self, replies: Iterable[tuple[str, bytes]]) -> None:
        """Send notifications or indications of the firmware's, such as (role, value), to whoever listens."""
        for reply in replies:
            self._replies.put_nowait(reply)
        self._changed.set()

    def handle(self, role: str) -> int:
        """Give the handle of a characteristic, once the sensor is on the air."""
        return self._characteristics[role].handle

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
                    read=lambda _connection, role=role: self.firmware.read(role),
                    write=lambda _connection, value, role=role: self.tell(self.firmware.write(role, bytes(value))),
                ),
            )
            characteristic.on(
                Characteristic.EVENT_SUBSCRIPTION,
                lambda _bearer, notify, indicate, role=role: self._on_subscription(role, notify, indicate),
            )
            self._characteristics[role] = characteristic
            characteristics.append(characteristic)
        return Service(service.uuid, characteristics)

    def _on_subscription(self, role: str, notify: bool, indicate: bool) -> None:  # noqa: FBT001 - called by bumble
        if notify or indicate:
            self._subscribed[role] = indicate and not notify
        else:
            self._subscribed.pop(role, None)
        self.tell(self.firmware.subscribed(role, notify or indicate))

    def _on_connection(self, connection: Connection) -> None:
        self._connection = connection
        connection.on(Connection.EVENT_DISCONNECTION, self._on_disconnection)
        self._changed.set()

    def _on_disconnection(self, _reason: int) -> None:
        self._connection = None
        self._subscribed.clear()
        self.firmware.disconnected()
        self._changed.set()

    async def _send(self, role: str, value: bytes) -> None:
        connection, device = self._connection, self._device
        if connection is None or device is None or role not in self._subscribed:
            return
        characteristic = self._characteristics[role]
        if not self._subscribed[role]:
            await device.gatt_server.notify_subscriber(connection, characteristic, value)
            return
        with contextlib.suppress(ProtocolError, TimeoutError):  # the link went before the confirmation came
            await device.gatt_server.indicate_subscriber(connection, characteristic, value)

    # -- life ------------------------------------------------------------------------------------------------------

    async def _live(self, device: Device) -> None:
        async with asyncio.TaskGroup() as tasks:
            answering = tasks.create_task(self._answer(), name="answers")
            sending: asyncio.Task[None] | None = None
            advertising = False
            while not self._leaving:
                if self._connection is None and not advertising and self.firmware.powered:
                    await device.start_advertising(
                        advertising_data=self._advertisement(),
                        scan_response_data=self._scan_response(),
                        advertising_interval_min=_ADVERTISING_INTERVAL_MS,
                        advertising_interval_max=_ADVERTISING_INTERVAL_MS,
                    )
                    advertising = True
                advertising = advertising and self._connection is None
                stream = self._wanted_stream()
                if stream != self._stream:
                    self._stream = stream
                    (self._listened.clear if stream is None else self._listened.set)()
                    if sending is not None:
                        sending.cancel()
                    sending = None if stream is None else tasks.create_task(self._send_motion(stream[0]), name="motion")
                if not self.firmware.powered and self._connection is not None:
                    await self._replies.join()
                    await asyncio.sleep(_LAST_WORDS_S)
                    await self._hang_up()
                await self._changed.wait()
                self._changed.clear()
            for task in (answering, sending):
                if task is not None:
                    task.cancel()

    async def _hang_up(self) -> None:
        connection = self._connection
        if connection is not None:
            await connection.disconnect()

    def _wanted_stream(self) -> _Stream | None:
        if self._connection is None or not self.firmware.powered:
            return None
        role = self.firmware.stream_role()
        return (role, dict(self.firmware.settings), self.firmware.starts) if role in self._subscribed else None

    async def _answer(self) -> None:
        while True:
            role, value = await self._replies.get()
            await self._send(role, value)
            self._replies.task_done()

    async def _send_motion(self, role: str) -> None:
        """Send the samples that are due, from now to the motion's end."""
        firmware, clock = self.firmware, self.clock
        encoder = firmware.encoder(self._connection.att_mtu if self._connection else 23)
        frames = firmware.samples_per_notification()
        rate_hz = firmware.rate_hz * clock.rate  # on the world's clock
        samples = Samples(self._feed, self._duration_s, rate_hz)
        listening_s = self._world.now_s()
        began_s = await self._world.wait_for_motion()
        index = max(0, math.ceil((listening_s - began_s) * rate_hz))
        began_own_s = clock.reads(began_s)
        self.first_sample_s = clock.reads(began_s + index / rate_hz)
        held = 0  # samples that no notification has taken yet
        while index < samples.count:
            await self._world.sleep_until(began_s + (min(index + frames, samples.count) - 1) / rate_hz)
            due = min(math.floor((self._world.now_s() - began_s) * rate_hz + 1e-6) + 1, samples.count)
            stop = min(index + min(due - index, _BURST * frames) // frames * frames, samples.count)
            if due == samples.count and due - index < frames:  # the last ones do not fill a notification
                stop = due
            if stop <= index:
                continue
            acc, gyr = samples.take(index, stop)
            values = encoder.encode(acc, gyr, began_own_s + np.arange(index, stop) / firmware.rate_hz)
            if stop == samples.count:
                values += encoder.finish()
            held = await self._send_packets(role, values, held + stop - index)
            index = stop
        self._ended.set()

    async def _send_packets(self, role: str, values: list[bytes], samples: int) -> int:
        """Send notifications that hold so many samples between them; give the samples that none has taken."""
        together = self.firmware.packets_together
        groups = [values[i : i + together] for i in range(0, len(values), together)]
        each = max(self.firmware.samples_per_notification(), -(-samples // max(1, len(groups))))
        for number, group in enumerate(groups):
            told = [self.firmware.samples_in(value) for value in group]
            held = min(each, samples - number * each) if None in told else sum(count or 0 for count in told)
            lost = [self._radio.loses_payload(self.address) for _ in group]
            if any(lost):
                self.samples_lost += held
            else:
                self.samples_sent += held
            for value, gone in zip(group, lost, strict=True):
                if not gone:
                    await self._send(role, value)
        return 0 if groups else samples

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
