"""The link against virtual Movesense sensors: subscription by path, packets in one part or two."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from gonio.drivers.link import SensorLink
from gonio.drivers.link_errors import SensorLostError, SensorRefusedError, SensorUnsuitableError
from gonio.drivers.link_values import Patience
from gonio.drivers.scan import scan
from gonio.firmware_profiles import get_profile
from gonio.signal.chunks import SampleChunk
from gonio.signal.consts import FloatArray
from gonio.simulators.bleak_backend import backends
from gonio.simulators.peripheral import VirtualSensor, sensor_address, sensor_name
from gonio.simulators.radio import AirConditions, Radio
from gonio.simulators.world import World

FAMILY = "movesense_gsp"
PROFILE = get_profile(FAMILY)
QUICK = Patience(connect_s=5.0, attempts=2, backoff_s=0.01, operation_s=1.0, silence_s=0.4, disconnect_s=1.0, mtu_s=0.2)


def feed(t_s: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Give every moment values of its own."""
    acc = np.stack([9.8 * np.sin(t_s), 9.8 * np.cos(t_s), t_s / 10], axis=1)
    gyr = np.stack([np.cos(3 * t_s), np.sin(2 * t_s), -t_s / 20], axis=1)
    return acc, gyr


@dataclass
class Rig:
    world: World
    radio: Radio
    sensor: VirtualSensor
    scanner: Any
    client: Any

    async def link(self, **chosen: Any) -> SensorLink:  # noqa: ANN401 - the link's own arguments
        (found,) = await scan([PROFILE], timeout_s=5.0, scanner_backend=self.scanner, want=1)
        now_ns = self.world.monotonic_ns
        return SensorLink(found, PROFILE, monotonic_ns=now_ns, client_backend=self.client, patience=QUICK, **chosen)

    async def whole_motion(self, link: SensorLink) -> list[SampleChunk]:
        await link.start()
        await self.sensor.wait_for_listener()
        self.world.begin_motion()
        async with asyncio.TaskGroup() as tasks:
            reader = tasks.create_task(collect(link))
            await self.sensor.wait_for_end()
            before = -1
            while link.counters.notifications > before:  # what is still in the air
                before = link.counters.notifications
                await asyncio.sleep(0.2)
            await link.stop()
        return reader.result()


async def collect(link: SensorLink, into: list[SampleChunk] | None = None) -> list[SampleChunk]:
    chunks = [] if into is None else into
    async for chunk in link.chunks():
        chunks.append(chunk)
    return chunks


@contextlib.asynccontextmanager
async def rig(number: int = 1, *, duration_s: float = 5.0, speed: float = 10.0) -> AsyncIterator[Rig]:
    world, radio = World(speed), Radio(seed=7)
    central = await radio.device("kit", "F0:00:00:00:00:01")
    sensor = VirtualSensor(
        radio,
        PROFILE,
        feed,
        world,
        duration_s=duration_s,
        name=sensor_name(FAMILY, number),
        address=sensor_address(FAMILY, number),
    )
    async with sensor:
        yield Rig(world, radio, sensor, *backends(central))
    await radio.remove(central)


def column(chunks: list[SampleChunk], name: str) -> FloatArray:
    values: FloatArray = np.concatenate([getattr(chunk, name) for chunk in chunks])
    return values


@pytest.mark.parametrize(("number", "firmware"), [(1, "2.3.1"), (2, "1.9.0")])
@pytest.mark.parametrize("rate_hz", [13, 52, 104])
async def test_every_sample_arrives_once_and_in_order(number: int, firmware: str, rate_hz: int) -> None:
    async with rig(number) as one, await one.link(rate_hz=rate_hz) as link:
        assert (link.info.firmware, link.info.battery_percent, link.info.rate_hz) == (firmware, None, rate_hz)
        chunks = await one.whole_motion(link)
        counters = link.counters
    k = np.arange(5 * rate_hz + 1)
    acc, gyr = feed(k / rate_hz)
    np.testing.assert_allclose(column(chunks, "acc"), acc, atol=1e-5)
    np.testing.assert_allclose(column(chunks, "gyr"), gyr, atol=3e-6)
    times = column(chunks, "sensor_s")
    np.testing.assert_allclose(times - times[0], k / rate_hz, atol=1.1e-3)
    assert (counters.malformed, counters.dropped, counters.restarts) == (0, 0, 0)
    assert one.sensor.samples_sent == len(k)


async def test_lost_packets_are_gaps_and_what_is_left_is_right() -> None:
    async with rig(duration_s=30.0, speed=15.0) as one, await one.link(rate_hz=52) as link:
        one.radio.set_conditions(one.sensor.address, AirConditions(payload_loss=0.1))
        chunks = await one.whole_motion(link)
        counters = link.counters
    number = np.rint(column(chunks, "acc")[:, 2] * 10 * 52)  # each sample tells its own
    acc, gyr = feed(number / 52)
    times = column(chunks, "sensor_s")
    np.testing.assert_allclose(times - times[0], (number - number[0]) / 52, atol=1.1e-3)
    np.testing.assert_allclose(column(chunks, "acc"), acc, atol=1e-5)
    np.testing.assert_allclose(column(chunks, "gyr"), gyr, atol=3e-6)
    assert len(number) == one.sensor.samples_sent
    assert one.sensor.samples_sent + one.sensor.samples_lost == 30 * 52 + 1
    assert one.sensor.samples_lost > 0
    assert counters.malformed == 0


async def test_a_lost_link_ends_the_stream_and_a_new_one_takes_it_up() -> None:
    async with rig(duration_s=20.0) as one:
        received: list[SampleChunk] = []
        async with await one.link() as link:
            await link.start()
            await one.sensor.wait_for_listener()
            one.world.begin_motion()
            reader = asyncio.create_task(collect(link, received))
            await one.world.sleep_until((one.world.motion_began_s or 0) + 3.0)
            one.radio.drop(one.sensor.address)
            with pytest.raises(SensorLostError, match="gone"):
                await reader
        async with await one.link() as link:
            again: list[SampleChunk] = []
            await link.start()
            reader = asyncio.create_task(collect(link, again))
            await one.world.sleep_until((one.world.motion_began_s or 0) + 12.0)
            await link.stop()
            await reader
        times = np.concatenate((column(received, "sensor_s"), column(again, "sensor_s")))
        assert len(column(received, "acc")) > 30
        assert len(column(again, "acc")) > 30
        assert (np.diff(times) > 0).all()


async def test_a_refused_subscription_says_why() -> None:
    async with rig() as one, await one.link() as link:
        one.sensor.firmware.write("command", b"\x01\x01/Meas/IMU6/13")  # another program was faster
        with pytest.raises(SensorRefusedError, match="subscribe_imu6: another program uses it already"):
            await link.start()


async def test_an_mtu_too_small_for_a_packet_does_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gonio.simulators.bleak_backend._OFFERED_MTU", 100)
    async with rig() as one:
        with pytest.raises(SensorUnsuitableError, match="MTU of 100 bytes, its stream needs 161"):
            async with await one.link():
                pass
