"""What a clinic keeps beside its book: keys and certificates of its own, none of which belongs into a database.

``GONIO_CLINIC_DIR``, by default ``$XDG_STATE_HOME/gonio/clinic``, mode 0700:

- ``authority/``: the certificate authority (``identity.authority``); with an external one, ``authority.crt`` alone;
- ``records.key``: signs programs, messages and commands, so that kits take none but the clinic's;
- ``pages.key``: 32 bytes in hexadecimal, seals second factors in the book;
- ``tls/``: certificates and keys of the clinic's own programs: broker, sink, enrolment, pages.
"""

import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self, TypeVar

from gonio.durable import replace_file
from gonio.errors import UsageError
from gonio.identity.authority import CERTIFICATE_NAME, KEY_NAME, Authority
from gonio.identity.certificates import Certificate
from gonio.identity.keys import KeyPemFile

PAGES_KEY_BYTES: Final = 32

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class ProgramFiles:
    """Where a program of the clinic's own has its certificate and its key, PEM."""

    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True)
class ClinicFolder:
    """The folder; nothing is read or made before it is asked for."""

    path: Path

    @classmethod
    def usual(cls, given: Path | None = None) -> Self:
        """Give the folder that a command was given, or that the environment names, or the usual one."""
        if given is not None:
            return cls(given)
        named = os.environ.get("GONIO_CLINIC_DIR")
        if named:
            return cls(Path(named))
        state = os.environ.get("XDG_STATE_HOME", "")
        base = Path(state) if Path(state).is_absolute() else Path.home() / ".local" / "state"
        return cls(base / "gonio" / "clinic")

    @property
    def authority_folder(self) -> Path:
        """Where the authority is."""
        return self.path / "authority"

    @property
    def authority_file(self) -> Path:
        """The authority's certificate, which everybody may have."""
        return self.authority_folder / CERTIFICATE_NAME

    @property
    def signs_itself(self) -> bool:
        """Whether the authority's key is here; else somebody elsewhere signs certificates."""
        return (self.authority_folder / KEY_NAME).exists()

    def authority(self) -> Authority:
        """Open the authority.

        Raises:
            UsageError: there is none, or it is damaged.
        """
        return Authority(self.authority_folder)

    def authority_certificate(self) -> Certificate:
        """Read the authority's certificate, wherever its key is.

        Raises:
            UsageError: there is none.
        """
        try:
            return Certificate.read(self.authority_file.read_bytes())
        except OSError as error:
            raise UsageError(
                f"{self.authority_file} cannot be read ({error.strerror}): make an authority with `gonio clinic "
                "authority make`, or put the certificate of the one that you use there"
            ) from error

    def records_key(self, *, make: bool = False) -> KeyPemFile | None:
        """Open the key that signs what goes down to kits; None where there is none and it is not to be made.

        Raises:
            UsageError: it is damaged, or cannot be written.
        """
        file = self.path / "records.key"
        if make:
            with suppress(FileExistsError):
                return _written(file, lambda: KeyPemFile.make(file))
        return KeyPemFile(file) if file.exists() else None

    def pages_key(self) -> bytes:
        """Give the key that seals second factors; made where there is none.

        Raises:
            UsageError: it is damaged, or cannot be written.
        """
        file = self.path / "pages.key"
        if not file.exists():
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            with suppress(FileExistsError):
                _written(file, lambda: _make_once(file, f"{secrets.token_bytes(PAGES_KEY_BYTES).hex()}\n".encode()))
        with suppress(ValueError, OSError):
            key = bytes.fromhex(file.read_text("ascii").strip())
            if len(key) == PAGES_KEY_BYTES:
                return key
        raise UsageError(f"{file} holds no key (64 hexadecimal digits): put back a copy; a new one ends second factors")

    def program(self, name: str) -> ProgramFiles:
        """Name the files of a program of the clinic's own: broker, sink, enrolment, pages, database."""
        tls = self.path / "tls"
        return ProgramFiles(tls / f"{name}.crt", tls / f"{name}.key")


def _make_once(file: Path, content: bytes) -> None:
    """Write a file that is not there; of two who do so at once, one wins and the other takes its file.

    Raises:
        FileExistsError: it is there by now.
    """
    new = file.with_name(f"{file.name}.{secrets.token_hex(4)}")
    replace_file(new, content)
    try:
        os.link(new, file)
    finally:
        new.unlink()


def _written(file: Path, write: Callable[[], _T]) -> _T:
    try:
        return write()
    except FileExistsError:
        raise
    except OSError as error:
        raise UsageError(f"{file} cannot be written ({error.strerror}): make its folder writable") from error
