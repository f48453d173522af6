"""Synchronisation of several Movella DOT with each other: afterwards their clocks share a base.

The procedure of the maker's specification (XD0506P rev F): ask each sensor whether it is synchronised and stop the
one that is; set rate and filter, which are locked from then on; tell each the address of the same root; disconnect
all; wait while they synchronise among themselves; connect again and read how it went. Streams are started as usual
after it. The synchronisation lasts until it is stopped or a sensor is switched off. The maker warns that it raises the
loss of data.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from bleak.backends.characteristic import BleakGATTCharacteristic
from bleak.backends.client import BaseBleakClient

from gonio.drivers.codec import decode_packet
from gonio.drivers.codecs.dot_message import encode_message
from gonio.drivers.commands import write_action
from gonio.drivers.connection import SensorConnection
from gonio.drivers.link_errors import SensorRefusedError
from gonio.drivers.link_values import Patience
from gonio.drivers.scan import FoundSensor
from gonio.errors import UsageError
from gonio.firmware_profiles import get_profile
from gonio.firmware_profiles.parts import Number

#: From the last disconnection until the sensors are through with it (about 12 s) and can be connected again.
SETTLE_S: Final = 14.0

_ANSWER_S: Final = 2.0
_PROFILE: Final = get_profile("movella_dot")


@dataclass(frozen=True, slots=True)
class SyncOutcome:
    """How the synchronisation went for one sensor.

    Attributes:
        address: the sensor's, as it was found.
        result: "success", or what the sensor calls the reason: "too_few_samples", "skew_too_large", "start_timing",
            "not_started", "no_answer".
    """

    address: str
    result: str

    @property
    def synced(self) -> bool:
        """Whether its clock follows the root's."""
        return self.result == "success"


async def synchronise(
    sensors: Sequence[FoundSensor],
    settings: Mapping[str, Number] | None = None,
    *,
    settle_s: float = SETTLE_S,
    patience: Patience | None = None,
    client_backend: type[BaseBleakClient] | None = None,
) -> list[SyncOutcome]:
    """Synchronise sensors with the first of them as the root; none may be connected or streaming.

    Args:
        sensors: at least two DOT.
        settings: the rate and filter that they will stream with; by default the profile's.
        settle_s: how long to leave them alone, s.
        patience: how long to wait for what else.
        client_backend: bleak's backend; by default the platform's.

    Returns:
        How it went, sensor by sensor.

    Raises:
        UsageError: fewer than two sensors, or settings that they do not have.
        GonioError: what the connections raise: a sensor cannot be reached, is lost, or refuses.
    """
    if len(sensors) < 2:  # noqa: PLR2004 - two make a group
        raise UsageError("it takes two sensors to synchronise")
    chosen = _PROFILE.resolve(dict(settings or {}))
    async with _connected(sensors, patience, client_backend) as talks:
        for talk in talks:
            await talk.command("stop_measurement", chosen)
            await talk.unsynchronise()
            await talk.command("set_rate_and_filter", chosen)
        root = await talks[0].address()
        for talk in talks:
            await talk.say("start_sync", {"root_mac": root})
    await asyncio.sleep(settle_s)
    async with _connected(sensors, patience, client_backend) as talks:
        return [SyncOutcome(talk.found.address, await talk.sync_result()) for talk in talks]


async def unsynchronise(
    sensors: Sequence[FoundSensor],
    *,
    patience: Patience | None = None,
    client_backend: type[BaseBleakClient] | None = None,
) -> None:
    """End the synchronisation of sensors that are in one; arguments and errors as ``synchronise``."""
    async with _connected(sensors, patience, client_backend) as talks:
        for talk in talks:
            await talk.unsynchronise()


@contextlib.asynccontextmanager
async def _connected(
    sensors: Sequence[FoundSensor], patience: Patience | None, client_backend: type[BaseBleakClient] | None
) -> "AsyncIterator[list[_Talk]]":
    """Connect to all; what is done inside ends with every one disconnected."""
    async with contextlib.AsyncExitStack() as stack:
        talks = []
        for found in sensors:
            talk = _Talk(found, patience or Patience(), client_backend)
            await talk.connection.connect()
            stack.push_async_callback(talk.connection.disconnect)
            talks.append(talk)
        yield talks


class _Talk:
    """Messages to and from one connected DOT."""

    def __init__(self, found: FoundSensor, patience: Patience, client_backend: type[BaseBleakClient] | None) -> None:
        self.found = found
        self.connection = SensorConnection(
            found, patience=patience, on_lost=lambda _: None, client_backend=client_backend
        )

    async def command(self, name: str, settings: Mapping[str, Number]) -> None:
        write = write_action(_PROFILE, name, settings)
        await self.connection.write(write.characteristic, write.data, name)

    async def say(self, reid: str, arguments: Mapping[str, object] | None = None) -> None:
        uuid = _PROFILE.characteristic("message_control").uuid
        await self.connection.write(uuid, encode_message("sync", reid, arguments), reid)

    async def address(self) -> str:
        """Ask for the Bluetooth address, which not every system tells its programs."""
        info = await self.connection.read(_PROFILE.characteristic("device_info").uuid, "tell its address")
        return str(decode_packet(_PROFILE, "device_info", info)["mac"])

    async def acknowledged(self) -> Mapping[str, object]:
        """Read the answer to the last message: there is room for one only."""
        uuid = _PROFILE.characteristic("message_acknowledge").uuid
        return decode_packet(_PROFILE, "message_acknowledge", await self.connection.read(uuid, "acknowledge"))

    async def sync_result(self) -> str:
        answer = await self.acknowledged()
        return str(answer["result"]) if answer.get("reid") == "start_sync_result" else "no_answer"

    async def unsynchronise(self) -> None:
        """Stop the synchronisation, if there is one.

        Raises:
            SensorRefusedError: it does not stop.
        """
        if not await self._is_synced():
            return
        await self.say("stop_sync")
        answer = await self.acknowledged()
        if (answer.get("reid"), answer.get("result")) != ("stop_sync_result", "success"):
            raise SensorRefusedError(f"{self.connection.label} does not end its synchronisation: switch it off and on")

    async def _is_synced(self) -> bool:
        """Ask for the state, which comes as a notification; one that does not say is taken to be synchronised."""
        uuid = _PROFILE.characteristic("message_notification").uuid
        status: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        def on_value(_characteristic: BleakGATTCharacteristic, data: bytearray) -> None:
            message = decode_packet(_PROFILE, "message_notification", bytes(data))
            if message.get("reid") == "sync_status" and not status.done():
                status.set_result(str(message.get("status")))

        await self.connection.subscribe(uuid, on_value)
        await self.say("get_sync_status")
        try:
            async with asyncio.timeout(_ANSWER_S):
                return not (await status).startswith("not_synced")
        except TimeoutError:
            return True
        finally:
            await self.connection.unsubscribe(uuid)
