"""From a kit's commit to the clinic's acknowledgement on loopback, and what a session costs on the line.

Run: python benchmarks/uplink.py [sessions]. One kit's outbox and uplink, mosquitto (Debian's), one sink worker in a
process of its own with SQLite, all on this machine; each session of 12 repetitions (that of the messages' tests) is
committed when the one before is acknowledged, and waits a random while so that nothing beats in step.

"commit to acknowledgement" is from the end of the kit's commit to the end of the transaction that notes the clinic's
word. "bound" is measured in the same run: the same bytes to a client behind the same broker and its short answer back
(QoS 1 up, QoS 0 down), and one durable SQLite commit at each end, one after another.

The bytes are MQTT's, both ways, each session by itself, each record with a signature of 64 bytes, without TLS and TCP.
"""

import asyncio
import random
import sqlite3
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path

import aiomqtt

from gonio.gateway.clock import KitClock
from gonio.gateway.records import Draft
from gonio.gateway.store import KitStore
from gonio.gateway.uplink import Uplink, UplinkHooks, UplinkTiming
from gonio.gateway.uplink_status import UplinkStatus
from gonio.identity.broker import NO_DELAY, BrokerAddress
from gonio.messages import Kind, new_record_id, pack, payload_text

sys.path.append(str(Path(__file__).parents[1]))
from tests.broker import Mosquitto, running_mosquitto
from tests.gateway.mqtt_proxy import running_proxy
from tests.messages.test_messages import summary

CLOCK = KitClock()
#: As deploy/ has it: without the second each hop waits 40 ms for a delayed TCP acknowledgement.
CONFIGURATION = ("allow_anonymous true", "set_tcp_nodelay true")
LONGEST_GAP_S = 0.05
METERED = 50  # sessions whose bytes are counted
ANSWER = b"x" * 90  # about what an acknowledgement of one record takes


def draft() -> Draft:
    session = summary().model_copy(update={"sitting_id": uuid.uuid4()})
    return Draft(new_record_id(), Kind.SESSION, CLOCK.capture(), 3, payload_text(session))


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


@asynccontextmanager
async def running_uplink(store: KitStore, port: int) -> AsyncIterator[Callable[[], "asyncio.Future[float]"]]:
    """Run an uplink that is connected; gives what makes a future of the moment of the next acknowledgement, s."""
    loop = asyncio.get_running_loop()
    waiting: list[tuple[int, asyncio.Future[float]]] = []

    def changed(status: UplinkStatus) -> None:
        if waiting and status.settled > waiting[0][0]:
            waiting.pop(0)[1].set_result(time.perf_counter())

    def next_settled() -> "asyncio.Future[float]":
        future: asyncio.Future[float] = loop.create_future()
        waiting.append((uplink.status.settled, future))
        return future

    address = BrokerAddress.parse(f"mqtt://127.0.0.1:{port}")
    uplink = Uplink(store, address, store.kit_id, timing=UplinkTiming(), hooks=UplinkHooks(on_change=changed))
    task = asyncio.create_task(uplink.run())
    try:
        while uplink.status.state != "connected":  # noqa: ASYNC110 - a value to look at
            await asyncio.sleep(0.01)
        yield next_settled
    finally:
        task.cancel()
        await asyncio.wait([task])


async def latencies(store: KitStore, port: int, count: int, gaps: random.Random) -> list[tuple[float, float]]:
    """Give for each session how long the commit took, and from there to the acknowledgement, s."""
    found = []
    async with running_uplink(store, port) as next_settled:
        for _ in range(count):
            await asyncio.sleep(gaps.uniform(0, LONGEST_GAP_S))
            settled = next_settled()
            record = draft()
            began = time.perf_counter()
            committed = await asyncio.to_thread(lambda record=record: (store.commit(record), time.perf_counter())[1])
            found.append((committed - began, await asyncio.wait_for(settled, 60) - committed))
    return found


async def round_trips(port: int, payload: bytes, count: int, gaps: random.Random) -> list[float]:
    """Give how long the same bytes take to a client behind the broker and a short answer back, s."""
    found = []

    async def answer(client: aiomqtt.Client) -> None:
        async for _ in client.messages:
            await client.publish("bench/down", ANSWER, qos=0)

    def client() -> aiomqtt.Client:
        return aiomqtt.Client("127.0.0.1", port, socket_options=NO_DELAY)

    async with client() as clinic, client() as kit:
        await clinic.subscribe("bench/up", qos=1)
        await kit.subscribe("bench/down", qos=1)
        answering = asyncio.create_task(answer(clinic))
        answers = aiter(kit.messages)
        for _ in range(count):
            await asyncio.sleep(gaps.uniform(0, LONGEST_GAP_S))
            began = time.perf_counter()
            sending = asyncio.create_task(kit.publish("bench/up", payload, qos=1))
            await anext(answers)
            found.append(time.perf_counter() - began)
            await sending
        answering.cancel()
    return found


def commits(folder: Path, payload: bytes, count: int, gaps: random.Random) -> list[float]:
    """Give how long one durable commit of these bytes takes, s."""
    found = []
    with closing(sqlite3.connect(folder / "bound.db", isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute("CREATE TABLE record (id INTEGER PRIMARY KEY, payload BLOB)")
        for _ in range(count):
            time.sleep(gaps.uniform(0, LONGEST_GAP_S / 10))
            began = time.perf_counter()
            db.execute("INSERT INTO record (payload) VALUES (?)", (payload,))
            found.append(time.perf_counter() - began)
    return found


async def metered(folder: Path, broker: Mosquitto) -> tuple[float, float]:
    """Give the bytes that a session costs, from the kit and to it."""
    with KitStore.open(folder / "metered") as store:
        async with (
            running_proxy(broker.port) as proxy,
            running_uplink(store, proxy.port) as next_settled,
        ):
            up, down = proxy.up_bytes, proxy.down_bytes
            for _ in range(METERED):
                settled = next_settled()
                await asyncio.to_thread(store.commit, draft())
                await asyncio.wait_for(settled, 60)
            return (proxy.up_bytes - up) / METERED, (proxy.down_bytes - down) / METERED


def at(share: float, values: Sequence[float]) -> float:
    """Give a quantile in ms."""
    ordered = sorted(values)
    return 1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))]


async def measure(folder: Path, broker: Mosquitto, count: int) -> None:
    gaps = random.Random(1)  # noqa: S311 - no secret
    async with running_worker(f"sqlite:///{folder}/book.db", broker):
        with KitStore.open(folder / "kit") as store:
            await latencies(store, broker.port, 20, gaps)  # what is loaded and compiled once is not measured
            found = await latencies(store, broker.port, count, gaps)
            payload = pack(store.envelopes([1]))
        up, down = await metered(folder, broker)
    trips = await round_trips(broker.port, payload, count, gaps)
    durable = commits(folder, payload, 2 * count, gaps)
    kit = [committed for committed, _ in found]
    reached = [acknowledged for _, acknowledged in found]
    bound = [trip + one + other for trip, one, other in zip(trips, durable[::2], durable[1::2], strict=True)]
    print(f"{'ms':<46} {'p50':>8} {'p99':>8}")
    rows = {
        "the kit's commit": kit,
        "commit to acknowledgement": reached,
        "bound: round trip, one durable commit each end": bound,
        "of it: round trip of the same bytes at QoS 1": trips,
        "of it: one durable commit": durable,
    }
    for name, values in rows.items():
        print(f"{name:<46} {at(0.5, values):>8.2f} {at(0.99, values):>8.2f}")
    print(f"{'bound over reached':<46} {at(0.5, bound) / at(0.5, reached):>8.2f}")
    print(f"{count} sessions; the outbox is encrypted, the bound's files are not")
    idle = 86_400 // UplinkTiming().keepalive_s * 4
    print(f"bytes of a session on the line: {up:.0f} from the kit, {down:.0f} to it ({len(payload)} are the publish)")
    print(f"bytes of a day without any: {idle} of keepalive, both ways (and a health report each 15 minutes)")


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    with tempfile.TemporaryDirectory() as name, running_mosquitto(Path(name), *CONFIGURATION) as broker:
        asyncio.run(measure(Path(name), broker, count))


if __name__ == "__main__":
    main()
