"""What the kit asks of BlueZ itself, on a private D-Bus."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from gonio.gateway.links.bluez import BluezService
from tests.bluez.fake_sensor import FakeSensor
from tests.bluez.on_fake import bluez

pytestmark = pytest.mark.peer("dbus-daemon")


async def test_an_adapter_is_switched_off_and_on(bus_address: str) -> None:
    seen: list[list[str]] = []
    async with bluez(bus_address, FakeSensor()):
        service = BluezService()
        async with service.watched(lambda: seen.append([port.name for port in service.adapters()])):
            (port,) = service.adapters()
            assert await service.revive(port)
            async with asyncio.timeout(10):
                while seen[-1] != ["hci0"] or [] not in seen:  # noqa: ASYNC110 - a list to look at
                    await asyncio.sleep(0.01)


async def test_without_a_bus_the_first_adapter_is_offered_and_nothing_is_asked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={tmp_path / 'none'}")
    service = BluezService()
    async with service.watched(lambda: None):
        (port,) = service.adapters()
        assert port.bluez is None
        assert not await service.release("AA:BB:CC:DD:EE:FF")
        assert not await service.revive(port)


def test_the_module_can_be_imported_where_there_is_no_bluez() -> None:
    code = (
        "import sys; sys.platform = 'darwin'; sys.modules['dbus_fast'] = None; "
        "from gonio.gateway.links.bluez import system_bluetooth; print(type(system_bluetooth()).__name__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "FixedBluetooth", done.stderr
