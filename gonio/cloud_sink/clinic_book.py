"""The book as one clinic may read it: no row of another clinic is ever given, whatever id is asked for.

A thing of another clinic is not there: asking for it gives what asking for nothing gives.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Connection, Engine, select

from gonio.cloud_sink import audit_log
from gonio.cloud_sink.audit_log import Entry, LogCheck
from gonio.cloud_sink.engine import reader, store_errors, writer
from gonio.cloud_sink.kit_days import LATE, KitDays
from gonio.cloud_sink.ledger import Ledger
from gonio.cloud_sink.model import PatientRow, SessionRow
from gonio.cloud_sink.overview import KitState
from gonio.cloud_sink.proof import Proof, Refusal
from gonio.cloud_sink.said import CheckInRow, VoidRow
from gonio.cloud_sink.schema import KITS, PATIENTS, QUARANTINE, SESSIONS
from gonio.cloud_sink.schema_audit import AUDIT_LOG
from gonio.cloud_sink.store import Store

#: Rows of the audit log that one page shows.
LOG_PAGE: Final = 200
READ: Final = "read"


class ClinicBook:
    """One clinic's part of the book; its methods raise as those of ``Store`` do."""

    def __init__(self, store: Store, engine: Engine, clinic_id: UUID) -> None:
        """Bind a book to a clinic."""
        self._store = store
        self._reader = reader(engine)
        self._writer = writer(engine)
        self.clinic_id = clinic_id
        self.proof = ClinicProof(store.proof, self._reader, clinic_id)

    def patients(self) -> list[PatientRow]:
        """Give the clinic's patients by name."""
        with store_errors(), self._reader.connect() as connection:
            own = set(connection.execute(select(PATIENTS.c.patient_id).where(self._is_own(PATIENTS))).scalars())
        return [row for row in self._store.patients() if row.patient_id in own]

    def patient(self, patient_id: UUID) -> PatientRow | None:
        """Give one of the clinic's patients, or None."""
        return self._store.patient(patient_id) if self._has(PATIENTS, PATIENTS.c.patient_id, patient_id) else None

    def sessions(self, patient_id: UUID, *, limit: int = 100, before: datetime | None = None) -> list[SessionRow]:
        """Give the sessions of one of the clinic's patients, newest first, those captured before a moment."""
        if not self._has(PATIENTS, PATIENTS.c.patient_id, patient_id):
            return []
        return self._store.sessions(patient_id, limit=limit, before=before)

    def session(self, record_id: UUID) -> SessionRow | None:
        """Give one of the clinic's sessions, or None."""
        return self._store.session(record_id) if self._has(SESSIONS, SESSIONS.c.record_id, record_id) else None

    def check_ins(self, patient_id: UUID, *, limit: int = 100, before: datetime | None = None) -> list[CheckInRow]:
        """Give the check-ins of one of the clinic's patients, newest first, those of before a moment."""
        if not self._has(PATIENTS, PATIENTS.c.patient_id, patient_id):
            return []
        return self._store.said.check_ins(patient_id, limit=limit, before=before)

    def struck_out(self, record_ids: Collection[UUID]) -> dict[UUID, list[VoidRow]]:
        """Say of sessions that this book gave which are struck out, and why."""
        return self._store.said.struck_out(record_ids)

    def data_days(self, first: date, last: date) -> dict[UUID, int]:
        """Count the data days of the clinic's patients from ``first`` to ``last``, inclusive."""
        own = {row.patient_id for row in self.patients()}
        return {
            patient: days for patient, days in Ledger(self._reader).data_days(first, last).items() if patient in own
        }

    # --- the audit log ---

    def note_read(self, actor: str, patient_id: UUID, page: str, reason: str = "") -> None:
        """Note that somebody reads of a patient, on the disk when this returns."""
        entry = Entry(self.clinic_id, actor, READ, "patient", str(patient_id), reason, {"page": page})
        with store_errors(), self._writer.begin() as connection:
            audit_log.append(connection, [entry])

    def note(self, actor: str, action: str, reason: str = "") -> None:
        """Note what somebody does with the book as a whole."""
        entry = Entry(self.clinic_id, actor, action, "store", "book", reason)
        with store_errors(), self._writer.begin() as connection:
            audit_log.append(connection, [entry])

    def log_rows(
        self, *, before: int | None = None, subject_id: str | None = None, limit: int | None = LOG_PAGE
    ) -> list[Mapping[str, Any]]:
        """Give rows of the clinic's log, the newest first.

        Args:
            before: only those with smaller numbers.
            subject_id: only those about this patient, kit, user.
            limit: at most so many; None for all.
        """
        query = select(AUDIT_LOG).where(self._is_own(AUDIT_LOG)).order_by(AUDIT_LOG.c.number.desc()).limit(limit)
        if before is not None:
            query = query.where(AUDIT_LOG.c.number < before)
        if subject_id is not None:
            query = query.where(AUDIT_LOG.c.subject_id == subject_id)
        with store_errors(), self._reader.connect() as connection:
            return [row._asdict() for row in connection.execute(query)]

    def log_lines(self) -> list[str]:
        """Give the clinic's log as lines of JSON, the oldest first, as ``gonio sink audit --export-log`` writes it."""
        with store_errors(), self._reader.connect() as connection:
            return list(audit_log.export(connection, self.clinic_id))

    def _is_own(self, table: Any) -> Any:  # noqa: ANN401 - SQLAlchemy's
        return table.c.clinic_id == self.clinic_id

    def _has(self, table: Any, column: Any, value: object) -> bool:  # noqa: ANN401 - SQLAlchemy's
        with store_errors(), self._reader.connect() as connection:
            return connection.execute(select(column).where(column == value, self._is_own(table))).first() is not None


class ClinicProof:
    """What the book can say for itself of one clinic's kits."""

    def __init__(self, proof: Proof, reader: Engine, clinic_id: UUID) -> None:
        """Bind a proof to a clinic."""
        self._proof = proof
        self._reader = reader
        self._clinic_id = clinic_id

    def states(self, kit_id: str | None = None) -> list[KitState]:
        """Look at the clinic's kits, or at one."""
        if kit_id is not None and not self._own([kit_id]):
            return []
        states = self._proof.states(kit_id)
        own = self._own([state.kit_id for state in states])
        return [state for state in states if state.kit_id in own]

    def late(self, kits: Sequence[str]) -> dict[str, int]:
        """Count of some kits of the clinic the records that came late."""
        return self._proof.late(sorted(self._own(kits)))

    def sources(self, kits: Sequence[str]) -> dict[str, frozenset[str]]:
        """Tell which sources the sessions of some kits of the clinic have beside real sensors."""
        return self._proof.sources(sorted(self._own(kits)))

    def days(self, kit_id: str, *, since: date | None = None, late: timedelta = LATE) -> KitDays:
        """Look at one kit day by day; another clinic's kit has none."""
        if self._own([kit_id]):
            return self._proof.days(kit_id, since=since, late=late)
        return self._proof.days("", since=since, late=late)

    def refusals(self, kit_id: str | None = None, *, limit: int = 100) -> list[Refusal]:
        """Give what was refused of the clinic's kits, the latest first."""
        columns = QUARANTINE.c
        query = select(*(columns[name] for name in Refusal.__dataclass_fields__))
        query = query.where(columns.clinic_id == self._clinic_id)
        if kit_id is not None:
            query = query.where(columns.topic_kit == kit_id)
        query = query.order_by(columns.last_received_at.desc(), columns.quarantine_id).limit(limit)
        with store_errors(), self._reader.connect() as connection:
            return [Refusal(*row) for row in connection.execute(query)]

    def log(self) -> LogCheck:
        """Verify the clinic's audit log."""
        with store_errors(), self._reader.connect() as connection:
            return audit_log.verify(connection, clinic_id=self._clinic_id)

    def _own(self, kits: Sequence[str]) -> set[str]:
        with store_errors(), self._reader.connect() as connection:
            return _own_kits(connection, self._clinic_id, kits)


def _own_kits(connection: Connection, clinic_id: UUID, kits: Sequence[str]) -> set[str]:
    wanted = set(kits)
    own = connection.execute(select(KITS.c.kit_id).where(KITS.c.clinic_id == clinic_id)).scalars()
    return wanted.intersection(own)
