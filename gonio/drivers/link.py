"""The link to one sensor: connect, configure, stream, stop, disconnect, over bleak.

A link is one connection, from ``async with`` on. When it is lost, ``chunks`` raises and the link is of no more use;
whoever wants the sensor back makes a new one, which assumes nothing about the sensor's state (it stops it first).
Why each precaution is taken stands in the comments; the faults behind them were measured with bleak and BlueZ.
"""

import asyncio
import contextlib
import random
import time
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Literal, Self, TypeVar

import numpy as np
from bleak import BleakClient
from bleak.backends.characteristic import BleakGATTCharacteristic
from bleak.backends.client import BaseBleakClient
from bleak.exc import BleakBluetoothNotAvailableError, BleakError, BleakGATTProtocolError, BleakGATTProtocolErrorCode

from gonio.drivers.codec import Notification, StreamDecoder, reading_value
from gonio.drivers.commands import Action, Read, Subscribe, Unsubscribe, Wait, Write, build_sequence, write_action
from gonio.drivers.inbox import Inbox
from gonio.drivers.link_errors import (
    BluetoothUnavailableError,
    SensorLostError,
    SensorRefusedError,
    SensorUnreachableError,
    SensorUnsuitableError,
)
from gonio.drivers.scan import FoundSensor, scan
from gonio.firmware_profiles import Profile
from gonio.firmware_profiles.packets import ATT_HEADER_BYTES
from gonio.signal.chunks import SampleChunk

__all__ = ["FoundSensor", "LinkCounters", "Patience", "SensorInfo", "SensorLink", "scan"]

_T = TypeVar("_T")

#: bleak tells of a failure by its own errors, of a lost D-Bus or socket by the system's.
_FAILURES: Final = (BleakError, OSError, EOFError)

#: Notifications that wait for the reader at most: over half a minute of the fastest sensor, about 0.5 MB.
QUEUE_CAPACITY: Final = 4096

#: A stream whose samples are seldom may be silent for this many of its notifications.
_SILENT_NOTIFICATIONS: Final = 5

_MTU_POLL_S: Final = 0.1

# One connection attempt at a time for each adapter: two at once make BlueZ fail both. By event loop, because a lock
# belongs to one; by backend, because each stands for an adapter.
_connecting: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[object, asyncio.Lock]] = (
    weakref.WeakKeyDictionary()
)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait for what, real s.

    Attributes:
        connect_s: for one connection attempt, discovery of services included.
        attempts: connection attempts before giving up.
        backoff_s: pause before the second attempt; it doubles with each, and varies by half.
        operation_s: for the answer to a read, write or subscription.
        mtu_s: for the MTU to become known after connecting.
        first_data_s: from the start of a stream to its first notification.
        silence_s: without a notification in a running stream, after which the sensor is lost.
        disconnect_s: for an orderly goodbye.
    """

    connect_s: float = 10.0
    attempts: int = 4
    backoff_s: float = 0.5
    operation_s: float = 5.0
    mtu_s: float = 1.0
    first_data_s: float = 10.0
    silence_s: float = 3.0
    disconnect_s: float = 5.0

    def __post_init__(self) -> None:
        waits = (self.connect_s, self.operation_s, self.first_data_s, self.silence_s, self.disconnect_s)
        if min(waits) <= 0 or min(self.backoff_s, self.mtu_s) < 0 or self.attempts < 1:
            raise ValueError("every wait is above 0, backoff_s and mtu_s are not negative, attempts is at least 1")


@dataclass(frozen=True, slots=True)
class SensorInfo:
    """What a connected sensor is.

    Attributes:
        address: its Bluetooth address.
        name: as advertised.
        family: its profile.
        firmware: version as the family writes it, "" when it does not tell.
        battery_percent: charge, None when it does not tell.
        rate_hz: nominal sample rate of the stream, Hz.
        mtu: negotiated ATT MTU, bytes.
    """

    address: str
    name: str
    family: str
    firmware: str
    battery_percent: int | None
    rate_hz: float
    mtu: int


@dataclass(frozen=True, slots=True)
class LinkCounters:
    """What has come over a link so far.

    Attributes:
        notifications: of the stream.
        bytes: in them.
        malformed: packets that could not be decoded.
        dropped: notifications lost because nobody took them in time.
        restarts: times the sensor's clock began anew.
    """

    notifications: int = 0
    bytes: int = 0
    malformed: int = 0
    dropped: int = 0
    restarts: int = 0


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
        self._sequences = {
            which: build_sequence(profile, which, self._settings) for which in ("recover", "prepare", "start", "stop")
        }
        self._found = found
        self._profile = profile
        self._monotonic_ns = monotonic_ns
        self._backend = client_backend
        self._patience = patience or Patience()
        self._client: BleakClient | None = None
        self._inbox = Inbox(queue_capacity)
        self._queue_capacity = queue_capacity
        self._streaming = False
        self._lost: SensorLostError | None = None
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
        await self._connect()
        try:
            self._check_characteristics()
            mtu = await self._check_mtu()
            await self._perform("recover")
            battery = await self._reading("battery")
            firmware = await self._reading("firmware")
            await self._perform("prepare")
        except BaseException:
            await self._disconnect()
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
            await self._disconnect()

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
            if self._lost is None:
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
                async with asyncio.timeout(limit_s):
                    notifications = await inbox.take()
            except TimeoutError:
                end = self._lose(f"has sent nothing for {limit_s:.3g} s")
                break
            except SensorLostError as error:
                end = error
                break
            if not notifications:
                break
            limit_s = self._silence_limit_s()
            samples = [chunk for n in notifications if (chunk := decoder.feed(n)) is not None]
            if samples:
                yield _joined(samples)
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

    def _lose(self, what: str) -> SensorLostError:
        self._lost = SensorLostError(f"{self._found.name} ({self._found.address}) {what}")
        self._inbox.end(self._lost)
        return self._lost

    def _on_disconnected(self, client: BleakClient) -> None:
        if client is self._client and self._lost is None:
            self._lose("is gone: the Bluetooth link was lost")

    # -- connecting ------------------------------------------------------------------------------------------------

    async def _connect(self) -> None:
        lock = _connecting.setdefault(asyncio.get_running_loop(), {}).setdefault(self._backend, asyncio.Lock())
        pause_s = self._patience.backoff_s
        failure: Exception | None = None
        for attempt in range(self._patience.attempts):
            if attempt:
                await asyncio.sleep(pause_s * random.uniform(0.5, 1.5))  # noqa: S311 - only keeps kits out of step
                pause_s *= 2
            async with lock:
                self._lost = None
                client = self._client = BleakClient(
                    self._found.device,
                    disconnected_callback=self._on_disconnected,
                    timeout=self._patience.connect_s,
                    backend=self._backend,
                )
                try:
                    async with asyncio.timeout(self._patience.connect_s):
                        await client.connect()
                except BleakBluetoothNotAvailableError as error:
                    self._client = None
                    raise BluetoothUnavailableError(f"Bluetooth cannot be used now: {error}") from error
                except (*_FAILURES, TimeoutError) as error:
                    # BlueZ can be connected without telling; a retry without this would be delivered everything twice
                    await self._disconnect()
                    failure = error
                except BaseException:
                    await self._disconnect()
                    raise
                else:
                    return
        raise SensorUnreachableError(
            f"no connection to {self._found.name} ({self._found.address}) in {self._patience.attempts} attempts "
            f"({str(failure) or type(failure).__name__}): see that it is near, charged, and not connected to a phone"
        ) from failure

    async def _disconnect(self) -> None:
        """Say goodbye; also after a loss, or BlueZ would deliver the next connection's notifications twice."""
        client, self._client = self._client, None
        if client is None:
            return
        with contextlib.suppress(*_FAILURES, TimeoutError):  # it is gone either way
            async with asyncio.timeout(self._patience.disconnect_s):
                await client.disconnect()

    # -- checks ----------------------------------------------------------------------------------------------------

    def _connected(self) -> BleakClient:
        if self._lost is not None:
            raise self._lost
        if self._client is None:
            raise RuntimeError("the link is used outside of its 'async with'")
        return self._client

    def _characteristic(self, uuid: str) -> BleakGATTCharacteristic:
        """Give a characteristic that the sensor must have."""
        try:
            found = self._connected().services.get_characteristic(uuid)
        except BleakError as error:  # several with this UUID, or the services went with the link
            raise self._unsuitable(f"its characteristic {uuid} cannot be told: {error}") from error
        if found is None:
            raise self._unsuitable(f"it has no characteristic {uuid}")
        return found

    def _unsuitable(self, what: str) -> SensorUnsuitableError:
        return SensorUnsuitableError(
            f"{self._found.name} ({self._found.address}) does not fit the profile {self._profile.family}: {what}; "
            "its firmware may be too old or too new, or it is another product"
        )

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
                if not set(needed) & set(self._characteristic(uuid).properties):
                    raise self._unsuitable(f"its characteristic {uuid} does not offer {' or '.join(needed)}")

    async def _check_mtu(self) -> int:
        """Give the MTU; wait a little where it is not yet known to be enough (BlueZ tells it after connecting)."""
        needed = self._profile.min_mtu(self._settings)
        stream = self._characteristic(self._decoder.characteristic)
        for _ in range(round(self._patience.mtu_s / _MTU_POLL_S)):
            if self._mtu(stream) >= needed:
                break
            await asyncio.sleep(_MTU_POLL_S)
        mtu = self._mtu(stream)
        if mtu < needed:
            raise self._unsuitable(f"the link carries packets of an MTU of {mtu} bytes, its stream needs {needed}")
        return mtu

    def _mtu(self, stream: BleakGATTCharacteristic) -> int:
        # mtu_size stays 23 on BlueZ; the characteristic knows better
        return max(self._connected().mtu_size, stream.max_write_without_response_size + ATT_HEADER_BYTES)

    # -- operations ------------------------------------------------------------------------------------------------

    async def _operate(self, operation: Awaitable[_T], what: str) -> _T:
        """Wait for an answer of the sensor.

        Raises:
            SensorRefusedError: the answer is no.
            SensorLostError: there is none.
        """
        try:
            async with asyncio.timeout(self._patience.operation_s):
                return await operation
        except TimeoutError:
            raise self._lose(f"did not answer within {self._patience.operation_s:.3g} s ({what})") from None
        except BleakGATTProtocolError as error:
            # BlueZ gives "unlikely error" to whatever a lost link has cut off
            if self._lost is None and error.code != BleakGATTProtocolErrorCode.UNLIKELY_ERROR:
                raise SensorRefusedError(
                    f"{self._found.name} ({self._found.address}) refused to {what} ({error.code.name})"
                ) from error
            raise self._lost or self._lose(f"was lost ({what})") from error
        except _FAILURES as error:
            raise self._lost or self._lose(f"was lost ({what}: {error})") from error

    async def _perform(self, which: Literal["recover", "prepare", "start", "stop"]) -> None:
        for action in self._sequences[which]:
            await self._act(action)

    async def _act(self, action: Action) -> None:
        client = self._connected()
        match action:
            case Subscribe(uuid):
                callback = self._on_notification
                await self._operate(client.start_notify(self._characteristic(uuid), callback), f"notify on {uuid}")
            case Unsubscribe(uuid):
                await self._operate(client.stop_notify(self._characteristic(uuid)), f"end notifications on {uuid}")
            case Write():
                target = self._characteristic(action.characteristic)
                response = "write" in target.properties
                await self._operate(client.write_gatt_char(target, action.data, response=response), action.command)
            case Read(uuid):
                await self._operate(client.read_gatt_char(self._characteristic(uuid)), f"give {uuid}")
            case Wait(seconds):
                await asyncio.sleep(seconds)

    async def _reading(self, name: Literal["battery", "firmware"]) -> int | float | str | None:
        """Ask for a reading; None when the family has none, or the sensor does not give it."""
        reading = self._profile.readings.get(name)
        if reading is None:
            return None
        source = self._characteristic(self._profile.characteristic(self._profile.packets[reading.packet].role).uuid)
        client = self._connected()
        if reading.command is None:
            data = await self._operate(client.read_gatt_char(source), f"tell its {name}")
            return reading_value(self._profile, name, bytes(data))
        answer: asyncio.Future[int | float | str] = asyncio.get_running_loop().create_future()

        def on_answer(_characteristic: BleakGATTCharacteristic, data: bytearray) -> None:
            value = reading_value(self._profile, name, bytes(data))
            if value is not None and not answer.done():
                answer.set_result(value)

        await self._operate(client.start_notify(source, on_answer), f"notify on {source.uuid}")
        await self._act(write_action(self._profile, reading.command, self._settings))
        value: int | float | str | None = None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(reading.timeout_s):
                value = await answer
        await self._operate(client.stop_notify(source), f"end notifications on {source.uuid}")
        return value


def _joined(chunks: list[SampleChunk]) -> SampleChunk:
    """Make one chunk of several consecutive ones of a stream."""
    if len(chunks) == 1:
        return chunks[0]
    sensor_s = [chunk.sensor_s for chunk in chunks if chunk.sensor_s is not None]
    arrival_s = [chunk.arrival_s for chunk in chunks if chunk.arrival_s is not None]
    return SampleChunk(
        acc=np.concatenate([chunk.acc for chunk in chunks]),
        gyr=np.concatenate([chunk.gyr for chunk in chunks]),
        sensor_s=np.concatenate(sensor_s) if sensor_s else None,
        arrival_s=np.concatenate(arrival_s) if arrival_s else None,
    )
