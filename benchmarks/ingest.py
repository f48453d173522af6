"""How fast the clinic's book takes records in: without a broker, and through mosquitto with one worker.

Run: python benchmarks/ingest.py [--help]. Sessions of 12 repetitions with a 200-point angle curve, of 100 kits, one
record a publish. Both stores are measured where their servers are installed (Debian's postgresql and mosquitto): a
PostgreSQL of its own in a temporary folder with its defaults, each commit on disk.

"bound" is what the same machine does in the same run without MQTT: inflate, validate, derive, one durable transaction
for as many records as the worker puts into one. "through mosquitto" is from the first publish to the last
acknowledgement; the sender, the broker, the worker and the database share the machine.
"""

import argparse
import asyncio
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiomqtt

from gonio.cloud_sink.inbox import Arrival
from gonio.cloud_sink.store import Store, open_store
from gonio.cloud_sink.worker import MAX_GROUP_RECORDS, collect_rarely, read_publish
from gonio.messages import (
    AngleCurve,
    Envelope,
    Kind,
    RepReport,
    SessionSummary,
    new_record_id,
    pack,
    payload_text,
    unpack_acks,
    up_topic,
    wire_time,
)

sys.path.append(str(Path(__file__).parents[1]))
from tests.broker import Mosquitto, running_mosquitto
from tests.cloud_sink.postgres import find_postgres, running_cluster

KITS = 100
WINDOW = 4_000  # records on their way at once
OPEN = ("allow_anonymous true", "max_queued_messages 0")


def session() -> str:
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
        for i in range(12)
    )
    summary = SessionSummary(
        sitting_id=uuid.uuid4(),
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
        curve=AngleCurve(step_s=0.3, flexion_deg=tuple(i * 7 % 91 for i in range(200))),
        software="benchmark",
    )
    return payload_text(summary)


def records(count: int) -> list[Envelope]:
    payload = session()
    begin = datetime.now(UTC) - timedelta(days=30)
    outboxes = [uuid.uuid4() for _ in range(KITS)]
    boot = uuid.uuid4()
    return [
        Envelope(
            record_id=new_record_id(),
            kind=Kind.SESSION,
            kit_id=f"kit-{i % KITS:03}",
            outbox_id=outboxes[i % KITS],
            sequence=i // KITS + 1,
            boot_id=boot,
            monotonic_ns=i,
            captured_at=wire_time(begin + timedelta(minutes=i // KITS)),
            clock="synchronised",
            schema_version=1,
            payload=payload,
        )
        for i in range(count)
    ]


NewBook = Callable[[], str]


@contextmanager
def filled(url: str) -> Iterator[Store]:
    """Open a new book whose kits are all with one patient."""
    with open_store(url) as store:
        patient = store.add_patient("Benchmark", "America/Chicago")
        for kit in range(KITS):
            store.bind_kit(f"kit-{kit:03}", patient, since=datetime.now(UTC) - timedelta(days=60))
        yield store


def alone(url: str, count: int, batch: int) -> float:
    """Give records/s inflated, validated and stored, ``batch`` in a transaction."""
    now = datetime.now(UTC)
    sent = [Arrival(up_topic(record.kit_id, Kind.SESSION), pack([record]), now) for record in records(count)]
    with filled(url) as store:
        began = time.perf_counter()
        for start in range(0, count, batch):
            store.ingest_batch([read_publish(arrival) for arrival in sent[start : start + batch]])
        rate = count / (time.perf_counter() - began)
        if store.audit().records != count:
            raise SystemExit("the book does not hold what was sent")
    return rate


@asynccontextmanager
async def running_worker(url: str, broker: Mosquitto) -> AsyncIterator[None]:
    """Run ``gonio sink run`` in a process of its own, from when it listens."""
    worker = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", "from gonio.cli.sink import app; app()"),
        *("run", "--store", url, "--broker", broker.url),
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        while worker.stderr is not None and b"listening" not in (line := await worker.stderr.readline()):
            if not line:
                raise SystemExit("the worker ended before it listened")
        yield
        worker.terminate()
        await asyncio.wait_for(worker.communicate(), 30)
    finally:
        if worker.returncode is None:
            worker.kill()
            await worker.wait()


async def through(url: str, broker: Mosquitto, count: int) -> float:
    """Give records/s from the first publish to the last acknowledgement."""
    sent = [(up_topic(record.kit_id, Kind.SESSION), pack([record])) for record in records(count)]
    with filled(url) as store:
        async with (
            running_worker(url, broker),
            aiomqtt.Client("127.0.0.1", broker.port, max_inflight_messages=WINDOW) as client,
        ):
            await client.subscribe("gonio/v1/+/down/ack")
            room = asyncio.Semaphore(WINDOW)

            async def hear() -> None:
                acknowledged = 0
                async for message in client.messages:
                    acks = unpack_acks(bytes(message.payload)).acks
                    acknowledged += len(acks)
                    for _ in acks:
                        room.release()
                    if acknowledged >= count:
                        return

            began = time.perf_counter()
            hearing = asyncio.create_task(hear())
            for topic, data in sent:
                await room.acquire()
                await client.publish(topic, data, qos=0)  # a lost one would show: the run would not end
            await asyncio.wait_for(hearing, 300)
            rate = count / (time.perf_counter() - began)
        if (found := store.audit()).records != count or found.gaps:
            raise SystemExit("the book does not hold what was sent")
    return rate


def measure(name: str, new_book: NewBook, count: int) -> None:
    alone(new_book(), min(count, 500), 100)  # what is loaded and compiled once is not measured
    single = alone(new_book(), min(count, 1_000), 1)
    hundred = alone(new_book(), count, 100)
    bound = alone(new_book(), count, MAX_GROUP_RECORDS)
    with tempfile.TemporaryDirectory() as folder, running_mosquitto(Path(folder), *OPEN) as broker:
        reached = asyncio.run(through(new_book(), broker, count))
    print(f"{name:<12} {single:>8,.0f} {hundred:>8,.0f} {bound:>8,.0f} {reached:>18,.0f} {reached / bound:>9.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("records", type=int, nargs="?", default=10_000, help="how many for each figure (10,000)")
    count = parser.parse_args().records
    collect_rarely()  # as the worker's process does
    print("records/s, inflated, validated, stored durably; by records in a transaction")
    print(f"{'store':<12} {'1':>8} {'100':>8} {'bound':>8} {'through mosquitto':>18} {'of bound':>9}")
    with tempfile.TemporaryDirectory() as folder:
        measure("SQLite", lambda: f"sqlite:///{folder}/{uuid.uuid4()}.db", count)
    programs = find_postgres()
    if programs is None:
        print("PostgreSQL is not installed (apt-get install postgresql): not measured")
        return
    with running_cluster(programs) as cluster:
        measure("PostgreSQL", cluster.create, count)


if __name__ == "__main__":
    main()
