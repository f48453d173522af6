"""Where the broker is and how to reach it safely: kit and clinic read the same kind of address.

``mqtts://host[:port]`` is TLS 1.2 or newer with the server's certificate and name checked, against the system's
authorities or one given. ``mqtt://`` is plain text and therefore for loopback only: a broker on the same machine, a
demo, a test. User and password may stand in the address (percent-encoded) or be given beside it; they are never
shown again.
"""

import ipaddress
import socket
import ssl
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final, Self, TypedDict
from urllib.parse import SplitResult, unquote, urlsplit

from gonio.errors import UsageError
from gonio.identity.tls import client_context

PLAIN_PORT: Final = 1883
TLS_PORT: Final = 8883

#: Small packets at once: with Nagle's algorithm against delayed TCP acknowledgements, each hop waits 40 ms.
NO_DELAY: Final = ((socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),)


class ClientArguments(TypedDict):
    """The keyword arguments of ``MqttClient`` that say where to connect and as whom."""

    hostname: str
    port: int
    username: str | None
    password: str | None
    tls_context: ssl.SSLContext | None
    socket_options: tuple[tuple[int, int, int], ...]


@dataclass(frozen=True, slots=True)
class OwnCertificate:
    """Our side of mutual TLS: PEM files of the certificate (with its chain) and of its key."""

    cert_file: Path
    key_file: Path

    @classmethod
    def of(cls, cert_file: Path | None, key_file: Path | None) -> Self | None:
        """Take both files, or None where neither is given.

        Raises:
            UsageError: one is given without the other.
        """
        if cert_file is None and key_file is None:
            return None
        if cert_file is None or key_file is None:
            raise UsageError("a certificate for the broker needs its key too: name both files")
        return cls(cert_file, key_file)


@dataclass(frozen=True, slots=True)
class BrokerAddress:
    """A broker that may be connected to; ``str()`` shows it without credentials.

    Attributes:
        host: name or IP address.
        port: TCP port.
        tls: whether the connection is TLS; False only for loopback.
        username: whom to log in as, or None.
        password: its password, or None.
        ca_file: PEM file of the authorities to trust in place of the system's, or None.
        own: the certificate that says who we are, or None.
    """

    host: str
    port: int
    tls: bool
    username: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    ca_file: Path | None = None
    own: OwnCertificate | None = None

    def __post_init__(self) -> None:
        if not self.tls and not is_loopback(self.host):
            raise UsageError(
                f"mqtt:// to {self.host} would send patients' records over the network in plain text: "
                f"write mqtts://{self.host}:{TLS_PORT}; plain mqtt:// is for a broker on this machine only"
            )

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'mqtts' if self.tls else 'mqtt'}://{host}:{self.port}"

    @classmethod
    def parse(
        cls,
        url: str,
        *,
        ca_file: Path | None = None,
        username: str | None = None,
        password: str | None = None,
        own: OwnCertificate | None = None,
    ) -> Self:
        """Read an address.

        Args:
            url: ``mqtts://[user[:password]@]host[:port]``, or ``mqtt://`` to loopback.
            ca_file: PEM file of the authorities to trust in place of the system's.
            username: used where the address names no user.
            password: used where the address has no password.
            own: the certificate that says who we are; for ``mqtts`` only.

        Raises:
            UsageError: it is no such address; the text never repeats credentials.
        """
        try:
            parts = urlsplit(url.strip())
            host, port = parts.hostname, parts.port
        except ValueError as error:
            raise UsageError("the broker's address cannot be read: write mqtts://host:8883") from error
        _refuse_odd_parts(parts)
        if not host:
            raise UsageError("the broker's address names no host: write mqtts://host:8883")
        try:
            host.encode("idna")
        except UnicodeError as error:
            raise UsageError("the broker's host is no valid name: write mqtts://host:8883") from error
        tls = parts.scheme == "mqtts"
        if own is not None and not tls:
            raise UsageError("a certificate is shown over TLS only: write mqtts:// in the broker's address")
        return cls(
            host=host,
            port=port if port is not None else TLS_PORT if tls else PLAIN_PORT,
            tls=tls,
            username=unquote(parts.username) if parts.username else username,
            password=unquote(parts.password) if parts.password else password,
            ca_file=ca_file,
            own=own,
        )

    def tls_context(self, known: datetime | None = None) -> ssl.SSLContext | None:
        """Make the TLS settings of a connection: certificate and host name checked, TLS 1.2 at least; None if plain.

        Args:
            known: the newest moment that is known for sure where this machine's clock is behind it, see
                ``gonio.identity.tls``; None where the clock is to be believed.

        Raises:
            UsageError: a file of certificates cannot be read, or a key does not fit its certificate.
        """
        if not self.tls:
            return None
        try:
            context = client_context(cafile=str(self.ca_file) if self.ca_file else None, known=known)
        except (OSError, ssl.SSLError) as error:
            raise UsageError(
                f"the broker's CA file {self.ca_file} cannot be read ({error}): give a PEM file of certificates"
            ) from error
        if self.own is not None:
            try:
                context.load_cert_chain(self.own.cert_file, self.own.key_file, password=_no_passphrase)
            except (OSError, ssl.SSLError) as error:
                raise UsageError(
                    f"the certificate {self.own.cert_file} with the key {self.own.key_file} cannot be used ({error}): "
                    "give PEM files that belong together, the key without a passphrase"
                ) from error
        return context

    def client_arguments(self, known: datetime | None = None) -> ClientArguments:
        """Give what ``MqttClient`` needs to connect here.

        Args:
            known: see ``tls_context``.

        Raises:
            UsageError: the file of authorities cannot be read.
        """
        return ClientArguments(
            hostname=self.host,
            port=self.port,
            username=self.username,
            password=self.password,
            tls_context=self.tls_context(known),
            socket_options=NO_DELAY,
        )


def _no_passphrase() -> str:
    """Answer in place of a terminal, at which nobody sits."""
    return ""


def _refuse_odd_parts(parts: SplitResult) -> None:
    if parts.scheme not in {"mqtt", "mqtts"}:
        raise UsageError("the broker's address must begin with mqtts:// (or mqtt:// for this machine)")
    if parts.port == 0:
        raise UsageError("the broker's port cannot be 0: write mqtts://host:8883")
    if parts.path not in {"", "/"} or parts.query or parts.fragment:
        raise UsageError("the broker's address ends after the port: write mqtts://host:8883")


def is_loopback(host: str) -> bool:
    """Tell whether a host is this machine by its own name for itself or a loopback address."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
