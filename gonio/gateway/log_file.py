"""SQLite's write-ahead log, frame by frame: what of it was committed, and whether commits lie behind a damaged frame.

SQLite reads the log up to the first frame that does not check and forgets the rest without a word. That is right for
a transaction that a kill or a power cut has ended half way, and loses commits where the disk has damaged a frame: the
kit would give their numbers a second time. Each frame is checked here against the sum that stands in the one before
it, so that one damaged frame hides no other. A commit at or behind a frame that does not check is taken for damage;
where it was a power cut after all, nothing is lost by that but the name of the outbox.
Format: https://www.sqlite.org/fileformat2.html, section 4.
"""

import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from gonio.gateway.cipher import PAGE

_HEADER: Final = 32
_FRAME: Final = 24
_MAGIC: Final = 0x377F0682  # with 1 added where the sums are of big-endian words


@dataclass(slots=True)
class LogFile:
    """What a log holds.

    Attributes:
        offsets: where the newest committed copy of each page lies in the file.
        pages: how many pages the database has after the last commit; 0 where nothing is committed.
        damaged: a commit lies at or behind a damaged frame: SQLite would forget it.
    """

    offsets: dict[int, int] = field(default_factory=dict)
    pages: int = 0
    damaged: bool = False


def read_log(path: Path) -> LogFile:
    """Read a log; one that is missing or empty holds nothing."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return LogFile()
    log = LogFile()
    if len(data) < _HEADER + _FRAME + PAGE:
        return log
    (magic,) = struct.unpack_from(">I", data)
    order = ">" if magic == _MAGIC + 1 else "<"
    header_sum = _summed(order, (0, 0), data[: _HEADER - 8])
    broken = header_sum != _stored(data, _HEADER - 8)
    salts = data[_HEADER + 8 : _HEADER + 16] if broken else data[16:24]
    waiting: dict[int, int] = {}  # of a transaction whose commit has not come yet
    before = _HEADER - 8
    for start in range(_HEADER, len(data) - _FRAME - PAGE + 1, _FRAME + PAGE):
        frame, before_this, before = data[start : start + _FRAME + PAGE], before, start + 16
        number, pages = struct.unpack_from(">II", frame)
        if frame[8:16] != salts:  # of an earlier round of the log, or damaged
            broken = True
            continue
        good = _summed(order, _stored(data, before_this), frame[:8] + frame[_FRAME:]) == _stored(data, start + 16)
        broken = broken or not good
        if good:
            waiting[number] = start + _FRAME
        if pages:  # the commit: SQLite writes its frame last
            log.damaged = log.damaged or broken
            log.pages = pages if good else log.pages
            log.offsets.update(waiting)
            waiting.clear()
    return log


def _stored(data: bytes, offset: int) -> tuple[int, int]:
    first, second = struct.unpack_from(">II", data, offset)
    return first, second


def _summed(order: str, before: tuple[int, int], data: bytes) -> tuple[int, int]:
    first, second = before
    words = struct.unpack(f"{order}{len(data) // 4}I", data)
    for even, odd in zip(words[::2], words[1::2], strict=True):
        first = (first + even + second) & 0xFFFFFFFF
        second = (second + odd + first) & 0xFFFFFFFF
    return first, second
