"""What a worker does with publishes in its one thread: read them, judge them, store them in groups."""

import asyncio
import gc
import logging
import random
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from typing import Final, TypeAlias

from gonio.cloud_sink.arrival_clock import ArrivalClock
from gonio.cloud_sink.engine import StoreError, StoreUnavailableError
from gonio.cloud_sink.inbox import Arrival
from gonio.cloud_sink.model import Delivery, Unreadable
from gonio.cloud_sink.store import Store
from gonio.messages import Ack, Envelope, MessageError, kit_of_topic, unpack

#: What one transaction takes: measured, larger groups gain little; their bytes bound the memory.
MAX_GROUP_RECORDS: Final = 1_000
MAX_GROUP_BYTES: Final = 16 * 1024 * 1024

FIRST_PAUSE_S: Final = 0.5
LONGEST_PAUSE_S: Final = 30.0

#: A group's records are some ten thousand objects that all go when it is stored. Python's default looks through
#: everything that is loaded several times for each group, a third of the time of intake as measured.
_OBJECTS_BETWEEN_COLLECTIONS: Final = 50_000

KitAcks: TypeAlias = list[tuple[str, list[Ack]]]

_log = logging.getLogger(__name__)


class Worker:
    """Reads publishes and stores them, in the one thread that writes to the book."""

    def __init__(self, store: Store, thread: ThreadPoolExecutor, *, signed_only: bool) -> None:
        """Prepare.

        Args:
            store: the book.
            thread: has one thread, which outlives connections to the broker.
            signed_only: refuse also what kits send that are not enrolled.
        """
        self._store = store
        self._thread = thread
        self._signed_only = signed_only
        self._parts_made: date | None = None
        self._clock: ArrivalClock | None = None

    async def take_in(self, batch: Sequence[Arrival]) -> KitAcks:
        """Store a batch, however long the book cannot be used, and give what may be acknowledged.

        What this gives is committed. Cancelled meanwhile, the group that is being stored is stored or not, as a whole,
        and nobody is told: its kits ask again.
        """
        failures = 0
        while True:
            try:
                return await asyncio.get_running_loop().run_in_executor(self._thread, self._take_in, batch)
            except StoreUnavailableError as error:
                pause_s = pause(failures)
                failures += 1
                _log.error("%s; trying again in %.1f s", error, pause_s)
                await asyncio.sleep(pause_s)

    def _take_in(self, batch: Sequence[Arrival]) -> KitAcks:
        self._make_parts()
        if self._clock is None:
            self._clock = ArrivalClock(self._store.newest_arrival())
        acks: KitAcks = []
        group: list[Delivery] = []
        records = weight = 0
        for arrival in batch:
            delivery = self._clock.place(read_publish(arrival))
            group.append(delivery)
            records += len(delivery.items)
            weight += _weight(delivery)
            if records >= MAX_GROUP_RECORDS or weight >= MAX_GROUP_BYTES:
                acks += self._store_group(group)
                group, records, weight = [], 0, 0
        return acks + self._store_group(group) if group else acks

    def _make_parts(self) -> None:
        """Once a day, see to it that the months to come have their parts; without one, records go to the rest."""
        now = datetime.now(UTC)
        if self._parts_made != now.date():
            try:
                self._store.make_parts(now)
            except StoreError as error:
                _log.error("the parts of the months to come could not be made: %s", error)
            self._parts_made = now.date()

    def _store_group(self, group: Sequence[Delivery]) -> KitAcks:
        """Store a group in one transaction; where one publish spoils it, each in its own, and that one unanswered."""
        try:
            answers = self._store.ingest_batch(group, signed_only=self._signed_only)
        except StoreError as error:
            if len(group) == 1:
                _log.error("a publish of kit %s could not be stored and stays there: %s", group[0].kit_id, error)
                return []
            return [answer for delivery in group for answer in self._store_group([delivery])]
        return [(d.kit_id, words) for d, words in zip(group, answers, strict=True) if d.kit_id is not None and words]


def read_publish(arrival: Arrival) -> Delivery:
    """Read one publish, whatever it is: pure but for the log."""
    kit_id = kit_of_topic(arrival.topic)
    if kit_id is None:
        unreadable = Unreadable(arrival.data, "the topic is no kit's")
        return Delivery(None, (unreadable,), arrival.received_at)
    try:
        return Delivery(kit_id, tuple(unpack(arrival.data)), arrival.received_at)
    except MessageError as error:
        _log.warning("kit %s: a publish of %d bytes could not be read: %s", kit_id, len(arrival.data), error)
        return Delivery(kit_id, (Unreadable(arrival.data, str(error)),), arrival.received_at)


def _weight(delivery: Delivery) -> int:
    return sum(
        len(item.payload)
        if isinstance(item, Envelope)
        else len(item.data if isinstance(item, Unreadable) else item.text)
        for item in delivery.items
    )


def pause(failures: int) -> float:
    """Wait longer after each failure in a row, never in step with other workers; in seconds."""
    longest = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(failures, 10))
    return longest * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, guards nothing


def collect_rarely() -> None:
    """Tell Python's collector what a worker's process is like: call it once, when everything is loaded."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)
