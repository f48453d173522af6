"""Parts of ``records`` by time on PostgreSQL: a month each, so that a year that is over can go at once.

Records are cut by their id, whose first 48 bits are the milliseconds at which the kit made it (UUIDv7, RFC 9562). Where
a kit's clock was wrong, or a month has no part of its own, the record is in ``records_other``: only slower to remove.
"""

import logging
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from sqlalchemy import Connection, text

#: Months that have their part before they begin: a worker that is not restarted for so long makes none.
AHEAD: Final = 3
OTHER: Final = "records_other"
#: One process at a time looks for months without a part; any number will do.
_LOCK: Final = 0x676F6E6970  # "gonip"

_log = logging.getLogger(__name__)


def first_id(moment: datetime) -> UUID:
    """Give the smallest UUIDv7 of a moment."""
    return UUID(int=int(moment.timestamp() * 1000) << 80)


def month_start(moment: datetime, offset: int = 0) -> datetime:
    """Give the beginning (UTC) of the month of a moment, or of that ``offset`` months later."""
    utc = moment.astimezone(UTC)
    months = utc.year * 12 + utc.month - 1 + offset
    return datetime(months // 12, months % 12 + 1, 1, tzinfo=UTC)


def part_name(month: datetime) -> str:
    """Name the part of a month."""
    return f"records_{month:%Y_%m}"


def parts(connection: Connection) -> list[str]:
    """Name the parts that are there, in order; none on SQLite."""
    if connection.dialect.name != "postgresql":
        return []
    return list(
        connection.scalars(
            text("SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'records'::regclass ORDER BY 1")
        )
    )


def make_parts(connection: Connection, now: datetime) -> list[str]:
    """Make the parts of this month and the next ``AHEAD`` where they are missing; names of those made.

    A month of which ``records_other`` already holds records (a kit's clock was ahead) gets no part: PostgreSQL could
    not tell where they belong. They stay there, and work as any.
    """
    if connection.dialect.name != "postgresql":
        return []
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
    there = set(parts(connection))
    made = []
    for offset in range(AHEAD + 1):
        month, following = month_start(now, offset), month_start(now, offset + 1)
        name, bounds = part_name(month), {"low": first_id(month), "high": first_id(following)}
        if name in there:
            continue
        strays = text(f"SELECT EXISTS (SELECT 1 FROM {OTHER} WHERE record_id >= :low AND record_id < :high)")  # noqa: S608 - a constant
        if connection.scalar(strays, bounds):
            _log.warning("%s has records of %s already: that month stays there", OTHER, f"{month:%Y-%m}")
            continue
        low, high = bounds["low"], bounds["high"]
        connection.execute(text(f"CREATE TABLE {name} PARTITION OF records FOR VALUES FROM ('{low}') TO ('{high}')"))
        made.append(name)
    return made
