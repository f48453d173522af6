"""What therapist and patient write to each other."""

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from gonio.gateway.page.door import form_of, phone_of
from gonio.gateway.page.forms import LONGEST_NOTE, TOO_LONG
from gonio.gateway.page.home import Home, Look
from gonio.gateway.page.maker import PageMaker, go
from gonio.messages.patient import PatientMessage


class MessagePages:
    """The thread of messages, and a new one."""

    def __init__(self, home: Home, maker: PageMaker) -> None:
        self._home = home
        self._maker = maker

    async def thread(self, request: Request) -> Response:
        """Show what therapist and patient wrote; the clinic is told that it was read."""
        look = await self._home.look()
        if look.unread:
            for one in look.received:
                await self._home.read(one)
            look = await self._home.look()
        return await self._show(request, look)

    async def write(self, request: Request) -> Response:
        """Send a message to the therapist."""
        form = form_of(request)
        text = form.text("text").strip()
        if not text:
            return go("/messages")
        if len(text) > LONGEST_NOTE:
            return await self._show(request, await self._home.look(), text=text, error=TOO_LONG)
        message = PatientMessage(
            text=text,
            author=phone_of(request).author,
            about=form.identifier("about"),
            ask=bool(form.text("ask")),
        )
        await self._home.tell(message, form.identifier("record_id"))
        return go("/messages?sent=1")

    async def _show(self, request: Request, look: Look, *, text: str = "", error: str | None = None) -> Response:
        written = [(one.at, None, one) for one in look.history.messages]
        got = [(one.at, one, None) for one in look.received]
        return await self._maker.page(
            request,
            "messages.html",
            look=look,
            thread=sorted([*written, *got], key=lambda entry: entry[0], reverse=True),
            states=await run_in_threadpool(self._home.kit.store.states, [one.record_id for _, _, one in written]),
            sent=request.query_params.get("sent"),
            text=text,
            error=error,
            status=200 if error is None else 422,
        )
