"""A file that takes its name only when it is whole: until then it stands beside it under another."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gonio.errors import UsageError

#: What SQLite may leave beside a database.
_COMPANIONS = ("-journal", "-wal", "-shm")


@contextmanager
def part_file(target: Path, ending: str) -> Iterator[Path]:
    """Give an empty file beside ``target`` that is renamed to it when the context ends without an error.

    It is the owner's alone and on disk before it gets its name. A process that is killed leaves it under the other
    name, where the next one begins anew; two at once are refused.

    Args:
        target: the name it gets; nothing may be there.
        ending: added to that name until then.

    Raises:
        UsageError: something is there, the folder is of no use, or another process is at it.
    """
    refuse_taken(target)
    path = target.with_name(target.name + ending)
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise UsageError(f"{path} cannot be written ({error.strerror}): name a file in a folder of yours") from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise UsageError(f"another process is writing {target}: wait for it or name another file") from error
        os.fchmod(descriptor, 0o600)
        os.ftruncate(descriptor, 0)
        _remove_companions(path)
        try:
            yield path
            os.fsync(descriptor)
            refuse_taken(target)
            path.rename(target)
        except BaseException:
            _remove_companions(path)
            path.unlink()
            raise
        _sync_folder(target.parent)
    finally:
        os.close(descriptor)


def refuse_taken(target: Path) -> None:
    """Refuse a name at which something is, or beside which a database left a journal that a new one would take up.

    Raises:
        UsageError: that is so, or the folder is not there.
    """
    if not target.parent.is_dir():
        raise UsageError(f"the folder {target.parent} does not exist: create it or name another file")
    for ending in ("", *_COMPANIONS):
        path = target.with_name(target.name + ending)
        if os.path.lexists(path):
            raise UsageError(f"{path} is there already and is not overwritten: name another file or move it aside")


def _remove_companions(path: Path) -> None:
    for ending in _COMPANIONS:
        with suppress(FileNotFoundError):
            path.with_name(path.name + ending).unlink()


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
