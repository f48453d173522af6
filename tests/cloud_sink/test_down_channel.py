"""From the clinic's book to the kit's disk and back, through a real broker: each record once, whatever is killed.

The last test is the cure for an older copy of the book: what it lacks comes back by itself.
"""

import asyncio
import random
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import aiomqtt
import pytest

from gonio.cloud_sink import down as down_module
from gonio.cloud_sink.backup import back_up
from gonio.cloud_sink.down import DownState
from gonio.cloud_sink.restore import restore
from gonio.cloud_sink.schema_down import DOWN_RECORDS
from gonio.cloud_sink.store import Store, open_store
from gonio.gateway.clock import KitClock
from gonio.gateway.health import health_envelope
from gonio.gateway.records import Draft
from gonio.gateway.store import KitStore
from gonio.gateway.uplink import Uplink, UplinkHooks, UplinkTiming
from gonio.messages import (
    ClinicMessage,
    DownEnvelope,
    DownKind,
    Envelope,
    Identify,
    Kind,
    Prescribed,
    Program,
    down_topic,
    new_record_id,
    pack_down,
)
from tests.broker import Mosquitto, listening_sink, running_mosquitto

pytestmark = pytest.mark.peer("mosquitto")

FAST = UplinkTiming(
    answer_s=0.3, longest_wait_s=0.5, reconnect_s=0.05, longest_reconnect_s=0.2, network_s=2.0, health_s=0.3
)
LIMIT_S = 30.0
HELLO = ClinicMessage(text="How is the knee?", sender="Your physiotherapist")
CLOCK = KitClock()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with running_mosquitto(tmp_path) as server:
        yield server


@pytest.fixture
def kit(tmp_path: Path) -> Iterator[KitStore]:
    with KitStore.open(tmp_path / "kit") as store:
        yield store


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the clinic be impatient."""
    monkeypatch.setattr(down_module, "ANSWER", down_module.ANSWER / 20)


@asynccontextmanager
async def connected(kit: KitStore, broker: Mosquitto) -> AsyncIterator[list[DownEnvelope]]:
    """Run a kit's uplink; gives what came down, as it comes."""
    came: list[DownEnvelope] = []

    async def health() -> Envelope:
        return await health_envelope(kit, CLOCK.capture(), held=0, disk=None, batteries={}, troubles=())

    uplink = Uplink(
        kit,
        broker.address,
        kit.kit_id,
        timing=FAST,
        health=health,
        hooks=UplinkHooks(on_down=came.append),
        rng=random.Random(7),  # noqa: S311 - jitter
    )
    task = asyncio.create_task(uplink.run())
    try:
        yield came
    finally:
        task.cancel()
        await asyncio.wait([task])


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(LIMIT_S):
        while not await asyncio.to_thread(condition):  # noqa: ASYNC110 - the book is a value to look at
            await asyncio.sleep(0.05)


def states(book: Store, kit: KitStore) -> list[DownState]:
    return [row.state for row in book.down.rows(kit.kit_id)]


def commit(kit: KitStore, count: int) -> None:
    for _ in range(count):
        kit.commit(Draft(new_record_id(), Kind.CHECK_IN, CLOCK.capture(), 1, '{"pain_during":3}'))


def program() -> Program:
    exercise = Prescribed(exercise="heel-slide", side="left", reps=10)
    return Program(program_id=uuid.uuid4(), version=1, valid_from=date(2026, 3, 6), exercises=(exercise,))


async def test_what_is_sent_arrives_and_its_receipt_comes_back(store: Store, kit: KitStore, broker: Mosquitto) -> None:
    store.add_kit(kit.kit_id)
    async with listening_sink(store, broker), connected(kit, broker) as came:
        sent = [store.down.send(kit.kit_id, payload) for payload in (HELLO, program(), Identify(do="identify"))]
        await until(lambda: states(store, kit) == [DownState.RECEIVED, DownState.APPLIED, DownState.RECEIVED])
    assert sorted(came, key=lambda envelope: envelope.sequence) == sent
    assert store.audit().gaps == ()


async def test_a_kit_that_comes_back_is_served_at_once(
    store: Store, kit: KitStore, broker: Mosquitto, quick: None
) -> None:
    store.add_kit(kit.kit_id)
    store.down.send(kit.kit_id, HELLO)
    async with listening_sink(store, broker):
        await until(lambda: states(store, kit) == [DownState.SENT])
        with store.down._writer.begin() as connection:  # as if it had been away for days
            tomorrow = datetime.now(UTC) + timedelta(days=1)
            connection.execute(DOWN_RECORDS.update().values(times=12, next_at=tomorrow))
        async with connected(kit, broker) as came:
            await until(lambda: states(store, kit) == [DownState.RECEIVED])
    assert len(came) == 1


async def test_nothing_is_lost_or_doubled_when_broker_and_worker_go(
    store: Store, kit: KitStore, broker: Mosquitto, quick: None
) -> None:
    store.add_kit(kit.kit_id)
    rng = random.Random(5)  # noqa: S311 - a test's
    async with connected(kit, broker) as came:
        for round_number in range(3):
            async with listening_sink(store, broker):
                for _ in range(10):
                    store.down.send(kit.kit_id, HELLO)
                await asyncio.sleep(rng.uniform(0, 0.5))
                broker.kill()
                await asyncio.sleep(rng.uniform(0, 0.1))
                broker.start()
                await asyncio.sleep(rng.uniform(0, 0.5) if round_number < 2 else 0)
        async with listening_sink(store, broker):
            await until(lambda: states(store, kit) == [DownState.RECEIVED] * 30)
    assert sorted(envelope.sequence for envelope in came) == list(range(1, 31))
    assert kit.inbox_gaps() == []


async def test_two_workers_share_the_work(store: Store, kit: KitStore, broker: Mosquitto, store_url: str) -> None:
    store.add_kit(kit.kit_id)
    with open_store(store_url) as other:
        async with (
            listening_sink(store, broker, share="sink"),
            listening_sink(other, broker, share="sink"),
            connected(kit, broker) as came,
        ):
            for n in range(20):
                (store, other)[n % 2].down.send(kit.kit_id, HELLO)
            await until(lambda: states(store, kit) == [DownState.RECEIVED] * 20)
    assert len(came) == 20


async def test_what_a_kit_cannot_read_harms_nothing(store: Store, kit: KitStore, broker: Mosquitto) -> None:
    store.add_kit(kit.kit_id)
    topic = down_topic(kit.kit_id, DownKind.MESSAGE)
    async with listening_sink(store, broker), connected(kit, broker) as came:
        sent = store.down.send(kit.kit_id, HELLO)
        await until(lambda: states(store, kit) == [DownState.RECEIVED])
        newer = sent.model_copy(update={"record_id": new_record_id(), "sequence": 2, "schema_version": 7})
        foreign = sent.model_copy(update={"record_id": new_record_id(), "kit_id": "kit-other"})
        async with aiomqtt.Client("127.0.0.1", broker.port) as liar:
            for _ in range(3):
                for payload in (b"no zlib", pack_down([foreign]), pack_down([sent]), pack_down([newer, sent])):
                    await liar.publish(topic, payload, qos=1)
                await liar.publish(down_topic(kit.kit_id, DownKind.PROGRAM), pack_down([sent]), qos=1)
        last = store.down.send(kit.kit_id, HELLO)
        await until(lambda: states(store, kit) == [DownState.RECEIVED] * 2)
        await until(lambda: kit.counts().pending == 0)
        with store._reader.connect() as connection:
            refused = connection.exec_driver_sql("SELECT reason FROM down_receipts WHERE status = 'refused'").fetchall()
    assert [envelope.record_id for envelope in came] == [sent.record_id, last.record_id]
    assert len(refused) == 1
    assert "schema version 7" in refused[0][0]


async def test_what_an_older_copy_of_the_book_lacks_comes_back(
    tmp_path: Path, kit: KitStore, broker: Mosquitto
) -> None:
    first, second = (f"sqlite:///{tmp_path}/{name}.db" for name in ("book", "restored"))
    copy = tmp_path / "backup"
    commit(kit, 30)
    with open_store(first) as book:
        book.add_kit(kit.kit_id)
        async with connected(kit, broker) as came:
            async with listening_sink(book, broker):
                book.down.send(kit.kit_id, HELLO)
                await until(lambda: kit.counts().pending == 0 and states(book, kit) == [DownState.RECEIVED])
                back_up(first, copy, actor="operator:test", progress=lambda *_: None)
                commit(kit, 40)
                book.down.send(kit.kit_id, HELLO)
                await until(lambda: kit.counts().pending == 0 and states(book, kit) == [DownState.RECEIVED] * 2)
            complete = book.audit().records
            restore(copy, second, actor="operator:test", progress=lambda *_: None)
            with open_store(second) as older:
                assert older.audit().records < complete
                async with listening_sink(older, broker):
                    await until(lambda: older.audit().records >= complete)
                    await until(lambda: kit.counts().pending == 0)
                    older.down.send(kit.kit_id, HELLO)  # under a number that the kit has seen, in a new outbox
                    await until(lambda: len(came) >= 3 and states(older, kit)[-1] is DownState.RECEIVED)
                    await until(lambda: kit.counts().pending == 0)
                found = older.audit()
                assert (found.gaps, found.doubled, found.quarantined) == ((), 0, 0)
                assert found.records == kit.counts().acknowledged
