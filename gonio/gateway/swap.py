"""Puts a database made from a damaged one in its place, and the damaged one aside, so that a kill loses neither.

The new database, complete and on the disk, is renamed to a name that says where the damaged one goes. From then on
there is only one way, and every start goes on with it: log, index of the log and database are moved aside, in this
order, and last the new one takes the place. No log can come to lie beside a database that it is not of.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from gonio.durable import sync

_READY: Final = "-salvaged-"
_NEW: Final = "-salvaging"
_ASIDE: Final = ".damaged-"
KEPT: Final = 5  # damaged databases beside the kit's: evidence, and they may fill no disk
LOG_SUFFIXES: Final = ("-wal", "-shm", "-journal")


def new_file(path: Path) -> Path:
    """Give an empty file beside a database to make the new one in; what a kill left of an earlier try is removed."""
    new = path.with_name(path.name + _NEW)
    discard(new)
    new.touch(mode=0o600)
    return new


def discard(new: Path) -> None:
    """Remove a database that is not needed, with all that belongs to it."""
    for suffix in ("", *LOG_SUFFIXES):
        new.with_name(new.name + suffix).unlink(missing_ok=True)


def aside_name(path: Path) -> str:
    """Give a name for a damaged database that none bears yet."""
    moment = datetime.now(UTC)
    number = 0
    while True:
        stamp = f"{moment:%Y%m%dT%H%M%SZ}{f'-{number}' if number else ''}"
        if not any(path.with_name(f"{path.name}{_ASIDE}{stamp}{suffix}").exists() for suffix in ("", *LOG_SUFFIXES)):
            return f"{path.name}{_ASIDE}{stamp}"
        number += 1


def swap(path: Path, new: Path, aside: str) -> None:
    """Let a new database take the place of a damaged one.

    Args:
        path: the damaged one.
        new: the new one, closed, without a log.
        aside: from ``aside_name``.

    Raises:
        OSError: the disk refuses; the next ``finish_swap`` goes on.
    """
    sync(new)
    new.replace(path.with_name(f"{path.name}{_READY}{aside.rpartition(_ASIDE)[2]}"))
    sync(path.parent)
    finish_swap(path)


def finish_swap(path: Path) -> None:
    """Go on with a swap that was cut short; without one it does nothing.

    Raises:
        OSError: the disk refuses.
    """
    for ready in sorted(path.parent.glob(f"{path.name}{_READY}*")):
        aside = f"{path.name}{_ASIDE}{ready.name.removeprefix(path.name + _READY)}"
        for suffix in (*LOG_SUFFIXES, ""):
            old = path.with_name(path.name + suffix)
            if old.exists():
                old.rename(path.with_name(aside + suffix))
        sync(path.parent)
        ready.replace(path)
        sync(path.parent)


def prune(path: Path) -> None:
    """Delete all but the newest damaged databases; what could be read of them was saved.

    Raises:
        OSError: the disk refuses.
    """
    set_aside = [file for file in path.parent.glob(f"{path.name}{_ASIDE}*") if not file.name.endswith(LOG_SUFFIXES)]
    for file in sorted(set_aside)[:-KEPT]:
        discard(file)
