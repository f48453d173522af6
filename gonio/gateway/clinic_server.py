"""The clinic's enrolment service as a kit talks to it: HTTPS that the clinic's own authority vouches for.

The authority is fetched once, from a server that is not trusted yet, and counts only if its fingerprint is the one that
came with the claim code. From then on nothing is sent to a server that this authority does not vouch for: a claim code
and a certificate request never go to anybody else. No redirect is followed, no proxy of the environment is used.
"""

import json
import ssl
import warnings
from datetime import datetime
from typing import Annotated, Any, Final, Literal, TypeAlias, TypeVar

import urllib3
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from gonio.errors import GonioError, PeerError, RetryableError
from gonio.identity.authority import fingerprint_of
from gonio.identity.certificates import Certificate, CertificateError
from gonio.identity.mqtt_words import connection_words
from gonio.identity.tls import client_context
from gonio.messages.envelope import is_wire_time

ANSWER_BYTES: Final = 65_536  # of an answer: three certificates are 5 kB
CONNECT_S: Final = 10.0
READ_S: Final = 30.0
_TOO_OFTEN: Final = 429
_SERVER_FAULT: Final = 500


class ClaimRefusedError(PeerError):
    """The clinic does not take this kit, or not with this code or key; asking the same again cannot help."""


class _Answer(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class Issued(_Answer):
    """The clinic's word that a kit is its own: certificates in PEM, where the broker is, the key that it signs with."""

    state: Literal["issued"]
    certificate: str = Field(max_length=16_384)
    authority: str = Field(max_length=16_384)
    broker: str = Field(max_length=300)
    clinic_key: str = Field(max_length=1024, description="SubjectPublicKeyInfo in DER, base64")
    kit_id: str = Field(max_length=64)


class Waiting(_Answer):
    """An authority outside has to sign: ask again after ``poll_s``."""

    state: Literal["waiting"]
    poll_s: float = Field(ge=0, le=86_400)


Answer: TypeAlias = Issued | Waiting
_ANSWER: Final[TypeAdapter[Answer]] = TypeAdapter(Annotated[Answer, Field(discriminator="state")])


class _Time(_Answer):
    now: str = Field(max_length=64)


_TIME: Final = TypeAdapter(_Time)
_T = TypeVar("_T")


def fetch_authority(server: str, fingerprint: str) -> Certificate:
    """Get the clinic's authority from a server that is not trusted yet.

    Args:
        server: ``https://host[:port]``.
        fingerprint: as it came with the claim code.

    Raises:
        RetryableError: the server cannot be reached.
        ClaimRefusedError: what it gave is not the authority of the claim code.
    """
    unverified = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    unverified.check_hostname, unverified.verify_mode = False, ssl.CERT_NONE
    unverified.minimum_version = ssl.TLSVersion.TLSv1_2
    with warnings.catch_warnings():  # that it is not verified is the point: the fingerprint is
        warnings.simplefilter("ignore", urllib3.exceptions.InsecureRequestWarning)
        status, body = _ask(server, unverified, "GET", "/v1/authority", None)
    if status != 200:  # noqa: PLR2004 - OK
        raise _refused(server, status, body)
    try:
        authority = Certificate.read(body)
    except CertificateError as error:
        raise PeerError(f"{server} gives no certificate: is it the clinic's enrolment service?") from error
    if fingerprint_of(authority) != fingerprint:
        raise ClaimRefusedError(
            f"{server} is not the clinic that this claim code is of (its authority has another fingerprint): nothing "
            f"was sent to it. Check that the whole line was typed, and the network; ask the clinic for a new code"
        )
    return authority


class ClinicServer:
    """The service, over TLS that the clinic's authority vouches for; calls block."""

    def __init__(self, server: str, authority: Certificate, *, known: datetime | None) -> None:
        """Prepare; nothing is connected yet.

        Args:
            server: ``https://host[:port]``.
            authority: the clinic's, as the claim code or the enrolment has it.
            known: see ``gonio.identity.tls``: the newest known moment where the clock is behind it.
        """
        self.server = server
        self._context = client_context(cadata=authority.pem, known=known)

    def time(self) -> datetime:
        """Ask what time it is.

        Raises:
            PeerError: it does not say.
        """
        status, body = _ask(self.server, self._context, "GET", "/v1/time", None)
        said = self._read(_TIME, status, body).now
        if not is_wire_time(said):
            raise PeerError(f"{self.server} says no time: is it the clinic's enrolment service?")
        return datetime.fromisoformat(said)

    def claim(self, fields: dict[str, str]) -> Answer:
        """Show the claim code; ask again with the same for what became of it.

        Raises:
            RetryableError: it cannot be reached, or is busy.
            ClaimRefusedError: the clinic says no.
            PeerError: its answer cannot be read.
        """
        return self._read(_ANSWER, *_ask(self.server, self._context, "POST", "/v1/claim", fields))

    def renew(self, fields: dict[str, str]) -> Answer:
        """Ask for a certificate of the next key; errors as ``claim``."""
        return self._read(_ANSWER, *_ask(self.server, self._context, "POST", "/v1/renew", fields))

    def _read(self, shape: TypeAdapter[_T], status: int, body: bytes) -> _T:
        if status not in {200, 202}:
            raise _refused(self.server, status, body)
        try:
            return shape.validate_json(body)
        except ValidationError as error:
            said = f"{self.server} answers what cannot be read: is it the clinic's enrolment service?"
            raise PeerError(said) from error


def _ask(
    server: str, context: ssl.SSLContext, method: str, path: str, fields: dict[str, str] | None
) -> tuple[int, bytes]:
    """Send one request on a connection of its own; gives status and body, bounded."""
    timeout = urllib3.Timeout(connect=CONNECT_S, read=READ_S)
    with urllib3.PoolManager(ssl_context=context, retries=False, timeout=timeout) as pool:
        try:
            given: dict[str, Any] = {} if fields is None else {"json": fields}
            response = pool.request(method, server + path, preload_content=False, redirect=False, **given)
            try:
                body = response.read(ANSWER_BYTES + 1, decode_content=False)
            finally:
                response.close()
        except urllib3.exceptions.HTTPError as error:
            words = connection_words(error) or "the connection broke"
            raise RetryableError(f"{server} cannot be asked: {words}") from error
    if len(body) > ANSWER_BYTES:
        raise PeerError(f"{server} answers more than it should: is it the clinic's enrolment service?")
    return response.status, body


def _refused(server: str, status: int, body: bytes) -> GonioError:
    """Say what a refusal means; what the server says of it is shown, cut short."""
    try:
        said = json.loads(body)["error"]
    except (ValueError, KeyError, TypeError, RecursionError):
        said = None
    words = "".join(c for c in said if c.isprintable())[:300] if isinstance(said, str) else f"HTTP status {status}"
    if status == _TOO_OFTEN or status >= _SERVER_FAULT:
        return RetryableError(f"{server} does not answer just now ({words}): try again in some minutes")
    return ClaimRefusedError(f"the clinic refuses ({words})")
