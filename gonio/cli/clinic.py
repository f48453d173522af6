"""``gonio clinic``: patients, and which kit is whose."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from gonio.cli import clinic_down
from gonio.cli.operator import operator
from gonio.errors import UsageError

if TYPE_CHECKING:
    from gonio.cloud_sink.store import Store

app = typer.Typer(help="Patients of the clinic, which kit is whose, and what is sent to kits.", no_args_is_help=True)
patient = typer.Typer(help="Patients.", no_args_is_help=True)
kit = typer.Typer(help="Kits.", no_args_is_help=True)
app.add_typer(patient, name="patient")
app.add_typer(kit, name="kit")
clinic_down.add_to(app)

StoreUrl = Annotated[
    str,
    typer.Option(
        "--store", metavar="URL", help="The clinic's book: sqlite:///path/to/file or postgresql://user@host/database."
    ),
]
KitId = Annotated[str, typer.Argument(metavar="KIT", help="The kit's id.")]


class SideName(StrEnum):
    """The treated knee."""

    LEFT = "left"
    RIGHT = "right"


@patient.command("add")
def add_patient(
    name: Annotated[str, typer.Argument(metavar="NAME")],
    store: StoreUrl,
    time_zone: Annotated[
        str, typer.Option(metavar="ZONE", help="Where the patient lives, as America/Chicago: decides a session's date.")
    ],
) -> None:
    """Enter a patient; prints the patient's id as the last line."""
    with _open(store) as book:
        typer.echo(str(book.add_patient(name, time_zone)))


@patient.command("list")
def list_patients(store: StoreUrl) -> None:
    """List all patients: id, time zone, sessions, name."""
    with _open(store, create=False) as book:
        rows = book.patients()
    if not rows:
        typer.echo("no patients yet: enter one with `gonio clinic patient add`")
    else:
        typer.echo(f"{'id':<36}  {'time zone':<24} {'sessions':>8}  name")
        for row in rows:
            typer.echo(f"{row.patient_id}  {row.time_zone:<24} {row.sessions:>8}  {row.name}")


@kit.command("bind")
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


@kit.command("unbind")
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
