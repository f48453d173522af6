"""One run under fire: a fleet in several processes, workers, a broker, a book; faults by a schedule; then peace."""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from signal import SIGKILL, SIGQUIT
from typing import Any, Final

from gonio.cloud_sink.store import open_store
from tests.broker import running_mosquitto
from tests.chaos.acks import AckCounter
from tests.chaos.attacker import Attacker
from tests.chaos.clock import Clock, find_faketime
from tests.chaos.disk import Disk, small_disk
from tests.chaos.link import Direction, Link
from tests.chaos.schedule import Fault, Kind, schedule
from tests.chaos.verdict import Verdict, judge_book, read_truth
from tests.chaos.victim import Server, Victim
from tests.cloud_sink.postgres import PostgresCluster, find_postgres, running_cluster

_REFILL_S: Final = 0.1
_SLOW_S: Final = 0.3
_DIRECTIONS: Final[tuple[Direction, Direction]] = ("up", "down")
_KITS_MB: Final = 64  # the disk of one process's kits, beside room for its records
_BOOK_MB: Final = 64
_RECORD_KB: Final = 24  # of disk that a record takes at most, with indexes and write-ahead logs
_MADE_BY: Final = 0.8  # of the time, all records would be made if nothing happened


@dataclass(frozen=True, slots=True)
class FireOptions:
    """What to burn.

    Attributes:
        store: ``sqlite`` or ``postgresql``.
        seed: of the schedule and of the simulated patients.
        seconds: of faults.
        heal_s: in which all must be well afterwards.
        kits: how many in all.
        processes: over which they are spread.
        workers: on the shared subscription.
        rate: records a second, of all kits together.
        folder: an empty one for everything.
        kinds: of faults.
    """

    store: str
    seed: int
    seconds: float
    heal_s: float
    kits: int
    processes: int
    workers: int
    rate: float
    folder: Path
    kinds: frozenset[Kind]

    @property
    def kits_of_each(self) -> list[int]:
        """Kits of each process."""
        many, over = divmod(self.kits, self.processes)
        return [many + (number < over) for number in range(self.processes)]

    @property
    def records_of_each(self) -> int:
        """Records of each kit."""
        return max(5, round(self.seconds * _MADE_BY * self.rate / self.kits))


@dataclass(slots=True)
class Report:
    """What was done, and what came of it."""

    options: FireOptions
    done: Counter[str] = field(default_factory=Counter)
    full_s: Counter[str] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)
    ended: Counter[str] = field(default_factory=Counter)
    tracebacks: int = 0
    said: Counter[str] = field(default_factory=Counter)
    late_callbacks: int = 0
    attacks: int = 0
    healed_s: float | None = None
    verdict: Verdict | None = None

    @property
    def passed(self) -> bool:
        """Whether all was well in the end."""
        if self.healed_s is None or self.verdict is None or self.tracebacks:
            return False
        return self.verdict.clean and self.verdict.refused > 0


async def burn(options: FireOptions, tell: Callable[[str], None]) -> Report:
    """Set all up, do the faults, let it heal, compare."""
    report = Report(options)
    async with AsyncExitStack() as stack:
        scene = await stack.enter_async_context(_scene(options, report))
        tell(f"{options.kits} kits in {options.processes} processes, {options.workers} workers, {options.store}")
        await scene.begun()
        faults = schedule(options.seed, options.seconds, options.kinds)
        await scene.do(faults)
        tell(f"{len(faults)} faults done; all is let heal")
        began_s = time.monotonic()
        scene.heal()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(options.heal_s):
                await scene.finished()
                report.healed_s = time.monotonic() - began_s
        await scene.end()
        scene.account()
        report.verdict = await asyncio.to_thread(scene.judge)
    return report


class _Scene:
    def __init__(self, options: FireOptions, report: Report, url: str, attacker: Attacker) -> None:
        self._options = options
        self._report = report
        self.url = url
        self.attacker = attacker
        self.broker: Server | None = None
        self.database: Server | None = None
        self.fleets: list[Victim] = []
        self.workers: list[Victim] = []
        self.links: list[Link] = []
        self.kit_disks: list[Disk] = []
        self.book_disk: Disk | None = None
        self._running: list[asyncio.Task[None]] = []

    # --- life ---

    def start(self) -> None:
        """Start every process."""
        for victim in [*self.workers, *self.fleets]:
            self._running.append(asyncio.create_task(victim.run(), name=victim.name))
        self._running.append(asyncio.create_task(self.attacker.run(), name="attacker"))

    async def begun(self) -> None:
        """Wait until each fleet has written down when it began: clocks may jump only after that."""
        files = [self._data_dir(n) / "fleet.json" for n in range(len(self.fleets))]
        while not all(file.exists() for file in files):  # noqa: ASYNC110 - files
            await asyncio.sleep(0.05)

    async def finished(self) -> None:
        """Wait until every fleet has ended with status 0: all its records are made and answered."""
        for fleet in self.fleets:
            await fleet.finished.wait()

    async def end(self) -> None:
        """End every process."""
        for task in self._running:
            task.cancel()
        for task in self._running:
            with contextlib.suppress(asyncio.CancelledError):
                await task

    def heal(self) -> None:
        """End what faults left: clocks come back, links are calm, disks have room."""
        for link in self.links:
            link.calm()
        for disk in self._disks():
            disk.relieve()
        for victim in [*self.workers, *self.fleets]:
            if victim.clock is not None:
                victim.clock.jump(0)
        for fleet in self.fleets:
            fleet.hurry()  # what killed fleets have not made yet is no part of healing

    # --- faults ---

    async def do(self, faults: Sequence[Fault]) -> None:
        """Do each fault at its moment; those that last run side by side."""
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        async with asyncio.TaskGroup() as tasks:
            for fault in faults:
                await asyncio.sleep(began_s + fault.at_s - loop.time())
                tasks.create_task(self._do(fault), name=fault.kind)
            await asyncio.sleep(began_s + self._options.seconds - loop.time())

    async def _do(self, fault: Fault) -> None:
        if await self._deed(fault):
            self._report.done[fault.kind] += 1

    def _deed(self, fault: Fault) -> Coroutine[Any, Any, bool]:
        link = self.links[fault.victim % len(self.links)]
        direction = _DIRECTIONS[fault.amount % 2]
        deeds: dict[Kind, Callable[[], Coroutine[Any, Any, bool]]] = {
            Kind.KILL_KITS: lambda: self._kill(self.fleets, fault),
            Kind.KILL_WORKER: lambda: self._kill(self.workers, fault),
            Kind.KILL_BROKER: lambda: self._kill_server(self.broker, fault),
            Kind.KILL_DATABASE: lambda: self._kill_server(self.database, fault),
            Kind.CUT: lambda: self._trouble(link, link.go_away, fault.lasts_s),
            Kind.STALL: lambda: self._trouble(link, lambda: link.stall(direction), fault.lasts_s),
            Kind.DELAY: lambda: self._trouble(link, lambda: link.slow(_SLOW_S), fault.lasts_s),
            Kind.HALF_CLOSE: lambda: self._trouble(link, lambda: link.half_close(direction), fault.lasts_s),
            Kind.DROP: lambda: self._trouble(link, lambda: link.swallow(direction), fault.lasts_s),
            Kind.FULL_KITS: lambda: self._fill(self.kit_disks, fault),
            Kind.FULL_BOOK: lambda: self._fill([self.book_disk] if self.book_disk else [], fault),
            Kind.JUMP_KITS: lambda: self._jump(self.fleets, fault),
            Kind.JUMP_WORKER: lambda: self._jump(self.workers, fault),
        }
        return deeds[fault.kind]()

    async def _kill(self, victims: Sequence[Victim], fault: Fault) -> bool:
        return victims[fault.victim % len(victims)].kill(fault.lasts_s)

    async def _kill_server(self, server: Server | None, fault: Fault) -> bool:
        if server is None:
            return False
        await server.kill(fault.lasts_s)
        return True

    async def _trouble(self, link: Link, begin: Callable[[], object], lasts_s: float) -> bool:
        begin()
        await asyncio.sleep(lasts_s)
        link.calm()
        return True

    async def _fill(self, disks: Sequence[Disk], fault: Fault) -> bool:
        if not disks:
            return False
        disk = disks[fault.victim % len(disks)]
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        while loop.time() < began_s + fault.lasts_s:
            await asyncio.to_thread(disk.fill, fault.amount)
            await asyncio.sleep(_REFILL_S)
        disk.relieve()
        self._report.full_s[fault.kind] += round(loop.time() - began_s)
        return True

    async def _jump(self, victims: Sequence[Victim], fault: Fault) -> bool:
        clock = victims[fault.victim % len(victims)].clock
        if clock is None:
            return False
        clock.jump(fault.amount)
        return True

    # --- what came of it ---

    def account(self) -> None:
        """Note what the processes did."""
        self._report.attacks = len(self.attacker.sent) + len(self.attacker.altered)
        for victim in [*self.fleets, *self.workers]:
            for status, times in victim.ended_by_itself.items():
                self._report.ended[f"{victim.name.split()[0]} ended with status {status}"] += times
            errors = victim.errors()
            self._report.tracebacks += errors.unforeseen
            self._report.said += errors.said
            self._report.late_callbacks += errors.of_asyncio

    def judge(self) -> Verdict:
        """Compare the book with the truth."""
        folders = [folder for n in range(len(self.fleets)) for folder in sorted((self._data_dir(n) / "kits").iterdir())]
        with open_store(self.url, create=False) as store:
            truth = read_truth(self._truth(n) for n in range(len(self.fleets)))
            return judge_book(store, truth, folders, self.attacker.sent, self.attacker.altered)

    def _data_dir(self, number: int) -> Path:
        return self._options.folder / f"kits-{number}" / "fleet"

    def _truth(self, number: int) -> Path:
        return self._options.folder / f"truth-{number}"

    def _disks(self) -> list[Disk]:
        return [*self.kit_disks, *([self.book_disk] if self.book_disk else [])]


@asynccontextmanager
async def _scene(options: FireOptions, report: Report) -> AsyncIterator[_Scene]:
    folder, kinds = options.folder, options.kinds
    library = find_faketime() if {Kind.JUMP_KITS, Kind.JUMP_WORKER} & kinds else None

    def clock(name: str) -> Clock | None:
        return Clock(library, folder / f"clock-{name}") if library is not None else None

    with ExitStack() as servers:
        book_disk: Disk | None = None
        database: Server | None = None
        if options.store == "sqlite":
            book = folder / "book"
            if Kind.FULL_BOOK in kinds:
                megabytes = _BOOK_MB + options.kits * options.records_of_each * _RECORD_KB // 1024
                book_disk = servers.enter_context(small_disk(book, megabytes))
            else:
                book.mkdir()
            url = f"sqlite:///{book}/book.db"
        else:
            programs = find_postgres()
            assert programs is not None, "postgresql is not installed"
            cluster = servers.enter_context(running_cluster(programs))
            url = cluster.create()
            database = _database(cluster)
        open_store(url).close()
        broker = servers.enter_context(running_mosquitto(folder))
        scene = _Scene(options, report, url, Attacker(broker.port, folder, options.seed))
        scene.book_disk, scene.database = book_disk, database
        scene.broker = Server(broker.start, broker.kill)
        async with AsyncExitStack() as links:
            for number in range(options.workers):
                link = Link(broker.port, lambda: AckCounter(report.answers))
                scene.links.append(await links.enter_async_context(link))
                name = f"worker {number + 1}"
                arguments = ["sink", "run", "--store", url, "--broker", _url(link), "--share", "sink", "--signed-only"]
                scene.workers.append(
                    Victim(name, arguments, folder / f"worker-{number}.log", clock(f"worker-{number}"))
                )
            for number, kits in enumerate(options.kits_of_each):
                link = await links.enter_async_context(Link(broker.port))
                scene.links.append(link)
                place = folder / f"kits-{number}"
                if Kind.FULL_KITS in kinds:
                    megabytes = _KITS_MB + kits * options.records_of_each * _RECORD_KB // 1024
                    scene.kit_disks.append(servers.enter_context(small_disk(place, megabytes)))
                else:
                    place.mkdir()
                arguments = [
                    *("simulate", "fleet", "--kits", str(kits), "--records", str(options.records_of_each)),
                    *("--rate", str(options.rate / options.processes), "--broker", _url(link)),
                    *("--data-dir", str(place / "fleet"), "--truth", str(folder / f"truth-{number}")),
                    *("--store", url, "--seed", str(options.seed + number)),
                ]
                scene.fleets.append(
                    Victim(f"kits {number + 1}", arguments, folder / f"kits-{number}.log", clock(f"kits-{number}"))
                )
            scene.start()
            try:
                yield scene
            finally:
                await scene.end()


def _url(link: Link) -> str:
    return f"mqtt://127.0.0.1:{link.port}"


def _database(cluster: PostgresCluster) -> Server:
    """Give the server; it is killed in turns as it says (immediate) and as nobody says (SIGKILL)."""
    ways = [SIGQUIT, SIGKILL]

    def kill() -> None:
        ways.append(ways.pop(0))
        cluster.stop(ways[-1])

    def start() -> None:
        while True:
            with contextlib.suppress(RuntimeError):  # what the killed one left in memory is still in use
                return cluster.start()
            time.sleep(0.2)

    return Server(start, kill)
