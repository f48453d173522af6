"""The page as an application: its addresses, its errors, its guards."""

import logging
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Final

from fastapi import FastAPI, Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.staticfiles import StaticFiles

from gonio.errors import GonioError
from gonio.gateway.page.diary_pages import DiaryPages
from gonio.gateway.page.door import guarded
from gonio.gateway.page.exercise_pages import ExercisePages
from gonio.gateway.page.home import Home
from gonio.gateway.page.languages import mark as _
from gonio.gateway.page.maker import PageMaker, Place
from gonio.gateway.page.message_pages import MessagePages
from gonio.gateway.page.phone_pages import PhonePages
from gonio.gateway.page.progress_pages import ProgressPages
from gonio.gateway.page.wish_pages import WishPages
from gonio.web.application import bare_app
from gonio.web.forms import BodyLimit
from gonio.web.pages import STATIC
from gonio.web.security import CONTENT_SECURITY_POLICY, LOOPBACK_NAMES, HostCheck, SecurityHeaders

log = logging.getLogger(__name__)

OWN_STATIC: Final = Path(__file__).parent / "static"
_FAULT: Final = 500
_BUSY: Final = 503
_ERRORS: Final = {
    403: (_("This was not saved"), _("The page was too old, or this phone is not paired. Go back and try again.")),
    404: (_("This page is not here"), _("It may belong to something that was struck out. Nothing was lost.")),
    _BUSY: (_("The kit cannot do this just now"), _("Nothing that was saved is lost. Wait a minute and try again.")),
    _FAULT: (_("Something went wrong"), _("What was saved before is safe. Go to Today and try again.")),
}
_MANIFEST: Final = {
    "name": "My knee exercises",
    "short_name": "Knee",
    "start_url": "/",
    "display": "standalone",
    "background_color": "#f5f6f8",
    "theme_color": "#0b5fcc",
    "icons": [{"src": "/static/icon.svg", "sizes": "any", "type": "image/svg+xml"}],
}


def create_page(
    home: Home, *, names: Iterable[str] = LOOPBACK_NAMES, place: Place | None = None, ticket: str | None = None
) -> FastAPI:
    """Make the application.

    Args:
        home: the kit as its page knows it.
        names: the host names that it answers to, lower case.
        place: what it is told about where it is.
        ticket: lets the browser of whoever runs the demo in.
    """
    app = bare_app("gonio kit", guarded(home, ticket))
    maker = PageMaker(home, place or Place())
    work, diary, progress = ExercisePages(home, maker), DiaryPages(home, maker), ProgressPages(home, maker)
    messages, wishes, phones = MessagePages(home, maker), WishPages(home, maker), PhonePages(home, maker)

    def lone(template: str) -> Callable[[Request], Awaitable[Response]]:
        async def page(request: Request) -> Response:
            return await maker.page(request, template)

        return page

    for path, page in (
        ("/", work.today),
        ("/exercise/{exercise}/{side}", work.exercise),
        ("/live", work.live),
        ("/live/events", work.events),
        ("/state", work.state),
        ("/after/{record_id}", diary.after),
        ("/done/{record_id}", diary.done),
        ("/log", diary.log),
        ("/told/{record_id}", diary.told),
        ("/progress", progress.progress),
        ("/messages", messages.thread),
        ("/reminders", wishes.reminders),
        ("/pause", wishes.pause),
        ("/more", lone("more.html")),
        ("/help", lone("help.html")),
        ("/phones", phones.phones),
        ("/pair", phones.pair),
        ("/data", wishes.data),
        ("/data/export", wishes.export),
    ):
        app.add_api_route(path, page, methods=["GET"], response_model=None)
    for path, page in (
        ("/exercise/{exercise}/{side}", work.start),
        ("/live/pause", work.pause),
        ("/live/stop", work.stop),
        ("/after/{record_id}", diary.tell_after),
        ("/log", diary.tell),
        ("/void/{record_id}", diary.void),
        ("/messages", messages.write),
        ("/reminders", wishes.remind),
        ("/snooze", wishes.snooze),
        ("/pause", wishes.take_pause),
        ("/phones", phones.set_phone),
        ("/phones/invite", phones.invite),
        ("/pair", phones.enter),
        ("/data", wishes.share),
    ):
        app.add_api_route(path, page, methods=["POST"], response_model=None)

    async def manifest(_request: Request) -> Response:
        return JSONResponse(_MANIFEST, media_type="application/manifest+json")

    app.add_route("/manifest.webmanifest", manifest)
    app.mount("/static/page", StaticFiles(directory=OWN_STATIC), name="own static")
    app.mount("/static", StaticFiles(directory=STATIC), name="static")

    async def refused(request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else _FAULT
        return _error_page(maker, request, status)

    async def kit_refused(request: Request, error: Exception) -> Response:
        log.warning("a page could not be answered: %s", error)
        return _error_page(maker, request, _BUSY)

    async def fault(request: Request, _error: Exception) -> Response:
        return _error_page(maker, request, _FAULT)

    app.add_exception_handler(HTTPException, refused)
    app.add_exception_handler(GonioError, kit_refused)
    app.add_exception_handler(Exception, fault)
    app.add_middleware(BodyLimit)
    app.add_middleware(HostCheck, names=names)
    app.add_middleware(
        SecurityHeaders,
        more={
            "Referrer-Policy": "same-origin",
            "Content-Security-Policy": f"{CONTENT_SECURITY_POLICY}; manifest-src 'self'",
        },
    )
    return app


def _error_page(maker: PageMaker, request: Request, status: int) -> Response:
    title, text = _ERRORS.get(status, _ERRORS[404 if status < _FAULT else _FAULT])
    said = maker.speech(request)
    return maker.lone_page(request, "error.html", status=status, title=said(title), text=said(text))
