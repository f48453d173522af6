"""What has arrived from the broker and is not stored yet, bounded in number and in bytes."""

import asyncio
from typing import Final

from aiomqtt import Message

#: Publishes waiting: at one record each some seconds of the fastest ingest.
MAX_WAITING: Final = 20_000
#: Their bytes: what may be lost to a full inbox costs a kit one resend, what is kept costs memory here.
MAX_WAITING_BYTES: Final = 64 * 1024 * 1024


class Inbox(asyncio.Queue[Message]):
    """A queue of publishes that refuses what exceeds its bounds; ``dropped`` counts those.

    A refused publish is not lost: nothing acknowledges its records, so the kit sends them again.
    """

    def __init__(self, maxsize: int = MAX_WAITING) -> None:
        super().__init__(maxsize)
        self.dropped = 0
        self._bytes = 0

    def put_nowait(self, item: Message) -> None:
        """Add a publish.

        Raises:
            asyncio.QueueFull: there is no room for it.
        """
        if self._bytes + _size(item) > MAX_WAITING_BYTES or self.full():
            self.dropped += 1
            raise asyncio.QueueFull
        super().put_nowait(item)
        self._bytes += _size(item)

    def _get(self) -> Message:  # the hook that asyncio.Queue documents for subclasses
        item = super()._get()
        self._bytes -= _size(item)
        return item


def _size(message: Message) -> int:
    return len(message.payload) if isinstance(message.payload, bytes) else 0
