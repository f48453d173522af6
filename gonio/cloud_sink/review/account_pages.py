"""One's own account: password, recovery codes, sessions."""

from uuid import UUID

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from gonio.cloud_sink.accounts import AccountError, Outcome, Passkey, StepUpNeededError
from gonio.cloud_sink.review.gate import House, field, identity_of, token_of
from gonio.cloud_sink.review.page import PageMaker
from gonio.web.words import clock, day

STEP_UP = "/sign-in/factor?next=/account"


class AccountPages:
    """The page of the own account and what it sends."""

    def __init__(self, house: House, maker: PageMaker) -> None:
        self._house = house
        self._accounts = house.accounts
        self._page = maker.page

    def form(self, request: Request) -> Response:
        """Show the account."""
        return self._form(request)

    def change_password(self, request: Request) -> Response:
        """Change the password; all other sessions end."""
        if field(request, "new") != field(request, "again"):
            return self._form(request, error="The two new passwords are not the same.")
        try:
            step = self._accounts.change_password(
                token_of(self._house, request),
                field(request, "old"),
                field(request, "new"),
                source=request.client.host if request.client else "",
                device=request.cookies.get(self._house.device_cookie),
            )
        except AccountError as error:
            return self._form(request, error=str(error))
        if step.outcome is not Outcome.DONE:
            return self._form(request, error="That is not your present password. Nothing was changed.")
        return self._house.keep(RedirectResponse("/account", status_code=303), token=step.token, device=step.device)

    def new_codes(self, request: Request) -> Response:
        """Make new recovery codes in place of the old ones, and show them once."""
        try:
            codes = self._accounts.new_recovery_codes(token_of(self._house, request))
        except StepUpNeededError:
            return RedirectResponse(STEP_UP, status_code=303)
        except AccountError as error:
            return self._form(request, error=str(error))
        return self._page(request, "recovery-codes.html", codes=codes)

    def end_sessions(self, request: Request) -> Response:
        """End one of the own sessions, or all others."""
        identity = identity_of(request)
        try:
            if field(request, "session"):
                self._accounts.end_session(identity, UUID(field(request, "session")))
            else:
                self._accounts.end_other_sessions(identity)
        except (AccountError, ValueError):
            return self._form(request, error="That session has ended already.")
        return RedirectResponse("/account", status_code=303)

    def _form(self, request: Request, *, error: str = "") -> Response:
        identity = identity_of(request)
        pending = self._accounts.pending(token_of(self._house, request))
        lines = [
            (
                one.session_id,
                one.label,
                f"{day(one.seen_at)}, {clock(one.seen_at)} UTC",
                one.session_id == identity.session_id,
            )
            for one in self._accounts.sessions(identity)
        ]
        return self._page(
            request,
            "account.html",
            status=400 if error else 200,
            error=error,
            login=identity.login,
            lines=lines,
            passkeys=[_passkey(one) for one in self._accounts.passkeys(identity)],
            codes_left=0 if pending is None else pending.recovery_codes,
        )


def _passkey(one: Passkey) -> dict[str, object]:
    used = "not used yet" if one.used_at is None else f"last used {day(one.used_at)}"
    return {"passkey_id": one.passkey_id, "name": one.name, "made": day(one.added_at), "used": used}
