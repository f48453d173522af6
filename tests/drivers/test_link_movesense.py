"""The link against virtual Movesense sensors: subscription by path, packets in one part or two."""

import asyncio
from typing import TYPE_CHECKING

import numpy as np
import pytest

from gonio.drivers.link_errors import SensorLostError, SensorRefusedError, SensorUnsuitableError
from gonio.simulators.radio import AirConditions
from tests.drivers.rig import collect, columns, feed, rig

if TYPE_CHECKING:
    from gonio.signal.chunks import SampleChunk

FAMILY = "movesense_gsp"


@pytest.mark.parametrize(("number", "firmware"), [(1, "2.3.1"), (2, "1.9.0")])
@pytest.mark.parametrize("rate_hz", [13, 52, 104])
async def test_every_sample_arrives_once_and_in_order(number: int, firmware: str, rate_hz: int) -> None:
    async with rig(FAMILY, number) as one, await one.link(rate_hz=rate_hz) as link:
        assert (link.info.firmware, link.info.battery_percent, link.info.rate_hz) == (firmware, None, rate_hz)
        chunks = await one.whole_motion(link)
        counters = link.counters
    k = np.arange(5 * rate_hz + 1)
    acc, gyr = feed(k / rate_hz)
    np.testing.assert_allclose(columns(chunks, "acc"), acc, atol=1e-5)
    np.testing.assert_allclose(columns(chunks, "gyr"), gyr, atol=3e-6)
    times = columns(chunks, "sensor_s")
    np.testing.assert_allclose(times - times[0], k / rate_hz, atol=1.1e-3)
    assert (counters.malformed, counters.dropped, counters.restarts) == (0, 0, 0)
    assert one.sensor.samples_sent == len(k)


async def test_lost_packets_are_gaps_and_what_is_left_is_right() -> None:
    async with rig(FAMILY, duration_s=30.0, speed=15.0) as one, await one.link(rate_hz=52) as link:
        one.radio.set_conditions(one.sensor.address, AirConditions(payload_loss=0.1))
        chunks = await one.whole_motion(link)
        counters = link.counters
    number = np.rint(columns(chunks, "acc")[:, 2] * 10 * 52)  # each sample tells its own
    acc, gyr = feed(number / 52)
    times = columns(chunks, "sensor_s")
    np.testing.assert_allclose(times - times[0], (number - number[0]) / 52, atol=1.1e-3)
    np.testing.assert_allclose(columns(chunks, "acc"), acc, atol=1e-5)
    np.testing.assert_allclose(columns(chunks, "gyr"), gyr, atol=3e-6)
    assert len(number) == one.sensor.samples_sent
    assert one.sensor.samples_sent + one.sensor.samples_lost == 30 * 52 + 1
    assert one.sensor.samples_lost > 0
    assert counters.malformed == 0


async def test_a_lost_link_ends_the_stream_and_a_new_one_takes_it_up() -> None:
    async with rig(FAMILY, duration_s=20.0) as one:
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
        times = np.concatenate((columns(received, "sensor_s"), columns(again, "sensor_s")))
        assert len(columns(received, "acc")) > 30
        assert len(columns(again, "acc")) > 30
        assert (np.diff(times) > 0).all()


async def test_a_refused_subscription_says_why() -> None:
    async with rig(FAMILY) as one, await one.link() as link:
        one.sensor.firmware.write("command", b"\x01\x01/Meas/IMU6/13")  # another program was faster
        with pytest.raises(SensorRefusedError, match="subscribe_imu6: another program uses it already"):
            await link.start()


async def test_an_mtu_too_small_for_a_packet_does_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gonio.simulators.bleak_backend._OFFERED_MTU", 100)
    async with rig(FAMILY) as one:
        with pytest.raises(SensorUnsuitableError, match="MTU of 100 bytes, its stream needs 161"):
            async with await one.link():
                pass
