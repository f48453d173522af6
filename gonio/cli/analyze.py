"""``gonio analyze``: what the signal chain makes of a recording."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path  # noqa: TC003 - typer reads the types when the command runs
from typing import TYPE_CHECKING, Annotated, Final, Literal

import typer

from gonio.cli.names import EXERCISE_NAMES
from gonio.errors import UsageError

if TYPE_CHECKING:
    from gonio.cli.analysis import Pose, Question
    from gonio.signal.knee.stored import StoredCalibration
    from gonio.signal.reps.goal import Goal, Template

#: Recordings with more samples than this show how far they are.
_LONG: Final = 20_000
_POSE_PARTS: Final = (2, 3)  # from, to, and the flexion where it is not straight

_EXERCISE_HELP: Final = f"The exercise done, or none; left out, it is recognised. One of: {EXERCISE_NAMES}."


def analyze(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of the recording.")],
    *,
    exercise: Annotated[str | None, typer.Option(metavar="NAME", help=_EXERCISE_HELP)] = None,
    program: Annotated[
        str | None, typer.Option(metavar="A,B", help="Recognise one among these; left out, among all.")
    ] = None,
    side: Annotated[str | None, typer.Option(help="left or right; left out, the recording's.")] = None,
    goal_flexion: Annotated[
        float | None, typer.Option(metavar="DEG", help="Target: each to be bent to at least this.")
    ] = None,
    goal_extension: Annotated[
        float | None, typer.Option(metavar="DEG", help="Target: each to be straightened to at most this.")
    ] = None,
    goal_height: Annotated[
        float | None, typer.Option(metavar="DEG", help="Target: the leg to be raised by at least this.")
    ] = None,
    hold: Annotated[float | None, typer.Option(metavar="S", help="Target: each to be held at least this long.")] = None,
    template: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="A recording of one guided repetition of this patient, to go by."),
    ] = None,
    pose: Annotated[
        str | None,
        typer.Option(
            metavar="START,END[,DEG]",
            help="From START to END (s) the knee is held at DEG of flexion (0 when left out).",
        ),
    ] = None,
    calibration: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Begin with a calibration that --save-calibration wrote.")
    ] = None,
    save_calibration: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the calibration found, for the same sensors next time.")
    ] = None,
    angle: Annotated[Path | None, typer.Option(help="Write t_s,knee_flexion_deg,ok to this file.")] = None,
    chunk: Annotated[int, typer.Option(min=1, help="Samples fed at once; the outcome is the same for any.")] = 64,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")] = False,
) -> None:
    """Lead a recording through the signal chain and tell what was done."""
    # --help needs none of these, and numbers and filters load slowly
    from rich.console import Console
    from rich.progress import Progress

    from gonio.cli.analysis import Question, analyse, report, write_angle
    from gonio.cli.analysis_table import show
    from gonio.recording import read
    from gonio.signal.reps.goal import Goal

    question = Question(
        exercise=None if exercise is None else _known("--exercise", exercise, also_none=True),
        side=_side(side),
        goal=_goal(goal_flexion, goal_extension, goal_height, hold),
        program=tuple(_known("--program", name.strip()) for name in program.split(",")) if program else (),
        stored=None if calibration is None else _read_calibration(calibration),
        pose=None if pose is None else _pose(pose),
    )
    if template is not None:
        guided = _template(template, question, chunk)
        question = replace(question, goal=replace(question.goal or Goal(), template=guided))
    recording = read(directory)
    if side is None:
        question = replace(question, side=recording.meta.side)
    total = len(recording.thigh) + len(recording.shank)
    console = Console(stderr=True)
    quiet = total < _LONG or not console.is_terminal
    with Progress(console=console, transient=True, disable=quiet) as progress:
        task = progress.add_task("analysing", total=total)
        analysis = analyse(recording, question, size=chunk, advance=lambda done: progress.advance(task, done))
    if angle is not None:
        write_angle(angle, analysis.angle)
    if as_json:
        typer.echo(json.dumps(report(analysis.result), allow_nan=False))
    else:
        show(analysis.result, Console(highlight=False))
    if save_calibration is not None:
        _write_calibration(save_calibration, analysis.result.calibration)


def _known(option: str, name: str, *, also_none: bool = False) -> str:
    from gonio.signal.consts import EXERCISES, NO_EXERCISE

    known = (*EXERCISES, NO_EXERCISE) if also_none else EXERCISES
    if name not in known:
        raise UsageError(f"{option} {name!r} is not known; known are {', '.join(known)}")
    return name


def _side(text: str | None) -> Literal["left", "right"] | None:
    match text:
        case None | "left" | "right":
            return text
        case _:
            raise UsageError(f"--side must be left or right, not {text!r}")


def _goal(flexion: float | None, extension: float | None, height: float | None, hold_s: float | None) -> Goal | None:
    from gonio.signal.reps.goal import Goal

    angles = {"--goal-flexion": flexion, "--goal-extension": extension, "--goal-height": height}
    for option, value in angles.items():
        if value is not None and not -30 <= value <= 180:  # noqa: PLR2004 - degrees; also refuses nan
            raise UsageError(f"{option} must be an angle of -30 to 180 degrees, not {value:g}")
    if hold_s is not None and not 0 < hold_s <= 600:  # noqa: PLR2004 - seconds
        raise UsageError(f"--hold must be a time of up to 600 s, not {hold_s:g}")
    bent, straight, raised = (None if value is None else math.radians(value) for value in angles.values())
    goal = Goal(flexion=bent, extension=straight, height=raised, hold_s=hold_s)
    return None if goal == Goal() else goal


def _template(directory: Path, question: Question, chunk: int) -> Template:
    from gonio.cli.analysis import analyse
    from gonio.recording import read
    from gonio.signal.reps.goal import template_of

    reps = [rep for rep in analyse(read(directory), question, size=chunk).result.reps if rep.measured]
    if not reps:
        raise UsageError(f"no repetition was found in the template {directory}; name its --exercise, or record it anew")
    return template_of(max(reps, key=lambda rep: rep.rom))


def _pose(text: str) -> Pose:
    from gonio.cli.analysis import Pose

    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = []
    if len(values) not in _POSE_PARTS or not all(map(math.isfinite, values)) or not values[0] < values[1]:
        raise UsageError(f"--pose wants START,END or START,END,DEG with START before END, not {text!r}")
    return Pose(values[0], values[1], math.radians(values[2]) if len(values) > 2 else 0.0)  # noqa: PLR2004 - the third


def _read_calibration(path: Path) -> StoredCalibration:
    from gonio.gateway.calibrations import read_calibration

    try:
        return read_calibration(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise UsageError(f"{path} is no calibration that --save-calibration wrote") from error


def _write_calibration(path: Path, found: StoredCalibration | None) -> None:
    from gonio.gateway.calibrations import calibration_text

    if found is None:
        raise UsageError(f"no calibration worth keeping was found, so {path} was not written")
    try:
        path.write_text(calibration_text(found) + "\n", encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from error
