"""What every answer of our servers carries, and which requests they answer at all.

A page of ours loads nothing from elsewhere and runs no script or style but its own files, so the policy is short. Pages
hold patients' data: no cache keeps them, no address travels on in a ``Referer``, no other site frames them. The check
of the ``Host`` header stops a foreign site whose name was pointed at this machine (DNS rebinding) from reading them.
"""

from collections.abc import Iterable
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

#: The names by which a browser on this machine reaches a server bound to a loopback address.
LOOPBACK_NAMES: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})

CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)

HEADERS: Final = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), usb=()",
}


class SecurityHeaders:
    """ASGI middleware that sets ``HEADERS`` on every answer and forbids caches all but our static files."""

    def __init__(
        self, app: ASGIApp, *, static_prefix: str = "/static/", tls: bool = False, more: dict[str, str] | None = None
    ) -> None:
        """Guard an application.

        Args:
            app: what is guarded.
            static_prefix: where files stand that bear no patient's data.
            tls: browsers are told never to come without it.
            more: headers that differ from ``HEADERS``, or stand beside them.
        """
        self._app = app
        self._static_prefix = static_prefix
        self._headers = HEADERS | ({"Strict-Transport-Security": "max-age=31536000"} if tls else {}) | (more or {})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; complete the headers of its answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        # the static files bear no patient's data; they are asked for again each time, and answered 304 by their ETag
        cache = "no-cache" if scope["path"].startswith(self._static_prefix) else "no-store"

        async def complete(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(self._headers)
                headers["Cache-Control"] = cache
            await send(message)

        await self._app(scope, receive, complete)


class HostCheck:
    """ASGI middleware that answers 400 to a request whose ``Host`` is none of ours.

    Args:
        app: what is guarded.
        names: the host names that are served, lower case, without port; an IPv6 address in brackets.
    """

    def __init__(self, app: ASGIApp, *, names: Iterable[str] = LOOPBACK_NAMES) -> None:
        self._app = app
        self._names = frozenset(names)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on if it names us; refuse it otherwise."""
        if scope["type"] in ("http", "websocket") and _name(Headers(scope=scope).get("host", "")) not in self._names:
            text = f"This server does not answer by that name. Open it as {min(self._names)} and its port.\n"
            await PlainTextResponse(text, status_code=400)(scope, receive, send)
            return
        await self._app(scope, receive, send)


def _name(host: str) -> str:
    """Cut the port off a ``Host`` header."""
    name = host.strip().lower()
    if name.startswith("["):
        return name[: name.find("]") + 1]
    return name.partition(":")[0]
