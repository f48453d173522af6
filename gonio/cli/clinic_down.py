"""``gonio clinic message|program|command|down``: what the clinic sends to a kit, and what became of it."""

import getpass
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from gonio.cli.options import KitId, StoreUrl
from gonio.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from gonio.messages import DownPayload

message = typer.Typer(help="Messages to patients.", no_args_is_help=True)
program = typer.Typer(help="What is prescribed.", no_args_is_help=True)
command = typer.Typer(help="What a kit is told to do.", no_args_is_help=True)
down = typer.Typer(help="What was sent to kits.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    """Add these commands to ``gonio clinic``."""
    for name, sub in (("message", message), ("program", program), ("command", command), ("down", down)):
        app.add_typer(sub, name=name)


@message.command("send")
def send_message(
    kit_id: KitId,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="1 to 4000 characters.")],
    store: StoreUrl,
    sender: Annotated[
        str, typer.Option(metavar="NAME", help="As the patient knows the sender.")
    ] = "Your physiotherapist",
    answers: Annotated[
        UUID | None, typer.Option(metavar="RECORD", help="The patient's message that it answers.")
    ] = None,
) -> None:
    """Send a message to the patient who has a kit; prints its id as the last line."""
    from gonio.messages import ClinicMessage

    _send(store, kit_id, lambda: ClinicMessage(text=text, sender=sender, answers=answers))


@program.command("set")
def set_program(
    kit_id: KitId,
    file: Annotated[
        Path, typer.Argument(metavar="FILE.yaml", help="Its fields: program_id, version, valid_from, exercises.")
    ],
    store: StoreUrl,
) -> None:
    """Prescribe a program in place of the one before; prints the record's id as the last line."""
    from gonio.messages import Program

    read = _read_yaml(file)
    _send(store, kit_id, lambda: Program.model_validate(read))


def _read_yaml(file: Path) -> object:
    """Read a file in which 08:00 is a time and 2026-03-02 a date: YAML 1.1 would make the first a number, 480."""
    import re

    import yaml

    class Loader(yaml.SafeLoader):
        pass

    Loader.yaml_implicit_resolvers = {}  # only those below
    words = {"bool": r"true|false", "int": r"[-+]?[0-9]+", "float": r"[-+]?[0-9]*\.[0-9]+", "null": r"~|null|"}
    for name, pattern in words.items():
        Loader.add_implicit_resolver(f"tag:yaml.org,2002:{name}", re.compile(f"^(?:{pattern})$"), None)
    try:
        return yaml.load(file.read_text(encoding="utf-8"), Loader)  # noqa: S506 - a SafeLoader
    except OSError as error:
        raise UsageError(f"{file} cannot be read ({error.strerror})") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"{file} is no YAML: {str(error).splitlines()[0]}") from error


@command.command("identify")
def identify(kit_id: KitId, store: StoreUrl) -> None:
    """Let a kit show which one it is; prints the record's id as the last line."""
    from gonio.messages import Identify

    _send(store, kit_id, lambda: Identify(do="identify"))


@command.command("capture")
def capture(
    kit_id: KitId,
    store: StoreUrl,
    seconds: Annotated[float, typer.Option(metavar="S", help="How long, up to 3600.")] = 60.0,
) -> None:
    """Ask a kit for raw motion, for a clinician who wants to look; prints the record's id as the last line."""
    from gonio.messages import Capture

    _send(store, kit_id, lambda: Capture(do="capture", duration_s=seconds))


@command.command("sensors")
def sensors(
    kit_id: KitId,
    store: StoreUrl,
    thigh: Annotated[str, typer.Option("--thigh", metavar="ADDRESS", help="The sensor for the thigh.")],
    shank: Annotated[str, typer.Option("--shank", metavar="ADDRESS", help="The sensor for the shank.")],
) -> None:
    """Name the sensors that a kit may use, and no others; a swapped one is a new list. Prints the record's id last."""
    from gonio.messages import AllowSensors

    _send(store, kit_id, lambda: AllowSensors(do="sensors", thigh=thigh, shank=shank))


@command.command("rotate-credentials")
def rotate_credentials(kit_id: KitId, store: StoreUrl) -> None:
    """Let a kit make a new key and get a certificate for it; prints the record's id as the last line."""
    from gonio.messages import RotateCredentials

    _send(store, kit_id, lambda: RotateCredentials(do="rotate-credentials"))


@command.command("wipe")
def wipe(
    kit_id: KitId,
    store: StoreUrl,
    at_once: Annotated[bool, typer.Option("--at-once", help="Also what it has not sent: the kit is lost.")] = False,
    decommission: Annotated[
        bool, typer.Option("--decommission", help="It also forgets who it is, and can be claimed anew.")
    ] = False,
) -> None:
    """Let a kit forget its patient; it says when it has, see 'down list'. Prints the record's id as the last line."""
    from gonio.messages import Wipe

    _send(store, kit_id, lambda: Wipe(do="wipe", at_once=at_once, decommission=decommission))


@command.command("resend")
def resend(
    kit_id: KitId,
    outbox_id: Annotated[UUID, typer.Argument(metavar="OUTBOX", help="As gonio sink audit names it.")],
    first: Annotated[int, typer.Argument(metavar="FIRST", help="The first sequence.")],
    last: Annotated[int, typer.Argument(metavar="LAST", help="The last, inclusive.")],
    store: StoreUrl,
) -> None:
    """Ask a kit for records again; what is in the book already is not stored twice."""
    from gonio.messages import Resend

    _send(store, kit_id, lambda: Resend(do="resend", outbox_id=outbox_id, first=first, last=last))


@down.command("list")
def list_down(kit_id: KitId, store: StoreUrl) -> None:
    """List what was sent to a kit, oldest first, and how far each has come."""
    from gonio.cloud_sink.store import open_store

    with open_store(store, create=False) as book:
        rows = book.down.rows(kit_id)
    if not rows:
        typer.echo(f"nothing was sent to {kit_id} yet")
    for row in rows:
        one = row.envelope
        typer.echo(
            f"{one.record_id}  {one.created_at[:19]}  {one.kind.value:<8} {row.state.value:<9} sent {row.times}x"
        )
        if row.reason:
            typer.echo(f"  refused by the kit: {row.reason}")


def _send(store: str, kit_id: str, make: "Callable[[], DownPayload]") -> None:
    from pydantic import ValidationError

    from gonio.cloud_sink.store import open_store
    from gonio.messages import reason_of

    try:
        payload = make()
    except ValidationError as error:
        raise UsageError(f"it cannot be sent: {reason_of(error)}") from error
    with open_store(store, create=False) as book:
        sent = book.down.send(kit_id, payload, actor=f"operator:{_login()}")
    typer.echo(f"it goes to {kit_id} as soon as a worker (gonio sink run) and the kit are connected")
    typer.echo(str(sent.record_id))


def _login() -> str:
    try:
        return getpass.getuser()[:100]  # the audit log's bound for an actor
    except (KeyError, OSError):  # a container's user may have no name
        return str(os.getuid())
