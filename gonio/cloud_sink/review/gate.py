"""The gate before every page: who is it, may they, does the request come from a page of ours, and note what is read."""

import hmac
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol
from urllib.parse import parse_qsl, quote, urlencode
from uuid import UUID

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from gonio.cloud_sink.accounts import Accounts, Identity
from gonio.cloud_sink.accounts.sessions import DEVICE_LIFE
from gonio.cloud_sink.review.book import ClinicBook
from gonio.cloud_sink.review.rules import RULES, Rule
from gonio.cloud_sink.stock import StockRoom
from gonio.web.application import GatedRoute
from gonio.web.forms import bears_token, is_own

TOKEN_FIELD: Final = "form_token"  # noqa: S105 - the name of a field
_TICKET: Final = "ticket"

Handler = Callable[[Request], Awaitable[Response]]


class BookOf(Protocol):
    """Gives the book as one clinic may read it."""

    def __call__(self, clinic_id: UUID, /) -> ClinicBook:
        """Give it."""
        ...


@dataclass(frozen=True, slots=True)
class House:
    """What the pages stand on.

    Attributes:
        accounts: who may use them.
        book_of: what each clinic may read.
        stock: the boxes; its methods are told the clinic.
        secure: whether they are served over TLS, so that cookies go nowhere else.
        ticket: lets a browser on this machine in as the demo's therapist; None where there is no demo.
    """

    accounts: Accounts
    book_of: BookOf
    stock: StockRoom
    secure: bool = False
    ticket: str | None = None

    @property
    def session_cookie(self) -> str:
        """The name of the session's cookie; ``__Host-`` binds it to this host and to TLS."""
        return "__Host-gonio" if self.secure else "gonio"

    @property
    def device_cookie(self) -> str:
        """The name of the cookie by which a browser is known."""
        return "__Host-gonio-browser" if self.secure else "gonio-browser"

    def keep(self, response: Response, *, token: str | None, device: str | None = None) -> Response:
        """Give a browser its new session, and what it is known by."""
        if token is not None:
            self._set(response, self.session_cookie, token, None)
        if device is not None:
            self._set(response, self.device_cookie, device, int(DEVICE_LIFE.total_seconds()))
        return response

    def forget(self, response: Response) -> Response:
        """Take a browser's session."""
        response.delete_cookie(self.session_cookie, path="/", secure=self.secure, httponly=True, samesite="lax")
        return response

    def _set(self, response: Response, name: str, value: str, life_s: int | None) -> None:
        response.set_cookie(name, value, max_age=life_s, path="/", secure=self.secure, httponly=True, samesite="lax")


class SignInNeeded(Exception):  # noqa: N818 - no error: a turn on the way
    """Nobody is signed in."""


class Forbidden(Exception):  # noqa: N818 - as above
    """Who is signed in may not; ``patient_id`` is whom they may open by breaking the glass."""

    def __init__(self, patient_id: UUID | None = None) -> None:
        super().__init__()
        self.patient_id = patient_id


def guarded(house: House) -> type[GatedRoute]:
    """Make the kind of route that lets nobody through but by its rule.

    A route without a rule raises LookupError when it is added.
    """

    class GuardedRoute(GatedRoute):
        def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:  # noqa: ANN401 - FastAPI's
            super().__init__(path, endpoint, **options)
            self._rules = {method: _rule(method, path) for method in self.methods or {"GET"}}

        async def admit(self, request: Request) -> Response | None:
            return await _admit(house, request, self._rules[request.method])

    return GuardedRoute


def identity_of(request: Request) -> Identity:
    """Give who is signed in on a page that only they see."""
    identity = identity_or_none(request)
    if identity is None:
        raise SignInNeeded
    return identity


def identity_or_none(request: Request) -> Identity | None:
    """Give who is signed in, or None."""
    identity: Identity | None = getattr(request.state, "identity", None)
    return identity


def token_of(house: House, request: Request) -> str:
    """Give the token of a browser's session, "" for none."""
    return request.cookies.get(house.session_cookie, "")


def field(request: Request, name: str) -> str:
    """Give a field of the form that was sent, "" where it lacks."""
    form: dict[str, str] = getattr(request.state, "form", {})
    return form.get(name, "")


def sign_in_path(request: Request) -> str:
    """Give where to sign in and then come back; only what is safe to load again is come back to."""
    if request.method != "GET":
        return "/sign-in"
    here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return f"/sign-in?next={quote(here, safe='/')}" if here != "/" else "/sign-in"


def _rule(method: str, path: str) -> Rule:
    try:
        return RULES[(method, path)]
    except KeyError:
        raise LookupError(f"{method} {path} has no rule: say in review/rules.py who may use it") from None


async def _admit(house: House, request: Request, rule: Rule) -> Response | None:
    """Let a request pass, or give what is answered in its place.

    Raises:
        SignInNeeded: nobody is signed in.
        Forbidden: this user may not.
        HTTPException: 403 where the request is not from a page of ours.
    """
    if house.ticket is not None and (ticket := request.query_params.get(_TICKET)) is not None:
        if request.method == "GET" and hmac.compare_digest(ticket.encode(), house.ticket.encode()):
            return await _let_in_by_ticket(house, request)
        raise SignInNeeded
    token = token_of(house, request)
    request.state.identity = await run_in_threadpool(house.accounts.session, token) if token else None
    if request.method == "POST":
        await _read_form(house, request)
        if (
            not rule.public
            and request.state.identity is not None
            and not bears_token(field(request, TOKEN_FIELD), token)
        ):
            raise HTTPException(403)
    if rule.public:
        return None
    identity = identity_of(request)
    if identity.role not in rule.roles:
        await _open_glass(house, request, rule, identity)
    return None


async def _read_form(house: House, request: Request) -> None:
    origin = f"{'https' if house.secure else 'http'}://{request.headers.get('host', '')}"
    if not is_own(request, origin):
        raise HTTPException(403)
    async with request.form(max_files=0, max_fields=32) as form:
        request.state.form = {name: value for name, value in form.items() if isinstance(value, str)}


async def _open_glass(house: House, request: Request, rule: Rule, identity: Identity) -> None:
    """Let somebody through to the one patient whom they have opened.

    Raises:
        Forbidden: they have not.
    """
    if rule.subject is None:
        raise Forbidden
    patient_id = await run_in_threadpool(subject_of, house, request, rule, identity)
    if patient_id is None:
        raise Forbidden
    if await run_in_threadpool(house.accounts.opened, identity, patient_id) is None:
        raise Forbidden(patient_id)


def subject_of(house: House, request: Request, rule: Rule, identity: Identity) -> UUID | None:
    """Give whom of the user's own clinic an address is about; None where there is nobody."""
    book = house.book_of(identity.clinic_id)
    try:
        if rule.subject == "patient":
            patient = book.patient(UUID(request.path_params["patient_id"]))
            return None if patient is None else patient.patient_id
        session = book.session(UUID(request.path_params["record_id"]))
    except ValueError:
        return None
    return None if session is None else session.patient_id


async def _let_in_by_ticket(house: House, request: Request) -> Response:
    """Sign the demo's therapist in, and go to the same page without the ticket."""
    admitted = await run_in_threadpool(house.accounts.admit_demo)
    rest = [(name, value) for name, value in parse_qsl(request.url.query) if name != _TICKET]
    path = request.url.path + (f"?{urlencode(rest)}" if rest else "")
    return house.keep(RedirectResponse(path, status_code=303), token=admitted.token)
