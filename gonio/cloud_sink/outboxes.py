"""Every outbox of which the book knows: how many of its records are here, and which are not.

Fast however many records there are: one pass over the small table of places counts and finds the last sequence of each
outbox; only where the two differ, gaps are looked for, by a window function. A place outlives its record, so what
retention removed is no gap.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from pydantic import ValidationError
from sqlalchemy import Connection, Select, and_, func, select

from gonio.cloud_sink.bulk import in_slices
from gonio.cloud_sink.lacking import Lack, Range, Standing, lacking
from gonio.cloud_sink.schema import KIT_HEALTH, QUARANTINE, RECORDS
from gonio.cloud_sink.schema_places import RECORD_PLACES
from gonio.messages import HealthReport

#: Gaps looked at in one outbox: a kit that leaves more is at fault as a whole, and the rest is counted.
MAX_GAPS: Final = 10_000


@dataclass(frozen=True, slots=True)
class Outbox:
    """What is here of an outbox and what is not.

    Attributes:
        kit_id: whose it is.
        outbox_id: its id.
        here: records of it that the book has, or had until retention removed them.
        last: the last sequence in the book, 0 for none.
        last_received_at: when that one came; None where that is not known any more.
        lacks: what is not here, in order; of an outbox with over MAX_GAPS gaps the first ones.
    """

    kit_id: str
    outbox_id: UUID
    here: int
    last: int
    last_received_at: datetime | None = None
    lacks: tuple[Lack, ...] = ()

    def count(self, *standings: Standing) -> int:
        """Count the sequences that are not here, of some standings or of all."""
        return sum(lack.count for lack in self.lacks if not standings or lack.standing in standings)


def read_outboxes(connection: Connection, kit_id: str | None = None) -> list[Outbox]:
    """Look at all outboxes, or at those of one kit; by kit, then by id."""
    found = [Outbox(*row) for row in connection.execute(_counted(kit_id))]
    gaps = _gaps(connection, [box.outbox_id for box in found if box.here < box.last])
    reports = read_reports(connection, kit_id)
    refused = _refused(connection, kit_id)
    known = {(box.kit_id, box.outbox_id) for box in found}
    found += [Outbox(kit, outbox, 0, 0) for kit, outbox in _told_of(reports) if (kit, outbox) not in known]
    outboxes = []
    for box in sorted(found, key=lambda box: (box.kit_id, box.outbox_id)):
        lacks = lacking(
            box.outbox_id,
            gaps.get(box.outbox_id, []),
            box.last,
            reports.get(box.kit_id),
            refused.get((box.kit_id, box.outbox_id), ()),
        )
        outboxes.append(replace(box, lacks=tuple(lacks)))
    return outboxes


def read_reports(connection: Connection, kit_id: str | None = None) -> dict[str, HealthReport]:
    """Read the newest health report of each kit; one that this software cannot read is left out."""
    query = select(KIT_HEALTH.c.kit_id, KIT_HEALTH.c.payload)
    if kit_id is not None:
        query = query.where(KIT_HEALTH.c.kit_id == kit_id)
    reports = {}
    for kit, payload in connection.execute(query):
        try:
            reports[kit] = HealthReport.model_validate_json(payload)
        except ValidationError:  # of a newer version, kept by a newer worker
            continue
    return reports


def _counted(kit_id: str | None) -> Select[Any]:
    columns = RECORD_PLACES.c
    counted = select(
        columns.outbox_id,
        func.min(columns.kit_id).label("kit_id"),
        func.count().label("here"),
        func.max(columns.sequence).label("last"),
    )
    if kit_id is not None:
        counted = counted.where(columns.outbox_id.in_(select(RECORDS.c.outbox_id).where(RECORDS.c.kit_id == kit_id)))
    box = counted.group_by(columns.outbox_id).subquery()
    last = and_(columns.outbox_id == box.c.outbox_id, columns.sequence == box.c.last)
    return (
        select(box.c.kit_id, box.c.outbox_id, box.c.here, box.c.last, RECORDS.c.received_at)
        .join_from(box, RECORD_PLACES, last)
        .join(RECORDS, RECORDS.c.record_id == columns.record_id, isouter=True)
    )


def _gaps(connection: Connection, outboxes: list[UUID]) -> dict[UUID, list[Range]]:
    """Find what lacks below the last sequence of some outboxes."""
    columns = RECORD_PLACES.c
    before = func.coalesce(
        func.lag(columns.sequence).over(partition_by=columns.outbox_id, order_by=columns.sequence), 0
    )

    def look_up(ids: Iterable[UUID]) -> Iterable[Any]:
        steps = select(columns.outbox_id, columns.sequence, before.label("before")).where(columns.outbox_id.in_(ids))
        step = steps.subquery().c
        edges = select(step.outbox_id, step.before + 1, step.sequence - 1).where(step.sequence > step.before + 1)
        return connection.execute(edges.order_by(step.outbox_id, step.sequence))

    gaps: dict[UUID, list[Range]] = {}
    for outbox_id, first, last in in_slices(outboxes, look_up):
        of_outbox = gaps.setdefault(outbox_id, [])
        if len(of_outbox) < MAX_GAPS:
            of_outbox.append((first, last))
    return gaps


def _refused(connection: Connection, kit_id: str | None) -> dict[tuple[str, UUID], list[int]]:
    columns = QUARANTINE.c
    query = select(columns.topic_kit, columns.outbox_id, columns.sequence).where(
        columns.outbox_id.is_not(None), columns.sequence.is_not(None)
    )
    if kit_id is not None:
        query = query.where(columns.topic_kit == kit_id)
    refused: dict[tuple[str, UUID], list[int]] = {}
    for kit, outbox_id, sequence in connection.execute(query):
        refused.setdefault((kit, outbox_id), []).append(sequence)
    return refused


def _told_of(reports: Mapping[str, HealthReport]) -> Iterable[tuple[str, UUID]]:
    for kit, report in reports.items():
        if report.outbox_id is not None and report.last_sequence:
            yield kit, report.outbox_id
        yield from ((kit, ended.outbox_id) for ended in report.ended if ended.last_sequence)
