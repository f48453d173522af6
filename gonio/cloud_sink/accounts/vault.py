"""Tokens, and what is done with the key that lies beside the book and not in it.

The key (32 bytes, ``pages.key`` of the clinic's folder) is never used itself: each use has a key derived from it
(HKDF-SHA256). Who has only the book cannot open a secret, nor try out recovery codes or logins against their marks.
"""

import hashlib
import hmac
import secrets
from typing import Final
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from gonio.errors import UsageError

KEY_BYTES: Final = 32
_TOKEN_BYTES: Final = 32  # 256 bits
_MAX_TOKEN: Final = 200  # longer than any of ours: it is not even hashed
_NONCE_BYTES: Final = 12


def new_token() -> str:
    """Make a token of 256 random bits, as text for a cookie or an address."""
    return secrets.token_urlsafe(_TOKEN_BYTES)


def token_hash(token: str) -> bytes:
    """Give what the book keeps of a token: SHA-256, which is enough for 256 random bits."""
    return hashlib.sha256(token[:_MAX_TOKEN].encode(errors="backslashreplace")).digest()


class Vault:
    """What needs the key: sealing secrets and marking texts."""

    def __init__(self, key: bytes) -> None:
        """Take the key.

        Raises:
            UsageError: it has not 32 bytes.
        """
        if len(key) != KEY_BYTES:
            raise UsageError(f"the key of the clinic's pages has {KEY_BYTES} bytes, not {len(key)}")
        self._seal = AESGCM(_derive(key, b"gonio pages seal v1"))
        self._mark = _derive(key, b"gonio pages mark v1")

    def seal(self, user_id: UUID, secret: bytes) -> bytes:
        """Seal a user's secret: nonce, then AES-256-GCM bound to the user."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + self._seal.encrypt(nonce, secret, user_id.bytes)

    def unseal(self, user_id: UUID, sealed: bytes) -> bytes:
        """Open what ``seal`` gave for this user.

        Raises:
            UsageError: it was sealed with another key or for another user, or was changed.
        """
        try:
            return self._seal.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], user_id.bytes)
        except (InvalidTag, ValueError) as error:
            raise UsageError(
                "a second factor cannot be read with this pages.key: put the clinic folder's right one in its place, "
                "or reset the user"
            ) from error

    def mark(self, use: str, text: str) -> bytes:
        """Give the HMAC-SHA256 of a text for one use: the same for the same text, and of no use without the key."""
        message = use.encode() + b"\0" + text.encode(errors="backslashreplace")
        return hmac.new(self._mark, message, hashlib.sha256).digest()


def _derive(key: bytes, use: bytes) -> bytes:
    return HKDF(SHA256(), KEY_BYTES, salt=None, info=use).derive(key)
