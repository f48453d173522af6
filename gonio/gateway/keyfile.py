"""The key that the kit's database is encrypted with, and where it is kept."""

import hashlib
import hmac
import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol

from gonio.durable import erase_file, replace_file
from gonio.gateway.cipher import KEY_BYTES
from gonio.identity.keys import KeyFaultError

KEY_NAME: Final = "kit.key"


class KeySource(Protocol):
    """Where a kit's key is kept: a file, or a chip that gives it to this machine only."""

    @property
    def name(self) -> str:
        """What to call it in an error's text."""
        ...

    def read(self) -> bytes | None:
        """Give the key, 32 bytes; None where none was made yet.

        Raises:
            KeyFaultError: there is one, and it cannot be read.
        """
        ...

    def make(self) -> bytes:
        """Make a key where there is none, keep it durably, and give it.

        Raises:
            OSError: it cannot be kept.
        """
        ...

    def forget(self) -> None:
        """Overwrite the key: nobody can read its database again. Without one it does nothing.

        Raises:
            OSError: it cannot be overwritten.
        """
        ...


class KeyFile:
    """A key in a file, as 64 hexadecimal digits, which only its owner may read.

    It keeps a patient's data from whoever gets hold of the database alone: a copy, a backup, a memory card from the
    waste, where the key file lies elsewhere. Whoever has both has the data.
    """

    def __init__(self, path: Path) -> None:
        """Name the file."""
        self._path = path

    @property
    def name(self) -> str:
        """The file's path."""
        return str(self._path)

    def read(self) -> bytes | None:
        """Give the key; None where there is no file.

        Raises:
            KeyFaultError: the file cannot be read, or holds no key.
        """
        try:
            text = self._path.read_bytes()[:1024].strip()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise KeyFaultError(
                f"the kit's key {self._path} cannot be read ({error.strerror}): check its place and permissions, or "
                f"name another with GONIO_KIT_KEY_FILE"
            ) from error
        with suppress(ValueError):
            key = bytes.fromhex(text.decode("ascii"))
            if len(key) == KEY_BYTES:
                return key
        raise KeyFaultError(f"{self._path} holds no key (64 hexadecimal digits): put back a copy of the kit's key file")

    def make(self) -> bytes:
        """Make a key and keep it; one that is there already is never written over.

        Raises:
            OSError: the file cannot be written.
        """
        key = secrets.token_bytes(KEY_BYTES)
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._path.exists():
            raise FileExistsError(17, os.strerror(17), str(self._path))
        replace_file(self._path, f"{key.hex()}\n".encode("ascii"))
        return key

    def forget(self) -> None:
        """Overwrite the file and delete it.

        Raises:
            OSError: the disk refuses.
        """
        erase_file(self._path)


def key_check(key: bytes) -> str:
    """Give what tells one key from another and says nothing about either."""
    return hmac.new(key, b"gonio kit key check", hashlib.sha256).hexdigest()[:16]
