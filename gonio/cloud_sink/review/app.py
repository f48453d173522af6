"""The clinic's pages as an ASGI application. It reads the book and changes nothing."""

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

from gonio.cloud_sink.review.book import Book
from gonio.cloud_sink.review.completeness_view import view_completeness
from gonio.cloud_sink.review.kit_view import REFUSALS_SHOWN, refusal_table, view_kit
from gonio.cloud_sink.review.patient_view import view_patient
from gonio.cloud_sink.review.patients_view import view_patients
from gonio.cloud_sink.review.session_view import SENSOR_FACTS, view_session
from gonio.cloud_sink.review.words import BANDS
from gonio.errors import GonioError
from gonio.web.pages import STATIC, Pages
from gonio.web.security import LOOPBACK_NAMES, HostCheck, SecurityHeaders
from gonio.web.words import Level, clock, count, day

log = logging.getLogger(__name__)

_NOT_FOUND: Final = 404
_FAULT: Final = 500
_UNREADABLE: Final = 503
#: Far beyond the last page of any clinic's kits.
MAX_PAGE: Final = 1_000_000
_ERRORS: Final = {
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


def create_app(store: Book, *, names: Iterable[str] = LOOPBACK_NAMES, now: Callable[[], datetime] = utc_now) -> FastAPI:
    """Make the application.

    Args:
        store: the clinic's book, read from worker threads.
        names: the host names it answers to.
        now: the clock against which ages are told, aware.
    """
    app = FastAPI(
        title="gonio review",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        # FastAPI can report requests to a collector that the environment names: addresses of pages stay here
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
    )
    review = _Review(store, now)
    app.add_api_route("/", review.root)
    app.add_api_route("/patients", review.patients)
    app.add_api_route("/patients/{patient_id}", review.patient)
    app.add_api_route("/sessions/{record_id}", review.session)
    app.add_api_route("/completeness", review.completeness)
    app.add_api_route("/completeness/kits/{kit_id}", review.kit)
    app.add_api_route("/completeness/quarantine", review.quarantine)
    app.add_api_route("/completeness/log", review.log)
    app.add_exception_handler(HTTPException, review.http_error)
    app.add_exception_handler(RequestValidationError, review.not_an_id)
    app.add_exception_handler(GonioError, review.cannot_read)
    app.add_exception_handler(Exception, review.fault)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    # the one added last meets the request first
    app.add_middleware(HostCheck, names=names)
    app.add_middleware(SecurityHeaders)
    return app


class _Review:
    """The pages; each reads what it shows anew."""

    def __init__(self, store: Book, now: Callable[[], datetime]) -> None:
        self._store = store
        self._now = now
        self._pages = Pages("gonio.cloud_sink.review")

    def root(self) -> Response:
        return RedirectResponse("/patients")

    def patients(self) -> Response:
        view = view_patients(self._store, self._now())
        return self._page("patients.html", view=view, sources=view.sources)

    def patient(self, patient_id: UUID, before: Annotated[AwareDatetime | None, Query()] = None) -> Response:
        row = self._store.patient(patient_id)
        if row is None:
            raise HTTPException(_NOT_FOUND)
        view = view_patient(self._store, row, self._now(), before)
        return self._page("patient.html", view=view, sources=view.sources)

    def session(self, record_id: UUID) -> Response:
        row = self._store.session(record_id)
        if row is None:
            raise HTTPException(_NOT_FOUND)
        owner = self._store.patient(row.patient_id) if row.patient_id else None
        view = view_session(self._store, row, owner, self._now())
        return self._page("session.html", view=view, patient=owner, sensor_facts=SENSOR_FACTS, sources=view.sources)

    def completeness(self, page: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 1) -> Response:
        view = view_completeness(self._store.proof, self._now(), page)
        return self._page("completeness.html", view=view, sources=view.sources)

    def kit(self, kit_id: str, before: Annotated[date | None, Query()] = None) -> Response:
        proof = self._store.proof
        states = proof.states(kit_id)
        if not states:
            raise HTTPException(_NOT_FOUND)
        view = view_kit(proof, states[0], self._now(), before)
        return self._page("kit.html", view=view, sources=view.sources)

    def quarantine(self) -> Response:
        table = refusal_table(self._store.proof.refusals(limit=REFUSALS_SHOWN), with_kit=True)
        return self._page("quarantine.html", table=table, most=REFUSALS_SHOWN)

    def log(self) -> Response:
        check = self._store.proof.log()
        return self._page("log.html", check=check, rows=count(check.rows, "row"), good=Level.GOOD, act=Level.ACT)

    def http_error(self, _request: Request, error: Exception) -> Response:
        return self._error_page(error.status_code if isinstance(error, HTTPException) else _FAULT)

    def not_an_id(self, _request: Request, _error: Exception) -> Response:
        return self._error_page(_NOT_FOUND)

    def cannot_read(self, _request: Request, error: Exception) -> Response:
        log.error("the store cannot be read: %s", error)
        return self._error_page(_UNREADABLE)

    def fault(self, _request: Request, _error: Exception) -> Response:
        return self._error_page(_FAULT)

    def _page(self, template: str, *, status: int = 200, sources: Iterable[str] = (), **context: object) -> Response:
        made = self._now()
        bands = [BANDS[source] for source in BANDS if source in set(sources)]
        return self._pages.render(template, status, bands=bands, made=f"{day(made)}, {clock(made)} UTC", **context)

    def _error_page(self, status: int) -> Response:
        title, text = _ERRORS.get(status, _ERRORS[_FAULT])
        return self._page("error.html", status=status, title=title, text=text, status_code=status)
