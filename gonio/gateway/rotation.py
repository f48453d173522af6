"""A new key and certificate before the old ones run out, or when the clinic asks for them.

At two thirds of the certificate's life the kit makes a key beside the old one, has it certified (the old key proves
who asks, so an expired certificate renews as well), and changes over, see ``identity_folder``. The old key is kept
until the clinic has acknowledged a record over a connection with the new one; where connection after connection fails
with the new one and the old certificate still holds, the kit goes back to it and tries again later.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, NoReturn

from gonio.durable import erase_file, replace_file
from gonio.errors import GonioError, PeerError, RetryableError
from gonio.gateway.clinic_server import ClinicServer, Issued, Waiting
from gonio.gateway.database import StoreWriteError
from gonio.gateway.enrolment import checked, clinic_server, renewal_fields
from gonio.gateway.identity_folder import Enrolment, IdentityFolder
from gonio.gateway.kit_key import open_key
from gonio.gateway.moment import KnownMoment
from gonio.gateway.store import KitStore
from gonio.gateway.way import Way
from gonio.identity.broker import BrokerAddress
from gonio.identity.certificates import Certificate, CertificateError
from gonio.identity.keys import PublicKey

log = logging.getLogger(__name__)

WARN_BEFORE: Final = timedelta(days=14)
REFUSED_NAME: Final = "renewal-refused"


@dataclass(frozen=True, slots=True)
class RotationTiming:
    """How patient the keeper of the credentials is; times in s.

    Attributes:
        look_s: between two looks at the dates.
        retry_s: first wait after the clinic could not be reached; doubles up to ``longest_retry_s``.
        longest_retry_s: also the wait after a refusal, and after a way back.
        overlap_look_s: between two looks at whether the new key works.
        tries: connections that may fail with the new key before the kit goes back to the old one.
    """

    look_s: float = 3600.0
    retry_s: float = 60.0
    longest_retry_s: float = 21_600.0
    overlap_look_s: float = 60.0
    tries: int = 10


def due(certificate: Certificate, at: datetime) -> bool:
    """Tell whether a certificate is to be renewed: two thirds of its life are over."""
    life = certificate.not_after - certificate.not_before
    return at >= certificate.not_before + life * 2 / 3


def expiry_words(certificate: Certificate, at: datetime) -> str | None:
    """Say that a certificate has expired or soon will, and what to do; None where it has time."""
    left = certificate.not_after - at
    if left > WARN_BEFORE:
        return None
    day = f"{certificate.not_after:%Y-%m-%d}"
    said = f"has expired on {day}" if left < timedelta(0) else f"expires on {day}"
    return f"this kit's certificate {said}: see that the kit runs and reaches the clinic's enrolment service"


class CredentialKeeper:
    """Renews an enrolled kit's key and certificate; :meth:`run` is a task of its own."""

    def __init__(
        self,
        store: KitStore,
        enrolment: Enrolment,
        way: Way,
        *,
        address: Callable[[], BrokerAddress],
        now: Callable[[], datetime],
        timing: RotationTiming | None = None,
    ) -> None:
        """Prepare.

        Args:
            store: signs with the key.
            enrolment: which clinic.
            way: the uplink's, which connects with the certificate.
            address: gives the broker's address anew, with the files as they are then.
            now: the wall clock, aware.
            timing: how patient to be.
        """
        self._store = store
        self._data_dir = store.path.parent
        self._folder = IdentityFolder(self._data_dir)
        self._moment = KnownMoment(self._data_dir)
        self._enrolment = enrolment
        self._way = way
        self._address = address
        self._now = now
        self._timing = timing or RotationTiming()
        self._failures = 0
        self._mutex = asyncio.Lock()
        way.on_worked(self._worked)

    @property
    def trouble(self) -> str | None:
        """What is wrong with the certificate, in words; None where nothing is."""
        try:
            return credential_trouble(self._folder, self._moment.at_least(self._now()))
        except CertificateError as error:
            return str(error)

    async def run(self) -> NoReturn:
        """Renew when it is time, for ever."""
        while True:
            wait_s = self._timing.look_s
            try:
                if self._folder.overlaps:
                    await self._go_back_if_needed()
                    wait_s = self._timing.overlap_look_s
                elif self._due():
                    await self.rotate()
            except RetryableError as error:
                log.warning("the certificate is not renewed yet: %s", error)
                wait_s = min(self._timing.longest_retry_s, self._timing.retry_s * 2.0 ** min(self._failures, 30))
                self._failures += 1
            except (GonioError, OSError) as error:
                log.error("the certificate is not renewed: %s", error)  # noqa: TRY400 - told in words
                wait_s = self._timing.longest_retry_s
            else:
                self._failures = 0
            await asyncio.sleep(wait_s)

    def _due(self) -> bool:
        certificate = self._folder.certificate()
        return certificate is not None and due(certificate, self._moment.at_least(self._now()))

    async def rotate(self) -> None:
        """Get a certificate for a new key and change over to it.

        Raises:
            RetryableError: the clinic cannot be reached, or its authority has still to sign.
            PeerError: the clinic refuses, or gives what cannot be used; the old key and certificate stay.
            StoreWriteError: the disk is full or failing; the next start goes on.
        """
        async with self._mutex:
            try:
                await asyncio.to_thread(self._renew)
            except RetryableError:
                raise
            except PeerError as error:
                _note_refusal(self._folder, str(error))
                raise
            except OSError as error:
                said = f"{self._folder.path} cannot be written ({error.strerror}): check the disk"
                raise StoreWriteError(said) from error
            erase_file(self._folder.path / REFUSED_NAME)
            self._change_over()

    def _renew(self) -> None:
        folder, kit_id = self._folder, self._enrolment.kit_id
        certificate, authority = folder.certificate(), folder.authority()
        if certificate is None or authority is None:
            raise PeerError(f"the certificate in {folder.path} is missing: enrol the kit anew with a claim code")
        server = clinic_server(self._enrolment.server, authority, self._moment, self._now())
        issued, public = self._issued(server, kit_id, certificate)
        at = self._moment.at_least(self._now())
        renewed, clinic_key = checked(issued, kit_id, public, authority, at)
        if issued.broker != self._enrolment.broker:
            self._enrolment = self._enrolment.model_copy(update={"broker": issued.broker})
            replace_file(folder.enrolment_file, self._enrolment.model_dump_json().encode())
        if folder.clinic_records_file.read_bytes() != clinic_key:
            replace_file(folder.clinic_records_file, clinic_key)
            self._store.use_clinic_key(PublicKey(clinic_key))
        folder.change(renewed)

    def _issued(self, server: ClinicServer, kit_id: str, certificate: Certificate) -> tuple[Issued, bytes]:
        next_key = self._folder.next_key()
        fields = renewal_fields(kit_id, certificate, open_key(self._data_dir), next_key, server.time())
        answer = server.renew(fields)
        if isinstance(answer, Waiting):
            raise RetryableError("the clinic's authority has still to sign: the kit asks again by itself")
        return answer, next_key.public

    def _change_over(self) -> None:
        """Sign and connect with what is on the disk now."""
        self._store.use_key(open_key(self._data_dir))
        self._way.use(self._address())

    def _worked(self) -> None:
        if self._folder.overlaps:
            try:
                self._folder.end_overlap()
            except OSError as error:
                log.warning("the key that went before is kept a while longer: %s", error.strerror)

    async def _go_back_if_needed(self) -> None:
        if self._way.attempts < self._timing.tries:
            return
        async with self._mutex:
            if await asyncio.to_thread(self._folder.change_back, self._moment.at_least(self._now())):
                self._change_over()
                raise PeerError("the broker does not take the new certificate: the old one is used again")


def credential_trouble(folder: IdentityFolder, at: datetime) -> str | None:
    """Say what is wrong with a kit's certificate, and what to do; None where nothing is, or there is none.

    Args:
        folder: the kit's.
        at: this moment, aware.

    Raises:
        CertificateError: it cannot be read.
    """
    certificate = folder.certificate()
    words = expiry_words(certificate, at) if certificate is not None else None
    try:
        refused = (folder.path / REFUSED_NAME).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return words
    return f"the clinic did not renew this kit's certificate: {refused}" + (f"; {words}" if words else "")


def _note_refusal(folder: IdentityFolder, reason: str) -> None:
    try:
        replace_file(folder.path / REFUSED_NAME, reason.encode("utf-8"))
    except OSError as error:
        log.warning("%s cannot be written: %s", folder.path / REFUSED_NAME, error.strerror)
