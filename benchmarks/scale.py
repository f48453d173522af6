"""How the clinic's book behaves when it is large, and when a thousand kits come back at once.

Run: python benchmarks/scale.py [--help]. Everything is simulated, made from a seed.

1. A book of many patients with 180 days each (a session a day, four of five days), filled past MQTT and past the keys'
   checks, on SQLite and on PostgreSQL with its defaults: what the queries of the pages and of billing take then. Each
   query is asked again and again, with other patients; the median and the slowest of nine in ten are shown.
2. A backlog: kits that were offline for a week send all they have at the same moment, each with its own connection,
   resending what is not acknowledged, to one worker behind mosquitto. Every record's id is compared with the book; the
   worker's peak memory is what the operating system says at its end.
"""

import argparse
import asyncio
import random
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import aiomqtt
from sqlalchemy import Connection, select

from gonio.cloud_sink.bulk import Row, insert_rows
from gonio.cloud_sink.derive import Binding, Derived, Source, derive
from gonio.cloud_sink.review.patient_view import view_patient
from gonio.cloud_sink.schema import HOME_CLINIC, KIT_BINDINGS, KITS, PATIENTS, RECORDS
from gonio.cloud_sink.schema_places import RECORD_PLACES
from gonio.cloud_sink.store import Store, open_store
from gonio.messages import (
    MAX_ENVELOPES,
    AckStatus,
    AngleCurve,
    DownKind,
    Envelope,
    Kind,
    RepReport,
    SessionSummary,
    down_topic,
    pack,
    payload_text,
    unpack_acks,
    up_topic,
    wire_time,
)

sys.path.append(str(Path(__file__).parents[1]))
from tests.broker import Mosquitto, running_mosquitto
from tests.cloud_sink.postgres import find_postgres, running_cluster

DAYS: Final = 180
ADHERENCE: Final = 0.8  # share of days with a session
ZONES: Final = ("America/Chicago", "America/New_York", "Europe/Berlin", "UTC")
WINDOW_DAYS: Final = 30
ASKED: Final = 20  # times that a query is asked
CHUNK: Final = 20_000  # records in a transaction while a book is filled

RECORDS_PER_KIT: Final = 28  # of a week: four a day
RESEND_AFTER_S: Final = 5.0
GIVE_UP_AFTER_S: Final = 600.0
CONNECTED_AT_ONCE: Final = 50  # mosquitto's queue of connections that wait is short


def summary(*, light: bool, sitting: uuid.UUID) -> SessionSummary:
    """Make a session's content: of 12 repetitions with a curve, or of two without."""
    reps = tuple(
        RepReport(
            start_s=5.0 * i,
            peak_s=5.0 * i + 2.125,
            end_s=5.0 * i + 4.25,
            signal="knee",
            peak_flexion_deg=91.5 + i,
            min_flexion_deg=2.5,
            rom_deg=89.0 + i,
        )
        for i in range(2 if light else 12)
    )
    return SessionSummary(
        sitting_id=sitting,
        exercise="heel-slide",
        side="left",
        source="simulated",
        duration_s=60.0,
        reps=reps,
        max_flexion_deg=102.5,
        min_flexion_deg=2.5,
        zero="standing",
        calibrated_at_s=4.0,
        ok_fraction=0.95,
        sensors=(),
        curve=None if light else AngleCurve(step_s=0.3, flexion_deg=tuple(i * 7 % 91 for i in range(200))),
        software="benchmark",
    )


# --- a large book ---


@dataclass(frozen=True, slots=True)
class Patient:
    """A patient with a kit of their own."""

    patient_id: uuid.UUID
    kit_id: str
    outbox_id: uuid.UUID
    boot_id: uuid.UUID
    binding: Binding


def draw_uuid(drawn: random.Random, moment: datetime | None = None) -> uuid.UUID:
    """Draw an id: of version 4, or of version 7 as of a moment."""
    bits = drawn.getrandbits(128)
    if moment is not None:
        bits = int(moment.timestamp() * 1000) << 80 | bits & (1 << 80) - 1
    return uuid.UUID(int=bits & ~(0xF << 76) & ~(0x3 << 62) | (4 if moment is None else 7) << 76 | 0x2 << 62)


def enter_patients(connection: Connection, count: int, since: datetime, drawn: random.Random) -> list[Patient]:
    """Enter patients, each with a kit."""
    patients = [
        Patient(
            draw_uuid(drawn, since),
            f"kit-{n:05}",
            draw_uuid(drawn),
            draw_uuid(drawn),
            Binding(uuid.UUID(int=0), ZONES[n % len(ZONES)], since, None),
        )
        for n in range(count)
    ]
    patients = [
        Patient(p.patient_id, p.kit_id, p.outbox_id, p.boot_id, Binding(p.patient_id, p.binding.time_zone, since, None))
        for p in patients
    ]
    clinic: Row = {"clinic_id": HOME_CLINIC}
    insert_rows(
        connection,
        PATIENTS,
        [
            clinic
            | {
                "patient_id": p.patient_id,
                "name": f"Patient {p.kit_id[4:]}",
                "time_zone": p.binding.time_zone,
                "added_at": since,
            }
            for p in patients
        ],
    )
    kit: Row = clinic | {"label": "", "first_seen_at": since, "has_voids": False, "has_unsynchronised": False}
    insert_rows(connection, KITS, [kit | {"kit_id": p.kit_id} for p in patients])
    insert_rows(
        connection,
        KIT_BINDINGS,
        [
            clinic
            | {
                "binding_id": draw_uuid(drawn, since),
                "kit_id": p.kit_id,
                "patient_id": p.patient_id,
                "side": None,
                "bound_from": since,
                "bound_to": None,
            }
            for p in patients
        ],
    )
    return patients


def fill(store: Store, patients: int, last: datetime, drawn: random.Random) -> tuple[list[Patient], int]:
    """Fill an empty book; day by day, as records come in real life.

    Returns:
        The patients, and how many records there are.
    """
    since = last - timedelta(days=DAYS)
    told = summary(light=True, sitting=draw_uuid(drawn)).model_copy(update={"source": "sensor"})  # only those count
    payload = payload_text(told)
    count = 0
    with _unchecked(store) as begin:
        with begin() as connection:
            people = enter_patients(connection, patients, since - timedelta(days=1), drawn)
        sequences = dict.fromkeys((p.kit_id for p in people), 0)
        for day in range(DAYS):
            doing = [p for p in people if drawn.random() < ADHERENCE]
            for start in range(0, len(doing), CHUNK):
                with begin() as connection:
                    some = doing[start : start + CHUNK]
                    _write_day(connection, some, since + timedelta(days=day), sequences, (told, payload), drawn)
                    count += len(some)
    with store._writer.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:  # noqa: SLF001 - past the book's own ways, to fill and to vacuum it
        connection.exec_driver_sql("ANALYZE" if connection.dialect.name == "sqlite" else "VACUUM ANALYZE")
    return people, count


def _write_day(
    connection: Connection,
    doing: Sequence[Patient],
    day: datetime,
    sequences: dict[str, int],
    content: tuple[SessionSummary, str],
    drawn: random.Random,
) -> None:
    told, payload = content
    derived = Derived()
    records: list[Row] = []
    places: list[Row] = []
    for p in doing:
        at = day + timedelta(seconds=drawn.randrange(8 * 3600, 20 * 3600))
        sequences[p.kit_id] += 1
        record_id = draw_uuid(drawn, at)
        head: Row = {"record_id": record_id, "clinic_id": HOME_CLINIC, "kit_id": p.kit_id}
        place = {"outbox_id": p.outbox_id, "sequence": sequences[p.kit_id]}
        tick = int(at.timestamp() * 1e9)
        places.append(head | place)
        records.append(
            head
            | place
            | {
                "kind": "session",
                "captured_at": wire_time(at),
                "captured_utc": at,
                "received_at": at,
                "boot_id": p.boot_id,
                "monotonic_ns": tick,
                "clock": "synchronised",
                "schema_version": SessionSummary.SCHEMA_VERSION,
                "key_id": None,
                "signature": None,
                "payload": payload,
                "content_hash": record_id.bytes * 2,
            }
        )
        source = Source(record_id, HOME_CLINIC, p.kit_id, p.boot_id, tick, at, at, "synchronised", told)
        derive(source, (p.binding,), derived)
    insert_rows(connection, RECORDS, records)
    insert_rows(connection, RECORD_PLACES, places)
    for table, rows in derived.rows.items():
        insert_rows(connection, table, rows)


@contextmanager
def _unchecked(store: Store) -> Iterator[Callable[[], Any]]:
    """Give what begins transactions that do not look each key up in the tables it refers to."""
    with store._writer.connect() as connection:  # noqa: SLF001 - a benchmark looks inside
        off, on = (
            ("PRAGMA foreign_keys=OFF", "PRAGMA foreign_keys=ON")
            if connection.dialect.name == "sqlite"
            else ("SET session_replication_role = replica", "SET session_replication_role = origin")
        )
        raw: Any = connection.connection.driver_connection  # the driver's own, beyond the DB-API
        connection.rollback()
        raw.execute(off)
        if connection.dialect.name == "postgresql":
            raw.commit()

        @contextmanager
        def begin() -> Iterator[Connection]:
            with connection.begin():
                yield connection

        yield begin
        raw.execute(on)
        if connection.dialect.name == "postgresql":
            raw.commit()


def ask(query: Callable[[], object]) -> tuple[float, float]:
    """Ask a query again and again: median and ninth decile, in milliseconds."""
    query()
    took = []
    for _ in range(ASKED):
        began = time.perf_counter()
        query()
        took.append((time.perf_counter() - began) * 1000)
    return statistics.median(took), statistics.quantiles(took, n=10)[-1]


def measure_book(name: str, url: str, patients: int, seed: int) -> None:
    """Fill a book and ask it."""
    drawn = random.Random(seed)  # noqa: S311 - made-up data
    last = datetime(2026, 3, 1, tzinfo=UTC)
    with open_store(url) as store:
        began = time.perf_counter()
        people, count = fill(store, patients, last, drawn)
        print(f"{name}: {patients:,} patients, {count:,} records, filled in {time.perf_counter() - began:.0f} s")
        window = (date(2026, 1, 20), date(2026, 1, 20) + timedelta(days=WINDOW_DAYS - 1))
        total = sum(store.ledger.data_days(*window).values())
        share = total / (patients * WINDOW_DAYS)
        if abs(share - ADHERENCE) > 5 / (patients * WINDOW_DAYS) ** 0.5:
            raise SystemExit(f"{total} data days cannot be: {share:.3f} of all days in place of {ADHERENCE}")

        def page() -> object:
            row = store.patient(drawn.choice(people).patient_id)
            return row and store.sessions(row.patient_id, limit=WINDOW_DAYS)

        def whole_page() -> object:
            row = store.patient(drawn.choice(people).patient_id)
            return row and view_patient(store, row, last)

        def one_window() -> object:
            return list(store.ledger.days(*window, patient_id=drawn.choice(people).patient_id))

        for what, bound, query in (
            (f"data days of all patients in {WINDOW_DAYS} days", 100, lambda: store.ledger.data_days(*window)),
            (f"one patient's days of {WINDOW_DAYS}, record by record", 5, one_window),
            (f"one patient and {WINDOW_DAYS} sessions", 5, page),
            ("one patient's page with its plots", None, whole_page),
            ("the list of all patients", None, store.patients),
        ):
            median, slow = ask(query)
            print(f"  {what:<40} {median:>8.1f} {slow:>8.1f} {f'{bound} ms' if bound else '':>8}")


# --- a backlog ---


class Kit:
    """A kit that comes back after a week: it sends all it has, and again what nobody acknowledges."""

    def __init__(self, number: int, drawn: random.Random) -> None:
        """Make its records."""
        self.kit_id = f"kit-{number:05}"
        outbox, boot = draw_uuid(drawn), draw_uuid(drawn)
        begin = datetime.now(UTC) - timedelta(days=7)
        payload = payload_text(summary(light=False, sitting=draw_uuid(drawn)))
        moments = [begin + n * timedelta(days=7) / RECORDS_PER_KIT for n in range(RECORDS_PER_KIT)]
        self.records = {
            record.record_id: record
            for record in (
                Envelope(
                    record_id=draw_uuid(drawn, at),
                    kind=Kind.SESSION,
                    kit_id=self.kit_id,
                    outbox_id=outbox,
                    sequence=n + 1,
                    boot_id=boot,
                    monotonic_ns=n,
                    captured_at=wire_time(at),
                    clock="synchronised",
                    schema_version=SessionSummary.SCHEMA_VERSION,
                    payload=payload,
                )
                for n, at in enumerate(moments)
            )
        }
        self.sent = 0
        self.refused = 0

    async def run(
        self, broker: Mosquitto, gate: asyncio.Semaphore, ready: asyncio.Semaphore, everybody: asyncio.Event
    ) -> None:
        """Connect, wait for everybody, then send until all is acknowledged."""
        waiting = dict(self.records)
        async with gate:
            client = aiomqtt.Client("127.0.0.1", broker.port, identifier=self.kit_id, timeout=60)
            await client.__aenter__()
            await client.subscribe(down_topic(self.kit_id, DownKind.ACK), qos=1)
        try:
            ready.release()
            await everybody.wait()
            while waiting:
                batch = list(waiting.values())[:MAX_ENVELOPES]
                await client.publish(up_topic(self.kit_id, Kind.SESSION), pack(batch), qos=1)
                self.sent += len(batch)
                try:
                    async with asyncio.timeout(RESEND_AFTER_S):
                        while waiting:
                            message = await anext(client.messages)
                            for ack in unpack_acks(bytes(message.payload)).acks:
                                self.refused += ack.status is AckStatus.REJECTED
                                waiting.pop(ack.record_id, None)
                except TimeoutError:
                    continue
        finally:
            await client.__aexit__(None, None, None)


async def drain(url: str, broker: Mosquitto, count: int, seed: int) -> None:
    """Let kits come back at once, and print what became of it."""
    drawn = random.Random(seed)  # noqa: S311 - made-up data
    kits = [Kit(n, drawn) for n in range(count)]
    worker = await start_worker(url, broker)
    try:
        gate, everybody = asyncio.Semaphore(CONNECTED_AT_ONCE), asyncio.Event()
        ready = asyncio.Semaphore(0)
        running = [asyncio.create_task(kit.run(broker, gate, ready, everybody)) for kit in kits]
        for _ in kits:
            await ready.acquire()
        began = time.perf_counter()
        everybody.set()
        await asyncio.wait_for(asyncio.gather(*running), GIVE_UP_AFTER_S)
        took = time.perf_counter() - began
        peak = peak_memory(worker.pid)
    finally:
        if worker.returncode is None:
            worker.terminate()
        await worker.communicate()
    with open_store(url) as store, store._reader.connect() as connection:  # noqa: SLF001 - a benchmark looks inside
        found = set(connection.execute(select(RECORDS.c.record_id)).scalars())
    sent = {record_id for kit in kits for record_id in kit.records}
    again = sum(kit.sent for kit in kits) - len(sent)
    print(
        f"  {count:,} kits, {len(sent):,} records: {took:.1f} s, {len(sent) / took:,.0f} records/s, {again:,} sent "
        f"again, {len(sent - found)} lost, {len(found - sent)} of nobody, {sum(kit.refused for kit in kits)} refused; "
        f"peak memory of the worker {peak:.0f} MB"
    )
    if found != sent:
        raise SystemExit("the book does not hold what was sent")


def peak_memory(pid: int) -> float:
    """Give the most memory that a process ever had resident, in MB."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


async def start_worker(url: str, broker: Mosquitto) -> asyncio.subprocess.Process:
    """Start ``gonio sink run`` and wait until it listens; what it says from then on is kept by nobody."""
    worker = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", "from gonio.cli.sink import app; app()"),
        *("run", "--store", url, "--broker", broker.url),
        stderr=asyncio.subprocess.PIPE,
    )
    if worker.stderr is None:
        raise SystemExit("the worker has no stderr")
    while b"listening" not in (line := await worker.stderr.readline()):
        if not line:
            raise SystemExit("the worker ended before it listened")
    return worker


def measure_backlog(name: str, url: str, kits: int, seed: int) -> None:
    """Drain a backlog into an empty book."""
    open_store(url).close()
    print(f"{name}: a week of {RECORDS_PER_KIT} sessions each, all at once, one worker behind mosquitto")
    lines = ("allow_anonymous true", "max_connections -1")
    with tempfile.TemporaryDirectory() as folder, running_mosquitto(Path(folder), *lines) as broker:
        asyncio.run(drain(url, broker, kits, seed))


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="10,000 patients and 1,000 kits, in place of a tenth")
    parser.add_argument("--seed", type=int, default=5, help="what is made from it is the same each time (5)")
    parser.add_argument("--only", choices=["book", "backlog"], help="one part")
    parser.add_argument("--store", choices=["sqlite", "postgresql"], help="one store")
    options = parser.parse_args()
    patients, kits = (10_000, 1_000) if options.full else (1_000, 100)
    if not options.full:
        print("quick: a tenth of the patients and kits; the bounds are those of --full")
    if options.only != "backlog":
        print(f"{'':<42} {'median':>8} {'9 of 10':>8} {'bound':>8}   (ms)")
    with tempfile.TemporaryDirectory() as folder:
        if options.store != "postgresql":
            measure("SQLite", lambda: f"sqlite:///{folder}/{uuid.uuid4()}.db", patients, kits, options)
    if options.store == "sqlite":
        return
    programs = find_postgres()
    if programs is None:
        print("PostgreSQL is not installed (apt-get install postgresql): not measured")
        return
    with running_cluster(programs) as cluster:
        measure("PostgreSQL", cluster.create, patients, kits, options)


def measure(name: str, new_book: Callable[[], str], patients: int, kits: int, options: argparse.Namespace) -> None:
    """Do what was asked for on one store."""
    if options.only != "backlog":
        measure_book(name, new_book(), patients, options.seed)
    if options.only != "book":
        measure_backlog(name, new_book(), kits, options.seed)


if __name__ == "__main__":
    main()
