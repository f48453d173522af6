"""What a support person sees: the status of a kit that runs or has stopped, its log, a capture of raw packets."""

import asyncio
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gonio.cli.gateway import app
from gonio.cli.gateway_raw import record_raw
from gonio.cli.gateway_status import status_answer, status_lines
from gonio.drivers.capture import read_capture
from gonio.drivers.link_errors import SensorNotFoundError
from gonio.gateway.events import SensorBack, SensorLost, SessionEvent, SessionStarted, Trouble
from gonio.gateway.kit import Kit
from gonio.gateway.links.board import NAME, read_status
from gonio.gateway.links.table import State
from gonio.gateway.settings import KitSettings
from gonio.gateway.store import KitStore
from gonio.simulators.bleak_backend import backends
from gonio.simulators.crowd import Crowd, crowd


def kit_on(one: Crowd, directory: Path) -> Kit:
    settings = KitSettings(data_dir=directory, broker="mqtt://127.0.0.1:1", scan_s=10.0, keep_calibration=False)
    return Kit(settings, source="simulated", monotonic_ns=one.world.monotonic_ns, bluetooth=one.bluetooth)


async def test_a_session_over_a_lost_link_says_so_in_record_log_and_status(tmp_path: Path) -> None:
    async with crowd(["gonio_ref", "nordic_thingy52"], duration_s=120.0) as one, kit_on(one, tmp_path) as kit:
        thigh, shank = one.sensors
        await kit.find_and_pair(thigh=thigh, shank=shank)
        events: list[SessionEvent] = []

        def listen(event: SessionEvent) -> None:
            events.append(event)
            match event:
                case SessionStarted():
                    one.world.begin_motion()
                    asyncio.get_running_loop().call_later(1.5, one.drop, shank)
                case SensorBack():
                    asyncio.get_running_loop().call_later(1.5, kit.stop_session)

        async def told() -> list[str]:
            return await asyncio.to_thread(lambda: list(status_lines(tmp_path, 0)))

        async with asyncio.timeout(60):
            running = asyncio.create_task(kit.run_session("heel-slide", "left", listener=listen))
            while (status := read_status(tmp_path)) is None or status.sensors[1].reconnects == 0:  # noqa: ASYNC110 - a file
                await asyncio.sleep(0.05)
            during: list[str] = []
            while not any("the shank sensor streams" in line for line in during):  # it may still be on its way
                during = await told()
            finished = await running
        assert [type(event) for event in events if isinstance(event, SensorLost | SensorBack)] == [
            SensorLost,
            SensorBack,
        ]
        away_s = finished.summary.sensors[1].away_s
        assert away_s > 0
        assert finished.summary.sensors[0].away_s == 0
        assert "sensor-reconnected" in finished.summary.flags
        assert any("it runs" in line for line in during)
        assert any("the shank sensor streams" in line for line in during)
        answer = status_answer(tmp_path, 50)
        assert [s["reconnects"] for s in answer["links"]["sensors"]] == [0, 1]
        assert not answer["links"]["in_use"]
        log = "\n".join(answer["log"])
        assert "a session begins" in log
        assert "the shank sensor is lost" in log
        assert f"the shank sensor was away for {away_s:.1f} s" in log
    text = (tmp_path / NAME).read_text() + log
    assert "thigh" in text
    result = await asyncio.to_thread(CliRunner().invoke, app, ["status", "--log", "3", "--data-dir", str(tmp_path)])
    assert "it does not run" in result.stdout
    assert "the newest events:" in result.stdout
    assert "reconnects, away for" in result.stdout


async def test_a_battery_that_is_low_is_told_before_the_session(tmp_path: Path) -> None:
    async with crowd(["gonio_ref", "nordic_thingy52"], duration_s=60.0) as one, kit_on(one, tmp_path) as kit:
        thigh, shank = one.sensors
        answers = one.sensors[thigh].firmware.read
        one.sensors[thigh].firmware.read = lambda role: bytes((9,)) if role == "battery" else answers(role)  # type: ignore[method-assign]
        await kit.find_and_pair(thigh=thigh, shank=shank)
        events: list[SessionEvent] = []

        def listen(event: SessionEvent) -> None:
            events.append(event)
            if isinstance(event, SessionStarted):
                one.world.begin_motion()
                asyncio.get_running_loop().call_later(1.0, kit.stop_session)

        async with asyncio.timeout(60):
            await kit.run_session("heel-slide", "left", listener=listen)
        assert Trouble("the thigh sensor has 9 % of its charge left: charge it") in events
        assert any("9 % of its charge" in line for line in status_answer(tmp_path, 50)["log"])


async def test_a_status_that_cannot_be_read_is_none(tmp_path: Path) -> None:
    assert read_status(tmp_path) is None
    for text in ("", "{}", '{"written_at": "now"}', "\x00"):
        (tmp_path / NAME).write_text(text)
        assert read_status(tmp_path) is None


def test_a_kit_that_died_is_not_said_to_stream(tmp_path: Path) -> None:
    with KitStore.open(tmp_path):
        pass
    sensor = {"segment": "thigh", "name": "x", "state": State.STREAMING, "says": "streams", "battery_percent": 9}
    status = {"written_at": "2026-11-23T18:00:00Z", "in_use": True, "sensors": [sensor]}
    (tmp_path / NAME).write_text(json.dumps(status))
    lines = "\n".join(status_lines(tmp_path, 0))
    assert "is not in use" in lines
    assert "streams" not in lines
    assert "has 9 % of its charge left: charge it" in lines
    assert status_answer(tmp_path, 0)["links"]["in_use"] is False


@pytest.mark.parametrize("by", ["address", "name"])
async def test_raw_packets_of_one_sensor_are_captured(tmp_path: Path, by: str) -> None:
    said: list[str] = []
    stop = asyncio.Event()
    async with crowd(["nordic_thingy52"], duration_s=60.0) as one:
        ((address, sensor),) = one.sensors.items()
        scanner, client = backends(one.adapters[0])
        one.world.begin_motion()
        wanted = address.lower() if by == "address" else sensor.name[:6].lower()
        asyncio.get_running_loop().call_later(2.0, stop.set)
        await record_raw(wanted, tmp_path / "raw", stop, said.append, scanner_backend=scanner, client_backend=client)
    (path,) = (tmp_path / "raw").iterdir()
    _, values = read_capture(path)
    assert len(list(values)) > 20
    assert any("notifications of ef680406" in line for line in said)


async def test_a_sensor_that_is_not_heard_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gonio.cli.gateway_raw.LISTEN_S", 0.3)
    async with crowd(["nordic_thingy52"], duration_s=1.0) as one:
        scanner, client = backends(one.adapters[0])
        stop, said = asyncio.Event(), list[str]()
        with pytest.raises(SensorNotFoundError, match="nobody is heard"):
            await record_raw("nobody", tmp_path, stop, said.append, scanner_backend=scanner, client_backend=client)
