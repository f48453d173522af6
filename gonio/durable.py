"""Files that are there as a whole or not at all, whatever is killed and whenever the power fails."""

import os
from contextlib import suppress
from pathlib import Path


def replace_file(path: Path, content: bytes) -> None:
    """Write a small file (mode 0600) in place of what was there; it is on the disk when this returns.

    Raises:
        OSError: the disk did not take it; what was there stays.
    """
    new = path.with_name(f"{path.name}.new")
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
    sync(path.parent)


def sync(path: Path) -> None:
    """Bring a file's content, or the names in a directory, to the disk."""
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def erase_file(path: Path) -> None:
    """Overwrite a small file and delete it; one that is not there is no fault.

    A flash disk may write elsewhere and keep the old cells for a while: what an erased key has encrypted is gone as
    far as the disk lets go of that one block.

    Raises:
        OSError: the disk refuses.
    """
    with suppress(FileNotFoundError):
        file = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(file, b"\0" * os.fstat(file).st_size)
            os.fsync(file)
        finally:
            os.close(file)
        path.unlink()
        sync(path.parent)
