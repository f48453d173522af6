"""The link against virtual MetaMotion sensors of both kinds: it asks which chip there is before it says anything."""

import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import replace

import numpy as np
import pytest

from gonio.drivers.codecs.mbient_registers import ACCELEROMETER, GYRO
from gonio.drivers.link import SensorLink
from gonio.drivers.link_errors import SensorLostError, SensorRefusedError
from gonio.signal.chunks import SampleChunk
from gonio.signal.consts import FloatArray
from gonio.simulators.peripheral_metamotion import MetaMotionFirmware
from gonio.simulators.radio import AirConditions
from tests.drivers.rig import QUICK, Rig, columns, rig

FAMILY = "mbientlab_metamotion"
KINDS = {1: "RL", 2: "S"}  # by number
ACC_STEP, GYR_STEP = 9.80665 / 2048, np.radians(1 / 16.4)


def feed(t_s: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Give every moment values of its own: one axis of each tells the time."""
    acc = np.stack([9.8 * np.sin(t_s), 9.8 * np.cos(t_s), t_s * 7 - 70], axis=1)
    gyr = np.stack([np.cos(3 * t_s), np.sin(2 * t_s), t_s * 1.5 - 15], axis=1)
    return acc, gyr


def metamotion(
    number: int, *, duration_s: float = 5.0, speed: float = 4.0
) -> contextlib.AbstractAsyncContextManager[Rig]:
    patience = replace(QUICK, silence_s=3.0)
    return rig(FAMILY, number, moved_by=feed, duration_s=duration_s, speed=speed, patience=patience)


def firmware_of(one: Rig) -> MetaMotionFirmware:
    assert isinstance(one.sensor.firmware, MetaMotionFirmware)
    return one.sensor.firmware


async def collect_until(link: SensorLink, samples: int, then: Callable[[], Awaitable[object]]) -> list[SampleChunk]:
    """Collect; do something once there are so many samples, however long that takes on a busy computer."""
    chunks: list[SampleChunk] = []
    done = False
    async for chunk in link.chunks():
        chunks.append(chunk)
        if not done and sum(map(len, chunks)) >= samples:
            done = True
            await then()
    return chunks


def both(chunks: list[SampleChunk]) -> tuple[FloatArray, FloatArray]:
    return columns(chunks, "acc"), columns(chunks, "gyr")


@pytest.mark.parametrize("number", KINDS)
async def test_every_sample_arrives_once_and_in_order_from_either_chip(number: int) -> None:
    async with metamotion(number) as one, await one.link() as link:
        assert (link.info.firmware, link.info.battery_percent, link.info.rate_hz) == ("1.7.2", 87, 100.0)
        assert firmware_of(one).connection_parameters == (6, 6, 0, 600)
        chunks = await one.whole_motion(link)
        counters = link.counters
    acc, gyr = both(chunks)
    assert len(acc) == 501
    expected = feed(np.arange(501) / 100.0)
    np.testing.assert_allclose(acc, expected[0], atol=ACC_STEP)
    np.testing.assert_allclose(gyr, expected[1], atol=GYR_STEP)
    assert all(chunk.sensor_s is None for chunk in chunks)
    assert counters.notifications == 2 * 167
    assert (counters.malformed, counters.dropped) == (0, 0)


@pytest.mark.parametrize("number", KINDS)
@pytest.mark.parametrize("rate_hz", [25, 50, 200])
async def test_the_rate_is_the_one_that_was_asked_for(number: int, rate_hz: int) -> None:
    async with metamotion(number, duration_s=3.0) as one, await one.link(rate_hz=rate_hz) as link:
        acc, gyr = both(await one.whole_motion(link))
    whole = (3 * rate_hz + 1) // 3 * 3
    expected = feed(np.arange(whole) / rate_hz)
    np.testing.assert_allclose(acc, expected[0], atol=ACC_STEP)
    np.testing.assert_allclose(gyr, expected[1], atol=GYR_STEP)


@pytest.mark.parametrize("number", KINDS)
async def test_lost_packets_cost_their_samples_and_shift_no_others(number: int) -> None:
    async with metamotion(number, duration_s=20.0, speed=10.0) as one, await one.link() as link:
        one.radio.set_conditions(one.sensor.address, AirConditions(payload_loss=0.05))
        acc, gyr = both(await one.whole_motion(link))
    acc_moment = np.rint((acc[:, 2] + 70) / 7 * 100).astype(int)
    gyr_moment = np.rint((gyr[:, 2] + 15) / 1.5 * 100).astype(int)
    together = np.count_nonzero(acc_moment == gyr_moment)
    assert one.sensor.samples_lost > 50
    # seldom all is lost from the middle of one pair to that of the next; seldom this computer pauses between two halves
    assert len(acc) - together <= 0.02 * len(acc)
    assert 0.97 * one.sensor.samples_sent <= together <= one.sensor.samples_sent
    assert (np.diff(acc_moment) > 0).all()
    assert (np.diff(gyr_moment) > 0).all()


@pytest.mark.parametrize("number", KINDS)
async def test_a_lost_link_is_taken_up_anew_and_all_that_was_on_is_stopped_first(number: int) -> None:
    async with metamotion(number, duration_s=30.0) as one:
        firmware = firmware_of(one)
        async with await one.link() as link:
            await link.start()
            one.world.begin_motion()

            async def lose() -> None:
                one.radio.drop(one.sensor.address)

            with pytest.raises(SensorLostError, match="gone"):
                await collect_until(link, 20, lose)
        assert firmware.stream_role() == "notification"  # the sensor goes on
        firmware.write("command", bytes.fromhex("020101"))
        firmware.write("command", bytes.fromhex("190101"))
        starts = firmware.starts
        async with await one.link() as link:
            assert (firmware.stream_role(), firmware.light_on, firmware.fusion_on) == (None, False, False)
            await link.start()
            assert firmware.starts == starts + 1
            acc, gyr = both(await collect_until(link, 60, link.stop))
            assert link.counters.malformed == 0
            assert firmware.stream_role() is None
    assert len(acc) >= 60
    np.testing.assert_allclose((acc[:, 2] + 70) / 7, (gyr[:, 2] + 15) / 1.5, atol=0.002)
    np.testing.assert_allclose(np.diff(acc[:, 2]), 0.07, atol=2 * ACC_STEP)


@pytest.mark.parametrize("number", KINDS)
async def test_a_stream_that_was_stopped_starts_again(number: int) -> None:
    async with metamotion(number, duration_s=30.0) as one, await one.link() as link:
        one.world.begin_motion()
        for _ in range(3):
            await link.start()
            acc, _ = both(await collect_until(link, 30, link.stop))
            assert len(acc) >= 30
        assert link.counters.malformed == 0


@pytest.mark.parametrize(
    ("module", "info", "text"),
    [
        (GYRO, None, "it has no gyroscope"),
        (ACCELEROMETER, None, "it has no accelerometer"),
        (ACCELEROMETER, (3, 0), "BMA255"),
        (ACCELEROMETER, (9, 0), "implementation 9"),
    ],
)
async def test_a_sensor_without_what_is_needed_is_refused_in_words(
    module: int, info: tuple[int, int] | None, text: str
) -> None:
    async with metamotion(1) as one:
        board = firmware_of(one).board
        modules = {number: own for number, own in board.modules.items() if number != module}
        firmware_of(one).board = board._replace(modules=modules | ({module: info} if info else {}))
        with pytest.raises(SensorRefusedError, match=text):
            async with await one.link():
                pass
        firmware_of(one).board = board
        async with await one.link():  # and the adapter is as good as before
            pass


async def test_a_sensor_that_never_says_what_it_is_is_not_guessed_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MetaMotionFirmware, "_answer", lambda *_: None)
    async with metamotion(1) as one:
        with pytest.raises(SensorRefusedError, match="did not answer read_accelerometer_info within 2 s"):
            async with await one.link():
                pass
