"""Commits records, and holds on to those that the disk does not take until it does."""

import asyncio
import logging
import uuid
from collections import deque
from typing import Final, NoReturn

from gonio.gateway.database import StoreWriteError
from gonio.gateway.records import Draft
from gonio.gateway.store import KitStore
from gonio.messages import Envelope

log = logging.getLogger(__name__)

HELD: Final = 50  # records in memory at most: two weeks of sessions; then no new session may start
RETRY_S: Final = 5.0


class RecordKeeper:
    """The one way of records into the store while the kit runs; :meth:`run` is a task of its own."""

    def __init__(self, store: KitStore, *, retry_s: float = RETRY_S) -> None:
        """Begin with nothing held.

        Args:
            store: where records belong.
            retry_s: time between two attempts of what the disk refused, s.
        """
        self._store = store
        self._retry_s = retry_s
        self._held: deque[tuple[Draft, uuid.UUID | None]] = deque()
        self._refused = asyncio.Event()
        self.trouble: str | None = None

    @property
    def held(self) -> int:
        """How many records are only in memory."""
        return len(self._held)

    def require_room(self) -> None:
        """Refuse to begin what could not be kept.

        Raises:
            StoreWriteError: so many records are only in memory that no more may be made.
        """
        if len(self._held) >= HELD:
            raise StoreWriteError(f"{len(self._held)} records wait for the disk, no more can be held: {self.trouble}")

    async def commit(self, draft: Draft, *, closes: uuid.UUID | None = None) -> Envelope | None:
        """Commit a record; None when the disk refused it, it is then held and tried again."""
        try:
            envelope = await asyncio.to_thread(self._store.commit, draft, closes=closes)
        except StoreWriteError as error:
            self.trouble = str(error)
            log.error("record %s is held in memory: %s", draft.record_id, error)  # noqa: TRY400 - foreseen, no traceback
            self._held.append((draft, closes))
            self._refused.set()
            return None
        return envelope

    async def run(self) -> NoReturn:
        """Try again what the disk refused, for ever."""
        while True:
            await self._refused.wait()
            await asyncio.sleep(self._retry_s)
            await self.retry()

    async def retry(self) -> None:
        """Try once more to commit what is held, oldest first."""
        while self._held:
            draft, closes = self._held[0]
            try:
                await asyncio.to_thread(self._store.commit, draft, closes=closes)
            except StoreWriteError as error:
                self.trouble = str(error)
                return
            self._held.popleft()
        self.trouble = None
        self._refused.clear()
