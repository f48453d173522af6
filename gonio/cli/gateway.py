"""``gonio gateway``: the kit from a terminal."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import typer

from gonio.cli import gateway_identity, gateway_page, gateway_reports
from gonio.cli.names import EXERCISE_NAMES

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterator

    from gonio.gateway.events import Listener, SessionEvent
    from gonio.gateway.kit import Kit
    from gonio.gateway.session import FinishedSession
    from gonio.gateway.settings import KitSettings

app = typer.Typer(
    help="The kit: find and pair the sensors, run sessions, say how it is, see what waits.", no_args_is_help=True
)

LAST_SEND_S: Final = 10.0  # how long leaving waits for the clinic; what is not acknowledged by then goes next time

DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", help="Where the kit keeps its data [GONIO_KIT_DATA_DIR].", show_default=False),
]
Broker = Annotated[
    str | None,
    typer.Option(
        "--broker",
        help="mqtts://host:port, or mqtt:// to this machine (GONIO_KIT_BROKER); by default the enrolled clinic's.",
        show_default=False,
    ),
]
Exercise = Annotated[
    str | None,
    typer.Option("--exercise", help=f"By default it is recognised. One of: {EXERCISE_NAMES}.", show_default=False),
]
SideOption = Annotated[Literal["left", "right"] | None, typer.Option("--side", help="The leg.", show_default=False)]
TargetFlexion = Annotated[
    float | None,
    typer.Option("--target-flexion", metavar="DEG", help="Each to be bent to at least this.", show_default=False),
]
TargetExtension = Annotated[
    float | None,
    typer.Option(
        "--target-extension", metavar="DEG", help="Each to be straightened to at most this.", show_default=False
    ),
]
TargetHeight = Annotated[
    float | None,
    typer.Option("--target-height", metavar="DEG", help="The leg to be raised by at least this.", show_default=False),
]
Hold = Annotated[
    float | None, typer.Option("--hold", metavar="S", help="Each to be held at least this long.", show_default=False)
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object as the last line.")]


def _settings(**given: object) -> KitSettings:
    from gonio.gateway.settings import KitSettings

    return KitSettings.load(**given)


def _say(text: str = "") -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _run(main: Coroutine[Any, Any, None]) -> None:
    """Run a command; Ctrl-C where nothing handles it leaves with the usual status and no traceback."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s", stream=sys.stderr)
    try:
        asyncio.run(main)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


@app.command()
def scan(
    seconds: Annotated[float, typer.Option("--seconds", min=1, max=300, help="How long to listen.")] = 10.0,
    as_json: AsJson = False,
) -> None:
    """List the motion sensors that are heard."""
    from gonio.drivers.link import scan as listen
    from gonio.firmware_profiles import known_profiles

    async def main() -> None:
        logging.getLogger("bleak").setLevel(logging.ERROR)  # the error says it in words
        found = await listen(known_profiles(), timeout_s=seconds)
        for one in found:
            _say(f"{one.address}  {one.name}  {one.family}  {one.rssi} dBm")
        if not found:
            _say("No sensor is heard: switch them on, wake them by moving them, bring them near.")
        if as_json:
            fields = ("address", "name", "family", "rssi")
            _say(json.dumps([{field: getattr(one, field) for field in fields} for one in found]))

    _run(main())


@app.command()
def pair(
    thigh: Annotated[str | None, typer.Option("--thigh", metavar="ADDRESS", help="The sensor on the thigh.")] = None,
    shank: Annotated[str | None, typer.Option("--shank", metavar="ADDRESS", help="The sensor on the shank.")] = None,
    data_dir: DataDir = None,
) -> None:
    """Remember which sensor is on the thigh and which on the shank; with one address the other is the only other."""
    from gonio.gateway.kit import Kit

    async def main() -> None:
        logging.getLogger("gonio.gateway.uplink").setLevel(logging.ERROR)  # a broker is not needed for this
        async with Kit(_settings(data_dir=data_dir)) as kit:
            for sensor in (await kit.find_and_pair(thigh=thigh, shank=shank)).values():
                _say(f"{sensor.segment}: {sensor.name} ({sensor.address}, {sensor.family})")

    _run(main())


@app.command()
def run(
    exercise: Exercise = None,
    side: SideOption = None,
    target_flexion: TargetFlexion = None,
    target_extension: TargetExtension = None,
    target_height: TargetHeight = None,
    hold: Hold = None,
    pose: Annotated[
        float | None,
        typer.Option(
            min=1,
            max=30,
            metavar="S",
            help="Begin each session with a pose that sets zero: the knee held still for so long.",
            show_default=False,
        ),
    ] = None,
    pose_flexion: Annotated[
        float, typer.Option(min=-20, max=150, metavar="DEG", help="The knee's flexion in that pose; 0 is straight.")
    ] = 0.0,
    data_dir: DataDir = None,
    broker: Broker = None,
) -> None:
    """Run sessions, one after another: Enter begins, Enter ends, Ctrl-C ends and leaves."""
    from gonio.gateway.kit import Kit

    async def main() -> None:
        settings = _settings(
            data_dir=data_dir,
            broker=broker,
            exercise=exercise,
            side=side,
            target_flexion_deg=target_flexion,
            target_extension_deg=target_extension,
            target_height_deg=target_height,
            target_hold_s=hold,
        )

        async def identify(_: object) -> None:
            _say("\a\nYour clinic asks which kit this is: it is this one.")

        async with Kit(settings, commands={"identify": identify}) as kit:
            if kit.recovered:
                _say(f"{len(kit.recovered)} session(s) had been cut off; they are closed and will be sent.")
            with _keys() as keys:
                await _sessions(kit, keys, _shown(kit, pose, pose_flexion))
            await _last_send(kit)

    _run(main())


@app.command()
def record(
    directory: Annotated[Path, typer.Argument(help="A new or empty folder.")],
    exercise: Exercise = None,
    side: SideOption = None,
    raw: Annotated[
        str | None,
        typer.Option(
            "--raw",
            metavar="SENSOR",
            help="Write the packets themselves, of any one Bluetooth sensor: its address, or how its name begins.",
            show_default=False,
        ),
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Write the paired sensors' raw samples into a recording; Enter or Ctrl-C ends it."""
    if raw is not None:
        from gonio.cli.gateway_raw import record_raw

        return _run(_until_key(lambda stop: record_raw(raw, directory, stop, _say)))
    from gonio.gateway.kit import Kit

    async def take(stop: asyncio.Event) -> None:
        logging.getLogger("gonio.gateway.uplink").setLevel(logging.ERROR)  # a broker is not needed for this
        async with Kit(_settings(data_dir=data_dir, exercise=exercise, side=side)) as kit:
            samples = await kit.record(directory, stop)
        _say(", ".join(f"{segment}: {count} samples" for segment, count in samples.items()) + f" in {directory}")

    return _run(_until_key(take))


async def _until_key(work: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    """Do something until Enter or Ctrl-C asks it to stop."""
    with _keys() as keys:
        stop = asyncio.Event()
        waiting = asyncio.ensure_future(keys.get())
        waiting.add_done_callback(lambda _: stop.set())
        _say("Connecting; Enter or Ctrl-C ends the recording.")
        try:
            await work(stop)
        finally:
            waiting.cancel()


@app.command()
def status(
    data_dir: DataDir = None,
    lines: Annotated[int, typer.Option("--log", min=0, max=5000, metavar="N", help="Show the newest events.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Show how the sensors' links stand and what to do, and what the kit holds; also while the kit runs."""
    from gonio.cli.gateway_status import status_answer, status_lines

    settings = _settings(data_dir=data_dir)
    for line in status_lines(settings.data_dir, lines, settings.keys()):
        _say(line)
    if as_json:
        _say(json.dumps(status_answer(settings.data_dir, lines, settings.keys())))


app.command("serve")(gateway_page.serve)
app.command("phones")(gateway_page.phones)
app.command("enroll")(gateway_identity.enroll)
app.command("doctor")(gateway_identity.doctor)
app.command("wipe")(gateway_identity.wipe)
app.command("check-in")(gateway_reports.check_in)
app.command("void")(gateway_reports.void)
app.command("message")(gateway_reports.message)
app.command("messages")(gateway_reports.messages)
app.command("records")(gateway_reports.records)

# --- terminal --------------------------------------------------------------------------------------------------------

_Key = Literal["enter", "leave"]


@contextmanager
def _keys() -> Iterator[asyncio.Queue[_Key]]:
    """Give what the person at the terminal wants: Enter, or to leave (Ctrl-C, SIGTERM, end of input)."""
    loop = asyncio.get_running_loop()
    keys: asyncio.Queue[_Key] = asyncio.Queue()

    def typed() -> None:
        if sys.stdin.readline():
            keys.put_nowait("enter")
        else:
            loop.remove_reader(sys.stdin)
            keys.put_nowait("leave")

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, keys.put_nowait, "leave")
    try:
        try:
            loop.add_reader(sys.stdin, typed)
        except (OSError, ValueError):  # a file or nothing at all: only signals are left
            _say("There is no keyboard here, so no session can be begun: Ctrl-C or SIGTERM leaves.")
        else:
            _say("Enter begins a session and ends it, Ctrl-C leaves.")
        yield keys
    finally:
        loop.remove_reader(sys.stdin)
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


def _shown(kit: Kit, pose_s: float | None, flexion_deg: float) -> Listener:
    """Show a session as it goes, and begin it with a guided pose where one is wanted."""

    def listen(event: SessionEvent) -> None:
        from gonio.gateway.events import SessionStarted

        if pose_s is None or not isinstance(event, SessionStarted):
            _show(event)
            return
        held = "straight" if flexion_deg == 0 else f"at {flexion_deg:.0f}°"
        _say(f"Both sensors stream. Hold the knee {held} and still for {pose_s:.0f} s, then begin; Enter ends.")
        kit.pose(pose_s, flexion_deg)

    return listen


async def _sessions(kit: Kit, keys: asyncio.Queue[_Key], listener: Listener) -> None:
    from gonio.errors import PeerError

    while True:
        if await keys.get() == "leave":
            return
        session = asyncio.ensure_future(kit.run_session(listener=listener))
        key = asyncio.ensure_future(keys.get())
        try:
            await asyncio.wait({session, key}, return_when=asyncio.FIRST_COMPLETED)
            kit.stop_session()
            finished = await session
        except PeerError as error:
            _say(f"\nno session: {error}")
        else:
            _report(finished)
        finally:
            key.cancel()
            session.cancel()
        if key.done() and not key.cancelled() and key.result() == "leave":
            return


def _show(event: SessionEvent) -> None:
    from gonio.gateway import events

    match event:
        case events.SessionStarted():
            _say("Both sensors stream. Stand still for a moment, then begin; Enter ends.")
        case events.LiveAngle(t_s=t_s, flexion_deg=flexion, reps=reps):
            angle = "  --" if flexion is None else f"{flexion:4.0f}"
            sys.stdout.write(f"\r{t_s:6.1f} s  knee {angle}°  repetitions {reps} ")
            sys.stdout.flush()
        case events.SensorLost(segment=segment, reason=reason):
            _say(f"\nThe {segment} sensor is lost ({reason}); waiting for it.")
        case events.SensorBack(segment=segment):
            _say(f"\nThe {segment} sensor is back.")
        case events.Trouble(text=text):
            _say(f"\n{text}")
        case _:
            pass


def _report(finished: FinishedSession) -> None:
    from gonio.gateway.brief import counted, manner_of

    summary = finished.summary
    largest = "unknown" if summary.max_flexion_deg is None else f"{summary.max_flexion_deg:.0f}°"
    _say(f"\n{summary.exercise}: {counted(summary)}, largest flexion {largest}")
    if (manner := manner_of(summary)) is not None:
        _say(manner)
    if summary.flags:
        _say(f"limits of this result: {', '.join(summary.flags)}")
    if finished.envelope is None:
        _say("The disk did not take the session: it is in memory only. Free some space before you leave.")


async def _last_send(kit: Kit) -> None:
    if not await kit.uplink.drain(LAST_SEND_S):
        reason = kit.uplink.status.reason or kit.uplink.status.trouble or "the clinic does not answer"
        _say(f"{kit.store.counts().pending} record(s) wait for the clinic ({reason}); they go at the next start.")
