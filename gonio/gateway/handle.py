"""A kit's database as it is held open: who has it, how a transaction goes, what happens when the disk refuses.

What is kept in it is the matter of :class:`gonio.gateway.store.KitStore`, which this is the lower half of.
"""

import secrets
import sqlite3
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self, TypeVar

from gonio.errors import UsageError
from gonio.gateway.database import (
    DATABASE_NAME,
    DirectoryLock,
    StoreDamagedError,
    StoreWriteError,
    faults_named,
    open_database,
    open_for_reading,
    refused,
)
from gonio.gateway.identity_folder import IdentityFolder
from gonio.gateway.keyfile import KEY_NAME, KeyFile, KeySource, key_check
from gonio.gateway.kit_key import Signer, open_key, read_clinic_key
from gonio.gateway.nameplate import Nameplate, keep_plate, read_plate
from gonio.gateway.outbox import sign_unsigned
from gonio.gateway.reserve import Reserve
from gonio.gateway.wiping import finish_erasing
from gonio.identity.keys import PublicKey, SigningKey

_T = TypeVar("_T")


class StoreHandle:
    """An open kit; a context manager. Make it with :meth:`open` or :meth:`peek`."""

    def __init__(
        self,
        path: Path,
        connection: sqlite3.Connection,
        lock: DirectoryLock | None = None,
        keys: KeySource | None = None,
    ) -> None:
        """Take over an open database; without lock and keys it is for reading only."""
        self.path = path
        self._keys = keys
        self._signing: SigningKey | None = None
        self._clinic: PublicKey | None = None
        self._damaged = False
        self._db = connection
        self._directory_lock = lock
        self._reserve = Reserve(path.parent)
        self._mutex = threading.RLock()
        self._closed = False

    @classmethod
    def open(cls, data_dir: Path, keys: KeySource | None = None, signing: SigningKey | None = None) -> Self:
        """Open the kit in a directory for writing, and create it there if there is none.

        Args:
            data_dir: the directory.
            keys: where the database's key is kept; None for a file in the directory.
            signing: the key that records are signed with; None for a file in the directory, see ``kit_key``.

        Raises:
            UsageError: the directory cannot be written, another kit uses it, or its database is damaged or foreign.
            KeyFaultError: the database's key is missing or another, or the kit's or its clinic's is damaged; nothing
                was touched.
            StoreWriteError: the disk is full or failing.
        """
        lock = DirectoryLock(data_dir)
        path, keys = data_dir / DATABASE_NAME, keys or KeyFile(data_dir / KEY_NAME)
        try:
            _finish_what_was_cut_short(data_dir, keys)
            connection, key = open_database(path, keys)
            store = cls(path, connection, lock, keys)
        except BaseException:
            lock.release()
            raise
        try:
            store._create_identity(key)
            store._signing = signing or open_key(data_dir)
            store._clinic = read_clinic_key(data_dir)
            store._sign_unsigned()
        except BaseException:
            store.close()
            raise
        return store

    @classmethod
    def peek(cls, data_dir: Path, keys: KeySource | None = None) -> Self:
        """Open a kit for reading, beside the process that runs it; arguments as ``open``.

        Raises:
            UsageError: there is no kit, or its database is damaged or of another version.
            KeyFaultError: the database's key is missing or another.
        """
        path = data_dir / DATABASE_NAME
        return cls(path, open_for_reading(path, keys or KeyFile(data_dir / KEY_NAME)))

    def close(self) -> None:
        """Close the database and let another process have the directory; again has no effect."""
        with self._mutex:
            if self._closed:
                return
            self._closed = True
            self._db.close()
            if self._directory_lock is not None:
                self._directory_lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._reading() as db:
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:  # some faults roll back by themselves
                    db.execute("ROLLBACK")
                raise

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._mutex:
            if self._closed:
                raise UsageError("the kit's store is closed")
            self._heal()
            try:
                with faults_named(self.path):
                    yield self._db
            except StoreDamagedError as error:
                if self._keys is None:
                    raise
                self._damaged = True
                raise StoreWriteError(
                    f"{self.path} is damaged: with its next attempt the kit sets it aside and saves what can be read"
                ) from error

    def _heal(self) -> None:
        """Open the database anew where it was found damaged, as a start would; the disk may refuse."""
        if self._damaged and self._keys is not None:
            self._db.close()
            self._db, _ = open_database(self.path, self._keys)
            self._damaged = False
            self._sign_unsigned()

    def _insist(self, write: Callable[[sqlite3.Connection], _T]) -> _T:
        """Write in a transaction; where the disk refuses, once more with the room of the reserve.

        Raises:
            StoreWriteError: the disk did not take it; nothing is written.
        """
        try:
            with self._transaction() as db:
                return write(db)
        except StoreWriteError:
            if not self._reserve.release():
                raise
        with self._transaction() as db:
            return write(db)

    # --- identity ----------------------------------------------------------------------------------------------------

    def _create_identity(self, key: bytes) -> None:
        plate = read_plate(self.path.parent)
        name = f"kit-{secrets.token_hex(8)}" if plate is None else plate.kit_id
        with self._transaction() as db:
            db.execute("INSERT INTO kit VALUES (1, ?) ON CONFLICT DO NOTHING", (name,))
            db.execute("INSERT INTO outbox_head VALUES (1, ?, 0) ON CONFLICT DO NOTHING", (str(uuid.uuid4()),))
        try:
            keep_plate(self.path.parent, Nameplate(self.kit_id, key_check(key)))
        except OSError as error:
            raise refused(error, f"{self.path.parent} cannot be written ({error.strerror}): check it") from error

    @property
    def kit_id(self) -> str:
        """The kit's name, made once, random."""
        with self._reading() as db:
            return str(db.execute("SELECT kit_id FROM kit").fetchone()[0])

    @property
    def signing_key(self) -> SigningKey:
        """The key that records are signed with.

        Raises:
            UsageError: the kit is open for reading only.
        """
        if self._signing is None:
            raise UsageError("the kit is open for reading only: it has no key here")
        return self._signing

    def use_key(self, key: SigningKey) -> None:
        """Sign with another key from now on; records that were made before stay signed by theirs."""
        with self._mutex:
            self._signing = key

    @property
    def clinic_key(self) -> PublicKey | None:
        """The key that the clinic's records are signed with; None for a kit that no clinic has claimed."""
        return self._clinic

    def use_clinic_key(self, key: PublicKey | None) -> None:
        """Take only what a clinic signed from now on; None for a kit that has no clinic (any more)."""
        with self._mutex:
            self._clinic = key

    def _signer(self, db: sqlite3.Connection) -> Signer:
        (kit_id,) = db.execute("SELECT kit_id FROM kit").fetchone()
        return Signer(str(kit_id), self.signing_key, self._clinic)

    def _sign_unsigned(self) -> None:
        """Sign the records of a gonio that did not sign: a clinic takes no others."""
        while self._insist(lambda db: sign_unsigned(db, self._signer(db))):
            pass

    @property
    def outbox_id(self) -> uuid.UUID:
        """The outbox's name, new whenever an outbox is created: sequences are gapless within it."""
        with self._reading() as db:
            return uuid.UUID(db.execute("SELECT outbox_id FROM outbox_head").fetchone()[0])


def _finish_what_was_cut_short(data_dir: Path, keys: KeySource) -> None:
    """Go on with a wipe or a change of keys that a kill or a power cut ended half way."""
    try:
        finish_erasing(data_dir, keys)
        folder = IdentityFolder(data_dir)
        folder.finish_change()
        folder.require_key()
    except OSError as error:
        said = f"{data_dir} cannot be written ({error.strerror}): a wipe or a change of keys waits for it; check it"
        raise refused(error, said) from error
