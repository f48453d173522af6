"""Whether the book is complete, asked of the book itself."""

from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, Table, func, select, tuple_

from gonio.cloud_sink.bulk import in_slices
from gonio.cloud_sink.lacking import Standing
from gonio.cloud_sink.ledger import count_data_days
from gonio.cloud_sink.outboxes import Outbox, read_outboxes
from gonio.cloud_sink.schema import DAY_ENTRIES, QUARANTINE, RECORDS, SESSIONS


@dataclass(frozen=True, slots=True)
class Gap:
    """Sequences ``first`` to ``last`` (inclusive) of one outbox that are not here though they should be."""

    kit_id: str
    outbox_id: UUID
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Audit:
    """Whether the book is complete.

    Attributes:
        records: records in the book (health is state, not a record).
        removed: records that the book had and retention removed.
        doubled: records that tell of the same capture as another one.
        gaps: sequences that are missing: all below the last that arrived of their outbox, and above it what the kit
            says was acknowledged.
        lacking: the outboxes of which anything is not here, what still waits on a kit included, each stretch with
            what is known of it.
        quarantined: things refused and kept aside.
        unassigned: sessions of nobody: their kit was bound to no patient when they were captured, or its clock was
            not synchronised and it cannot be told to whom.
        unsynchronised: sessions whose clock was not synchronised and could not be repaired.
        repaired: sessions whose clock was repaired.
        voided: sessions that were struck out.
        data_days: distinct pairs of patient and calendar date (the patient's time zone, at capture) with at least
            one session that a real sensor measured, that is not struck out, and whose clock was synchronised or
            repaired. Simulated sessions and played recordings are tests and never count; nor do check-ins, which are
            self-report.
    """

    records: int
    removed: int
    doubled: int
    gaps: tuple[Gap, ...]
    lacking: tuple[Outbox, ...]
    quarantined: int
    unassigned: int
    unsynchronised: int
    repaired: int
    voided: int
    data_days: int

    def count(self, *standings: Standing) -> int:
        """Count the sequences that are not here, of some standings or of all."""
        return sum(box.count(*standings) for box in self.lacking)


def audit(connection: Connection, kit_id: str | None = None) -> Audit:
    """Count what is here and what is not, of all kits or of one; see Audit for what each means exactly."""
    boxes = read_outboxes(connection, kit_id)
    records = _count(connection, RECORDS, *_of(RECORDS.c.kit_id, kit_id))
    sessions = _sessions(connection, kit_id)
    return Audit(
        records=records,
        removed=sum(box.here for box in boxes) - records,
        doubled=_doubled(connection, kit_id),
        gaps=tuple(
            Gap(box.kit_id, box.outbox_id, lack.first, lack.last)
            for box in boxes
            for lack in box.lacks
            if lack.first <= box.last or lack.standing is not Standing.WAITING
        ),
        lacking=tuple(box for box in boxes if box.lacks),
        quarantined=_count(connection, QUARANTINE, *_of(QUARANTINE.c.topic_kit, kit_id)),
        unassigned=sum(count for (clock, voided, nobody), count in sessions.items() if nobody),
        unsynchronised=sum(count for (clock, *_), count in sessions.items() if clock == "unsynchronised"),
        repaired=sum(count for (clock, *_), count in sessions.items() if clock == "repaired"),
        voided=sum(count for (_, voided, _), count in sessions.items() if voided),
        data_days=count_data_days(connection, *_of(DAY_ENTRIES.c.kit_id, kit_id)),
    )


def _of(column: ColumnElement[str], kit_id: str | None) -> list[ColumnElement[bool]]:
    return [] if kit_id is None else [column == kit_id]


def _count(connection: Connection, table: Table, *where: ColumnElement[bool]) -> int:
    return connection.execute(select(func.count()).select_from(table).where(*where)).scalar_one()


def _sessions(connection: Connection, kit_id: str | None) -> dict[tuple[str, bool, bool], int]:
    columns = SESSIONS.c
    key = (columns.clock, columns.voided, columns.patient_id.is_(None))
    query = select(*key, func.count()).where(*_of(columns.kit_id, kit_id)).group_by(*key)
    return {(clock, bool(voided), bool(nobody)): n for clock, voided, nobody, n in connection.execute(query)}


#: Two records of one kind from one kit, of one boot, at one tick of its monotonic clock, are one capture.
_TICK: Final = (RECORDS.c.kit_id, RECORDS.c.boot_id, RECORDS.c.monotonic_ns)


def _doubled(connection: Connection, kit_id: str | None) -> int:
    """Count records beyond the first of the same capture.

    The book's keys already exclude a record stored twice; this would also find a kit that sent one capture under two
    ids, for instance after its outbox was made anew. First an index tells ticks at which there are several records;
    only those are looked at.
    """
    several = select(*_TICK).where(*_of(RECORDS.c.kit_id, kit_id)).group_by(*_TICK).having(func.count() > 1)
    ticks = [tuple(tick) for tick in connection.execute(several)]

    def look_up(some: Any) -> Any:  # noqa: ANN401 - the slices of in_slices
        capture = (*_TICK, RECORDS.c.kind, RECORDS.c.captured_utc)
        same = select(func.count() - 1).where(tuple_(*_TICK).in_(some)).group_by(*capture).having(func.count() > 1)
        return connection.execute(same).scalars()

    return sum(in_slices(ticks, look_up))
