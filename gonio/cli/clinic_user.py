"""``gonio clinic user``: who may use the clinic's pages; ``gonio clinic add`` and ``list``: the clinics of a book."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit
from uuid import UUID

import typer

from gonio.cli.operator import operator
from gonio.cli.options import ClinicDir, StoreUrl
from gonio.errors import UsageError

if TYPE_CHECKING:
    from gonio.cloud_sink.accounts import Accounts, Administration, Invitation, Role

app = typer.Typer(help="Who may use the clinic's pages, as what.", no_args_is_help=True)

Email = Annotated[str, typer.Argument(metavar="EMAIL", help="The user's e-mail address, which is the login.")]
ClinicId = Annotated[
    UUID | None, typer.Option("--clinic", metavar="ID", help="The clinic; the home clinic if not given.")
]
RoleName = Annotated[str, typer.Option("--role", help="therapist, assistant, biller, admin or auditor.")]
Base = Annotated[
    str, typer.Option("--url", metavar="BASE", help="Where the pages are, as https://review.clinic.example:8600.")
]


def add_to(clinic: typer.Typer) -> None:
    """Put the commands on clinics into their group."""
    clinic.command("add")(add_clinic)
    clinic.command("list")(list_clinics)
    clinic.add_typer(app, name="user")


def add_clinic(
    name: Annotated[str, typer.Argument(metavar="NAME")],
    store: StoreUrl,
    time_zone: Annotated[str, typer.Option(metavar="ZONE", help="Where the clinic is, as America/Chicago.")],
    clinic_dir: ClinicDir = None,
) -> None:
    """Enter a clinic whose people and patients no other sees; prints its id as the last line."""
    with _accounts(store, clinic_dir, create=True) as accounts:
        typer.echo(str(accounts.add_clinic(name, time_zone, operator())))


def list_clinics(store: StoreUrl, clinic_dir: ClinicDir = None) -> None:
    """List the clinics of this book: id, time zone, name."""
    with _accounts(store, clinic_dir) as accounts:
        for clinic in accounts.clinics():
            typer.echo(f"{clinic.clinic_id}  {clinic.time_zone:<24} {clinic.name}")


@app.command("invite")
def invite(
    email: Email,
    store: StoreUrl,
    name: Annotated[str, typer.Option(help="The user's name, as colleagues see it.")],
    role: RoleName,
    url: Base,
    clinic_id: ClinicId = None,
    clinic_dir: ClinicDir = None,
) -> None:
    """Invite somebody, or invite anew who has not come yet; prints the link for them as the last line.

    The link is good once and for seven days. Whoever has it can take the account: send it to that person alone.
    """
    from gonio.cloud_sink.accounts import NoSuchError

    base = _base(url)
    with _administration(store, clinic_dir, clinic_id) as users:
        try:
            known = users.find(email)
        except NoSuchError:
            _echo_link(base, users.invite(email, name, _role(role)))
        else:
            _echo_link(base, users.invite_again(known.user_id))


@app.command("list")
def list_users(store: StoreUrl, clinic_id: ClinicId = None, clinic_dir: ClinicDir = None) -> None:
    """List a clinic's users: role, state, second factors, e-mail address, name."""
    with _administration(store, clinic_dir, clinic_id) as users:
        rows = users.users()
    if not rows:
        typer.echo("no users yet: invite an administrator with `gonio clinic user invite EMAIL --role admin`")
        return
    typer.echo(f"{'role':<10} {'state':<9} {'second factor':<22} {'e-mail':<32} name")
    for row in rows:
        kinds = ["app"] * row.totp + [f"{row.passkeys} passkey{'s' * (row.passkeys > 1)}"] * bool(row.passkeys)
        typer.echo(f"{row.role:<10} {row.state:<9} {', '.join(kinds) or 'none':<22} {row.login:<32} {row.name}")


@app.command("role")
def set_role(
    email: Email,
    role: Annotated[str, typer.Argument(metavar="ROLE", help="therapist, assistant, biller, admin or auditor.")],
    store: StoreUrl,
    clinic_id: ClinicId = None,
    clinic_dir: ClinicDir = None,
) -> None:
    """Give a user another role, which signs them out."""
    with _administration(store, clinic_dir, clinic_id) as users:
        users.set_role(users.find(email).user_id, _role(role))
    typer.echo(f"the user's role is {_role(role)}, from the next sign-in on")


@app.command("disable")
def disable(email: Email, store: StoreUrl, clinic_id: ClinicId = None, clinic_dir: ClinicDir = None) -> None:
    """Let a user in no more; signs them out at once."""
    with _administration(store, clinic_dir, clinic_id) as users:
        users.disable(users.find(email).user_id)
    typer.echo("the user is disabled and signed out")


@app.command("enable")
def enable(email: Email, store: StoreUrl, clinic_id: ClinicId = None, clinic_dir: ClinicDir = None) -> None:
    """Let a disabled user in again."""
    with _administration(store, clinic_dir, clinic_id) as users:
        user = users.find(email)
        users.enable(user.user_id)
        state = users.user(user.user_id).state
    typer.echo(f"the user is {state}" + ("" if state == "active" else ": invite them with `gonio clinic user invite`"))


@app.command("reset")
def reset(email: Email, store: StoreUrl, url: Base, clinic_id: ClinicId = None, clinic_dir: ClinicDir = None) -> None:
    """Take password, second factors and sessions from a user, and invite them anew; prints the link as the last line.

    For somebody who has lost the second factor and all recovery codes. Make sure who asks for it.
    """
    base = _base(url)
    with _administration(store, clinic_dir, clinic_id) as users:
        _echo_link(base, users.reset(users.find(email).user_id))


@app.command("unlock")
def unlock(email: Email, store: StoreUrl, clinic_id: ClinicId = None, clinic_dir: ClinicDir = None) -> None:
    """Forget a user's failed attempts, so that the next one is looked at without delay."""
    with _administration(store, clinic_dir, clinic_id) as users:
        users.unlock(users.find(email).user_id)
    typer.echo("the user's failed attempts are forgotten")


@contextmanager
def _accounts(store: str, clinic_dir: ClinicDir, *, create: bool = False) -> Iterator["Accounts"]:
    from gonio.cloud_sink.clinic_folder import ClinicFolder
    from gonio.cloud_sink.store import open_store

    with open_store(store, create=create, actor=operator()) as book:
        yield book.accounts(ClinicFolder.usual(clinic_dir).pages_key())


@contextmanager
def _administration(store: str, clinic_dir: ClinicDir, clinic_id: UUID | None) -> Iterator["Administration"]:
    from gonio.cloud_sink.schema import HOME_CLINIC

    with _accounts(store, clinic_dir) as accounts:
        yield accounts.administration_of(clinic_id or HOME_CLINIC, operator())


def _role(text: str) -> "Role":
    from gonio.cloud_sink.accounts import Role

    try:
        return Role(text.strip().lower())
    except ValueError as error:
        raise UsageError(f"{text!r} is no role: one of {', '.join(Role)}") from error


def _base(url: str) -> str:
    """Give the address of the pages without a slash at its end.

    Raises:
        UsageError: it is none, or would send the invitation unprotected over a network.
    """
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        host = ""
    else:
        local = host in {"localhost", "127.0.0.1", "::1"}
        if (
            host
            and (parts.scheme == "https" or (parts.scheme == "http" and local))
            and not parts.query + parts.fragment
        ):
            return url.rstrip("/")
    raise UsageError(f"{url!r} is no address of the pages: write https://review.clinic.example:8600")


def _echo_link(base: str, invitation: "Invitation") -> None:
    typer.echo(f"good once, until {invitation.expires_at.isoformat(timespec='minutes')}:")
    typer.echo(f"{base}/join/{invitation.token}")
