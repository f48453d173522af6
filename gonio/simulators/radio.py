"""A Bluetooth radio in process: controllers on a common air that loses, delays, stalls and drops.

bumble brings virtual controllers and a link that carries everything at once and for ever. This module adds what a
real radio does to a gateway, by the address of the sensor it happens to:

* A sensor whose buffer is full drops measurements before they are sent; nothing tells but the gap in its timestamps.
* Packets come late, never out of order (the link layer repeats a packet until it is acknowledged).
* A stall holds everything back for a while; a sensor out of range is not heard; a lost link is reason 0x08 at both
  ends.
"""

import asyncio
import math
import random
from collections import Counter, deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeVar

from bumble import hci, ll
from bumble.controller import Connection, Controller
from bumble.core import PhysicalTransport
from bumble.device import Device, DeviceConfiguration
from bumble.host import Host
from bumble.link import LocalLink

_T = TypeVar("_T")

#: Payload of one packet over the air since Bluetooth 4.2; bumble's 27 would double the cost of every measurement.
_ACL_PAYLOAD: Final = 251

#: Packets a sensor holds while the air stalls before it drops new ones: bounds the memory that a stall can take.
SENSOR_BUFFER: Final = 1024


def random_address(address: str) -> hci.Address:
    """Make a static random address, the kind that virtual devices have, of its text form."""
    return hci.Address(address, hci.Address.RANDOM_DEVICE_ADDRESS)


async def uninterrupted(work: Coroutine[Any, Any, _T]) -> _T:
    """Let work of bumble's come to its end; a caller that is cancelled meanwhile ends after it.

    bumble waits for its controller with ``asyncio.wait_for``, which before Python 3.12 forgets a cancellation that
    comes together with the answer.
    """
    task = asyncio.create_task(work)
    try:
        await asyncio.wait({task})
    except asyncio.CancelledError:
        await asyncio.wait({task})
        if not task.cancelled():
            task.exception()  # nobody else will ask
        raise
    return task.result()


@dataclass(frozen=True, slots=True)
class AirConditions:
    """How the air is around one sensor.

    Attributes:
        payload_loss: share of measurements that the sensor drops before sending, 0 to 1.
        delay_s: added to the way of each packet, either direction, real s.
        jitter_s: on top of it, evenly spread between 0 and this, real s.
        heard: False when the sensor's advertisements do not arrive.
    """

    payload_loss: float = 0.0
    delay_s: float = 0.0
    jitter_s: float = 0.0
    heard: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.payload_loss <= 1:
            raise ValueError("payload_loss is a share between 0 and 1")
        if not (self.delay_s >= 0 and self.jitter_s >= 0):
            raise ValueError("delay_s and jitter_s cannot be negative")


class _Packet(NamedTuple):
    due: float  # on the loop's clock, s
    connection: Connection  # over which it was sent: it dies with it
    target: Controller
    source: hci.Address
    data: bytes


class VirtualController(Controller):
    """bumble's controller with what a central needs to survive a cancelled connection attempt."""

    le_acl_data_packet_length = _ACL_PAYLOAD
    acl_data_packet_length = _ACL_PAYLOAD
    # Linux waits for events that bumble does not send when these two are claimed.
    le_features = Controller.le_features & ~(hci.LeFeatureMask.LL_PRIVACY | hci.LeFeatureMask.LE_EXTENDED_ADVERTISING)

    def on_hci_le_create_connection_cancel_command(
        self, _command: hci.HCI_LE_Create_Connection_Cancel_Command
    ) -> hci.HCI_StatusReturnParameters:
        """End a pending attempt with the event that the specification asks for (Vol 4, Part E, 7.8.13)."""
        pending, self.pending_le_connection = self.pending_le_connection, None
        if pending is not None:
            event = hci.HCI_LE_Connection_Complete_Event(
                status=hci.HCI_ErrorCode.UNKNOWN_CONNECTION_IDENTIFIER_ERROR,
                connection_handle=0,
                role=hci.Role.CENTRAL,
                peer_address_type=pending.peer_address.address_type,
                peer_address=pending.peer_address,
                connection_interval=0,
                peripheral_latency=0,
                supervision_timeout=0,
                central_clock_accuracy=0,
            )
            # after the command's own completion
            asyncio.get_running_loop().call_soon(self.send_hci_packet, event)
        return hci.HCI_StatusReturnParameters(hci.HCI_ErrorCode.SUCCESS)


class Radio(LocalLink):
    """The air between virtual devices.

    All times are real seconds of the event loop, whatever the speed of the simulated world.

    Attributes:
        payloads_lost: measurements lost so far, by address.
        on_air: told of every data packet that is sent: by whom, and its bytes.
        on_died: told likewise of each that was still in the air when its link was lost.
    """

    def __init__(self, *, seed: int = 0) -> None:
        """Begin with a perfect air.

        Args:
            seed: of losses and jitter; the same seed and traffic give the same losses.
        """
        super().__init__()  # type: ignore[no-untyped-call]  # bumble leaves it untyped
        self.payloads_lost: Counter[str] = Counter()
        self.on_air: Callable[[str, bytes], None] = lambda _address, _data: None
        self.on_died: Callable[[str, bytes], None] = lambda _address, _data: None
        self._chance = random.Random(seed)  # noqa: S311 - a simulation must be repeatable, nothing is secret
        self._conditions: dict[str, AirConditions] = {}
        self._stalled_until: dict[str, float] = {}
        self._lanes: dict[tuple[str, str], deque[_Packet]] = {}  # what is in the air, by (source, destination)

    # -- devices ---------------------------------------------------------------------------------------------------

    async def device(self, name: str, address: str) -> Device:
        """Put a device with a controller of its own on the air and power it on.

        Args:
            name: its GAP name.
            address: its static random address (the first byte is C0 or above).
        """
        controller = VirtualController(name, link=self)
        host = Host(controller, controller)
        device = Device(config=DeviceConfiguration(name=name, address=random_address(address)), host=host)
        await uninterrupted(device.power_on())
        return device

    async def remove(self, device: Device) -> None:
        """Take a device off the air; its links are lost at the other end."""
        address = device.random_address.to_string(with_type_qualifier=False)
        self.drop(address)
        await uninterrupted(device.power_off())
        for controller in [c for c in self.controllers if c.random_address == device.random_address]:
            controller.le_legacy_advertiser.stop()
            self.remove_controller(controller)
        for lane in [key for key in self._lanes if address in key]:
            del self._lanes[lane]

    # -- conditions ------------------------------------------------------------------------------------------------

    def set_conditions(self, address: str, conditions: AirConditions) -> None:
        """Change the air around one sensor from now on."""
        self._conditions[address.upper()] = conditions

    def stall(self, address: str, seconds: float) -> None:
        """Hold back every packet to and from a sensor for some real seconds; they arrive late, in order."""
        self._stalled_until[address.upper()] = asyncio.get_running_loop().time() + seconds

    def drop(self, address: str) -> None:
        """Lose the link of a sensor: both ends see the supervision timeout, what was in the air is gone."""
        own = random_address(address)
        for controller in [c for c in self.controllers if own in (c.random_address, c.public_address)]:
            for connection in list(controller.le_connections.values()):
                peer = self.find_le_controller(connection.peer_address)
                other = peer.le_connections.get(connection.self_address) if peer is not None else None
                controller.on_le_disconnected(connection, hci.HCI_ErrorCode.CONNECTION_TIMEOUT_ERROR)
                if peer is not None and other is not None:
                    peer.on_le_disconnected(other, hci.HCI_ErrorCode.CONNECTION_TIMEOUT_ERROR)

    def loses_payload(self, address: str) -> bool:
        """Tell whether a sensor drops the measurement it is about to send, and count it if so."""
        address = address.upper()
        share = self._conditions.get(address, AirConditions()).payload_loss
        waiting = sum(len(lane) for (source, _), lane in self._lanes.items() if source == address)
        lost = waiting >= SENSOR_BUFFER or (share > 0 and self._chance.random() < share)
        if lost:
            self.payloads_lost[address] += 1
        return lost

    # -- what bumble's controllers call ----------------------------------------------------------------------------

    def send_advertising_pdu(self, sender_controller: Controller, packet: ll.AdvertisingPdu) -> None:
        """Carry an advertisement, unless its sender is not heard."""
        address = sender_controller.random_address.to_string(with_type_qualifier=False)
        if self._conditions.get(address, AirConditions()).heard:
            super().send_advertising_pdu(sender_controller, packet)

    def send_ll_control_pdu(
        self, sender_address: hci.Address, receiver_address: hci.Address, packet: ll.ControlPdu
    ) -> None:
        """Carry a control packet; one to a device that has left the air is lost like any other."""
        if self.find_le_controller(receiver_address) is not None:
            super().send_ll_control_pdu(sender_address, receiver_address, packet)

    def send_acl_data(
        self,
        sender_controller: Controller,
        destination_address: hci.Address,
        transport: PhysicalTransport,  # noqa: ARG002 - only low energy is on this air
        data: bytes,
    ) -> None:
        """Carry a data packet, in order, as late as the conditions at either end demand.

        bumble's own link names the sender by its random address even where the connection was made from the public
        one, as Linux does; here the connection knows.
        """
        connection = sender_controller.le_connections.get(destination_address)
        target = self.find_le_controller(destination_address)
        if connection is None or target is None:
            return
        key = (
            connection.self_address.to_string(with_type_qualifier=False),
            destination_address.to_string(with_type_qualifier=False),
        )
        lane = self._lanes.setdefault(key, deque())
        loop = asyncio.get_running_loop()
        due = max(self._due(key, loop.time()), lane[-1].due if lane else -math.inf)
        lane.append(_Packet(due, connection, target, connection.self_address, data))
        self.on_air(key[0], data)
        if len(lane) == 1:
            self._schedule(key, due)

    def _due(self, ends: tuple[str, str], now: float) -> float:
        due = now
        for address in ends:
            if (conditions := self._conditions.get(address)) is not None:
                jitter = self._chance.uniform(0, conditions.jitter_s) if conditions.jitter_s else 0.0
                due = max(due, now + conditions.delay_s + jitter)
            due = max(due, self._stalled_until.get(address, 0.0))
        return due

    def _schedule(self, key: tuple[str, str], due: float) -> None:
        loop = asyncio.get_running_loop()
        if due <= loop.time():
            loop.call_soon(self._deliver, key)
        else:
            loop.call_at(due, self._deliver, key)

    def _deliver(self, key: tuple[str, str]) -> None:
        """Hand over what is due of a lane; one timer per lane keeps its order whatever the clock's resolution."""
        lane = self._lanes.get(key)
        now = asyncio.get_running_loop().time()
        while lane and lane[0].due <= now:
            packet = lane.popleft()
            alive = packet.connection.controller.le_connections.get(packet.connection.peer_address)
            if alive is packet.connection:
                packet.target.on_link_acl_data(packet.source, PhysicalTransport.LE, packet.data)
            else:
                self.on_died(key[0], packet.data)
        if lane:
            self._schedule(key, lane[0].due)
