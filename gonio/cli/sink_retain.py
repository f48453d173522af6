"""``gonio sink retain``: remove what is older than the clinic has to keep."""

import getpass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from gonio.errors import UsageError

if TYPE_CHECKING:
    from gonio.cloud_sink.retention import Expired

#: As ``gonio.cloud_sink.retention`` has them: that module takes a second to load, which --help does not need.
LEAST_YEARS = 6
USUAL_YEARS = 7


def retain(
    store: Annotated[
        str, typer.Option("--store", metavar="URL", help="The clinic's book: sqlite:///path or postgresql://...")
    ],
    years: Annotated[
        int, typer.Option(help=f"Keep what was received in the last so many years; at least {LEAST_YEARS}.")
    ] = USUAL_YEARS,
    remove: Annotated[bool, typer.Option("--remove", help="Remove it; without this, only say what would go.")] = False,
) -> None:
    """Remove records, with all that derives from them, that are older than the clinic has to keep.

    HIPAA asks for six years, Medicare for seven, some states for more: ask before you shorten it. Make a backup first
    (gonio sink backup). The audit log and the proof that nothing is missing stay; what is removed cannot be brought
    back, and a kit that sends it once more is told that it is known.
    """
    from gonio.cloud_sink.retention import years_before
    from gonio.cloud_sink.store import open_store

    if years < LEAST_YEARS:
        raise UsageError(f"records are kept at least {LEAST_YEARS} years: name that many or more with --years")
    before = years_before(datetime.now(UTC), years)
    with open_store(store, create=False) as book:
        if not remove:
            found = book.expired(before)
            typer.echo(_words(found, before, "would be removed; nothing was (add --remove)"))
            return
        actor = f"operator:{getpass.getuser()}"[:128]
        found = book.remove_expired(before, actor=actor, told=lambda n: typer.echo(f"{n} records removed", err=True))
        typer.echo(_words(found, before, "removed"))


def _words(found: "Expired", before: datetime, what: str) -> str:
    if not found.records and not found.quarantined:
        return f"nothing was received before {before:%Y-%m-%d}: there is nothing to remove"
    span = ""
    if found.first_received is not None and found.last_received is not None:
        span = f" (received {found.first_received:%Y-%m-%d} to {found.last_received:%Y-%m-%d})"
    return f"{found.records} records{span} and {found.quarantined} refused ones {what}"
