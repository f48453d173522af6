"""The link against virtual Polar sensors: it asks, hears no, knows why, and learns what the frames mean."""

import asyncio
import functools
from typing import TYPE_CHECKING

import numpy as np
import pytest

from gonio.drivers.link_errors import SensorLostError, SensorRefusedError, SensorUnsuitableError
from gonio.errors import UsageError
from gonio.firmware_profiles import get_profile
from gonio.signal.consts import FloatArray
from gonio.simulators.peripheral_polar import ACC_FACTOR, PolarFirmware
from gonio.simulators.radio import AirConditions
from tests.drivers.rig import Rig, collect, columns, rig

if TYPE_CHECKING:
    from gonio.signal.chunks import SampleChunk

FAMILIES = ("polar_pmd", "polar_oh1", "polar_h10")
MG = 9.80665 / 1000
GYR_STEP = np.radians(2000 / 32768)
CONTROL = get_profile("polar_pmd").characteristic("control_point").uuid


def feed(t_s: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Give every moment values of its own: one axis of each tells the time."""
    acc = np.stack([9.8 * np.sin(t_s), 9.8 * np.cos(t_s), t_s * 3 - 30], axis=1)
    gyr = np.stack([np.cos(3 * t_s), np.sin(2 * t_s), t_s * 0.8 - 15], axis=1)
    return acc, gyr


polar = functools.partial(rig, moved_by=feed)


def firmware_of(one: Rig) -> PolarFirmware:
    assert isinstance(one.sensor.firmware, PolarFirmware)
    return one.sensor.firmware


@pytest.mark.parametrize(("number", "firmware", "acc_step"), [(1, "2.2.3", MG), (2, "1.1.5", ACC_FACTOR * 9.80665)])
async def test_every_sample_arrives_once_and_in_order_from_either_firmware(
    number: int, firmware: str, acc_step: float
) -> None:
    async with polar("polar_pmd", number, clock_ppm=40) as one, await one.link() as link:
        assert (link.info.firmware, link.info.battery_percent, link.info.rate_hz) == (firmware, 87, 52.0)
        chunks = await one.whole_motion(link)
        counters = link.counters
    k = np.arange(261)
    acc, gyr = feed(k / (52 * (1 + 40e-6)))
    np.testing.assert_allclose(columns(chunks, "acc"), acc, atol=acc_step * 0.51)
    np.testing.assert_allclose(columns(chunks, "gyr"), gyr, atol=GYR_STEP * 0.51)
    times = columns(chunks, "sensor_s")
    np.testing.assert_allclose(times - times[0], k / 52, atol=1e-6)
    assert (np.diff(columns(chunks, "arrival_s")) >= 0).all()
    assert (counters.malformed, counters.dropped, counters.restarts) == (0, 0, 0)
    assert one.sensor.samples_sent == 261


@pytest.mark.parametrize("rate_hz", [26, 104, 208])
async def test_other_rates_are_had_in_the_sdk_mode_which_is_left_again(rate_hz: int) -> None:
    async with polar("polar_pmd", duration_s=3.0, speed=4.0) as one:
        async with await one.link(rate_hz=rate_hz) as link:
            await link.start()
            modes = [firmware_of(one).sdk_mode]
            await link.stop()
            modes.append(firmware_of(one).sdk_mode)
            chunks = await one.whole_motion(link)
        assert [*modes, firmware_of(one).sdk_mode] == [True, False, False]
        assert not firmware_of(one).running
    acc, gyr = feed(np.arange(3 * rate_hz + 1) / rate_hz)
    np.testing.assert_allclose(columns(chunks, "acc"), acc, atol=MG * 0.51)
    np.testing.assert_allclose(columns(chunks, "gyr"), gyr, atol=GYR_STEP * 0.51)


@pytest.mark.parametrize(("family", "rates"), [("polar_h10", (25, 200)), ("polar_oh1", (50,))])
async def test_sensors_without_a_gyroscope_give_their_acceleration_and_say_so(
    family: str, rates: tuple[int, ...]
) -> None:
    for rate_hz in rates:
        async with polar(family, duration_s=3.0, speed=5.0) as one, await one.link(rate_hz=rate_hz) as link:
            chunks = await one.whole_motion(link)
        acc, _ = feed(np.arange(3 * rate_hz + 1) / rate_hz)
        np.testing.assert_allclose(columns(chunks, "acc"), acc, atol=MG * 0.51)
        assert np.isnan(columns(chunks, "gyr")).all()
    with pytest.raises(UsageError, match="has no rate_hz 52"):
        async with polar(family) as one:
            await one.link(rate_hz=52)


@pytest.mark.parametrize("family", FAMILIES)
async def test_a_sensor_that_streams_on_after_a_lost_link_is_stopped_and_started_anew(family: str) -> None:
    async with polar(family, duration_s=20.0) as one:
        received: list[SampleChunk] = []
        async with await one.link() as link:
            await link.start()
            await one.sensor.wait_for_listener()
            one.world.begin_motion()
            reader = asyncio.create_task(collect(link, received))
            await one.world.sleep_until((one.world.motion_began_s or 0) + 4.0)
            one.radio.drop(one.sensor.address)
            with pytest.raises(SensorLostError, match="gone"):
                await reader
        assert firmware_of(one).running  # nobody could stop it
        assert sum(map(len, received)) > 60
        async with await one.link() as link:
            assert not firmware_of(one).running
            again: list[SampleChunk] = []
            await link.start()
            reader = asyncio.create_task(collect(link, again))
            await one.world.sleep_until((one.world.motion_began_s or 0) + 14.0)
            await link.stop()
            await reader
            counters = link.counters
        assert sum(map(len, again)) > 60
        assert (counters.malformed, counters.restarts) == (0, 0)
        times = np.concatenate((columns(received, "sensor_s"), columns(again, "sensor_s")))
        assert (np.diff(times) > 0).all()


@pytest.mark.parametrize("family", FAMILIES)
async def test_a_sensor_that_another_client_left_running_is_stopped_and_asked_again(family: str) -> None:
    async with polar(family) as one, await one.link() as link:
        await _start_behind_its_back(one)
        starts = firmware_of(one).starts
        chunks = await one.whole_motion(link)
        assert firmware_of(one).starts == starts + 1
    rate_hz = int(link.info.rate_hz)
    assert sum(map(len, chunks)) == 5 * rate_hz + 1


async def _start_behind_its_back(one: Rig) -> None:
    """Let a command arrive as from a client that then crashed."""
    settings = {
        "polar_pmd": "0001340001011000020108000401 03",
        "polar_oh1": "000132000101100002010800",
        "polar_h10": "000164000101100002010800",
    }[one.profile.family]
    (answer,) = firmware_of(one).write("control_point", bytes.fromhex("0202" + settings))
    assert answer[1][3] == 0


async def test_a_sensor_in_its_charger_says_so() -> None:
    async with polar("polar_pmd") as one, await one.link() as link:
        firmware_of(one).in_charger = True
        with pytest.raises(SensorRefusedError, match=r"start_acc: it is in the charger, take it out"):
            await link.start()


async def test_a_sensor_that_is_put_into_its_charger_is_lost_and_then_says_why() -> None:
    async with polar("polar_pmd", duration_s=60.0) as one:
        async with await one.link() as link:
            await link.start()
            await one.sensor.wait_for_listener()
            one.world.begin_motion()
            received: list[SampleChunk] = []
            reader = asyncio.create_task(collect(link, received))
            await one.world.sleep_until((one.world.motion_began_s or 0) + 4.0)
            one.sensor.tell(firmware_of(one).put_into_charger())
            with pytest.raises(SensorLostError, match="has sent nothing"):
                await reader
            assert received
        async with await one.link() as link:
            with pytest.raises(SensorRefusedError, match="in the charger"):
                await link.start()


async def test_a_strap_that_is_taken_off_is_gone() -> None:
    async with polar("polar_h10", duration_s=60.0) as one, await one.link() as link:
        await link.start()
        await one.sensor.wait_for_listener()
        one.world.begin_motion()
        reader = asyncio.create_task(collect(link))
        await one.world.sleep_until((one.world.motion_began_s or 0) + 2.0)
        firmware_of(one).take_off()
        one.sensor.tell([])
        with pytest.raises(SensorLostError, match="gone"):
            await reader


async def test_a_refused_rate_says_so() -> None:
    async with polar("polar_h10") as one:
        settings = dict(one.profile.settings)
        settings["rate_hz"] = settings["rate_hz"].model_copy(update={"values": {400: 400}, "default": 400})
        one.profile = one.profile.model_copy(update={"settings": settings})
        async with await one.link() as link:
            with pytest.raises(SensorRefusedError, match="start_acc: it does not measure at this rate"):
                await link.start()


async def test_an_mtu_too_small_for_a_frame_does_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gonio.simulators.bleak_backend._OFFERED_MTU", 185)
    async with polar("polar_pmd") as one:
        with pytest.raises(SensorUnsuitableError, match="MTU of 185 bytes, its stream needs 232"):
            async with await one.link():
                pass


async def test_lost_frames_are_gaps_and_what_is_left_is_right() -> None:
    async with polar("polar_pmd", duration_s=40.0, speed=20.0) as one, await one.link() as link:
        one.radio.set_conditions(one.sensor.address, AirConditions(payload_loss=0.1))
        chunks = await one.whole_motion(link)
        counters = link.counters
    number = np.rint((columns(chunks, "acc")[:, 2] + 30) / 3 * 52)  # each sample tells its own
    acc, gyr = feed(number / 52)
    times = columns(chunks, "sensor_s")
    np.testing.assert_allclose(times - times[0], (number - number[0]) / 52, atol=1e-6)
    np.testing.assert_allclose(columns(chunks, "acc"), acc, atol=MG * 0.51)
    np.testing.assert_allclose(columns(chunks, "gyr"), gyr, atol=GYR_STEP * 0.51)
    assert len(number) == one.sensor.samples_sent
    assert one.sensor.samples_sent + one.sensor.samples_lost == 40 * 52 + 1
    assert one.sensor.samples_lost > 0
    assert counters.malformed == 0
