"""Small disks that can be filled: a tmpfs each, which only root may mount."""

import contextlib
import errno
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_FILLER: Final = "filler"
_PIECE: Final = 1 << 20


class Disk:
    """A mounted tmpfs."""

    def __init__(self, folder: Path) -> None:
        """Take over what is mounted there."""
        self.folder = folder

    def fill(self, leave: int) -> None:
        """Take all room but so many bytes, rounded to pages; again where room has come free since."""
        with (self.folder / _FILLER).open("ab", buffering=0) as file:
            for piece in (_PIECE, 4096):
                with contextlib.suppress(OSError):  # it is full
                    while os.write(file.fileno(), bytes(piece)) == piece:
                        pass
            if leave:
                file.truncate(max(0, file.tell() - leave))

    def relieve(self) -> None:
        """Give the room back."""
        (self.folder / _FILLER).unlink(missing_ok=True)


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Disk]:
    """Mount a tmpfs on a new folder for as long as the context lasts.

    Raises:
        OSError: it cannot be mounted.
    """
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=0755", "tmpfs", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        raise OSError(errno.EPERM, f"a tmpfs cannot be mounted ({mounted.stderr.strip()})")
    try:
        yield Disk(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
