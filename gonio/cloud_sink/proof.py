"""The reading side of the book that proves: whether it is complete, kit by kit and day by day, and its log unchanged.

Each call sees one moment of the book and raises what the methods of ``store.Store`` raise.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from uuid import UUID

from sqlalchemy import Engine, select

from gonio.cloud_sink import audit_log
from gonio.cloud_sink.audit import Audit, audit
from gonio.cloud_sink.audit_log import Head, LogCheck
from gonio.cloud_sink.engine import store_errors
from gonio.cloud_sink.evidence import write_evidence
from gonio.cloud_sink.kit_days import LATE, KitDays, read_days
from gonio.cloud_sink.overview import KitState, count_late, not_measured, read_states
from gonio.cloud_sink.schema import QUARANTINE
from gonio.cloud_sink.verify import Verification, Wanted, known_keys, rows, verify
from gonio.errors import UsageError


@dataclass(frozen=True, slots=True)
class Refusal:
    """Something refused, without its content: from whom, what, why, when first and last, and how often."""

    topic_kit: str
    record_id: UUID | None
    outbox_id: UUID | None
    sequence: int | None
    reason: str
    content_bytes: int
    first_received_at: datetime
    last_received_at: datetime
    times: int


class Proof:
    """What the book can say for itself."""

    def __init__(self, reader: Engine) -> None:
        """Take the engine of transactions that read."""
        self._reader = reader

    def audit(self, kit_id: str | None = None) -> Audit:
        """Say whether the book is complete, or what is there of one kit."""
        with store_errors(), self._reader.connect() as connection:
            return audit(connection, kit_id)

    def days(self, kit_id: str, *, since: date | None = None, late: timedelta = LATE) -> KitDays:
        """Look at one kit day by day; see ``kit_days.read_days``."""
        with store_errors(), self._reader.connect() as connection:
            return read_days(connection, kit_id, since=since, late=late)

    def verify(self, wanted: Wanted = Wanted()) -> Verification:  # noqa: B008 - frozen
        """Say which records are, to the letter, what their kits have signed; see ``verify``."""
        with store_errors(), self._reader.connect() as connection:
            return verify(connection, wanted)

    def write_evidence(self, path: Path, wanted: Wanted) -> int:
        """Write records into a file (mode 0600) that proves itself; gives how many. See ``evidence``.

        Raises:
            UsageError: the file is there already or cannot be written, or a row of the book is no record.
        """
        what = {"kit": wanted.kit_id, "month": None if wanted.month is None else f"{wanted.month:%Y-%m}"}
        try:
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
                with store_errors(), self._reader.connect() as connection:
                    count = write_evidence(file, what, known_keys(connection, wanted.kit_id), rows(connection, wanted))
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise UsageError(f"{path} cannot be written ({error.strerror})") from error
        except ValueError as error:
            raise UsageError("a record in the book was changed so that it is none: see `gonio sink verify`") from error
        return count

    def states(self, kit_id: str | None = None) -> list[KitState]:
        """Look at all kits, or at one, by id."""
        with store_errors(), self._reader.connect() as connection:
            return read_states(connection, kit_id)

    def late(self, kits: Sequence[str]) -> dict[str, int]:
        """Count of some kits the records that came late; see ``overview.count_late``."""
        with store_errors(), self._reader.connect() as connection:
            return count_late(connection, kits)

    def sources(self, kits: Sequence[str]) -> dict[str, frozenset[str]]:
        """Tell of some kits which sources their sessions have beside real sensors."""
        with store_errors(), self._reader.connect() as connection:
            return not_measured(connection, kits)

    def refusals(self, kit_id: str | None = None, *, limit: int = 100) -> list[Refusal]:
        """Give what was refused, of all kits or of one, the latest first."""
        columns = QUARANTINE.c
        query = select(
            columns.topic_kit,
            columns.record_id,
            columns.outbox_id,
            columns.sequence,
            columns.reason,
            columns.content_bytes,
            columns.first_received_at,
            columns.last_received_at,
            columns.times,
        ).order_by(columns.last_received_at.desc(), columns.quarantine_id)
        if kit_id is not None:
            query = query.where(columns.topic_kit == kit_id)
        with store_errors(), self._reader.connect() as connection:
            return [Refusal(*row) for row in connection.execute(query.limit(limit))]

    def log(self, anchors: Iterable[Head] = ()) -> LogCheck:
        """Verify the audit log; see ``audit_log.verify``."""
        with store_errors(), self._reader.connect() as connection:
            return audit_log.verify(connection, anchors)

    def export_log(self) -> Iterator[str]:
        """Give the audit log as lines of JSON; see ``audit_log.export``."""
        with store_errors(), self._reader.connect() as connection:
            yield from audit_log.export(connection)
