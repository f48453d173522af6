"""``gonio analyze``: what the signal chain makes of a recording."""

import json
from pathlib import Path
from typing import Annotated, Final, Literal

import typer

from gonio.errors import UsageError

#: Recordings with more samples than this show how far they are.
_LONG: Final = 20_000


def _side(text: str | None, recorded: Literal["left", "right"] | None) -> Literal["left", "right"] | None:
    match text:
        case None:
            return recorded
        case "left":
            return "left"
        case "right":
            return "right"
        case _:
            raise UsageError(f"--side must be left or right, not {text!r}")


def analyze(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of the recording.")],
    *,
    exercise: Annotated[str | None, typer.Option(help="The exercise done; left out, it is recognised.")] = None,
    side: Annotated[str | None, typer.Option(help="left or right; left out, the recording's.")] = None,
    angle: Annotated[Path | None, typer.Option(help="Write t_s,knee_flexion_deg,ok to this file.")] = None,
    chunk: Annotated[int, typer.Option(min=1, help="Samples fed at once; the outcome is the same for any.")] = 64,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")] = False,
) -> None:
    """Lead a recording through the signal chain and tell what was done."""
    # --help needs none of these, and numbers and filters load slowly
    from rich.console import Console
    from rich.progress import Progress

    from gonio.cli.analysis import analyse, report, show, write_angle
    from gonio.recording import read
    from gonio.signal.consts import EXERCISES, NO_EXERCISE

    known = (*EXERCISES, NO_EXERCISE)
    if exercise is not None and exercise not in known:
        raise UsageError(f"--exercise {exercise!r} is not known; known are {', '.join(known)}")
    recording = read(directory)
    leg = _side(side, recording.meta.side)
    total = len(recording.thigh) + len(recording.shank)
    console = Console(stderr=True)
    quiet = total < _LONG or not console.is_terminal
    with Progress(console=console, transient=True, disable=quiet) as progress:
        task = progress.add_task("analysing", total=total)
        analysis = analyse(
            recording,
            exercise=exercise,
            side=leg,
            size=chunk,
            advance=lambda done: progress.advance(task, done),
        )
    if angle is not None:
        write_angle(angle, analysis.angle)
    if as_json:
        typer.echo(json.dumps(report(analysis.result), allow_nan=False))
    else:
        show(analysis)
