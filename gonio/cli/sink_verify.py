"""``gonio sink verify`` and ``gonio sink evidence``: are records what their kits signed, in the book and without it."""

import json
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from gonio.errors import UsageError

if TYPE_CHECKING:
    from gonio.cloud_sink.verify import Verification

StoreUrl = typer.Option(
    "--store", metavar="URL", help="The clinic's book: sqlite:///path/to/file or postgresql://user@host/database."
)
Kit = Annotated[str | None, typer.Option(metavar="ID", help="Records of this kit only.")]
Month = Annotated[str | None, typer.Option(metavar="YYYY-MM", help="Records of this month only.")]


def verify(
    store: Annotated[str | None, StoreUrl] = None,
    evidence: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A file that `gonio sink evidence` wrote, in place of a book.")
    ] = None,
    authority: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="With --evidence: PEM of the authority that must have certified the kits' keys."
        ),
    ] = None,
    kit: Kit = None,
    month: Month = None,
    record: Annotated[str | None, typer.Option(metavar="ID", help="This record only.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="End with one JSON object.")] = False,
) -> None:
    """Prove that stored records are, to the letter, what their kits have signed.

    Ends with status 0 if every record that was asked for is proven, else with 1.
    """
    if (store is None) == (evidence is None):
        raise UsageError("say what to verify: --store URL of a book, or --evidence FILE")
    if evidence is not None:
        if kit or month or record:
            raise UsageError("a file of evidence is verified as a whole: leave out --kit, --month and --record")
        found = _of_file(evidence, authority)
    else:
        if authority is not None:
            raise UsageError("--authority is for --evidence: a book knows its kits' keys")
        found = _of_book(str(store), kit, month, record)
    if as_json:
        typer.echo(json.dumps(_as_object(found)))
    else:
        _tell(found)
    if not found.proven:
        raise typer.Exit(1)


def evidence(
    store: Annotated[str, StoreUrl],
    out: Annotated[Path, typer.Option(metavar="FILE", help="Where to write; a file that is there is not replaced.")],
    month: Month = None,
    kit: Kit = None,
) -> None:
    """Write records with their signatures and keys into a file that `gonio sink verify --evidence` proves."""
    from gonio.cloud_sink.store import open_store
    from gonio.cloud_sink.verify import Wanted

    with open_store(store, create=False) as book:
        count = book.proof.write_evidence(out, Wanted(kit, _month(month)))
    typer.echo(f"{out}: {count} records. It holds health data, without names: keep it as you keep the book.")


def _of_file(file: Path, authority: Path | None) -> "Verification":
    from gonio.cloud_sink.evidence import verify_evidence
    from gonio.identity.certificates import Certificate

    try:
        trusted = None if authority is None else Certificate.read(authority.read_bytes())
    except OSError as error:
        raise UsageError(f"{authority} cannot be read ({error.strerror})") from error
    return verify_evidence(file, trusted)


def _of_book(store: str, kit: str | None, month: str | None, record: str | None) -> "Verification":
    from gonio.cloud_sink.store import open_store
    from gonio.cloud_sink.verify import Wanted

    try:
        record_id = None if record is None else UUID(record)
    except ValueError as error:
        raise UsageError("--record takes a record's id, as 01a20bdd-451a-7a17-a896-f7aee5d48078") from error
    with open_store(store, create=False) as book:
        found = book.proof.verify(Wanted(kit, _month(month), record_id))
    if record_id is not None and not found.records:
        raise UsageError("the book has no such record")
    return found


def _month(text: str | None) -> date | None:
    if text is None:
        return None
    try:
        return date.fromisoformat(f"{text}-01")
    except ValueError as error:
        raise UsageError(f"--month takes a month as 2026-03, not {text!r}") from error


def _as_object(found: "Verification") -> dict[str, object]:
    return {
        "records": found.records,
        **{standing.value.replace(" ", "_"): many for standing, many in found.counts.items()},
        "doubts": [
            {"record_id": str(one.record_id), "kit": one.kit_id, "standing": one.standing.value} for one in found.doubts
        ],
    }


def _tell(found: "Verification") -> None:
    from gonio.cloud_sink.verify import Standing

    counts = found.counts
    typer.echo(f"{counts[Standing.PROVEN]} of {found.records} records are proven: what their kits have signed")
    if counts[Standing.UNSIGNED]:
        typer.echo(f"{counts[Standing.UNSIGNED]} bear no signature: their kits were not enrolled, or did not sign yet")
    if counts[Standing.NO_KEY]:
        typer.echo(f"{counts[Standing.NO_KEY]} are signed with a key that is not known as their kit's: not enrolled")
    if counts[Standing.WRONG]:
        typer.echo(f"{counts[Standing.WRONG]} ARE NOT WHAT WAS SIGNED: somebody or something has changed them")
    for one in found.doubts:
        typer.echo(f"  {one.standing.value}: {one.record_id} of {one.kit_id}")
    unnamed = found.records - counts[Standing.PROVEN] - len(found.doubts)
    if unnamed:
        typer.echo(f"  and {unnamed} more")
