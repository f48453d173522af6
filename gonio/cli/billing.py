"""``gonio billing``: what may be billed, and why. It proposes; a person certifies."""

import json
from pathlib import Path
from typing import Annotated

import typer

from gonio.errors import UsageError

app = typer.Typer(help="What may be billed, and why. It proposes; a person certifies.", no_args_is_help=True)


@app.command("evaluate")
def evaluate_case(
    file: Annotated[Path, typer.Argument(metavar="CASE.json", help="An episode with all that was recorded of it.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Decide a case file: charges with their reasons, and what is refused by which gate.

    docs/billing.md has the reading of the rules and the format of the file.
    """
    from gonio.cloud_sink.billing.case import read_case
    from gonio.cloud_sink.billing.engine import evaluate

    try:
        text = file.read_bytes()
    except OSError as error:
        raise UsageError(f"{file} cannot be read ({error.strerror})") from error
    found = evaluate(read_case(text))
    if as_json:
        typer.echo(json.dumps(found.as_json()))
        return
    if not found.charges:
        typer.echo("nothing to bill")
    for charge in found.charges:
        marks = [mark for mark, so in (("hold", charge.hold), ("late", charge.late)) if so]
        marks += ["needs self-report"] if charge.needs_self_report else []
        line = (
            f"{charge.code} x{charge.units} {' '.join(charge.modifiers)}  {charge.period_start} to {charge.period_end}"
        )
        typer.echo(f"{line}  {', '.join(marks)}".rstrip())
        for reason in charge.reasons:
            typer.echo(f"    {reason}")
    for refusal in found.refused:
        typer.echo(f"not {refusal.code}  {refusal.period_start} to {refusal.period_end}: {refusal.reason}")
