"""The service that kits talk to when they enrol and renew: four addresses, JSON, nothing of a patient.

It is open to the network, so everything is bounded: the size of a body, requests from one address and in all, the
memory that counts them. What it refuses it says in a sentence that the person with the kit can act on.
"""

import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gonio.cloud_sink.engine import StoreError, StoreUnavailableError
from gonio.cloud_sink.enrolment.claims import ClaimRefusedError
from gonio.cloud_sink.enrolment.desk import EnrolmentDesk, Issue
from gonio.cloud_sink.enrolment.keys import KitKey
from gonio.errors import GonioError
from gonio.identity.certificates import Certificate
from gonio.identity.claim import ClaimCodeError, plain
from gonio.messages import reason_of, wire_time
from gonio.messages.wire import KitId

log = logging.getLogger(__name__)

MAX_BODY: Final = 16_384  # a certificate, a request and a proof are 3 kB
#: Requests that one address may make in a minute; a clinic that sets up kits behind one address makes a few.
PER_ADDRESS: Final = 30
#: In all, so that signing cannot be used to keep the machine busy: each costs about a millisecond.
IN_ALL: Final = 600
_WINDOW_S: Final = 60.0
_ADDRESSES: Final = 10_000  # that are counted apart; the longest silent is forgotten
#: How long a kit waits before it asks again for a certificate that somebody elsewhere signs, s.
POLL_S: Final = 60.0


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ClaimBody(_Body):
    """What a kit shows to be claimed."""

    code: str = Field(max_length=64)
    kit_id: KitId
    request: str = Field(max_length=4096)
    software: str = Field(default="", max_length=64)


class RenewBody(_Body):
    """What a kit shows for its next certificate; the present one is not looked at: the key counts."""

    kit_id: KitId
    certificate: str = Field(default="", max_length=8192)
    request: str = Field(max_length=4096)
    at: str = Field(max_length=40)
    proof: str = Field(max_length=128)


@dataclass(frozen=True, slots=True)
class Clinic:
    """What every kit of the clinic is told.

    Attributes:
        authority: who vouches for the clinic's servers and its kits.
        broker: where kits send, ``mqtts://host[:port]``.
        clinic_key: the key that the clinic signs what goes down with: SubjectPublicKeyInfo in DER, base64.
        issue: the authority's hand; gives None where somebody elsewhere signs.
    """

    authority: Certificate
    broker: str
    clinic_key: str
    issue: Issue


class RateLimit:
    """Counts requests of each address and in all within a minute; what is over is refused, and costs nothing more."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began = -_WINDOW_S
        self._all = 0
        self._by_address: OrderedDict[str, int] = OrderedDict()

    def allows(self, address: str) -> bool:
        """Count one request and tell whether it may go on."""
        now = self._clock()
        if now - self._began >= _WINDOW_S:
            self._began, self._all = now, 0
            self._by_address.clear()
        own = self._by_address.pop(address, 0) + 1
        self._by_address[address] = own
        if len(self._by_address) > _ADDRESSES:
            self._by_address.popitem(last=False)
        if own > PER_ADDRESS or self._all >= IN_ALL:
            return False
        self._all += 1
        return True


def create_app(desk: EnrolmentDesk, clinic: Clinic, *, limit: RateLimit | None = None) -> Starlette:
    """Make the application."""
    service = _Service(desk, clinic, limit or RateLimit())
    app = Starlette(
        routes=[
            Route("/v1/authority", service.authority, methods=["GET"]),
            Route("/v1/time", service.time, methods=["GET"]),
            Route("/v1/claim", service.claim, methods=["POST"]),
            Route("/v1/renew", service.renew, methods=["POST"]),
        ],
        exception_handlers={404: _not_here, 405: _not_here, Exception: _fault},
    )
    app.router.redirect_slashes = False  # there are four addresses and no others
    return app


class _Service:
    def __init__(self, desk: EnrolmentDesk, clinic: Clinic, limit: RateLimit) -> None:
        self._desk = desk
        self._clinic = clinic
        self._limit = limit

    async def authority(self, request: Request) -> Response:
        if not self._may(request):
            return _TOO_OFTEN
        return Response(self._clinic.authority.pem, media_type="application/x-pem-file", headers=_HEADERS)

    async def time(self, request: Request) -> Response:
        if not self._may(request):
            return _TOO_OFTEN
        return _json({"now": wire_time(datetime.now(UTC))})

    async def claim(self, request: Request) -> Response:
        def work(body: bytes) -> KitKey:
            asked = ClaimBody.model_validate_json(body)
            return self._desk.claim(plain(asked.code), asked.kit_id, asked.request.encode(), self._clinic.issue)

        return await self._answer(request, work)

    async def renew(self, request: Request) -> Response:
        def work(body: bytes) -> KitKey:
            asked = RenewBody.model_validate_json(body)
            given = (asked.kit_id, asked.request.encode(), asked.at, asked.proof)
            return self._desk.renew(*given, self._clinic.issue)

        return await self._answer(request, work)

    async def _answer(self, request: Request, work: Callable[[bytes], KitKey]) -> Response:
        if not self._may(request):
            return _TOO_OFTEN
        body = await _body(request)
        if body is None:
            return _refusal(f"more than {MAX_BODY} bytes is too much", 413)
        try:
            return self._told(await run_in_threadpool(work, body))
        except (ValidationError, GonioError) as error:
            return _why(error)

    def _told(self, key: KitKey) -> Response:
        if key.certificate is None:
            return _json({"state": "waiting", "poll_s": POLL_S}, 202)
        clinic = self._clinic
        return _json(
            {
                "state": "issued",
                "certificate": key.certificate,
                "authority": clinic.authority.pem,
                "broker": clinic.broker,
                "clinic_key": clinic.clinic_key,
                "kit_id": key.kit_id,
            }
        )

    def _may(self, request: Request) -> bool:
        return self._limit.allows(request.client.host if request.client else "")


_HEADERS: Final = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


def _why(error: ValidationError | GonioError) -> Response:
    match error:
        case ValidationError():
            return _refusal(f"the request cannot be read: {reason_of(error)}", 400)
        case ClaimRefusedError() | ClaimCodeError():
            return _refusal(str(error), 403)
        case StoreError() | StoreUnavailableError():
            log.error("a kit could not be enrolled: %s", error)
            return _refusal("the clinic's book cannot be used just now: try again in some minutes", 503)
        case _:
            return _refusal(str(error), 400)


async def _body(request: Request) -> bytes | None:
    """Read a body that is not too large; None for one that is."""
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_BODY:
                return None
    except ClientDisconnect:
        return b""
    return bytes(body)


def _json(content: dict[str, Any], status: int = 200) -> Response:
    return JSONResponse(content, status, _HEADERS)


def _refusal(text: str, status: int) -> Response:
    return _json({"error": text}, status)


_TOO_OFTEN: Final = _refusal("too many requests: try again in a minute", 429)


async def _not_here(_request: Request, _error: Exception) -> Response:
    return _refusal("this is a clinic's enrolment service: gonio gateway enroll talks to it", 404)


async def _fault(_request: Request, _error: Exception) -> Response:
    return _refusal("something is wrong here: the log of this server says what", 500)
