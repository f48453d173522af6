"""Which phones may look, and how each is set."""

import io
from typing import TYPE_CHECKING

import segno
from markupsafe import Markup
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from gonio.gateway.page.door import form_of, let_in, phone_of
from gonio.gateway.page.home import Home
from gonio.gateway.page.languages import LANGUAGES
from gonio.gateway.page.languages import mark as _
from gonio.gateway.page.maker import PageMaker, go
from gonio.gateway.page.phones import PairingError

if TYPE_CHECKING:
    from gonio.messages.check_in import Author


class PhonePages:
    """Pairing, and what is set on a phone."""

    def __init__(self, home: Home, maker: PageMaker) -> None:
        self._home = home
        self._maker = maker

    async def phones(self, request: Request) -> Response:
        """Show who may look, and how this phone is set."""
        phones = await run_in_threadpool(self._home.phones.all)
        return await self._maker.page(request, "phones.html", phones=phones, invitation=None)

    async def invite(self, request: Request) -> Response:
        """Show a picture that lets one more phone in."""
        code = self._home.phones.invite()
        address = f"{request.url.scheme}://{request.headers.get('host', '')}/pair?code={code}"
        phones = await run_in_threadpool(self._home.phones.all)
        return await self._maker.page(
            request,
            "phones.html",
            phones=phones,
            invitation=address,
            qr=_qr(address, self._maker.speech(request)(_("Picture for the other phone's camera"))),
        )

    async def set_phone(self, request: Request) -> Response:
        """Keep how this phone is set, or let another one in no more."""
        form, phone = form_of(request), phone_of(request)
        if form.text("remove"):
            await run_in_threadpool(self._home.phones.remove, form.text("remove"))
            return go("/phones")
        language = form.text("language")
        author: Author = "caregiver" if form.text("author") == "caregiver" else "patient"
        changes = {
            "name": form.text("name").strip()[:64] or phone.name,
            "author": author,
            "left_handed": bool(form.text("left_handed")),
            "language": language if language in LANGUAGES else None,
        }
        await run_in_threadpool(lambda: self._home.phones.change(phone, **changes))
        return go("/phones")

    async def pair(self, request: Request) -> Response:
        """Ask for the kit's code; the picture on the card brings it along."""
        return self._maker.lone_page(
            request, "pair.html", code=request.query_params.get("code", "")[:64], error=None, wait_s=0
        )

    async def enter(self, request: Request) -> Response:
        """Let a phone in that has the code."""
        form = form_of(request)
        author: Author = "caregiver" if form.text("author") == "caregiver" else "patient"
        try:
            token = await run_in_threadpool(
                self._home.phones.pair, form.text("code")[:64], form.text("name"), author, self._home.kit.now()
            )
        except PairingError as error:
            return self._maker.lone_page(
                request, "pair.html", code="", error=error, wait_s=round(error.wait_s), status=403
            )
        return let_in(go("/"), token, secure=request.url.scheme == "https")


def _qr(text: str, title: str) -> Markup:
    """Draw a QR code (ISO/IEC 18004) as SVG."""
    out = io.BytesIO()
    segno.make(text, error="m").save(out, kind="svg", scale=6, border=3, xmldecl=False, title=title, light="white")
    return Markup(out.getvalue().decode())  # noqa: S704 - segno writes shapes and the title, escaped
