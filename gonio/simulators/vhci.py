"""The Linux kernel's virtual Bluetooth adapter: whoever opens ``/dev/vhci`` plays the controller behind it.

The kernel sees an adapter that can be switched off and on, and can forget what the controller still knows; so the
controller here takes its resets seriously, and what it sends while the adapter is off goes nowhere.
"""

import asyncio
import contextlib
import errno
import os
from collections.abc import Iterator
from typing import Final

from bumble import hci
from bumble.transport.common import ParserSource

from gonio.simulators.radio import Radio, VirtualController

DEVICE: Final = "/dev/vhci"

#: What the kernel is told to make (vendor packet, kind: an ordinary controller), and how its answer begins.
_MAKE_ADAPTER: Final = b"\xff\x00"
_VENDOR_PACKET: Final = 0xFF
_LONGEST_PACKET: Final = 4096

#: Public address of the adapter that Linux sees.
_ADAPTER_ADDRESS: Final = "00:AA:01:00:00:42"


class _Kernel(ParserSource):
    """The kernel's side: a source of its packets and a sink for the controller's."""

    def __init__(self, device: int) -> None:
        super().__init__()
        self._device = device

    def on_readable(self) -> None:
        """Take one packet from the kernel; it gives no more at once."""
        packet = os.read(self._device, _LONGEST_PACKET)
        if packet[:1] != bytes((_VENDOR_PACKET,)):
            self.parser.feed_data(packet)

    def on_packet(self, packet: bytes) -> None:
        """Give the kernel a packet; one for an adapter that is switched off is lost."""
        try:
            os.write(self._device, packet)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise


class AdapterController(VirtualController):
    """A controller whose host can forget it."""

    def on_hci_reset_command(self, command: hci.HCI_Reset_Command) -> hci.HCI_StatusReturnParameters:
        """End everything without a word to the host; the other ends see their links lost (Vol 4, Part E, 7.3.2)."""
        for connection in list(self.le_connections.values()):
            peer = self.link.find_le_controller(connection.peer_address) if self.link else None
            other = peer.le_connections.get(connection.self_address) if peer is not None else None
            if peer is not None and other is not None:
                peer.on_le_disconnected(other, hci.HCI_ErrorCode.CONNECTION_TIMEOUT_ERROR)
        self.le_connections.clear()
        self.pending_le_connection = None
        self.le_scan_enable = False
        self.le_legacy_advertiser.stop()
        return super().on_hci_reset_command(command)


@contextlib.contextmanager
def vhci_adapter(radio: Radio, device: str = DEVICE) -> Iterator[None]:
    """Give Linux an adapter on a virtual radio.

    Args:
        radio: what it hears.
        device: the kernel's device.

    Raises:
        OSError: it cannot be opened.
    """
    loop = asyncio.get_running_loop()
    file = os.open(device, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    kernel = _Kernel(file)
    try:
        os.write(file, _MAKE_ADAPTER)
        controller = AdapterController(
            "adapter", host_source=kernel, host_sink=kernel, link=radio, public_address=_ADAPTER_ADDRESS
        )
        loop.add_reader(file, kernel.on_readable)
        try:
            yield
        finally:
            loop.remove_reader(file)
            controller.le_legacy_advertiser.stop()
            radio.remove_controller(controller)
    finally:
        os.close(file)
