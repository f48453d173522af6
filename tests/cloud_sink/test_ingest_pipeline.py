"""While one batch is acknowledged the next is stored: no word before its commit, whatever ends in between."""

import asyncio
import contextlib
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import aiomqtt
import pytest

from gonio.cloud_sink import worker
from gonio.cloud_sink.engine import StoreUnavailableError
from gonio.cloud_sink.ingest import run_sink
from gonio.cloud_sink.model import Delivery
from gonio.cloud_sink.store import Store
from gonio.messages import Ack, AckStatus, Envelope, Kind, pack, unpack_acks, up_topic
from tests.broker import Mosquitto, listening_sink, running_mosquitto

pytestmark = pytest.mark.peer("mosquitto")

Make = Callable[..., Envelope]
LIMIT_S = 60.0  # after which a test gives up; none waits for it


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with running_mosquitto(tmp_path) as server:
        yield server


class Kits:
    """Kits on one connection: what they publish, and what they are told."""

    def __init__(self, client: aiomqtt.Client, make: Make) -> None:
        self._client = client
        self._make = make

    async def send(self, kit: str) -> Envelope:
        record = self._make(
            1, kit_id=kit, outbox_id=uuid.uuid4(), captured=datetime.now(UTC), monotonic_ns=int(kit[4:])
        )
        await self.send_again(record)
        return record

    async def send_again(self, record: Envelope) -> None:
        await self._client.publish(up_topic(record.kit_id, Kind.SESSION), pack([record]), qos=1)

    async def hear(self) -> Ack:
        message = await asyncio.wait_for(anext(self._client.messages), LIMIT_S)
        assert isinstance(message.payload, bytes)
        (ack,) = unpack_acks(message.payload).acks
        return ack

    def nothing_heard(self) -> bool:
        return len(self._client.messages) == 0


@asynccontextmanager
async def connected(broker: Mosquitto, make: Make) -> AsyncIterator[Kits]:
    async with aiomqtt.Client("127.0.0.1", broker.port) as client:
        await client.subscribe("gonio/v1/+/down/ack", qos=1)
        yield Kits(client, make)


class Gate:
    """A book whose transactions wait before one kit's records are stored."""

    def __init__(self, store: Store, monkeypatch: pytest.MonkeyPatch, kit: str) -> None:
        self.reached = threading.Event()
        self.open = threading.Event()
        real = store.ingest_batch

        def ingest_batch(deliveries: Sequence[Delivery], *, signed_only: bool) -> list[list[Ack]]:
            if any(delivery.kit_id == kit for delivery in deliveries):
                self.reached.set()
                assert self.open.wait(LIMIT_S)
            return real(deliveries, signed_only=signed_only)

        monkeypatch.setattr(store, "ingest_batch", ingest_batch)


async def test_one_batch_is_acknowledged_while_the_next_is_stored(
    store: Store, broker: Mosquitto, envelope: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = Gate(store, monkeypatch, "kit-002")
    in_the_book = threading.Event()
    real = store.ingest_batch

    def ingest_batch(deliveries: Sequence[Delivery], *, signed_only: bool) -> list[list[Ack]]:
        answers = real(deliveries, signed_only=signed_only)
        in_the_book.set()
        assert both_sent.wait(LIMIT_S)  # so that the second waits in the inbox when the first is done
        return answers

    both_sent = threading.Event()
    monkeypatch.setattr(store, "ingest_batch", ingest_batch)
    async with listening_sink(store, broker), connected(broker, envelope) as kits:
        one = await kits.send("kit-001")
        assert await asyncio.to_thread(in_the_book.wait, LIMIT_S)
        two = await kits.send("kit-002")
        await asyncio.sleep(0.2)
        both_sent.set()
        assert await asyncio.to_thread(second.reached.wait, LIMIT_S)
        assert (await kits.hear()).record_id == one.record_id
        assert kits.nothing_heard()
        second.open.set()
        assert (await kits.hear()).record_id == two.record_id


async def test_a_book_that_goes_while_a_batch_is_on_its_way(
    store: Store, broker: Mosquitto, envelope: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "FIRST_PAUSE_S", 0.01)
    real, failures = store.ingest_batch, [True] * 3

    def ingest_batch(deliveries: Sequence[Delivery], *, signed_only: bool) -> list[list[Ack]]:
        if failures:
            if len(failures) == 1:  # what nobody can say: the commit was done, and the connection broke
                real(deliveries)
            failures.pop()
            raise StoreUnavailableError("gone")
        return real(deliveries, signed_only=signed_only)

    monkeypatch.setattr(store, "ingest_batch", ingest_batch)
    async with listening_sink(store, broker), connected(broker, envelope) as kits:
        sent = [await kits.send(f"kit-{n:03}") for n in range(1, 6)]
        acks = [await kits.hear() for _ in sent]
    assert {ack.record_id for ack in acks} == {record.record_id for record in sent}
    assert AckStatus.REJECTED not in {ack.status for ack in acks}
    found = store.audit()
    assert (found.records, found.doubled, found.quarantined) == (5, 0, 0)


async def test_a_worker_that_is_told_to_stop_ends_the_transaction_and_says_nothing(
    store: Store, broker: Mosquitto, envelope: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(store, monkeypatch, "kit-001")
    listening = asyncio.Event()
    sink = asyncio.create_task(run_sink(store, broker.address, on_listening=listening.set))
    await asyncio.wait_for(listening.wait(), LIMIT_S)
    async with connected(broker, envelope) as kits:
        record = await kits.send("kit-001")
        assert await asyncio.to_thread(gate.reached.wait, LIMIT_S)
        threading.Timer(0.2, gate.open.set).start()
        sink.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await sink
        assert store.audit().records == 1  # run_sink ended after its transaction
        async with listening_sink(store, broker):
            await kits.send_again(record)
            ack = await kits.hear()
        assert (ack.record_id, ack.status) == (record.record_id, AckStatus.REPEATED)
        assert kits.nothing_heard()


KILLED_BEFORE_ITS_WORD = """
import os, signal
from gonio.cloud_sink import ingest
async def killed(*_):
    os.kill(os.getpid(), signal.SIGKILL)
ingest._answer = killed
from gonio.cli.sink import app
app()
"""


def start_doomed(store_url: str, broker: Mosquitto) -> subprocess.Popen[bytes]:
    arguments = ["run", "--store", store_url, "--broker", broker.url]
    return subprocess.Popen([sys.executable, "-c", KILLED_BEFORE_ITS_WORD, *arguments], stderr=subprocess.PIPE)


async def test_kill_9_between_commit_and_acknowledgement(
    store: Store, store_url: str, broker: Mosquitto, envelope: Make
) -> None:
    process = start_doomed(store_url, broker)
    assert process.stderr is not None
    async with connected(broker, envelope) as kits:
        while b"listening" not in (line := await asyncio.to_thread(process.stderr.readline)):
            assert line, "the worker ended before it listened"
        record = await kits.send("kit-001")
        await asyncio.to_thread(process.communicate)
        assert process.returncode == -signal.SIGKILL
        assert store.audit().records == 1
        assert kits.nothing_heard()
        async with listening_sink(store, broker):
            await kits.send_again(record)
            assert (await kits.hear()).status is AckStatus.REPEATED
    found = store.audit()
    assert (found.records, found.doubled, found.gaps, found.quarantined) == (1, 0, (), 0)
