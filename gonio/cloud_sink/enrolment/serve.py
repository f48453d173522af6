"""Serving the enrolment service over TLS, with a certificate of the clinic's authority."""

import base64
import logging
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Final

from gonio.cloud_sink.clinic_folder import ClinicFolder, ProgramFiles
from gonio.cloud_sink.enrolment.app import Clinic, create_app
from gonio.cloud_sink.enrolment.desk import Issue
from gonio.cloud_sink.store import Store
from gonio.errors import UsageError
from gonio.identity.broker import BrokerAddress
from gonio.identity.certificates import Certificate
from gonio.web.serving import listen, serving

DEFAULT_PORT: Final = 8610
#: A certificate of our own is made anew at a start within this time of its end.
RENEW_WITHIN: Final = timedelta(days=60)

_log = logging.getLogger(__name__)


def clinic_of(folder: ClinicFolder, broker: str) -> Clinic:
    """Gather what kits are told; makes the key that signs what goes down where there is none.

    Raises:
        UsageError: there is no authority, or the broker's address is not TLS.
    """
    if not BrokerAddress.parse(broker).tls:
        raise UsageError("kits reach their broker over TLS: write mqtts://host:8883")
    authority = folder.authority_certificate()
    records_key = folder.records_key(make=True)
    if records_key is None:
        raise UsageError(f"{folder.path} cannot be used: it holds no key for records")
    return Clinic(authority, broker, base64.b64encode(records_key.public).decode("ascii"), _issuer(folder))


def _issuer(folder: ClinicFolder) -> Issue:
    if not folder.signs_itself:
        return lambda _request, _kit_id: None
    return folder.authority().issue_kit


def own_certificate(folder: ClinicFolder, program: str, names: Sequence[str]) -> ProgramFiles:
    """Give the certificate of a server of the clinic's own; made, or made anew before it ends, by its own authority.

    Raises:
        UsageError: it is missing or ends soon, and the authority's key is not here.
    """
    files = folder.program(program)
    if files.certificate.exists() and files.key.exists():
        left = Certificate.read(files.certificate.read_bytes()).not_after - datetime.now(UTC)
        if left > RENEW_WITHIN:
            return files
        if not folder.signs_itself:
            _log.warning("%s ends in %d days: have a new one issued", files.certificate.name, left.days)
            return files
    if not folder.signs_itself:
        raise UsageError(f"{files.certificate} and its key are missing: have your authority issue a server certificate")
    folder.authority().issue_program(program, "server", (files.certificate, files.key), names=names)
    return files


@asynccontextmanager
async def enrolment_server(
    store: Store, folder: ClinicFolder, broker: str, *, host: str, port: int = DEFAULT_PORT, names: Sequence[str] = ()
) -> AsyncIterator[str]:
    """Serve as long as the context lasts, and give the address that kits are told.

    Args:
        store: the clinic's book.
        folder: with the authority.
        broker: where kits send, ``mqtts://host[:port]``.
        host: the address to listen on.
        port: TCP port; 0 takes any that is free.
        names: the names and addresses under which kits reach this server, the one that they are told first.

    Raises:
        UsageError: no authority, no certificate, or a port that cannot be had.
    """
    known = list(names) or [socket.gethostname()]
    clinic = clinic_of(folder, broker)
    files = own_certificate(folder, "enrolment", known)
    sock = listen(host, port)
    address = f"https://{f'[{known[0]}]' if ':' in known[0] else known[0]}:{sock.getsockname()[1]}"
    async with serving(create_app(store.enrolment, clinic), sock, tls=(files.certificate, files.key)):
        yield address
