"""What has arrived from the broker and is not stored yet, bounded in number and in bytes."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from aiomqtt import Message

#: Publishes waiting: at one record each some seconds of the fastest ingest.
MAX_WAITING: Final = 20_000
#: Their bytes: what may be lost to a full inbox costs a kit one resend, what is kept costs memory here.
MAX_WAITING_BYTES: Final = 64 * 1024 * 1024
#: What a publish costs beside its payload and its topic, about: an empty one could otherwise fill the memory.
OVERHEAD_BYTES: Final = 1_000


@dataclass(frozen=True, slots=True)
class Arrival:
    """One publish as it came; ``received_at`` is when it was read from the connection, aware."""

    topic: str
    data: bytes
    received_at: datetime

    @property
    def weight(self) -> int:
        """What it takes in memory, about, in bytes."""
        return len(self.topic) + len(self.data) + OVERHEAD_BYTES


class Inbox(asyncio.Queue[Arrival]):
    """A queue of publishes that refuses what exceeds its bounds; ``dropped`` counts those.

    aiomqtt puts its messages in, arrivals come out. A refused publish is not lost: nothing acknowledges its records,
    so the kit sends them again.
    """

    def __init__(self, maxsize: int = MAX_WAITING) -> None:
        super().__init__(maxsize)
        self.dropped = 0
        self._bytes = 0

    def put_nowait(self, item: Message | Arrival) -> None:
        """Add a publish.

        Raises:
            asyncio.QueueFull: there is no room for it.
        """
        arrival = item if isinstance(item, Arrival) else _arrival(item)
        weight = self._bytes + arrival.weight
        if weight > MAX_WAITING_BYTES or self.full():
            self.dropped += 1
            raise asyncio.QueueFull
        super().put_nowait(arrival)
        self._bytes = weight

    def take(self, publishes: int, size: int) -> list[Arrival]:
        """Give what waits, the oldest first: up to so many publishes of, but for the last, less than ``size`` bytes."""
        taken: list[Arrival] = []
        while size > 0 and len(taken) < publishes and not self.empty():
            taken.append(self.get_nowait())
            size -= taken[-1].weight
        return taken

    def _get(self) -> Arrival:  # the hook that asyncio.Queue documents for subclasses
        arrival = super()._get()
        self._bytes -= arrival.weight
        return arrival


def _arrival(message: Message) -> Arrival:
    data = message.payload if isinstance(message.payload, bytes) else b""
    return Arrival(message.topic.value, data, datetime.now(UTC))
