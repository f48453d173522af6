"""What looks after the clinic: users, the audit log, emergency access."""

from collections.abc import Mapping
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import Query
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse

from gonio.cloud_sink.accounts import AccountError, Administration, Invitation, Role, StepUpNeededError, User
from gonio.cloud_sink.review.gate import House, field, identity_of
from gonio.cloud_sink.review.page import PageMaker
from gonio.errors import UsageError
from gonio.web.words import clock, day

MAX_ROW: Final = 2**53
_EXPORTED: Final = "audit-log-exported"
_OPENED: Final = "Say in a sentence why this cannot wait for somebody who treats this patient."


class AdminPages:
    """The pages of administrators and auditors."""

    def __init__(self, house: House, maker: PageMaker) -> None:
        self._house = house
        self._accounts = house.accounts
        self._page = maker.page

    # --- users ---

    def users(self, request: Request) -> Response:
        """List the users."""
        return self._users(request)

    def invite(self, request: Request) -> Response:
        """Invite somebody; the link is shown once."""
        try:
            role = Role(field(request, "role"))
        except ValueError:
            return self._users(request, error="Choose a role.")
        return self._change(request, lambda admin: admin.invite(field(request, "login"), field(request, "name"), role))

    def change_user(self, request: Request, user_id: UUID) -> Response:
        """Change a user's role, end or give back their access, or let them begin anew."""
        what = field(request, "do")

        def change(admin: Administration) -> Invitation | None:
            match what:
                case "role":
                    admin.set_role(user_id, _role(field(request, "role")))
                case "disable":
                    admin.disable(user_id)
                case "enable":
                    admin.enable(user_id)
                case "unlock":
                    admin.unlock(user_id)
                case "reset":
                    return admin.reset(user_id)
                case "invite":
                    return admin.invite_again(user_id)
                case _:
                    raise UsageError("this page is too old: load it anew")
            return None

        return self._change(request, change)

    def _change(self, request: Request, change: Any) -> Response:  # noqa: ANN401 - a call of Administration
        try:
            invitation = change(self._accounts.administration(identity_of(request)))
        except StepUpNeededError:
            return RedirectResponse("/sign-in/factor?next=/users", status_code=303)
        except (AccountError, UsageError) as error:
            return self._users(request, error=str(error))
        if invitation is None:
            return RedirectResponse("/users", status_code=303)
        return self._users(request, invitation=invitation)

    def _users(self, request: Request, *, error: str = "", invitation: Invitation | None = None) -> Response:
        admin = self._accounts.administration(identity_of(request))
        scheme = "https" if self._house.secure else "http"
        link = "" if invitation is None else f"{scheme}://{request.headers['host']}/join/{invitation.token}"
        until = "" if invitation is None else f"{day(invitation.expires_at)}, {clock(invitation.expires_at)} UTC"
        return self._page(
            request,
            "users.html",
            status=400 if error else 200,
            users=sorted(admin.users(), key=_by_name),
            roles=[role.value for role in Role],
            error=error,
            link=link,
            until=until,
            own=identity_of(request).user_id,
        )

    # --- the audit log ---

    def log(
        self,
        request: Request,
        before: Annotated[int | None, Query(ge=1, le=MAX_ROW)] = None,
        about: Annotated[str | None, Query(max_length=128)] = None,
    ) -> Response:
        """Show the log, the newest rows first."""
        rows = self._house.book_of(identity_of(request).clinic_id).log_rows(before=before, subject_id=about or None)
        older = rows[-1]["number"] if rows and rows[-1]["number"] > 1 else None
        return self._page(request, "audit.html", rows=[_log_line(row) for row in rows], older=older, about=about or "")

    def export(self, request: Request) -> Response:
        """Give the whole log as lines of JSON; the export is in the log."""
        identity = identity_of(request)
        book = self._house.book_of(identity.clinic_id)
        book.note(identity.actor, _EXPORTED)
        lines = book.log_lines()
        name = {"Content-Disposition": 'attachment; filename="audit-log.jsonl"'}
        return StreamingResponse((f"{line}\n" for line in lines), media_type="application/jsonl", headers=name)

    # --- emergency access ---

    def glass_form(self, request: Request, patient_id: UUID) -> Response:
        """Ask why a patient must be opened."""
        return self._glass(request, patient_id)

    def break_glass(self, request: Request, patient_id: UUID) -> Response:
        """Open one patient for an hour."""
        try:
            self._accounts.break_glass(identity_of(request), patient_id, field(request, "reason"))
        except StepUpNeededError:
            return RedirectResponse(f"/sign-in/factor?next=/break-glass/{patient_id}", status_code=303)
        except (AccountError, UsageError) as error:
            return self._glass(request, patient_id, error=str(error))
        return RedirectResponse(f"/patients/{patient_id}", status_code=303)

    def _glass(self, request: Request, patient_id: UUID, *, error: str = "") -> Response:
        if self._house.book_of(identity_of(request).clinic_id).patient(patient_id) is None:
            raise HTTPException(404)
        status = 400 if error else 200
        return self._page(request, "break-glass.html", status=status, patient_id=patient_id, error=error, hint=_OPENED)


def _role(text: str) -> Role:
    try:
        return Role(text)
    except ValueError as error:
        raise UsageError("choose a role") from error


def _by_name(user: User) -> tuple[str, str]:
    return user.name.casefold(), user.login


def _log_line(row: Mapping[str, Any]) -> dict[str, Any]:
    at = row["at"]
    shown = {
        name: row[name] for name in ("number", "actor", "action", "subject_kind", "subject_id", "reason", "detail")
    }
    return shown | {"at": f"{day(at)}, {clock(at)} UTC"}
