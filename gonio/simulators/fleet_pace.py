"""So many records a second, for all kits of a fleet together."""

import asyncio
from typing import Final

CATCH_UP_S: Final = 1.0  # what was missed longer ago is not made up for in a rush


class Pace:
    """Hands out leave to make records, in the order in which it was asked for."""

    def __init__(self, rate: float) -> None:
        """Begin.

        Args:
            rate: records a second; 0 is as many as are asked for.
        """
        self._rate = rate
        self._due_s: float | None = None
        self._turn = asyncio.Lock()

    async def take(self, most: int) -> int:
        """Wait until a record may be made; gives how many may be made now, 1 to ``most``."""
        if not self._rate:
            return most
        loop = asyncio.get_running_loop()
        async with self._turn:
            now_s = loop.time()
            due_s = now_s if self._due_s is None else max(self._due_s, now_s - CATCH_UP_S)
            await asyncio.sleep(due_s - now_s)
            leave = min(most, max(1, int((loop.time() - due_s) * self._rate)))
            self._due_s = due_s + leave / self._rate
            return leave
