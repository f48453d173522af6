"""``gonio clinic kit``: kits from the box to the patient: claim codes, keys, who has which."""

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from gonio.cli.operator import operator
from gonio.cli.options import ClinicDir, KitId, StoreUrl
from gonio.errors import UsageError

if TYPE_CHECKING:
    from gonio.cloud_sink.enrolment.desk import Box
    from gonio.cloud_sink.store import Store

app = typer.Typer(help="Kits: claim codes, keys, and which kit is whose.", no_args_is_help=True)

Server = Annotated[
    str,
    typer.Option(
        metavar="URL", envvar="GONIO_ENROLMENT", help="Where kits enrol: https://host:8610 (GONIO_ENROLMENT)."
    ),
]
Hours = Annotated[float, typer.Option(min=0.1, max=336, help="How long the code counts, hours; at most 14 days.")]
Svg = Annotated[Path | None, typer.Option(metavar="FILE", help="Write the QR code as an SVG picture, too.")]


class SideName(StrEnum):
    """The treated knee."""

    LEFT = "left"
    RIGHT = "right"


@app.command("add")
def add(
    store: StoreUrl,
    server: Server,
    label: Annotated[str, typer.Option(help="What stands on the box.")] = "",
    serial: Annotated[str, typer.Option(help="The maker's number.")] = "",
    hours: Hours = 24.0,
    svg: Svg = None,
    clinic_dir: ClinicDir = None,
) -> None:
    """Enter a box, and show the claim code by which its kit becomes the clinic's.

    The code counts once and is kept nowhere: print it, or scan it from the screen. On the kit:

        gonio gateway enroll "THE LINE BELOW THE PICTURE"
    """
    with _open(store) as book:
        box = book.enrolment.add_box(label, serial, life=timedelta(hours=hours))
    typer.echo(f"box {box.item_id}")
    _show(box, server, clinic_dir, svg)


@app.command("claim")
def claim(
    item_id: Annotated[UUID, typer.Argument(metavar="BOX", help="The box, as `add` printed it.")],
    store: StoreUrl,
    server: Server,
    hours: Hours = 24.0,
    svg: Svg = None,
    clinic_dir: ClinicDir = None,
) -> None:
    """Show a new claim code for a box; older ones of it that were not used count no more."""
    with _open(store, create=False) as book:
        box = book.enrolment.new_code(item_id, life=timedelta(hours=hours))
    _show(box, server, clinic_dir, svg)


@app.command("keys")
def keys(kit_id: KitId, store: StoreUrl) -> None:
    """List a kit's keys, the newest first, with their certificates' dates."""
    with _open(store, create=False) as book:
        found = book.enrolment.keys(kit_id)
    if not found:
        typer.echo(f"{kit_id} is not enrolled: `gonio clinic kit add` gives its box a claim code")
    for one in found:
        until = "no certificate yet" if one.not_after is None else f"certificate to {one.not_after.date()}"
        ended = "" if one.ended_at is None else f" since {one.ended_at:%Y-%m-%d %H:%M} UTC"
        reason = f": {one.reason}" if one.reason else ""
        typer.echo(f"{one.key_id}  {one.state}{ended}  {until}{reason}")


@app.command("revoke")
def revoke(
    kit_id: KitId,
    store: StoreUrl,
    reason: Annotated[str, typer.Option(help="Why, for the audit log: lost, stolen, sold, ...")],
) -> None:
    """Let nothing of a kit count any more: broker and sink refuse it within a minute."""
    with _open(store, create=False) as book:
        ended = book.enrolment.revoke(kit_id, reason)
    if not ended:
        raise UsageError(f"{kit_id} has no key that counts: is it this kit's id?")
    typer.echo(f"{kit_id}: {len(ended)} key{'s' if len(ended) > 1 else ''} revoked")


@app.command("request")
def request(kit_id: KitId, store: StoreUrl) -> None:
    """Print a kit's certificate request, for an authority outside to sign."""
    with _open(store, create=False) as book:
        waiting = [one for one in book.enrolment.keys(kit_id) if one.certificate is None and one.request]
    if not waiting or waiting[0].request is None:
        raise UsageError(f"{kit_id} waits for no certificate")
    typer.echo(waiting[0].request.rstrip())


@app.command("certificate")
def certificate(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The certificate that the authority issued, PEM.")],
    store: StoreUrl,
    clinic_dir: ClinicDir = None,
) -> None:
    """Enter a certificate that an authority outside has issued: the kit that waits for it gets it."""
    from gonio.cloud_sink.clinic_folder import ClinicFolder
    from gonio.identity.certificates import Certificate

    try:
        read = Certificate.read(file.read_bytes())
    except OSError as error:
        raise UsageError(f"{file} cannot be read ({error.strerror})") from error
    with _open(store, create=False) as book:
        kit_id = book.enrolment.put_certificate(read, ClinicFolder.usual(clinic_dir).authority_certificate())
    typer.echo(f"{kit_id} gets its certificate when it asks next")


@app.command("bind")
def bind_kit(
    kit_id: KitId,
    patient_id: Annotated[UUID, typer.Argument(metavar="PATIENT", help="The patient's id.")],
    store: StoreUrl,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="From when on, ISO 8601 with offset; now if not given.")
    ] = None,
    side: Annotated[SideName | None, typer.Option(help="The treated knee.")] = None,
) -> None:
    """Give a kit to a patient; whoever had it before has it until then."""
    with _open(store) as book:
        moment = _moment(since)
        book.bind_kit(kit_id, patient_id, since=moment, side=side.value if side else None)
    typer.echo(f"{kit_id} belongs to patient {patient_id} from {moment.isoformat(timespec='seconds')} on")


@app.command("unbind")
def unbind_kit(
    kit_id: KitId,
    store: StoreUrl,
    at: Annotated[
        str | None, typer.Option(metavar="TIME", help="From when on, ISO 8601 with offset; now if not given.")
    ] = None,
) -> None:
    """Take a kit back: what it captures from then on belongs to nobody."""
    with _open(store, create=False) as book:
        moment = _moment(at)
        book.unbind_kit(kit_id, at=moment)
    typer.echo(f"{kit_id} belongs to nobody from {moment.isoformat(timespec='seconds')} on")


def _show(box: "Box", server: str, clinic_dir: Path | None, svg: Path | None) -> None:
    import sys

    import segno

    from gonio.cloud_sink.clinic_folder import ClinicFolder
    from gonio.identity.authority import fingerprint_of
    from gonio.identity.claim import ClaimTicket, grouped

    authority = ClinicFolder.usual(clinic_dir).authority_certificate()
    # read back, so that an address that no kit could use is told now
    ticket = ClaimTicket.parse(str(ClaimTicket(box.code, server.rstrip("/"), fingerprint_of(authority))))
    picture = segno.make(str(ticket), error="m")
    picture.terminal(out=sys.stdout, compact=True)
    if svg is not None:
        try:
            picture.save(str(svg), kind="svg", scale=4, title="gonio claim code")
        except OSError as error:
            raise UsageError(f"{svg} cannot be written ({error.strerror})") from error
    typer.echo(f"code {grouped(box.code)}, counts once, until {box.expires_at:%Y-%m-%d %H:%M} UTC")
    typer.echo(str(ticket))


def _open(store: str, *, create: bool = True) -> "Store":
    from gonio.cloud_sink.store import open_store

    return open_store(store, create=create, actor=operator())


def _moment(text: str | None) -> datetime:
    if text is None:
        return datetime.now(UTC)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"{text!r} is no time: write 2026-03-02T08:00:00-06:00") from error
    if moment.tzinfo is None:
        raise UsageError(f"{text!r} lacks its UTC offset: write 2026-03-02T08:00:00-06:00")
    return moment
