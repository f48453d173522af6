"""The link to one sensor: connect, configure, stream, stop, disconnect, over bleak.

A link is one connection, from ``async with`` on. When it is lost, ``chunks`` raises and the link is of no more use;
whoever wants the sensor back makes a new one, which assumes nothing about the sensor's state (it stops it first).
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Final, Literal, Self

from bleak.backends.characteristic import BleakGATTCharacteristic
from bleak.backends.client import BaseBleakClient

from gonio.drivers.codec import Notification, StreamDecoder, reading_value
from gonio.drivers.commands import Action, Read, Subscribe, Unsubscribe, Wait, Write, build_sequence, write_action
from gonio.drivers.connection import SensorConnection
from gonio.drivers.inbox import Inbox
from gonio.drivers.link_errors import SensorLostError, SensorRefusedError
from gonio.drivers.link_values import LinkCounters, Patience, SensorInfo
from gonio.drivers.scan import FoundSensor, scan
from gonio.firmware_profiles import Profile
from gonio.signal.chunks import SampleChunk

__all__ = ["FoundSensor", "LinkCounters", "Patience", "SensorInfo", "SensorLink", "scan"]

#: Notifications that wait for the reader at most: over half a minute of the fastest sensor, about 0.5 MB.
QUEUE_CAPACITY: Final = 4096

#: A stream whose samples are seldom may be silent for this many of its notifications.
_SILENT_NOTIFICATIONS: Final = 5

#: After a silence, s: when it was this program that stood still, what has come meanwhile is delivered only now.
_GRACE_S: Final = 0.2

Sequence = Literal["recover", "prepare", "start", "stop"]
_SEQUENCES: Final[tuple[Sequence, ...]] = ("recover", "prepare", "start", "stop")


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
        self._sequences = {which: build_sequence(profile, which, self._settings) for which in _SEQUENCES}
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
        self._decoder = StreamDecoder(self._profile, self._settings)
        self._inbox = Inbox(self._queue_capacity)
        self._streaming = True
        await self._perform("start")

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
        frames = self._profile.stream_packet(self._settings)[1].frames_at(rate_hz)
        return max(self._patience.silence_s, _SILENT_NOTIFICATIONS * frames / rate_hz)

    def _on_notification(self, _characteristic: BleakGATTCharacteristic, data: bytearray) -> None:
        # A plain function: bleak would make a task of a coroutine for every packet, that nobody awaits.
        arrival_ns = self._monotonic_ns()
        self._notifications += 1
        self._bytes += len(data)
        self._inbox.put(Notification(self._decoder.characteristic, bytes(data), arrival_ns))

    def _on_lost(self, error: SensorLostError) -> None:
        self._inbox.end(error)

    # -- operations ------------------------------------------------------------------------------------------------

    def _check_characteristics(self) -> None:
        for actions in self._sequences.values():
            for action in actions:
                match action:
                    case Subscribe(uuid):
                        needed: tuple[str, ...] = ("notify", "indicate")
                    case Write(uuid):
                        needed = ("write", "write-without-response")
                    case Read(uuid):
                        needed = ("read",)
                    case _:
                        continue
                if not set(needed) & set(self._connection.characteristic(uuid).properties):
                    raise self._connection.unsuitable(f"its characteristic {uuid} does not offer {' or '.join(needed)}")

    async def _check_mtu(self) -> int:
        needed = self._profile.min_mtu(self._settings)
        mtu = await self._connection.mtu(self._connection.characteristic(self._decoder.characteristic), needed)
        if mtu < needed:
            raise self._connection.unsuitable(f"the link has an MTU of {mtu} bytes, its stream needs {needed}")
        return mtu

    async def _perform(self, which: Sequence) -> None:
        for action in self._sequences[which]:
            await self._act(action)

    async def _act(self, action: Action) -> None:
        match action:
            case Subscribe(uuid):
                await self._connection.subscribe(uuid, self._on_notification)
            case Unsubscribe(uuid):
                await self._connection.unsubscribe(uuid)
            case Write():
                await self._connection.write(action.characteristic, action.data, action.command)
            case Read(uuid):
                await self._connection.read(uuid, f"give {uuid}")
            case Wait(seconds):
                await asyncio.sleep(seconds)

    async def _reading(self, name: Literal["battery", "firmware"]) -> int | float | str | None:
        """Ask for a reading; None when the family has none, or the sensor does not give it."""
        reading = self._profile.readings.get(name)
        if reading is None:
            return None
        uuid = self._profile.characteristic(self._profile.packets[reading.packet].role).uuid
        if reading.command is None:
            return reading_value(self._profile, name, await self._connection.read(uuid, f"tell its {name}"))
        answer: asyncio.Future[int | float | str] = asyncio.get_running_loop().create_future()

        def on_answer(_characteristic: BleakGATTCharacteristic, data: bytearray) -> None:
            value = reading_value(self._profile, name, bytes(data))
            if value is not None and not answer.done():
                answer.set_result(value)

        await self._connection.subscribe(uuid, on_answer)
        await self._act(write_action(self._profile, reading.command, self._settings))
        value: int | float | str | None = None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(reading.timeout_s):
                value = await answer
        await self._connection.unsubscribe(uuid)
        return value


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
