"""Room that is set aside on the disk, so that a session under way can still be closed when everything else is full."""

import contextlib
import os
from pathlib import Path
from typing import Final

RESERVE_NAME: Final = "kit.reserve"
#: Holds the log of a whole checkpoint (1000 pages) and as much of the database again: hundreds of sessions.
RESERVE_BYTES: Final = 8 * 2**20


class Reserve:
    """A file whose blocks are allocated and never used; deleting it makes room at once."""

    def __init__(self, directory: Path, size: int = RESERVE_BYTES) -> None:
        """Name it; nothing is allocated before :meth:`restore`."""
        self._path = directory / RESERVE_NAME
        self._size = size

    @property
    def ready(self) -> bool:
        """Whether it is set aside, whole."""
        try:
            status = self._path.stat()
        except OSError:
            return False
        return status.st_size == self._size and status.st_blocks * 512 >= self._size

    def release(self) -> bool:
        """Give the room back to the disk; False where there is none to give."""
        try:
            self._path.unlink()
        except OSError:
            return False
        return True

    def restore(self) -> bool:
        """Set the room aside where it is not; False where the disk has none, and then nothing is taken of it."""
        if self.ready:
            return True
        try:
            with os.fdopen(os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600), "wb") as file:
                os.posix_fallocate(file.fileno(), 0, self._size)
                os.fsync(file.fileno())
        except OSError:
            with contextlib.suppress(OSError):
                self._path.unlink()
            return False
        return True
