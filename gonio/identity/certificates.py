"""Certificates of kits and of the clinic's own programs: requests, what a certificate says, whether it holds.

Profile (RFC 5280): version 3, P-256 with SHA-256, the name in the subject's common name and again as a DNS name, key
usage digital signature, one extended key usage: client for kits and workers, server for what they connect to.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final, Self

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID

from gonio.errors import UsageError
from gonio.identity.keys import KeyFaultError, SigningKey, key_id, p256, public_der

#: All that the library raises for what is no certificate or request, or one that it does not know.
_UNREADABLE: Final = (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion, KeyFaultError)


class CertificateError(UsageError):
    """A certificate or a request for one cannot be used; the text says why."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate as the book and the pages know it.

    Attributes:
        pem: the certificate itself.
        name: its common name: a kit's id, or a program's name.
        serial: in hexadecimal, lower case.
        public: the key in it: SubjectPublicKeyInfo in DER.
        not_before: valid from, aware.
        not_after: valid to, aware, inclusive.
    """

    pem: str
    name: str
    serial: str
    public: bytes
    not_before: datetime
    not_after: datetime

    @classmethod
    def read(cls, pem: str | bytes) -> Self:
        """Read the first certificate of a PEM text.

        Raises:
            CertificateError: it holds none of ours.
        """
        data = pem.encode() if isinstance(pem, str) else pem
        try:
            certificate = x509.load_pem_x509_certificate(data)
            public = public_der(p256(certificate.public_key()))
            name = common_name(certificate.subject)
        except _UNREADABLE as error:
            raise CertificateError("this is no certificate of a P-256 key in PEM") from error
        return cls(
            certificate.public_bytes(serialization.Encoding.PEM).decode("ascii"),
            name,
            f"{certificate.serial_number:x}",
            public,
            certificate.not_valid_before_utc,
            certificate.not_valid_after_utc,
        )

    @property
    def key_id(self) -> str:
        """The name of the key in it."""
        return key_id(self.public)

    def holds(self, at: datetime) -> bool:
        """Tell whether a moment lies within its dates."""
        return self.not_before <= at <= self.not_after

    def issued_by(self, authority: "Certificate") -> bool:
        """Tell whether an authority's key has signed it."""
        own, above = (x509.load_pem_x509_certificate(one.pem.encode()) for one in (self, authority))
        try:
            own.verify_directly_issued_by(above)
        except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
            return False
        return True


def make_request(key: SigningKey, name: str) -> bytes:
    """Write a certificate request (PKCS#10, RFC 2986) for a name, signed by its key, in PEM."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject(name))
    return builder.sign(key.private(), hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def read_request(pem: bytes, name: str) -> x509.CertificateSigningRequest:
    """Read a request and hold it against the name that it must be for; nothing else in it is looked at.

    Raises:
        CertificateError: it cannot be read, is for another name, of another kind of key, or not signed by it.
    """
    try:
        request = x509.load_pem_x509_csr(pem)
        p256(request.public_key())
        asked = common_name(request.subject)
        signed = request.is_signature_valid
    except _UNREADABLE as error:
        raise CertificateError("this is no certificate request of a P-256 key in PEM") from error
    if not signed:
        raise CertificateError("the certificate request is not signed by its own key")
    if asked != name:
        raise CertificateError("the certificate request is for another name")
    return request


def subject(name: str) -> x509.Name:
    """Write a subject that has a common name and nothing else."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def common_name(name: x509.Name) -> str:
    """Give the one common name of a subject.

    Raises:
        CertificateError: it has none, or several.
    """
    found = name.get_attributes_for_oid(NameOID.COMMON_NAME)
    if len(found) != 1 or not isinstance(found[0].value, str):
        raise CertificateError("a certificate here has one common name")
    return found[0].value
