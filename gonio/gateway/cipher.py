"""The kit's database through SQLCipher: the same DB-API as :mod:`sqlite3`, every page of file and log encrypted.

A page is AES-256-CBC with a fresh IV and an HMAC-SHA512 over ciphertext, IV and page number (SQLCipher 4's defaults,
https://www.zetetic.net/sqlcipher/design/). The key is given raw, so nothing is stretched at opening. The salt that
SQLCipher keeps in the file's first 16 bytes follows from the key: a file whose first page is lost can still be read.
"""

import hashlib
import sqlite3
from pathlib import Path
from typing import Final, cast

from sqlcipher3 import dbapi2

KEY_BYTES: Final = 32
SALT_BYTES: Final = 16
PAGE: Final = 4096  # bytes of a page: SQLite's and SQLCipher's default
PLAIN_MAGIC: Final = b"SQLite format 3\x00"  # the first bytes of a database that is not encrypted

DatabaseError: Final[type[Exception]] = dbapi2.DatabaseError
IntegrityError: Final[type[Exception]] = dbapi2.IntegrityError


def salt_of(key: bytes) -> bytes:
    """Give the salt of a key's databases: no secret, it only separates the key of the HMAC from the key."""
    return hashlib.sha256(b"gonio kit database salt" + key).digest()[:SALT_BYTES]


def key_clause(key: bytes) -> str:
    """Write a key as SQLCipher's ``PRAGMA key`` and ``ATTACH ... KEY`` take it."""
    return f"\"x'{key.hex()}{salt_of(key).hex()}'\""


def connect(path: Path, key: bytes | None, *, readonly: bool = False) -> sqlite3.Connection:
    """Open a database; nothing is read yet, so that a wrong key shows at the first statement (``SQLITE_NOTADB``).

    Args:
        path: the file; made where it is missing, unless ``readonly``.
        key: of ``KEY_BYTES``; None for a database that is not encrypted.
        readonly: look and never touch.
    """
    address = f"{path.resolve().as_uri()}?mode={'ro' if readonly else 'rwc'}"
    connection = cast(
        "sqlite3.Connection",
        dbapi2.connect(address, uri=True, isolation_level=None, check_same_thread=False, timeout=5.0),
    )
    connection.execute("PRAGMA cipher_log_level = NONE")  # it would write to the terminal; errors are raised
    if key is not None:
        connection.execute(f"PRAGMA key = {key_clause(key)}")
    connection.execute("PRAGMA temp_store = MEMORY")  # nothing of a patient in a temporary file
    return connection


def is_plain(path: Path) -> bool:
    """Tell whether a file is a database that is not encrypted."""
    with path.open("rb") as file:
        return file.read(len(PLAIN_MAGIC)) == PLAIN_MAGIC
