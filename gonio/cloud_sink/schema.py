"""The tables of the clinic's book.

Two sorts of table. *Evidence* (``records``, ``quarantine``, ``kit_health``) keeps what kits sent, as they sent it.
*Derived* (``sessions``, ``day_entries``, and what ``schema_kinds.DERIVED`` names) is computed from evidence and
bindings in the transaction that changes either, and can be made again from them at any time; ``repetitions`` is a view
of the sessions' payloads. Every table has ``clinic_id``. Types are those that SQLite and PostgreSQL share. A change
here needs a migration beside it; a test compares the two.
"""

from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Dialect,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    Uuid,
    false,
)


class UtcDateTime(TypeDecorator[datetime]):
    """A moment: aware in Python, kept in UTC; SQLite, which knows no zones, holds it without one."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Turn an aware moment into UTC, as the database wants it."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("the book keeps aware moments only")
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - SQLAlchemy's signature
        """Give the moment back, aware, in UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


#: The last of the migrations: what an up-to-date store says it is.
REVISION: Final = "0010"

METADATA: Final = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)


#: The clinic that every store has from its first migration; a kit that nobody has registered is its kit.
HOME_CLINIC: Final = UUID("00000000-0000-7000-8000-000000000001")


def _clinic() -> Column[object]:
    return Column("clinic_id", Uuid, ForeignKey("clinics.clinic_id"), nullable=False)


CLINICS: Final = Table(
    "clinics",
    METADATA,
    Column("clinic_id", Uuid, primary_key=True),
    Column("name", String(200), nullable=False),
    Column("time_zone", String(64), nullable=False),
)

KITS: Final = Table(
    "kits",
    METADATA,
    Column("kit_id", String(64), primary_key=True),
    _clinic(),
    Column("label", String(200), nullable=False),
    Column("first_seen_at", UtcDateTime, nullable=False),
    # of records by which others are to be read; once set it stays, and most kits never have one
    Column("has_voids", Boolean, nullable=False, server_default=false()),
    Column("has_unsynchronised", Boolean, nullable=False, server_default=false()),
)

PATIENTS: Final = Table(
    "patients",
    METADATA,
    Column("patient_id", Uuid, primary_key=True),
    _clinic(),
    Column("name", String(200), nullable=False),
    Column("time_zone", String(64), nullable=False),
    Column("added_at", UtcDateTime, nullable=False),
)

#: Who had which kit: from (inclusive) to (exclusive; null is still). A kit's bindings never overlap.
KIT_BINDINGS: Final = Table(
    "kit_bindings",
    METADATA,
    Column("binding_id", Uuid, primary_key=True),
    _clinic(),
    Column("kit_id", String(64), ForeignKey("kits.kit_id"), nullable=False),
    Column("patient_id", Uuid, ForeignKey("patients.patient_id"), nullable=False),
    Column("side", String(8), nullable=True),
    Column("bound_from", UtcDateTime, nullable=False),
    Column("bound_to", UtcDateTime, nullable=True),
    Index(None, "kit_id", "bound_from"),
)

RECORDS: Final = Table(
    "records",
    METADATA,
    Column("record_id", Uuid, primary_key=True),
    _clinic(),
    Column("kit_id", String(64), ForeignKey("kits.kit_id"), nullable=False),
    Column("outbox_id", Uuid, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("kind", String(32), nullable=False),
    Column("captured_at", String(40), nullable=False),  # as sent, with the offset in force at capture
    Column("captured_utc", UtcDateTime, nullable=False),
    Column("received_at", UtcDateTime, nullable=False),
    Column("boot_id", Uuid, nullable=False),
    Column("monotonic_ns", BigInteger, nullable=False),
    Column("clock", String(16), nullable=False),
    Column("schema_version", Integer, nullable=False),
    Column("key_id", String(64), nullable=True),
    Column("signature", String(256), nullable=True),
    Column("payload", Text, nullable=False),  # the very text that the kit stored and signed
    Column("content_hash", LargeBinary(32), nullable=False),  # SHA-256 of Envelope.signed_bytes()
    Index(None, "kit_id", "boot_id", "monotonic_ns"),
)

#: Few rows: the records whose clock may yet be repaired.
Index(
    "ix_records_unsynchronised",
    RECORDS.c.kit_id,
    RECORDS.c.boot_id,
    RECORDS.c.monotonic_ns,
    sqlite_where=RECORDS.c.clock == "unsynchronised",
    postgresql_where=RECORDS.c.clock == "unsynchronised",
)

#: The newest ``health`` of each kit.
KIT_HEALTH: Final = Table(
    "kit_health",
    METADATA,
    Column("kit_id", String(64), ForeignKey("kits.kit_id"), primary_key=True),
    _clinic(),
    Column("record_id", Uuid, nullable=False),
    Column("as_of", UtcDateTime, nullable=False),  # captured where the clock was synchronised, else received
    Column("received_at", UtcDateTime, nullable=False),
    Column("boot_id", Uuid, nullable=False),
    Column("monotonic_ns", BigInteger, nullable=False),
    Column("captured_at", String(40), nullable=False),
    Column("clock", String(16), nullable=False),
    Column("payload", Text, nullable=False),
)

#: What could not be accepted: its bytes (the first QUARANTINE_BYTES of them), why, and how often it came.
QUARANTINE: Final = Table(
    "quarantine",
    METADATA,
    Column("quarantine_id", Uuid, primary_key=True),
    _clinic(),
    Column("topic_kit", String(64), nullable=False),  # "" where the topic was no kit's
    Column("record_id", Uuid, nullable=True),
    Column("outbox_id", Uuid, nullable=True),
    Column("sequence", BigInteger, nullable=True),
    Column("reason", String(500), nullable=False),
    Column("content", LargeBinary, nullable=False),
    Column("content_bytes", BigInteger, nullable=False),
    Column("content_hash", LargeBinary(32), nullable=False),
    Column("first_received_at", UtcDateTime, nullable=False),
    Column("last_received_at", UtcDateTime, nullable=False),
    Column("times", Integer, nullable=False),
    UniqueConstraint("topic_kit", "content_hash"),
)

SESSIONS: Final = Table(
    "sessions",
    METADATA,
    Column("record_id", Uuid, ForeignKey("records.record_id"), primary_key=True),
    _clinic(),
    Column("kit_id", String(64), ForeignKey("kits.kit_id"), nullable=False),
    Column("patient_id", Uuid, ForeignKey("patients.patient_id"), nullable=True),
    Column("sitting_id", Uuid, nullable=False),
    Column("exercise", String(48), nullable=False),
    Column("side", String(8), nullable=False),
    Column("source", String(16), nullable=False),
    Column("started_at", UtcDateTime, nullable=False),  # the moment in force: as captured, or as repaired
    Column("clock", String(16), nullable=False),  # synchronised, repaired, unsynchronised
    Column("voided", Boolean, nullable=False),
    Column("duration_s", Double, nullable=False),
    Column("interrupted", Boolean, nullable=False),
    Column("rep_count", Integer, nullable=False),
    Column("max_flexion_deg", Double, nullable=True),
    Column("min_flexion_deg", Double, nullable=True),
    Column("ok_fraction", Double, nullable=False),
    Index(None, "patient_id", "started_at", "voided"),
    Index(None, "kit_id", "started_at"),
)

#: The ledger of days with data: one row for each session or check-in of a known patient that is not struck out.
DAY_ENTRIES: Final = Table(
    "day_entries",
    METADATA,
    Column("record_id", Uuid, ForeignKey("records.record_id"), primary_key=True),
    _clinic(),
    Column("patient_id", Uuid, ForeignKey("patients.patient_id"), nullable=False),
    Column("kit_id", String(64), ForeignKey("kits.kit_id"), nullable=False),
    Column("local_date", Date, nullable=False),  # of capture, in the patient's time zone
    Column("kind", String(32), nullable=False),
    Column("source", String(16), nullable=False),  # sensor, simulated, recording, self-report
    Column("clock", String(16), nullable=False),  # synchronised, repaired, unsynchronised
    Column("counts", Boolean, nullable=False),  # it makes its date a data day, see ``ledger``
    Column("received_at", UtcDateTime, nullable=False),
    Index(None, "patient_id", "local_date", "counts"),
)
