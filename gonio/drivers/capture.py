"""Capture what a Bluetooth device sends, as it comes, into a file: the first step to support a new sensor.

A capture is a file of JSON lines. The first line is the head::

    {"format": "gonio-capture", "version": 1, "began_at": "2026-11-23T18:00:00+00:00", "name": "Movella DOT",
     "family": "movella_dot", "firmware": "3.0.0", "information": {"model": "..."}, "mtu": 247,
     "services": [{"uuid": "...", "characteristics": [{"uuid": "...", "properties": ["notify"]}]}]}

and every other line is a notification or indication, its arrival counted from the beginning::

    {"characteristic": "...", "arrival_s": 1.234567, "hex": "..."}

Neither address nor serial numbers are written; digits in the name that number
a single device are replaced by ``#``. What a device sends about itself, or about who wears it, is in its packets: look
at a capture before giving it away.
"""

import asyncio
import contextlib
import json
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Self

from bleak.backends.characteristic import BleakGATTCharacteristic
from bleak.backends.client import BaseBleakClient

from gonio.drivers.connection import SensorConnection
from gonio.drivers.dialogue import Dialogue
from gonio.drivers.link_errors import SensorLostError, SensorRefusedError
from gonio.drivers.link_values import Patience
from gonio.drivers.scan import FoundSensor
from gonio.errors import UsageError
from gonio.firmware_profiles import Profile

FORMAT: Final = "gonio-capture"
VERSION: Final = 1

#: What a device says of itself that is no number of a single device (Bluetooth SIG, device information service).
_INFORMATION: Final = {
    "manufacturer": "00002a29-0000-1000-8000-00805f9b34fb",
    "model": "00002a24-0000-1000-8000-00805f9b34fb",
    "hardware": "00002a27-0000-1000-8000-00805f9b34fb",
    "firmware": "00002a26-0000-1000-8000-00805f9b34fb",
    "software": "00002a28-0000-1000-8000-00805f9b34fb",
}
_NOTIFYING: Final = {"notify", "indicate"}
_EXCHANGED_MTU: Final = 24  # bytes; 23 hold until a larger one is agreed on
_LONGEST_LINE: Final = 100_000  # characters; a head with the most services that a device can have is below
_DEVICE_NUMBER: Final = re.compile(r"(?=[0-9A-Fa-f]*[0-9])[0-9A-Fa-f]{5,}")


@dataclass(slots=True)
class Captured:
    """What a capture came to.

    Attributes:
        path: the file.
        firmware: as the device writes it, "" when it does not tell.
        notifications: how many came, by characteristic (UUID).
        refused: characteristics whose notifications could not be switched on, and why.
        lost: why it ended before its time, None when it did not.
    """

    path: Path
    firmware: str = ""
    notifications: Counter[str] = field(default_factory=Counter)
    refused: dict[str, str] = field(default_factory=dict)
    lost: str | None = None


@dataclass(frozen=True, slots=True)
class CapturedValue:
    """A notification in a capture: characteristic (UUID, lower case), value, arrival in s from its beginning."""

    characteristic: str
    data: bytes
    arrival_s: float


async def capture(  # noqa: PLR0913 - a connection has as many parts
    found: FoundSensor,
    directory: Path,
    *,
    stop: asyncio.Event,
    profile: Profile | None = None,
    settings: Mapping[str, int | float] | None = None,
    on_value: Callable[[str, int], None] | None = None,
    monotonic_ns: Callable[[], int] = time.monotonic_ns,
    client_backend: type[BaseBleakClient] | None = None,
    patience: Patience | None = None,
) -> Captured:
    """Connect to a device, switch on all its notifications, and write what comes until ``stop`` or it is lost.

    Args:
        found: any device that advertises.
        directory: where the file goes; made if it is not there.
        stop: set it to end the capture.
        profile: the family, if it is known: then its stream is started and stopped as in a session.
        settings: chosen settings of the family.
        on_value: told of each notification, its characteristic and length.
        monotonic_ns: the clock that stamps arrivals, ns.
        client_backend: bleak's backend; by default the platform's.
        patience: how long to wait for what.

    Raises:
        BluetoothUnavailableError: the computer cannot connect to anything now.
        SensorUnreachableError: no connection in several attempts.
        SensorUnsuitableError: it lacks what the profile needs.
        SensorRefusedError: it refused a command of the profile.
        UsageError: the folder cannot be written.
    """
    over = asyncio.Event()
    connection = SensorConnection(
        found, patience=patience or Patience(), on_lost=lambda _error: over.set(), client_backend=client_backend
    )
    await connection.connect()
    try:
        writer = _Writer(_new_file(directory, found.name), on_value, monotonic_ns)
        with writer:
            result = writer.captured
            try:
                information = await _information(connection)
                result.firmware = information.get("firmware", "")
                writer.head(await _head(found, connection, information, profile))
                await _run(connection, writer, profile, settings, stop, over)
            except SensorLostError as error:
                result.lost = str(error)
        return result
    finally:
        await connection.disconnect()


async def _run(
    connection: SensorConnection,
    writer: "_Writer",
    profile: Profile | None,
    settings: Mapping[str, int | float] | None,
    stop: asyncio.Event,
    over: asyncio.Event,
) -> None:
    dialogue: Dialogue | None = None
    if profile is not None and profile.sequences is not None:
        dialogue = Dialogue(profile, profile.resolve(settings), connection, writer.put)
        await dialogue.perform("recover")
        await dialogue.heed_firmware()
        await dialogue.perform("prepare")
        await dialogue.perform("start")

    def on_value(characteristic: BleakGATTCharacteristic, data: bytearray) -> None:
        writer.put(characteristic.uuid.lower(), bytes(data))

    for characteristic in connection.services.characteristics.values():
        if _NOTIFYING & set(characteristic.properties):
            uuid = characteristic.uuid.lower()
            try:
                await (dialogue.subscribe(uuid) if dialogue else connection.subscribe(uuid, on_value))
            except SensorRefusedError as error:
                writer.captured.refused[uuid] = str(error)
    waits = [asyncio.create_task(event.wait(), name="capture") for event in (stop, over)]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
    if connection.lost is not None:
        raise connection.lost
    if dialogue:
        with contextlib.suppress(SensorRefusedError):
            await dialogue.perform("stop")


async def _information(connection: SensorConnection) -> dict[str, str]:
    information: dict[str, str] = {}
    for name, uuid in _INFORMATION.items():
        if connection.has(uuid):
            with contextlib.suppress(SensorRefusedError):
                value = await connection.read(uuid, f"tell its {name}")
                information[name] = value.rstrip(b"\0").decode("utf-8", "backslashreplace")
    return information


async def _head(
    found: FoundSensor, connection: SensorConnection, information: dict[str, str], profile: Profile | None
) -> dict[str, Any]:
    notifying = [one for one in connection.services.characteristics.values() if _NOTIFYING & set(one.properties)]
    return {
        "format": FORMAT,
        "version": VERSION,
        "began_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "name": _DEVICE_NUMBER.sub("#", found.name),
        "family": profile.family if profile else None,
        "firmware": information.get("firmware", ""),
        "information": information,
        "mtu": await connection.mtu(notifying[0], _EXCHANGED_MTU) if notifying else None,
        "services": [
            {
                "uuid": service.uuid.lower(),
                "characteristics": [
                    {"uuid": one.uuid.lower(), "properties": list(one.properties)} for one in service.characteristics
                ],
            }
            for service in connection.services
        ],
    }


def _new_file(directory: Path, name: str) -> Path:
    """Name a file after the device and the moment."""
    stem = re.sub(r"[^A-Za-z0-9#]+", "-", _DEVICE_NUMBER.sub("", name)).strip("-").lower() or "device"
    return directory / f"{stem}-{datetime.now(UTC):%Y%m%d-%H%M%S}.jsonl"


class _Writer:
    """The file of a capture while it is written."""

    def __init__(
        self, path: Path, on_value: Callable[[str, int], None] | None, monotonic_ns: Callable[[], int]
    ) -> None:
        self.captured = Captured(path)
        self._on_value = on_value
        self._now_ns = monotonic_ns
        self._began_ns = monotonic_ns()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("x", encoding="utf-8")
        except OSError as error:
            raise UsageError(f"{path}: cannot be written ({error.strerror})") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._file.close()

    def head(self, head: Mapping[str, Any]) -> None:
        """Write the first line."""
        self._file.write(json.dumps(head) + "\n")

    def put(self, uuid: str, value: bytes) -> None:
        """Write a notification."""
        arrival_s = round((self._now_ns() - self._began_ns) * 1e-9, 6)
        self._file.write(json.dumps({"characteristic": uuid, "arrival_s": arrival_s, "hex": value.hex()}) + "\n")
        self.captured.notifications[uuid] += 1
        if self._on_value is not None:
            self._on_value(uuid, len(value))


def read_capture(path: Path) -> tuple[dict[str, Any], list[CapturedValue]]:
    """Read a capture: its head and its notifications in order. A last line that is cut off is left out.

    Raises:
        UsageError: it is none.
    """
    try:
        with path.open(encoding="utf-8") as file:
            lines = _lines(file)
            head = json.loads(next(lines, ""))
            if not isinstance(head, dict) or head.get("format") != FORMAT or head.get("version") != VERSION:
                raise UsageError(f"{path}: is no capture: its first line is no head of {FORMAT}, version {VERSION}")
            values = [_value(path, number, line) for number, line in enumerate(lines, 2)]
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise UsageError(f"{path}: is no capture: {error}") from error
    return head, values


def _lines(file: Any) -> Iterator[str]:  # noqa: ANN401 - an open file
    """Give the whole lines."""
    while line := file.readline(_LONGEST_LINE):
        if line.endswith("\n"):
            yield line


def _value(path: Path, number: int, line: str) -> CapturedValue:
    try:
        row = json.loads(line)
        return CapturedValue(str(row["characteristic"]), bytes.fromhex(row["hex"]), float(row["arrival_s"]))
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path}: line {number} is no notification ({error})") from error
