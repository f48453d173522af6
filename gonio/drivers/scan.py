"""Find sensors by what they advertise."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bleak import BleakScanner
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData, BaseBleakScanner
from bleak.exc import BleakBluetoothNotAvailableError, BleakError
from bleak.exc import BleakBluetoothNotAvailableReason as Reason

from gonio.drivers.link_errors import BluetoothUnavailableError
from gonio.drivers.registry import match_advertisement
from gonio.firmware_profiles import Profile

if TYPE_CHECKING:
    from bleak.args.bluez import BlueZScannerArgs


@dataclass(frozen=True, slots=True)
class FoundSensor:
    """A sensor that is in the air.

    Attributes:
        address: its Bluetooth address.
        name: as advertised.
        family: the profile that fits it; "" where none does.
        rssi: strength of its signal, dBm.
        device: bleak's handle, with which it is connected.
    """

    address: str
    name: str
    family: str
    rssi: int
    device: BLEDevice


@contextlib.asynccontextmanager
async def listening(
    profiles: Sequence[Profile],
    on_found: Callable[[FoundSensor], None],
    *,
    scanner_backend: type[BaseBleakScanner] | None = None,
    adapter: str | None = None,
    others: bool = False,
) -> AsyncIterator[None]:
    """Tell of every advertisement of some families, for as long as the context is open.

    Args:
        profiles: the families; those without a motion stream are passed over.
        on_found: told of each sensor whenever it is heard; must return at once and not raise.
        scanner_backend: bleak's backend; by default the platform's.
        adapter: which of several adapters listens, as BlueZ names them (``hci1``); by default the first.
        others: tell of devices of no family, too.

    Raises:
        BluetoothUnavailableError: scanning is not possible.
    """

    def on_advertisement(device: BLEDevice, advertisement: AdvertisementData) -> None:
        name = advertisement.local_name or device.name
        profile = match_advertisement(profiles, name, advertisement.service_uuids, advertisement.manufacturer_data)
        family = "" if profile is None or profile.sequences is None else profile.family
        if family or others:
            on_found(FoundSensor(device.address, name or device.address, family, advertisement.rssi, device))

    which: BlueZScannerArgs = {} if adapter is None else {"adapter": adapter}
    try:
        scanner = BleakScanner(on_advertisement, backend=scanner_backend, bluez=which)
        await scanner.start()
    except (BleakError, OSError, EOFError) as error:
        raise BluetoothUnavailableError(f"cannot scan for sensors: {_what_to_do(error)}") from error
    try:
        yield
    finally:
        with contextlib.suppress(BleakError, OSError, EOFError):  # Bluetooth went meanwhile: it scans no more
            await scanner.stop()


async def scan(
    profiles: Sequence[Profile],
    *,
    timeout_s: float,
    scanner_backend: type[BaseBleakScanner] | None = None,
    want: int | None = None,
) -> list[FoundSensor]:
    """Listen for sensors of some families.

    Args:
        profiles: the families; those without a motion stream are passed over.
        timeout_s: how long to listen, s.
        scanner_backend: bleak's backend; by default the platform's.
        want: end as soon as this many are found; by default listen to the end.

    Returns:
        The sensors, the strongest signal first.

    Raises:
        BluetoothUnavailableError: scanning is not possible.
    """
    found: dict[str, FoundSensor] = {}
    enough = asyncio.Event()

    def on_found(one: FoundSensor) -> None:
        found[one.address] = one
        if want is not None and len(found) >= want:
            enough.set()

    async with listening(profiles, on_found, scanner_backend=scanner_backend):
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await enough.wait()
    return sorted(found.values(), key=lambda sensor: -sensor.rssi)


_WHAT_TO_DO: Final = {
    Reason.NO_BLUETOOTH: "this computer has no Bluetooth adapter: plug one in, or use a computer that has one",
    Reason.NO_BLE_CENTRAL_ROLE: "the Bluetooth adapter knows no Low Energy: use one of Bluetooth 4.0 or newer",
    Reason.POWERED_OFF: "Bluetooth is switched off: switch it on (rfkill unblock bluetooth; bluetoothctl power on)",
    Reason.DENIED_BY_SYSTEM: "this user may not use Bluetooth: add the user to the group bluetooth",
    Reason.DENIED_BY_USER: "this program may not use Bluetooth: allow it in the system's settings",
}


def _what_to_do(error: Exception) -> str:
    """Say why Bluetooth cannot be used, and what to do about it."""
    if isinstance(error, BleakBluetoothNotAvailableError) and error.reason in _WHAT_TO_DO:
        return _WHAT_TO_DO[error.reason]
    if isinstance(error, FileNotFoundError | ConnectionRefusedError | EOFError):  # the system bus
        return (
            "no Bluetooth service answers on this computer: install and start it (sudo apt-get install bluez; "
            "sudo systemctl start bluetooth), and see that an adapter is plugged in"
        )
    return (
        f"{error}; see that a Bluetooth adapter is plugged in and powered and that bluetoothd runs "
        "(systemctl status bluetooth)"
    )
