"""What is old enough goes: records and all that derives from them; their places and the audit log stay.

A record is old by when the *clinic* received it: a kit's clock may have been wrong. What stays behind of it is its
place in its outbox, so that no gap appears and the record is not taken in again when a kit sends it once more. Removal
goes in transactions of a slice each, beside workers that store; one that was stopped goes on at the next call.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import Connection, Engine, Table, delete, func, select, text

from gonio.cloud_sink import schema_all
from gonio.cloud_sink.audit_log import Action, Entry, append
from gonio.cloud_sink.partitions import OTHER, parts
from gonio.cloud_sink.schema import HOME_CLINIC, QUARANTINE, RECORDS

#: HIPAA documents are kept six years (45 CFR 164.316(b)(2)); Medicare asks its providers for seven.
LEAST_YEARS: Final = 6
USUAL_YEARS: Final = 7
#: Records removed by one transaction: some tenths of a second in which a worker may have to wait.
SLICE: Final = 2_000


@dataclass(frozen=True, slots=True)
class Expired:
    """What was received before a moment: how much, and between when."""

    records: int
    quarantined: int
    first_received: datetime | None
    last_received: datetime | None


def years_before(now: datetime, years: int) -> datetime:
    """Give the same moment some years ago; 29 February becomes the 28th."""
    try:
        return now.replace(year=now.year - years)
    except ValueError:
        return now.replace(year=now.year - years, day=28)


def expired(connection: Connection, before: datetime) -> Expired:
    """Say what was received before a moment."""
    received = RECORDS.c.received_at
    count, first, last = connection.execute(
        select(func.count(), func.min(received), func.max(received)).where(received < before)
    ).one()
    refused = select(func.count()).select_from(QUARANTINE).where(QUARANTINE.c.last_received_at < before)
    return Expired(count, connection.execute(refused).scalar_one(), first, last)


def remove_expired(
    writer: Engine, before: datetime, *, actor: str, told: Callable[[int], None] = lambda _: None, size: int = SLICE
) -> Expired:
    """Remove what was received before a moment, slice by slice; what was removed.

    Args:
        writer: the book's engine for transactions that write.
        before: aware.
        actor: who does it, for the audit log.
        told: called with the number of records removed so far, after each transaction.
        size: records in a transaction.
    """
    with writer.begin() as connection:
        found = expired(connection, before)
        reason = f"received before {before:%Y-%m-%d}"
        detail = {"records": found.records, "quarantined": found.quarantined}
        append(connection, [Entry(HOME_CLINIC, actor, Action.RETENTION, "store", "book", reason, detail)])
        connection.execute(delete(QUARANTINE).where(QUARANTINE.c.last_received_at < before))
    removed = 0
    for count in (*_remove_parts(writer, before), *_remove_rows(writer, before, size)):
        removed += count
        told(removed)
    return found


def _dependants() -> Sequence[Table]:
    """Give the tables whose rows belong to a record each."""
    return [
        table
        for table in schema_all.METADATA.sorted_tables
        if "record_id" in table.c and any(k.column is RECORDS.c.record_id for k in table.c.record_id.foreign_keys)
    ]


def _remove_rows(writer: Engine, before: datetime, size: int) -> Iterator[int]:
    last = UUID(int=0)
    while True:
        with writer.begin() as connection:
            query = (
                select(RECORDS.c.record_id)
                .where(RECORDS.c.record_id > last, RECORDS.c.received_at < before)
                .order_by(RECORDS.c.record_id)
                .limit(size)
            )
            ids = list(connection.scalars(query))
            if not ids:
                return
            low, last = ids[0], ids[-1]
            these = (RECORDS.c.record_id.between(low, last), RECORDS.c.received_at < before)
            for table in _dependants():
                connection.execute(
                    delete(table).where(table.c.record_id.in_(select(RECORDS.c.record_id).where(*these)))
                )
            connection.execute(delete(RECORDS).where(*these))
        yield len(ids)


def _remove_parts(writer: Engine, before: datetime) -> Iterator[int]:
    """Remove whole months at once, where the database keeps them apart."""
    with writer.begin() as connection:
        months = [part for part in parts(connection) if part != OTHER]
    for part in months:
        with writer.begin() as connection:
            count, newest = connection.execute(text(f"SELECT count(*), max(received_at) FROM {part}")).one()  # noqa: S608 - the database's own names
            if newest is None or newest >= before:
                continue
            for table in _dependants():
                connection.execute(
                    text(f"DELETE FROM {table.name} WHERE record_id IN (SELECT record_id FROM {part})")  # noqa: S608 - likewise
                )
            connection.execute(text(f"ALTER TABLE records DETACH PARTITION {part}"))
            connection.execute(text(f"DROP TABLE {part}"))
        yield int(count)
