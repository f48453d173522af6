"""The link against virtual sensors, over bleak and the Bluetooth stack in process."""

import asyncio
import contextlib
from typing import TYPE_CHECKING

import numpy as np
import pytest

from gonio.drivers.link import Patience, SensorLink
from gonio.drivers.link_errors import (
    SensorLostError,
    SensorRefusedError,
    SensorUnreachableError,
    SensorUnsuitableError,
)
from gonio.drivers.scan import FoundSensor, scan
from gonio.errors import RetryableError, UsageError
from gonio.firmware_profiles import Profile, get_profile
from gonio.firmware_profiles.commands import Command
from gonio.firmware_profiles.parts import Characteristic, Service
from gonio.simulators.bleak_backend import backends
from gonio.simulators.peripheral import VirtualSensor, sensor_address, sensor_name
from gonio.simulators.radio import AirConditions, Radio
from gonio.simulators.world import World
from tests.drivers.rig import QUICK, collect, columns, feed, rig

if TYPE_CHECKING:
    from collections.abc import Callable

    from gonio.signal.chunks import SampleChunk

FAMILIES = ("movella_dot", "witmotion_ble5")


async def test_a_dot_gives_every_sample_it_was_fed_once_and_in_order() -> None:
    async with rig("movella_dot", clock_ppm=50.0) as one, await one.link() as link:
        assert link.info.firmware == "3.0.0"
        assert link.info.battery_percent == 87
        assert link.info.rate_hz == 60.0
        assert link.info.mtu >= 43
        one.sensor.clock.zero_own_s += 4293.0 - one.sensor.own_clock_s(one.world.now_s())
        chunks = await one.whole_motion(link)
        counters = link.counters
    k = np.arange(301)
    acc, gyr = feed(k / (60.0 * (1 + 50e-6)))
    assert len(columns(chunks, "acc")) == 301
    np.testing.assert_allclose(columns(chunks, "acc"), acc, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(columns(chunks, "gyr"), gyr, rtol=1e-6, atol=1e-6)
    sensor_s = columns(chunks, "sensor_s")
    assert sensor_s[-1] > 2**32 * 1e-6  # its clock has wrapped on the way
    np.testing.assert_allclose(sensor_s, one.sensor.first_sample_s + k / 60.0, atol=1e-6)
    assert counters.notifications == 301
    assert (counters.malformed, counters.dropped, counters.restarts) == (0, 0, 0)


async def test_a_witmotion_gives_every_sample_it_was_fed_once_and_in_order() -> None:
    async with rig("witmotion_ble5") as one, await one.link() as link:
        assert link.info.battery_percent == 90
        assert link.info.firmware != ""
        assert link.info.rate_hz == 100.0
        chunks = await one.whole_motion(link)
        counters = link.counters
    acc, gyr = feed(np.arange(501) / 100.0)
    assert len(columns(chunks, "acc")) == 501
    np.testing.assert_allclose(columns(chunks, "acc"), acc, atol=16 / 32768 * 9.80665)
    np.testing.assert_allclose(columns(chunks, "gyr"), gyr, atol=np.radians(2000 / 32768))
    assert all(chunk.sensor_s is None for chunk in chunks)
    assert counters.notifications == 126  # four frames in each, one in the last
    assert (counters.malformed, counters.dropped) == (0, 0)


async def test_losses_of_a_dot_show_in_its_timestamps() -> None:
    async with rig("movella_dot", duration_s=20.0, speed=20.0) as one, await one.link() as link:
        one.radio.set_conditions(one.sensor.address, AirConditions(payload_loss=0.05))
        chunks = await one.whole_motion(link)
    sensor_s = columns(chunks, "sensor_s")
    lost = int(np.sum(np.rint(np.diff(sensor_s) * 60.0) - 1))
    assert one.sensor.samples_lost > 20
    # the first and the last ones may be among the lost, where no gap shows them
    edges = (
        round((sensor_s[0] - one.sensor.first_sample_s) * 60)
        + 1200
        - round((sensor_s[-1] - one.sensor.first_sample_s) * 60)
    )
    assert lost + edges == one.sensor.samples_lost == one.radio.payloads_lost[one.sensor.address]
    assert len(sensor_s) == one.sensor.samples_sent


async def test_late_packets_stay_whole_and_in_order() -> None:
    async with rig("movella_dot") as one, await one.link() as link:
        one.radio.set_conditions(one.sensor.address, AirConditions(delay_s=0.002, jitter_s=0.02))
        await link.start()
        one.world.begin_motion()
        async with asyncio.TaskGroup() as tasks:
            reader = tasks.create_task(collect(link))
            await one.world.sleep_until((one.world.motion_began_s or 0) + 2.0)
            one.radio.stall(one.sensor.address, 0.15)
            await one.motion_over(link)
            await link.stop()
    sensor_s = columns(reader.result(), "sensor_s")
    np.testing.assert_allclose(np.diff(sensor_s), 1 / 60, atol=2e-6)
    assert len(sensor_s) == 301


@pytest.mark.parametrize("family", FAMILIES)
async def test_a_lost_link_ends_the_stream_and_a_new_one_takes_it_up(family: str) -> None:
    async with rig(family, duration_s=20.0) as one:
        received: list[SampleChunk] = []
        async with await one.link() as link:
            await link.start()
            one.world.begin_motion()
            reader = asyncio.create_task(collect(link, received))
            await one.world.sleep_until((one.world.motion_began_s or 0) + 2.0)
            one.radio.drop(one.sensor.address)
            with pytest.raises(SensorLostError, match="gone"):
                await reader
        before = sum(map(len, received))
        assert before > 30
        # a DOT goes on measuring meanwhile; the new link stops it first and nothing comes twice
        async with await one.link() as link:
            again: list[SampleChunk] = []
            await link.start()
            reader = asyncio.create_task(collect(link, again))
            await asyncio.sleep(0.3)
            await link.stop()
            await reader
            counters = link.counters
        assert sum(map(len, again)) > 60
        assert counters.malformed == 0
        if family == "movella_dot":
            times = np.concatenate((columns(received, "sensor_s"), columns(again, "sensor_s")))
            assert (np.diff(times) > 0).all()


@pytest.mark.parametrize("family", FAMILIES)
async def test_a_silent_sensor_is_a_lost_one(family: str) -> None:
    async with rig(family, duration_s=1.0) as one, await one.link() as link:
        await link.start()
        one.world.begin_motion()
        received: list[SampleChunk] = []
        with pytest.raises(SensorLostError, match=r"has sent nothing for 0\.4 s"):
            await collect(link, received)
        rate_hz = link.info.rate_hz
        assert sum(map(len, received)) == rate_hz + 1  # everything before the silence was given


async def test_a_sensor_that_never_starts_is_lost_after_a_time() -> None:
    async with rig("movella_dot") as one:
        patience = Patience(first_data_s=0.2, silence_s=0.1)
        async with await one.link(patience=patience) as link:
            await link.start()  # and the motion never begins
            with pytest.raises(SensorLostError, match=r"nothing for 0\.2 s"):
                await collect(link)


async def test_a_sensor_that_never_answers_is_unreachable() -> None:
    async with rig("movella_dot") as one:
        patience = Patience(connect_s=0.3, attempts=2, backoff_s=0.01, disconnect_s=0.5)
        link = await one.link(patience=patience)
        one.radio.stall(one.sensor.address, 3600.0)
        with pytest.raises(SensorUnreachableError, match="2 attempts") as error:
            async with link:
                pass
        assert isinstance(error.value, RetryableError)


async def test_a_sensor_that_falls_dumb_while_it_is_asked_is_lost() -> None:
    async with rig("movella_dot") as one, await one.link() as link:
        one.radio.stall(one.sensor.address, 3600.0)
        with pytest.raises(SensorLostError, match=r"did not answer within 1 s"):
            await link.start()


async def test_a_sensor_that_vanished_since_the_scan_is_unreachable() -> None:
    async with rig("movella_dot") as one:
        link = await one.link(patience=Patience(connect_s=0.3, attempts=2, backoff_s=0.01))
        one.radio.set_conditions(one.sensor.address, AirConditions(heard=False))
        with pytest.raises(SensorUnreachableError, match="see that it is near"):
            async with link:
                pass
        one.radio.set_conditions(one.sensor.address, AirConditions())
        async with await one.link():  # the adapter is as good as before
            pass


def with_service(profile: Profile, name: str, **characteristics: Characteristic) -> Profile:
    """Change what a profile expects of a service."""
    service = profile.gatt[name]
    changed = Service(uuid=service.uuid, characteristics={**service.characteristics, **characteristics})
    return profile.model_copy(update={"gatt": {**profile.gatt, name: changed}})


async def test_a_firmware_without_a_needed_characteristic_does_not_fit() -> None:
    async with rig("movella_dot") as one:
        foreign = Characteristic(uuid="15172009-4947-11e9-8646-d663bd873d93", properties=("notify",), size=40)
        profile = with_service(one.profile, "measurement", medium_payload=foreign)
        with pytest.raises(SensorUnsuitableError, match="no characteristic 15172009"):
            async with await one.link(profile=profile):
                pass
        async with await one.link():
            pass


async def test_a_characteristic_without_a_needed_property_does_not_fit() -> None:
    async with rig("movella_dot") as one:
        read_only = Characteristic(uuid="15171001-4947-11e9-8646-d663bd873d93", properties=("read", "write"), size=34)
        profile = with_service(one.profile, "configuration", device_control=read_only)
        with pytest.raises(SensorUnsuitableError, match="does not offer write"):
            async with await one.link(profile=profile):
                pass


async def test_an_mtu_too_small_for_the_stream_does_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gonio.simulators.bleak_backend._OFFERED_MTU", 23)
    async with rig("movella_dot") as one:
        with pytest.raises(SensorUnsuitableError, match="MTU of 23 bytes, its stream needs 43"):
            async with await one.link():
                pass


async def test_a_refusal_is_told_with_its_reason() -> None:
    async with rig("movella_dot") as one:
        commands = dict(one.profile.commands)
        commands["start_measurement"] = Command(title="no such measurement", role="control", bytes="09 01 15")
        profile = one.profile.model_copy(update={"commands": commands})
        async with await one.link(profile=profile) as link:
            with pytest.raises(SensorRefusedError, match="refused to start_measurement"):
                await link.start()


async def test_what_nobody_takes_in_time_is_dropped_and_counted() -> None:
    async with rig("movella_dot", duration_s=2.0) as one, await one.link(queue_capacity=10) as link:
        await link.start()
        one.world.begin_motion()
        await one.motion_over(link)
        assert link.counters.dropped == 121 - 10
        reader = asyncio.create_task(collect(link))
        await asyncio.sleep(0)
        await link.stop()
        assert sum(map(len, await reader)) == 10


@pytest.mark.parametrize("delay_s", [0.0, 0.001, 0.03, 0.08, 0.15])
async def test_a_cancelled_connection_leaves_the_adapter_usable(delay_s: float) -> None:
    async with rig("witmotion_ble5") as one:
        link = await one.link()

        async def enter() -> None:
            async with link:
                await asyncio.sleep(10)

        task = asyncio.create_task(enter())
        await asyncio.sleep(delay_s)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with await one.link() as again:
            assert again.info.battery_percent == 90


async def test_two_sensors_connect_at_once_and_stream_side_by_side() -> None:
    world, radio = World(10.0), Radio()
    profiles = [get_profile(family) for family in FAMILIES]
    central = await radio.device("kit", "F0:00:00:00:00:01")
    scanner, client = backends(central)
    async with contextlib.AsyncExitStack() as stack:
        for profile in profiles:
            await stack.enter_async_context(VirtualSensor(radio, profile, feed, world, duration_s=3.0))
        found = await scan(profiles, timeout_s=5.0, scanner_backend=scanner, want=2)
        assert {one.family for one in found} == set(FAMILIES)
        everybody_ready = asyncio.Barrier(2)

        async def stream(one: FoundSensor) -> int:
            link = SensorLink(
                one, get_profile(one.family), monotonic_ns=world.monotonic_ns, client_backend=client, patience=QUICK
            )
            async with link:
                await link.start()
                await everybody_ready.wait()
                world.begin_motion()
                received: list[SampleChunk] = []
                with contextlib.suppress(SensorLostError):  # silence after the motion
                    await collect(link, received)
                return sum(map(len, received))

        assert await asyncio.gather(*map(stream, found)) == [
            {"movella_dot": 181, "witmotion_ble5": 301}[f.family] for f in found
        ]
    await radio.remove(central)


async def test_a_scan_tells_families_apart_and_hears_only_who_is_heard() -> None:
    async with rig("movella_dot") as one:
        assert await scan([get_profile("witmotion_ble5")], timeout_s=0.3, scanner_backend=one.scanner) == []
        (found,) = await scan([one.profile], timeout_s=0.3, scanner_backend=one.scanner)
        assert (found.address, found.name) == (sensor_address("movella_dot", 1), sensor_name("movella_dot", 1))
        assert "SIM" in found.name
        one.radio.set_conditions(found.address, AirConditions(heard=False))
        assert await scan([one.profile], timeout_s=0.3, scanner_backend=one.scanner) == []


async def test_a_stream_can_be_stopped_and_started_again() -> None:
    async with rig("movella_dot", duration_s=30.0) as one, await one.link() as link:
        one.world.begin_motion()
        counts = []
        for _ in range(2):
            await link.start()
            reader = asyncio.create_task(collect(link))
            await asyncio.sleep(0.1)
            await link.stop()
            counts.append(sum(map(len, await reader)))
        assert min(counts) > 10
        assert link.counters.notifications == sum(counts)


@pytest.mark.parametrize(
    ("family", "rate_hz", "payload"), [("movella_dot", 55.0, None), ("movella_dot", None, "orientation_quaternion")]
)
async def test_what_a_family_cannot_do_is_said_before_anything_happens(
    family: str, rate_hz: float | None, payload: str | None
) -> None:
    async with rig(family) as one:
        found = await one.find()
        with pytest.raises(UsageError):
            SensorLink(found, one.profile, rate_hz=rate_hz, payload=payload)


def test_patience_must_be_possible() -> None:
    makers: list[Callable[[], Patience]] = [lambda: Patience(attempts=0), lambda: Patience(silence_s=0.0)]
    for make in makers:
        with pytest.raises(ValueError, match="above 0"):
            make()
