"""How the links stand, in a small file that another process may read at any moment."""

import asyncio
import logging
import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from gonio.gateway.links import words
from gonio.gateway.links.hub import LinkHub
from gonio.gateway.links.keeper import SensorKeeper
from gonio.gateway.links.table import State

log = logging.getLogger(__name__)

NAME: Final = "links.json"
SOON_S: Final = 0.5  # after a change: several that come together are written once
AGAIN_S: Final = 10.0  # while sensors are in use, so that the counts are fresh


class _Told(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class SensorStatus(_Told):
    """One sensor's link; times in s, signal in dBm when it was last heard advertising."""

    segment: Literal["thigh", "shank"]
    name: str
    state: State
    says: str
    to_do: str | None = None
    error: str | None = None
    adapter: str | None = None
    rssi_dbm: int | None = None
    battery_percent: int | None = None
    received: int = 0
    lost: int | None = None
    gaps: int = 0
    longest_silence_s: float = 0.0
    reconnects: int = 0
    away_s: float = 0.0


class AdapterStatus(_Told):
    """One Bluetooth adapter."""

    name: str
    connections: int
    slots: int
    trouble: str | None = None


class LinkStatus(_Told):
    """All links, at the time it was written; ``in_use`` is False when the last session is over."""

    written_at: datetime
    in_use: bool
    trouble: str | None = None
    adapters: tuple[AdapterStatus, ...] = ()
    sensors: tuple[SensorStatus, ...] = ()


class StatusBoard:
    """Writes the file soon after a change; a disk that refuses costs the status and nothing else."""

    def __init__(self, directory: Path, *, now: Callable[[], datetime]) -> None:
        """Prepare.

        Args:
            directory: the kit's data directory.
            now: the wall clock, aware.
        """
        self._path = directory / NAME
        self._now = now
        self._hub: LinkHub | None = None
        self._status: LinkStatus | None = None
        self._due: asyncio.TimerHandle | None = None
        self._due_s = 0.0

    def changed(self, hub: LinkHub | None) -> None:
        """Take note that a link has changed; None that the links are no more, which is written at once."""
        if hub is None:
            if self._hub is not None:
                self._status = _status(self._hub, self._now(), in_use=False)
            self._hub = None
            self._cancel()
            if self._status is not None:
                self._write(self._status)
            return
        self._hub = hub
        self._at(SOON_S)

    def _at(self, after_s: float) -> None:
        loop = asyncio.get_running_loop()
        due_s = loop.time() + after_s
        if self._due is not None and self._due_s <= due_s:
            return
        self._cancel()
        self._due, self._due_s = loop.call_later(after_s, self._write_now), due_s

    def _cancel(self) -> None:
        if self._due is not None:
            self._due.cancel()
        self._due = None

    def _write_now(self) -> None:
        self._due = None
        if self._hub is not None:
            self._status = _status(self._hub, self._now(), in_use=True)
            self._write(self._status)
            self._at(AGAIN_S)

    def _write(self, status: LinkStatus) -> None:
        half = self._path.with_suffix(".half")
        try:
            file = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with os.fdopen(file, "w", encoding="utf-8") as out:
                out.write(status.model_dump_json())
            half.replace(self._path)
        except OSError as error:
            log.debug("the links' status cannot be written: %s", error)


def read_status(directory: Path) -> LinkStatus | None:
    """Give what the kit in a directory last wrote; None where it wrote nothing that can be read."""
    try:
        return LinkStatus.model_validate_json((directory / NAME).read_text(encoding="utf-8"))
    except (OSError, ValidationError, UnicodeDecodeError):
        return None


def _status(hub: LinkHub, now: datetime, *, in_use: bool) -> LinkStatus:
    return LinkStatus(
        written_at=now,
        in_use=in_use,
        trouble=hub.trouble,
        adapters=tuple(
            AdapterStatus(name=one.port.name, connections=len(one.held), slots=one.slots, trouble=one.trouble)
            for one in hub.adapters
        ),
        sensors=tuple(_sensor(keeper) for keeper in hub.keepers),
    )


def _sensor(keeper: SensorKeeper) -> SensorStatus:
    report, info = keeper.report(), keeper.info
    return SensorStatus(
        segment=keeper.sensor.segment,
        name=keeper.sensor.name,
        state=keeper.state,
        says=words.STANDING[keeper.state],
        to_do=keeper.advice,
        error=None if keeper.error is None else str(keeper.error),
        adapter=keeper.adapter_name,
        rssi_dbm=keeper.rssi,
        battery_percent=None if info is None else info.battery_percent,
        received=report.received,
        lost=report.lost,
        gaps=report.gaps,
        longest_silence_s=report.longest_silence_s,
        reconnects=report.reconnects,
        away_s=report.away_s,
    )
