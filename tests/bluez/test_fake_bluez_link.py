"""The driver over bleak's own BlueZ backend: every fault that BlueZ is known for, one by one."""

import asyncio
from collections import Counter
from typing import Any

import pytest
from bleak import BleakClient
from bleak.backends.bluezdbus.manager import BlueZManager
from bleak.backends.service import BleakGATTServiceCollection

from gonio.drivers.link import Patience, SensorLink
from gonio.drivers.link_errors import BluetoothUnavailableError, SensorLostError, SensorRefusedError
from gonio.drivers.scan import FoundSensor, scan
from gonio.firmware_profiles import get_profile
from tests.bluez.bluez_faults import (
    aborted_by_local,
    drops_before_services,
    no_reply,
    not_ready,
    refuses,
    stays_silent,
)
from tests.bluez.bluez_objects import device_path
from tests.bluez.fake_bluez import FakeBluez, Fault
from tests.bluez.fake_sensor import FakeSensor
from tests.bluez.numbering import number_of
from tests.bluez.on_fake import bluez, consecutive, everything_is_told

pytestmark = pytest.mark.peer("dbus-daemon")

DOT = get_profile("movella_dot")
QUICK = Patience(
    connect_s=1.0,
    attempts=2,
    backoff_s=0.01,
    operation_s=1.0,
    first_data_s=2.0,
    silence_s=0.4,
    disconnect_s=1.0,
    mtu_s=0.5,
)


async def find(sensor: FakeSensor) -> FoundSensor:
    (found,) = await scan([sensor.profile], timeout_s=5.0, want=1)
    assert (found.address, found.name) == (sensor.address, sensor.name)
    return found


async def some_numbers(link: SensorLink, count: int) -> list[int]:
    """Start the stream and read so many samples, at least."""
    numbers: list[int] = []
    await link.start()
    async for chunk in link.chunks():
        numbers += number_of(chunk.acc)
        if len(numbers) >= count:
            break
    return numbers


async def test_a_stream_over_bluez_is_whole_and_asked_for_by_start_notify_alone(bus_address: str) -> None:
    sensor = FakeSensor()
    async with bluez(bus_address, sensor) as daemon:
        async with SensorLink(await find(sensor), DOT, patience=QUICK) as link:
            assert (link.info.mtu, link.info.battery_percent, link.info.firmware) == (247, 87, "3.0.0")
            assert consecutive(await some_numbers(link, 200))
        assert not sensor.connected
        assert daemon.count("StartNotify") == 1
        assert daemon.count("AcquireNotify") == 0


@pytest.mark.parametrize(
    "fault",
    [
        drops_before_services,
        refuses("InProgress", "Operation already in progress"),
        refuses("Failed", "br-connection-canceled"),
        aborted_by_local(told=True),
        aborted_by_local(told=False),
        no_reply,
        stays_silent,
    ],
    ids=["lost in discovery", "in progress", "cancelled", "aborted", "aborted in silence", "no reply", "silence"],
)
async def test_a_connection_that_fails_is_tried_again(bus_address: str, fault: Fault) -> None:
    sensor = FakeSensor()
    async with bluez(bus_address, sensor) as daemon:
        found = await find(sensor)
        daemon.fail("Connect", fault)
        async with SensorLink(found, DOT, patience=QUICK) as link:
            assert daemon.count("Connect") == 2
            assert consecutive(await some_numbers(link, 30))


async def test_a_link_lost_just_when_its_services_are_known_is_made_anew(
    bus_address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sensor = FakeSensor()
    async with bluez(bus_address, sensor) as daemon:
        found = await find(sensor)
        true_get_services = BlueZManager.get_services

        async def get_services(manager: BlueZManager, path: str, *args: Any) -> BleakGATTServiceCollection:  # noqa: ANN401 - as bleak's
            services = await true_get_services(manager, path, *args)
            if daemon.count("Connect") == 1:  # bleak hears of the loss between two of its own steps
                daemon.lose(sensor)
                await everything_is_told()
            return services

        monkeypatch.setattr(BlueZManager, "get_services", get_services)
        async with SensorLink(found, DOT, patience=QUICK) as link:
            assert daemon.count("Connect") == 2
            assert consecutive(await some_numbers(link, 30))


@pytest.mark.parametrize(
    ("fault", "advice"),
    [
        (not_ready, "Not Ready"),
        (refuses("InProgress", "Operation already in progress"), "already in progress"),
        (no_reply, "without replying"),
    ],
)
async def test_a_scan_that_bluez_refuses_says_so(bus_address: str, fault: Fault, advice: str) -> None:
    async with bluez(bus_address, FakeSensor()) as daemon:
        daemon.fail("StartDiscovery", fault)
        with pytest.raises(BluetoothUnavailableError, match=advice):
            await scan([DOT], timeout_s=1.0)
        assert len(await scan([DOT], timeout_s=5.0, want=1)) == 1


async def test_an_adapter_that_is_off_is_told_with_what_to_do(bus_address: str) -> None:
    sensor = FakeSensor()
    async with bluez(bus_address, sensor) as daemon:
        async with SensorLink(await find(sensor), DOT, patience=QUICK) as link:
            await link.start()
            daemon.power("hci0", on=False)
            with pytest.raises(SensorLostError, match="link was lost"):
                async for _ in link.chunks():
                    pass
        with pytest.raises(BluetoothUnavailableError, match="bluetoothctl power on"):
            await scan([DOT], timeout_s=1.0)
        daemon.power("hci0", on=True)
        await everything_is_told()
        async with SensorLink(await find(sensor), DOT, patience=QUICK) as link:
            assert consecutive(await some_numbers(link, 30))


async def lost_link(daemon: FakeBluez, sensor: FakeSensor, link: SensorLink) -> None:
    daemon.lose(sensor)
    with pytest.raises(SensorLostError, match="link was lost"):
        async for _ in link.chunks():
            pass


async def test_what_bluez_would_deliver_twice_after_a_lost_link_comes_once(bus_address: str) -> None:
    sensor = FakeSensor()
    async with bluez(bus_address, sensor) as daemon:
        for _ in range(3):
            async with SensorLink(await find(sensor), DOT, patience=QUICK) as link:
                numbers = await some_numbers(link, 60)
                assert consecutive(numbers)
                assert link.counters.notifications == len(numbers)
                await lost_link(daemon, sensor, link)


async def test_the_fake_doubles_what_a_client_that_does_not_say_goodbye_is_given(bus_address: str) -> None:
    sensor = FakeSensor()
    uuid = DOT.characteristic(DOT.stream_packet(DOT.resolve({}))[1].role).uuid
    control = DOT.characteristic("control").uuid
    async with bluez(bus_address, sensor) as daemon:
        clients = []
        for expected in (1, 2, 3):
            client = BleakClient((await find(sensor)).device)
            await client.connect()
            values: list[bytes] = []
            enough = asyncio.Event()

            def take(_: object, value: bytearray, values: list[bytes] = values, enough: asyncio.Event = enough) -> None:
                values.append(bytes(value))
                if len(values) == 60:
                    enough.set()

            await client.start_notify(uuid, take)
            await client.write_gatt_char(control, bytes((1, 1, 21)), response=True)
            await enough.wait()
            assert max(Counter(values).values()) == expected
            clients.append(client)
            daemon.lose(sensor)
        for client in clients:
            await client.disconnect()


async def test_a_daemon_that_vanishes_is_silence_and_its_successor_is_used(bus_address: str) -> None:
    sensor = FakeSensor()
    async with bluez(bus_address, sensor) as daemon:
        async with SensorLink(await find(sensor), DOT, patience=QUICK) as link:
            await some_numbers(link, 30)
            await daemon.vanish()
            with pytest.raises(SensorLostError, match="has sent nothing"):
                async for _ in link.chunks():
                    pass
        with pytest.raises(BluetoothUnavailableError):
            await scan([DOT], timeout_s=1.0)
        await daemon.appear()
        async with SensorLink(await find(sensor), DOT, patience=QUICK) as link:
            assert consecutive(await some_numbers(link, 30))


async def test_a_command_cut_off_by_a_lost_link_is_a_lost_sensor(bus_address: str) -> None:
    sensor = FakeSensor()
    async with bluez(bus_address, sensor) as daemon, SensorLink(await find(sensor), DOT, patience=QUICK) as link:
        daemon.fail("WriteValue", refuses("Failed", "Operation failed with ATT error: 0x0e"))
        with pytest.raises(SensorLostError, match="was lost"):
            await link.start()


async def test_a_command_that_the_sensor_refuses_is_told_as_such(bus_address: str) -> None:
    sensor = FakeSensor()
    async with bluez(bus_address, sensor) as daemon, SensorLink(await find(sensor), DOT, patience=QUICK) as link:
        daemon.fail("WriteValue", refuses("NotPermitted", "Write not permitted"))
        with pytest.raises(SensorRefusedError, match="WRITE_NOT_PERMITTED"):
            await link.start()


async def test_notifications_that_somebody_else_has_acquired_are_no_end_of_the_program(bus_address: str) -> None:
    sensor = FakeSensor()
    async with bluez(bus_address, sensor) as daemon:
        found = await find(sensor)
        daemon.fail("StartNotify", refuses("InProgress", "Operation already in progress"))
        with pytest.raises(SensorLostError, match="already in progress"):
            async with SensorLink(found, DOT, patience=QUICK) as link:
                await link.start()


async def test_the_mtu_is_read_from_the_characteristic_also_when_bluez_tells_it_late(bus_address: str) -> None:
    sensor = FakeSensor()
    async with bluez(bus_address, sensor) as daemon:
        daemon.mtu = 23
        found = await find(sensor)
        entering = asyncio.create_task(SensorLink(found, DOT, patience=QUICK).__aenter__())
        await asyncio.sleep(0.2)
        daemon.tell_mtu(sensor, 185)
        link = await entering
        assert link.info.mtu == 185
        await link.__aexit__(None, None, None)


async def test_of_two_adapters_one_that_is_on_is_used(bus_address: str) -> None:
    sensor = FakeSensor()
    async with bluez(bus_address, sensor, adapters=("hci0", "hci1")) as daemon:
        daemon.power("hci0", on=False)
        await find(sensor)
        await everything_is_told()
        async with SensorLink(await find(sensor), DOT, patience=QUICK) as link:
            assert consecutive(await some_numbers(link, 30))
        assert ("Connect", device_path(sensor, "hci1")) in daemon.calls
