"""Virtual sensors on a real or virtual Bluetooth controller, through bumble's transports."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Final

from bumble.device import Device
from bumble.transport import open_transport
from bumble.transport.common import Transport

from gonio.errors import UsageError
from gonio.simulators.peripheral import Air
from gonio.simulators.radio import Radio, random_address
from gonio.simulators.vhci import DEVICE, vhci_adapter

_POWER_ON_TIMEOUT_S: Final = 10.0

_ADVICE: Final = {
    "vhci": "it needs Linux with the module hci_vhci (sudo modprobe hci_vhci) and the right to open /dev/vhci (root)",
    "usb": "see that the adapter is plugged in, not in use by the system (sudo hciconfig hci0 down), and that you "
    "may open it (root, or a udev rule)",
    "hci-socket": "it needs Linux, root, and an adapter that is down (sudo hciconfig hci0 down)",
    "tcp-client": "see that a controller listens at this address, as tcp-client:HOST:PORT",
    "serial": "see that the board is plugged in and its port given, as serial:/dev/ttyACM0",
}
_ANY_ADVICE: Final = "transports are vhci, usb:0, hci-socket:0, serial:/dev/ttyACM0, tcp-client:HOST:PORT"


class ControllerAir:
    """A controller of somebody else's, which carries one sensor."""

    def __init__(self, spec: str, transport: Transport) -> None:
        """Use a controller.

        Args:
            spec: how the transport was named, for errors.
            transport: to the controller, open.
        """
        self._spec = spec
        self._transport = transport

    async def device(self, name: str, address: str) -> Device:
        """Make the controller a device and power it on.

        Raises:
            UsageError: it does not answer.
        """
        device = Device.with_hci(name, random_address(address), self._transport.source, self._transport.sink)
        try:
            async with asyncio.timeout(_POWER_ON_TIMEOUT_S):
                await device.power_on()
        except TimeoutError:
            raise UsageError(f"{self._spec}: no Bluetooth controller answers there; {_advice(self._spec)}") from None
        return device

    async def remove(self, device: Device) -> None:
        """Switch it off; its links end with the transport."""
        await device.stop_advertising()
        for connection in list(device.connections.values()):
            await connection.disconnect()
        await device.power_off()

    def loses_payload(self, _address: str) -> bool:
        """Never: what gets lost here, the real air loses."""
        return False


def _advice(spec: str) -> str:
    return _ADVICE.get(spec.partition(":")[0], _ANY_ADVICE)


def _cannot_open(spec: str, error: Exception) -> UsageError:
    reason = str(error) or type(error).__name__
    return UsageError(f"cannot open the Bluetooth transport {spec!r} ({reason}): {_advice(spec)}")


async def _open(spec: str, stack: contextlib.AsyncExitStack) -> Transport:
    try:
        transport = await open_transport(spec)
    except Exception as error:  # every kind of transport has a library with errors of its own
        raise _cannot_open(spec, error) from error
    stack.push_async_callback(transport.close)
    return transport


@contextlib.asynccontextmanager
async def open_airs(specs: Sequence[str], sensors: int) -> AsyncIterator[list[Air]]:
    """Open transports and give the air for each of some sensors.

    On ``vhci`` this program plays the controller: Linux gets an adapter that hears all sensors. Any other transport
    leads to a controller, which carries one sensor.

    Args:
        specs: transports as bumble names them; one ``vhci``, or one controller for each sensor.
        sensors: how many are wanted.

    Yields:
        An air for each sensor; fewer where there are fewer controllers.

    Raises:
        UsageError: a transport cannot be opened; the text says what to do.
    """
    async with contextlib.AsyncExitStack() as stack:
        if any(spec.partition(":")[0] == "vhci" for spec in specs):
            if len(specs) > 1:
                raise UsageError("vhci carries all sensors: give no other transport beside it")
            radio = Radio()
            try:
                stack.enter_context(vhci_adapter(radio, specs[0].partition(":")[2] or DEVICE))
            except OSError as error:
                raise _cannot_open(specs[0], error) from error
            yield [radio] * sensors
        else:
            yield [ControllerAir(spec, await _open(spec, stack)) for spec in specs[:sensors]]
