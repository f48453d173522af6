"""Who may open the page: phones that are paired; every other one is asked for the kit's code first.

A form bears what only a page of this very phone can know. The kit's own pages say where they come from to themselves
only (``Referrer-Policy: same-origin``): on plain HTTP a browser would otherwise call every form's origin "null".
"""

import hmac
from typing import Final

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from gonio.gateway.page.forms import Form
from gonio.gateway.page.home import Home
from gonio.gateway.page.phones import Phone
from gonio.web.application import GatedRoute
from gonio.web.forms import bears_token, form_token

COOKIE: Final = "gonio-kit"
TOKEN_FIELD: Final = "form_token"  # noqa: S105 - the name of a field
_TICKET: Final = "ticket"
_LIFE_S: Final = 400 * 86400  # as long as browsers keep a cookie at most
PUBLIC: Final = frozenset({"/pair"})


def guarded(home: Home, ticket: str | None) -> type[GatedRoute]:
    """Make the kind of route that lets paired phones through and no other.

    Args:
        home: knows the phones.
        ticket: lets the browser of whoever runs the demo in; None where there is no demo.
    """

    class GuardedRoute(GatedRoute):
        async def admit(self, request: Request) -> Response | None:
            return await _admit(home, ticket, request)

    return GuardedRoute


def phone_of(request: Request) -> Phone:
    """Give the phone that asks."""
    phone: Phone | None = phone_or_none(request)
    if phone is None:
        raise HTTPException(403)
    return phone


def phone_or_none(request: Request) -> Phone | None:
    """Give the phone that asks, None before it is paired."""
    phone: Phone | None = getattr(request.state, "phone", None)
    return phone


def form_of(request: Request) -> Form:
    """Give the form that was sent."""
    form: Form = getattr(request.state, "form", Form())
    return form


def token_for(request: Request) -> str:
    """Give what a form of this phone bears."""
    return form_token(request.cookies.get(COOKIE, ""))


def let_in(response: Response, token: str, *, secure: bool) -> Response:
    """Give a phone what it is known by."""
    response.set_cookie(COOKIE, token, max_age=_LIFE_S, path="/", secure=secure, httponly=True, samesite="lax")
    return response


async def _admit(home: Home, ticket: str | None, request: Request) -> Response | None:
    given = request.query_params.get(_TICKET)
    if ticket is not None and given is not None and hmac.compare_digest(given.encode(), ticket.encode()):
        token = await run_in_threadpool(home.phones.admit, "this computer", "patient", home.kit.now())
        return let_in(RedirectResponse(request.url.path, 303), token, secure=request.url.scheme == "https")
    token = request.cookies.get(COOKIE, "")
    request.state.phone = await run_in_threadpool(home.phones.find, token) if token else None
    if request.method == "POST":
        await _read_form(request)
    if request.url.path in PUBLIC:
        return None
    if request.state.phone is None:
        if request.method == "GET":
            return RedirectResponse("/pair", 303)
        raise HTTPException(403)
    if request.method == "POST" and not bears_token(form_of(request).text(TOKEN_FIELD), token):
        raise HTTPException(403)
    return None


async def _read_form(request: Request) -> None:
    """Read a form that comes from a page of ours.

    Raises:
        HTTPException: 403, it comes from elsewhere.
    """
    said = request.headers.get("origin")
    own = f"{request.url.scheme}://{request.headers.get('host', '')}"
    if said is not None and said != own:
        raise HTTPException(403)
    async with request.form(max_files=0, max_fields=80) as sent:
        values: dict[str, list[str]] = {}
        for name, value in sent.multi_items():
            if isinstance(value, str):
                values.setdefault(name, []).append(value)
        request.state.form = Form(values)
