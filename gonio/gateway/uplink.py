"""From the outbox to the clinic: publish, wait for the clinic's own acknowledgement, send again until it comes.

The broker's PUBACK means nothing here: a broker may lose what it acknowledged. A record leaves the outbox only when
the clinic says on ``down/ack`` that its transaction is committed. Everything else may fail, at any moment, and costs
only time.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import chain
from typing import Final, Literal, NoReturn, Self, TypeAlias

import aiomqtt
from paho.mqtt.reasoncodes import ReasonCode

from gonio.errors import UsageError
from gonio.gateway.clock import KitClock
from gonio.gateway.database import StoreWriteError
from gonio.gateway.downlink import Downlink, DownQueue
from gonio.gateway.parcels import Numbered, cut
from gonio.gateway.records import Capture, Priority
from gonio.gateway.store import KitStore
from gonio.gateway.uplink_status import Tell, UplinkStatus
from gonio.gateway.way import Way
from gonio.gateway.window import URGENT_ROOM, SendWindow
from gonio.identity.broker import BrokerAddress, ClientArguments
from gonio.identity.mqtt import MqttClient
from gonio.identity.mqtt_words import NOBODY_LISTENS, code_words, in_words, is_refusal
from gonio.messages import DownEnvelope, Envelope, MessageError, pack, up_topic
from gonio.tasks import apart

log = logging.getLogger(__name__)

MqttVersion: TypeAlias = Literal["3.1.1", "5"]

STEADY_S: Final = 30.0  # a connection that held this long counts as one that works
LONGEST_SILENCE_S: Final = 3600.0  # between two connections made anew because the clinic does not answer
_FETCHED_AT_ONCE: Final = 20  # records read together with the numbers of what waits
STORE_RETRY_S: Final = 5.0  # pause after the disk refused to be read or written


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
        keepalive_s: an idle connection says a word this often. At 120 s, 2.9 kB a day of MQTT and about 90 kB with
            TCP and IP; routers of mobile networks forget idle connections after some minutes.
        silence_s: how long the clinic may owe its word on anything before a person is told, the connection is made
            anew (each time after twice as long, up to LONGEST_SILENCE_S) and no more than probes are sent.
    """

    window: int = 400
    answer_s: float = 10.0
    longest_wait_s: float = 300.0
    reconnect_s: float = 1.0
    longest_reconnect_s: float = 60.0
    health_s: float = 900.0
    network_s: float = 10.0
    keepalive_s: int = 120
    silence_s: float = 60.0


@dataclass(frozen=True, slots=True)
class _Look:
    """What waits in the outbox: numbers by priority, the urgent ones of them, and some of the records."""

    pending: list[int]
    urgent: list[int]
    at_hand: dict[int, Envelope]

    def without(self, answered: AbstractSet[int]) -> Self:
        """Leave out what was answered while the outbox was looked at: it would seem never to have been sent."""
        pending, urgent = ([n for n in numbers if n not in answered] for numbers in (self.pending, self.urgent))
        return replace(self, pending=pending, urgent=urgent)


@dataclass(frozen=True, slots=True)
class UplinkHooks:
    """What the kit gives to its uplink.

    Attributes:
        capture: the kit's clock, for receipts; None for the system's.
        on_down: told of each program, message and command of the clinic's, once it is committed; must return at once.
        on_change: told of each change of the status, likewise.
    """

    capture: Callable[[], Capture] | None = None
    on_down: Callable[[DownEnvelope], None] | None = None
    on_change: Tell | None = None


class Uplink:
    """Carries a kit's outbox to the clinic, for ever; run it as a task of its own."""

    def __init__(
        self,
        store: KitStore,
        broker: BrokerAddress | Way,
        kit_id: str,
        *,
        mqtt_version: MqttVersion = "3.1.1",
        timing: UplinkTiming | None = None,
        health: Callable[[], Awaitable[Envelope]] | None = None,
        hooks: UplinkHooks | None = None,
        rng: random.Random | None = None,
    ) -> None:
        """Prepare; nothing is connected before :meth:`run`.

        Args:
            store: the kit's outbox.
            broker: where to; as a way it may change while the uplink runs.
            kit_id: the kit's name, which is also the MQTT client id.
            mqtt_version: "5" only for brokers that speak it: some never answer a CONNECT of version 5.
            timing: how patient to be.
            health: makes a ``health`` record; published on every connection and every ``health_s``.
            hooks: what the kit wants to be told.
            rng: for the random waits; seeded by tests.

        Raises:
            UsageError: a file of certificates cannot be read.
        """
        self._store = store
        self._way = broker if isinstance(broker, Way) else Way(broker)
        self._broker = self._way.address
        self._way.begin()
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
        self._owed_s: float | None = None  # since when the clinic owes its word on something
        self._patience_s = self._timing.silence_s
        self._probe_s = 0.0  # when a silent clinic is next sent a record
        self._lately: set[int] = set()  # since the outbox was last looked at: a look may have begun before
        self._fresh = False  # something was committed since the outbox was last looked at
        hooks = hooks or UplinkHooks()
        self._on_change = hooks.on_change
        self._status = UplinkStatus(broker=str(self._broker))
        self._downlink = Downlink(
            store,
            kit_id,
            capture=hooks.capture or KitClock().capture,
            on_trouble=self._trouble,
            on_down=hooks.on_down,
        )

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
            loop.call_soon_threadsafe(self._look_up)

        unlisten = self._store.listen(committed)
        try:
            while True:
                began_s = loop.time()
                self._note(state="connecting")
                try:
                    await apart(self._connection(), "uplink-connection")
                except* aiomqtt.MqttError as group:
                    self._disconnected(f"{self._broker}: {in_words(group)}")
                if loop.time() - began_s >= STEADY_S:
                    self._failures = 0
                await asyncio.sleep(self._reconnect_wait_s())
        finally:
            unlisten()
            self._note(state="stopped")

    def _look_up(self) -> None:
        self._fresh = True
        self._wake.set()

    def _disconnected(self, reason: str) -> None:
        level = logging.DEBUG if reason == self._told else logging.WARNING  # the same every minute is told once
        log.log(level, "no connection to the broker %s", reason)
        self._told = reason
        self._note(state="waiting", reason=reason)

    def _reconnect_wait_s(self) -> float:
        bound = self._timing.reconnect_s * 2.0 ** min(self._failures, 30)
        self._failures += 1
        return self._rng.uniform(0, min(self._timing.longest_reconnect_s, bound))

    def _arguments(self) -> ClientArguments:
        """Give what the next connection is made with.

        Raises:
            aiomqtt.MqttError: a file of certificates cannot be read any more.
        """
        try:
            arguments = self._way.begin()
        except UsageError as error:
            reason = str(error)
        else:
            self._broker = self._way.address
            return arguments
        raise aiomqtt.MqttError(reason)

    async def _connection(self) -> None:
        client = MqttClient(
            **self._arguments(),
            identifier=self._kit_id,
            protocol=self._protocol,
            timeout=self._timing.network_s,
            keepalive=self._timing.keepalive_s,
            queue_type=DownQueue,
            on_answer=self._answered,
        )
        async with client, asyncio.TaskGroup() as tasks:
            tasks.create_task(self._receive(client), name="uplink-down")  # first: it sees the link break
            await self._subscribe(client)
            self._window.reconnected()
            self._told = None
            self._owed_s = None if self._status.unanswered is None else asyncio.get_running_loop().time()
            connections = self._status.connections + 1
            self._note(state="connected", broker=str(self._broker), reason=None, refused=None, connections=connections)
            tasks.create_task(self._changed(), name="uplink-change")
            tasks.create_task(self._send(client), name="uplink-records")
            if self._health is not None:
                tasks.create_task(self._report(client, self._health), name="uplink-health")

    async def _changed(self) -> NoReturn:
        """End the connection where it is to be made anew, with other credentials or elsewhere.

        Raises:
            aiomqtt.MqttError: it is.
        """
        await self._way.changed.wait()
        self._failures = 0
        raise aiomqtt.MqttError("the connection is made anew with new credentials")

    async def _subscribe(self, client: MqttClient) -> None:
        topics = self._downlink.topics
        for code in await client.subscribe(topics, qos=1):
            if is_refusal(code):
                words = "its access list must let this kit read there" if isinstance(code, int) else code_words(code)
                raise aiomqtt.MqttError(f"the broker refuses {self._kit_id} the subscription to {topics}: {words}")

    async def _send(self, client: MqttClient) -> NoReturn:
        loop = asyncio.get_running_loop()
        while True:
            self._wake.clear()
            self._fresh = False
            now_s = loop.time()
            self._watch(now_s)
            try:
                self._lately.clear()
                look = await asyncio.to_thread(self._look, self._window.reach, self._window.numbers)
                look = look.without(self._lately)
                chosen = self._window.choose(look.pending, now_s, look.urgent)
                if self._status.unanswered is not None:
                    chosen = self._probes(chosen, look.urgent, now_s)
                records = await self._records(chosen, look.at_hand)
            except StoreWriteError as error:
                self._trouble(str(error))
                await asyncio.sleep(STORE_RETRY_S)
                continue
            for batch in self._cut(records, frozenset(look.urgent)):
                await self._publish(client, batch)
                if self._fresh:  # it may be urgent: look again before the rest goes
                    break
            else:
                with suppress(TimeoutError):
                    async with asyncio.timeout_at(self._next_s(now_s)):
                        await self._wake.wait()

    def _look(self, limit: int, sent: frozenset[int]) -> "_Look":
        """See what waits, and fetch at once what is likely to be sent: each trip to a thread costs its time."""
        pending, urgent = self._store.pending(limit), self._store.pending(URGENT_ROOM, Priority.URGENT)
        new = [number for number in pending if number not in sent]
        return _Look(pending, urgent, dict(self._store.numbered(new[:_FETCHED_AT_ONCE])))

    async def _records(self, chosen: Sequence[int], at_hand: Mapping[int, Envelope]) -> list[Numbered]:
        missing = [number for number in chosen if number not in at_hand]
        fetched = dict(await asyncio.to_thread(self._store.numbered, missing)) if missing else {}
        known = {**at_hand, **fetched}
        return [(number, known[number]) for number in chosen if number in known]

    def _cut(self, records: Sequence[Numbered], urgent: frozenset[int]) -> Iterator[list[Numbered]]:
        first = [record for record in records if record[0] in urgent]
        then = [record for record in records if record[0] not in urgent]
        return chain(cut(first, self._window.times_sent), cut(then, self._window.times_sent))

    def _next_s(self, now_s: float) -> float | None:
        """Give the moment at which something is due though nothing happens, or None."""
        silence_s = None if self._owed_s is None else self._owed_s + self._patience_s
        window_s = self._window.next_due_s(now_s) if self._status.unanswered is None else self._probe_s
        due = [moment for moment in (window_s, silence_s) if moment is not None]
        return min((moment for moment in due if moment > now_s), default=None)

    def _watch(self, now_s: float) -> None:
        """Tell a person where the broker takes everything and the clinic answers nothing, and connect anew.

        Raises:
            aiomqtt.MqttError: it has been silent for too long.
        """
        if self._owed_s is None or now_s < self._owed_s + self._patience_s:
            return
        unanswered = (
            f"the broker {self._broker} takes the records but the clinic does not answer: check the broker's access "
            f"list for this kit, and that the sink runs"
        )
        if self._status.unanswered is None:
            log.warning("%s", unanswered)
        self._note(unanswered=unanswered)
        self._patience_s = min(LONGEST_SILENCE_S, 2 * self._patience_s)
        raise aiomqtt.MqttError("the clinic does not answer: the connection is made anew")

    def _probes(self, chosen: Sequence[int], urgent: Sequence[int], now_s: float) -> list[int]:
        """Choose what a silent clinic is sent: what is new and urgent, and one record now and then.

        A clinic that is away for a day would otherwise cost a metered link hundreds of megabytes.
        """
        new = [number for number in chosen if number in urgent and not self._window.times_sent(number)]
        if new or now_s < self._probe_s:
            return new
        self._probe_s = now_s + self._rng.uniform(0.5, 1.5) * min(self._timing.longest_wait_s, self._patience_s)
        return list(chosen[:1])

    async def _publish(self, client: MqttClient, batch: Sequence[Numbered]) -> None:
        numbers = [number for number, _ in batch]
        again = [number for number in numbers if self._window.times_sent(number)]
        now_s = asyncio.get_running_loop().time()
        self._window.sent(numbers, now_s)
        try:
            payload = pack([envelope for _, envelope in batch])
        except MessageError as error:
            self._trouble(f"records {numbers[0]} to {numbers[-1]} cannot be sent: {error}")
            return
        if self._owed_s is None:
            self._owed_s = now_s
        await client.publish(up_topic(self._kit_id, batch[0][1].kind), payload, qos=1)
        self._note(published=self._status.published + 1)
        if again:
            try:
                await asyncio.to_thread(self._store.count_resends, again)
            except StoreWriteError as error:
                self._trouble(str(error))

    def _answered(self, code: ReasonCode) -> None:
        """Take the broker's answer to a publish; only MQTT 5 has words for a refusal."""
        refused = None
        if is_refusal(code):
            refused = f"the broker {self._broker} refuses what this kit sends: {code_words(code)}"
        elif code.value == NOBODY_LISTENS:
            refused = (
                f"the broker {self._broker} has nobody to pass the records on to: start the clinic's sink "
                f"(gonio sink run); where it runs, let the broker's access list allow it to read them"
            )
        if refused != self._status.refused:
            if refused is not None:
                log.warning("%s", refused)
            self._note(refused=refused)

    async def _receive(self, client: MqttClient) -> None:
        async for message in client.messages:
            settled = await self._downlink.take(message)
            self._note(unreadable=self._downlink.unreadable, received=self._downlink.received)
            if settled:
                self._window.settled(settled)
                self._lately.update(settled)
                self._failures = 0
                self._way.worked()
                if self._status.unanswered is not None:  # it is back: what it missed goes at once
                    self._window.reconnected()
                self._patience_s = self._timing.silence_s
                self._owed_s = asyncio.get_running_loop().time() if self._window.waiting else None
                now = datetime.now().astimezone()
                self._note(settled=self._status.settled + len(settled), last_settled_at=now, unanswered=None)
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
        changed = self._status.model_copy(update=changes)
        if changed != self._status:
            self._status = changed
            if self._on_change is not None:
                self._on_change(changed)
