"""How each kit stands: when it was heard last, what of its records is here, what is not, and why."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, select

from gonio.cloud_sink.bulk import in_slices
from gonio.cloud_sink.kit_days import LATE
from gonio.cloud_sink.lacking import Standing
from gonio.cloud_sink.outboxes import Outbox, read_outboxes, read_reports
from gonio.cloud_sink.schema import KIT_HEALTH, KITS, QUARANTINE, RECORDS, SESSIONS
from gonio.messages import HealthReport

#: What somebody has to look at.
ALARMING = (Standing.LOST, Standing.LOST_ON_KIT)


@dataclass(frozen=True, slots=True)
class KitState:
    """A kit as the book knows it.

    Attributes:
        kit_id: its id.
        label: its name at the clinic, "" for none.
        heard_at: when anything came from it last; None when nothing ever did.
        outboxes: its outboxes, each with what is not here.
        quarantined: refusals of what it sent.
        report: its newest health report that can be read.
    """

    kit_id: str
    label: str
    heard_at: datetime | None
    outboxes: tuple[Outbox, ...]
    quarantined: int
    report: HealthReport | None

    @property
    def here(self) -> int:
        """How many of its records the book has, or had until retention removed them."""
        return sum(box.here for box in self.outboxes)

    def count(self, *standings: Standing) -> int:
        """Count the sequences that are not here, of some standings."""
        return sum(box.count(*standings) for box in self.outboxes)

    @property
    def unexplained(self) -> int:
        """How many must be lost among those above the oldest that waits: more are not here than the kit holds."""
        if self.report is None or self.report.outbox_id is None:
            return 0
        return max(0, self.count(Standing.WAITING) - self.report.pending)


def read_states(connection: Connection, kit_id: str | None = None) -> list[KitState]:
    """Look at all kits, or at one, by id."""
    boxes: dict[str, list[Outbox]] = {}
    for box in read_outboxes(connection, kit_id):
        boxes.setdefault(box.kit_id, []).append(box)
    reports = read_reports(connection, kit_id)
    heard = dict(_pairs(connection, select(KIT_HEALTH.c.kit_id, KIT_HEALTH.c.received_at)))
    refused = select(QUARANTINE.c.topic_kit, func.count()).group_by(QUARANTINE.c.topic_kit)
    quarantined = dict(_pairs(connection, refused))
    kits = select(KITS.c.kit_id, KITS.c.label).order_by(KITS.c.kit_id)
    if kit_id is not None:
        kits = kits.where(KITS.c.kit_id == kit_id)
    return [
        KitState(
            kit,
            label,
            max(
                (at for at in (heard.get(kit), *(b.last_received_at for b in boxes.get(kit, ()))) if at is not None),
                default=None,
            ),
            tuple(boxes.get(kit, ())),
            quarantined.get(kit, 0),
            reports.get(kit),
        )
        for kit, label in _pairs(connection, kits)
    ]


def count_late(connection: Connection, kits: Sequence[str]) -> dict[str, int]:
    """Count of some kits the records that came over LATE after their capture, by a synchronised clock."""
    columns = RECORDS.c
    late: dict[str, int] = dict.fromkeys(kits, 0)
    rows = in_slices(
        kits,
        lambda ids: connection.execute(
            select(columns.kit_id, columns.captured_utc, columns.received_at).where(
                columns.kit_id.in_(ids), columns.clock == "synchronised"
            )
        ),
    )
    for kit, captured, received in rows:
        late[kit] += received - captured > LATE
    return late


def not_measured(connection: Connection, kits: Sequence[str]) -> dict[str, frozenset[str]]:
    """Tell of some kits which sources their sessions have beside real sensors: simulated, recording."""
    columns = SESSIONS.c
    found: dict[str, set[str]] = {kit: set() for kit in kits}
    rows = in_slices(
        kits,
        lambda ids: connection.execute(
            select(columns.kit_id, columns.source).where(columns.kit_id.in_(ids), columns.source != "sensor").distinct()
        ),
    )
    for kit, source in rows:
        found[kit].add(source)
    return {kit: frozenset(sources) for kit, sources in found.items()}


def _pairs(connection: Connection, query: Any) -> list[tuple[Any, Any]]:  # noqa: ANN401 - two columns of whatever type
    return [(first, second) for first, second in connection.execute(query)]
