"""A bluetoothd of our own on a private D-Bus, with faults to order: bleak's own BlueZ backend talks to it.

It does what bleak needs of BlueZ 5.66, and what of BlueZ's ways matters to a gateway:

* A program's request for notifications stands until it withdraws it, disconnects the sensor or leaves the bus, also
  beyond the loss of a link; each standing request delivers every notification once more (bleak issue 2002).
* A sensor that is connected does not advertise.
* A daemon that vanishes says nothing; what comes after it knows nothing.
"""

import asyncio
import contextlib
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Final

from bumble.att import ATT_Error
from dbus_fast import Message, MessageType, Variant
from dbus_fast.aio import MessageBus

from tests.bluez.bluez_objects import (
    ADAPTER,
    CHARACTERISTIC,
    DAEMON,
    DEVICE,
    GATT_SERVICE,
    NOT_READY,
    OBJECTS,
    PROPERTIES,
    SERVICE,
    adapter_path,
    adapter_values,
    characteristic_values,
    device_path,
    device_values,
    service_values,
)
from tests.bluez.fake_sensor import FakeSensor, refusal

_ADVERTISING_S: Final = 0.05
_DISCOVERY_S: Final = 0.02  # of services

#: What is done with a call in place of what BlueZ would do.
Fault = Callable[["FakeBluez", Message], Message | bool]


class FakeBluez:
    """The daemon.

    Attributes:
        calls: every call but those for properties, as (member, path), in order.
        mtu: what characteristics say of the link's ATT MTU, bytes.
    """

    def __init__(self, address: str, sensors: Sequence[FakeSensor], adapters: Sequence[str] = ("hci0",)) -> None:
        """Prepare.

        Args:
            address: of the D-Bus.
            sensors: heard by every adapter.
            adapters: that there are, powered.
        """
        self.calls: list[tuple[str, str]] = []
        self.mtu = 247
        self._address = address
        self._sensors = list(sensors)
        self._adapters = list(adapters)
        self._faults: defaultdict[str, deque[Fault]] = defaultdict(deque)
        self._objects: dict[str, dict[str, dict[str, Variant]]] = {}
        self._roles: dict[str, tuple[FakeSensor, str]] = {}  # by a characteristic's path
        self._requests: defaultdict[str, set[str]] = defaultdict(set)  # programs that want notifications, by path
        self._discovering: defaultdict[str, set[str]] = defaultdict(set)  # programs that scan, by adapter
        self._deaf: set[str] = set()
        self._bus: MessageBus | None = None
        self._methods: dict[str, Callable[[Message, str], Message]] = {
            "StartDiscovery": self._start_discovery,
            "StopDiscovery": self._stop_discovery,
            "RemoveDevice": self._remove_device,
            "Connect": self._connect,
            "Disconnect": self._disconnect,
            "ReadValue": self._read_value,
            "WriteValue": self._write_value,
            "StartNotify": self._start_notify,
            "StopNotify": self._stop_notify,
            "SetDiscoveryFilter": lambda message, _path: Message.new_method_return(message),
        }

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["FakeBluez"]:
        """Be on the bus; the sensors live."""
        await self.appear()
        async with asyncio.TaskGroup() as tasks:
            living = [tasks.create_task(self._advertise())]
            living += [tasks.create_task(sensor.stream(self._notifier(sensor))) for sensor in self._sensors]
            try:
                yield self
            finally:
                for task in living:
                    task.cancel()
                await self.vanish()

    # -- what tests do -----------------------------------------------------------------------------------------------

    def fail(self, member: str, *faults: Fault) -> None:
        """Let the next calls of a method end otherwise, one for each fault."""
        self._faults[member].extend(faults)

    def count(self, member: str) -> int:
        """How often a method was called."""
        return sum(called == member for called, _ in self.calls)

    def lose(self, sensor: FakeSensor) -> None:
        """Lose the link of a sensor: BlueZ tells."""
        sensor.lose_link()
        for path in self._paths_of(sensor):
            self.change(path, DEVICE, ServicesResolved=Variant("b", False))
            self.change(path, DEVICE, Connected=Variant("b", False))

    def tell_mtu(self, sensor: FakeSensor, mtu: int) -> None:
        """Tell the link's ATT MTU anew."""
        self.mtu = mtu
        for path, (known, _) in self._roles.items():
            if known is sensor and path in self._objects:
                self.change(path, CHARACTERISTIC, MTU=Variant("q", mtu))

    def power(self, adapter: str, *, on: bool) -> None:
        """Switch an adapter: its links end."""
        self.change(adapter_path(adapter), ADAPTER, Powered=Variant("b", on))
        if not on:
            self._deaf.discard(adapter)
            self._discovering[adapter].clear()
            for sensor in self._sensors:
                if sensor.connected and device_path(sensor, adapter) in self._objects:
                    self.lose(sensor)

    def hold(self, sensor: FakeSensor, adapter: str = "hci0") -> None:
        """Be connected to a sensor for a program that is gone."""
        self._heard(sensor, adapter)
        sensor.connected = True
        path = device_path(sensor, adapter)
        self.change(path, DEVICE, Connected=Variant("b", True))
        self.resolve(path)

    def deafen(self, adapter: str) -> None:
        """Let an adapter scan and hear nobody, until it is switched off and on."""
        self._deaf.add(adapter)

    def unplug(self, adapter: str) -> None:
        """Pull an adapter out: its links end."""
        self.power(adapter, on=False)
        self._adapters.remove(adapter)
        self.remove(adapter_path(adapter))

    async def vanish(self) -> None:
        """Be killed: the name is free, nobody is told more; the links end unheard."""
        if self._bus is not None:
            self._bus.disconnect()
            await self._bus.wait_for_disconnect()  # type: ignore[no-untyped-call]  # dbus-fast leaves it untyped
            self._bus = None
        for sensor in self._sensors:
            sensor.lose_link()

    async def appear(self) -> None:
        """Be started: adapters, and nothing known of any sensor."""
        self._objects.clear()
        self._roles.clear()
        self._requests.clear()
        self._discovering.clear()
        bus = await MessageBus(bus_address=self._address).connect()
        bus.add_message_handler(self._on_message)
        leaving = f"type='signal',sender='{DAEMON}',member='NameOwnerChanged'"
        await bus.call(Message(DAEMON, "/", DAEMON, "AddMatch", signature="s", body=[leaving]))
        self._bus = bus
        for number, adapter in enumerate(self._adapters):
            self._add_adapter(adapter, number)
        await bus.request_name(SERVICE)

    # -- objects -----------------------------------------------------------------------------------------------------

    def _add_adapter(self, adapter: str, number: int) -> None:
        self.add(adapter_path(adapter), ADAPTER, adapter_values(number))

    def add(self, path: str, interface: str, values: dict[str, Variant]) -> None:
        """Let there be an object."""
        self._objects[path] = {interface: values}
        self._signal("/", OBJECTS, "InterfacesAdded", "oa{sa{sv}}", [path, self._objects[path]])

    def remove(self, path: str) -> None:
        """Let there be no object, nor any below it."""
        for gone in [one for one in self._objects if one == path or one.startswith(f"{path}/")]:
            interfaces = list(self._objects.pop(gone))
            self._signal("/", OBJECTS, "InterfacesRemoved", "oas", [gone, interfaces])

    def change(self, path: str, interface: str, **values: Variant) -> None:
        """Change properties and tell everybody."""
        self._objects[path][interface].update(values)
        self._signal(path, PROPERTIES, "PropertiesChanged", "sa{sv}as", [interface, values, []])

    def _signal(self, path: str, interface: str, member: str, signature: str, body: list[Any]) -> None:
        if self._bus is not None:
            signal = Message(None, path, interface, member, MessageType.SIGNAL, signature=signature, body=body)
            self._bus.send(signal)

    def _paths_of(self, sensor: FakeSensor) -> list[str]:
        paths = [device_path(sensor, adapter) for adapter in self._adapters]
        return [path for path in paths if path in self._objects]

    def sensor_at(self, path: str) -> FakeSensor:
        return next(sensor for sensor in self._sensors if path.endswith(sensor.address.replace(":", "_")))

    # -- the air -----------------------------------------------------------------------------------------------------

    async def _advertise(self) -> None:
        while True:
            await asyncio.sleep(_ADVERTISING_S)
            scanning = {adapter for adapter, programs in self._discovering.items() if programs}
            for adapter in scanning - self._deaf:
                for sensor in self._sensors:
                    if not sensor.connected:
                        self._heard(sensor, adapter)

    def _heard(self, sensor: FakeSensor, adapter: str) -> None:
        path, rssi = device_path(sensor, adapter), Variant("n", -50 - self._adapters.index(adapter))
        if path in self._objects:
            self.change(path, DEVICE, RSSI=rssi)
            return
        self.add(path, DEVICE, device_values(sensor, adapter, rssi))

    def resolve(self, path: str) -> None:
        """Discover a connected sensor's services."""
        sensor = self.sensor_at(path)
        if not sensor.connected or path not in self._objects:
            return
        for number, service in enumerate(sensor.profile.gatt.values()):
            below = f"{path}/service{number:04x}"
            self.add(below, GATT_SERVICE, service_values(service.uuid, path))
            for index, (role, described) in enumerate(service.characteristics.items()):
                lowest = f"{below}/char{16 * number + index:04x}"
                self._roles[lowest] = sensor, role
                self.add(lowest, CHARACTERISTIC, characteristic_values(described, below, self.mtu))
                if self._requests[lowest]:  # those of before the link's loss still stand
                    sensor.subscribe(role, on=True)
        self.change(path, DEVICE, ServicesResolved=Variant("b", True))

    def _notifier(self, sensor: FakeSensor) -> Callable[[str, bytes], None]:
        def notify(role: str, value: bytes) -> None:
            if not sensor.subscribed(role):
                return
            for path, known in self._roles.items():
                if known == (sensor, role) and path in self._objects:
                    for _ in self._requests[path]:
                        self.change(path, CHARACTERISTIC, Value=Variant("ay", value))

        return notify

    # -- calls -------------------------------------------------------------------------------------------------------

    def _on_message(self, message: Message) -> Message | bool | None:
        if message.message_type is MessageType.SIGNAL and message.member == "NameOwnerChanged":
            name, _, new = message.body
            if not new:
                self._forget(name)
            return None
        if message.message_type is not MessageType.METHOD_CALL:
            return None
        if message.interface == PROPERTIES:
            return self._on_property(message)
        path, member = str(message.path), str(message.member)
        if message.interface == OBJECTS:
            return Message.new_method_return(message, "a{oa{sa{sv}}}", [self._objects])
        self.calls.append((member, path))
        if self._faults[member]:
            return self._faults[member].popleft()(self, message)
        return self.obey(message)

    def obey(self, message: Message) -> Message:
        """Do what BlueZ does."""
        path, member = str(message.path), str(message.member)
        if path not in self._objects:
            return Message.new_error(message, f"{DAEMON}.Error.UnknownObject", "no such object")
        if member not in self._methods:
            return Message.new_error(message, f"{DAEMON}.Error.UnknownMethod", f"the fake knows no {member}")
        try:
            return self._methods[member](message, path)
        except ATT_Error as error:
            return Message.new_error(message, f"{SERVICE}.Error.Failed", refusal(error))

    def _forget(self, program: str) -> None:
        for path, programs in self._requests.items():
            programs.discard(program)
            if not programs and path in self._roles:
                sensor, role = self._roles[path]
                sensor.subscribe(role, on=False)
        for programs in self._discovering.values():
            programs.discard(program)

    def _on_property(self, message: Message) -> Message:
        path, interface = str(message.path), str(message.body[0])
        values = self._objects.get(path, {}).get(interface)
        if values is None:
            return Message.new_error(message, f"{DAEMON}.Error.UnknownObject", "no such object")
        match message.member:
            case "GetAll":
                return Message.new_method_return(message, "a{sv}", [values])
            case "Get":
                return Message.new_method_return(message, "v", [values[message.body[1]]])
        if message.body[1] == "Powered":
            self.power(path.rpartition("/")[2], on=message.body[2].value)
        return Message.new_method_return(message)

    def _ready(self, path: str) -> bool:
        adapter = "/".join(path.split("/")[:4])
        return bool(self._objects[adapter][ADAPTER]["Powered"].value)

    # -- BlueZ's methods ---------------------------------------------------------------------------------------------

    def _start_discovery(self, message: Message, path: str) -> Message:
        if not self._ready(path):
            return Message.new_error(message, *NOT_READY)
        self._discovering[path.rpartition("/")[2]].add(str(message.sender))
        return Message.new_method_return(message)

    def _stop_discovery(self, message: Message, path: str) -> Message:
        self._discovering[path.rpartition("/")[2]].discard(str(message.sender))
        return Message.new_method_return(message)

    def _remove_device(self, message: Message, _path: str) -> Message:
        sensor = self.sensor_at(message.body[0])
        if sensor.connected:
            self.lose(sensor)
        self.remove(message.body[0])
        return Message.new_method_return(message)

    def _connect(self, message: Message, path: str) -> Message:
        if not self._ready(path):
            return Message.new_error(message, *NOT_READY)
        self.sensor_at(path).connected = True
        self.change(path, DEVICE, Connected=Variant("b", True))
        asyncio.get_running_loop().call_later(_DISCOVERY_S, self.resolve, path)
        return Message.new_method_return(message)

    def _disconnect(self, message: Message, path: str) -> Message:
        self.lose(self.sensor_at(path))
        for programs in [programs for below, programs in self._requests.items() if below.startswith(path)]:
            programs.discard(str(message.sender))
        return Message.new_method_return(message)

    def _read_value(self, message: Message, path: str) -> Message:
        sensor, role = self._roles[path]
        return Message.new_method_return(message, "ay", [sensor.read(role)])

    def _write_value(self, message: Message, path: str) -> Message:
        sensor, role = self._roles[path]
        for answering, value in sensor.write(role, bytes(message.body[0])):
            self._notifier(sensor)(answering, value)
        return Message.new_method_return(message)

    def _start_notify(self, message: Message, path: str) -> Message:
        if message.sender in self._requests[path]:
            return Message.new_error(message, f"{SERVICE}.Error.InProgress", "Operation already in progress")
        self._requests[path].add(str(message.sender))
        sensor, role = self._roles[path]
        sensor.subscribe(role, on=True)
        return Message.new_method_return(message)

    def _stop_notify(self, message: Message, path: str) -> Message:
        self._requests[path].discard(str(message.sender))
        sensor, role = self._roles[path]
        sensor.subscribe(role, on=bool(self._requests[path]))
        return Message.new_method_return(message)
