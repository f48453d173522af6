"""The link against virtual sensors with flat packets: every sample once and in order, whatever the family."""

import asyncio
from typing import TYPE_CHECKING

import numpy as np
import pytest

from gonio.drivers.link_errors import SensorLostError
from gonio.signal.consts import STANDARD_GRAVITY
from gonio.simulators.radio import AirConditions
from tests.drivers.rig import collect, columns, feed, rig

if TYPE_CHECKING:
    from gonio.signal.chunks import SampleChunk

G, DPS = STANDARD_GRAVITY, float(np.radians(1))
#: Family -> rate in Hz, and the steps of its acceleration (m/s²) and angular velocity (rad/s).
STEPS = {
    "gonio_ref": (100, 8 * 0.0305e-3 * G, 0.07 * DPS),
    "nordic_thingy52": (100, G / 1024, DPS / 32),
    "ti_cc2650": (10, 8 * G / 32768, 500 / 65536 * DPS),
    "bbc_microbit": (50, G / 1000, 0.0),
    "infinitime": (10, G / 1024, 0.0),
    "st_bluest": (50, G / 1000, DPS / 10),
}


@pytest.mark.parametrize("family", STEPS)
async def test_every_sample_comes_once_and_in_order(family: str) -> None:
    rate_hz, acc_step, gyr_step = STEPS[family]
    async with rig(family) as one, await one.link() as link:
        assert link.info.rate_hz == rate_hz
        assert link.info.battery_percent == (None if family == "bbc_microbit" else 87)
        chunks = await one.whole_motion(link)
        counters = link.counters
    acc, gyr = feed(np.arange(5 * rate_hz + 1) / rate_hz)
    np.testing.assert_allclose(columns(chunks, "acc"), acc, atol=acc_step * 0.501, rtol=1e-6)
    if gyr_step:
        np.testing.assert_allclose(columns(chunks, "gyr"), gyr, atol=gyr_step * 0.501, rtol=1e-6)
    else:
        assert np.isnan(columns(chunks, "gyr")).all()
    assert (counters.malformed, counters.dropped, counters.restarts) == (0, 0, 0)


@pytest.mark.parametrize("family", STEPS)
async def test_a_lost_link_is_taken_up_again(family: str) -> None:
    async with rig(family, duration_s=30.0) as one:
        received: list[SampleChunk] = []
        async with await one.link() as link:
            await link.start()
            one.world.begin_motion()
            reader = asyncio.create_task(collect(link, received))
            await one.world.sleep_until((one.world.motion_began_s or 0) + 3.0)
            one.radio.drop(one.sensor.address)
            with pytest.raises(SensorLostError, match="gone"):
                await reader
        assert sum(map(len, received)) > 10
        async with await one.link() as link:
            again: list[SampleChunk] = []
            await link.start()
            reader = asyncio.create_task(collect(link, again))
            await asyncio.sleep(0.4)
            await link.stop()
            await reader
            assert link.counters.malformed == 0
        assert sum(map(len, again)) > 10


async def test_gonio_refs_losses_show_in_its_time_sample_by_sample() -> None:
    async with rig("gonio_ref", duration_s=20.0, speed=20.0, clock_ppm=40.0) as one, await one.link() as link:
        one.radio.set_conditions(one.sensor.address, AirConditions(payload_loss=0.05))
        chunks = await one.whole_motion(link)
    sensor_s = columns(chunks, "sensor_s")
    assert one.sensor.samples_lost > 20
    assert len(sensor_s) == one.sensor.samples_sent
    number = np.rint((sensor_s - one.sensor.first_sample_s) * 100).astype(int)
    np.testing.assert_allclose(sensor_s, one.sensor.first_sample_s + number / 100, atol=1.1e-6)
    assert (np.diff(number) > 0).all()
    assert 2001 - len(number) == one.sensor.samples_lost


async def test_gonio_ref_streams_single_samples_over_a_link_with_an_mtu_of_23(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gonio.simulators.bleak_backend._OFFERED_MTU", 23)
    async with rig("gonio_ref", speed=5.0) as one, await one.link() as link:
        assert link.info.mtu == 23
        chunks = await one.whole_motion(link)
        counters = link.counters
    assert len(columns(chunks, "acc")) == counters.notifications == 501
    np.testing.assert_allclose(np.diff(columns(chunks, "sensor_s")), 0.01, atol=1.1e-6)
