"""A process that is killed and started again, for ever or until it has done its work."""

import asyncio
import os
import re
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from tests.chaos.clock import Clock

_RESTART_S: Final = 0.5  # after it ended by itself, as a service manager would


class Errors(NamedTuple):
    """Errors in a log that nobody had foreseen."""

    unforeseen: int
    of_asyncio: int
    said: Counter[str]  # the last lines of those that were unforeseen


def read_errors(log: str) -> Errors:
    """Count the tracebacks in a log.

    Those of a callback that registers a socket for writing after it was closed are counted apart: the MQTT library asks
    the event loop for it from its own thread, the connection is ending anyway, and nothing but the message comes of it.
    """
    first = re.sub(r"\n\n(During handling of|The above exception)[^\n]*\n\nTraceback", "\n\nand", log)
    late = len(re.findall(r"^handle: <Handle \S*\.add_writer\([^\n]*\n(?=Traceback)", first, re.MULTILINE))
    said = Counter(
        line[:120] for line in re.findall(r"^[\w.]+(?:Error|Exception|Group|Exit)\b[^\n]*", first, re.MULTILINE)
    )
    return Errors(first.count("Traceback (most recent call last)") - late, late, said)


class Victim:
    """One of gonio's commands, run as a process of its own."""

    def __init__(self, name: str, arguments: Sequence[str], log: Path, clock: Clock | None) -> None:
        """Prepare; nothing is started yet.

        Args:
            name: for people.
            arguments: of gonio.
            log: where it says what it says, through all its lives.
            clock: the one it sees, or None for the true one.
        """
        self.name = name
        self.clock = clock
        self.log = log
        self.ended_by_itself: Counter[int] = Counter()
        self.kills = 0
        self.finished = asyncio.Event()
        self._arguments = arguments
        self._process: asyncio.subprocess.Process | None = None
        self._down_s: float | None = None

    async def run(self) -> None:
        """Start it again and again until it ends with status 0."""
        environment = os.environ | (self.clock.environment if self.clock is not None else {})
        while True:
            with self.log.open("ab") as log:
                self._process = process = await asyncio.create_subprocess_exec(
                    sys.executable, "-m", "gonio", *self._arguments, stdout=log, stderr=log, env=environment
                )
            try:
                status = await process.wait()
            except asyncio.CancelledError:
                process.kill()
                await process.wait()
                raise
            self._process = None
            if self._down_s is not None:
                pause_s, self._down_s = self._down_s, None
            elif status == 0:
                self.finished.set()
                return
            else:
                self.ended_by_itself[status] += 1
                pause_s = _RESTART_S
            await asyncio.sleep(pause_s)

    def kill(self, down_s: float) -> bool:
        """Kill it with -9 and keep it down for so long; False when it does not run just now."""
        if self._process is None or self._down_s is not None:
            return False
        self._down_s = down_s
        self._process.kill()
        self.kills += 1
        return True

    def hurry(self) -> None:
        """Let it make what is left to make at once: it is killed and started again with another rate."""
        at = self._arguments.index("--rate") + 1
        self._arguments = [*self._arguments[:at], "0", *self._arguments[at + 1 :]]
        if self._process is not None and self._down_s is None:
            self._down_s = 0.0
            self._process.kill()

    def errors(self) -> Errors:
        """Look through its log for what nobody had foreseen."""
        text = self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""
        return read_errors(text)


class Server:
    """A broker or a database with blocking start and kill, which are done in threads, one at a time."""

    def __init__(self, start: Callable[[], None], kill: Callable[[], None]) -> None:
        """Take over a server that runs."""
        self._start = start
        self._kill = kill
        self._busy = asyncio.Lock()
        self.kills = 0

    async def kill(self, down_s: float) -> None:
        """Kill it and start it again after so long."""
        async with self._busy:
            await asyncio.to_thread(self._kill)
            self.kills += 1
            await asyncio.sleep(down_s)
            await asyncio.to_thread(self._start)
