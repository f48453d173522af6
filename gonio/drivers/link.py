"""The link to one sensor: connect, configure, stream, stop, disconnect, over bleak.

A link is one connection, from ``async with`` on. When it is lost, ``chunks`` raises and the link is of no more use;
whoever wants the sensor back makes a new one, which assumes nothing about the sensor's state (it stops it first).
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Final, Self

from bleak.backends.client import BaseBleakClient

from gonio.drivers.codec import Notification, StreamDecoder
from gonio.drivers.connection import SensorConnection
from gonio.drivers.dialogue import Dialogue
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


class SensorLink:
    """One connection to one sensor.

    Attributes:
        info: what the sensor is; known inside ``async with``.
    """

    info: SensorInfo

    def __init__(  # noqa: PLR0913 - a link has as many parts
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
        on_lost: Callable[[SensorLostError], None] = lambda _: None,
    ) -> None:
        """Prepare a link; nothing happens before ``connect``, or ``async with``.

        Args:
            found: the sensor, from ``scan``.
            profile: its family.
            rate_hz: sample rate, Hz; by default the profile's.
            payload: payload mode by name or number, where the family has modes; by default the profile's.
            monotonic_ns: the clock that stamps arrivals, ns.
            client_backend: bleak's backend; by default the platform's.
            patience: how long to wait for what.
            queue_capacity: notifications that wait for the reader at most.
            on_lost: told, once, that the link is lost; must return at once and not raise.

        Raises:
            UsageError: the family gives no motion stream, or not with this rate or payload.
        """
        chosen: dict[str, object] = {}
        if rate_hz is not None:
            chosen["rate_hz"] = rate_hz
        if payload is not None:
            chosen["payload_mode"] = payload
        settings = profile.resolve(chosen)
        self._decoder = StreamDecoder(profile, settings)
        self._found = found
        self._monotonic_ns = monotonic_ns
        self._patience = patience or Patience()
        self._queue_capacity = queue_capacity
        self._tell_lost = on_lost
        self._connection = SensorConnection(
            found, patience=self._patience, on_lost=self._on_lost, client_backend=client_backend
        )
        self._dialogue = Dialogue(profile, settings, self._connection, self._on_value)
        self._inbox = Inbox(queue_capacity)
        self._streaming = False
        self._newest = b""  # the stream's last notification
        self._arrived = asyncio.Event()
        self._last_arrival_s: float | None = None
        self._notifications = self._bytes = self._repeated = 0
        self._past = LinkCounters()  # of earlier streams over this link

    @property
    def counters(self) -> LinkCounters:
        """What has come so far."""
        return LinkCounters(
            notifications=self._notifications,
            bytes=self._bytes,
            repeated=self._repeated,
            malformed=self._past.malformed + self._decoder.malformed,
            dropped=self._past.dropped + self._inbox.dropped,
            restarts=self._past.restarts + self._decoder.restarts,
        )

    @property
    def lost(self) -> SensorLostError | None:
        """Why the link is of no more use; None while it is."""
        return self._connection.lost

    @property
    def streaming(self) -> bool:
        """Whether it was started and not stopped."""
        return self._streaming

    @property
    def last_arrival_s(self) -> float | None:
        """When the running stream's last notification came, on the event loop's clock, s; None before the first."""
        return self._last_arrival_s

    @property
    def period_s(self) -> float:
        """Nominal time from one notification of the stream to the next, s."""
        rate_hz = float(self._dialogue.settings["rate_hz"])
        return self._decoder.stream.samples_at(rate_hz) / rate_hz

    async def __aenter__(self) -> Self:
        """Connect and prepare; errors as theirs."""
        await self.connect()
        await self.prepare()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop the stream if it still runs, and disconnect."""
        await self.close()

    async def connect(self) -> None:
        """Connect.

        Raises:
            BluetoothUnavailableError: the computer cannot connect to anything now.
            SensorUnreachableError: no connection in as many attempts as patience allows.
        """
        await self._connection.connect()

    async def prepare(self) -> None:
        """Stop whatever the connected sensor was doing, read what it is, configure it; disconnects where it fails.

        Raises:
            SensorUnsuitableError: it lacks what its profile needs.
            SensorRefusedError: it refused a command.
            SensorLostError: it was lost, or did not answer in time.
        """
        dialogue = self._dialogue
        try:
            dialogue.check_characteristics()
            mtu = await self._check_mtu()
            await dialogue.perform("recover")
            battery = await dialogue.reading("battery")
            firmware = await dialogue.heed_firmware()
            await dialogue.perform("prepare")
        except BaseException:
            await self._connection.disconnect()
            raise
        self.info = SensorInfo(
            address=self._found.address,
            name=self._found.name,
            family=dialogue.profile.family,
            firmware=firmware,
            battery_percent=None if battery is None else int(battery),
            rate_hz=float(dialogue.settings["rate_hz"]),
            mtu=mtu,
        )

    async def close(self) -> None:
        """Stop the stream if it still runs, and disconnect; also where the link is lost. Again has no effect."""
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
        dialogue = self._dialogue
        self._inbox = Inbox(self._queue_capacity)
        self._decoder = StreamDecoder(dialogue.profile, dialogue.settings)
        self._newest, self._last_arrival_s = b"", None
        self._streaming = True
        await dialogue.perform("start")
        self._decoder = StreamDecoder(dialogue.profile, dialogue.settings)  # what the start taught is in it

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
                await self._dialogue.perform("stop")
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
        return max(self._patience.silence_s, _SILENT_NOTIFICATIONS * self.period_s)

    async def next_arrival(self) -> None:
        """Wait for the stream's next notification."""
        self._arrived.clear()
        await self._arrived.wait()

    def _on_value(self, uuid: str, value: bytes) -> None:
        if uuid != self._decoder.characteristic or not self._streaming:
            return
        # BlueZ delivers twice what an unclean reconnect subscribed twice
        if self._decoder.stream.counted and value == self._newest:
            self._repeated += 1
            return
        self._newest = value
        self._notifications += 1
        self._bytes += len(value)
        self._inbox.put(Notification(uuid, value, self._monotonic_ns()))
        self._last_arrival_s = asyncio.get_running_loop().time()
        self._arrived.set()

    def _on_lost(self, error: SensorLostError) -> None:
        self._inbox.end(error)
        self._tell_lost(error)

    def give_up(self, what: str) -> None:
        """Take the link for lost, so that whoever reads its samples is told; ``close`` is still to be called.

        Args:
            what: the reason, as the end of a sentence that begins with the sensor's name.
        """
        self._connection.lose(what)

    # -- the connected sensor ------------------------------------------------------------------------------------------

    async def _check_mtu(self) -> int:
        needed = self._dialogue.profile.min_mtu(self._dialogue.settings)
        mtu = await self._connection.mtu(self._connection.characteristic(self._decoder.characteristic), needed)
        if mtu < needed:
            raise self._connection.unsuitable(f"the link has an MTU of {mtu} bytes, its stream needs {needed}")
        return mtu

    async def probe(self) -> None:
        """Ask the sensor for something that it can tell in any state; where it has nothing of the kind, do nothing.

        Raises:
            SensorLostError: it did not answer.
            SensorRefusedError: it refused, which no sensor does.
        """
        for service in self._dialogue.profile.gatt.values():
            for described in service.characteristics.values():
                if "read" in described.properties and self._connection.has(described.uuid):
                    await self._connection.read(described.uuid, "tell that it is there")
                    return


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
