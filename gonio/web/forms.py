"""Forms that people send: their size is bounded, and who sends them is the page they came from."""

import hashlib
import hmac
import re
from typing import Final

from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BODY: Final = 65_536
_TOO_LARGE: Final = "What was sent is larger than anything that these pages ask for. Nothing was changed.\n"
_LOCAL: Final = re.compile(r"/(?![/\\])[\x21-\x5b\x5d-\x7e]*")


class BodyLimit:
    """ASGI middleware that answers 413 to a body over ``MAX_BODY``, whatever its length says, before anything is done.

    The body of a request that passes is read whole: it is small.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request with a small body on."""
        if scope["type"] != "http" or scope["method"] in {"GET", "HEAD"}:
            await self._app(scope, receive, send)
            return
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            if len(body) > MAX_BODY:
                await PlainTextResponse(_TOO_LARGE, status_code=413)(scope, receive, send)
                return
            if not message.get("more_body", False):
                break
        waiting: list[Message] = [{"type": "http.request", "body": bytes(body), "more_body": False}]

        async def again() -> Message:
            return waiting.pop() if waiting else await receive()

        await self._app(scope, again, send)


def is_own(request: Request, origin: str) -> bool:
    """Tell whether a browser says that a request comes from a page of this very server (Fetch Metadata; RFC 6454).

    Args:
        request: one that changes something.
        origin: scheme, host and port of this server as the browser knows them.
    """
    site, said = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site is None:  # an older browser
        return said == origin
    # pages that send no referrer have browsers say "null" of their own forms, too
    return site == "same-origin" and said in {origin, "null", None}


def form_token(session_token: str) -> str:
    """Give what each form of a session bears, and no other site can know."""
    return hmac.new(session_token.encode(), b"gonio form", hashlib.sha256).hexdigest()


def bears_token(given: str, session_token: str) -> bool:
    """Tell whether a form bears its session's token."""
    return hmac.compare_digest(given.encode(), form_token(session_token).encode())


def local_path(text: str, *, otherwise: str = "/") -> str:
    """Give a path to go on to, if it is one of this server and nothing else."""
    return text if _LOCAL.fullmatch(text) and len(text) <= 500 else otherwise  # noqa: PLR2004 - longer ones are not ours
