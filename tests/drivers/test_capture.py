"""Captures of whatever a device sends."""

import asyncio
import contextlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gonio.drivers.capture import Captured, CapturedValue, capture, read_capture
from gonio.drivers.codec import Notification, StreamDecoder
from gonio.drivers.link_errors import SensorUnsuitableError
from gonio.errors import UsageError
from gonio.firmware_profiles import get_profile
from gonio.signal.consts import FloatArray
from tests.drivers.rig import QUICK, Rig, rig


def feed(t_s: FloatArray) -> tuple[FloatArray, FloatArray]:
    return np.full((len(t_s), 3), 1.0), np.stack([t_s, -t_s, t_s / 2], axis=1)


def moving(family: str) -> contextlib.AbstractAsyncContextManager[Rig]:
    return rig(family, moved_by=feed, duration_s=2.0, patience=replace(QUICK, attempts=1, silence_s=3.0))


async def _captured(one: Rig, folder: Path, *, known: bool) -> Captured:
    stop = asyncio.Event()

    async def until_the_end() -> None:
        await one.sensor.wait_for_listener()
        one.world.begin_motion()
        await one.sensor.wait_for_end()
        await asyncio.sleep(0.2)  # for what is still in the air
        stop.set()

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(until_the_end())
        taking = tasks.create_task(
            capture(
                await one.find(),
                folder,
                stop=stop,
                profile=one.profile if known else None,
                monotonic_ns=one.world.monotonic_ns,
                client_backend=one.client,
                patience=one.patience,
            )
        )
    return taking.result()


async def test_all_that_a_known_sensor_sends_is_in_the_file_and_decodes(tmp_path: Path) -> None:
    async with moving("movella_dot") as one:
        result = await _captured(one, tmp_path / "new", known=True)
    profile = get_profile("movella_dot")
    decoder = StreamDecoder(profile, {})
    assert result.lost is None
    assert result.notifications[decoder.characteristic] == one.sensor.samples_sent > 60
    head, values = read_capture(result.path)
    assert (head["family"], head["name"]) == ("movella_dot", "Movella DOT SIM 1")
    assert head["mtu"] >= 43
    assert {s["uuid"] for s in head["services"]} >= {service.uuid for service in profile.gatt.values()}
    assert one.sensor.address.lower() not in result.path.read_text().lower()
    chunks = [decoder.feed(Notification(v.characteristic, v.data, round(v.arrival_s * 1e9))) for v in values]
    gyr = np.concatenate([chunk.gyr for chunk in chunks if chunk is not None])
    sent = np.arange(121 - one.sensor.samples_sent, 121)  # the motion may begin before the sensor is listened to
    np.testing.assert_allclose(gyr, feed(sent / 60)[1], atol=1e-5)


async def test_a_profile_for_another_firmware_is_not_spoken(tmp_path: Path) -> None:
    async with moving("movella_dot") as one:
        found, profile = await one.find(), one.profile.model_copy(update={"firmware": "<3"})
        with pytest.raises(SensorUnsuitableError, match=r"its firmware is 3\.0\.0"):
            await capture(
                found, tmp_path, stop=asyncio.Event(), profile=profile, client_backend=one.client, patience=one.patience
            )


async def test_a_device_without_a_profile_is_just_listened_to(tmp_path: Path) -> None:
    async with moving("witmotion_ble5") as one:
        result = await _captured(one, tmp_path, known=False)
    head, values = read_capture(result.path)
    assert head["family"] is None
    data = b"".join(value.data for value in values)
    assert data.count(b"\x55\x61") >= 20  # 2 s at the 10 Hz that it is delivered with
    assert result.notifications == {get_profile("witmotion_ble5").characteristic("data").uuid: len(values)}


def _file(folder: Path, *lines: object) -> Path:
    path = folder / "some.jsonl"
    path.write_text("".join(line if isinstance(line, str) else json.dumps(line) + "\n" for line in lines))
    return path


HEAD = {"format": "gonio-capture", "version": 1}
ROW = {"characteristic": "ffe4", "arrival_s": 0.5, "hex": "5561"}


def test_a_last_line_that_is_cut_off_is_left_out(tmp_path: Path) -> None:
    _, values = read_capture(_file(tmp_path, HEAD, ROW, '{"characteristic": "ff'))
    assert values == [CapturedValue("ffe4", b"\x55\x61", 0.5)]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "is no capture"),
        (["gibberish\n"], "is no capture"),
        ([{"format": "something"}], "its first line is no head of gonio-capture"),
        ([{**HEAD, "version": 2}], "its first line is no head of gonio-capture, version 1"),
        ([HEAD, ROW, {"hex": "00"}], "line 3 is no notification"),
        ([HEAD, {**ROW, "hex": "0"}], "line 2 is no notification"),
        ([HEAD, {**ROW, "arrival_s": None}], "line 2 is no notification"),
        ([HEAD, [1]], "line 2 is no notification"),
    ],
)
def test_a_file_that_is_no_capture_is_refused(tmp_path: Path, lines: list[object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read_capture(_file(tmp_path, *lines))


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        read_capture(tmp_path / "none.jsonl")
