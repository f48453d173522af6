"""Claim codes: what a clinic gives with a kit so that this kit, and no other, can become the clinic's, once.

A code is 16 characters of Crockford's base 32 (80 random bits), typed in groups of four. As a QR code or one line it
comes with where to go and the authority's fingerprint, so that the kit knows the clinic before it trusts it:
``https://clinic.example:8610/#claim=ABCD-EFGH-JKMN-PQRS&authority=0123...``. What stands behind ``#`` no browser sends.
"""

import hashlib
import re
import secrets
from dataclasses import dataclass
from typing import Final, Self
from urllib.parse import parse_qs, urlsplit

from gonio.errors import UsageError

_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_LENGTH: Final = 16
_CONFUSED: Final = str.maketrans("OIL", "011")
_FINGERPRINT: Final = re.compile(r"[0-9a-f]{32}")


class ClaimCodeError(UsageError):
    """What was given is no claim code."""


@dataclass(frozen=True, slots=True)
class ClaimTicket:
    """A claim code with all that a kit needs to use it.

    Attributes:
        code: 16 characters, without hyphens.
        server: the clinic's enrolment service, ``https://host[:port]``.
        authority: fingerprint of the authority that the clinic's servers show a certificate of.
    """

    code: str
    server: str
    authority: str

    def __str__(self) -> str:
        return f"{self.server}/#claim={grouped(self.code)}&authority={self.authority}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what a QR code holds.

        Raises:
            ClaimCodeError: it is no such text; it is never repeated in the error.
        """
        try:
            parts = urlsplit(text.strip())
            fields = parse_qs(parts.fragment, strict_parsing=True, max_num_fields=4)
            port = parts.port
        except ValueError as error:
            raise ClaimCodeError(_HOW) from error
        authority = fields.get("authority", [""])[0]
        if parts.scheme != "https" or not parts.hostname or parts.username or parts.path not in {"", "/"}:
            raise ClaimCodeError(_HOW)
        if not _FINGERPRINT.fullmatch(authority):
            raise ClaimCodeError(_HOW)
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        server = f"https://{host}" + (f":{port}" if port else "")
        return cls(plain(fields.get("claim", [""])[0]), server, authority)


_HOW: Final = "this is no claim code: give the whole line that the clinic printed (it begins with https://), in quotes"


def new_code() -> str:
    """Make a code."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(_LENGTH))


def plain(text: str) -> str:
    """Read a code as people type it: hyphens, spaces and small letters as they like, O for 0, I and L for 1.

    Raises:
        ClaimCodeError: it is no code.
    """
    code = re.sub(r"[\s-]", "", text).upper().translate(_CONFUSED)
    if len(code) != _LENGTH or set(code) - set(_ALPHABET):
        raise ClaimCodeError("this is no claim code: it has 16 letters and digits, as ABCD-EFGH-JKMN-PQRS")
    return code


def grouped(code: str) -> str:
    """Write a code in groups of four."""
    return "-".join(code[i : i + 4] for i in range(0, len(code), 4))


def digest(code: str) -> bytes:
    """Give what the clinic keeps of a code: it has 80 random bits, so a plain hash cannot be searched."""
    return hashlib.sha256(b"gonio claim code" + code.encode("ascii")).digest()
