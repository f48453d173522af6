"""Repairing clocks in the book: which records a new one says something about, and what is then known of each.

Called under the kit's exclusive lock, so that no other worker adds evidence meanwhile. Only kits that have an
unsynchronised record in the book or in the batch come here; of those, only the boots, and of a boot only the stretch
between the neighbours of what is new, are looked at.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple, TypeAlias
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, delete, select, tuple_

from gonio.cloud_sink.bulk import Row, in_slices, insert_rows
from gonio.cloud_sink.clock_repair import Repair, Tick, repair
from gonio.cloud_sink.judge import Accepted
from gonio.cloud_sink.schema import RECORDS
from gonio.cloud_sink.schema_kinds import BOOT_CLOCKS, CLOCK_REPAIRS

Boot: TypeAlias = tuple[str, UUID]  # kit and boot
Repairs: TypeAlias = dict[UUID, Repair | None]

#: As ``min`` of what two workers have, by the database.
_KEEP_FIRST: Final = (
    "ON CONFLICT (kit_id, boot_id) DO UPDATE SET "
    + ", ".join(f"{c.name} = excluded.{c.name}" for c in BOOT_CLOCKS.columns if not c.primary_key)
    + " WHERE (excluded.monotonic_ns, excluded.captured_utc, excluded.record_id)"
    " < (boot_clocks.monotonic_ns, boot_clocks.captured_utc, boot_clocks.record_id)"
)


class _Unsynchronised(NamedTuple):
    record_id: UUID
    clinic_id: UUID
    monotonic_ns: int
    received_at: datetime


def keep_first_ticks(
    connection: Connection, reports: Iterable[Accepted], clinic_of: Mapping[str, Any]
) -> dict[Boot, list[int]]:
    """Keep what health reports say of their boots' clocks, as the reports themselves are not kept.

    Args:
        connection: within the transaction.
        reports: those of this batch whose clock was synchronised and of which the book may have none so early.
        clinic_of: each kit's clinic.

    Returns:
        Where on the boots' monotonic clocks evidence came or went.
    """
    firsts: dict[Boot, Tick] = {}
    for judged in reports:
        boot = (judged.envelope.kit_id, judged.envelope.boot_id)
        tick = Tick(judged.envelope.monotonic_ns, judged.captured_utc, judged.envelope.record_id)
        firsts[boot] = min(firsts.get(boot, tick), tick)
    known = _boot_ticks(connection, list(firsts))
    better = {boot: tick for boot, tick in sorted(firsts.items()) if boot not in known or tick < known[boot]}
    rows = [
        {
            "kit_id": kit_id,
            "boot_id": boot_id,
            "clinic_id": clinic_of[kit_id],
            "monotonic_ns": tick.monotonic_ns,
            "captured_utc": tick.captured_utc,
            "record_id": tick.record_id,
        }
        for (kit_id, boot_id), tick in better.items()
    ]
    insert_rows(connection, BOOT_CLOCKS, rows, _KEEP_FIRST)
    return {
        boot: [tick.monotonic_ns] + ([known[boot].monotonic_ns] if boot in known else [])
        for boot, tick in better.items()
    }


def settle(connection: Connection, changes: Mapping[Boot, Sequence[int]], new: Iterable[UUID]) -> Repairs:
    """Find and write down what is known of every record that changes may concern.

    Args:
        connection: within the transaction, with the kits locked to change.
        changes: where on boots' monotonic clocks evidence came or went, or an unsynchronised record came.
        new: records that came in this batch.

    Returns:
        The outcome for those of ``new`` that are unsynchronised, and for others where it changed.
    """
    fresh = set(new)
    outcomes: Repairs = {}
    rows: list[Row] = []
    for boot in _with_unsynchronised(connection, sorted(changes)):
        for record, found in _repairs(connection, boot, min(changes[boot]), max(changes[boot])):
            outcomes[record.record_id] = found
            if found is not None:
                rows.append(_row(record, boot[0], found))
    known = _known(connection, sorted(outcomes))
    changed = {i: found for i, found in outcomes.items() if i in fresh or _told(found) != known.get(i, ())}
    gone = sorted(changed.keys() & known.keys())
    for some in in_slices(gone, lambda ids: [ids]):
        connection.execute(delete(CLOCK_REPAIRS).where(CLOCK_REPAIRS.c.record_id.in_(some)))
    insert_rows(connection, CLOCK_REPAIRS, [row for row in rows if row["record_id"] in changed])
    return changed


def settle_kit(connection: Connection, kit_id: str) -> Repairs:
    """Find and write down what is known of all of a kit's unsynchronised records; nothing of it is in the book yet."""
    columns = RECORDS.c
    ends: dict[Boot, list[int]] = defaultdict(list)
    rows = connection.execute(
        select(columns.boot_id, columns.monotonic_ns, columns.record_id).where(
            columns.kit_id == kit_id, columns.clock == "unsynchronised"
        )
    ).all()
    for boot_id, monotonic_ns, _ in rows:
        ends[kit_id, boot_id].append(monotonic_ns)
    return settle(connection, ends, [row.record_id for row in rows])


def repairs_of(connection: Connection, record_ids: Sequence[UUID]) -> Repairs:
    """Give what the book says of records' true moments."""
    columns = CLOCK_REPAIRS.c
    found = in_slices(
        record_ids,
        lambda ids: connection.execute(
            select(
                columns.record_id,
                columns.at,
                columns.evidence_id,
                columns.apart_s,
                columns.other_id,
                columns.disagree_s,
            ).where(columns.record_id.in_(ids))
        ),
    )
    return {record_id: Repair(*rest) for record_id, *rest in found}


def _with_unsynchronised(connection: Connection, boots: Sequence[Boot]) -> list[Boot]:
    columns = RECORDS.c
    found = in_slices(
        boots,
        lambda some: connection.execute(
            select(columns.kit_id, columns.boot_id)
            .where(columns.clock == "unsynchronised", tuple_(columns.kit_id, columns.boot_id).in_(some))
            .distinct()
        ),
    )
    return sorted((kit_id, boot_id) for kit_id, boot_id in found)


def _boot_ticks(connection: Connection, boots: Sequence[Boot]) -> dict[Boot, Tick]:
    columns = BOOT_CLOCKS.c
    found = in_slices(
        boots,
        lambda some: connection.execute(
            select(
                columns.kit_id, columns.boot_id, columns.monotonic_ns, columns.captured_utc, columns.record_id
            ).where(tuple_(columns.kit_id, columns.boot_id).in_(some))
        ),
    )
    return {(kit_id, boot_id): Tick(*rest) for kit_id, boot_id, *rest in found}


def _repairs(
    connection: Connection, boot: Boot, first_ns: int, last_ns: int
) -> Iterable[tuple[_Unsynchronised, Repair | None]]:
    """Judge anew every record of a boot that lies between the neighbours of a stretch."""
    columns = RECORDS.c
    of_boot = (columns.kit_id == boot[0], columns.boot_id == boot[1])
    when = columns.monotonic_ns

    def ticks(*conditions: ColumnElement[bool]) -> list[Tick]:
        query = select(when, columns.captured_utc, columns.record_id).where(
            *of_boot, columns.clock == "synchronised", *conditions
        )
        return [Tick(*row) for row in connection.execute(query)]

    def edge(beyond: ColumnElement[bool], nearest: ColumnElement[int]) -> list[Tick]:
        ns = connection.execute(
            select(when).where(*of_boot, columns.clock == "synchronised", beyond).order_by(nearest).limit(1)
        ).scalar()
        return [] if ns is None else ticks(when == ns)

    of_health = list(_boot_ticks(connection, [boot]).values())
    below = edge(when < first_ns, when.desc()) + [t for t in of_health if t.monotonic_ns < first_ns]
    above = edge(when > last_ns, when.asc()) + [t for t in of_health if t.monotonic_ns > last_ns]
    within = ticks(when.between(first_ns, last_ns)) + [t for t in of_health if first_ns <= t.monotonic_ns <= last_ns]
    known = sorted(below + within + above)
    bounds = [columns.clock == "unsynchronised", *of_boot]
    if below:
        bounds.append(when >= max(below).monotonic_ns)
    if above:
        bounds.append(when <= min(above).monotonic_ns)
    concerned = connection.execute(
        select(columns.record_id, columns.clinic_id, when, columns.received_at).where(*bounds)
    ).all()
    for row in concerned:
        record = _Unsynchronised(*row)
        yield record, repair(record.monotonic_ns, record.received_at, known)


def _known(connection: Connection, record_ids: Sequence[UUID]) -> dict[UUID, tuple[object, ...]]:
    return {record_id: _told(found) for record_id, found in repairs_of(connection, record_ids).items()}


def _told(found: Repair | None) -> tuple[object, ...]:
    """Give what of a repair other rows depend on or show."""
    return () if found is None else (found.at, found.evidence, found.other)


def _row(record: _Unsynchronised, kit_id: str, found: Repair) -> Row:
    return {
        "record_id": record.record_id,
        "clinic_id": record.clinic_id,
        "kit_id": kit_id,
        "outcome": "conflict" if found.at is None else "repaired",
        "at": found.at,
        "evidence_id": found.evidence,
        "apart_s": found.apart_s,
        "other_id": found.other,
        "disagree_s": found.disagree_s,
    }
