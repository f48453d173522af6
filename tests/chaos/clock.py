"""Wall clocks of real processes that jump while these run: Debian's libfaketime with a file that says by how much.

The monotonic clock is left alone, as a jump of the wall clock leaves it.
"""

from pathlib import Path
from typing import Final

_DEBIANS: Final = ("/usr/lib", "/usr/local/lib")
_LIBRARY: Final = "faketime/libfaketimeMT.so.1"


def find_faketime() -> Path | None:
    """Find the library; Debian's ``faketime`` has it."""
    for folder in _DEBIANS:
        for found in sorted(Path(folder).glob(f"*/{_LIBRARY}")) + sorted(Path(folder).glob(_LIBRARY)):
            return found
    return None


class Clock:
    """The wall clock of one process, kept in a file."""

    def __init__(self, library: Path, file: Path) -> None:
        """Begin with the true time."""
        self._file = file
        self.environment = {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(file),
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }
        self.jump(0)

    def jump(self, beside_s: int) -> None:
        """Let the process see a time so far beside the true one, s; it does within a second."""
        draft = self._file.with_suffix(".new")
        draft.write_text(f"{beside_s:+d}\n")
        draft.replace(self._file)
