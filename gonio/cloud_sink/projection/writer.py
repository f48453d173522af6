"""The time-series server, spoken to by `influxdb-client`'s own services: one request, one answer, told by type.

The library's batching writer is not used: measured, it lost 30 of 60 points in an outage of 6 s. Here each request is
synchronous, and nothing leaves the queue before the server has said 204.
"""

import json
import logging
import re
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Final
from urllib.parse import urlsplit

import urllib3
from influxdb_client.client.influxdb_client import InfluxDBClient
from influxdb_client.rest import ApiException
from influxdb_client.service.write_service import WriteService

from gonio.errors import PeerError, RetryableError, UsageError
from gonio.identity.broker import is_loopback

#: One request: a server that does not answer within this is gone.
TIMEOUT_MS: Final = 30_000
#: However long a server asks us to wait, we look again after this.
MAX_RETRY_AFTER_S: Final = 3600.0
_WRITTEN: Final = 204
_PARTLY: Final = 201  # InfluxDB 3 in the cloud: some points were refused, its answer says which
_AWAY: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
#: What servers say to a call that they do not have (VictoriaMetrics 400, InfluxDB 3 404 or 405).
_UNKNOWN_CALL: Final = frozenset({400, 404, 405, 501})
_UNKNOWN_PLACE: Final = re.compile("(bucket|organization).* not found")
_TOO_LARGE: Final = 413
_EXPIRED: Final = re.compile("retention policy|retention period")

_log = logging.getLogger(__name__)


class ServerAwayError(RetryableError):
    """The server cannot be reached or does not take points just now; ``after_s`` is how long it asks us to wait."""

    def __init__(self, message: str, after_s: float | None = None) -> None:
        super().__init__(message)
        self.after_s = after_s


class RefusedError(PeerError):
    """The server refuses these points whenever they come; its text has the server's reason."""


class CannotDeleteError(PeerError):
    """The server has no way to take points away (InfluxDB 3, VictoriaMetrics)."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where points go; ``str()`` shows it without the token.

    Attributes:
        url: ``https://host[:port]``, or ``http://`` to loopback.
        org: InfluxDB's organisation.
        bucket: the bucket; of InfluxDB 3 the database.
        token: of a user who may write the bucket (and read nothing), or "" where none is needed.
        ca_file: PEM file of the authorities to trust in place of the system's, or None.
    """

    url: str
    org: str
    bucket: str
    token: str = field(default="", repr=False)
    ca_file: Path | None = None

    def __post_init__(self) -> None:
        try:
            parts = urlsplit(self.url)
            host, _port = parts.hostname, parts.port
        except ValueError as error:
            raise UsageError("the address of InfluxDB cannot be read: write https://host:8086") from error
        if parts.scheme not in {"http", "https"} or not host or parts.query or parts.fragment or parts.username:
            raise UsageError("the address of InfluxDB must be like https://host:8086; the token does not stand in it")
        if parts.scheme == "http" and not is_loopback(host):
            raise UsageError(
                f"http:// to {host} would send patients' measurements over the network in plain text: "
                "write https://; plain http:// is for a server on this machine only"
            )
        if not self.org or not self.bucket:
            raise UsageError("name the organisation and the bucket: --org and --bucket")
        if any(not c.isprintable() or c == " " for c in self.token) or not self.token.isascii():
            raise UsageError("the token of InfluxDB has characters that are none of a token's")

    def __str__(self) -> str:
        return f"{self.url.rstrip('/')} {self.org}/{self.bucket}"


class Influx(AbstractContextManager["Influx"]):
    """A server's bucket, to write to and to take away from."""

    def __init__(self, target: Target) -> None:
        """Prepare; nothing is connected yet.

        Raises:
            UsageError: the file of authorities cannot be read.
        """
        if target.ca_file is not None and not target.ca_file.is_file():
            raise UsageError(f"there is no CA file {target.ca_file}: give a PEM file of certificates")
        self._target = target
        self._client = InfluxDBClient(
            target.url,
            target.token,
            org=target.org,
            timeout=TIMEOUT_MS,
            enable_gzip=True,
            ssl_ca_cert=str(target.ca_file) if target.ca_file else None,
        )
        self._writes: Any = WriteService(self._client.api_client)  # type: ignore[no-untyped-call]
        self._deletes = self._client.delete_api()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()  # type: ignore[no-untyped-call]

    def write(self, lines: Sequence[str]) -> None:
        """Write points; they are in the store when this returns.

        What lies beyond the bucket's retention the server drops at once, as it would later: that is no error here.

        Raises:
            ServerAwayError: try the same again later.
            RefusedError: at least one point is refused; the others may have been written.
            UsageError: the server does not know this token, organisation or bucket.
        """
        try:
            _nothing, status, _headers = self._writes.post_write_with_http_info(
                org=self._target.org,
                bucket=self._target.bucket,
                body="\n".join(lines).encode(),
                precision="ns",
                content_type="text/plain; charset=utf-8",
                _return_http_data_only=False,
            )
        except ApiException as error:
            status = _status(error)
            reason = _reason(error)
            if _EXPIRED.search(reason):
                _log.warning("%s keeps points for a time only and dropped older ones: %s", self._target, reason)
                return
            if status == _TOO_LARGE or status in {400, 422}:
                raise RefusedError(reason) from error
            raise self._failed(error) from error
        except urllib3.exceptions.HTTPError as error:
            raise self._unreachable(error) from error
        if status == _PARTLY:
            raise RefusedError("the server wrote only some of the points")
        if status != _WRITTEN:  # a proxy's or a captive portal's page is no promise
            raise ServerAwayError(f"{self._target} answers a write with {status}, which InfluxDB does not")

    def delete(self, measurement: str, first_ns: int, last_ns: int, kit_id: str | None = None) -> None:
        """Take away a measurement's points of a span of time (both ends included), of one kit or of all.

        Raises:
            ServerAwayError: try the same again later.
            CannotDeleteError: this server never can.
            UsageError: the server does not know this token, organisation or bucket.
        """
        predicate = f'_measurement="{measurement}"' + (f' AND kit="{kit_id}"' if kit_id is not None else "")
        try:
            self._deletes.delete(
                rfc3339(first_ns), rfc3339(last_ns), predicate, bucket=self._target.bucket, org=self._target.org
            )
        except ApiException as error:
            if _status(error) in _UNKNOWN_CALL and not _UNKNOWN_PLACE.search(_reason(error)):
                raise CannotDeleteError(f"{self._target} does not delete points ({_status(error)})") from error
            raise self._failed(error) from error
        except urllib3.exceptions.HTTPError as error:
            raise self._unreachable(error) from error

    def _failed(self, error: ApiException) -> ServerAwayError | UsageError:
        status = _status(error)
        if status in _AWAY:
            return ServerAwayError(f"{self._target} answers {status}: {_reason(error)}", _retry_after(error))
        if status in {401, 403}:
            return UsageError(
                f"{self._target} does not let this token in ({status}): make one that may write to the bucket and "
                "give it by --token-file or GONIO_INFLUX_TOKEN"
            )
        if status == 404:  # noqa: PLR2004 - HTTP's own number
            return UsageError(f"{self._target} is not there ({_reason(error)}): make the bucket, or check its name")
        return UsageError(f"{self._target} answers {status} ({_reason(error)}): is this the address of an InfluxDB?")

    def _unreachable(self, error: Exception) -> ServerAwayError:
        return ServerAwayError(f"{self._target} cannot be reached: {type(error).__name__}")


def rfc3339(time_ns: int) -> str:
    """Write a moment with all nine digits, which Python's own times do not have."""
    seconds, rest = divmod(time_ns, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09}Z"


def _status(error: ApiException) -> int:
    return error.status if isinstance(error.status, int) else 0


def _reason(error: ApiException) -> str:
    """Give the server's own words, in one line of bounded length."""
    body = error.body
    said: Any = body
    try:
        document = json.loads(body or b"null")
    except ValueError:
        document = None
    if isinstance(document, dict):
        said = document.get("message") or document.get("error") or body
    text = said.decode(errors="replace") if isinstance(said, bytes) else str(said or error.reason or "no reason given")
    return "".join(c if c.isprintable() else " " for c in text[:300]).strip()


def _retry_after(error: ApiException) -> float | None:
    """Read Retry-After: seconds, or a date (RFC 9110, 10.2.3); what is neither says nothing."""
    value = error.headers.get("Retry-After") if error.headers else None
    if value is None:
        return None
    if value.strip().isdigit():
        seconds = float(value)
    else:
        try:
            seconds = (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds()
        except (ValueError, TypeError):
            return None
    return min(max(seconds, 0.0), MAX_RETRY_AFTER_S)
