"""Which records of a kit are here, day by day, and between which days the missing ones lie.

A record's day is the calendar date of its capture in the time zone of the patient who had the kit then, in the
clinic's where nobody had it. A clock that was not synchronised and not repaired tells no day: such records stand under
no date. Nobody can know the day of a record that is missing: what is given are the days of its neighbours in the
outbox, between which it was written.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, Select, and_, func, select

from gonio.cloud_sink.kits import bindings_of
from gonio.cloud_sink.lacking import Lack
from gonio.cloud_sink.outboxes import read_outboxes
from gonio.cloud_sink.schema import CLINICS, KITS, QUARANTINE, RECORDS, SESSIONS
from gonio.cloud_sink.schema_kinds import CHECK_INS, CLOCK_REPAIRS

#: A record that took longer from capture to the book came late: the kit was without a connection.
LATE: Final = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class OutboxRange:
    """Sequences ``first`` to ``last`` of an outbox, both included."""

    outbox_id: UUID
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class KitDay:
    """A day of a kit.

    Attributes:
        day: the date; None for records whose clock tells none.
        records: how many were captured then and are here.
        here: which, outbox by outbox.
        late: of them, those that came more than the given time after their capture.
        unsynchronised: of them, those whose clock was not synchronised and not repaired.
        repaired: of them, those whose clock was repaired.
        voided: of them, sessions and check-ins that were struck out.
        quarantined: refusals of what the kit sent that first came on this day.
        simulated: of them, sessions that no real sensor measured.
    """

    day: date | None
    records: int
    here: tuple[OutboxRange, ...]
    late: int
    unsynchronised: int
    repaired: int
    voided: int
    quarantined: int
    simulated: int


@dataclass(frozen=True, slots=True)
class DatedLack:
    """What is not here of an outbox, and its neighbours' days: None where there is none or its clock tells none."""

    outbox_id: UUID
    lack: Lack
    after: date | None
    before: date | None


@dataclass(frozen=True, slots=True)
class KitDays:
    """A kit day by day, newest first and what has no day at the end; and all that is not here."""

    kit_id: str
    days: tuple[KitDay, ...]
    lacks: tuple[DatedLack, ...]


def read_days(connection: Connection, kit_id: str, *, since: date | None = None, late: timedelta = LATE) -> KitDays:
    """Look at one kit day by day.

    Args:
        connection: a transaction that reads.
        kit_id: the kit.
        since: leave out days before; what is missing is told whenever it was.
        late: how long after its capture a record came late.
    """
    zone_of = _Zones(connection, kit_id)
    records = [_Record(zone_of, *row) for row in connection.execute(_rows(kit_id))]
    by_day: dict[date | None, list[_Record]] = {}
    for record in records:
        by_day.setdefault(record.day, []).append(record)
    refusals = _refusals(connection, kit_id, zone_of)
    days = [
        _day(day, by_day.get(day, ()), refusals[day], late)
        for day in by_day.keys() | refusals.keys()
        if day is None or since is None or day >= since
    ]
    days.sort(key=lambda one: one.day or date.min, reverse=True)
    day_at = {(record.outbox_id, record.sequence): record.day for record in records}
    lacks = tuple(
        DatedLack(
            box.outbox_id, lack, day_at.get((box.outbox_id, lack.first - 1)), day_at.get((box.outbox_id, lack.last + 1))
        )
        for box in read_outboxes(connection, kit_id)
        for lack in box.lacks
    )
    return KitDays(kit_id, tuple(days), lacks)


class _Record:
    """What of a record its day is counted by."""

    __slots__ = ("day", "moment", "outbox_id", "received_at", "repaired", "sequence", "simulated", "voided")

    def __init__(  # noqa: PLR0913, PLR0917 - the columns of a row
        self,
        zone_of: "_Zones",
        outbox_id: UUID,
        sequence: int,
        captured_utc: datetime,
        received_at: datetime,
        clock: str,
        repaired_at: datetime | None,
        voided: bool | None,  # noqa: FBT001 - as above
        source: str | None,
    ) -> None:
        self.outbox_id = outbox_id
        self.sequence = sequence
        self.received_at = received_at
        self.repaired = clock != "synchronised" and repaired_at is not None
        self.moment = captured_utc if clock == "synchronised" else repaired_at
        self.day = None if self.moment is None else zone_of.day(self.moment)
        self.voided = bool(voided)
        self.simulated = source not in (None, "sensor")


class _Zones:
    """Whose calendar a kit's moments are read in."""

    def __init__(self, connection: Connection, kit_id: str) -> None:
        query = select(CLINICS.c.time_zone).join_from(CLINICS, KITS, KITS.c.clinic_id == CLINICS.c.clinic_id)
        own = connection.execute(query.where(KITS.c.kit_id == kit_id)).scalar()
        self._clinic = ZoneInfo(own or "UTC")
        self._bindings = bindings_of(connection, [kit_id]).get(kit_id, [])

    def day(self, moment: datetime) -> date:
        """Give the date of a moment for the patient who had the kit then, or for the clinic."""
        for binding in self._bindings:
            if binding.bound_from <= moment and (binding.bound_to is None or moment < binding.bound_to):
                return moment.astimezone(ZoneInfo(binding.time_zone)).date()
        return moment.astimezone(self._clinic).date()


def _rows(kit_id: str) -> Select[Any]:
    columns = RECORDS.c
    repaired = and_(CLOCK_REPAIRS.c.record_id == columns.record_id, CLOCK_REPAIRS.c.outcome == "repaired")
    return (
        select(
            columns.outbox_id,
            columns.sequence,
            columns.captured_utc,
            columns.received_at,
            columns.clock,
            CLOCK_REPAIRS.c.at,
            func.coalesce(SESSIONS.c.voided, CHECK_INS.c.voided),
            SESSIONS.c.source,
        )
        .join_from(RECORDS, CLOCK_REPAIRS, repaired, isouter=True)
        .join(SESSIONS, SESSIONS.c.record_id == columns.record_id, isouter=True)
        .join(CHECK_INS, CHECK_INS.c.record_id == columns.record_id, isouter=True)
        .where(columns.kit_id == kit_id)
        .order_by(columns.outbox_id, columns.sequence)
    )


def _refusals(connection: Connection, kit_id: str, zone_of: _Zones) -> Counter[date | None]:
    query = select(QUARANTINE.c.first_received_at).where(QUARANTINE.c.topic_kit == kit_id)
    return Counter(zone_of.day(moment) for moment in connection.execute(query).scalars())


def _day(day: date | None, records: Sequence[_Record], quarantined: int, late: timedelta) -> KitDay:
    return KitDay(
        day=day,
        records=len(records),
        here=tuple(_ranges(records)),
        late=sum(1 for r in records if r.moment is not None and r.received_at - r.moment > late),
        unsynchronised=sum(1 for r in records if r.moment is None),
        repaired=sum(1 for r in records if r.repaired),
        voided=sum(1 for r in records if r.voided),
        quarantined=quarantined,
        simulated=sum(1 for r in records if r.simulated),
    )


def _ranges(records: Sequence[_Record]) -> Iterator[OutboxRange]:
    """Draw together what follows on one another; records stand by outbox and sequence."""
    first: _Record | None = None
    last: _Record | None = None
    for record in records:
        if first and last and record.outbox_id == last.outbox_id and record.sequence == last.sequence + 1:
            last = record
            continue
        if first and last:
            yield OutboxRange(first.outbox_id, first.sequence, last.sequence)
        first = last = record
    if first and last:
        yield OutboxRange(first.outbox_id, first.sequence, last.sequence)
