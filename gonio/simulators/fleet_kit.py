"""One kit of a fleet while it is awake: a real outbox and a real uplink, and in it what a simulated patient did."""

import asyncio
import time
from bisect import bisect_left
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, TypeVar
from uuid import UUID

from gonio.errors import GonioError, RetryableError, UsageError
from gonio.gateway.database import StoreWriteError
from gonio.gateway.records import OutboxCounts
from gonio.gateway.store import KitStore
from gonio.gateway.uplink import MqttVersion, Uplink, UplinkTiming
from gonio.identity.broker import BrokerAddress
from gonio.simulators.fleet_clinic import FleetClinic
from gonio.simulators.fleet_history import Happening, history, patient
from gonio.simulators.fleet_pace import Pace
from gonio.simulators.fleet_record import record_id, simulated_draft, truth_line
from gonio.simulators.fleet_tally import Tally
from gonio.simulators.fleet_truth import Truth
from gonio.simulators.fleet_yard import Yard

RETRY_S: Final = 5.0
_LINES: Final = 500  # of truth that are written at once
AT_A_TIME: Final = 20  # records that a kit makes before their lines of truth must be on the disk
LOOK_S: Final = 1.0  # between two looks at how the sending goes
PATIENCE_S: Final = 20.0  # with a clinic that is silent, before another kit may have the place
AWAY_S: Final = 2.0  # likewise with a broker that is away

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Shared:
    """What the kits of a fleet share.

    Attributes:
        yard: their directories, and what they are to make.
        broker: where they send.
        truth: the file that tells what they hold, or None.
        clinic: where their patients are entered, or None.
        pace: how fast they make records.
        share: records that a kit makes in one turn.
        others_wait: whether a kit waits for a place.
        tell: told what a person should know.
        mqtt_version: of all uplinks.
        timing: of all uplinks; None is a kit's own.
        awake: the uplinks and outboxes of the kits that are awake, by number.
        tally: how far the outboxes are.
        kit_ids: the names of the kits that were looked at.
    """

    yard: Yard
    broker: BrokerAddress
    truth: Truth | None
    clinic: FleetClinic | None
    pace: Pace
    share: int
    others_wait: Callable[[], bool]
    tell: Callable[[str], None]
    mqtt_version: MqttVersion = "3.1.1"
    timing: UplinkTiming | None = None
    awake: dict[int, tuple[KitStore, Uplink]] = field(default_factory=dict)
    tally: Tally = field(default_factory=Tally)
    kit_ids: set[str] = field(default_factory=set)


async def take_turn(shared: Shared, number: int) -> bool:
    """Wake a kit: it makes its share of records and sends what it holds; then it sleeps.

    Returns:
        Whether it has made all its records and the clinic has answered each.

    Raises:
        UsageError: its outbox is damaged or in use, or does not hold what the truth file says.
    """
    store = await _open(shared, number)
    try:
        return await _Awake(shared, number, store).run()
    finally:
        shared.awake.pop(number, None)
        await _close(store)


async def _open(shared: Shared, number: int) -> KitStore:
    """Open the kit's outbox, or make it; a cancellation leaves none open."""
    directory = shared.yard.kit_directory(number)

    async def attempt() -> KitStore:
        opening = asyncio.ensure_future(asyncio.to_thread(KitStore.open, directory))
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            with suppress(GonioError):
                (await opening).close()
            raise

    return await _insist(shared, attempt)


async def _close(store: KitStore) -> None:
    """Close an outbox, and come to the end of it also when cancelled: the next turn needs its lock."""
    await _whole(store.close)


async def _whole(question: Callable[[], _T]) -> _T:
    """Ask in a thread and come to the end of it also when cancelled: none goes on behind the back of who comes next."""
    asking = asyncio.ensure_future(asyncio.to_thread(question))
    try:
        return await asyncio.shield(asking)
    except asyncio.CancelledError:
        await asyncio.gather(asking, return_exceptions=True)
        raise


async def _insist(shared: Shared, attempt: Callable[[], Coroutine[Any, Any, _T]]) -> _T:
    """Try until the disk, or the clinic's book, takes it."""
    while True:
        try:
            return await attempt()
        except RetryableError as error:
            shared.tell(f"{error}; it is tried again")
            await asyncio.sleep(RETRY_S)


@dataclass(frozen=True, slots=True)
class _Identity:
    kit_id: str
    outbox_id: UUID
    public_key: bytes


class _Awake:
    """One turn of one kit.

    The numbers of what is simulated and the outbox's sequence are the same only as long as the clinic sends nothing:
    a kit answers that with receipts, which take numbers of the sequence too.
    """

    def __init__(self, shared: Shared, number: int, store: KitStore) -> None:
        self._shared = shared
        self._number = number
        self._store = store
        self._plan = shared.yard.plan
        self._who = patient(self._plan.seed, number)
        self._made = 0
        self._told: list[Happening] = []
        self._ids: dict[UUID, Happening] = {}

    async def run(self) -> bool:
        identity = await self._ask(self._identity)
        if self._shared.clinic is not None and identity.kit_id not in self._shared.kit_ids:
            await self._ask(partial(self._shared.clinic.enter, self._number, identity.kit_id, identity.public_key))
        self._shared.kit_ids.add(identity.kit_id)
        await self._ask(partial(self._recall, identity.outbox_id))
        if self._shared.truth is not None:
            await self._check_truth(self._shared.truth, identity.kit_id)
        await self._tell_truth(identity.kit_id)
        if self._finished(await self._look()):
            return True
        uplink = Uplink(
            self._store,
            self._shared.broker,
            identity.kit_id,
            mqtt_version=self._shared.mqtt_version,
            timing=self._shared.timing,
        )
        self._shared.awake[self._number] = (self._store, uplink)
        async with asyncio.TaskGroup() as tasks:
            sending = tasks.create_task(uplink.run(), name=f"fleet-uplink-{self._number}")
            await self._make(identity)
            await self._wait_for_the_clinic(uplink)
            sending.cancel()
        await self._tell_truth(identity.kit_id)
        return self._finished(await self._look())

    def _identity(self) -> _Identity:
        return _Identity(self._store.kit_id, self._store.outbox_id, self._store.signing_key.public)

    async def _ask(self, question: Callable[[], _T]) -> _T:
        return await _insist(self._shared, lambda: _whole(question))

    async def _look(self) -> OutboxCounts:
        counts = await self._ask(self._store.counts)
        self._shared.tally.look(self._number, counts)
        return counts

    def _finished(self, counts: OutboxCounts) -> bool:
        return self._made >= self._plan.records and not counts.pending

    def _recall(self, outbox_id: UUID) -> None:
        """Find out what there is to make, and how much of it the outbox holds: the first so many."""
        self._told = history(self._plan.seed, self._number, self._plan.records, self._plan.until)
        ids = [record_id(outbox_id, number, told.moment.shown) for number, told in enumerate(self._told, 1)]
        self._ids = dict(zip(ids, self._told, strict=True))
        self._made = bisect_left(ids, True, key=lambda one: self._store.record(one) is None)

    async def _check_truth(self, truth: Truth, kit_id: str) -> None:
        """See that the last line that is there is true."""
        last = truth.last(kit_id)
        if last is None:
            return
        there = await self._ask(lambda: self._store.envelopes([last.sequence]))
        if [envelope.record_id for envelope in there] != [last.record_id]:
            raise UsageError(
                f"{truth.path} names record {last.sequence} of {kit_id}, and the kit does not hold it: the disk "
                "lost what it had committed, or the file is another fleet's"
            )

    async def _tell_truth(self, kit_id: str) -> None:
        """Add the lines of all that the outbox holds beyond those that are there."""
        truth = self._shared.truth
        if truth is None:
            return
        head = await self._ask(self._store.head)
        for first in range(truth.missing_from(kit_id), head.last_sequence + 1, _LINES):
            numbers = range(first, min(first + _LINES, head.last_sequence + 1))
            found = await self._ask(partial(self._store.envelopes, numbers))
            await truth.add([truth_line(e, self._who, self._ids.get(e.record_id)) for e in found])

    async def _make(self, identity: _Identity) -> None:
        end = min(self._plan.records, self._made + self._shared.share)
        while self._made < end:
            leave = await self._shared.pace.take(min(AT_A_TIME, end - self._made))
            self._made += await self._ask(partial(self._commit, identity, self._made, leave))
            await self._tell_truth(identity.kit_id)
            self._shared.tally.last_made_s = time.monotonic()

    def _commit(self, identity: _Identity, made: int, wanted: int) -> int:
        """Commit the next records, one transaction each, as a kit does; gives how many the disk took.

        Raises:
            StoreWriteError: it did not take the first.
        """
        for number in range(made + 1, made + wanted + 1):
            told = self._told[number - 1]
            draft = simulated_draft(self._plan.seed, self._number, number, self._who, told, identity.outbox_id)
            try:
                self._store.commit(draft)
            except StoreWriteError:
                if number == made + 1:
                    raise
                return number - made - 1
        return wanted

    async def _wait_for_the_clinic(self, uplink: Uplink) -> None:
        """Wait until all is answered, or nothing is answered for long and another kit wants the place."""
        loop = asyncio.get_running_loop()
        settled, since_s = uplink.status.settled, loop.time()
        while not await _insist(self._shared, lambda: uplink.drain(LOOK_S)):
            status, now_s = uplink.status, loop.time()
            if status.settled != settled:
                settled, since_s = status.settled, now_s
            patience_s = PATIENCE_S if status.state == "connected" else AWAY_S
            if now_s - since_s >= patience_s and self._shared.others_wait():
                return
