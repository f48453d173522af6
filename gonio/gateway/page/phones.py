"""Which phones may open the page: those that were paired with the kit's code, or by a phone that was.

The code has eight digits and stands on the card in the box, beside a picture of the same for the phone's camera. Wrong
ones cost time: after five a minute, then twice as long each time, up to an hour. A phone that is paired keeps a random
token in a cookie; the kit keeps its hash. All of it is forgotten with a wipe.
"""

import hashlib
import hmac
import secrets
import threading
import time
from collections.abc import Callable
from datetime import datetime
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gonio.errors import GonioError
from gonio.gateway.store import KitStore
from gonio.messages.check_in import Author

NOTE: Final = "phones"
MOST: Final = 12
INVITED_S: Final = 600.0
FREE_TRIES: Final = 5
FIRST_WAIT_S: Final = 60.0
LONGEST_WAIT_S: Final = 3600.0


class PairingError(GonioError):
    """A phone was not paired.

    Attributes:
        wait_s: how long no code is looked at, s; 0 where the code was wrong.
    """

    def __init__(self, text: str, wait_s: float = 0.0) -> None:
        super().__init__(text)
        self.wait_s = wait_s


class Phone(BaseModel):
    """A paired phone."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    token_hash: str
    name: str = Field(max_length=64)
    author: Author = "patient"
    paired_at: datetime
    left_handed: bool = False
    language: str | None = None


class _Kept(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    code: str
    phones: tuple[Phone, ...] = ()


class Phones:
    """The paired phones of a kit; every method is one short transaction at most."""

    def __init__(self, store: Callable[[], KitStore], *, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        """Prepare.

        Args:
            store: gives the kit's store; a wiped kit has another one.
            monotonic_s: the clock that wrong codes are measured by.
        """
        self._store = store
        self._now_s = monotonic_s
        self._invitations: dict[str, float] = {}
        self._wrong = 0
        self._closed_until_s = 0.0
        self._lock = threading.Lock()  # two phones may be paired or set at once

    @property
    def code(self) -> str:
        """The kit's code, eight digits; made when it is first asked for."""
        return self._kept().code

    def renew_code(self) -> str:
        """Make another code; phones that are paired stay so."""
        return self._change(lambda kept: kept.model_copy(update={"code": _new_code()})).code

    def all(self) -> tuple[Phone, ...]:
        """Give the paired phones, in the order in which they came."""
        return self._kept().phones

    def find(self, token: str) -> Phone | None:
        """Give the phone that bears a token, or None."""
        wanted = _hash(token)
        return next((one for one in self.all() if hmac.compare_digest(one.token_hash, wanted)), None)

    def invite(self) -> str:
        """Make a code for one more phone; it counts once, for ten minutes."""
        now_s = self._now_s()
        self._invitations = {code: until for code, until in self._invitations.items() if until > now_s}
        code = secrets.token_urlsafe(12)
        self._invitations[code] = now_s + INVITED_S
        return code

    def pair(self, code: str, name: str, author: Author, now: datetime) -> str:
        """Pair a phone; gives its token.

        Args:
            code: the kit's, however it is spaced, or an invitation.
            name: what the phone is called here.
            author: who writes on it.
            now: the moment, aware.

        Raises:
            PairingError: the code is wrong, or too many were.
        """
        wait_s = self._closed_until_s - self._now_s()
        if wait_s > 0:
            raise PairingError("too many wrong codes", wait_s)
        if not self._counts(code):
            self._wrong += 1
            if self._wrong >= FREE_TRIES:
                wait_s = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2 ** (self._wrong - FREE_TRIES))
                self._closed_until_s = self._now_s() + wait_s
                raise PairingError("too many wrong codes", wait_s)
            raise PairingError("this is not the kit's code")
        self._wrong = 0
        return self.admit(name, author, now)

    def admit(self, name: str, author: Author, now: datetime) -> str:
        """Pair a phone without a code: the browser of whoever runs the demo; gives its token."""
        token = secrets.token_urlsafe(24)
        phone = Phone(token_hash=_hash(token), name=name.strip()[:64] or "phone", author=author, paired_at=now)
        self._change_phones(lambda phones: (*phones, phone)[-MOST:])
        return token

    def change(self, phone: Phone, **changes: object) -> None:
        """Keep what is set on a phone: its name, hand, language."""
        self._change_phones(
            lambda phones: tuple(
                one.model_copy(update=changes) if one.token_hash == phone.token_hash else one for one in phones
            )
        )

    def remove(self, token_hash: str) -> None:
        """Let a phone in no more; one that is not paired is nothing to remove."""
        self._change_phones(lambda phones: tuple(one for one in phones if one.token_hash != token_hash))

    def _counts(self, code: str) -> bool:
        invited_until_s = self._invitations.pop(code, None)
        if invited_until_s is not None:
            return invited_until_s > self._now_s()
        digits = "".join(one for one in code if one.isascii() and one.isdigit())
        return hmac.compare_digest(digits.encode(), self.code.encode())

    def _change_phones(self, change: Callable[[tuple[Phone, ...]], tuple[Phone, ...]]) -> None:
        self._change(lambda kept: kept.model_copy(update={"phones": change(kept.phones)}))

    def _change(self, change: Callable[[_Kept], _Kept]) -> _Kept:
        with self._lock:
            after = change(self._read())
            self._store().keep_note(NOTE, after.model_dump_json())
            return after

    def _kept(self) -> _Kept:
        """Give what is kept; a kit that has no code yet gets one."""
        if self._store().note(NOTE) is None:
            return self._change(lambda made: made)
        return self._read()

    def _read(self) -> _Kept:
        text = self._store().note(NOTE)
        try:
            return _Kept(code=_new_code()) if text is None else _Kept.model_validate_json(text)
        except ValidationError:  # of another version: phones are paired anew
            return _Kept(code=_new_code())


def spaced(code: str) -> str:
    """Write a code as people read it: two groups of four."""
    return f"{code[:4]} {code[4:]}"


def _new_code() -> str:
    return f"{secrets.randbelow(10**8):08}"


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
