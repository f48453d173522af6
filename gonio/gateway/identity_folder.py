"""Who a kit is, on its disk: its key, its certificate, and the clinic that they are good for.

``DATA_DIR/identity/``, mode 0700:

- ``kit-key.pem``: the key that signs records and that TLS shows, made at the first start, before any clinic is known;
- ``kit.crt``: its certificate; ``authority.crt``: who issued it and who vouches for the clinic's servers;
  ``clinic-records.pub``: the key that the clinic signs programs, messages and commands with (DER);
- ``enrolment.json``: which clinic. It is written last: a kit is enrolled when it is there;
- ``kit-key.new.pem``, ``kit.new.crt``: what comes next; ``kit-key.old.pem``, ``kit.old.crt``: what went before.

A new certificate on the disk (``kit.new.crt``, beside its key) is the point of no return of a change of keys: from
there on there is only one way, and every start goes on with it. At every moment ``kit-key.pem`` is a whole key.
"""

from datetime import datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gonio.durable import erase_file, replace_file, sync
from gonio.errors import UsageError
from gonio.gateway.kit_key import CLINIC_KEY_NAME, FOLDER_NAME, KEY_NAME
from gonio.identity.certificates import Certificate, CertificateError
from gonio.identity.keys import KeyFaultError, KeyPemFile


class Enrolment(BaseModel):
    """Which clinic a kit belongs to.

    Attributes:
        kit_id: the name that its certificate is for.
        broker: ``mqtts://host[:port]``.
        server: the enrolment service, ``https://host[:port]``.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    kit_id: str = Field(min_length=3, max_length=64)
    broker: str = Field(min_length=1, max_length=300)
    server: str = Field(min_length=1, max_length=300)


class IdentityFolder:
    """The files; nothing is read or made before it is asked for."""

    def __init__(self, data_dir: Path) -> None:
        """Name them."""
        self.path = data_dir / FOLDER_NAME
        self.key_file = self.path / KEY_NAME
        self.certificate_file = self.path / "kit.crt"
        self.authority_file = self.path / "authority.crt"
        self.clinic_records_file = self.path / CLINIC_KEY_NAME
        self.enrolment_file = self.path / "enrolment.json"
        self.new_key_file = self.path / "kit-key.new.pem"
        self.new_certificate_file = self.path / "kit.new.crt"
        self.old_key_file = self.path / "kit-key.old.pem"
        self.old_certificate_file = self.path / "kit.old.crt"

    # --- the key -----------------------------------------------------------------------------------------------------

    def require_key(self) -> None:
        """Refuse to go on where the kit is enrolled and its key is gone: a new one would be nobody's.

        Raises:
            KeyFaultError: so it is.
        """
        if self.enrolment_file.exists() and not self.key_file.exists():
            raise KeyFaultError(
                f"the key of this kit is missing: put {self.key_file} back; where there is no copy, move {self.path} "
                f"aside and enrol the kit anew with a claim code"
            )

    def next_key(self) -> KeyPemFile:
        """Give the key that comes next; a try that was cut short is gone on with under the same one.

        Raises:
            KeyFaultError: it is there and cannot be read.
            OSError: it cannot be written.
        """
        return KeyPemFile(self.new_key_file) if self.new_key_file.exists() else KeyPemFile.make(self.new_key_file)

    # --- the clinic --------------------------------------------------------------------------------------------------

    def enrolment(self) -> Enrolment | None:
        """Tell which clinic the kit belongs to; None where it belongs to none yet.

        Raises:
            UsageError: the file is there and cannot be read.
        """
        try:
            return Enrolment.model_validate_json(self.enrolment_file.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValidationError) as error:
            raise UsageError(
                f"{self.enrolment_file} cannot be read: move {self.path} aside and enrol the kit anew with a claim code"
            ) from error

    def enrol(self, enrolment: Enrolment, certificate: Certificate, authority: Certificate, clinic_key: bytes) -> None:
        """Keep what a clinic gave; enrolled once this returns, and not before.

        Args:
            enrolment: which clinic.
            certificate: of the kit's key.
            authority: who issued it.
            clinic_key: what the clinic signs with: SubjectPublicKeyInfo in DER.

        Raises:
            OSError: the disk did not take it; running it again ends well.
        """
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace_file(self.authority_file, authority.pem.encode())
        replace_file(self.clinic_records_file, clinic_key)
        replace_file(self.certificate_file, certificate.pem.encode())
        replace_file(self.enrolment_file, enrolment.model_dump_json().encode())

    def certificate(self) -> Certificate | None:
        """Give the kit's certificate; None where there is none.

        Raises:
            CertificateError: it is there and cannot be read.
        """
        return _certificate(self.certificate_file)

    def authority(self) -> Certificate | None:
        """Give the clinic's authority, likewise."""
        return _certificate(self.authority_file)

    # --- change of keys ----------------------------------------------------------------------------------------------

    def change(self, certificate: Certificate) -> None:
        """Let the next key, which this certificate is for, take the place of the present one.

        Raises:
            CertificateError: it is for another key.
            OSError: the disk refuses; the next ``finish_change`` goes on.
        """
        if KeyPemFile(self.new_key_file).public != certificate.public:
            raise CertificateError("the certificate is for another key than the one that was asked for")
        replace_file(self.new_certificate_file, certificate.pem.encode())
        self.finish_change()

    def change_back(self, at: datetime) -> bool:
        """Let the key that went before take its place again; False where there is none that still holds.

        Args:
            at: this moment, aware.

        Raises:
            OSError: the disk refuses; the next ``finish_change`` goes on.
        """
        before = _certificate(self.old_certificate_file)
        if before is None or not before.holds(at) or not self.old_key_file.exists():
            return False
        replace_file(self.new_key_file, self.old_key_file.read_bytes())
        self.change(before)
        return True

    def finish_change(self) -> None:
        """Go on with a change of keys that was cut short; without one it does nothing.

        Raises:
            OSError: the disk refuses.
        """
        new = _certificate(self.new_certificate_file)
        if new is None:
            return
        if self.new_key_file.exists() and KeyPemFile(self.new_key_file).public == new.public:
            if self.key_file.exists():
                replace_file(self.old_key_file, self.key_file.read_bytes())
            if self.certificate_file.exists():
                replace_file(self.old_certificate_file, self.certificate_file.read_bytes())
            self.new_key_file.replace(self.key_file)
            sync(self.path)
        if KeyPemFile(self.key_file).public == new.public:
            self.new_certificate_file.replace(self.certificate_file)
        else:
            self.new_certificate_file.unlink()
        sync(self.path)

    @property
    def overlaps(self) -> bool:
        """Whether the key that went before is still kept, because the present one has not worked yet."""
        return self.old_key_file.exists() or self.old_certificate_file.exists()

    def end_overlap(self) -> None:
        """Forget the key that went before: the present one has worked.

        Raises:
            OSError: the disk refuses.
        """
        for file in (self.old_certificate_file, self.old_key_file):
            erase_file(file)

    def forget(self) -> None:
        """Forget who the kit is; a start in between finds a kit that is no longer enrolled.

        Raises:
            OSError: the disk refuses.
        """
        if not self.path.exists():
            return
        erase_file(self.enrolment_file)
        for file in sorted(self.path.iterdir()):
            erase_file(file)
        self.path.rmdir()
        sync(self.path.parent)


def _certificate(file: Path) -> Certificate | None:
    try:
        return Certificate.read(file.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CertificateError(f"{file} cannot be read ({error.strerror}): check its permissions") from error
