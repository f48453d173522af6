"""``gonio gateway enroll``, ``doctor`` and ``wipe``: whose the kit is, how it stands, and how it forgets."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from gonio.gateway.settings import KitSettings
    from gonio.identity.claim import ClaimTicket

DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", help="Where the kit keeps its data [GONIO_KIT_DATA_DIR].", show_default=False),
]


def enroll(
    ticket: Annotated[
        str | None,
        typer.Argument(metavar="TICKET", help="The whole line that the clinic printed, in quotes.", show_default=False),
    ] = None,
    code: Annotated[
        str | None, typer.Option("--code", metavar="CODE", help="Only the claim code, typed.", show_default=False)
    ] = None,
    server: Annotated[
        str | None,
        typer.Option("--server", metavar="URL", help="Then: the clinic's https://host:8610.", show_default=False),
    ] = None,
    authority: Annotated[
        str | None,
        typer.Option(
            "--authority",
            metavar="FILE|FINGERPRINT",
            help="Then: the certificate of the clinic's authority, or its fingerprint.",
            show_default=False,
        ),
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Let the clinic that a claim code is of have this kit; run again, it goes on where it was cut short."""
    from gonio.gateway.enrolment import enrol

    settings = _settings(data_dir)
    claim = _ticket(ticket, code, server, authority)
    try:
        enrolment = enrol(settings.data_dir, settings.keys(), claim, say=_say)
    except KeyboardInterrupt:
        _say("Stopped; run it again with the same code to go on.")
        raise typer.Exit(130) from None
    _say(f"Enrolled: {enrolment.kit_id} sends to {enrolment.broker}. The clinic now gives it to a patient.")


def doctor(
    data_dir: DataDir = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object as the last line.")] = False,
) -> None:
    """Look at everything that a kit needs, and say what to do; ends 1 where something is wrong."""
    from gonio.gateway.doctor import examine

    found = examine(_settings(data_dir))
    for one in found:
        _say(f"{'ok  ' if one.state == 'ok' else one.state.upper():7}  {one.subject}: {one.says}")
        if one.to_do:
            _say(f"         what to do: {one.to_do}")
    wrong = any(one.state == "wrong" for one in found)
    if as_json:
        _say(json.dumps({"ok": not wrong, "findings": [one.as_dict() for one in found]}))
    if wrong:
        raise typer.Exit(1)


def wipe(
    decommission: Annotated[
        bool, typer.Option("--decommission", help="Also forget who the kit is: its name, key and certificate.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Erase everything of the patient, also what was not sent; the clinic is not told, its own wipe tells it."""
    from gonio.gateway.orders import wipe_here

    settings = _settings(data_dir)
    if not yes:
        typer.confirm(f"Erase all that the kit in {settings.data_dir} holds, also what was not sent?", abort=True)
    wipe_here(settings.data_dir, settings.keys(), decommission=decommission)
    _say("Erased. Recordings that were copied elsewhere are not the kit's to erase.")


def _ticket(ticket: str | None, code: str | None, server: str | None, authority: str | None) -> ClaimTicket:
    """Read what was typed.

    Raises:
        UsageError: it is neither a ticket nor a code with where to go and whom to trust.
    """
    from gonio.errors import UsageError
    from gonio.identity.claim import ClaimTicket, grouped, plain

    if ticket is not None and code is None and server is None and authority is None:
        return ClaimTicket.parse(ticket)
    if ticket is not None or code is None or server is None or authority is None:
        raise UsageError("give the whole line that the clinic printed, or --code with --server and --authority")
    return ClaimTicket.parse(f"{server.rstrip('/')}/#claim={grouped(plain(code))}&authority={_fingerprint(authority)}")


def _fingerprint(authority: str) -> str:
    from gonio.errors import UsageError
    from gonio.identity.authority import fingerprint_of
    from gonio.identity.certificates import Certificate

    typed = authority.replace(":", "").replace(" ", "").lower()
    if len(typed) == 32 and set(typed) <= set("0123456789abcdef"):  # noqa: PLR2004 - see fingerprint_of
        return typed
    try:
        return fingerprint_of(Certificate.read(Path(authority).read_bytes()))
    except OSError as error:
        raise UsageError(
            f"--authority is neither a fingerprint (32 hexadecimal digits) nor a file that can be read "
            f"({error.strerror})"
        ) from error


def _settings(data_dir: Path | None) -> KitSettings:
    from gonio.gateway.settings import KitSettings

    return KitSettings.load(data_dir=data_dir)


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
