"""The sink: takes what kits publish into the book and acknowledges it, and only after it is committed.

Why nothing is lost here though MQTT's own acknowledgements are given before anything is stored (aiomqtt does so, and
brokers lose what they acknowledged): a kit keeps a record until the clinic's word on that record comes. So everything
in front of the commit may fail at any moment, the session on the broker is thrown away with each connection, and the
subscription and the acknowledgement itself are of QoS 0: whatever is lost is sent again, and what is sent again is
known by its id. QoS 1 would promise nothing more here, and would let a broker hold back what exceeds its window.

What a worker holds in memory is bounded whatever comes: the inbox (its bounds are there), one batch of
MAX_BATCH_PUBLISHES and MAX_BATCH_BYTES, read and stored in groups (``worker``), and the acknowledgements of the batch
before it. One publish can be as large as the broker lets it be: limit it there.

Several workers share the load with an MQTT shared subscription; they need nothing from each other but the book.
"""

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal, NoReturn, TypeAlias, cast

from aiomqtt import Message, MqttError, ProtocolVersion

from gonio.cloud_sink.down_publisher import DownPublisher
from gonio.cloud_sink.inbox import Arrival, Inbox
from gonio.cloud_sink.judge import EARLIEST
from gonio.cloud_sink.link import SinkClient
from gonio.cloud_sink.store import Store
from gonio.cloud_sink.worker import KitAcks, Worker, pause
from gonio.errors import UsageError
from gonio.identity.broker import BrokerAddress
from gonio.identity.keys import SigningKey
from gonio.identity.mqtt_words import in_words
from gonio.messages import (
    MAX_ENVELOPES,
    UP_FILTER,
    Ack,
    AckBatch,
    AckStatus,
    DownKind,
    Kind,
    down_topic,
    kit_of_topic,
    pack_acks,
)
from gonio.tasks import apart

Protocol: TypeAlias = Literal["3.1.1", "5"]

#: What is taken from the inbox at once: under load it fills while a commit is under way, so groups form by themselves.
#: The wider a batch, the more records one acknowledgement speaks of.
MAX_BATCH_PUBLISHES: Final = 1_000
MAX_BATCH_BYTES: Final = 16 * 1024 * 1024

KEEPALIVE_S: Final = 20
ANSWER_TIMEOUT_S: Final = 5.0  # for the broker's answer to a connection or a subscription

_HEALTH: Final = f"/up/{Kind.HEALTH}"

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


async def run_sink(
    store: Store,
    broker: BrokerAddress,
    *,
    share: str | None = None,
    protocol: Protocol = "3.1.1",
    signed_only: bool = False,
    records_key: SigningKey | None = None,
    on_batch: Callable[[BatchReport], None] | None = None,
    on_listening: Callable[[], None] | None = None,
) -> NoReturn:
    """Take records in until cancelled; a broker that is not there, goes or comes back is waited for.

    Args:
        store: the book; its transactions run in a thread of their own.
        broker: where the kits publish.
        share: name of the group of workers that share the load, or None to take everything.
        protocol: MQTT version; every broker speaks 3.1.1.
        signed_only: refuse what kits send that are not enrolled. Over TLS that is always so; a plain broker on this
            machine is for trials, and what comes by it from such kits is unproven.
        records_key: the clinic's, signs what goes down to kits; an enrolled kit takes nothing unsigned.
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
    publisher = DownPublisher(store.down, records_key)
    failures = 0

    async def listen(client: SinkClient, worker: Worker) -> NoReturn:
        nonlocal failures
        async with client, asyncio.TaskGroup() as tasks:
            await _subscribe(client, topics)
            failures = 0
            _log.info("listening to %s at %s", topics, broker)
            if on_listening is not None:
                on_listening()
            tasks.create_task(publisher.run(client), name="ingest-down")
            await _serve(client, inbox, worker, publisher, on_batch)

    with ThreadPoolExecutor(1, thread_name_prefix="gonio-ingest") as thread:
        worker = Worker(store, thread, signed_only=signed_only or broker.tls)
        while True:
            client = SinkClient(
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
                await apart(listen(client, worker), "ingest-connection")
            except* MqttError as group:
                pause_s = pause(failures)
                failures += 1
                _log.warning("broker %s: %s; trying again in %.1f s", broker, in_words(group), pause_s)
                await asyncio.sleep(pause_s)


def _filter(share: str | None) -> str:
    if share is None:
        return UP_FILTER
    if not share or not share.isprintable() or set(share) & set("/+# "):
        raise UsageError("the share's name must be one word without /, + and #")
    return f"$share/{share}/{UP_FILTER}"


async def _subscribe(client: SinkClient, topics: str) -> None:
    granted = await client.subscribe(topics, qos=0)
    for code in granted:
        if (code if isinstance(code, int) else code.value) >= 0x80:  # noqa: PLR2004 - SUBACK's failures, MQTT 3.9.3
            raise MqttError(f"it refuses the subscription to {topics}: its access list must let this user read there")


async def _serve(
    client: SinkClient,
    inbox: Inbox,
    worker: Worker,
    publisher: DownPublisher,
    on_batch: Callable[[BatchReport], None] | None,
) -> NoReturn:
    """Take batch after batch: while one is acknowledged here, the next is stored in the worker's thread.

    No more than one batch is in either state, and what is acknowledged was committed before.
    """
    arrivals = cast("AsyncIterator[Arrival]", client.messages)  # what its queue gives
    dropped = inbox.dropped
    acknowledging: asyncio.Task[None] | None = None
    try:
        while True:
            batch = inbox.take(MAX_BATCH_PUBLISHES, MAX_BATCH_BYTES) or [await anext(arrivals)]
            acks = await worker.take_in(batch)
            publisher.heard(_reporting(batch))
            if acknowledging is not None:
                await acknowledging
            answering = _answer(client, len(batch), acks, on_batch)
            acknowledging = asyncio.create_task(answering, name="ingest-acknowledge")
            if inbox.dropped > dropped:
                _log.warning(
                    "%d publishes came faster than they can be stored; kits will resend", inbox.dropped - dropped
                )
                dropped = inbox.dropped
    finally:
        if acknowledging is not None:
            acknowledging.cancel()
            await asyncio.gather(acknowledging, return_exceptions=True)


def _reporting(batch: Sequence[Arrival]) -> set[str]:
    """Give the kits that told in a batch how they are: they do so when they come back."""
    kits = {kit_of_topic(arrival.topic) for arrival in batch if arrival.topic.endswith(_HEALTH)}
    return {kit for kit in kits if kit is not None}


async def _answer(
    client: SinkClient, publishes: int, acks: KitAcks, on_batch: Callable[[BatchReport], None] | None
) -> None:
    report = _report(publishes, acks)
    for kit, words in _by_kit(acks).items():
        await _acknowledge(client, kit, words)
    if on_batch is not None:
        on_batch(report)


async def _acknowledge(client: SinkClient, kit: str, acks: Sequence[Ack]) -> None:
    for start in range(0, len(acks), MAX_ENVELOPES):
        batch = AckBatch(acks=tuple(acks[start : start + MAX_ENVELOPES]))
        await client.publish(down_topic(kit, DownKind.ACK), pack_acks(batch), qos=0)


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
