"""From the outbox to the clinic: publish, wait for the clinic's own acknowledgement, send again until it comes.

The broker's PUBACK means nothing here: a broker may lose what it acknowledged. A record leaves the outbox only when
the clinic says on ``down/ack`` that its transaction is committed. Everything else may fail, at any moment, and costs
only time.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, Literal, NoReturn, TypeAlias

import aiomqtt

from gonio.gateway.database import StoreWriteError
from gonio.gateway.groups import first_error
from gonio.gateway.store import KitStore
from gonio.gateway.window import SendWindow
from gonio.identity.broker import BrokerAddress
from gonio.identity.mqtt import MqttClient
from gonio.messages import (
    MAX_ENVELOPES,
    AckStatus,
    DownKind,
    Envelope,
    MessageError,
    down_topic,
    pack,
    unpack_acks,
    up_topic,
)
from gonio.tasks import apart

log = logging.getLogger(__name__)

MqttVersion: TypeAlias = Literal["3.1.1", "5"]
_Numbered: TypeAlias = tuple[int, Envelope]

BATCH_TEXT: Final = 262_144  # characters of payload in one publish: common brokers refuse packets over 128 kB deflated
ACKS_QUEUED: Final = 1000  # unread acknowledgements; more are dropped, and what they answer is sent again
STEADY_S: Final = 30.0  # a connection that held this long counts as one that works
STORE_RETRY_S: Final = 5.0  # pause after the disk refused to be read or written
_REFUSED: Final = 128  # SUBACK codes from here on are refusals (MQTT 3.1.1 section 3.9.3, MQTT 5 section 3.9.3)


@dataclass(frozen=True, slots=True)
class UplinkTiming:
    """How patient the uplink is; times in s.

    Attributes:
        window: records that may wait for the clinic's word at once.
        answer_s: how long the clinic's word may take before a record is sent again.
        longest_wait_s: bound of the growing random wait between two sendings of a record.
        reconnect_s: first bound of the random wait before connecting again; doubles with each failure.
        longest_reconnect_s: its last bound.
        health_s: time between two reports of the kit's health.
        network_s: how long the broker may take to answer anything.
    """

    window: int = 400
    answer_s: float = 10.0
    longest_wait_s: float = 300.0
    reconnect_s: float = 1.0
    longest_reconnect_s: float = 60.0
    health_s: float = 900.0
    network_s: float = 10.0


@dataclass(frozen=True, slots=True)
class UplinkStatus:
    """What the uplink is at, for people.

    Attributes:
        state: stopped, connecting, connected, or waiting before it connects again.
        reason: why the last connection ended or failed, or None.
        trouble: what the disk or the clinic refused last, or None.
        connections: connections that came about.
        published: publishes handed to the broker, resends included.
        settled: acknowledgements that settled a record, repeated ones included.
        unreadable: publishes on the acknowledgement topic that could not be read.
        last_settled_at: when the clinic last acknowledged something.
    """

    state: Literal["stopped", "connecting", "connected", "waiting"] = "stopped"
    reason: str | None = None
    trouble: str | None = None
    connections: int = 0
    published: int = 0
    settled: int = 0
    unreadable: int = 0
    last_settled_at: datetime | None = None


class Uplink:
    """Carries a kit's outbox to the clinic, for ever; run it as a task of its own."""

    def __init__(
        self,
        store: KitStore,
        broker: BrokerAddress,
        kit_id: str,
        *,
        mqtt_version: MqttVersion = "3.1.1",
        timing: UplinkTiming | None = None,
        health: Callable[[], Awaitable[Envelope]] | None = None,
        rng: random.Random | None = None,
    ) -> None:
        """Prepare; nothing is connected before :meth:`run`.

        Args:
            store: the kit's outbox.
            broker: where to.
            kit_id: the kit's name, which is also the MQTT client id.
            mqtt_version: "5" only for brokers that speak it: some never answer a CONNECT of version 5.
            timing: how patient to be.
            health: makes a ``health`` record; published on every connection and every ``health_s``.
            rng: for the random waits; seeded by tests.

        Raises:
            UsageError: the broker's CA file cannot be read.
        """
        self._store = store
        self._broker = broker
        self._arguments = broker.client_arguments()
        self._kit_id = kit_id
        self._protocol = aiomqtt.ProtocolVersion.V5 if mqtt_version == "5" else aiomqtt.ProtocolVersion.V311
        self._timing = timing or UplinkTiming()
        self._health = health
        self._rng = rng or random.Random()  # noqa: S311 - jitter, no secret
        self._window = SendWindow(
            size=self._timing.window,
            answer_s=self._timing.answer_s,
            longest_s=self._timing.longest_wait_s,
            rng=self._rng,
        )
        self._wake = asyncio.Event()
        self._settled = asyncio.Event()
        self._failures = 0
        self._told: str | None = None
        self._status = UplinkStatus()

    @property
    def status(self) -> UplinkStatus:
        """What it is at."""
        return self._status

    async def drain(self, timeout_s: float) -> bool:
        """Wait until the clinic has answered every record; False when that took longer than ``timeout_s``."""
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    self._settled.clear()
                    counts = await asyncio.to_thread(self._store.counts)
                    if counts.pending == 0:
                        return True
                    await self._settled.wait()
        except TimeoutError:
            return False

    async def run(self) -> NoReturn:
        """Connect, send, connect again; ends only by cancellation."""
        loop = asyncio.get_running_loop()

        def committed() -> None:
            loop.call_soon_threadsafe(self._wake.set)

        unlisten = self._store.listen(committed)
        try:
            while True:
                began_s = loop.time()
                self._note(state="connecting")
                try:
                    await apart(self._connection(), "uplink-connection")
                except* aiomqtt.MqttError as group:
                    self._disconnected(f"{self._broker}: {_first_reason(group)}")
                if loop.time() - began_s >= STEADY_S:
                    self._failures = 0
                await asyncio.sleep(self._reconnect_wait_s())
        finally:
            unlisten()
            self._note(state="stopped")

    def _disconnected(self, reason: str) -> None:
        level = logging.DEBUG if reason == self._told else logging.WARNING  # the same every minute is told once
        log.log(level, "no connection to the broker %s", reason)
        self._told = reason
        self._note(state="waiting", reason=reason)

    def _reconnect_wait_s(self) -> float:
        bound = self._timing.reconnect_s * 2.0 ** min(self._failures, 30)
        self._failures += 1
        return self._rng.uniform(0, min(self._timing.longest_reconnect_s, bound))

    async def _connection(self) -> None:
        client = MqttClient(
            **self._arguments,
            identifier=self._kit_id,
            protocol=self._protocol,
            timeout=self._timing.network_s,
            keepalive=30,
            max_queued_incoming_messages=ACKS_QUEUED,
        )
        topic = down_topic(self._kit_id, DownKind.ACK)
        async with client, asyncio.TaskGroup() as tasks:
            tasks.create_task(self._receive(client), name="uplink-acknowledgements")  # first: it sees the link break
            for code in await client.subscribe(topic, qos=1):
                if (code if isinstance(code, int) else code.value) >= _REFUSED:
                    raise aiomqtt.MqttError(f"the broker refuses {self._kit_id} the subscription to {topic}")
            self._window.reconnected()
            self._told = None
            self._note(state="connected", reason=None, connections=self._status.connections + 1)
            tasks.create_task(self._send(client), name="uplink-records")
            if self._health is not None:
                tasks.create_task(self._report(client, self._health), name="uplink-health")

    async def _send(self, client: MqttClient) -> NoReturn:
        loop = asyncio.get_running_loop()
        while True:
            self._wake.clear()
            now_s = loop.time()
            try:
                pending = await asyncio.to_thread(self._store.pending, self._window.reach)
                chosen = self._window.choose(pending, now_s)
                records = await asyncio.to_thread(self._store.numbered, chosen)
            except StoreWriteError as error:
                self._trouble(str(error))
                await asyncio.sleep(STORE_RETRY_S)
                continue
            for batch in self._batches(records):
                await self._publish(client, batch)
            with suppress(TimeoutError):
                async with asyncio.timeout_at(self._window.next_due_s(now_s)):
                    await self._wake.wait()

    def _batches(self, records: Sequence[_Numbered]) -> Iterator[list[_Numbered]]:
        """Cut records into publishes: one kind each, bounded, and smaller the more often its records were sent.

        The last keeps a publish that the broker never passes on (too large for it, say) from taking its neighbours
        along for ever.
        """
        batch: list[_Numbered] = []
        text, size = 0, MAX_ENVELOPES
        for number, envelope in records:
            bound = max(1, MAX_ENVELOPES >> self._window.times_sent(number))
            length = len(envelope.payload)
            if batch and (
                envelope.kind is not batch[0][1].kind or len(batch) >= min(size, bound) or text + length > BATCH_TEXT
            ):
                yield batch
                batch, text, size = [], 0, MAX_ENVELOPES
            batch.append((number, envelope))
            text, size = text + length, min(size, bound)
        if batch:
            yield batch

    async def _publish(self, client: MqttClient, batch: Sequence[_Numbered]) -> None:
        numbers = [number for number, _ in batch]
        again = [number for number in numbers if self._window.times_sent(number)]
        try:
            payload = pack([envelope for _, envelope in batch])
        except MessageError as error:
            self._trouble(f"records {numbers[0]} to {numbers[-1]} cannot be sent: {error}")
            self._window.sent(numbers, asyncio.get_running_loop().time())
            return
        self._window.sent(numbers, asyncio.get_running_loop().time())
        await client.publish(up_topic(self._kit_id, batch[0][1].kind), payload, qos=1)
        self._note(published=self._status.published + 1)
        if again:
            try:
                await asyncio.to_thread(self._store.count_resends, again)
            except StoreWriteError as error:
                self._trouble(str(error))

    async def _receive(self, client: MqttClient) -> None:
        async for message in client.messages:
            if isinstance(message.payload, bytes):
                await self._take(message.payload)

    async def _take(self, payload: bytes) -> None:
        try:
            batch = unpack_acks(payload)
        except MessageError as error:
            self._note(unreadable=self._status.unreadable + 1)
            self._trouble(f"an acknowledgement could not be read: {error}")
            return
        try:
            settled = await asyncio.to_thread(self._store.settle, batch.acks)
        except StoreWriteError as error:  # the records stay pending; they are sent again and acknowledged again
            self._trouble(str(error))
            return
        for ack in batch.acks:
            if ack.status is AckStatus.REJECTED:
                self._trouble(f"the clinic refused record {ack.record_id}: {ack.reason}")
        self._window.settled(settled)
        if settled:
            self._failures = 0
            now = datetime.now().astimezone()
            self._note(settled=self._status.settled + len(settled), last_settled_at=now)
        self._settled.set()
        self._wake.set()

    async def _report(self, client: MqttClient, health: Callable[[], Awaitable[Envelope]]) -> NoReturn:
        while True:
            try:
                envelope = await health()
            except StoreWriteError as error:
                self._trouble(str(error))
            else:
                await client.publish(up_topic(self._kit_id, envelope.kind), pack([envelope]), qos=1)
            await asyncio.sleep(self._timing.health_s)

    def _trouble(self, text: str) -> None:
        log.error("uplink: %s", text)
        self._note(trouble=text)

    def _note(self, **changes: object) -> None:
        self._status = replace(self._status, **changes)  # type: ignore[arg-type]


def _first_reason(group: BaseException) -> str:
    error = first_error(group)
    cause = error.__cause__
    return f"{error}" if cause is None or not str(cause) else f"{error} ({cause})"
