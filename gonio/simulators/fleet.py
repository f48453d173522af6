"""A fleet of virtual kits: each with a kit's own outbox and uplink, and a simulated patient's sessions in it.

How thousands fit into one process: a kit is *awake* for a turn, in which it has its outbox open, one connection to
the broker and no thread of its own; it makes its share of records, waits for the clinic's word and goes to sleep,
with everything on the disk. Only so many are awake at a time. A kit whose clinic or broker does not answer gives its
place to another and has its turn again later, as a kit would that is switched off and on.

Nothing of a run is in memory only: what was made is what the outboxes hold, and what is still to make follows from
the seed. So a fleet that was killed at any moment goes on with the same records.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Final, NoReturn

from gonio.cloud_sink.store import open_store
from gonio.errors import GonioError, UsageError
from gonio.gateway.groups import first_error
from gonio.gateway.uplink import MqttVersion, UplinkTiming
from gonio.identity.broker import BrokerAddress
from gonio.simulators.fleet_clinic import FleetClinic
from gonio.simulators.fleet_kit import Shared, take_turn
from gonio.simulators.fleet_pace import Pace
from gonio.simulators.fleet_tally import Tally
from gonio.simulators.fleet_truth import Truth
from gonio.simulators.fleet_yard import Yard

AT_ONCE: Final = 50  # kits awake: five open files each, and 20,000 unanswered records at most in front of a clinic
TURN_S: Final = 10.0  # for which a kit is awake to make its share, where more kits than places are paced
REPORT_S: Final = 5.0
SILENT_S: Final = 15.0  # without an acknowledgement, after which a person is told


@dataclass(frozen=True, slots=True)
class FleetOptions:
    """What a fleet is to do.

    Attributes:
        kits: how many.
        records: of each.
        rate: records made a second by all together; 0 is as fast as possible.
        broker: where they send.
        data_dir: where they keep their outboxes.
        truth: file that tells what they hold, or None.
        book: the URL of a clinic's book in which their patients are to be entered, or None.
        seed: of all that varies.
        at_once: kits that are awake at a time.
        mqtt_version: that they speak.
        timing: how patient their uplinks are; None is a kit's own.
    """

    kits: int
    records: int
    rate: float
    broker: BrokerAddress
    data_dir: Path
    truth: Path | None = None
    book: str | None = None
    seed: int = 1
    at_once: int = AT_ONCE
    mqtt_version: MqttVersion = "3.1.1"
    timing: UplinkTiming | None = None


@dataclass(frozen=True, slots=True)
class FleetResult:
    """What a fleet came to.

    Attributes:
        kits: how many.
        records: that their outboxes hold.
        acknowledged: of these, how many the clinic has.
        rejected: of these, how many it refused.
        made: records made in this run.
        made_s: from its start to the last of these, s.
        answered: records acknowledged or refused in this run.
        seconds: how long it took, s.
    """

    kits: int
    records: int
    acknowledged: int
    rejected: int
    made: int
    made_s: float
    answered: int
    seconds: float

    def as_json(self) -> dict[str, object]:
        """Give the object with the keys that scripts rely on."""
        return {
            "source": "simulated",
            "kits": self.kits,
            "records": self.records,
            "acknowledged": self.acknowledged,
            "rejected": self.rejected,
            "made": self.made,
            "seconds": round(self.seconds, 2),
            "made_per_s": round(self.made / self.made_s, 1) if self.made_s else None,
            "acknowledged_per_s": round(self.answered / self.seconds, 1),
        }


async def run_fleet(options: FleetOptions, tell: Callable[[str], None]) -> FleetResult:
    """Run a fleet until each of its kits has made its records and the clinic has answered them all.

    Args:
        options: what to do.
        tell: told how it goes, in sentences.

    Raises:
        UsageError: the directory, the truth file or the broker's address is of no use, or an outbox is damaged.
    """
    fleet = _Fleet(options, tell)
    try:
        return await fleet.run()
    except BaseExceptionGroup as group:
        error = first_error(group)
        if isinstance(error, GonioError):
            raise error from group
        raise


class _Fleet:
    def __init__(self, options: FleetOptions, tell: Callable[[str], None]) -> None:
        self._options = options
        self._tell = tell
        self._queue: asyncio.Queue[int] = asyncio.Queue()
        self._left = options.kits
        self._done = asyncio.Event()
        self._began_s = time.monotonic()

    async def run(self) -> FleetResult:
        options = self._options
        with ExitStack() as stack:
            yard = stack.enter_context(
                Yard(options.data_dir, kits=options.kits, records=options.records, seed=options.seed)
            )
            truth = None
            if options.truth is not None:
                truth = stack.enter_context(closing(Truth(options.truth, self._tell)))
            clinic = None
            if options.book is not None:
                book = stack.enter_context(await asyncio.to_thread(open_store, options.book))
                clinic = FleetClinic(book, yard.plan)
            shared = Shared(
                yard=yard,
                broker=options.broker,
                truth=truth,
                clinic=clinic,
                pace=Pace(options.rate),
                share=self._share(),
                others_wait=lambda: not self._queue.empty(),
                tell=self._tell,
                mqtt_version=options.mqtt_version,
                timing=options.timing,
            )
            for number in range(1, options.kits + 1):
                self._queue.put_nowait(number)
            async with asyncio.TaskGroup() as tasks:
                running = [
                    tasks.create_task(self._place(shared), name=f"fleet-place-{place}")
                    for place in range(min(options.at_once, options.kits))
                ]
                running.append(tasks.create_task(self._report(shared), name="fleet-report"))
                await self._done.wait()
                for task in running:
                    task.cancel()
            if truth is not None and (strange := truth.kits() - shared.kit_ids):
                raise UsageError(
                    f"{truth.path} names {len(strange)} kits that are not of this fleet ({min(strange)}): "
                    "it was another fleet's before"
                )
        return self._result(shared.tally)

    def _share(self) -> int:
        options = self._options
        if not options.rate or options.kits <= options.at_once:
            return options.records
        return ceil(options.rate * TURN_S / options.at_once)

    async def _place(self, shared: Shared) -> NoReturn:
        """Give one kit after another its turn."""
        while True:
            number = await self._queue.get()
            if not await take_turn(shared, number):
                self._queue.put_nowait(number)
                continue
            self._left -= 1
            if not self._left:
                self._done.set()

    async def _report(self, shared: Shared) -> NoReturn:
        answered, since_s, said = -1, time.monotonic(), ""
        while True:
            await asyncio.sleep(REPORT_S)
            for number, (store, _) in list(shared.awake.items()):
                with suppress(GonioError):  # it went to sleep, or its disk is in trouble, which it tells itself
                    counts = await asyncio.to_thread(store.counts)
                    if number in shared.awake:  # or its turn's own look is newer
                        shared.tally.look(number, counts)
            now = self._result(shared.tally)
            statuses = [uplink.status for _, uplink in shared.awake.values()]
            connected = sum(status.state == "connected" for status in statuses)
            line = (
                f"{self._options.kits - self._left} of {now.kits} kits done; {now.records} records made, "
                f"{now.acknowledged} acknowledged, {now.rejected} refused; {connected} kits connected"
            )
            if line != said:
                self._tell(line)
                said = line
            for text in sorted({s.trouble for s in statuses if s.trouble})[:3]:
                self._tell(text)
            if now.answered != answered:
                answered, since_s = now.answered, time.monotonic()
            if not connected and (reasons := {s.reason for s in statuses if s.reason}):
                self._tell(f"no connection to the broker {min(reasons)}; the kits keep their records and try again")
            elif connected and time.monotonic() - since_s >= SILENT_S:
                self._tell("the broker is there, but the clinic does not answer: is `gonio sink run` listening?")

    def _result(self, tally: Tally) -> FleetResult:
        here = tally.this_run
        return FleetResult(
            kits=self._options.kits,
            records=tally.now.made,
            acknowledged=tally.now.acknowledged,
            rejected=tally.now.rejected,
            made=here.made,
            made_s=max(0.0, tally.last_made_s - self._began_s),
            answered=here.acknowledged + here.rejected,
            seconds=time.monotonic() - self._began_s,
        )
