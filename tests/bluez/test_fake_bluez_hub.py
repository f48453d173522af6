"""The kit's link supervisor over bleak's own BlueZ backend: whatever BlueZ does, the streams come back."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from gonio.drivers.link import Patience
from gonio.drivers.link_errors import SensorLostError
from gonio.gateway.links.bluez import BluezService
from gonio.gateway.links.hub import LinkHub, LinkOptions
from gonio.gateway.links.keeper import SensorKeeper
from gonio.gateway.links.pauses import LinkTiming
from gonio.gateway.links.stream import KeptStream
from gonio.gateway.links.table import State
from gonio.gateway.records import PairedSensor
from tests.bluez.bluez_faults import (
    aborted_by_local,
    drops_before_services,
    no_reply,
    not_ready,
    refuses,
    stays_silent,
)
from tests.bluez.bluez_objects import device_path
from tests.bluez.fake_bluez import Fault
from tests.bluez.fake_sensor import FakeSensor
from tests.bluez.numbering import number_of
from tests.bluez.on_fake import bluez, everything_is_told

pytestmark = pytest.mark.peer("dbus-daemon")

QUICK = LinkOptions(
    timing=LinkTiming(
        slice_s=1.0,
        settle_s=0.2,
        first_pause_s=0.05,
        longest_pause_s=0.2,
        suspect_s=0.3,
        first_data_s=2.0,
        silence_s=0.4,
        unavailable_s=0.2,
        deaf_s=1.5,
    ),
    patience=Patience(connect_s=1.0, attempts=1, operation_s=1.0, mtu_s=0.5, disconnect_s=1.0),
)


@dataclass
class Taken:
    """A kept sensor and what came from it."""

    sensor: FakeSensor
    keeper: SensorKeeper
    numbers: list[int] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    async def take(self) -> None:
        while True:
            stream = KeptStream(self.keeper)
            await stream.start()
            with contextlib.suppress(SensorLostError):
                async for chunk in stream.chunks():
                    self.numbers += number_of(chunk.acc)
                    self.news.set()

    async def more(self, count: int = 40) -> None:
        """Wait for so many new samples."""
        wanted = len(self.numbers) + count
        async with asyncio.timeout(30):
            while len(self.numbers) < wanted:
                self.news.clear()
                await self.news.wait()

    def nothing_is_doubled(self) -> bool:
        return all(later > former for former, later in zip(self.numbers, self.numbers[1:], strict=False))

    def every_loss_is_counted(self) -> bool:
        report = self.keeper.report()
        missing = self.numbers[-1] - self.numbers[0] + 1 - len(self.numbers)
        return (report.lost, report.received) == (missing, len(self.numbers))


@contextlib.asynccontextmanager
async def kept(*sensors: FakeSensor) -> AsyncIterator[list[Taken]]:
    """Keep sensors, and take what comes."""
    async with LinkHub(BluezService(), [sensors[0].profile], monotonic_ns=time.monotonic_ns, options=QUICK) as hub:
        takers = []
        for one in sensors:
            sensor = PairedSensor("thigh", one.address, one.profile.family, one.name)
            takers.append(Taken(one, hub.keep(sensor, one.profile)))
        async with asyncio.TaskGroup() as tasks:
            taking = [tasks.create_task(taken.take()) for taken in takers]
            yield takers
            for task in taking:
                task.cancel()


async def test_a_lost_link_comes_back_and_nothing_is_doubled(bus_address: str) -> None:
    sensors = FakeSensor(number=1), FakeSensor(number=2)
    async with bluez(bus_address, *sensors) as daemon, kept(*sensors) as takers:
        for _ in range(3):
            for taken in takers:
                await taken.more()
            for sensor in sensors:
                daemon.lose(sensor)
        for taken in takers:
            await taken.more()
            assert taken.nothing_is_doubled()
            assert taken.every_loss_is_counted()
            assert taken.keeper.report().reconnects == 3
        assert daemon.count("AcquireNotify") == 0
        assert daemon.count("StartNotify") == 2 * 4


@pytest.mark.parametrize(
    ("member", "fault"),
    [
        ("Connect", drops_before_services),
        ("Connect", refuses("InProgress", "Operation already in progress")),
        ("Connect", aborted_by_local(told=True)),
        ("Connect", aborted_by_local(told=False)),
        ("Connect", no_reply),
        ("Connect", stays_silent),
        ("Connect", not_ready),
        ("StartDiscovery", refuses("InProgress", "Operation already in progress")),
        ("StartDiscovery", not_ready),
        ("StartNotify", refuses("InProgress", "Operation already in progress")),
        ("WriteValue", refuses("Failed", "Operation failed with ATT error: 0x0e")),
        ("ReadValue", no_reply),
    ],
)
async def test_what_fails_twice_is_tried_until_it_does_not(bus_address: str, member: str, fault: Fault) -> None:
    sensor = FakeSensor()
    async with bluez(bus_address, sensor) as daemon:
        daemon.fail(member, fault, fault)
        async with kept(sensor) as (taken,):
            await taken.more()
            assert taken.nothing_is_doubled()
            assert daemon.count(member) >= 3


async def test_a_scan_that_fails_leaves_the_streams_alone(bus_address: str) -> None:
    sensors = FakeSensor(number=1), FakeSensor(number=2)
    async with bluez(bus_address, *sensors) as daemon, kept(*sensors) as (first, second):
        await first.more()
        await second.more()
        for fault in (refuses("InProgress", "Operation already in progress"), not_ready, no_reply):
            daemon.fail("StartDiscovery", fault, fault)
            daemon.lose(second.sensor)
            await second.more()
            await first.more()
        assert first.keeper.report().reconnects == 0
        assert second.keeper.report().reconnects == 3


async def test_a_killed_daemon_is_noticed_at_once_and_its_successor_is_used(bus_address: str) -> None:
    sensor = FakeSensor()
    async with bluez(bus_address, sensor) as daemon, kept(sensor) as (taken,):
        await taken.more()
        await daemon.vanish()
        await taken.keeper.until(lambda: taken.keeper.state is State.UNAVAILABLE)
        await daemon.appear()
        await taken.more()
        assert taken.nothing_is_doubled()
        assert taken.every_loss_is_counted()


async def test_an_adapter_that_was_off_is_used_again(bus_address: str) -> None:
    sensor = FakeSensor()
    async with bluez(bus_address, sensor) as daemon, kept(sensor) as (taken,):
        await taken.more()
        daemon.power("hci0", on=False)
        await taken.keeper.until(lambda: taken.keeper.state is State.UNAVAILABLE)
        daemon.power("hci0", on=True)
        await taken.more()
        assert taken.nothing_is_doubled()


async def test_a_sensor_moves_to_the_adapter_that_is_left(bus_address: str) -> None:
    sensor = FakeSensor()
    async with bluez(bus_address, sensor, adapters=("hci0", "hci1")) as daemon, kept(sensor) as (taken,):
        await taken.more()
        assert ("Connect", device_path(sensor, "hci0")) in daemon.calls  # the stronger signal
        daemon.unplug("hci0")
        await taken.more()
        assert ("Connect", device_path(sensor, "hci1")) in daemon.calls
        assert taken.nothing_is_doubled()


async def test_two_adapters_share_four_sensors(bus_address: str) -> None:
    sensors = [FakeSensor(number=number) for number in range(1, 5)]
    async with bluez(bus_address, *sensors, adapters=("hci0", "hci1")) as daemon, kept(*sensors) as takers:
        for taken in takers:
            await taken.more()
        assert {path.split("/")[3] for member, path in daemon.calls if member == "Connect"} == {"hci0", "hci1"}


async def test_a_connection_that_a_dead_program_left_is_ended(bus_address: str) -> None:
    sensor = FakeSensor()
    async with bluez(bus_address, sensor) as daemon:
        daemon.hold(sensor)
        await everything_is_told()
        async with kept(sensor) as (taken,):
            await taken.more()
            assert daemon.calls.index(("Disconnect", device_path(sensor))) < daemon.calls.index(
                ("Connect", device_path(sensor))
            )


async def test_an_adapter_that_hears_nobody_is_switched_off_and_on(bus_address: str) -> None:
    sensor = FakeSensor()
    async with bluez(bus_address, sensor) as daemon, kept(sensor) as (taken,):
        await taken.more()
        daemon.deafen("hci0")
        daemon.lose(sensor)
        await taken.more()
        assert taken.nothing_is_doubled()
        assert taken.every_loss_is_counted()


async def test_leaving_ends_every_connection(bus_address: str) -> None:
    sensors = FakeSensor(number=1), FakeSensor(number=2)
    async with bluez(bus_address, *sensors):
        async with kept(*sensors) as takers:
            for taken in takers:
                await taken.more()
        assert not any(sensor.connected for sensor in sensors)
