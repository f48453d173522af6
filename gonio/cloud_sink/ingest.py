"""The sink: takes what kits publish into the book and acknowledges it, and only after it is committed.

Why nothing is lost here though MQTT's own acknowledgements are given before anything is stored (aiomqtt does so, and
brokers lose what they acknowledged): a kit keeps a record until the clinic's word on that record comes. So everything
in front of the commit may fail at any moment, the session on the broker is thrown away with each connection, and the
acknowledgement itself goes out at QoS 0: whatever is lost is sent again, and what is sent again is known by its id.

Several workers share the load with an MQTT shared subscription; they need nothing from each other but the book.
"""

import asyncio
import logging
import random
import secrets
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal, NoReturn, TypeAlias, cast

from aiomqtt import Message, MqttError, ProtocolVersion

from gonio.cloud_sink.engine import StoreError, StoreUnavailableError
from gonio.cloud_sink.inbox import Inbox
from gonio.cloud_sink.judge import EARLIEST
from gonio.cloud_sink.model import Delivery, Unreadable
from gonio.cloud_sink.store import Store
from gonio.errors import UsageError
from gonio.identity.broker import BrokerAddress
from gonio.identity.mqtt import MqttClient
from gonio.messages import (
    MAX_ENVELOPES,
    UP_FILTER,
    Ack,
    AckBatch,
    AckStatus,
    DownKind,
    Envelope,
    MessageError,
    down_topic,
    kit_of_topic,
    pack_acks,
    unpack,
)
from gonio.tasks import apart

Protocol: TypeAlias = Literal["3.1.1", "5"]

#: What one wake-up takes from the inbox. Under load the inbox fills while a commit is under way: groups form alone.
MAX_BATCH_PUBLISHES: Final = 500
#: What one transaction takes: measured, larger groups gain little; their bytes bound the memory.
MAX_GROUP_RECORDS: Final = 1_000
MAX_GROUP_BYTES: Final = 16 * 1024 * 1024

KEEPALIVE_S: Final = 20
ANSWER_TIMEOUT_S: Final = 5.0  # for the broker's answer to a connection or a subscription
FIRST_PAUSE_S: Final = 0.5
LONGEST_PAUSE_S: Final = 30.0

_log = logging.getLogger(__name__)
_mqtt_log = logging.getLogger(f"{__name__}.mqtt")
_mqtt_log.setLevel(logging.ERROR)  # aiomqtt warns of each dropped publish; the inbox counts them


@dataclass(frozen=True, slots=True)
class BatchReport:
    """What became of one batch of publishes."""

    publishes: int
    stored: int
    repeated: int
    rejected: int


@dataclass(frozen=True, slots=True)
class _Arrival:
    topic: str
    data: bytes
    received_at: datetime


async def run_sink(
    store: Store,
    broker: BrokerAddress,
    *,
    share: str | None = None,
    protocol: Protocol = "3.1.1",
    on_batch: Callable[[BatchReport], None] | None = None,
    on_listening: Callable[[], None] | None = None,
) -> NoReturn:
    """Take records in until cancelled; a broker that is not there, goes or comes back is waited for.

    Args:
        store: the book; its transactions run in a thread of their own.
        broker: where the kits publish.
        share: name of the group of workers that share the load, or None to take everything.
        protocol: MQTT version; every broker speaks 3.1.1.
        on_batch: called after each batch is committed and acknowledged.
        on_listening: called whenever the broker has confirmed the subscription.

    Raises:
        UsageError: the share's name, the broker's CA file or this machine's clock is of no use.
    """
    topics = _filter(share)
    if datetime.now(UTC) < EARLIEST:
        raise UsageError("this machine's clock is wrong: every record would seem to come from the future; set it first")
    arguments = broker.client_arguments()
    inbox = Inbox()
    failures = 0

    async def listen(client: MqttClient, worker: _Worker) -> NoReturn:
        nonlocal failures
        async with client:
            await _subscribe(client, topics)
            failures = 0
            _log.info("listening to %s at %s", topics, broker)
            if on_listening is not None:
                on_listening()
            await _serve(client, inbox, worker, on_batch)

    with ThreadPoolExecutor(1, thread_name_prefix="gonio-ingest") as thread:
        while True:
            client = MqttClient(
                **arguments,
                identifier=f"gonio-sink-{secrets.token_hex(6)}",
                protocol=ProtocolVersion.V5 if protocol == "5" else ProtocolVersion.V311,
                keepalive=KEEPALIVE_S,
                timeout=ANSWER_TIMEOUT_S,
                # one inbox outlives the connections: aiomqtt only ever calls this with maxsize
                queue_type=cast("type[asyncio.Queue[Message]]", lambda maxsize: inbox),  # noqa: ARG005 - the inbox has its own
                logger=_mqtt_log,
            )
            try:
                await apart(listen(client, _Worker(store, thread)), "ingest-connection")
            except MqttError as error:
                pause_s = _pause_s(failures)
                failures += 1
                _log.warning("broker %s: %s; trying again in %.1f s", broker, error, pause_s)
                await asyncio.sleep(pause_s)


def _filter(share: str | None) -> str:
    if share is None:
        return UP_FILTER
    if not share or not share.isprintable() or set(share) & set("/+# "):
        raise UsageError("the share's name must be one word without /, + and #")
    return f"$share/{share}/{UP_FILTER}"


def _pause_s(failures: int) -> float:
    """Wait longer after each failure in a row, never in step with other workers."""
    longest = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(failures, 10))
    return longest * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, guards nothing


async def _subscribe(client: MqttClient, topics: str) -> None:
    granted = await client.subscribe(topics, qos=1)
    for code in granted:
        if (code if isinstance(code, int) else code.value) >= 0x80:  # noqa: PLR2004 - SUBACK's failures, MQTT 3.9.3
            raise MqttError(f"it refuses the subscription to {topics}: its access list must let this user read there")


async def _serve(
    client: MqttClient, inbox: Inbox, worker: "_Worker", on_batch: Callable[[BatchReport], None] | None
) -> NoReturn:
    messages = client.messages
    dropped = inbox.dropped
    while True:
        batch = [_arrival(await anext(messages))]
        while len(batch) < MAX_BATCH_PUBLISHES and not inbox.empty():
            batch.append(_arrival(inbox.get_nowait()))
        acks = await worker.take_in(batch)
        report = _report(len(batch), acks)
        for kit, words in _by_kit(acks).items():
            await _acknowledge(client, kit, words)
        if inbox.dropped > dropped:
            _log.warning("%d publishes came faster than they can be stored; kits will resend", inbox.dropped - dropped)
            dropped = inbox.dropped
        if on_batch is not None:
            on_batch(report)


def _arrival(message: Message) -> _Arrival:
    data = message.payload if isinstance(message.payload, bytes) else b""
    return _Arrival(message.topic.value, data, datetime.now(UTC))


async def _acknowledge(client: MqttClient, kit: str, acks: Sequence[Ack]) -> None:
    for start in range(0, len(acks), MAX_ENVELOPES):
        batch = AckBatch(acks=tuple(acks[start : start + MAX_ENVELOPES]))
        await client.publish(down_topic(kit, DownKind.ACK), pack_acks(batch), qos=0)


KitAcks: TypeAlias = list[tuple[str, list[Ack]]]


def _by_kit(acks: KitAcks) -> dict[str, list[Ack]]:
    merged: dict[str, list[Ack]] = {}
    for kit, words in acks:
        merged.setdefault(kit, []).extend(words)
    return merged


def _report(publishes: int, acks: KitAcks) -> BatchReport:
    statuses = [ack.status for _, words in acks for ack in words]
    for kit, words in acks:
        rejected = sum(ack.status is AckStatus.REJECTED for ack in words)
        if rejected:
            _log.warning("kit %s: %d records refused; see the quarantine", kit, rejected)
    return BatchReport(
        publishes,
        statuses.count(AckStatus.STORED),
        statuses.count(AckStatus.REPEATED),
        statuses.count(AckStatus.REJECTED),
    )


class _Worker:
    """Reads publishes and stores them, in the one thread that writes to the book."""

    def __init__(self, store: Store, thread: ThreadPoolExecutor) -> None:
        self._store = store
        self._thread = thread

    async def take_in(self, batch: Sequence[_Arrival]) -> KitAcks:
        """Store a batch, however long the book cannot be used; nothing is acknowledged before."""
        failures = 0
        while True:
            try:
                return await asyncio.get_running_loop().run_in_executor(self._thread, self._take_in, batch)
            except StoreUnavailableError as error:
                pause_s = _pause_s(failures)
                failures += 1
                _log.error("%s; trying again in %.1f s", error, pause_s)
                await asyncio.sleep(pause_s)

    def _take_in(self, batch: Sequence[_Arrival]) -> KitAcks:
        acks: KitAcks = []
        group: list[Delivery] = []
        records = weight = 0
        for arrival in batch:
            delivery = _open(arrival)
            group.append(delivery)
            records += len(delivery.items)
            weight += _weight(delivery)
            if records >= MAX_GROUP_RECORDS or weight >= MAX_GROUP_BYTES:
                acks += self._store_group(group)
                group, records, weight = [], 0, 0
        return acks + self._store_group(group) if group else acks

    def _store_group(self, group: Sequence[Delivery]) -> KitAcks:
        """Store a group in one transaction; where one publish spoils it, each in its own, and that one unanswered."""
        try:
            answers = self._store.ingest_batch(group)
        except StoreError as error:
            if len(group) == 1:
                _log.error("a publish of kit %s could not be stored and stays there: %s", group[0].kit_id, error)
                return []
            return [answer for delivery in group for answer in self._store_group([delivery])]
        return [(d.kit_id, words) for d, words in zip(group, answers, strict=True) if d.kit_id is not None and words]


def _open(arrival: _Arrival) -> Delivery:
    """Read one publish, whatever it is."""
    kit_id = kit_of_topic(arrival.topic)
    if kit_id is None:
        unreadable = Unreadable(arrival.data, "the topic is no kit's")
        return Delivery(None, (unreadable,), arrival.received_at)
    try:
        return Delivery(kit_id, tuple(unpack(arrival.data)), arrival.received_at)
    except MessageError as error:
        _log.warning("kit %s: a publish of %d bytes could not be read: %s", kit_id, len(arrival.data), error)
        return Delivery(kit_id, (Unreadable(arrival.data, str(error)),), arrival.received_at)


def _weight(delivery: Delivery) -> int:
    return sum(
        len(item.payload)
        if isinstance(item, Envelope)
        else len(item.data if isinstance(item, Unreadable) else item.text)
        for item in delivery.items
    )
