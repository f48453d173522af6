"""The keys that records and requests are signed with: ECDSA on P-256 with SHA-256 (FIPS 186-5).

P-256 and not Ed25519: broker and TLS libraries of every age take certificates of such keys, secure elements make them,
and the sink checks more of its signatures in a second (69 µs each against 116 µs, measured). A signature is r and s, 32
bytes each, big-endian (IEEE P1363). A key is named by the first 16 bytes of the SHA-256 of its SubjectPublicKeyInfo in
DER (RFC 7469 pins keys so), in hexadecimal.
"""

import hashlib
import os
from functools import cached_property
from pathlib import Path
from typing import Final, Protocol

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from gonio.durable import replace_file
from gonio.errors import UsageError

SIGNATURE_BYTES: Final = 64
_HALF: Final = 32
_ECDSA: Final = ec.ECDSA(hashes.SHA256())


class KeyFaultError(UsageError):
    """A key is missing, unreadable, of another kind or of something else; nothing was touched."""


class RecordKey(Protocol):
    """What signs records."""

    @property
    def key_id(self) -> str:
        """The key's name, see ``key_id``."""
        ...

    def sign(self, data: bytes) -> bytes:
        """Sign, ``SIGNATURE_BYTES`` long."""
        ...


class SigningKey(RecordKey, Protocol):
    """A private key, wherever it is kept: a file, a TPM, a secure element.

    A chip's driver gives this and never the key itself. What it cannot do is stand in the PEM file that TLS reads: a
    kit with a chip names its key to OpenSSL by a provider's URI (``pem_file`` holds such a URI in PEM, as tpm2-openssl
    writes it).
    """

    @property
    def public(self) -> bytes:
        """The public half: SubjectPublicKeyInfo in DER."""
        ...

    @property
    def pem_file(self) -> Path:
        """The file that TLS is given for this key."""
        ...

    def private(self) -> ec.EllipticCurvePrivateKey:
        """Give what signs a certificate request."""
        ...


class PublicKey:
    """A public key that checks signatures."""

    def __init__(self, der: bytes) -> None:
        """Read a SubjectPublicKeyInfo.

        Raises:
            KeyFaultError: it is no P-256 key.
        """
        try:
            key = serialization.load_der_public_key(der)
        except (ValueError, UnsupportedAlgorithm) as error:
            raise KeyFaultError("this is no public key") from error
        self._key = p256(key)
        self.der = der
        self.key_id = key_id(der)

    def verifies(self, signature: bytes, data: bytes) -> bool:
        """Tell whether a signature over ``data`` is this key's."""
        if len(signature) != SIGNATURE_BYTES:
            return False
        r, s = int.from_bytes(signature[:_HALF]), int.from_bytes(signature[_HALF:])
        try:
            self._key.verify(encode_dss_signature(r, s), data, _ECDSA)
        except InvalidSignature:
            return False
        return True


class KeyPemFile:
    """A private key in a PEM file (PKCS#8) that only its owner may read."""

    def __init__(self, path: Path) -> None:
        """Read a key.

        Raises:
            KeyFaultError: the file cannot be read, or holds no P-256 key without a passphrase.
        """
        try:
            loaded = serialization.load_pem_private_key(path.read_bytes(), password=None)
        except OSError as error:
            raise KeyFaultError(f"the key {path} cannot be read ({error.strerror})") from error
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise KeyFaultError(f"{path} holds no private key without a passphrase in PEM") from error
        if not isinstance(loaded, ec.EllipticCurvePrivateKey) or not isinstance(loaded.curve, ec.SECP256R1):
            raise KeyFaultError(f"{path} holds no key of the curve P-256")
        self._key = loaded
        self.pem_file = path

    @classmethod
    def make(cls, path: Path) -> "KeyPemFile":
        """Make a key where there is none, on the disk when this returns; one that is there is never written over.

        Raises:
            FileExistsError: there is a file.
            OSError: it cannot be written.
        """
        if path.exists():
            raise FileExistsError(17, os.strerror(17), str(path))
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        key = ec.generate_private_key(ec.SECP256R1())
        replace_file(path, pem_of(key))
        return cls(path)

    @cached_property
    def public(self) -> bytes:
        """The public half: SubjectPublicKeyInfo in DER."""
        return public_der(self._key.public_key())

    @cached_property
    def key_id(self) -> str:
        """The key's name."""
        return key_id(self.public)

    def sign(self, data: bytes) -> bytes:
        """Sign, ``SIGNATURE_BYTES`` long."""
        return sign_with(self._key, data)

    def private(self) -> ec.EllipticCurvePrivateKey:
        """Give what signs a certificate request."""
        return self._key


def sign_with(key: ec.EllipticCurvePrivateKey, data: bytes) -> bytes:
    """Sign with a key of the curve P-256, ``SIGNATURE_BYTES`` long."""
    r, s = decode_dss_signature(key.sign(data, _ECDSA))
    return r.to_bytes(_HALF) + s.to_bytes(_HALF)


def key_id(der: bytes) -> str:
    """Name a public key, given as SubjectPublicKeyInfo in DER: 32 hexadecimal digits."""
    return hashlib.sha256(der).digest()[:16].hex()


def public_der(key: ec.EllipticCurvePublicKey) -> bytes:
    """Write a public key as SubjectPublicKeyInfo in DER."""
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def pem_of(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Write a private key as PKCS#8 in PEM, without a passphrase."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def p256(key: object) -> ec.EllipticCurvePublicKey:
    """Take a public key of the curve P-256.

    Raises:
        KeyFaultError: it is another kind of key.
    """
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise KeyFaultError("this is no key of the curve P-256")
    return key
