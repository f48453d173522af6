"""The kit on the real Bluetooth host stack, with virtual sensors on a simulated leg."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiomqtt
import pytest
from amqtt.broker import Broker
from typer.testing import CliRunner

from gonio.cli.gateway import app
from gonio.drivers.link_errors import SensorNotFoundError
from gonio.errors import UsageError
from gonio.firmware_profiles import get_profile
from gonio.gateway.events import SensorBack, SensorLost, SessionEvent, SessionStarted
from gonio.gateway.kit import Kit
from gonio.gateway.settings import KitSettings
from gonio.messages import UP_FILTER, Envelope, HealthReport, Kind, read_session, unpack, up_topic
from gonio.recording import read
from gonio.signal.consts import Segment
from gonio.simulators.bleak_backend import backends
from gonio.simulators.leg import LegMotion
from gonio.simulators.peripheral import VirtualSensor, sensor_address
from gonio.simulators.radio import Radio
from gonio.simulators.world import World

THIGH, SHANK = sensor_address("movella_dot", 1), sensor_address("witmotion_ble5", 2)
CENTRAL = "C0:00:00:00:00:01"


@dataclass
class Bench:
    """A leg with a sensor of each family, and the kit beside it."""

    world: World
    radio: Radio
    motion: LegMotion
    sensors: dict[Segment, VirtualSensor]
    kit: Kit
    settings: KitSettings

    async def motion_over(self) -> None:
        began_s = await self.world.wait_for_motion()
        await self.world.sleep_until(began_s + self.motion.duration_s + 0.5)

    def begin(self, event: SessionEvent) -> None:
        if isinstance(event, SessionStarted):
            self.world.begin_motion()


@asynccontextmanager
async def bench(directory: Path, *, broker: str = "mqtt://127.0.0.1:1", speed: float = 3.0) -> AsyncIterator[Bench]:
    motion = LegMotion("heel-slide", reps=2, seed=5, standing_s=2.0)
    world, radio = World(speed=speed), Radio()
    scanner, client = backends(await radio.device("kit", CENTRAL))
    settings = KitSettings(data_dir=directory / "kit", broker=broker, scan_s=3.0)

    def sensor(segment: Segment, family: str, address: str) -> VirtualSensor:
        return VirtualSensor(
            radio,
            get_profile(family),
            lambda t_s: motion.imu(segment, t_s),
            world,
            duration_s=motion.duration_s,
            address=address,
        )

    kit = Kit(
        settings,
        source="simulated",
        monotonic_ns=world.monotonic_ns,
        scanner_backend=scanner,
        client_backend=client,
    )
    thigh, shank = sensor("thigh", "movella_dot", THIGH), sensor("shank", "witmotion_ble5", SHANK)
    async with thigh, shank, kit:
        yield Bench(world, radio, motion, {"thigh": thigh, "shank": shank}, kit, settings)


async def run(b: Bench, listener: list[SessionEvent]) -> None:
    def listen(event: SessionEvent) -> None:
        listener.append(event)
        b.begin(event)

    async with asyncio.timeout(30), asyncio.TaskGroup() as tasks:
        tasks.create_task(b.kit.run_session("heel-slide", "left", listener=listen))
        await b.motion_over()
        b.kit.stop_session()


async def test_pair_and_run_a_session_without_a_broker(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        pairing = await b.kit.find_and_pair(thigh=THIGH.lower(), shank=SHANK)
        assert {s: p.family for s, p in pairing.items()} == {"thigh": "movella_dot", "shank": "witmotion_ble5"}
        await run(b, [])
        (envelope,) = b.kit.store.envelopes(b.kit.store.pending(10))
        summary = read_session(envelope)
        assert summary.simulated
        assert summary.side == "left"
        assert "sensor-lost" not in summary.flags
        for true in b.motion.truth.reps:
            assert any(rep.start_s < true.peak_s + 1 and true.peak_s - 1 < rep.end_s for rep in summary.reps)
        assert [s.battery_percent is not None for s in summary.sensors] == [True, True]
        assert "nobody listens" in (b.kit.uplink.status.reason or "")
        status = await asyncio.to_thread(
            CliRunner().invoke, app, ["status", "--json", "--data-dir", str(b.settings.data_dir)]
        )
        shown = json.loads(status.stdout.splitlines()[-1])
        assert shown["pending"] == 1
        assert shown["pairing"]["thigh"]["address"] == THIGH
        health = HealthReport.model_validate_json((await b.kit._health()).payload)
        assert set(health.batteries_percent) == {"thigh", "shank"}


async def test_a_dropped_link_comes_back_within_the_session(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        await b.kit.find_and_pair(thigh=THIGH, shank=SHANK)
        events: list[SessionEvent] = []

        async def cut() -> None:
            began_s = await b.world.wait_for_motion()
            await b.world.sleep_until(began_s + b.motion.duration_s * 0.4)
            b.radio.drop(SHANK)

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(run(b, events))
            tasks.create_task(cut())
        assert [type(e) for e in events if isinstance(e, SensorLost | SensorBack)] == [SensorLost, SensorBack]
        (envelope,) = b.kit.store.envelopes(b.kit.store.pending(10))
        summary = read_session(envelope)
        assert [s.reconnects for s in summary.sensors] == [0, 1]
        assert "sensor-reconnected" in summary.flags


async def test_record_gives_a_recording(tmp_path: Path) -> None:
    async with bench(tmp_path, speed=25.0) as b:
        await b.kit.find_and_pair(thigh=THIGH, shank=SHANK)
        stop = asyncio.Event()

        async def watch() -> None:
            await asyncio.sleep(1.0)  # until both stream
            b.world.begin_motion()
            await b.motion_over()
            stop.set()

        async with asyncio.timeout(30), asyncio.TaskGroup() as tasks:
            recording = tasks.create_task(b.kit.record(tmp_path / "taken", stop, exercise="heel-slide"))
            tasks.create_task(watch())
        taken = read(tmp_path / "taken")
        assert {segment: len(taken.samples(segment)) for segment in ("thigh", "shank")} == recording.result()
        assert "simulated" in taken.meta.source
        assert b.kit.store.counts().pending == 0


async def test_what_cannot_be_paired_is_said(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        with pytest.raises(UsageError, match="gateway pair"):
            await b.kit.run_session("heel-slide", "left")
        with pytest.raises(UsageError, match="gateway scan"):
            await b.kit.find_and_pair()
        with pytest.raises(UsageError, match="not the same"):
            await b.kit.find_and_pair(thigh=THIGH, shank=THIGH.lower())
        with pytest.raises(SensorNotFoundError, match="AA:BB"):
            await b.kit.find_and_pair(thigh=THIGH, shank="AA:BB:CC:DD:EE:FF", timeout_s=0.3)
        assert (await b.kit.find_and_pair(shank=SHANK, timeout_s=0.5))["thigh"].address == THIGH
        with pytest.raises(UsageError, match="not known; it is one of"):
            await b.kit.run_session("hop", "left")


async def test_health_is_told_on_every_connection(tmp_path: Path) -> None:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    broker = Broker(
        {
            "listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{port}"}},
            "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
        }
    )
    await broker.start()
    try:
        async with asyncio.timeout(20), aiomqtt.Client("127.0.0.1", port) as clinic:
            await clinic.subscribe(UP_FILTER, qos=1)
            async with bench(tmp_path, broker=f"mqtt://127.0.0.1:{port}") as b:
                message = await anext(aiter(clinic.messages))
                assert str(message.topic) == up_topic(b.kit.kit_id, Kind.HEALTH)
                assert isinstance(message.payload, bytes)
                (envelope,) = unpack(message.payload)
                assert isinstance(envelope, Envelope)
                report = HealthReport.model_validate_json(envelope.payload)
                assert report.pending == 0
                assert report.software.startswith("gonio ")
                assert b.kit.uplink.status.state == "connected"
    finally:
        await broker.shutdown()


async def test_an_error_inside_the_kit_comes_out_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="mine"):
        async with bench(tmp_path):
            raise UsageError("mine")
    with pytest.raises(UsageError, match="plain text"):
        async with Kit(KitSettings(data_dir=tmp_path / "kit", broker="mqtt://clinic.example")):
            pass


def test_settings_come_from_the_environment_and_keep_their_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GONIO_KIT_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("GONIO_KIT_BROKER", "mqtts://clinic.example")
    monkeypatch.setenv("GONIO_KIT_BROKER_PASSWORD", "s3cret")
    settings = KitSettings.load(side=None, exercise="heel-slide")
    assert settings.data_dir == tmp_path
    assert settings.broker_address().password == "s3cret"  # noqa: S105 - a test's
    assert "s3cret" not in repr(settings)
    monkeypatch.setenv("GONIO_KIT_SIDE", "middle")
    with pytest.raises(UsageError, match="side"):
        KitSettings.load()


def test_status_without_a_kit_is_a_sentence(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["status", "--data-dir", str(tmp_path)])
    assert isinstance(result.exception, UsageError)
    assert "no kit" in str(result.exception)
