"""Whether the book is complete, asked of the book itself."""

from typing import Final

from sqlalchemy import Connection, func, select

from gonio.cloud_sink.model import Audit, Gap
from gonio.cloud_sink.schema import DAY_ENTRIES, QUARANTINE, RECORDS, SESSIONS


def audit(connection: Connection) -> Audit:
    """Count records, doubles, gaps, refusals and data days; see Audit for what each means exactly."""
    return Audit(
        records=connection.execute(select(func.count()).select_from(RECORDS)).scalar_one(),
        doubled=_doubled(connection),
        gaps=_gaps(connection),
        quarantined=connection.execute(select(func.count()).select_from(QUARANTINE)).scalar_one(),
        unassigned=connection.execute(
            select(func.count()).select_from(SESSIONS).where(SESSIONS.c.patient_id.is_(None))
        ).scalar_one(),
        data_days=_data_days(connection),
    )


#: Two records of one kind from one kit, of one boot, at one tick of its monotonic clock, are one capture.
_CAPTURE: Final = (
    RECORDS.c.kit_id,
    RECORDS.c.kind,
    RECORDS.c.boot_id,
    RECORDS.c.monotonic_ns,
    RECORDS.c.captured_utc,
)


def _doubled(connection: Connection) -> int:
    """Count records beyond the first of the same capture.

    The book's keys already exclude a record stored twice; this would also find a kit that sent one capture under two
    ids, for instance after its outbox was made anew.
    """
    captures = (
        select((func.count() - 1).label("extra"))
        .select_from(RECORDS)
        .group_by(*_CAPTURE)
        .having(func.count() > 1)
        .subquery()
    )
    return int(connection.execute(select(func.coalesce(func.sum(captures.c.extra), 0))).scalar_one())


def _gaps(connection: Connection) -> tuple[Gap, ...]:
    """Find what is missing below the last sequence that arrived of each outbox."""
    before = func.coalesce(
        func.lag(RECORDS.c.sequence).over(partition_by=RECORDS.c.outbox_id, order_by=RECORDS.c.sequence), 0
    )
    steps = select(RECORDS.c.kit_id, RECORDS.c.outbox_id, RECORDS.c.sequence, before.label("before")).subquery()
    rows = connection.execute(
        select(steps.c.kit_id, steps.c.outbox_id, steps.c.before, steps.c.sequence)
        .where(steps.c.sequence > steps.c.before + 1)
        .order_by(steps.c.kit_id, steps.c.outbox_id, steps.c.sequence)
    )
    return tuple(Gap(kit, outbox, before + 1, sequence - 1) for kit, outbox, before, sequence in rows)


def _data_days(connection: Connection) -> int:
    days = (
        select(DAY_ENTRIES.c.patient_id, DAY_ENTRIES.c.local_date)
        .where(DAY_ENTRIES.c.source == "sensor", DAY_ENTRIES.c.clock == "synchronised")
        .distinct()
        .subquery()
    )
    return int(connection.execute(select(func.count()).select_from(days)).scalar_one())
