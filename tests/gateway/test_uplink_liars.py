"""Brokers and proxies that lie: whatever they say, a record is let go only when the clinic has it, or comes again."""

import asyncio
import random
import uuid
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from gonio.cloud_sink.store import open_store
from gonio.gateway.clock import KitClock
from gonio.gateway.health import health_envelope
from gonio.gateway.store import KitStore
from gonio.gateway.uplink import Uplink
from gonio.identity.broker import BrokerAddress
from gonio.messages import Ack, AckBatch, AckStatus, DownKind, Envelope, down_topic, pack_acks, unpack, unpack_acks
from tests.broker import Mosquitto, listening_sink, running_mosquitto
from tests.gateway.mqtt_proxy import (
    PUBLISH,
    Honest,
    Proxy,
    kind_of,
    payload_of,
    puback,
    publish,
    running_proxy,
    topic_of,
)
from tests.gateway.test_kit_uplink import FAST, LIMIT_S, Clinic, commit, running, until, uplink_to

#: A broker whose acknowledgements go unread holds the next ones back: a new connection begins afresh.
IMPATIENT = replace(FAST, silence_s=1.0)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[KitStore]:
    with KitStore.open(tmp_path / "kit") as store:
        yield store


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with running_mosquitto(tmp_path) as server:
        yield server


class SwallowsPublishes(Honest):
    """Acknowledges every publish and passes on two of three."""

    def __init__(self) -> None:
        self._rng = random.Random(3)  # noqa: S311 - a test's

    def up(self, packet: bytes) -> tuple[Iterable[bytes], Iterable[bytes]]:
        if kind_of(packet) == PUBLISH and self._rng.random() < 0.33:
            return [], [puback(packet)]
        return [packet], []


class ShufflesAcknowledgements(Honest):
    """Holds acknowledgements back, gives them in another order, twice, and old ones between them."""

    def __init__(self) -> None:
        self._rng = random.Random(4)  # noqa: S311 - a test's
        self._seen: list[bytes] = []
        self._held: list[bytes] = []

    def down(self, packet: bytes) -> Iterable[bytes]:
        if kind_of(packet) != PUBLISH:
            return [packet]
        self._seen.append(packet)
        self._held.append(packet)
        if self._rng.random() < 0.4:
            return []
        out = [*self._held, *self._rng.choices(self._seen, k=2)]
        self._held = []
        self._rng.shuffle(out)
        return out


class SpoilsAcknowledgements(Honest):
    """Changes a byte in every second acknowledgement, or cuts it."""

    def __init__(self) -> None:
        self._rng = random.Random(5)  # noqa: S311 - a test's
        self._count = 0

    def down(self, packet: bytes) -> Iterable[bytes]:
        if kind_of(packet) != PUBLISH:
            return [packet]
        self._count += 1
        topic, payload = topic_of(packet), bytearray(payload_of(packet))
        if self._count % 2 and payload:
            payload[self._rng.randrange(len(payload))] ^= 1 << self._rng.randrange(8)
            return [publish(topic, bytes(payload)), publish(topic, bytes(payload[: len(payload) // 2]))]
        return [packet]


class AnswersForTheClinic(Honest):
    """Acknowledges records in the clinic's name; the clinic never sees them."""

    def up(self, packet: bytes) -> tuple[Iterable[bytes], Iterable[bytes]]:
        if kind_of(packet) != PUBLISH or topic_of(packet).endswith("/health"):
            return [packet], []
        records = [item for item in unpack(payload_of(packet)) if isinstance(item, Envelope)]
        forged = AckBatch(acks=tuple(Ack(record_id=one.record_id, status=AckStatus.STORED) for one in records))
        return [], [puback(packet), publish(down_topic(records[0].kit_id, DownKind.ACK), pack_acks(forged))]


def uplink_with_health(store: KitStore, port: int) -> Uplink:
    clock = KitClock()

    async def health() -> Envelope:
        return await health_envelope(store, clock.capture(), held=0, disk=None, batteries={}, troubles=())

    address = BrokerAddress.parse(f"mqtt://127.0.0.1:{port}")
    return Uplink(store, address, store.kit_id, timing=replace(FAST, health_s=0.2), health=health)


@asynccontextmanager
async def lied_to(broker: Mosquitto, manner: Honest) -> AsyncIterator[Proxy]:
    async with running_proxy(broker.port) as proxy:
        proxy.manner = manner
        yield proxy


@pytest.mark.peer("mosquitto")
@pytest.mark.parametrize("liar", [SwallowsPublishes, ShufflesAcknowledgements, SpoilsAcknowledgements])
async def test_a_liar_costs_only_time(liar: type[Honest], store: KitStore, broker: Mosquitto) -> None:
    clinic = Clinic(broker.port)
    async with running(clinic.run()), lied_to(broker, liar()) as proxy:
        await asyncio.wait_for(clinic.ready.wait(), LIMIT_S)
        uplink = uplink_to(store, proxy.port, IMPATIENT)
        async with running(uplink.run()):
            for _ in range(12):
                commit(store, 8)
                await asyncio.sleep(0.02)
            assert await uplink.drain(LIMIT_S)
    assert sorted(e.sequence or 0 for e in clinic.stored.values()) == list(range(1, 97))
    assert store.counts().acknowledged == 96


@pytest.mark.peer("mosquitto")
async def test_acknowledgements_of_others_records_settle_nothing(store: KitStore, broker: Mosquitto) -> None:
    class Talks(Honest):
        def down(self, packet: bytes) -> Iterable[bytes]:
            if kind_of(packet) != PUBLISH:
                return [packet]
            told.extend(unpack_acks(payload_of(packet)).acks)
            foreign = AckBatch(acks=tuple(Ack(record_id=uuid.uuid4(), status=status) for status in AckStatus))
            return [publish(topic_of(packet), pack_acks(foreign))] * 3

    told: list[Ack] = []
    commit(store, 5)
    clinic = Clinic(broker.port)
    async with running(clinic.run()), lied_to(broker, Talks()) as proxy:
        await asyncio.wait_for(clinic.ready.wait(), LIMIT_S)
        uplink = uplink_to(store, proxy.port)
        async with running(uplink.run()):
            await until(lambda: len(told) >= 10)  # so each was sent again
            assert store.counts().pending == 5
            proxy.manner = Honest()
            assert await uplink.drain(LIMIT_S)
    assert len(clinic.stored) == 5


@pytest.mark.peer("mosquitto")
async def test_what_a_broker_acknowledged_in_the_clinics_name_comes_when_it_stops(
    store: KitStore, broker: Mosquitto, tmp_path: Path
) -> None:
    """The kit believes the forged word; its health report tells the clinic what it lacks, and that is asked for."""
    with open_store(f"sqlite:///{tmp_path}/book.db") as book:
        async with listening_sink(book, broker), lied_to(broker, Honest()) as proxy:
            uplink = uplink_with_health(store, proxy.port)
            async with running(uplink.run()):
                commit(store, 10)
                assert await uplink.drain(LIMIT_S)
                proxy.manner = AnswersForTheClinic()
                commit(store, 15)
                assert await uplink.drain(LIMIT_S)
                assert book.audit().records == 10
                proxy.manner = Honest()
                await until(lambda: book.audit().records >= 25)
                assert await uplink.drain(LIMIT_S)
        found = book.audit()
        assert found.gaps == ()
        assert found.records == store.counts().acknowledged
