"""The link to one sensor: connect, configure, stream, stop, disconnect, over bleak.

A link is one connection, from ``async with`` on. When it is lost, ``chunks`` raises and the link is of no more use;
whoever wants the sensor back makes a new one, which assumes nothing about the sensor's state (it stops it first).
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Mapping
from types import TracebackType
from typing import Final, Literal, Self

from bleak.backends.characteristic import BleakGATTCharacteristic
from bleak.backends.client import BaseBleakClient

from gonio.drivers.codec import Notification, StreamDecoder, reading_value
from gonio.drivers.commands import (
    Action,
    Question,
    Read,
    Subscribe,
    Unsubscribe,
    Wait,
    Which,
    Write,
    build_step,
    sequence_steps,
    write_action,
)
from gonio.drivers.connection import SensorConnection
from gonio.drivers.inbox import Inbox
from gonio.drivers.link_errors import SensorLostError, SensorRefusedError
from gonio.drivers.link_values import LinkCounters, Patience, SensorInfo
from gonio.drivers.packets import find_packet
from gonio.drivers.scan import FoundSensor, scan
from gonio.firmware_profiles import Profile
from gonio.firmware_profiles.commands import Ask, Said, Step
from gonio.signal.chunks import SampleChunk

__all__ = ["FoundSensor", "LinkCounters", "Patience", "SensorInfo", "SensorLink", "scan"]

#: Notifications that wait for the reader at most: over half a minute of the fastest sensor, about 0.5 MB.
QUEUE_CAPACITY: Final = 4096

#: A stream whose samples are seldom may be silent for this many of its notifications.
_SILENT_NOTIFICATIONS: Final = 5

#: After a silence, s: when it was this program that stood still, what has come meanwhile is delivered only now.
_GRACE_S: Final = 0.2

#: Values that wait for whoever has asked for one: more than a sensor can send while it answers.
_ANSWERS_CAPACITY: Final = 256

_SEQUENCES: Final[tuple[Which, ...]] = ("recover", "prepare", "start", "stop")


class SensorLink:
    """One connection to one sensor.

    Attributes:
        info: what the sensor is; known inside ``async with``.
    """

    info: SensorInfo

    def __init__(
        self,
        found: FoundSensor,
        profile: Profile,
        *,
        rate_hz: float | None = None,
        payload: str | None = None,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
        client_backend: type[BaseBleakClient] | None = None,
        patience: Patience | None = None,
        queue_capacity: int = QUEUE_CAPACITY,
    ) -> None:
        """Prepare a link; nothing happens before ``async with``.

        Args:
            found: the sensor, from ``scan``.
            profile: its family.
            rate_hz: sample rate, Hz; by default the profile's.
            payload: payload mode by name or number, where the family has modes; by default the profile's.
            monotonic_ns: the clock that stamps arrivals, ns.
            client_backend: bleak's backend; by default the platform's.
            patience: how long to wait for what.
            queue_capacity: notifications that wait for the reader at most.

        Raises:
            UsageError: the family gives no motion stream, or not with this rate or payload.
        """
        chosen: dict[str, object] = {}
        if rate_hz is not None:
            chosen["rate_hz"] = rate_hz
        if payload is not None:
            chosen["payload_mode"] = payload
        self._settings = profile.resolve(chosen)
        self._decoder = StreamDecoder(profile, self._settings)
        for which in _SEQUENCES:
            sequence_steps(profile, which)
        self._found = found
        self._profile = profile
        self._monotonic_ns = monotonic_ns
        self._patience = patience or Patience()
        self._inbox = Inbox(queue_capacity)
        self._connection = SensorConnection(
            found, patience=self._patience, on_lost=self._on_lost, client_backend=client_backend
        )
        self._queue_capacity = queue_capacity
        self._streaming = False
        self._subscribed: set[str] = set()
        self._asked: tuple[str, asyncio.Queue[bytes]] | None = None  # where an answer is awaited, and what came there
        self._notifications = 0
        self._bytes = 0
        self._past = LinkCounters()  # of earlier streams over this link

    @property
    def counters(self) -> LinkCounters:
        """What has come so far."""
        return LinkCounters(
            notifications=self._notifications,
            bytes=self._bytes,
            malformed=self._past.malformed + self._decoder.malformed,
            dropped=self._past.dropped + self._inbox.dropped,
            restarts=self._past.restarts + self._decoder.restarts,
        )

    async def __aenter__(self) -> Self:
        """Connect, stop whatever the sensor was doing, read what it is, configure it.

        Raises:
            BluetoothUnavailableError: the computer cannot connect to anything now.
            SensorUnreachableError: no connection in several attempts.
            SensorUnsuitableError: it lacks what its profile needs.
            SensorRefusedError: it refused a command.
            SensorLostError: it was lost, or did not answer in time.
        """
        await self._connection.connect()
        try:
            self._check_characteristics()
            mtu = await self._check_mtu()
            await self._perform("recover")
            battery = await self._reading("battery")
            firmware = await self._reading("firmware")
            self._heed_firmware("" if firmware is None else str(firmware))
            await self._perform("prepare")
        except BaseException:
            await self._connection.disconnect()
            raise
        self.info = SensorInfo(
            address=self._found.address,
            name=self._found.name,
            family=self._profile.family,
            firmware="" if firmware is None else str(firmware),
            battery_percent=None if battery is None else int(battery),
            rate_hz=float(self._settings["rate_hz"]),
            mtu=mtu,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop the stream if it still runs, and disconnect."""
        try:
            with contextlib.suppress(SensorLostError, SensorRefusedError):  # it is being left: it need not obey
                await self.stop()
        finally:
            await self._connection.disconnect()

    # -- streaming -------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Let the sensor stream; ``chunks`` gives what comes.

        Raises:
            SensorRefusedError: it refused.
            SensorLostError: it was lost, or did not answer in time.
        """
        if self._streaming:
            return
        counted = self.counters
        self._past = LinkCounters(malformed=counted.malformed, dropped=counted.dropped, restarts=counted.restarts)
        self._inbox = Inbox(self._queue_capacity)
        self._streaming = True
        await self._perform("start")
        self._decoder = StreamDecoder(self._profile, self._settings)  # only now is everything learned

    async def stop(self) -> None:
        """Stop the sensor; ``chunks`` ends after what has come until then. Does nothing when nothing runs.

        Raises:
            SensorRefusedError: it refused.
            SensorLostError: it was lost just now, or did not answer in time.
        """
        if not self._streaming:
            return
        self._streaming = False
        try:
            if self._connection.lost is None:
                await self._perform("stop")
        finally:
            self._inbox.end()

    async def chunks(self) -> AsyncIterator[SampleChunk]:
        """Give the samples as they come, until ``stop``.

        What waits is given as one chunk, so that a reader that is late catches up.

        Raises:
            SensorLostError: the link was lost, or the sensor is silent; what came before has been given.
        """
        inbox, decoder = self._inbox, self._decoder
        limit_s = self._patience.first_data_s
        end: SensorLostError | None = None
        while True:
            try:
                notifications = await _next(inbox, limit_s)
            except TimeoutError:
                end = self._connection.lose(f"has sent nothing for {limit_s:.3g} s")
                break
            except SensorLostError as error:
                end = error
                break
            if not notifications:
                break
            limit_s = self._silence_limit_s()
            if (samples := decoder.feed_all(notifications)) is not None:
                yield samples
        if (last := decoder.finish()) is not None:
            yield last
        if end is not None:
            raise end

    def _silence_limit_s(self) -> float:
        rate_hz = float(self._settings["rate_hz"])
        samples = self._profile.stream(self._settings).samples_at(rate_hz)
        return max(self._patience.silence_s, _SILENT_NOTIFICATIONS * samples / rate_hz)

    def _on_value(self, characteristic: BleakGATTCharacteristic, data: bytearray) -> None:
        # A plain function: bleak would make a task of a coroutine for every packet, that nobody awaits.
        arrival_ns = self._monotonic_ns()
        uuid = characteristic.uuid.lower()
        if self._asked is not None and self._asked[0] == uuid and not self._asked[1].full():
            self._asked[1].put_nowait(bytes(data))
        if uuid == self._decoder.characteristic and self._streaming:
            self._notifications += 1
            self._bytes += len(data)
            self._inbox.put(Notification(uuid, bytes(data), arrival_ns))

    def _on_lost(self, error: SensorLostError) -> None:
        self._inbox.end(error)

    # -- operations ------------------------------------------------------------------------------------------------

    def _check_characteristics(self) -> None:
        for which in _SEQUENCES:
            for step in sequence_steps(self._profile, which):
                if step.applies(self._settings):
                    self._check_action(build_step(self._profile, step, self._settings))

    def _check_action(self, action: Action) -> None:
        match action:
            case Subscribe(uuid):
                needed: tuple[str, ...] = ("notify", "indicate")
            case Write(uuid) | Question(Write(uuid)):
                needed = ("write", "write-without-response")
            case Read(uuid):
                needed = ("read",)
            case _:
                return
        if not set(needed) & set(self._connection.characteristic(uuid).properties):
            raise self._connection.unsuitable(f"its characteristic {uuid} does not offer {' or '.join(needed)}")

    def _heed_firmware(self, firmware: str) -> None:
        """Go on with the packets and steps of the sensor's firmware."""
        if not self._profile.supports(firmware):
            raise self._connection.unsuitable(
                f"its firmware is {firmware}, the profile is good for {self._profile.firmware}"
            )
        self._profile = self._profile.for_firmware(firmware)
        self._decoder = StreamDecoder(self._profile, self._settings)

    async def _check_mtu(self) -> int:
        needed = self._profile.min_mtu(self._settings)
        mtu = await self._connection.mtu(self._connection.characteristic(self._decoder.characteristic), needed)
        if mtu < needed:
            raise self._connection.unsuitable(f"the link has an MTU of {mtu} bytes, its stream needs {needed}")
        return mtu

    async def _perform(self, which: Which) -> None:
        for step in sequence_steps(self._profile, which):
            if step.applies(self._settings):
                await self._do(step)

    async def _do(self, step: Step) -> None:
        action = build_step(self._profile, step, self._settings)
        try:
            await self._act(action)
        except SensorRefusedError:
            if not step.optional:
                raise

    async def _act(self, action: Action) -> None:
        match action:
            case Subscribe(uuid):
                await self._subscribe(uuid)
            case Unsubscribe(uuid):
                self._subscribed.discard(uuid)
                await self._connection.unsubscribe(uuid)
            case Write():
                await self._connection.write(action.characteristic, action.data, action.command)
            case Read(uuid):
                await self._connection.read(uuid, f"give {uuid}")
            case Question():
                await self._inquire(action)
            case Wait(seconds):
                await asyncio.sleep(seconds)

    async def _subscribe(self, uuid: str) -> None:
        if uuid not in self._subscribed:
            await self._connection.subscribe(uuid, self._on_value)
            self._subscribed.add(uuid)

    async def _inquire(self, question: Question) -> None:
        """Ask until the answer is as expected, at most once more for each remedy; learn from it.

        Raises:
            SensorRefusedError: it is not, or there is none in time.
        """
        remedies = dict(question.again_after)
        while True:
            answer = await self._answer(question)
            wrong = _unexpected(question.ask, answer)
            if wrong is None:
                learned = {name: answer[key] for name, key in question.ask.learn.items() if key in answer}
                self._settings = self._profile.resolve({**self._settings, **learned})
                return
            remedy = remedies.pop(wrong, None)
            if remedy is None:
                raise SensorRefusedError(self._refusal(question, answer, wrong))
            await self._answer(Question(remedy, question.characteristic, question.ask, {}), needed=False)

    async def _answer(self, question: Question, *, needed: bool = True) -> Mapping[str, object]:
        """Write, and wait for the answer; where none is needed, any packet on its characteristic will do."""
        ask = question.ask
        came: asyncio.Queue[bytes] = asyncio.Queue(_ANSWERS_CAPACITY)
        self._asked = (question.characteristic, came)
        try:
            if question.write:
                await self._connection.write(question.write.characteristic, question.write.data, question.write.command)
            async with asyncio.timeout(ask.timeout_s):
                while True:
                    answer = find_packet(self._profile, ask.answer, await came.get())
                    if answer is not None and (not needed or _says(answer, ask.match)):
                        return answer
        except TimeoutError:
            if self._connection.lost is not None:
                raise self._connection.lost from None
            if not needed:
                return {}
            raise SensorRefusedError(
                f"{self._connection.label} did not answer {_asked_for(question)} within {ask.timeout_s:.3g} s"
            ) from None
        finally:
            self._asked = None

    def _refusal(self, question: Question, answer: Mapping[str, object], wrong: Said) -> str:
        said = ", ".join(f"{key} {value}" for key, value in answer.items() if isinstance(value, str | int | float))
        advice = question.ask.refusals.get(wrong)
        return f"{self._connection.label} refused {_asked_for(question)}: {advice or 'it answered ' + said}"

    async def _reading(self, name: Literal["battery", "firmware"]) -> int | float | str | None:
        """Ask for a reading; None when the family has none, or the sensor does not give it."""
        reading = self._profile.readings.get(name)
        if reading is None:
            return None
        uuid = self._profile.characteristic(self._profile.packets[reading.packet].role).uuid
        if not self._connection.has(uuid):
            return None
        if reading.command is None:
            return reading_value(self._profile, name, await self._connection.read(uuid, f"tell its {name}"))
        write = write_action(self._profile, reading.command, self._settings)
        was_subscribed = uuid in self._subscribed
        await self._subscribe(uuid)
        ask = Ask(answer=reading.packet, timeout_s=reading.timeout_s)
        value: object = None
        with contextlib.suppress(SensorRefusedError):
            value = (await self._answer(Question(write, uuid, ask, {}))).get(reading.value)
        if not was_subscribed:
            await self._act(Unsubscribe(uuid))
        return value if isinstance(value, int | float | str) else None


def _says(answer: Mapping[str, object], match: Mapping[str, Said]) -> bool:
    return all(answer.get(key) == value for key, value in match.items())


def _unexpected(ask: Ask, answer: Mapping[str, object]) -> Said | None:
    """Give the value in an answer that is not as expected, None when all are."""
    for key, wanted in ask.expect.items():
        value = answer.get(key)
        if value not in (wanted if isinstance(wanted, list) else [wanted]):
            return value if isinstance(value, bool | int | float | str) else ""
    return None


def _asked_for(question: Question) -> str:
    return question.write.command if question.write else question.ask.answer


async def _next(inbox: Inbox, limit_s: float) -> list[Notification]:
    """Take what has come.

    Raises:
        TimeoutError: nothing has come for so long.
    """
    for patience_s in (limit_s, _GRACE_S):
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience_s):
                return await inbox.take()
    raise TimeoutError
