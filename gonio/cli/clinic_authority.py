"""``gonio clinic authority``: the clinic's own certificate authority, and the certificates of its own programs."""

from pathlib import Path
from typing import Annotated, Final, Literal

import typer

from gonio.cli.options import ClinicDir
from gonio.errors import UsageError

app = typer.Typer(
    help="The clinic's certificate authority: who may be a kit, a broker, a worker of this clinic.",
    no_args_is_help=True,
)

#: What the clinic runs, and whether others connect to it or it connects to others.
_PROGRAMS: Final[dict[str, Literal["server", "client"]]] = {
    "broker": "server",
    "enrolment": "server",
    "pages": "server",
    "database": "server",
    "influxdb": "server",
    "sink": "client",
}
#: The broker's access list knows the workers by this name.
_NAMES: Final = {"sink": "gonio-sink"}


@app.command("make")
def make(clinic_dir: ClinicDir = None) -> None:
    """Make the authority: once, on a computer that kits cannot reach."""
    from gonio.cloud_sink.clinic_folder import ClinicFolder
    from gonio.identity.authority import Authority

    folder = ClinicFolder.usual(clinic_dir)
    try:
        authority = Authority.make(folder.authority_folder)
    except FileExistsError as error:
        raise UsageError(f"{folder.authority_folder} holds an authority already: it stays as it is") from error
    except OSError as error:
        raise UsageError(f"{folder.authority_folder} cannot be written ({error.strerror})") from error
    folder.records_key(make=True)
    typer.echo(f"authority   {authority.certificate_file}")
    typer.echo(f"fingerprint {authority.fingerprint}")
    typer.echo(
        f"Keep {authority.folder / 'authority.key'} secret, and a copy of it safe: with it anybody can make kits."
    )


@app.command("show")
def show(clinic_dir: ClinicDir = None) -> None:
    """Show the authority's fingerprint, which claim codes carry, and until when it counts."""
    from gonio.cloud_sink.clinic_folder import ClinicFolder
    from gonio.identity.authority import fingerprint_of

    folder = ClinicFolder.usual(clinic_dir)
    certificate = folder.authority_certificate()
    typer.echo(f"authority   {folder.authority_file}")
    typer.echo(f"name        {certificate.name}")
    typer.echo(f"fingerprint {fingerprint_of(certificate)}")
    typer.echo(f"counts to   {certificate.not_after.date()}")
    typer.echo(f"its key is  {'here' if folder.signs_itself else 'elsewhere: certificates are signed there'}")


@app.command("issue")
def issue(
    program: Annotated[str, typer.Argument(metavar="PROGRAM", help=f"One of: {', '.join(_PROGRAMS)}.")],
    name: Annotated[
        list[str] | None,
        typer.Option("--name", help="A name or address under which it is reached; several may be given."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where PROGRAM.crt and PROGRAM.key go; the clinic's tls folder.")
    ] = None,
    clinic_dir: ClinicDir = None,
) -> None:
    """Make a key and a certificate for a program of the clinic's own, for 397 days; again renews the certificate."""
    from gonio.cloud_sink.clinic_folder import ClinicFolder

    if program not in _PROGRAMS:
        raise UsageError(f"{program!r} is none of the clinic's programs: {', '.join(_PROGRAMS)}")
    folder = ClinicFolder.usual(clinic_dir)
    files = folder.program(program)
    pair = (files.certificate, files.key) if out is None else (out / f"{program}.crt", out / f"{program}.key")
    purpose = _PROGRAMS[program]
    names = list(name or [])
    if purpose == "server":
        names += [one for one in (program, "localhost", "127.0.0.1") if one not in names]
    try:
        certificate = folder.authority().issue_program(
            _NAMES.get(program, program), purpose, pair, names=names if purpose == "server" else ()
        )
    except OSError as error:
        raise UsageError(f"{pair[0]} cannot be written ({error.strerror})") from error
    typer.echo(f"certificate {pair[0]}, counts to {certificate.not_after.date()}")
    typer.echo(f"key         {pair[1]}")
