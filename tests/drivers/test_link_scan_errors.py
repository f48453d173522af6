"""What a person reads where Bluetooth cannot be used."""

import asyncio
from typing import Any

import pytest
from bleak.backends.scanner import BaseBleakScanner
from bleak.exc import BleakBluetoothNotAvailableError, BleakBluetoothNotAvailableReason, BleakError

from gonio.drivers.link_errors import BluetoothUnavailableError
from gonio.drivers.scan import scan
from gonio.firmware_profiles import builtin_profiles

Reason = BleakBluetoothNotAvailableReason


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (FileNotFoundError(2, "No such file or directory"), "apt-get install bluez"),
        (ConnectionRefusedError(111, "Connection refused"), "systemctl start bluetooth"),
        (BleakBluetoothNotAvailableError("none", Reason.NO_BLUETOOTH), "no Bluetooth adapter: plug one in"),
        (BleakBluetoothNotAvailableError("off", Reason.POWERED_OFF), "bluetoothctl power on"),
        (BleakError("something of the system"), "something of the system; see that"),
    ],
)
async def test_what_keeps_from_scanning_is_told_with_what_to_do(error: Exception, words: str) -> None:
    class Broken(BaseBleakScanner):
        def __init__(self, *_arguments: Any, **_options: Any) -> None:  # noqa: ANN401 - the library's own
            super().__init__(None, None)

        async def start(self) -> None:
            raise error

        async def stop(self) -> None:
            await asyncio.sleep(0)

    with pytest.raises(BluetoothUnavailableError, match=words) as told:
        await scan(builtin_profiles(), timeout_s=0.1, scanner_backend=Broken)
    assert "Errno" not in str(told.value)
