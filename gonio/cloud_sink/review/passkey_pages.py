"""Passkeys: made at set-up or on one's own account, proven at sign-in in place of a code.

The browser is asked by a page that bears the question, and answers with a form: ``static/passkey.js`` stands between.
"""

from uuid import UUID

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from gonio.cloud_sink.accounts import AccountError, Outcome, Site, StepUpNeededError
from gonio.cloud_sink.accounts.model import FactorRefusedError
from gonio.cloud_sink.review.gate import House, field, identity_or_none, token_of
from gonio.cloud_sink.review.page import PageMaker
from gonio.web.forms import local_path

_MAKE = "/sign-in/set-up/passkey"
_PROVE = "/sign-in/passkey"


class PasskeyPages:
    """What asks a browser for a passkey, and takes its answer."""

    def __init__(self, house: House, maker: PageMaker) -> None:
        self._house = house
        self._accounts = house.accounts
        self._page = maker.page

    def make(self, request: Request) -> Response:
        """Ask for a new passkey, or take it; of somebody who is setting up, or is signed in."""
        token, signed_in = token_of(self._house, request), identity_or_none(request) is not None
        if self._accounts.pending(token) is None:
            return RedirectResponse("/sign-in", status_code=303)
        error = ""
        try:
            if field(request, "credential"):
                answer, name = field(request, "credential"), field(request, "name")
                step = self._accounts.finish_passkey_registration(token, answer, self._site(request), name)
                if not step.recovery_codes:
                    gone = RedirectResponse("/account" if signed_in else _next(request), status_code=303)
                    return self._house.keep(gone, token=step.token, device=step.device)
                shown = self._page(request, "recovery-codes.html", codes=step.recovery_codes)
                return self._house.keep(shown, token=step.token, device=step.device)
        except FactorRefusedError as refused:
            error = str(refused)
        except AccountError as refused:
            return _back(refused)
        try:
            options = self._accounts.begin_passkey_registration(token, self._site(request))
        except AccountError as refused:
            return _back(refused)
        return self._ask(request, _MAKE, "make", options, error=error, status=400 if error else 200)

    def prove(self, request: Request) -> Response:
        """Ask for a passkey of somebody whose password was right, or take the answer."""
        token = token_of(self._house, request)
        pending = self._accounts.pending(token)
        if pending is None or pending.passkeys == 0:
            return RedirectResponse("/sign-in", status_code=303)
        error, status = "", 200
        try:
            if field(request, "credential"):
                step = self._accounts.finish_passkey(
                    token,
                    field(request, "credential"),
                    self._site(request),
                    source=request.client.host if request.client else "",
                    device=request.cookies.get(self._house.device_cookie),
                )
                if step.outcome is Outcome.DONE:
                    gone = RedirectResponse(_next(request), status_code=303)
                    return self._house.keep(gone, token=step.token, device=step.device)
                wait = step.outcome is Outcome.WAIT
                error = (
                    "Too many attempts: try again in a minute." if wait else "That passkey was not taken: try again."
                )
                status = 429 if wait else 403
            options = self._accounts.begin_passkey(token, self._site(request))
        except AccountError:
            return RedirectResponse("/sign-in", status_code=303)
        return self._ask(request, _PROVE, "prove", options, error=error, status=status)

    def remove(self, request: Request) -> Response:
        """Remove one of the own passkeys."""
        try:
            self._accounts.remove_passkey(token_of(self._house, request), UUID(field(request, "passkey")))
        except StepUpNeededError:
            return RedirectResponse("/sign-in/factor?next=/account", status_code=303)
        except (AccountError, ValueError) as error:
            text = str(error) if isinstance(error, AccountError) else "You have no such passkey."
            return self._page(request, "not-removed.html", status=400, error=text)
        return RedirectResponse("/account", status_code=303)

    def _ask(self, request: Request, action: str, kind: str, options: str, *, error: str, status: int) -> Response:
        return self._page(
            request,
            "passkey.html",
            status=status,
            action=action,
            kind=kind,
            options=options,
            error=error,
            next=_next(request),
        )

    def _site(self, request: Request) -> Site:
        scheme = "https" if self._house.secure else "http"
        return Site(request.url.hostname or "", f"{scheme}://{request.headers.get('host', '')}")


def _back(refused: AccountError) -> Response:
    """Go to where what is missing is given: the second factor once more, or all of it."""
    step_up = isinstance(refused, StepUpNeededError)
    return RedirectResponse("/sign-in/factor?next=/account" if step_up else "/sign-in", status_code=303)


def _next(request: Request) -> str:
    return local_path(field(request, "next") or request.query_params.get("next", "/"))
