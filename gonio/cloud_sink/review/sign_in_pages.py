"""Coming in and going: password, second factor, invitation, signing out."""

import io
import math
from typing import Final

import segno
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from gonio.cloud_sink.accounts import AccountError, Outcome, SignIn, Stage, TotpSecret
from gonio.cloud_sink.review.gate import House, field, identity_or_none, token_of
from gonio.cloud_sink.review.page import PageMaker
from gonio.web.forms import local_path

_WRONG: Final = "That was not right. Check e-mail address and password, and that Caps Lock is off."
_WRONG_CODE: Final = (
    "That code was not right, or was used already. Wait for the app's next code, or use a recovery code."
)
_AGAIN: Final = "Your sign-in took too long or has ended. Begin again."


class SignInPages:
    """The pages on the way in; nobody is signed in on them yet."""

    def __init__(self, house: House, maker: PageMaker) -> None:
        self._house = house
        self._accounts = house.accounts
        self._page = maker.page

    def form(self, request: Request) -> Response:
        """Ask for e-mail address and password."""
        if identity_or_none(request) is not None:
            return RedirectResponse(_next(request), status_code=303)
        return self._form(request)

    def take(self, request: Request) -> Response:
        """Take e-mail address and password."""
        login = field(request, "login")
        step = self._accounts.sign_in(
            login,
            field(request, "password"),
            source=_source(request),
            device=self._device(request),
            label=_browser(request),
        )
        if step.outcome in {Outcome.REFUSED, Outcome.WAIT}:
            return self._form(request, error=_said(step, _WRONG), login=login[:254], status=_status(step))
        return self._on(request, step)

    def factor_form(self, request: Request) -> Response:
        """Ask for the second factor; of somebody who is signed in, to step up."""
        pending = self._accounts.pending(token_of(self._house, request))
        if pending is None:
            return self._form(request, error=_AGAIN)
        if pending.stage is Stage.ENROL:
            return RedirectResponse("/sign-in/set-up", status_code=303)
        return self._page(request, "factor.html", error="", next=_next(request), passkeys=pending.passkeys)

    def take_factor(self, request: Request) -> Response:
        """Take a code of the app, or a recovery code."""
        token = token_of(self._house, request)
        pending = self._accounts.pending(token)
        if pending is None:
            return self._form(request, error=_AGAIN)
        code = "".join(field(request, "code").split())
        step = self._accounts.second_factor(token, code, source=_source(request), device=self._device(request))
        if step.outcome in {Outcome.REFUSED, Outcome.WAIT}:
            error = _said(step, _WRONG_CODE)
            return self._page(
                request,
                "factor.html",
                status=_status(step),
                error=error,
                next=_next(request),
                passkeys=pending.passkeys,
            )
        return self._on(request, step)

    def set_up_form(self, request: Request) -> Response:
        """Show the secret for an authenticator app."""
        if self._accounts.pending(token_of(self._house, request)) is None:
            return self._form(request, error=_AGAIN)
        try:
            secret = self._accounts.begin_totp(token_of(self._house, request))
        except AccountError:  # signed in, and the second factor was given too long ago
            return RedirectResponse("/sign-in/factor?next=/sign-in/set-up", status_code=303)
        return self._set_up(request, secret)

    def set_up(self, request: Request) -> Response:
        """Take the app's first code; show recovery codes, once."""
        token = token_of(self._house, request)
        if self._accounts.pending(token) is None:
            return self._form(request, error=_AGAIN)
        try:
            step = self._accounts.confirm_totp(token, "".join(field(request, "code").split()))
        except AccountError as error:
            secret = TotpSecret(field(request, "secret")[:200], field(request, "uri")[:500])
            return self._set_up(request, secret, error=str(error))
        if not step.recovery_codes:
            return self._on(request, step)
        shown = self._page(request, "recovery-codes.html", codes=step.recovery_codes)
        return self._house.keep(shown, token=step.token, device=step.device)

    def join_form(self, request: Request, token: str) -> Response:
        """Greet somebody who was invited."""
        return self._join(request, token)

    def join(self, request: Request, token: str) -> Response:
        """Take the first password."""
        if field(request, "password") != field(request, "again"):
            return self._join(request, token, error="The two passwords are not the same.")
        try:
            step = self._accounts.accept_invitation(
                token, field(request, "password"), source=_source(request), label=_browser(request)
            )
        except AccountError as error:
            return self._join(request, token, error=str(error))
        return self._on(request, step)

    def sign_out(self, request: Request) -> Response:
        """End the session."""
        self._accounts.sign_out(token_of(self._house, request))
        return self._house.forget(RedirectResponse("/sign-in", status_code=303))

    # --- what they share ---

    def _on(self, request: Request, step: SignIn) -> Response:
        """Go on to what comes next."""
        to = {Outcome.FACTOR: "/sign-in/factor", Outcome.ENROL: "/sign-in/set-up"}.get(step.outcome)
        path = _next(request)
        if to is None:
            to = path
        elif path != "/":
            to = f"{to}?next={path}" if "?" not in path else to
        return self._house.keep(RedirectResponse(to, status_code=303), token=step.token, device=step.device)

    def _form(self, request: Request, *, error: str = "", login: str = "", status: int = 200) -> Response:
        nobody = not self._accounts.has_users()
        return self._page(
            request,
            "sign-in.html",
            status=status,
            error=error,
            login=login,
            next=_next(request),
            nobody=nobody,
            demo=self._house.ticket is not None,
        )

    def _set_up(self, request: Request, secret: TotpSecret, *, error: str = "") -> Response:
        picture = io.BytesIO()
        segno.make(secret.uri, error="m").save(
            picture, kind="svg", xmldecl=False, svgns=True, omitsize=True, title="QR code for your authenticator app"
        )
        return self._page(
            request,
            "set-up.html",
            status=400 if error else 200,
            secret=secret,
            picture=Markup(picture.getvalue().decode()),  # noqa: S704 - segno wrote it
            error=error,
            next=_next(request),
        )

    def _join(self, request: Request, token: str, *, error: str = "") -> Response:
        invited = self._accounts.invitation(token)
        status = 404 if invited is None else 400 if error else 200
        return self._page(request, "join.html", status=status, invited=invited, error=error)

    def _device(self, request: Request) -> str | None:
        return request.cookies.get(self._house.device_cookie)


def _next(request: Request) -> str:
    return local_path(field(request, "next") or request.query_params.get("next", "/"))


def _said(step: SignIn, wrong: str) -> str:
    if step.outcome is Outcome.WAIT:
        return f"Too many attempts. This one was not looked at: try again in {_wait(step.wait_s)}."
    return f"{wrong} The next attempt is looked at in {_wait(step.wait_s)}." if step.wait_s >= 1 else wrong


def _wait(seconds: float) -> str:
    return f"{math.ceil(seconds)} s" if seconds < 120 else f"{math.ceil(seconds / 60)} minutes"  # noqa: PLR2004 - 2 minutes


def _status(step: SignIn) -> int:
    return 429 if step.outcome is Outcome.WAIT else 403


def _source(request: Request) -> str:
    return request.client.host if request.client else ""


def _browser(request: Request) -> str:
    """What a browser calls itself, short and harmless: it stands in the list of one's sessions."""
    said = request.headers.get("user-agent", "")
    return "".join(c for c in said if c.isprintable())[:100]
