"""``gonio sink backup`` and ``gonio sink restore``."""

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from gonio.cli.operator import operator
from gonio.cli.sink_audit import as_object, log_object, tell, tell_log

if TYPE_CHECKING:
    from gonio.cloud_sink.backup_file import Manifest
    from gonio.cloud_sink.overview import KitState

StoreUrl = Annotated[
    str,
    typer.Option(
        "--store", metavar="URL", help="The clinic's book: sqlite:///path/to/file or postgresql://user@host/database."
    ),
]
NewStoreUrl = Annotated[
    str, typer.Option("--store", metavar="URL", help="The new book: a file that is not there, or an empty database.")
]
PassphraseFile = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="A file whose first line is the passphrase that encrypts the backup."),
]
AsJson = Annotated[bool, typer.Option("--json", help="End with one JSON object.")]

_PROGRESS_EVERY_S: Final = 2.0
_SHOWN_KITS: Final = 20


def backup(
    store: StoreUrl,
    to: Annotated[Path, typer.Option(metavar="FILE", help="Where the backup goes; nothing may be there.")],
    passphrase_file: PassphraseFile = None,
    as_json: AsJson = False,
) -> None:
    """Copy the book into one file, while workers go on writing, and check the copy.

    The file holds patients' names: keep it as safe as the book itself, or encrypt it with --passphrase-file.
    """
    from gonio.cloud_sink.backup import back_up

    made = back_up(store, to, actor=operator(), progress=_Progress(), passphrase=_passphrase(passphrase_file))
    about = made.manifest.about
    records = made.manifest.rows("records")
    if as_json:
        rows = {shape.table: made.manifest.rows(shape.table) for shape in made.manifest.shapes}
        told = {
            "file": str(made.path),
            "bytes": made.size,
            "encrypted": passphrase_file is not None,
            "rows": rows,
            "audit": as_object(made.audit),
            "audit_log": log_object(made.log),
        }
        typer.echo(json.dumps({"made_at": about.made_at, "backup": made.manifest.sha256} | told))
    else:
        typer.echo(f"{made.path}: {records} records as of {about.made_at}, {made.size} bytes")
        typer.echo(f"read back and found whole; its manifest is {made.manifest.sha256}")
        tell(made.audit)
        tell_log(made.log)


def restore(
    source: Annotated[Path, typer.Option("--from", metavar="FILE", help="The backup.")],
    store: NewStoreUrl,
    passphrase_file: PassphraseFile = None,
    as_json: AsJson = False,
) -> None:
    """Make a book from a backup, check it, and say what kits must send again."""
    from gonio.cloud_sink.restore import restore as restore_book
    from gonio.cloud_sink.store import open_store

    passphrase = _passphrase(passphrase_file)
    manifest = restore_book(source, store, actor=operator(), progress=_Progress(), passphrase=passphrase)
    with open_store(store, create=False) as book:
        states, log = book.proof.states(), book.proof.log()
    if as_json:
        typer.echo(json.dumps(_as_object(manifest, states) | {"audit_log": log_object(log)}))
    else:
        _tell(manifest, states)
        tell_log(log)


def _as_object(manifest: "Manifest", states: "list[KitState]") -> dict[str, Any]:
    return {
        "backup": manifest.sha256,
        "made_at": manifest.about.made_at,
        "records": manifest.rows("records"),
        "resend": [
            {
                "kit": box.kit_id,
                "outbox": str(box.outbox_id),
                "after": box.last,
                "gaps": [[lack.first, lack.last] for lack in box.lacks if lack.last <= box.last],
            }
            for state in states
            for box in state.outboxes
        ],
    }


def _tell(manifest: "Manifest", states: "list[KitState]") -> None:
    typer.echo(f"{manifest.rows('records')} records, as the book was at {manifest.about.made_at}; checked and whole")
    boxes = [box for state in states for box in state.outboxes]
    if boxes:
        typer.echo("what kits sent after that is asked for by the workers as soon as each kit reports; of each, after:")
    for box in boxes[:_SHOWN_KITS]:
        typer.echo(f"  kit {box.kit_id}, outbox {box.outbox_id}: sequence {box.last}")
    if len(boxes) > _SHOWN_KITS:
        typer.echo(f"  and {len(boxes) - _SHOWN_KITS} more (--json names all)")
    typer.echo("`gonio sink audit` shows what is still to come; `gonio sink project --rebuild` refills the time series")


def _passphrase(path: Path | None) -> bytes | None:
    from gonio.cloud_sink.backup_cipher import read_passphrase

    return None if path is None else read_passphrase(path)


class _Progress:
    """Says on stderr now and then how far it is."""

    def __init__(self) -> None:
        self._said_at = time.monotonic()

    def __call__(self, what: str, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self._said_at >= _PROGRESS_EVERY_S:
            self._said_at = now
            typer.echo(f"{what}: {done}" + (f" of {total}" if total else ""), err=True)
