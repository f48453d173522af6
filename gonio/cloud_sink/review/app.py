"""What the clinic's pages show; who may open which stands in ``rules``, who comes is asked at the ``gate``."""

import logging
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime
from typing import Annotated, Final
from uuid import UUID

from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse, Response
from pydantic import AwareDatetime
from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles

from gonio.cloud_sink.accounts import Role
from gonio.cloud_sink.review.account_pages import AccountPages
from gonio.cloud_sink.review.admin_pages import AdminPages
from gonio.cloud_sink.review.book import ClinicBook
from gonio.cloud_sink.review.completeness_view import view_completeness
from gonio.cloud_sink.review.days_view import view_days
from gonio.cloud_sink.review.gate import Forbidden, House, SignInNeeded, guarded, identity_of, sign_in_path
from gonio.cloud_sink.review.kit_view import REFUSALS_SHOWN, refusal_table, view_kit
from gonio.cloud_sink.review.page import PageMaker
from gonio.cloud_sink.review.passkey_pages import PasskeyPages
from gonio.cloud_sink.review.patient_view import view_patient
from gonio.cloud_sink.review.patients_view import view_patients
from gonio.cloud_sink.review.rules import LISTS, TREATING
from gonio.cloud_sink.review.session_view import SENSOR_FACTS, view_session
from gonio.cloud_sink.review.sign_in_pages import SignInPages
from gonio.cloud_sink.review.stock_pages import StockPages
from gonio.errors import GonioError
from gonio.web.application import bare_app
from gonio.web.forms import BodyLimit
from gonio.web.pages import STATIC
from gonio.web.security import LOOPBACK_NAMES, HostCheck, SecurityHeaders
from gonio.web.words import Level, count

log = logging.getLogger(__name__)

_NOT_FOUND: Final = 404
_FORBIDDEN: Final = 403
_FAULT: Final = 500
_UNREADABLE: Final = 503
#: Far beyond the last page of any clinic's kits.
MAX_PAGE: Final = 1_000_000
_ERRORS: Final = {
    _FORBIDDEN: (
        "This was not done",
        "Your role does not do this, or the page it came from is too old. Nothing was changed. Load that page anew.",
    ),
    _NOT_FOUND: (
        "This page is not here",
        "The address may be mistyped or cut short, or what it showed belongs to another store. Nothing was lost.",
    ),
    405: ("This address only shows a page", "Nothing was changed. Go back and open the page anew."),
    _UNREADABLE: (
        "The records cannot be read just now",
        "Nothing was lost: the store and the kits keep it. Load the page again in a minute; the log says why.",
    ),
    _FAULT: (
        "Something is wrong with this page",
        "Nothing was lost or changed. Load it again; if it stays so, report it with the log of this server.",
    ),
}


def utc_now() -> datetime:
    """Give the moment, aware."""
    return datetime.now(UTC)


def create_app(
    house: House, *, names: Iterable[str] = LOOPBACK_NAMES, now: Callable[[], datetime] = utc_now
) -> FastAPI:
    """Make the application.

    Args:
        house: accounts and book, read from worker threads.
        names: the host names it answers to.
        now: the clock against which ages are told, aware.

    Raises:
        LookupError: a route has no rule.
    """
    app = bare_app("gonio review", guarded(house))
    maker = PageMaker(house, now)
    review = _Review(house, maker, now)
    get, post = ["GET"], ["POST"]
    sign_in, account, admin = SignInPages(house, maker), AccountPages(house, maker), AdminPages(house, maker)
    stock, passkeys = StockPages(house, maker), PasskeyPages(house, maker)
    for path, endpoint, methods in (
        ("/", review.root, get),
        ("/sign-in", sign_in.form, get),
        ("/sign-in", sign_in.take, post),
        ("/sign-in/factor", sign_in.factor_form, get),
        ("/sign-in/factor", sign_in.take_factor, post),
        ("/sign-in/set-up", sign_in.set_up_form, get),
        ("/sign-in/set-up", sign_in.set_up, post),
        ("/sign-in/set-up/passkey", passkeys.make, post),
        ("/sign-in/passkey", passkeys.prove, post),
        ("/sign-out", sign_in.sign_out, post),
        ("/join/{token}", sign_in.join_form, get),
        ("/join/{token}", sign_in.join, post),
        ("/patients", review.patients, get),
        ("/patients/{patient_id}", review.patient, get),
        ("/sessions/{record_id}", review.session, get),
        ("/break-glass/{patient_id}", admin.glass_form, get),
        ("/break-glass/{patient_id}", admin.break_glass, post),
        ("/completeness", review.completeness, get),
        ("/completeness/kits/{kit_id}", review.kit, get),
        ("/completeness/quarantine", review.quarantine, get),
        ("/stock", stock.list, get),
        ("/stock.csv", stock.csv, get),
        ("/stock/{item_id}", stock.box, get),
        ("/stock/{item_id}", stock.change, post),
        ("/log", admin.log, get),
        ("/log/check", review.log, get),
        ("/log/export", admin.export, post),
        ("/account", account.form, get),
        ("/account/password", account.change_password, post),
        ("/account/recovery-codes", account.new_codes, post),
        ("/account/sessions/end", account.end_sessions, post),
        ("/account/passkeys/remove", passkeys.remove, post),
        ("/users", admin.users, get),
        ("/users/invite", admin.invite, post),
        ("/users/{user_id}", admin.change_user, post),
    ):
        app.router.add_api_route(path, endpoint, methods=methods, response_model=None)
    app.add_exception_handler(SignInNeeded, review.sign_in_needed)
    app.add_exception_handler(Forbidden, review.forbidden)
    app.add_exception_handler(HTTPException, review.http_error)
    app.add_exception_handler(RequestValidationError, review.not_an_id)
    app.add_exception_handler(GonioError, review.cannot_read)
    app.add_exception_handler(Exception, review.fault)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    # the one added last meets the request first
    app.add_middleware(BodyLimit)
    app.add_middleware(HostCheck, names=names)
    app.add_middleware(SecurityHeaders, tls=house.secure)
    return app


class _Review:
    """The pages; each reads what it shows anew, and notes of whom."""

    def __init__(self, house: House, maker: PageMaker, now: Callable[[], datetime]) -> None:
        self._house = house
        self._page = maker.page
        self._now = now

    def _book(self, request: Request) -> ClinicBook:
        return self._house.book_of(identity_of(request).clinic_id)

    def _note(self, request: Request, patient_id: UUID | None, page: str) -> None:
        """Note a look at a patient before it is given; where that cannot be noted, there is no look."""
        if patient_id is None:
            return
        identity = identity_of(request)
        opened = None if identity.role in TREATING else self._house.accounts.opened(identity, patient_id)
        reason = "" if opened is None else f"break-glass: {opened.reason}"
        self._book(request).note_read(identity.actor, patient_id, page, reason[:500])

    def root(self, request: Request) -> Response:
        role = identity_of(request).role
        return RedirectResponse("/patients" if role in LISTS else "/users" if role is Role.ADMIN else "/log")

    def patients(self, request: Request) -> Response:
        book = self._book(request)
        if identity_of(request).role is Role.BILLER:
            return self._page(request, "days.html", view=view_days(book, self._now()))
        view = view_patients(book, self._now())
        return self._page(request, "patients.html", view=view, sources=view.sources)

    def patient(
        self, request: Request, patient_id: UUID, before: Annotated[AwareDatetime | None, Query()] = None
    ) -> Response:
        book = self._book(request)
        row = book.patient(patient_id)
        if row is None:
            raise HTTPException(_NOT_FOUND)
        self._note(request, row.patient_id, "patient")
        view = view_patient(book, row, self._now(), before)
        return self._page(request, "patient.html", view=view, sources=view.sources)

    def session(self, request: Request, record_id: UUID) -> Response:
        book = self._book(request)
        row = book.session(record_id)
        if row is None:
            raise HTTPException(_NOT_FOUND)
        self._note(request, row.patient_id, "session")
        owner = book.patient(row.patient_id) if row.patient_id else None
        view = view_session(book, row, owner, self._now())
        return self._page(
            request, "session.html", view=view, patient=owner, sensor_facts=SENSOR_FACTS, sources=view.sources
        )

    def completeness(self, request: Request, page: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 1) -> Response:
        view = view_completeness(self._book(request).proof, self._now(), page)
        return self._page(request, "completeness.html", view=view, sources=view.sources)

    def kit(self, request: Request, kit_id: str, before: Annotated[date | None, Query()] = None) -> Response:
        proof = self._book(request).proof
        states = proof.states(kit_id)
        if not states:
            raise HTTPException(_NOT_FOUND)
        view = view_kit(proof, states[0], self._now(), before)
        return self._page(request, "kit.html", view=view, sources=view.sources)

    def quarantine(self, request: Request) -> Response:
        table = refusal_table(self._book(request).proof.refusals(limit=REFUSALS_SHOWN), with_kit=True)
        return self._page(request, "quarantine.html", table=table, most=REFUSALS_SHOWN)

    def log(self, request: Request) -> Response:
        check = self._book(request).proof.log()
        rows = count(check.rows, "row")
        return self._page(request, "log.html", check=check, rows=rows, good=Level.GOOD, act=Level.ACT)

    def sign_in_needed(self, request: Request, _error: Exception) -> Response:
        return self._house.forget(RedirectResponse(sign_in_path(request), status_code=303))

    def forbidden(self, request: Request, error: Exception) -> Response:
        patient_id = error.patient_id if isinstance(error, Forbidden) else None
        return self._page(request, "forbidden.html", status=_FORBIDDEN, patient_id=patient_id)

    def http_error(self, request: Request, error: Exception) -> Response:
        return self._error_page(request, error.status_code if isinstance(error, HTTPException) else _FAULT)

    def not_an_id(self, request: Request, _error: Exception) -> Response:
        return self._error_page(request, _NOT_FOUND)

    def cannot_read(self, request: Request, error: Exception) -> Response:
        log.error("the store cannot be read: %s", error)
        return self._error_page(request, _UNREADABLE)

    def fault(self, request: Request, _error: Exception) -> Response:
        return self._error_page(request, _FAULT)

    def _error_page(self, request: Request, status: int) -> Response:
        title, text = _ERRORS.get(status, _ERRORS[_FAULT])
        return self._page(request, "error.html", status=status, title=title, text=text, status_code=status)
