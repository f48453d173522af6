"""The pages of a kit's database and of its log as they lie on the disk, one by one, whatever became of the others.

What SQLite and SQLCipher refuse as a whole when a part is damaged is read here page by page. Formats:
https://www.sqlite.org/fileformat2.html (sections 1.2, 4.1) and https://www.zetetic.net/sqlcipher/design/.
"""

import hashlib
import hmac
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, Self

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from gonio.gateway.cipher import PAGE, PLAIN_MAGIC, SALT_BYTES, salt_of
from gonio.gateway.log_file import read_log

_IV: Final = 16
_MAC: Final = 64
RESERVED: Final = _IV + _MAC


class PageKey:
    """Decrypts single pages."""

    def __init__(self, key: bytes) -> None:
        """Derive the key of the HMAC as SQLCipher does."""
        self._key = key
        salt = bytes(byte ^ 0x3A for byte in salt_of(key))
        self._mac_key = hashlib.pbkdf2_hmac("sha512", key, salt, 2, len(key))

    def authentic(self, number: int, page: bytes) -> bool:
        """Tell whether a page is as it was written, under this key and at this place (from 1)."""
        body = page[SALT_BYTES:] if number == 1 else page
        mac = hmac.digest(self._mac_key, body[:-_MAC] + number.to_bytes(4, "little"), "sha512")
        return len(page) == PAGE and hmac.compare_digest(mac, body[-_MAC:])

    def decrypt(self, number: int, page: bytes) -> bytes | None:
        """Give a page as SQLite laid it out; None where it is damaged."""
        if not self.authentic(number, page):
            return None
        start = SALT_BYTES if number == 1 else 0
        decryptor = Cipher(algorithms.AES(self._key), modes.CBC(page[-RESERVED:-_MAC])).decryptor()
        clear = decryptor.update(page[start:-RESERVED]) + decryptor.finalize()
        return (PLAIN_MAGIC if number == 1 else b"") + clear + bytes(RESERVED)


def file_pages(path: Path) -> Iterator[tuple[int, bytes]]:
    """Give the pages of a file with their numbers from 1; the last may be cut short."""
    with path.open("rb") as file:
        number = 1
        while page := file.read(PAGE):
            yield number, page
            number += 1


def opens(path: Path, key: bytes) -> bool:
    """Tell whether a database is this key's: any one page suffices."""
    page_key = PageKey(key)
    return any(page_key.authentic(number, page) for number, page in file_pages(path))


class PageImage:
    """The newest committed copy of every page that can be read; a context manager."""

    def __init__(self, path: Path, key: bytes | None) -> None:
        """Open a database and its log; neither is ever written.

        Args:
            path: the database.
            key: its key; None for one in the clear, where a damaged page looks like any other.
        """
        self._key = None if key is None else PageKey(key)
        self.usable = PAGE if key is None else PAGE - RESERVED
        log_path = path.with_name(f"{path.name}-wal")
        log = read_log(log_path)
        self._offsets = log.offsets
        self._file = path.open("rb")
        self._log = log_path.open("rb") if log.offsets else None
        in_file = -(-path.stat().st_size // PAGE)
        self.count = max(in_file, log.pages, *log.offsets, 0) if log.offsets else in_file

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()
        if self._log is not None:
            self._log.close()

    def read(self, number: int) -> bytes | None:
        """Give a page; None where no copy of it can be read."""
        if not 1 <= number <= self.count:
            return None
        offset = self._offsets.get(number)
        if self._log is not None and offset is not None:
            page = self._clear(self._log, number, offset)
            if page is not None:
                return page
        return self._clear(self._file, number, (number - 1) * PAGE)

    def _clear(self, file: BinaryIO, number: int, offset: int) -> bytes | None:
        try:
            file.seek(offset)
            page = file.read(PAGE)
        except OSError:  # the medium cannot read this page
            return None
        if len(page) < PAGE:
            return None
        return page if self._key is None else self._key.decrypt(number, page)
