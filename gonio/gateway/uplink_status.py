"""What the uplink is at, for people; also in a small file that another process may read at any moment."""

import asyncio
import logging
import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Final, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, ValidationError

log = logging.getLogger(__name__)

NAME: Final = "uplink.json"
SOON_S: Final = 1.0  # after a change: several that come together are written once

UplinkState: TypeAlias = Literal["stopped", "connecting", "connected", "waiting"]


class UplinkStatus(BaseModel):
    """What the uplink is at.

    Attributes:
        broker: the address, without credentials.
        state: stopped, connecting, connected, or waiting before it connects again.
        reason: why the last connection ended or failed, or None.
        refused: what the broker refuses in the connection that is open, in words, or None.
        unanswered: that the clinic does not answer though the broker takes everything, or None.
        trouble: what the disk or the clinic refused last, or None.
        connections: connections that came about.
        published: publishes handed to the broker, resends included.
        settled: acknowledgements that settled a record, repeated ones included.
        received: records of the clinic's that came and were new.
        unreadable: publishes of the clinic's that could not be read.
        last_settled_at: when the clinic last acknowledged something.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    broker: str = ""
    state: UplinkState = "stopped"
    reason: str | None = None
    refused: str | None = None
    unanswered: str | None = None
    trouble: str | None = None
    connections: int = 0
    published: int = 0
    settled: int = 0
    received: int = 0
    unreadable: int = 0
    last_settled_at: datetime | None = None

    @property
    def problem(self) -> str | None:
        """What keeps records from the clinic, the first cause first, or None."""
        return self.reason or self.refused or self.unanswered


class UplinkBoard:
    """Writes the file soon after a change; a disk that refuses costs the status and nothing else."""

    def __init__(self, directory: Path) -> None:
        """Prepare; ``directory`` is the kit's data directory."""
        self._path = directory / NAME
        self._status = UplinkStatus()
        self._due: asyncio.TimerHandle | None = None

    def changed(self, status: UplinkStatus) -> None:
        """Take note of a change; that it has stopped is written at once."""
        self._status = status
        if status.state == "stopped":
            if self._due is not None:
                self._due.cancel()
            self._write()
        elif self._due is None:
            self._due = asyncio.get_running_loop().call_later(SOON_S, self._write)

    def _write(self) -> None:
        self._due = None
        half = self._path.with_suffix(".half")
        try:
            file = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with os.fdopen(file, "w", encoding="utf-8") as out:
                out.write(self._status.model_dump_json())
            half.replace(self._path)
        except OSError as error:
            log.debug("the uplink's status cannot be written: %s", error)


def read_uplink(directory: Path) -> UplinkStatus | None:
    """Give what the kit in a directory last wrote; None where it wrote nothing that can be read."""
    try:
        return UplinkStatus.model_validate_json((directory / NAME).read_text(encoding="utf-8"))
    except (OSError, ValidationError, UnicodeDecodeError):
        return None


#: What :class:`UplinkBoard` and the kit's page are told with.
Tell: TypeAlias = Callable[[UplinkStatus], None]
