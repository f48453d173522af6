"""``gonio clinic stock``: the boxes, for whoever packs them."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from gonio.cli.operator import operator
from gonio.cli.options import StoreUrl
from gonio.cloud_sink.stock_states import BoxState
from gonio.errors import UsageError

if TYPE_CHECKING:
    from gonio.cloud_sink.store import Store

app = typer.Typer(help="The boxes: where each kit is, and what became of it.", no_args_is_help=True)

BoxId = Annotated[UUID, typer.Argument(metavar="BOX", help="The box, as `gonio clinic stock list` prints it.")]
Reason = Annotated[str, typer.Option(help="Why; it stays in the box's history.")]


@app.command("list")
def list_boxes(
    store: StoreUrl, state: Annotated[BoxState | None, typer.Option(help="Only boxes in this state.")] = None
) -> None:
    """List the boxes by label: id, state, since when, kit, label."""
    with _open(store) as book:
        boxes = book.stock.boxes(state=state)
    if not boxes:
        typer.echo(
            "no such boxes" if state else "no boxes yet: enter one with `gonio clinic kit add`, many with `import`"
        )
        return
    typer.echo(f"{'box':<36}  {'state':<9}  {'since':<10}  {'kit':<20}  label")
    for box in boxes:
        typer.echo(
            f"{box.item_id}  {box.state:<9}  {box.changed_at:%Y-%m-%d}  {box.kit_id or 'not claimed':<20}  {box.label}"
        )


@app.command("move")
def move(
    box: BoxId,
    to: Annotated[BoxState, typer.Argument(metavar="STATE", help="Where it is now.")],
    store: StoreUrl,
    reason: Reason = "",
    wipe_first: Annotated[
        bool, typer.Option("--wipe-first", help="Lost: its keys count until it has wiped itself, or until `revoke`.")
    ] = False,
    by_hand: Annotated[
        bool, typer.Option("--by-hand", help="Cleaned: at the table, without a receipt of the kit; say how.")
    ] = False,
) -> None:
    """Say where a box is now.

    in-stock > shipped > delivered > (bound: active) > returned > cleaned > in-stock; also lost, and retired.

    Lost takes the kit from its patient and revokes its keys. Returned takes it from its patient and lets it wipe
    itself; it is clean when it has said that this was done. Retired is for good.
    """
    with _open(store) as book:
        moved = book.stock.move(box, to, reason, wipe_first=wipe_first, by_hand=by_hand)
    typer.echo(f"{moved.label or moved.item_id} is {moved.state}")
    if moved.kit_id and moved.may_connect and moved.state in {BoxState.LOST, BoxState.RETURNED}:
        typer.echo(
            f"it is told to wipe itself when it connects; what came of it: gonio clinic down list {moved.kit_id}"
        )


@app.command("sensors")
def sensors(
    box: BoxId,
    store: StoreUrl,
    thigh: Annotated[str, typer.Option("--thigh", metavar="ADDRESS", help="The sensor for the thigh.")],
    shank: Annotated[str, typer.Option("--shank", metavar="ADDRESS", help="The sensor for the shank.")],
    reason: Reason = "",
) -> None:
    """Say which sensors are in a box, also after a swap: its kit takes these and no others."""
    with _open(store) as book:
        book.stock.name_sensors(box, thigh, shank, reason)
    typer.echo("noted; the kit is told as soon as it has a patient or connects")


@app.command("history")
def history(box: BoxId, store: StoreUrl) -> None:
    """Tell what happened to a box: when, what, who, why."""
    with _open(store) as book:
        lines = book.stock.life(box)
    for line in lines:
        patient = f"  patient {line.patient_id}" if line.patient_id else ""
        typer.echo(f"{line.at:%Y-%m-%d %H:%M} UTC  {line.what:<14}  {line.by}{patient}  {line.reason}".rstrip())


@app.command("csv")
def export(
    store: StoreUrl,
    file: Annotated[
        Path | None, typer.Option("--to", metavar="FILE", help="Where to; the screen if not given.")
    ] = None,
) -> None:
    """Write all boxes as CSV; no cell is a formula."""
    from gonio.cloud_sink.stock import boxes_csv

    with _open(store) as book:
        text = boxes_csv(book.stock.boxes())
    if file is None:
        typer.echo(text, nl=False)
        return
    try:
        file.write_text(text, encoding="utf-8", newline="")
    except OSError as error:
        raise UsageError(f"{file} cannot be written ({error.strerror})") from error


@app.command("import")
def import_boxes(
    file: Annotated[
        Path, typer.Argument(metavar="FILE.csv", help="Columns label, serial, thigh_sensor, shank_sensor.")
    ],
    store: StoreUrl,
) -> None:
    """Enter many boxes from CSV, all or none; prints their ids.

    A box gets its claim code when it is packed: gonio clinic kit claim BOX
    """
    from gonio.cloud_sink.stock_csv import read_boxes

    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{file} cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{file} is not UTF-8: save it as CSV UTF-8") from error
    new = read_boxes(text)
    with _open(store, create=True) as book:
        ids = book.stock.enter(new)
    for item_id, one in zip(ids, new, strict=True):
        typer.echo(f"{item_id}  {one.label}")


def _open(store: str, *, create: bool = False) -> "Store":
    from gonio.cloud_sink.store import open_store

    return open_store(store, create=create, actor=operator())
