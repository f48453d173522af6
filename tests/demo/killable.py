"""A process that tests kill, and that says what it has promised."""

import signal
import subprocess
import threading
from collections import defaultdict
from pathlib import Path
from typing import IO
from uuid import UUID


class Process:
    """A process that is killed and started again with the same arguments; what it promised is remembered."""

    def __init__(self, log: Path, *command: str) -> None:
        self.log = log
        self.command = command
        self.kills = 0
        self.committed: set[UUID] = set()
        self.kept: dict[UUID, int] = defaultdict(int)
        self.recovered = 0
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None

    def start(self) -> None:
        with self.log.open("a") as log:
            self._process = subprocess.Popen(self.command, stdout=subprocess.PIPE, stderr=log, text=True, bufsize=1)
        assert self._process.stdout is not None
        self._reader = threading.Thread(target=self._read, args=(self._process.stdout,))
        self._reader.start()

    def _read(self, lines: IO[str]) -> None:
        with lines:
            for line in lines:
                match line.split():
                    case ["committed", record]:
                        self.committed.add(UUID(record))
                    case ["kept", record, number]:
                        self.kept[UUID(record)] = int(number)
                    case ["opened", recovered]:
                        self.recovered += int(recovered)
                    case _:
                        pass

    def end(self, number: signal.Signals) -> None:
        assert self._process is not None
        assert self._reader is not None
        assert self._process.poll() is None, f"ended by itself: {self.log.read_text()[-2000:]}"
        self._process.send_signal(number)
        self._process.wait()
        self._reader.join()

    def close(self) -> None:
        """End it if it still runs, whatever the test came to."""
        if self._process is not None and self._process.poll() is None:
            self.end(signal.SIGKILL)

    def kill_and_restart(self) -> None:
        self.end(signal.SIGKILL)
        self.kills += 1
        self.start()
