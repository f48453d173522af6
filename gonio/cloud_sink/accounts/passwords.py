"""Passwords: which will do (NIST SP 800-63B-4, 3.1.1.2), and how they are kept (Argon2id, RFC 9106)."""

import threading
import unicodedata
from typing import Final

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

from gonio.cloud_sink.accounts.common_passwords import is_common
from gonio.cloud_sink.accounts.model import PasswordRefusedError

MIN_LENGTH: Final = 12
MAX_LENGTH: Final = 128  # bounds the work of one attempt; a passphrase fits
#: Verifications at once in one process: each takes the memory below, and a flood of attempts must not take it all.
_AT_ONCE: Final = 4


def check_new(password: str, known: list[str]) -> None:
    """Refuse a password that an attacker tries early.

    Length in characters after normalisation (NFKC) and a list to be avoided; no rules of composition, no expiry.

    Args:
        password: as it was typed.
        known: what is known of the person: login, name, clinic.

    Raises:
        PasswordRefusedError: it will not do; the text says why.
    """
    text = _normal(password)
    if len(text) < MIN_LENGTH:
        raise PasswordRefusedError(f"a password has at least {MIN_LENGTH} characters: a few words make a good one")
    if len(text) > MAX_LENGTH:
        raise PasswordRefusedError(f"a password has at most {MAX_LENGTH} characters")
    folded = "".join(text.casefold().split())
    for each in known:
        whole = "".join(_normal(each).casefold().split())
        if folded in {whole, whole.partition("@")[0]}:
            raise PasswordRefusedError("the password is your name, your address or your clinic's name: take another")
    if is_common(folded):
        raise PasswordRefusedError("the password is one that attackers try first: take another")


class Passwords:
    """Argon2id with the second recommended parameters of RFC 9106 (64 MiB, 3 passes), above OWASP's least."""

    def __init__(self, *, time_cost: int = 3, memory_kib: int = 65536, parallelism: int = 4) -> None:
        """Set the cost; tests take less."""
        self._hasher = PasswordHasher(time_cost, memory_kib, parallelism, type=Type.ID)
        self._slots = threading.BoundedSemaphore(_AT_ONCE)
        self._nobodys = self._hasher.hash("nobody's password")

    def hash(self, password: str) -> str:
        """Give what is kept of a password: parameters, salt and hash."""
        with self._slots:
            return self._hasher.hash(_normal(password))

    def verify(self, kept: str | None, password: str) -> bool:
        """Tell whether it is the password; without one that is kept, the same work is done for nothing."""
        fits = len(password) <= MAX_LENGTH
        with self._slots:
            try:
                self._hasher.verify(kept or self._nobodys, _normal(password) if fits else "")
            except (VerificationError, InvalidHashError):
                return False
        return kept is not None and fits

    def is_outdated(self, kept: str) -> bool:
        """Tell whether a kept password was hashed with other parameters than today's."""
        return self._hasher.check_needs_rehash(kept)


def _normal(text: str) -> str:
    """Give the same text for the same typing, whatever keyboard and system composed it."""
    return unicodedata.normalize("NFKC", text).encode(errors="backslashreplace").decode()
