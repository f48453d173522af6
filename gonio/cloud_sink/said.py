"""What patients have said, as screens and alerts read it: check-ins, messages, preferences, what they struck out."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Connection, Engine, Row, Select, Table, select

from gonio.cloud_sink.bulk import in_slices
from gonio.cloud_sink.engine import store_errors
from gonio.cloud_sink.schema import RECORDS
from gonio.cloud_sink.schema_kinds import CHECK_INS, PATIENT_MESSAGES, PREFERENCES, STAFF_VOIDS, VOIDS
from gonio.messages import CheckIn, PatientMessage, Preference

#: Of a patient's preferences, how many are looked at to find the newest: more than one matters only where a kit's
#: outbox was made anew or two kits are at one patient's.
_LOOK_AT: Final = 1000


@dataclass(frozen=True, slots=True)
class Head:
    """What is known of a record beside its content.

    Attributes:
        record_id: the record's id.
        patient_id: who had the kit when it was captured; None when nobody did, or nobody can say.
        kit_id: the kit.
        captured: the moment in force, aware, with the offset that the kit sent: as captured, or as repaired.
        received_at: when it arrived, UTC.
        clock: ``synchronised``, ``repaired`` or ``unsynchronised``.
    """

    record_id: UUID
    patient_id: UUID | None
    kit_id: str
    captured: datetime
    received_at: datetime
    clock: str


@dataclass(frozen=True, slots=True)
class CheckInRow:
    """One check-in: self-reported for ever, exercises done by hand too; ``voided``: struck out, it never counts."""

    head: Head
    voided: bool
    check_in: CheckIn


@dataclass(frozen=True, slots=True)
class MessageRow:
    """One message of a patient's."""

    head: Head
    message: PatientMessage


@dataclass(frozen=True, slots=True)
class PreferenceRow:
    """What a patient prefers."""

    head: Head
    preference: Preference


@dataclass(frozen=True, slots=True)
class VoidRow:
    """Why a record is struck out, and by whom: ``patient``, ``caregiver``, or a member of staff as in the audit log."""

    by: str
    reason: str
    at: datetime
    simulated: bool


def in_force(captured_at: str, moment: datetime) -> datetime:
    """Give a moment with the UTC offset that a kit wrote into ``captured_at``."""
    return moment.astimezone(datetime.fromisoformat(captured_at).tzinfo or UTC)


class Said:
    """What patients have said; see the module. Its methods raise as those of ``Store`` do."""

    def __init__(self, reader: Engine) -> None:
        self._reader = reader

    def check_ins(self, patient_id: UUID, *, limit: int = 100, before: datetime | None = None) -> list[CheckInRow]:
        """Give a patient's check-ins, newest first, those of before a moment; struck out ones too."""
        query = _newest(CHECK_INS, patient_id, limit, before).add_columns(CHECK_INS.c.voided)
        with store_errors(), self._reader.connect() as connection:
            return [
                CheckInRow(_head(row), row.voided, CheckIn.model_validate_json(row.payload))
                for row in connection.execute(query)
            ]

    def messages(self, patient_id: UUID, *, limit: int = 100, before: datetime | None = None) -> list[MessageRow]:
        """Give a patient's messages, newest first, those of before a moment."""
        with store_errors(), self._reader.connect() as connection:
            return [
                MessageRow(_head(row), PatientMessage.model_validate_json(row.payload))
                for row in connection.execute(_newest(PATIENT_MESSAGES, patient_id, limit, before))
            ]

    def preference(self, patient_id: UUID) -> PreferenceRow | None:
        """Give what a patient prefers by now, or None.

        Of one outbox it is the one of the largest number, whatever the clock showed; of several outboxes' last ones
        the newest whose moment is known, and only where no moment is known the one that arrived last.
        """
        query = _newest(PREFERENCES, patient_id, _LOOK_AT, None).add_columns(RECORDS.c.outbox_id, RECORDS.c.sequence)
        with store_errors(), self._reader.connect() as connection:
            last: dict[UUID, Row[Any]] = {}
            for row in connection.execute(query):
                known = last.get(row.outbox_id)
                if known is None or row.sequence > known.sequence:
                    last[row.outbox_id] = row
        if not last:
            return None
        row = max(last.values(), key=_how_new)
        return PreferenceRow(_head(row), Preference.model_validate_json(row.payload))

    def voids(self, record_id: UUID) -> list[VoidRow]:
        """Say why a record is struck out; empty: it is not, but for what only a simulator says of a real record."""
        with store_errors(), self._reader.connect() as connection:
            return [*_staff_voids(connection, record_id), *_kit_voids(connection, record_id)]

    def struck_out(self, record_ids: Collection[UUID]) -> dict[UUID, list[VoidRow]]:
        """Say of some records which are struck out, and why; those that are not are left out."""
        with store_errors(), self._reader.connect() as connection:
            marked = {
                target
                for table, column in ((STAFF_VOIDS, STAFF_VOIDS.c.record_id), (VOIDS, VOIDS.c.target))
                for (target,) in in_slices(
                    sorted(record_ids),
                    lambda ids, column=column, table=table: connection.execute(  # type: ignore[misc]
                        select(column).select_from(table).where(column.in_(ids))
                    ),
                )
            }
        return {record_id: voids for record_id in sorted(marked) if (voids := self.voids(record_id))}


def _newest(table: Table, patient_id: UUID, limit: int, before: datetime | None) -> Select[Any]:
    columns = table.c
    query = (
        select(
            columns.record_id,
            columns.patient_id,
            columns.kit_id,
            columns.at,
            columns.clock,
            RECORDS.c.captured_at,
            RECORDS.c.received_at,
            RECORDS.c.payload,
        )
        .join_from(table, RECORDS, RECORDS.c.record_id == columns.record_id)
        .where(columns.patient_id == patient_id)
        .order_by(columns.at.desc(), columns.record_id.desc())
        .limit(limit)
    )
    return query if before is None else query.where(columns.at < before)


def _head(row: Row[Any]) -> Head:
    captured = in_force(row.captured_at, row.at)
    return Head(row.record_id, row.patient_id, row.kit_id, captured, row.received_at, row.clock)


def _how_new(row: Row[Any]) -> tuple[bool, datetime, UUID]:
    known = row.clock != "unsynchronised"
    return known, row.at if known else row.received_at, row.record_id


def _staff_voids(connection: Connection, record_id: UUID) -> list[VoidRow]:
    columns = STAFF_VOIDS.c
    rows = connection.execute(
        select(columns.voided_by, columns.reason, columns.voided_at).where(columns.record_id == record_id)
    )
    return [VoidRow(by, reason, at, simulated=False) for by, reason, at in rows]


def _kit_voids(connection: Connection, record_id: UUID) -> list[VoidRow]:
    columns = VOIDS.c
    rows = connection.execute(
        select(columns.author, columns.reason, columns.at, columns.said_by)
        .join_from(VOIDS, RECORDS, RECORDS.c.record_id == columns.target)
        .where(columns.target == record_id, columns.kit_id == RECORDS.c.kit_id)
        .order_by(columns.at, columns.record_id)
    )
    return [VoidRow(author, reason, at, simulated=said_by == "simulated") for author, reason, at, said_by in rows]
