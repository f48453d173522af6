"""``gonio demo``: the whole system in one command."""

import asyncio
import json
import logging
import os
import shutil
import signal
import sys
import tempfile
import webbrowser
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gonio.cli.names import EXERCISE_NAMES
from gonio.errors import UsageError

if TYPE_CHECKING:
    from gonio.demo.display import Display
    from gonio.demo.result import DemoResult
    from gonio.demo.run import DemoOptions

_SIMULATED = " SIMULATED: the leg and its sensors are made up; the Bluetooth stack, broker, kit and clinic are real. "
_RECORDED = " RECORDING PLAYED BACK: a real person moved; the sensors are virtual; the rest of the system is real. "


def demo(
    recording: Annotated[
        Path | None, typer.Option(help="Play this recording through the virtual sensors.", show_default="simulated leg")
    ] = None,
    device: Annotated[str, typer.Option(help="Family of the virtual sensors; see `gonio devices`.")] = "movella_dot",
    exercise: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="What the simulated leg does. With a recording: what to tell the kit; otherwise it finds out. "
            f"One of: {EXERCISE_NAMES}.",
            show_default="heel-slide",
        ),
    ] = None,
    seconds: Annotated[float, typer.Option(min=1, max=3600, help="How long the simulated leg moves, s.")] = 60.0,
    speed: Annotated[float, typer.Option(min=0.1, max=20, help="Seconds of motion per real second.")] = 1.0,
    as_json: Annotated[
        bool, typer.Option("--json", help="Leave when done, with one JSON object as the last line of stdout.")
    ] = False,
    data_dir: Annotated[
        Path | None,
        typer.Option(help="Keep the data of kit and clinic here, and go on from them.", show_default="a new folder"),
    ] = None,
    browser: Annotated[bool, typer.Option(help="Open the review page when the exercise is done.")] = True,
    seed: Annotated[int, typer.Option(min=0, help="Another seed is another leg, doing it differently.")] = 1,
) -> None:
    """Run the whole system: two virtual sensors, kit, broker, clinic, review pages.

    A simulated leg stands, takes its posture and exercises; or a recording moves the sensors. The kit finds them over
    Bluetooth, computes the knee's angle, counts repetitions, and hands a summary to the clinic. At the end what was
    counted stands beside what was true, and the pages stay up until Ctrl-C. Ctrl-C before that ends the exercise
    early; what was completed is kept.
    """
    from gonio.demo.display import Display
    from gonio.demo.run import DemoOptions
    from gonio.demo.scene import recorded_leg, simulated_leg
    from gonio.firmware_profiles import get_profile

    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
    profile = get_profile(device)
    if recording is None:
        exercise = exercise or "heel-slide"
        motion = simulated_leg(exercise, seconds, "right", seed)
    else:
        motion = recorded_leg(recording)
    open_page = webbrowser.open if browser and not as_json and _has_screen() else _leave_closed
    with _folder(data_dir) as folder:
        options = DemoOptions(
            motion=motion,
            source="simulated" if recording is None else recording.resolve().name,
            family=profile.family,
            exercise=exercise,
            data_dir=folder,
            speed=speed,
            seed=seed,
            stay=not as_json,
        )
        with Display(banner=_SIMULATED if recording is None else _RECORDED, knee=profile.gyro) as display:
            result = asyncio.run(_until_told(options, display, open_page))
        if result.records_clinic < result.records_kit:
            raise UsageError(f"the clinic lacks records that the kit keeps: go on with --data-dir {folder}")
    if as_json:
        sys.stdout.write(json.dumps(result.as_json()) + "\n")


async def _until_told(options: "DemoOptions", display: "Display", open_page: Callable[[str], object]) -> "DemoResult":
    """Run the demo; the first Ctrl-C ends the exercise and what follows it, a second one is not waited for."""
    from gonio.demo.run import run_demo

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def told() -> None:
        stop.set()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, told)
    return await run_demo(options, display, stop, open_page=open_page)


@contextmanager
def _folder(given: Path | None) -> Iterator[Path]:
    """Give the data's folder: the given one, or a new one that goes when all in it has reached the clinic."""
    folder = given or Path(tempfile.mkdtemp(prefix="gonio-demo-"))
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except FileExistsError as error:
        raise UsageError(f"{folder} is a file, not a folder: name another --data-dir") from error
    except OSError as error:
        raise UsageError(f"cannot keep data in {folder} ({error.strerror}): name another --data-dir") from error
    try:
        yield folder
    except BaseException:
        if given is None:
            typer.echo(f"The data of this run is kept in {folder}; go on with --data-dir {folder}", err=True)
        raise
    if given is None:
        shutil.rmtree(folder, ignore_errors=True)


def _has_screen() -> bool:
    """Tell whether a browser would have a screen; a text browser must not take over the terminal."""
    return sys.stdout.isatty() and bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _leave_closed(_address: str) -> None:
    pass
