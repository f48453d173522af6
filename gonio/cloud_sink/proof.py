"""The reading side of the book that proves: whether it is complete, kit by kit and day by day, and its log unchanged.

Each call sees one moment of the book and raises what the methods of ``store.Store`` raise.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from uuid import UUID

from sqlalchemy import Engine, select

from gonio.cloud_sink import audit_log
from gonio.cloud_sink.audit import Audit, audit
from gonio.cloud_sink.audit_log import Head, LogCheck
from gonio.cloud_sink.engine import store_errors
from gonio.cloud_sink.kit_days import LATE, KitDays, read_days
from gonio.cloud_sink.overview import KitState, count_late, not_measured, read_states
from gonio.cloud_sink.schema import QUARANTINE


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
