"""How a kit becomes its clinic's: it shows a claim code and a request for its own key, and keeps what it is given.

What is given is looked at before it is kept: the certificate must be for this kit's name and key and of the authority
that the claim code names. Whatever is killed, the key stays the same and a kit is enrolled or it is not; running it
again with the same code is answered again, because the clinic knows the key that came with it.
"""

import base64
import binascii
import hashlib
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from gonio.errors import PeerError, RetryableError, UsageError
from gonio.gateway.clinic_server import Answer, ClinicServer, Issued, fetch_authority
from gonio.gateway.database import refused
from gonio.gateway.identity_folder import Enrolment, IdentityFolder
from gonio.gateway.keyfile import KeySource
from gonio.gateway.moment import KnownMoment
from gonio.gateway.store import KitStore
from gonio.gateway.summary import SOFTWARE
from gonio.identity.broker import BrokerAddress
from gonio.identity.certificates import Certificate, CertificateError, make_request
from gonio.identity.claim import ClaimTicket
from gonio.identity.keys import KeyFaultError, PublicKey, SigningKey
from gonio.messages import wire_time

LEAST_POLL_S: Final = 1.0
LONGEST_POLL_S: Final = 3600.0
RENEWAL: Final = b"gonio renewal v1\n"

Say = Callable[[str], None]


def _now() -> datetime:
    return datetime.now(UTC)


def enrol(
    data_dir: Path,
    keys: KeySource,
    ticket: ClaimTicket,
    *,
    say: Say,
    sleep: Callable[[float], None] = time.sleep,
    now: Callable[[], datetime] = _now,
) -> Enrolment:
    """Let the clinic that a claim code is of have this kit; makes the kit where there is none yet.

    Args:
        data_dir: the kit's data directory.
        keys: where its database's key is kept.
        ticket: the claim code, with where to go and the authority's fingerprint.
        say: is given a line for the person.
        sleep: waits, s.
        now: the wall clock, aware.

    Raises:
        UsageError: another clinic has the kit, or it runs just now.
        RetryableError: the clinic cannot be reached; nothing has changed.
        ClaimRefusedError: the clinic says no; nothing has changed.
        StoreWriteError: the disk is full or failing.
    """
    with KitStore.open(data_dir, keys) as store:
        kit_id, key = store.kit_id, store.signing_key
        folder = IdentityFolder(data_dir)
        before = folder.enrolment()
        if before is not None:
            if before.server == ticket.server and before.kit_id == kit_id:
                say(f"This kit is enrolled already: {kit_id}, with {before.server}.")
                return before
            raise UsageError(
                f"this kit belongs to the clinic of {before.server}: let that clinic decommission it first (gonio "
                f"clinic command wipe --decommission), or wipe it here (gonio gateway wipe --decommission)"
            )
        moment = KnownMoment(data_dir)
        authority = fetch_authority(ticket.server, ticket.authority)
        server = clinic_server(ticket.server, authority, moment, now())
        say(f"The clinic's authority is the one of the claim code; this kit is {kit_id}.")
        fields = {
            "code": ticket.code,
            "kit_id": kit_id,
            "request": make_request(key, kit_id).decode("ascii"),
            "software": SOFTWARE,
        }
        issued = _asked(lambda: server.claim(fields), say, sleep)
        certificate, clinic_key = checked(issued, kit_id, key.public, authority, moment.at_least(now()))
        enrolment = Enrolment(kit_id=kit_id, broker=issued.broker, server=ticket.server)
        try:
            folder.enrol(enrolment, certificate, authority, clinic_key)
        except OSError as error:
            said = f"{folder.path} cannot be written ({error.strerror}): make it writable, then enrol again"
            raise refused(error, said) from error
    return enrolment


def clinic_server(url: str, authority: Certificate, moment: KnownMoment, now: datetime) -> ClinicServer:
    """Give the clinic's service; a kit whose clock is behind asks it for the time first.

    Raises:
        RetryableError: it cannot be reached, or does not say.
    """
    known = moment.behind(now)
    server = ClinicServer(url, authority, known=known)
    if known is not None:
        moment.learn(server.time())
        server = ClinicServer(url, authority, known=moment.behind(now))
    return server


def renewal_fields(
    kit_id: str, certificate: Certificate, key: SigningKey, next_key: SigningKey, at: datetime
) -> dict[str, str]:
    """Write what asks for a certificate of the next key, proven by the present one, whatever its certificate's dates.

    Args:
        kit_id: the kit's name.
        certificate: the present one.
        key: its key.
        next_key: the key that the new one is to be for.
        at: this moment.
    """
    request, stamp = make_request(next_key, kit_id), wire_time(at)
    proven = RENEWAL + f"{kit_id}\n{stamp}\n{hashlib.sha256(request).hexdigest()}".encode("ascii")
    return {
        "kit_id": kit_id,
        "certificate": certificate.pem,
        "request": request.decode("ascii"),
        "at": stamp,
        "proof": base64.b64encode(key.sign(proven)).decode("ascii"),
    }


def checked(
    issued: Issued, kit_id: str, public: bytes, authority: Certificate, at: datetime
) -> tuple[Certificate, bytes]:
    """Look at what a clinic gave before it is kept; gives the certificate and the clinic's key in DER.

    Raises:
        PeerError: it is not for this kit, not of this authority, has expired, or cannot be used.
    """
    try:
        certificate = Certificate.read(issued.certificate)
        clinic_key = base64.b64decode(issued.clinic_key, validate=True)
        PublicKey(clinic_key)
        broker = BrokerAddress.parse(issued.broker)
    except (CertificateError, KeyFaultError, binascii.Error, ValueError) as error:
        raise PeerError(f"what the clinic gave cannot be used ({error}): tell the clinic") from error
    except UsageError as error:
        raise PeerError(f"the clinic's broker cannot be used ({error}): tell the clinic") from error
    faults = {
        "its certificate is for another kit": certificate.name != kit_id or issued.kit_id != kit_id,
        "its certificate is for another key": certificate.public != public,
        "its certificate is not of the clinic's authority": not certificate.issued_by(authority),
        "its certificate has expired": certificate.not_after < at,
        "its broker does not speak TLS": not broker.tls,
    }
    wrong = [fault for fault, found in faults.items() if found]
    if wrong:
        raise PeerError(f"what the clinic gave cannot be used ({', '.join(wrong)}): nothing was kept; tell the clinic")
    return certificate, clinic_key


def _asked(ask: Callable[[], Answer], say: Say, sleep: Callable[[float], None]) -> Issued:
    """Ask until the certificate is there; once the clinic has taken the claim, a network that fails costs only time."""
    answer = ask()
    told = False
    while not isinstance(answer, Issued):
        wait_s = min(LONGEST_POLL_S, max(LEAST_POLL_S, answer.poll_s))
        if not told:
            say(
                "The clinic has this kit's request; its certificate is being signed. This waits for it; it can also "
                "be stopped and run again with the same code."
            )
            told = True
        sleep(wait_s)
        try:
            answer = ask()
        except RetryableError as error:
            say(f"{error}; asking again in {wait_s:.0f} s")
    return answer
