"""What all our web applications begin with: no pages but our own, and a gate before each of them."""

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response


class GatedRoute(APIRoute):
    """A route that asks its gate first; an application derives its own from it."""

    async def admit(self, request: Request) -> Response | None:
        """Let a request pass, or give what is answered in its place; errors are answered by the application."""
        raise NotImplementedError

    def get_route_handler(self) -> Callable[[Request], Any]:
        """Put the gate before the handler."""
        handler = super().get_route_handler()

        async def check(request: Request) -> Response:
            answer = await self.admit(request)
            if answer is not None:
                return answer
            given: Response = await handler(request)
            return given

        return check


def bare_app(title: str, route_class: type[GatedRoute]) -> FastAPI:
    """Make an application without any page, whose routes are gated."""
    app = FastAPI(
        title=title,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        # FastAPI can report requests to a collector that the environment names: addresses of pages stay here
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
    )
    app.router.route_class = route_class
    app.router.redirect_slashes = False
    return app
