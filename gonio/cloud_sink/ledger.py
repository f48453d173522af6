"""The ledger of data days, as screens, projections and bills read it.

A *data day* is a calendar date, in the patient's time zone, on which a real sensor measured a session whose clock was
synchronised, or repaired with the evidence kept. What is simulated, played from a recording or struck out never makes
one; check-ins are self-report and are told apart, for a ruleset that lets them count.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from itertools import groupby
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, Engine, Select, distinct, func, select

from gonio.cloud_sink.engine import store_errors
from gonio.cloud_sink.schema import DAY_ENTRIES, PATIENTS, RECORDS

_DAYS: Final = DAY_ENTRIES.c


@dataclass(frozen=True, slots=True)
class DayRecord:
    """One record behind a day.

    Attributes:
        record_id: the record.
        kit_id: its kit.
        kind: ``session`` or ``check-in``.
        source: ``sensor``, ``simulated``, ``recording`` or ``self-report``.
        clock: ``synchronised``, ``repaired`` or ``unsynchronised``.
        captured_at: as the kit sent it, ISO 8601 with offset; wrong where the clock was not synchronised.
        received_at: when it arrived, UTC.
        counts: whether it makes its date a data day.
    """

    record_id: UUID
    kit_id: str
    kind: str
    source: str
    clock: str
    captured_at: str
    received_at: datetime
    counts: bool


@dataclass(frozen=True, slots=True)
class PatientDay:
    """A date of a patient on which there is anything, with all records behind it but those struck out.

    Attributes:
        patient_id: the patient.
        local_date: of capture, in the patient's time zone.
        records: in the order in which they arrived.
    """

    patient_id: UUID
    local_date: date
    records: tuple[DayRecord, ...]

    @property
    def counts(self) -> bool:
        """Whether it is a data day."""
        return any(record.counts for record in self.records)


class Ledger:
    """The ledger of a book; see the module. Its methods raise as those of ``Store`` do."""

    def __init__(self, reader: Engine) -> None:
        self._reader = reader

    def data_days(self, first: date, last: date) -> dict[UUID, int]:
        """Count each patient's data days from ``first`` to ``last``, inclusive; patients without any are left out."""
        days = (
            select(func.count(distinct(_DAYS.local_date)))
            .where(_DAYS.patient_id == PATIENTS.c.patient_id, _DAYS.counts, _DAYS.local_date.between(first, last))
            .scalar_subquery()
        )
        with store_errors(), self._reader.connect() as connection:
            rows = connection.execute(select(PATIENTS.c.patient_id, days))
            return {patient_id: count for patient_id, count in rows if count}

    def days(self, first: date, last: date, *, patient_id: UUID | None = None) -> Iterator[PatientDay]:
        """Give every day on which there is anything, with the records behind it, patient by patient, date by date.

        Args:
            first: the first date.
            last: the last date, inclusive.
            patient_id: of this patient only; None for all.
        """
        query: Select[Any] = (
            select(
                _DAYS.patient_id,
                _DAYS.local_date,
                _DAYS.record_id,
                _DAYS.kit_id,
                _DAYS.kind,
                _DAYS.source,
                _DAYS.clock,
                RECORDS.c.captured_at,
                _DAYS.received_at,
                _DAYS.counts,
            )
            .join_from(DAY_ENTRIES, RECORDS, RECORDS.c.record_id == _DAYS.record_id)
            .where(_DAYS.local_date.between(first, last))
            .order_by(_DAYS.patient_id, _DAYS.local_date, _DAYS.received_at, _DAYS.record_id)
        )
        if patient_id is not None:
            query = query.where(_DAYS.patient_id == patient_id)
        with store_errors(), self._reader.connect() as connection:
            rows = connection.execution_options(yield_per=1000).execute(query)
            for (patient, day), some in groupby(rows, key=lambda row: (row.patient_id, row.local_date)):
                yield PatientDay(patient, day, tuple(DayRecord(*row[2:]) for row in some))


def count_data_days(connection: Connection, *conditions: ColumnElement[bool]) -> int:
    """Count distinct pairs of patient and data day; ``conditions`` on ``day_entries`` narrow it."""
    days = select(_DAYS.patient_id, _DAYS.local_date).where(_DAYS.counts, *conditions).distinct().subquery()
    return int(connection.execute(select(func.count()).select_from(days)).scalar_one())
