"""``gonio clinic``: patients, kits, the authority, and what is sent to kits."""

from typing import TYPE_CHECKING, Annotated

import typer

from gonio.cli import (
    clinic_authority,
    clinic_broker,
    clinic_down,
    clinic_enrolment,
    clinic_kit,
    clinic_stock,
    clinic_user,
)
from gonio.cli.operator import operator
from gonio.cli.options import StoreUrl

if TYPE_CHECKING:
    from gonio.cloud_sink.store import Store

app = typer.Typer(help="Patients of the clinic, which kit is whose, and what is sent to kits.", no_args_is_help=True)
patient = typer.Typer(help="Patients.", no_args_is_help=True)
app.add_typer(patient, name="patient")
app.add_typer(clinic_kit.app, name="kit")
app.add_typer(clinic_stock.app, name="stock")
app.add_typer(clinic_authority.app, name="authority")
app.add_typer(clinic_enrolment.app, name="enrolment")
app.command("broker")(clinic_broker.broker)
clinic_down.add_to(app)
clinic_user.add_to(app)


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


def _open(store: str, *, create: bool = True) -> "Store":
    from gonio.cloud_sink.store import open_store

    return open_store(store, create=create, actor=operator())
