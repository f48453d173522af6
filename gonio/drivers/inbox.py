"""The bounded queue between Bluetooth's callback and the code that decodes."""

import asyncio
from collections import deque

from gonio.drivers.codec import Notification


class Inbox:
    """Notifications that wait to be decoded.

    Bounded, because a reader that has stopped reading must not fill the memory: when it is full, what comes is
    dropped and counted. It ends once, with or without an error; what came before is still given.

    Attributes:
        dropped: notifications lost for want of room.
    """

    def __init__(self, capacity: int) -> None:
        """Begin empty.

        Args:
            capacity: notifications that it holds at most, at least 1.
        """
        self.dropped = 0
        self._capacity = capacity
        self._waiting: deque[Notification] = deque()
        self._ended = False
        self._error: Exception | None = None
        self._news = asyncio.Event()

    def put(self, notification: Notification) -> None:
        """Add a notification; called from Bluetooth's callback, never waits."""
        if self._ended:
            return
        if len(self._waiting) >= self._capacity:
            self.dropped += 1
            return
        self._waiting.append(notification)
        self._news.set()

    def end(self, error: Exception | None = None) -> None:
        """Let no more in; a reader that has taken everything gets the error, or the end."""
        if not self._ended:
            self._ended, self._error = True, error
            self._news.set()

    async def take(self) -> list[Notification]:
        """Wait for notifications and take all that wait; an empty list is the end.

        Raises:
            Exception: the error with which it ended.
        """
        while not self._waiting:
            if self._error is not None:
                raise self._error
            if self._ended:
                return []
            self._news.clear()
            await self._news.wait()
        taken = list(self._waiting)
        self._waiting.clear()
        return taken
