"""Movella DOT synchronised with each other, over the virtual radio."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import numpy as np
import pytest
from bleak.backends.client import BaseBleakClient

from gonio.drivers.codecs.dot_message import decode_message, encode_message
from gonio.drivers.dot_sync import SyncOutcome, synchronise, unsynchronise
from gonio.drivers.link import SensorLink
from gonio.drivers.link_errors import SensorRefusedError
from gonio.drivers.scan import FoundSensor, scan
from gonio.errors import UsageError
from gonio.firmware_profiles import get_profile
from gonio.simulators.bleak_backend import backends
from gonio.simulators.peripheral import VirtualSensor, sensor_address, sensor_name
from gonio.simulators.peripheral_dot import DotFirmware
from gonio.simulators.radio import Radio
from gonio.simulators.world import World
from tests.drivers.rig import QUICK
from tests.simulators.bench import feed

DOT = get_profile("movella_dot")
PATIENCE = replace(QUICK, silence_s=1.0)
HASTE = 100.0  # the twelve seconds that a synchronisation takes are 0.12 here
SETTLE_S = 0.2


@dataclass
class Group:
    world: World
    sensors: list[VirtualSensor]
    found: list[FoundSensor]
    client: type[BaseBleakClient]

    async def synchronise(self, *, settle_s: float = SETTLE_S, **settings: float) -> list[SyncOutcome]:
        return await synchronise(self.found, settings, settle_s=settle_s, patience=PATIENCE, client_backend=self.client)

    def firmware(self, number: int) -> DotFirmware:
        firmware = self.sensors[number].firmware
        assert isinstance(firmware, DotFirmware)
        return firmware

    def spread_s(self) -> float:
        now_s = self.world.now_s()
        return float(np.ptp([sensor.own_clock_s(now_s) for sensor in self.sensors]))


@contextlib.asynccontextmanager
async def group(count: int, *, haste: float = HASTE) -> AsyncIterator[Group]:
    world, radio = World(10.0), Radio()
    central = await radio.device("kit", "F0:00:00:00:00:01")
    scanner, client = backends(central)
    async with contextlib.AsyncExitStack() as stack:
        sensors = []
        for number in range(1, count + 1):
            sensor = VirtualSensor(
                radio,
                DOT,
                feed,
                world,
                duration_s=60.0,
                name=sensor_name("movella_dot", number),
                address=sensor_address("movella_dot", number),
                clock_ppm=30.0 * number,
                clock_offset_s=1000.0 * number,
                now_s=lambda: time.monotonic() * haste,
            )
            sensors.append(await stack.enter_async_context(sensor))
        found = await scan([DOT], timeout_s=5.0, scanner_backend=scanner, want=count)
        yield Group(world, sensors, sorted(found, key=lambda one: one.address), client)
    await radio.remove(central)


async def test_synchronised_sensors_share_the_roots_clock() -> None:
    async with group(3) as one:
        assert one.spread_s() > 1000
        outcomes = await one.synchronise(rate_hz=30)
        assert [outcome.result for outcome in outcomes] == ["success"] * 3
        assert [outcome.address for outcome in outcomes] == [found.address for found in one.found]
        assert one.spread_s() == 0
        assert 1000 < one.sensors[2].own_clock_s(one.world.now_s()) < 2000  # the root's
        assert [one.firmware(number).rate_hz for number in range(3)] == [30] * 3


async def test_streams_after_a_synchronisation_tell_the_same_time() -> None:
    async with group(2) as one:
        await one.synchronise()
        async with contextlib.AsyncExitStack() as stack:
            links = [
                await stack.enter_async_context(
                    SensorLink(
                        found, DOT, monotonic_ns=one.world.monotonic_ns, client_backend=one.client, patience=PATIENCE
                    )
                )
                for found in one.found
            ]
            for link in links:
                await link.start()
            one.world.begin_motion()
            for link in links:
                await link.next_arrival()
            firsts = []
            for link in links:
                await link.stop()
                first = await anext(link.chunks())
                assert first.sensor_s is not None
                firsts.append(first.sensor_s[0])
        assert firsts[0] == firsts[1] == pytest.approx(one.sensors[0].first_sample_s, abs=1e-6)


async def test_rate_and_filter_are_locked_while_synchronised() -> None:
    async with group(2) as one:
        await one.synchronise(rate_hz=30)
        with pytest.raises(SensorRefusedError, match="set_rate_and_filter"):
            async with SensorLink(one.found[0], DOT, rate_hz=60, client_backend=one.client, patience=PATIENCE):
                pass
        await unsynchronise(one.found, patience=PATIENCE, client_backend=one.client)
        assert not one.firmware(0).messages.synced
        async with SensorLink(one.found[0], DOT, rate_hz=60, client_backend=one.client, patience=PATIENCE) as link:
            assert link.info.rate_hz == 60


async def test_a_second_synchronisation_ends_the_first() -> None:
    async with group(2) as one:
        await one.synchronise(rate_hz=30)
        outcomes = await one.synchronise(rate_hz=60)  # refused if the first were still in force
        assert all(outcome.synced for outcome in outcomes)
        assert one.firmware(1).rate_hz == 60


async def test_who_asks_too_early_gets_no_answer() -> None:
    async with group(2, haste=1.0) as one:
        outcomes = await one.synchronise()
        assert [outcome.result for outcome in outcomes] == ["no_answer"] * 2


async def test_a_sensor_whose_root_is_gone_does_not_start() -> None:
    async with group(2) as one:
        lonely = one.firmware(1)
        lonely.write("message_control", encode_message("sync", "start_sync", {"root_mac": "D4:22:CD:00:00:00"}))
        lonely.disconnected()
        await asyncio.sleep(SETTLE_S)
        answer = decode_message(lonely.read("message_acknowledge"))
        assert (answer["reid"], answer["result"]) == ("start_sync_result", "not_started")
        assert not lonely.messages.synced


async def test_it_takes_two_and_a_rate_that_there_is() -> None:
    async with group(1) as one:
        with pytest.raises(UsageError, match="two sensors"):
            await one.synchronise()
        with pytest.raises(UsageError, match="rate_hz"):
            await synchronise(one.found * 2, {"rate_hz": 61}, client_backend=one.client)
