"""The book: one handle for all that is written to it and read from it, safe to use from several threads.

A write is one transaction, on disk when the call returns. Calls block: a program with an event loop makes them in a
worker thread. SQLite has one writer at a time; on PostgreSQL any number of workers write at once.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Any, Final, Literal, Self
from uuid import UUID

from sqlalchemy import Connection, Engine, Row, Select, func, select
from sqlalchemy.exc import DBAPIError

from gonio.cloud_sink import admin, audit_log, down, stock_life
from gonio.cloud_sink.admission import Admission, keys_of_kits
from gonio.cloud_sink.audit import Audit
from gonio.cloud_sink.audit_log import Action, Entry
from gonio.cloud_sink.down_outbox import DownOutbox
from gonio.cloud_sink.engine import clashed, open_engine, reader, store_errors, writer
from gonio.cloud_sink.enrolment.desk import EnrolmentDesk
from gonio.cloud_sink.intake import Intake
from gonio.cloud_sink.judge import judge
from gonio.cloud_sink.ledger import Ledger
from gonio.cloud_sink.model import Delivery, PatientRow, QuarantineRow, SessionRow, Unreadable
from gonio.cloud_sink.partitions import make_parts
from gonio.cloud_sink.proof import Proof
from gonio.cloud_sink.retention import Expired, expired, remove_expired
from gonio.cloud_sink.said import Said, in_force
from gonio.cloud_sink.schema import HOME_CLINIC, KITS, PATIENTS, QUARANTINE, RECORDS, SESSIONS
from gonio.cloud_sink.stock import StockRoom
from gonio.messages import Ack, AllowSensors, BadRecord, Envelope, SessionSummary

if TYPE_CHECKING:
    from gonio.cloud_sink.accounts import Accounts, Lifetimes, Passwords
    from gonio.cloud_sink.clinic_book import ClinicBook

#: Where a database lets two write at once and ends one of two that clashed, that one tries so often in all.
_TRIES: Final = 3


def open_store(url: str, *, create: bool = True, actor: str = "system:gonio") -> "Store":
    """Open a book and bring its tables up to date.

    Args:
        url: ``sqlite:///path/to/file`` or ``postgresql://user[:password]@host[:port]/database``.
        create: whether a missing file is made (its folder must be there), or tables in an empty database (it must be
            there).
        actor: who changes what is changed by this handle, for the audit log: ``operator:LOGIN`` or ``system:PART``.

    Raises:
        UsageError: it cannot be opened; the text says what to do.
    """
    return Store(open_engine(url, create=create), actor)


class Store:
    """The book, open; a context manager that closes it.

    Attributes:
        down: what the clinic sends to its kits.
        enrolment: how kits become the clinic's.
        stock: where their boxes are.

    Every method raises StoreUnavailableError when the book cannot be used just now (try again) and StoreError
    when it is damaged or refuses a change.
    """

    def __init__(self, engine: Engine, actor: str = "system:gonio") -> None:
        self._engine = engine
        self._actor = actor
        self._reader = reader(engine)
        self._writer = writer(engine)
        self.down = DownOutbox(engine)
        self.enrolment = EnrolmentDesk(engine, actor)
        self.stock = StockRoom(engine, actor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    # --- intake ---

    def ingest(
        self,
        kit_id: str,
        items: Sequence[Envelope | BadRecord | Unreadable],
        received_at: datetime,
        *,
        signed_only: bool = False,
    ) -> list[Ack]:
        """Take in one publish; see ``ingest_batch``."""
        return self.ingest_batch([Delivery(kit_id, tuple(items), received_at)], signed_only=signed_only)[0]

    def ingest_batch(self, deliveries: Sequence[Delivery], *, signed_only: bool = False) -> list[list[Ack]]:
        """Take in some publishes in one transaction, and answer only when it is committed.

        A new record is stored with all that derives from it; a repeated one changes nothing; whatever else (unreadable,
        against its schema, another kit's, of an enrolled kit and not signed with a key of it that counts, an id or a
        sequence used before for other content) is kept in the quarantine and answered as rejected.

        Args:
            deliveries: what came, in the order of arrival.
            signed_only: refuse also what kits send that are not enrolled; else it comes in unproven.

        Returns:
            For each delivery its acknowledgements, in order; an element without a readable record id has none.
        """
        with store_errors(), self._reader.connect() as connection:
            keys = keys_of_kits(connection, {d.kit_id for d in deliveries if d.kit_id is not None})
        admission = Admission(keys, signed_only)
        batch = [
            (d.kit_id, judge(d.kit_id, item, d.received_at, admission), d.received_at)
            for d in deliveries
            for item in d.items
        ]
        with store_errors():
            answers = iter(self._take_in(batch))
        return [[ack for _ in d.items if (ack := next(answers)) is not None] for d in deliveries]

    def newest_arrival(self) -> datetime | None:
        """Say when the record that arrived last did; None where there is none. It looks at all of them."""
        with store_errors(), self._reader.connect() as connection:
            newest: datetime | None = connection.execute(select(func.max(RECORDS.c.received_at))).scalar_one()
            return newest

    def make_parts(self, now: datetime) -> None:
        """Make the parts of ``records`` for this month and those to come, where the database has parts."""
        with store_errors(), self._writer.begin() as connection:
            make_parts(connection, now)

    def _take_in(self, batch: Sequence[Any]) -> list[Ack | None]:
        for _ in range(_TRIES - 1):
            try:
                with self._writer.begin() as connection:
                    return Intake(connection, batch).run()
            except DBAPIError as error:
                if not clashed(error):
                    raise
        with self._writer.begin() as connection:
            return Intake(connection, batch).run()

    # --- people and kits ---

    def add_patient(self, name: str, time_zone: str, *, clinic_id: UUID = HOME_CLINIC) -> UUID:
        """Enter a patient.

        Args:
            name: as the clinic's pages show it; it never leaves the clinic's side.
            time_zone: IANA name such as ``America/Chicago``; it decides on which date a session counts.
            clinic_id: whose patient.

        Raises:
            UsageError: no name, or no such time zone.
        """
        with store_errors(), self._writer.begin() as connection:
            patient_id = admin.add_patient(connection, name, time_zone, clinic_id)
            self._note(connection, clinic_id, Action.PATIENT_ADDED, ("patient", str(patient_id)))
            return patient_id

    def add_kit(self, kit_id: str, label: str = "") -> None:
        """Enter a kit of the home clinic, or give a known one a label.

        Raises:
            UsageError: it is no kit id.
        """
        with store_errors(), self._writer.begin() as connection:
            if admin.add_kit(connection, kit_id, label):
                self._note_kit(connection, Action.KIT_ADDED, kit_id)

    def bind_kit(
        self, kit_id: str, patient_id: UUID, *, since: datetime, side: Literal["left", "right"] | None = None
    ) -> None:
        """Give a kit to a patient from a moment on; it is taken from whoever had it then.

        What the kit captured from that moment on belongs to this patient, also where it arrived before this call. A
        kit that is not entered yet is entered. Binding again to the patient who has it already changes nothing. Its box
        becomes active, and the kit is told which sensors are in that box.

        Raises:
            UsageError: no such patient, no kit id, the kit was given to somebody at that moment or later, or its box is
                not ready for a patient: lost, not clean, retired.
        """
        with store_errors(), self._writer.begin() as connection:
            if admin.bind_kit(connection, kit_id, patient_id, since=since, side=side):
                now = datetime.now(UTC)
                box = stock_life.given(connection, kit_id, patient_id, by=self._actor, at=now)
                if box is not None and box.thigh_sensor and box.shank_sensor:
                    told = AllowSensors(do="sensors", thigh=box.thigh_sensor, shank=box.shank_sensor)
                    down.queue(connection, kit_id, told, actor=self._actor, now=now)
                detail = {"patient_id": str(patient_id), "since": since.isoformat(), "side": side}
                self._note_kit(connection, Action.KIT_BOUND, kit_id, detail)

    def unbind_kit(self, kit_id: str, *, at: datetime) -> None:
        """Take a kit back: what it captures from that moment on belongs to nobody.

        Raises:
            UsageError: nobody has the kit at that moment, or it was given to somebody later.
        """
        with store_errors(), self._writer.begin() as connection:
            admin.unbind_kit(connection, kit_id, at=at)
            stock_life.taken(connection, kit_id, by=self._actor, at=datetime.now(UTC))
            self._note_kit(connection, Action.KIT_UNBOUND, kit_id, {"at": at.isoformat()})

    def rederive(self) -> None:
        """Make all derived tables again from records and bindings, in one transaction."""
        with store_errors(), self._writer.begin() as connection:
            admin.rederive(connection)
            self._note(connection, HOME_CLINIC, Action.REDERIVED, ("store", "book"))

    def void_record(self, record_id: UUID, reason: str, by: str) -> bool:
        """Strike out a session or a check-in: it stays in the book, is shown as struck out, and never counts.

        Args:
            record_id: the record.
            reason: why, as staff enter it; it goes to the audit log.
            by: who, as in the audit log (``operator:LOGIN``).

        Returns:
            Whether it was not struck out by staff before.

        Raises:
            UsageError: no reason, or no such session or check-in.
        """
        with store_errors(), self._writer.begin() as connection:
            return admin.void_record(connection, record_id, reason, by)

    def remove_expired(self, before: datetime, *, actor: str, told: Callable[[int], None] = lambda _: None) -> Expired:
        """Remove what was received before a moment, in transactions of a slice each; see ``retention``."""
        with store_errors():
            return remove_expired(self._writer, before, actor=actor, told=told)

    def _note_kit(
        self,
        connection: Connection,
        action: Action,
        kit_id: str,
        detail: Mapping[str, str | None] = MappingProxyType({}),
    ) -> None:
        clinic_id = connection.execute(select(KITS.c.clinic_id).where(KITS.c.kit_id == kit_id)).scalar_one()
        self._note(connection, clinic_id, action, ("kit", kit_id), detail)

    def _note(
        self,
        connection: Connection,
        clinic_id: UUID,
        action: Action,
        subject: tuple[str, str],
        detail: Mapping[str, str | None] = MappingProxyType({}),
    ) -> None:
        audit_log.append(connection, [Entry(clinic_id, self._actor, action, *subject, detail=detail)])

    def accounts(
        self, key: bytes, *, lifetimes: "Lifetimes | None" = None, passwords: "Passwords | None" = None
    ) -> "Accounts":
        """Give who may use the clinic's pages; the key is ``pages.key`` of the clinic's folder, see ``accounts``."""
        from gonio.cloud_sink.accounts import Accounts  # noqa: PLC0415 - only the pages need its libraries

        return Accounts(self._engine, key, lifetimes=lifetimes, passwords=passwords)

    def of_clinic(self, clinic_id: UUID) -> "ClinicBook":
        """Give the book as one clinic may read it."""
        from gonio.cloud_sink.clinic_book import ClinicBook  # noqa: PLC0415 - it is made of this

        return ClinicBook(self, self._engine, clinic_id)

    # --- reading ---

    @property
    def ledger(self) -> Ledger:
        """The data days of patients, and what is behind each."""
        return Ledger(self._reader)

    @property
    def said(self) -> Said:
        """What patients have said beside sessions, and what was struck out."""
        return Said(self._reader)

    def expired(self, before: datetime) -> Expired:
        """Say what was received before a moment, and would be removed."""
        with store_errors(), self._reader.connect() as connection:
            return expired(connection, before)

    def patients(self) -> list[PatientRow]:
        """Give all patients by name."""
        with store_errors(), self._reader.connect() as connection:
            rows = connection.execute(_patients().order_by(PATIENTS.c.name, PATIENTS.c.patient_id))
            return [PatientRow(*row) for row in rows]

    def patient(self, patient_id: UUID) -> PatientRow | None:
        """Give one patient, or None."""
        with store_errors(), self._reader.connect() as connection:
            row = connection.execute(_patients().where(PATIENTS.c.patient_id == patient_id)).first()
            return None if row is None else PatientRow(*row)

    def sessions(self, patient_id: UUID, *, limit: int = 100, before: datetime | None = None) -> list[SessionRow]:
        """Give a patient's sessions, newest first, those captured before a moment."""
        query = (
            _sessions()
            .where(SESSIONS.c.patient_id == patient_id)
            .order_by(SESSIONS.c.started_at.desc(), SESSIONS.c.record_id.desc())
            .limit(limit)
        )
        if before is not None:
            query = query.where(SESSIONS.c.started_at < before)
        with store_errors(), self._reader.connect() as connection:
            return [_session_row(row) for row in connection.execute(query)]

    def session(self, record_id: UUID) -> SessionRow | None:
        """Give one session, or None."""
        with store_errors(), self._reader.connect() as connection:
            row = connection.execute(_sessions().where(SESSIONS.c.record_id == record_id)).first()
            return None if row is None else _session_row(row)

    def quarantine(self, *, limit: int = 100) -> list[QuarantineRow]:
        """Give what was refused, newest first."""
        columns = QUARANTINE.c
        query = (
            select(
                columns.topic_kit,
                columns.record_id,
                columns.reason,
                columns.content,
                columns.content_bytes,
                columns.last_received_at,
                columns.times,
            )
            .order_by(columns.last_received_at.desc(), columns.quarantine_id)
            .limit(limit)
        )
        with store_errors(), self._reader.connect() as connection:
            return [QuarantineRow(*row) for row in connection.execute(query)]

    @property
    def proof(self) -> Proof:
        """What the book can say for itself: whether it is complete, kit by kit, and its audit log unchanged."""
        return Proof(self._reader)

    def audit(self) -> Audit:
        """Say whether the book is complete."""
        return self.proof.audit()


def _patients() -> Select[Any]:
    """Ask for patients, each with the number and the newest of the sessions: looked up one by one in their index."""
    theirs = (SESSIONS.c.patient_id == PATIENTS.c.patient_id, SESSIONS.c.voided.is_(False))
    return select(
        PATIENTS.c.patient_id,
        PATIENTS.c.name,
        PATIENTS.c.time_zone,
        select(func.count()).where(*theirs).scalar_subquery(),
        select(func.max(SESSIONS.c.started_at)).where(*theirs).scalar_subquery(),
    )


def _sessions() -> Select[Any]:
    return select(
        SESSIONS.c.record_id,
        SESSIONS.c.patient_id,
        SESSIONS.c.kit_id,
        RECORDS.c.captured_at,
        RECORDS.c.received_at,
        SESSIONS.c.clock,
        RECORDS.c.payload,
        SESSIONS.c.started_at,
        SESSIONS.c.voided,
    ).join_from(SESSIONS, RECORDS, SESSIONS.c.record_id == RECORDS.c.record_id)


def _session_row(row: Row[Any]) -> SessionRow:
    return SessionRow(
        row.record_id,
        row.patient_id,
        row.kit_id,
        in_force(row.captured_at, row.started_at),
        row.received_at,
        row.clock,
        SessionSummary.model_validate_json(row.payload),
        row.voided,
    )
