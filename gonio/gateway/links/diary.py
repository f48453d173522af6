"""The kit's event log: sentences with times, for a support person; bounded, and without anybody's name.

Two files in the kit's data directory, the newer and the older half. A sensor is called by its place on the leg, so
that nothing in them tells who wears it.
"""

import logging
import os
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

log = logging.getLogger(__name__)

NAME: Final = "links.log"
OLDER: Final = "links.older.log"
#: Bytes of one of both files: some 1500 sentences, weeks of a kit that works, a day of one that does not.
HALF_BYTES: Final = 128 * 1024
#: Bytes of one sentence: an error's text may be long.
LINE_BYTES: Final = 400


class Diary:
    """Writes sentences; a disk that refuses costs the sentence and nothing else."""

    def __init__(self, directory: Path, *, now: Callable[[], datetime], half_bytes: int = HALF_BYTES) -> None:
        """Prepare.

        Args:
            directory: the kit's data directory.
            now: the wall clock, aware.
            half_bytes: how large one of both files may grow, bytes.
        """
        self._path = directory / NAME
        self._older = directory / OLDER
        self._now = now
        self._half_bytes = half_bytes
        self._refused = False

    def write(self, sentence: str) -> None:
        """Add a sentence with the time of now; line breaks and what is too long are left out."""
        stamp = self._now().isoformat(sep=" ", timespec="seconds")
        words = " ".join(sentence.split()).encode()[:LINE_BYTES].decode(errors="ignore")
        line = f"{stamp}  {words}\n".encode()
        try:
            self._make_room(len(line))
            file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.write(file, line)
            finally:
                os.close(file)
        except OSError as error:
            if not self._refused:
                log.warning("the event log %s cannot be written: %s", self._path, error)
            self._refused = True
        else:
            self._refused = False

    def _make_room(self, size: int) -> None:
        try:
            full = self._path.stat().st_size + size > self._half_bytes
        except FileNotFoundError:
            return
        if full:
            self._path.replace(self._older)


def last_sentences(directory: Path, count: int) -> Sequence[str]:
    """Give the newest sentences, oldest first; also while the kit writes. Empty where there is no log."""
    lines: list[str] = []
    for name in (OLDER, NAME):
        try:
            lines += (directory / name).read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            continue
    return lines[-count:] if count > 0 else []
