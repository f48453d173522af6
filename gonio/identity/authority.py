"""A clinic's own certificate authority: a folder with its key and certificate, and what it issues.

It issues to kits, from their requests, and to the clinic's own programs (broker, sink, enrolment, database). What it
has revoked is the book's to know: the list (CRL, RFC 5280 section 5) is written from there.
"""

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, Literal, Self, TypeAlias

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from gonio.durable import replace_file
from gonio.errors import UsageError
from gonio.identity.certificates import Certificate, CertificateError, read_request, subject
from gonio.identity.keys import KeyPemFile, p256

KEY_NAME: Final = "authority.key"
CERTIFICATE_NAME: Final = "authority.crt"

AUTHORITY_LIFE: Final = timedelta(days=3650)
PROGRAM_LIFE: Final = timedelta(days=397)  # what TLS libraries accept of a server (CA/Browser Forum BR 6.3.2)
#: A kit renews at two thirds of it; one that was off for longer renews with its expired certificate, see ``enrolment``.
KIT_LIFE: Final = timedelta(days=90)
#: Certificates begin before they are made, for machines whose clock is behind.
BEFORE: Final = timedelta(hours=1)
#: How long a revocation list is good: a broker that gets no new one for so long lets nobody in.
CRL_LIFE: Final = timedelta(days=7)

Purpose: TypeAlias = Literal["server", "client"]
_USAGE: Final = {"server": ExtendedKeyUsageOID.SERVER_AUTH, "client": ExtendedKeyUsageOID.CLIENT_AUTH}


@dataclass(frozen=True, slots=True)
class Revoked:
    """A certificate that no longer counts: its serial number in hexadecimal, and since when."""

    serial: str
    at: datetime


class Authority:
    """A certificate authority, open."""

    def __init__(self, folder: Path) -> None:
        """Open an authority.

        Raises:
            UsageError: there is none in this folder, or its files do not belong together.
        """
        if not (folder / KEY_NAME).exists():
            raise UsageError(f"{folder} holds no certificate authority: make one with `gonio clinic authority make`")
        self.folder = folder
        self._key = KeyPemFile(folder / KEY_NAME)
        try:
            self.certificate = Certificate.read((folder / CERTIFICATE_NAME).read_bytes())
        except OSError as error:
            raise UsageError(f"{folder / CERTIFICATE_NAME} cannot be read ({error.strerror})") from error
        if self.certificate.public != self._key.public:
            raise UsageError(f"{CERTIFICATE_NAME} and {KEY_NAME} in {folder} do not belong together")

    @classmethod
    def make(cls, folder: Path, name: str = "gonio clinic authority", *, now: datetime | None = None) -> Self:
        """Make an authority in a folder that has none.

        Raises:
            FileExistsError: it has one.
            OSError: it cannot be written.
        """
        moment = now or datetime.now(UTC)
        key = KeyPemFile.make(folder / KEY_NAME)
        private = key.private()
        certificate = (
            _builder(name, private.public_key(), moment, AUTHORITY_LIFE)
            .issuer_name(subject(name))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_key_usage(authority=True), critical=True)
            .sign(private, hashes.SHA256())
        )
        replace_file(folder / CERTIFICATE_NAME, certificate.public_bytes(serialization.Encoding.PEM))
        return cls(folder)

    @property
    def certificate_file(self) -> Path:
        """The file with its certificate, which everybody may have."""
        return self.folder / CERTIFICATE_NAME

    @property
    def fingerprint(self) -> str:
        """What tells this authority from another, see ``fingerprint_of``."""
        return fingerprint_of(self.certificate)

    def issue_kit(
        self, request: bytes, kit_id: str, *, now: datetime | None = None, life: timedelta = KIT_LIFE
    ) -> Certificate:
        """Give a kit its certificate for the key in its request.

        Raises:
            CertificateError: it is no request of this kit's.
        """
        asked = read_request(request, kit_id)
        return self._issue(kit_id, p256(asked.public_key()), "client", [], now, life)

    def issue_program(
        self,
        name: str,
        purpose: Purpose,
        files: tuple[Path, Path],
        *,
        names: Sequence[str] = (),
        now: datetime | None = None,
    ) -> Certificate:
        """Make a key and a certificate for a program of the clinic's own; where the key is there, it is used again.

        Args:
            name: the common name: for a client whom the broker knows it as.
            purpose: whether it is connected to or connects.
            files: where the certificate and the key go.
            names: DNS names and IP addresses under which a server is reached.
            now: the moment, aware.

        Raises:
            CertificateError: a name that is none.
            OSError: a file cannot be written.
        """
        cert_file, key_file = files
        key = KeyPemFile(key_file) if key_file.exists() else KeyPemFile.make(key_file)
        certificate = self._issue(name, key.private().public_key(), purpose, names, now, PROGRAM_LIFE)
        cert_file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace_file(cert_file, certificate.pem.encode())
        return certificate

    def revocation_list(self, revoked: Iterable[Revoked], *, now: datetime | None = None) -> bytes:
        """Write the list of what no longer counts, in PEM."""
        moment = now or datetime.now(UTC)
        private = self._key.private()
        authority = x509.load_pem_x509_certificate(self.certificate.pem.encode())
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(authority.subject)
            .last_update(moment - BEFORE)
            .next_update(moment + CRL_LIFE)
            .add_extension(x509.CRLNumber(int(moment.timestamp() * 1000)), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(private.public_key()), critical=False)
        )
        for one in revoked:
            entry = x509.RevokedCertificateBuilder().serial_number(int(one.serial, 16)).revocation_date(one.at)
            builder = builder.add_revoked_certificate(entry.build())
        return builder.sign(private, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def _issue(
        self,
        name: str,
        public: ec.EllipticCurvePublicKey,
        purpose: Purpose,
        names: Sequence[str],
        now: datetime | None,
        life: timedelta,
    ) -> Certificate:
        private = self._key.private()
        authority = x509.load_pem_x509_certificate(self.certificate.pem.encode())
        certificate = (
            _builder(name, public, now or datetime.now(UTC), life)
            .issuer_name(authority.subject)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(authority=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([_USAGE[purpose]]), critical=False)
            .add_extension(x509.SubjectAlternativeName([_general(one) for one in names or [name]]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(private.public_key()), critical=False)
            .sign(private, hashes.SHA256())
        )
        return Certificate.read(certificate.public_bytes(serialization.Encoding.PEM))


def fingerprint_of(certificate: Certificate) -> str:
    """Give what tells one authority from another: the first 16 bytes of its certificate's SHA-256, in hexadecimal."""
    read = x509.load_pem_x509_certificate(certificate.pem.encode())
    return read.fingerprint(hashes.SHA256())[:16].hex()


def _builder(name: str, public: ec.EllipticCurvePublicKey, now: datetime, life: timedelta) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject(name))
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BEFORE)
        .not_valid_after(now + life)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )


def _key_usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        pass
    try:
        return x509.DNSName(name)
    except ValueError as error:
        raise CertificateError(f"{name!r} is no name of a computer") from error
