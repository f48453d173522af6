"""``gonio simulate``: virtual sensors and kits for people without one on the desk."""

import asyncio
import contextlib
import json
import logging
import math
import os
import signal
import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

import typer

from gonio.cli.names import EXERCISE_NAMES

if TYPE_CHECKING:
    from collections.abc import Callable

    from gonio.firmware_profiles import Profile
    from gonio.simulators.fleet import FleetOptions, FleetResult
    from gonio.simulators.motion import Motion

app = typer.Typer(
    help="Virtual sensors and kits; everything they send is simulated or played back.", no_args_is_help=True
)

_SAME_AGAIN_S: Final = 60.0  # before the same sentence is said again
_TRANSPORT_HELP: Final = (
    "Put the sensors on a Bluetooth controller: vhci (one for all), or usb:0, serial:PORT, tcp-client:HOST:PORT "
    "(one for each sensor; repeat the option)."
)


@app.command()
def sensor(
    *,
    device: Annotated[str, typer.Option(help="Family of the sensors (see gonio devices).")] = "movella_dot",
    exercise: Annotated[
        str, typer.Option(metavar="NAME", help=f"What the simulated leg does. One of: {EXERCISE_NAMES}.")
    ] = "heel-slide",
    recording: Annotated[Path | None, typer.Option(help="Play this recording in place of a simulated leg.")] = None,
    seconds: Annotated[float, typer.Option(min=1.0, help="How much motion.")] = 20.0,
    speed: Annotated[float, typer.Option(min=0.1, help="Simulated seconds per real second.")] = 1.0,
    rate: Annotated[float | None, typer.Option(help="Sample rate in Hz, one that the family offers.")] = None,
    loss: Annotated[float, typer.Option(min=0.0, max=1.0, help="Share of notifications that get lost.")] = 0.0,
    transport: Annotated[list[str] | None, typer.Option(help=_TRANSPORT_HELP)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="End with one line of JSON.")] = False,
) -> None:
    """Run a pair of virtual sensors, on thigh and shank.

    Without --transport they are found, connected and read over the Bluetooth stack in process, and what arrived is
    counted. With it they advertise on a real or virtual controller, for BlueZ or a phone, until the motion ends.
    """
    from gonio.firmware_profiles import get_profile

    profile = get_profile(device)
    motion = _motion(exercise, recording, seconds)
    source = "simulated" if motion.origin == "simulated" else f"recording {recording}"
    typer.echo(f"{profile.title}, {motion.exercise}, {source}")
    with contextlib.suppress(KeyboardInterrupt, asyncio.CancelledError):
        if transport:
            asyncio.run(_advertise(profile, motion, transport, seconds, speed, rate))
        else:
            asyncio.run(_check(profile, motion, seconds, speed, rate, loss, source if as_json else None))


def _motion(exercise: str, recording: Path | None, seconds: float) -> "Motion":
    from gonio.recording import read
    from gonio.simulators.leg import LegMotion
    from gonio.simulators.replay import RecordingMotion

    return LegMotion.for_seconds(exercise, seconds) if recording is None else RecordingMotion(read(recording))


async def _check(
    profile: "Profile",
    motion: "Motion",
    seconds: float,
    speed: float,
    rate: float | None,
    loss: float,
    json_source: str | None,
) -> None:
    from gonio.simulators.selfcheck import check_sensors

    checks = await check_sensors(
        profile, motion, seconds=seconds, speed=speed, rate_hz=rate, loss=loss, tell=typer.echo
    )
    typer.echo("What arrived over the Bluetooth stack in process:")
    for check in checks:
        info, counters = check.info, check.counters
        battery = "unknown" if info.battery_percent is None else f"{info.battery_percent} %"
        median_ms, late_ms = check.latency_ms
        typer.echo(f"  {check.segment}: {info.name}, {info.address}")
        typer.echo(f"    firmware {info.firmware or 'unknown'}, battery {battery}, MTU {info.mtu}")
        typer.echo(
            f"    {check.received} samples of {check.sent} sent ({check.real_rate_hz:.2f} Hz), "
            f"{check.dropped} lost on purpose, {counters.malformed} malformed, {counters.dropped} not taken in time"
        )
        typer.echo(f"    from notification to samples {median_ms:.2f} ms (95 %: {late_ms:.2f} ms)")
    if json_source is not None:
        rows = [
            {
                "segment": check.segment,
                "name": check.info.name,
                "address": check.info.address,
                "firmware": check.info.firmware,
                "battery_percent": check.info.battery_percent,
                "mtu": check.info.mtu,
                "rate_hz": round(check.real_rate_hz, 3),
                "samples_sent": check.sent,
                "samples_received": check.received,
                "samples_lost": check.dropped,
                "notifications": check.counters.notifications,
                "malformed": check.counters.malformed,
                "dropped": check.counters.dropped,
                "latency_ms": {"p50": round(check.latency_ms[0], 3), "p95": round(check.latency_ms[1], 3)},
            }
            for check in checks
        ]
        typer.echo(json.dumps({"device": profile.family, "source": json_source, "sensors": rows}))


async def _advertise(
    profile: "Profile", motion: "Motion", transports: list[str], seconds: float, speed: float, rate: float | None
) -> None:
    from gonio.signal.consts import SEGMENTS
    from gonio.simulators.peripheral import VirtualSensor, sensor_address, sensor_name
    from gonio.simulators.radio_transport import open_airs
    from gonio.simulators.selfcheck import simulated_feed
    from gonio.simulators.world import World

    rate_hz = float(profile.resolve({} if rate is None else {"rate_hz": rate})["rate_hz"])
    duration_s = min(seconds, motion.duration_s)
    world = World(speed)
    async with open_airs(transports, len(SEGMENTS)) as airs, contextlib.AsyncExitStack() as stack:
        virtual = []
        for number, (segment, air) in enumerate(zip(SEGMENTS, airs, strict=False), 1):
            name, address = sensor_name(profile.family, number), sensor_address(profile.family, number)
            feed = simulated_feed(motion, segment, rate_hz)
            one = VirtualSensor(air, profile, feed, world, duration_s=duration_s, name=name, address=address)
            virtual.append(await stack.enter_async_context(one))
            typer.echo(f"{name} ({address}) advertises: {segment}")
        if len(airs) < len(SEGMENTS):
            typer.echo("one controller carries one sensor: give --transport once more for the other")
        typer.echo("the motion begins when every sensor has a listener; Ctrl-C ends")
        for one in virtual:
            await one.wait_for_listener()
        world.begin_motion()
        typer.echo(f"the motion lasts {duration_s:g} s")
        await world.sleep_until((world.motion_began_s or 0.0) + duration_s)
        for one in virtual:
            typer.echo(f"{one.name}: {one.samples_sent} samples sent")


@app.command()
def fleet(
    *,
    kits: Annotated[int, typer.Option(min=1, max=1_000_000, help="How many kits.")],
    records: Annotated[
        int,
        typer.Option(min=1, max=1_000_000, help="How many records each of them makes."),
    ],
    data_dir: Annotated[Path, typer.Option(metavar="DIR", help="Where the kits keep their outboxes.")],
    rate: Annotated[
        float, typer.Option(min=0.0, help="Records a second, of all kits together; 0 is as fast as possible.")
    ] = 0.0,
    broker: Annotated[
        str | None, typer.Option(metavar="URL", help="mqtts://host[:port], or mqtt:// to a broker on this machine.")
    ] = None,
    into: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Put the records straight into this clinic's book, without kits and broker."),
    ] = None,
    truth: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write here, line by line, which records the kits hold.")
    ] = None,
    store: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="Also enter each kit's key, and a simulated patient for it, in this clinic's book."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of all that varies in the simulated patients.")] = 1,
    at_once: Annotated[
        int,
        typer.Option(min=1, max=150, help="Kits that are awake and connected at a time."),  # 1,024 open files: 150 kits
    ] = 50,
    broker_ca: Annotated[
        Path | None,
        typer.Option(metavar="FILE", envvar="GONIO_FLEET_BROKER_CA", help="PEM of the authority to trust."),
    ] = None,
    mqtt_version: Annotated[Literal["3.1.1", "5"], typer.Option(help="5 only where the broker speaks it.")] = "3.1.1",
    as_json: Annotated[bool, typer.Option("--json", help="End with one line of JSON.")] = False,
) -> None:
    """Run virtual kits whose simulated patients exercised for weeks or years; every record says that it is simulated.

    Each kit has an outbox of its own under DIR and sends it as a real kit does. Killed and started again with the
    same arguments, the fleet goes on where it stopped. It ends with status 0 when the clinic has acknowledged every
    record, and waits for a broker or a clinic that is away.

    With --into no kits are made: the history goes into the book through the checks and transactions of a clinic's
    worker, by all processors at once, and each kit has a simulated patient.

    User and password for the broker: GONIO_FLEET_BROKER_USERNAME and GONIO_FLEET_BROKER_PASSWORD in the environment.
    """
    from gonio.errors import PeerError, UsageError
    from gonio.identity.broker import BrokerAddress
    from gonio.simulators.fleet import FleetOptions

    if into is not None:
        if broker is not None or store is not None or rate:
            raise UsageError("--into needs no broker, enters patients and is fast: leave out --broker, --store, --rate")
        _put_into(into, kits, records, data_dir, truth, seed, as_json=as_json)
        return
    if broker is None:
        raise UsageError("say where the records go: --broker URL, or --into URL of a clinic's book")
    address = BrokerAddress.parse(
        broker,
        ca_file=broker_ca,
        username=os.environ.get("GONIO_FLEET_BROKER_USERNAME"),
        password=os.environ.get("GONIO_FLEET_BROKER_PASSWORD"),
    )
    options = FleetOptions(
        kits=kits,
        records=records,
        rate=rate,
        broker=address,
        data_dir=data_dir,
        truth=truth,
        book=store,
        seed=seed,
        at_once=at_once,
        mqtt_version=mqtt_version,
    )
    result = asyncio.run(_until_done(options))
    if result is None:
        typer.echo("stopped; the same command goes on from here", err=True)
        raise typer.Exit(130)
    if as_json:
        typer.echo(json.dumps(result.as_json()))
    if result.rejected:
        raise PeerError(
            f"the clinic refused {result.rejected} record(s); the kits in {data_dir} keep them, with reasons"
        )


def _put_into(
    book: str, kits: int, records: int, data_dir: Path, truth: Path | None, seed: int, *, as_json: bool
) -> None:
    from gonio.simulators.fleet_into import IntoOptions, put_fleet

    options = IntoOptions(kits=kits, records=records, book=book, data_dir=data_dir, truth=truth, seed=seed)
    try:
        result = put_fleet(options, _say_once())
    except KeyboardInterrupt:
        typer.echo("stopped; the same command goes on from here", err=True)
        raise typer.Exit(130) from None
    typer.echo(
        json.dumps(result.as_json())
        if as_json
        else f"{result.records} simulated records of {result.kits} kits are in the book, {result.stored} of them new, "
        f"after {result.seconds:.0f} s"
    )


async def _until_done(options: "FleetOptions") -> "FleetResult | None":
    """Run the fleet; None when a signal ended it."""
    from gonio.simulators.fleet import run_fleet

    # the fleet says of all its kits together what each uplink would say alone
    for name in ("gonio.gateway.uplink", "mqtt"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    running = asyncio.ensure_future(run_fleet(options, _say_once()))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, running.cancel)
    try:
        return await running
    except asyncio.CancelledError:
        return None


def _say_once() -> "Callable[[str], None]":
    """Give what says a sentence on stderr, and the same one again only after a while."""
    said: dict[str, float] = {}

    def say(text: str) -> None:
        now = time.monotonic()
        if now - said.get(text, -math.inf) >= _SAME_AGAIN_S:
            for old in [one for one, at_s in said.items() if now - at_s >= _SAME_AGAIN_S]:
                del said[old]
            said[text] = now
            typer.echo(f"{datetime.now().astimezone():%H:%M:%S} {text}", err=True)

    return say
