"""A process that is killed and started again, for ever or until it has done its work."""

import asyncio
import os
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from tests.chaos.clock import Clock

_RESTART_S: Final = 0.5  # after it ended by itself, as a service manager would


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

    def tracebacks(self) -> int:
        """Count the errors in its log that nobody had foreseen."""
        return (
            self.log.read_text(encoding="utf-8", errors="replace").count("Traceback (most recent")
            if (self.log.exists())
            else 0
        )


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
