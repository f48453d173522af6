"""A fleet's history straight into a clinic's book: through the sink's own checks and transactions, without a broker.

What the workers of a clinic do with a publish is done here with the same code; only kit, MQTT and broker are left out.
Several processes take one kit after another, each from its first record to its last. All ids follow from the fleet's
directory, so a run that was killed is started again and puts in what is missing: what is there already is known.
"""

import asyncio
import hashlib
import multiprocessing
import os
import signal
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from gonio.cloud_sink.model import Delivery
from gonio.cloud_sink.store import Store, open_store
from gonio.errors import PeerError, RetryableError
from gonio.gateway.records import Draft
from gonio.identity.signatures import sign
from gonio.messages import AckStatus, Envelope
from gonio.simulators.fleet_clinic import FleetClinic
from gonio.simulators.fleet_history import Happening, history, patient
from gonio.simulators.fleet_key import SimulatedKey
from gonio.simulators.fleet_record import simulated_draft, truth_line
from gonio.simulators.fleet_truth import Truth, TruthLine
from gonio.simulators.fleet_yard import FleetPlan, Yard

BATCH: Final = 500  # records of one transaction
ARRIVES_AFTER: Final = timedelta(minutes=10)  # a record at the clinic, in the history that is told
REPORT_S: Final = 5.0
RETRY_S: Final = 1.0

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class IntoOptions:
    """What is to be put into a book.

    Attributes:
        kits: how many.
        records: of each.
        book: URL of the clinic's book.
        data_dir: where is kept with what the fleet was begun.
        truth: file that tells what the kits hold, or None.
        seed: of all that varies.
        processes: that work at once; 1 is this one alone.
    """

    kits: int
    records: int
    book: str
    data_dir: Path
    truth: Path | None = None
    seed: int = 1
    processes: int = os.cpu_count() or 1


@dataclass(frozen=True, slots=True)
class IntoResult:
    """What came of it.

    Attributes:
        kits: how many.
        records: of all kits, in the book now.
        stored: of these, how many were new.
        seconds: how long it took, s.
    """

    kits: int
    records: int
    stored: int
    seconds: float

    def as_json(self) -> dict[str, object]:
        """Give the object with the keys that scripts rely on."""
        return {
            "source": "simulated",
            "kits": self.kits,
            "records": self.records,
            "acknowledged": self.records,
            "rejected": 0,
            "made": self.stored,
            "seconds": round(self.seconds, 2),
            "stored_per_s": round(self.stored / self.seconds, 1),
        }


def put_fleet(options: IntoOptions, tell: Callable[[str], None]) -> IntoResult:
    """Put the records of a fleet into a book, and its patients.

    Args:
        options: what.
        tell: told how it goes, in sentences.

    Raises:
        UsageError: the directory, the truth file or the book is of no use.
        PeerError: the book refused a record.
    """
    began_s = time.monotonic()
    with ExitStack() as stack:
        yard = stack.enter_context(
            Yard(options.data_dir, kits=options.kits, records=options.records, seed=options.seed)
        )
        truth = None if options.truth is None else Truth(options.truth, tell)
        if truth is not None:
            stack.callback(truth.close)
        open_store(options.book).close()  # the tables are made once, before several processes look for them
        stored = records = 0
        said_s = began_s
        for number, kit in enumerate(_put(options, yard.plan), 1):
            stored += kit.stored
            records += len(kit.lines)
            if truth is not None:
                begin = truth.missing_from(kit.lines[0].kit_id)
                asyncio.run(truth.add(kit.lines[begin - 1 :]))
            if time.monotonic() - said_s >= REPORT_S:
                said_s = time.monotonic()
                rate = records / (said_s - began_s)
                tell(f"{number} of {options.kits} kits; {records} records in the book, {rate:.0f} a second")
    return IntoResult(options.kits, records, stored, time.monotonic() - began_s)


@dataclass(frozen=True, slots=True)
class _Kit:
    stored: int
    lines: list[TruthLine]


def _put(options: IntoOptions, plan: FleetPlan) -> Iterator[_Kit]:
    if options.processes == 1:
        with open_store(options.book) as store:
            clinic = FleetClinic(store, plan)
            for number in range(1, plan.kits + 1):
                yield _put_kit(store, clinic, plan, number)
        return
    context = multiprocessing.get_context("spawn")  # nothing of an open book may come along
    with ProcessPoolExecutor(options.processes, context, _begin, (options.book, plan)) as pool:
        numbers = iter(range(1, plan.kits + 1))
        waiting: set[Future[_Kit]] = set()
        while True:
            while len(waiting) < 2 * options.processes and (following := next(numbers, None)) is not None:
                waiting.add(pool.submit(_put_one, following))
            if not waiting:
                return
            done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            for one in done:
                yield one.result()


class _Process:
    """What a process of the pool keeps from one kit to the next."""

    store: Store
    clinic: FleetClinic
    plan: FleetPlan


def _begin(book: str, plan: FleetPlan) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends the pool
    _Process.store = open_store(book)
    _Process.clinic = FleetClinic(_Process.store, plan)
    _Process.plan = plan


def _put_one(number: int) -> _Kit:
    return _put_kit(_Process.store, _Process.clinic, _Process.plan, number)


def _put_kit(store: Store, clinic: FleetClinic, plan: FleetPlan, number: int) -> _Kit:
    name = hashlib.sha256(f"{plan.seed}/{plan.until.isoformat()}/{number}".encode()).digest()
    kit_id, outbox_id = f"kit-{name[:8].hex()}", uuid.UUID(bytes=name[8:24], version=4)
    key = SimulatedKey(f"{plan.seed}/{plan.until.isoformat()}/{number}")
    _insist(lambda: clinic.enter(number, kit_id, key.public))
    who = patient(plan.seed, number)
    told = history(plan.seed, number, plan.records, plan.until)
    stored = 0
    lines: list[TruthLine] = []
    for first in range(0, len(told), BATCH):
        deliveries = []
        for sequence, happening in enumerate(told[first : first + BATCH], first + 1):
            draft = simulated_draft(plan.seed, number, sequence, who, happening, outbox_id)
            envelope = sign(_envelope(kit_id, outbox_id, sequence, draft), key)
            lines.append(truth_line(envelope, who, happening))
            deliveries.append(_delivery(envelope, happening))
        stored += _insist(partial(_ingest, store, deliveries))
    return _Kit(stored, lines)


def _ingest(store: Store, deliveries: Sequence[Delivery]) -> int:
    """Put a batch in; gives how many records of it were new."""
    acks = [ack for answer in store.ingest_batch(deliveries, signed_only=True) for ack in answer]
    for ack in acks:
        if ack.status is AckStatus.REJECTED:
            raise PeerError(f"the book refuses record {ack.record_id}: {ack.reason}")
    return sum(ack.status is AckStatus.STORED for ack in acks)


def _insist(attempt: Callable[[], _T]) -> _T:
    """Try until the book can be used."""
    while True:
        try:
            return attempt()
        except RetryableError:
            time.sleep(RETRY_S)


def _envelope(kit_id: str, outbox_id: uuid.UUID, sequence: int, draft: Draft) -> Envelope:
    return Envelope(
        record_id=draft.record_id,
        kind=draft.kind,
        kit_id=kit_id,
        outbox_id=outbox_id,
        sequence=sequence,
        boot_id=draft.capture.boot_id,
        monotonic_ns=draft.capture.monotonic_ns,
        captured_at=draft.capture.captured_at,
        clock=draft.capture.clock,
        schema_version=draft.schema_version,
        payload=draft.payload,
    )


def _delivery(envelope: Envelope, happening: Happening) -> Delivery:
    return Delivery(envelope.kit_id, (envelope,), happening.moment.true_utc + ARRIVES_AFTER)
