"""The ``gonio`` command: each group of subcommands lives in a module of its own beside this one."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from gonio import __version__
from gonio.cli import analyze, billing, clinic, decode, demo, devices, gateway, profile, review, simulate, sink
from gonio.errors import GonioError

app = typer.Typer(
    name="gonio",
    help="Remote therapeutic monitoring of the knee, from two Bluetooth sensors to the therapist's page.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",  # flows the lines of a paragraph to the width of the terminal
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(show: bool) -> None:
    if show:
        typer.echo(f"gonio {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    _show_version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and leave.")
    ] = False,
    profiles: Annotated[
        Path | None,
        typer.Option("--profiles", metavar="DIR", envvar="GONIO_PROFILES", help="Folder with more sensors' profiles."),
    ] = None,
) -> None:
    if profiles is not None:  # a variable, so that processes that this one starts know it too
        os.environ["GONIO_PROFILES"] = str(profiles)


app.command()(demo.demo)
app.command()(analyze.analyze)
app.command()(decode.decode)
app.command()(devices.devices)
app.add_typer(profile.app, name="profile")
app.add_typer(simulate.app, name="simulate")
app.add_typer(gateway.app, name="gateway")
app.add_typer(sink.app, name="sink")
app.add_typer(clinic.app, name="clinic")
app.add_typer(review.app, name="review")
app.add_typer(billing.app, name="billing")


def main() -> None:
    """Run the command; an error of ours is a sentence on stderr and exit status 1, never a traceback."""
    try:
        app()
    except GonioError as error:
        # as Text: what stands in brackets, as it may in a path, is no markup
        Console(stderr=True).print(Text("gonio: ", style="bold red") + Text(str(error)), soft_wrap=True)
        sys.exit(1)
