"""What keeps a kit's disk from filling: old records go once the clinic has them, and room is watched long before.

A record stays on the kit for ``keep_days`` after the clinic acknowledged it, so that the clinic can ask for it again
(its book may come back from an older copy). Where the disk is short the oldest acknowledged ones go sooner. What waits
for the clinic, what it refused and the last record of the outbox are never deleted.

The pages that deleting frees go back to the disk, except where it is short: then the database keeps them, because
whatever else fills the disk would take them.
"""

import asyncio
import logging
import math
import os
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, NoReturn

from gonio.gateway.clock import KitClock
from gonio.gateway.database import StoreWriteError
from gonio.gateway.reserve import RESERVE_BYTES, Reserve
from gonio.gateway.store import KitStore

log = logging.getLogger(__name__)

ROOM_WANTED: Final = 8 * 2**20  # bytes; below it acknowledged records go before their time
WARN_DAYS: Final = 365  # of room: from here on people are told
EVERY_S: Final = 3600.0
EVERY_SHORT_S: Final = 60.0
RATE_DAYS: Final = 30  # over which the records of a day are averaged
LEAST_A_DAY: Final = 8  # records a day that are reckoned with at least: four sessions, a check-in, receipts
RECORD_BYTES: Final = 6000  # of the database for a record at least: measured for sessions of 12 repetitions
ENOUGH: Final = 200  # records from which on their size is known better than that
MOST_DAYS: Final = 9999


@dataclass(frozen=True, slots=True)
class DiskState:
    """How much room a kit has.

    Attributes:
        free_bytes: free on the disk.
        database_bytes: of the database's file, free pages in it included.
        room_bytes: what records may still take: free on the disk and in the database.
        days_left: for how many days of records that is enough, at the pace of the last days; at most 9999.
        reserve: whether the reserve is set aside.
    """

    free_bytes: int
    database_bytes: int
    room_bytes: int
    days_left: int
    reserve: bool

    @property
    def short(self) -> bool:
        """Whether acknowledged records go before their time."""
        return self.room_bytes < ROOM_WANTED

    @property
    def trouble(self) -> str | None:
        """What to tell people, with what to do; None where there is room for long."""
        if self.short and not self.reserve:
            return f"the kit's disk is full ({_megabytes(self.free_bytes)} free): free some space on it now"
        if self.short or self.days_left < WARN_DAYS:
            room = f"has room for {self.days_left} days of records ({_megabytes(self.free_bytes)} free)"
            return f"the kit's disk {room}: free some space on it"
        return None


def disk_state(store: KitStore, now: datetime) -> DiskState:
    """Look at a kit's disk.

    Raises:
        StoreWriteError: the disk is failing.
    """
    free = free_bytes(store)
    since = (now - timedelta(days=RATE_DAYS)).date().isoformat()
    size = store.size(since)
    used = (size.pages - size.free_pages) * size.page_bytes
    each = max(RECORD_BYTES, used / size.records) if size.records >= ENOUGH else RECORD_BYTES
    a_day = max(LEAST_A_DAY, size.recent / RATE_DAYS)
    room = free + size.free_pages * size.page_bytes
    days = min(MOST_DAYS, math.floor(room / (each * a_day)))
    return DiskState(free, size.pages * size.page_bytes, room, days, Reserve(store.path.parent).ready)


def free_bytes(store: KitStore) -> int:
    """Give what is free on the disk for whoever runs this, in bytes.

    Raises:
        StoreWriteError: the disk does not answer.
    """
    try:
        disk = os.statvfs(store.path.parent)
    except OSError as error:
        raise StoreWriteError(f"the disk of {store.path} cannot be asked ({error.strerror}): check it") from error
    return disk.f_bavail * disk.f_frsize


def tidy(store: KitStore, now: datetime, *, clock_sure: bool, keep_days: int) -> DiskState:
    """Delete what may go, give room back, and set the reserve aside again where there is room for it.

    Args:
        store: the kit's.
        now: the moment, aware.
        clock_sure: whether it can be trusted; where not, nothing is deleted for its age.
        keep_days: how long acknowledged records are kept.

    Raises:
        StoreWriteError: the disk did not take it, or is failing; what was done in whole steps stays done.
    """
    if clock_sure:
        now_s = int(now.timestamp())
        store.stamp_acknowledged(now_s)
        while store.drop_older(now_s - keep_days * 86_400):
            pass
    state = disk_state(store, now)
    while state.short and store.drop_oldest():
        state = disk_state(store, now)
    if not state.short:
        store.give_back_pages(rebuild=state.free_bytes >= 4 * state.database_bytes)
    if free_bytes(store) >= 2 * RESERVE_BYTES:
        store.restore_reserve()
    return disk_state(store, now)


class Housekeeper:
    """Keeps a running kit's disk; :meth:`run` is a task of its own."""

    def __init__(self, store: KitStore, clock: KitClock, keep_days: int) -> None:
        """Begin; nothing is known before the first :meth:`look`."""
        self._store = store
        self._clock = clock
        self._keep_days = keep_days
        self.state: DiskState | None = None
        self._told: str | None = None

    @property
    def trouble(self) -> str | None:
        """What people should know of the disk; None where nothing is wrong."""
        return self.state.trouble if self.state else None

    async def run(self) -> NoReturn:
        """Look after the disk again and again, for ever."""
        while True:
            short = self.state is None or self.state.short or not self.state.reserve
            await asyncio.sleep(EVERY_SHORT_S if short else EVERY_S)
            await self.look()

    async def look(self) -> None:
        """Look after the disk once; a disk that refuses is told in the log and tried again the next time."""
        sure, now = self._clock.capture().clock == "synchronised", self._clock.now()
        try:
            self.state = await asyncio.to_thread(tidy, self._store, now, clock_sure=sure, keep_days=self._keep_days)
        except StoreWriteError as error:
            log.warning("the kit's disk could not be tidied: %s", error)
            with suppress(StoreWriteError):
                self.state = await asyncio.to_thread(disk_state, self._store, now)
        if self.trouble is not None and self.trouble != self._told:
            log.warning("%s", self.trouble)
        self._told = self.trouble


def _megabytes(count: int) -> str:
    return f"{count // 2**20} MB"
