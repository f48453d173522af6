"""Backups that nobody reads without the passphrase: AES-256-GCM in chunks, the key by scrypt.

The file: a magic line, the length of the header (4 bytes, big-endian), the header (JSON: how the key is made), then
chunks of CHUNK_BYTES each but for the last, every one followed by its tag of 16 bytes. A chunk's nonce is its number
(11 bytes) and whether it is the last one (1 byte), as in the STREAM construction (Hoang, Reyhanitabar, Rogaway, Vizár
2015): a chunk that was changed, moved, repeated, or after which the file was cut, does not open. The key is the
file's own, as the salt is random, so no nonce is ever used twice with one key.
"""

import hashlib
import json
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gonio.cloud_sink.backup_file import BackupDamagedError
from gonio.errors import UsageError

MAGIC: Final = b"gonio encrypted backup 1\n"
CHUNK_BYTES: Final = 1 << 20
_TAG_BYTES: Final = 16
_LENGTH_BYTES: Final = 4
_MAX_HEADER_BYTES: Final = 4096
#: scrypt's cost: 128 MB and under a second; a header that asks for anything else is not followed.
_SCRYPT: Final = {"n": 1 << 17, "r": 8, "p": 1}
_MEMORY: Final = 256 * 1024 * 1024
MIN_PASSPHRASE: Final = 12


def read_passphrase(path: Path) -> bytes:
    """Read a passphrase: the file's first line.

    Raises:
        UsageError: the file cannot be read, or what it holds is too short to protect anything.
    """
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise UsageError(f"the passphrase file {path} cannot be read: {error.strerror}") from error
    passphrase = lines[0].strip() if lines else b""
    if len(passphrase) < MIN_PASSPHRASE:
        raise UsageError(f"the first line of {path} is no passphrase of at least {MIN_PASSPHRASE} characters")
    return passphrase


def is_encrypted(path: Path) -> bool:
    """Tell an encrypted backup by its first bytes."""
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def encrypt(plain: IO[bytes], sealed: IO[bytes], passphrase: bytes, on_bytes: Callable[[int], None]) -> None:
    """Write an encrypted copy of a file; ``on_bytes`` is told how many were read so far."""
    header = json.dumps({"cipher": "aes-256-gcm", "kdf": "scrypt", "salt": secrets.token_hex(16), **_SCRYPT}).encode()
    cipher = AESGCM(_key(passphrase, header))
    sealed.write(MAGIC + len(header).to_bytes(_LENGTH_BYTES, "big") + header)
    done = 0
    for number, (chunk, last) in enumerate(_chunks(plain, CHUNK_BYTES)):
        sealed.write(cipher.encrypt(_nonce(number, last=last), chunk, header))
        done += len(chunk)
        on_bytes(done)


def decrypt(sealed: IO[bytes], plain: IO[bytes], passphrase: bytes, on_bytes: Callable[[int], None]) -> None:
    """Write the plain copy of an encrypted file, from its magic line on.

    Raises:
        BackupDamagedError: another passphrase, or the file is not what was written; what is in ``plain`` by then is
            of no use.
    """
    header = _read_header(sealed)
    cipher = AESGCM(_key(passphrase, header))
    done = 0
    for number, (chunk, last) in enumerate(_chunks(sealed, CHUNK_BYTES + _TAG_BYTES)):
        try:
            plain.write(cipher.decrypt(_nonce(number, last=last), chunk, header))
        except InvalidTag as error:
            why = (
                "the passphrase is another one, or the backup's beginning is damaged"
                if number == 0
                else (f"the backup is damaged or cut short at byte {number * CHUNK_BYTES} of its content: take another")
            )
            raise BackupDamagedError(why) from error
        done += len(chunk)
        on_bytes(done)


def _read_header(sealed: IO[bytes]) -> bytes:
    sealed.read(len(MAGIC))
    size = int.from_bytes(sealed.read(_LENGTH_BYTES), "big")
    header = sealed.read(min(size, _MAX_HEADER_BYTES))
    try:
        values = json.loads(header)
        salt = bytes.fromhex(values.pop("salt"))
        known = values == {"cipher": "aes-256-gcm", "kdf": "scrypt", **_SCRYPT} and len(header) == size
    except (ValueError, TypeError, KeyError, AttributeError):
        known, salt = False, b""
    if not known or not salt:
        raise BackupDamagedError("the encrypted backup's header is damaged: take another backup")
    return header


def _key(passphrase: bytes, header: bytes) -> bytes:
    salt = bytes.fromhex(json.loads(header)["salt"])
    return hashlib.scrypt(passphrase, salt=salt, maxmem=_MEMORY, dklen=32, **_SCRYPT)


def _nonce(number: int, *, last: bool) -> bytes:
    return number.to_bytes(11, "big") + bytes([last])


def _chunks(file: IO[bytes], size: int) -> Iterator[tuple[bytes, bool]]:
    """Read a file in chunks, and say of each whether it is the last; an empty file is one empty chunk."""
    chunk = file.read(size)
    while True:
        following = file.read(size)
        yield chunk, not following
        if not following:
            return
        chunk = following
