"""The kit's lamp and its sounds: what a kit tells without any screen. Where a kit has none, nothing is told.

A kit's maker connects them by one program of its own (``GONIO_KIT_SIGNS``), which is called as ``PROGRAM light NAME``
or ``PROGRAM sound NAME``: it may switch a pin, or play a file.
"""

import asyncio
import logging
from pathlib import Path
from typing import Final, Literal, Protocol, TypeAlias

log = logging.getLogger(__name__)

Light: TypeAlias = Literal["ready", "connecting", "recording", "trouble", "identify"]
Sound: TypeAlias = Literal["begin", "repetition", "enough", "ended", "failed", "reminder", "identify"]

_LONGEST_S: Final = 10.0  # a sound is over by then
_AT_ONCE: Final = 4  # repetitions come once a second at most; what is more than this is dropped


class Signs(Protocol):
    """Shows and sounds; both return at once and never raise."""

    def light(self, name: Light) -> None:
        """Show a state until the next."""
        ...

    def sound(self, name: Sound) -> None:
        """Make a sound once."""
        ...


class NoSigns:
    """A kit without lamp and loudspeaker."""

    def light(self, name: Light) -> None:
        """Show nothing."""

    def sound(self, name: Sound) -> None:
        """Make no sound."""


class ProgramSigns:
    """Calls a program for each sign; what it does not do in time is ended."""

    def __init__(self, program: Path) -> None:
        self._program = program
        self._tasks: set[asyncio.Task[None]] = set()

    def light(self, name: Light) -> None:
        """Call ``PROGRAM light NAME``."""
        self._call("light", name)

    def sound(self, name: Sound) -> None:
        """Call ``PROGRAM sound NAME``."""
        self._call("sound", name)

    def _call(self, *arguments: str) -> None:
        if len(self._tasks) >= _AT_ONCE:
            return
        task = asyncio.get_running_loop().create_task(self._run(arguments), name="sign")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, arguments: tuple[str, ...]) -> None:
        try:
            process = await asyncio.create_subprocess_exec(str(self._program), *arguments)
        except OSError as error:
            log.warning("%s cannot be run (%s): the kit shows and sounds nothing", self._program, error.strerror)
            return
        try:
            async with asyncio.timeout(_LONGEST_S):
                await process.wait()
        except TimeoutError:
            log.warning("%s does not end: it is given %.0f s for a sign", self._program, _LONGEST_S)
        finally:
            if process.returncode is None:
                process.kill()
