"""What comes down from the clinic: its word on records, and records of its own, each committed before it counts."""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from aiomqtt import Message

from gonio.gateway.database import StoreWriteError
from gonio.gateway.inbox import NOT_SIGNED
from gonio.gateway.records import Capture
from gonio.gateway.store import KitStore
from gonio.identity.signatures import signed_by
from gonio.messages import (
    AckStatus,
    DownEnvelope,
    DownKind,
    MessageError,
    down_topic,
    unpack_acks,
    unpack_down,
)

log = logging.getLogger(__name__)

#: Unread publishes, and their bytes: more are dropped. What they answer or bring is sent again.
MAX_WAITING: Final = 1000
MAX_WAITING_BYTES: Final = 8 * 1024 * 1024


class DownQueue(asyncio.Queue[Message]):
    """Publishes that wait to be read, bounded in number and in bytes."""

    def __init__(self, maxsize: int = MAX_WAITING) -> None:
        super().__init__(maxsize or MAX_WAITING)
        self._bytes = 0

    def put_nowait(self, item: Message) -> None:
        """Add a publish.

        Raises:
            asyncio.QueueFull: there is no room for it.
        """
        if self._bytes + _size(item) > MAX_WAITING_BYTES:
            raise asyncio.QueueFull
        super().put_nowait(item)
        self._bytes += _size(item)

    def _get(self) -> Message:  # the hook that asyncio.Queue documents for subclasses
        item = super()._get()
        self._bytes -= _size(item)
        return item


class Downlink:
    """Takes publishes of the clinic's into the kit's store.

    Attributes:
        topics: the filter to subscribe to.
        received: records of the clinic's that came and were new.
        unreadable: publishes that could not be read.
    """

    def __init__(
        self,
        store: KitStore,
        kit_id: str,
        *,
        capture: Callable[[], Capture],
        on_trouble: Callable[[str], None],
        on_down: Callable[[DownEnvelope], None] | None,
    ) -> None:
        """Prepare.

        Args:
            store: where to.
            kit_id: whose topics.
            capture: stamps the receipts.
            on_trouble: told, in words, what cannot be read or stored.
            on_down: told of each record of the clinic's that is new, once it is committed.
        """
        self._store = store
        self._kinds = {down_topic(kit_id, kind): kind for kind in DownKind}
        self.topics = f"{down_topic(kit_id, DownKind.ACK).rpartition('/')[0]}/+"
        self._capture = capture
        self._on_trouble = on_trouble
        self._on_down = on_down
        self.unreadable = 0
        self.received = 0

    async def take(self, message: Message) -> list[int]:
        """Take one publish; gives the numbers of the kit's records that it settled.

        What the disk refuses stays as it was: the clinic is asked, or asks, again.
        """
        kind = self._kinds.get(message.topic.value)
        data = message.payload if isinstance(message.payload, bytes) else b""
        try:
            if kind is DownKind.ACK:
                return await self._settle(data)
            if kind is not None:
                await self._receive(kind, data)
            else:
                log.info("a publish on a topic that this version does not know is left unread")
        except MessageError as error:
            self.unreadable += 1
            what = "an acknowledgement" if kind is DownKind.ACK else f"a {kind} of the clinic's"
            self._on_trouble(f"{what} could not be read: {error}")
        except StoreWriteError as error:
            self._on_trouble(str(error))
        return []

    async def _settle(self, data: bytes) -> list[int]:
        batch = unpack_acks(data)
        settled = await asyncio.to_thread(self._store.settle, batch.acks)
        for ack in batch.acks:
            if ack.status is AckStatus.REJECTED:
                self._on_trouble(f"the clinic refused record {ack.record_id}: {ack.reason}")
        return settled

    async def _receive(self, kind: DownKind, data: bytes) -> None:
        envelopes = unpack_down(data)
        if any(envelope.kind is not kind for envelope in envelopes):
            raise MessageError("it holds another kind than its topic")
        clinic = self._store.clinic_key
        if clinic is not None and not all(signed_by(envelope, clinic) for envelope in envelopes):
            self._on_trouble(f"a {kind} in the clinic's name is refused: {NOT_SIGNED}")
        fresh = await asyncio.to_thread(self._store.receive, envelopes, self._capture())
        self.received += len(fresh)
        if self._on_down is not None:
            for envelope in fresh:
                self._on_down(envelope)


def _size(message: Message) -> int:
    return len(message.payload) if isinstance(message.payload, bytes) else 0
