"""The kit's signing key and its clinic's: files in ``identity`` beside the kit's database.

The key is made on the first boot, before anybody claims the kit. It signs the kit's records and is the key of its
certificate. A kit with a TPM or a secure element has its key there: whoever starts the kit then gives
:meth:`gonio.gateway.store.KitStore.open` a :class:`gonio.identity.keys.SigningKey` of that chip, and no file is made.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gonio.durable import sync
from gonio.gateway.database import refused
from gonio.identity.keys import KeyFaultError, KeyPemFile, PublicKey, SigningKey

FOLDER_NAME: Final = "identity"
KEY_NAME: Final = "kit-key.pem"
CLINIC_KEY_NAME: Final = "clinic-records.pub"
_OTHERS: Final = 0o077  # permission bits of everybody but the owner


@dataclass(frozen=True, slots=True)
class Signer:
    """Who a kit is when it writes.

    Attributes:
        kit_id: its name.
        key: signs its records.
        clinic: checks what its clinic sends; None for a kit that no clinic has claimed.
    """

    kit_id: str
    key: SigningKey
    clinic: PublicKey | None = None


def open_key(data_dir: Path) -> SigningKey:
    """Open the kit's key, and make it where there is none; it is on the disk when this returns.

    A kill at any moment leaves no key or a whole one, and of several processes that come at once all get the same.

    Raises:
        KeyFaultError: the file is there and is no key; it stays as it is.
        UsageError: the folder cannot be written.
        StoreWriteError: the disk is full or failing.
    """
    folder = data_dir / FOLDER_NAME
    path = folder / KEY_NAME
    try:
        with _locked(folder):
            if not path.exists():
                return KeyPemFile.make(path)
            if path.stat().st_mode & _OTHERS:
                path.chmod(0o600)
    except OSError as error:
        said = f"the kit's key {path} cannot be written ({error.strerror})"
        raise refused(error, f"{said}: make its folder writable, or name another with --data-dir") from error
    try:
        return KeyPemFile(path)
    except KeyFaultError as error:
        raise KeyFaultError(
            f"{error}: put back a copy of the kit's key; where there is none, move the file aside: the kit then makes "
            f"a new key, and its clinic has to claim it again"
        ) from error


def read_clinic_key(data_dir: Path) -> PublicKey | None:
    """Give the key that the kit's clinic signs with (SubjectPublicKeyInfo in DER); None where no clinic has claimed it.

    Raises:
        KeyFaultError: the file is there and cannot be read, or is no key. Nothing may then be taken from anybody.
    """
    path = data_dir / FOLDER_NAME / CLINIC_KEY_NAME
    try:
        der = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise KeyFaultError(f"the clinic's key {path} cannot be read ({error.strerror}): {_CLAIM_AGAIN}") from error
    try:
        return PublicKey(der)
    except KeyFaultError as error:
        raise KeyFaultError(f"{path} holds no clinic's key: {_CLAIM_AGAIN}") from error


_CLAIM_AGAIN: Final = "put back a copy, or let the clinic claim this kit again"


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Have the folder (mode 0700, made where it is missing) for this process alone, and wait for whoever has it."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    sync(folder.parent)
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        os.close(file)
