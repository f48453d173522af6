"""What a fleet's kits have committed, for whoever checks the clinic's book against it.

One JSON object a line: ``kit``, ``sequence``, ``record_id``, and what else is told of the record (``fleet_record``);
the lines of a kit count up from 1. A line is appended after its record is committed on the kit, and is on the disk
before the kit's next commits. A kill between the two leaves a record without a line: :meth:`Truth.missing_from` says
where a kit's lines end, and the fleet adds what the outbox has beyond that before it makes anything new.
"""

import asyncio
import fcntl
import json
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self
from uuid import UUID

from gonio.errors import UsageError

RETRY_S: Final = 5.0  # until a disk that refused is asked again


@dataclass(frozen=True, slots=True)
class TruthLine:
    """One record that a kit holds.

    Attributes:
        kit_id: the kit.
        sequence: the record's number in its outbox.
        record_id: its id.
        told: further keys of the line; not kept of lines that are read.
    """

    kit_id: str
    sequence: int
    record_id: UUID
    told: Mapping[str, str] = field(default_factory=dict)

    def as_text(self) -> str:
        """Write the line, with its end."""
        keys = {"kit": self.kit_id, "sequence": self.sequence, "record_id": str(self.record_id)}
        return json.dumps(keys | dict(self.told)) + "\n"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a line.

        Raises:
            ValueError: it is none.
        """
        try:
            row = json.loads(text)
            line = cls(str(row["kit"]), int(row["sequence"]), UUID(row["record_id"]))
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError("not a line of a truth file") from error
        return line


class Truth:
    """A truth file that one fleet appends to, from construction until :meth:`close`."""

    def __init__(self, path: Path, tell: Callable[[str], None], *, retry_s: float = RETRY_S) -> None:
        """Open the file, make it where it is missing, and cut off a last line that a kill left unfinished.

        Args:
            path: of the file.
            tell: told when the disk does not take a line.
            retry_s: until it is asked again, s.

        Raises:
            UsageError: it cannot be written, another fleet writes it, or it is no truth file.
        """
        self.path = path
        self._tell = tell
        self._retry_s = retry_s
        self._waiting: list[str] = []
        self._writing = asyncio.Lock()
        self._mutex = threading.Lock()  # of the thread that writes and of close()
        self._closed = False
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise UsageError(f"the truth file {path} cannot be written ({error.strerror})") from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._last = self._read()
        except BlockingIOError as error:
            os.close(self._file)
            raise UsageError(f"another fleet writes the truth file {path}: name another") from error
        except BaseException:
            os.close(self._file)
            raise
        _sync_folder(path.parent)

    def close(self) -> None:
        """Let another fleet have the file; a write under way comes to its end first."""
        with self._mutex:
            self._closed = True
            os.close(self._file)

    def missing_from(self, kit_id: str) -> int:
        """Give the sequence of the first record of a kit that has no line yet."""
        last = self._last.get(kit_id)
        return 1 if last is None else last.sequence + 1

    def last(self, kit_id: str) -> TruthLine | None:
        """Give a kit's last line."""
        return self._last.get(kit_id)

    def kits(self) -> frozenset[str]:
        """Name the kits that have lines."""
        return frozenset(self._last)

    async def add(self, lines: Sequence[TruthLine]) -> None:
        """Append lines; they are on the disk when this returns, however long the disk refuses them.

        Lines of several kits that come while a write is under way go into the next one together.
        """
        self._waiting += [line.as_text() for line in lines]
        for line in lines:
            self._last[line.kit_id] = line
        async with self._writing:
            while self._waiting:
                texts = self._waiting
                self._waiting = []
                try:
                    await asyncio.to_thread(self._append, "".join(texts).encode())
                except OSError as error:
                    self._waiting = texts + self._waiting
                    self._tell(f"the truth file {self.path} cannot be written ({error.strerror}); it is tried again")
                    await asyncio.sleep(self._retry_s)

    def _append(self, data: bytes) -> None:
        """Write all or nothing.

        Raises:
            OSError: nothing is written.
        """
        with self._mutex:
            if self._closed:  # cancelled while it waited for a thread
                return
            before = os.fstat(self._file).st_size
            try:
                written = 0
                while written < len(data):
                    written += os.write(self._file, data[written:])
                os.fsync(self._file)
            except OSError:
                os.ftruncate(self._file, before)
                raise

    def _read(self) -> dict[str, TruthLine]:
        last: dict[str, TruthLine] = {}
        whole = 0
        with self.path.open("rb") as file:
            for number, data in enumerate(file, 1):
                if not data.endswith(b"\n"):
                    break
                self._take(last, number, data)
                whole += len(data)
        os.ftruncate(self._file, whole)
        return last

    def _take(self, last: dict[str, TruthLine], number: int, data: bytes) -> None:
        try:
            line = TruthLine.parse(data.decode())
        except ValueError as error:
            raise UsageError(f"line {number} of {self.path} is no line of a truth file: name another file") from error
        before = last.get(line.kit_id)
        if line.sequence != (1 if before is None else before.sequence + 1):
            raise UsageError(f"line {number} of {self.path} is out of sequence: the file was changed, name another")
        last[line.kit_id] = line


def _sync_folder(folder: Path) -> None:
    """Put a new file's name on the disk."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
