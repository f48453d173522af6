"""Options and arguments that several commands of the clinic's side take."""

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

StoreUrl: TypeAlias = Annotated[
    str,
    typer.Option(
        "--store", metavar="URL", help="The clinic's book: sqlite:///path/to/file or postgresql://user@host/database."
    ),
]
KitId: TypeAlias = Annotated[str, typer.Argument(metavar="KIT", help="The kit's id.")]
ClinicDir: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--clinic-dir", metavar="DIR", help="The clinic's keys and certificates (GONIO_CLINIC_DIR).", show_default=False
    ),
]
