"""The tables of what each kind of record says beside sessions, of what is struck out, and of repaired clocks.

``staff_voids`` and ``boot_clocks`` are evidence; the others are derived. What is only to be read (notes, symptoms,
exercises done by hand, texts, reminders) stays in the records' payloads and is not repeated here.
"""

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    Double,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Uuid,
)

from gonio.cloud_sink.schema import DAY_ENTRIES, METADATA, SESSIONS, UtcDateTime
from gonio.cloud_sink.schema_down import DOWN_RECEIPTS


def _record() -> Column[object]:
    return Column("record_id", Uuid, ForeignKey("records.record_id"), primary_key=True)


def _clinic() -> Column[object]:
    return Column("clinic_id", Uuid, ForeignKey("clinics.clinic_id"), nullable=False)


def _kit() -> Column[object]:
    return Column("kit_id", String(64), ForeignKey("kits.kit_id"), nullable=False)


def _patient() -> Column[object]:
    return Column("patient_id", Uuid, ForeignKey("patients.patient_id"), nullable=True)


#: What patients say of themselves, or a simulator says for one that is none.
CHECK_INS: Final = Table(
    "check_ins",
    METADATA,
    _record(),
    _clinic(),
    _kit(),
    _patient(),
    Column("at", UtcDateTime, nullable=False),  # the moment in force, as sessions.started_at
    Column("clock", String(16), nullable=False),
    Column("voided", Boolean, nullable=False),
    Column("said_by", String(16), nullable=False),  # person, simulated
    Column("author", String(16), nullable=False),  # patient, caregiver
    Column("about", Date, nullable=True),
    Column("follows", Uuid, nullable=True),
    Column("sitting_id", Uuid, nullable=True),
    Column("pain_before", Integer, nullable=True),
    Column("pain_during", Integer, nullable=True),
    Column("pain_after", Integer, nullable=True),
    Column("effort", Integer, nullable=True),
    Column("stop_reason", String(16), nullable=True),
    Column("urgent", Boolean, nullable=False),
    Index(None, "patient_id", "at"),
)

PATIENT_MESSAGES: Final = Table(
    "patient_messages",
    METADATA,
    _record(),
    _clinic(),
    _kit(),
    _patient(),
    Column("at", UtcDateTime, nullable=False),
    Column("clock", String(16), nullable=False),
    Column("said_by", String(16), nullable=False),
    Column("author", String(16), nullable=False),
    Column("answers", Uuid, nullable=True),
    Column("about", Uuid, nullable=True),
    Column("ask", Boolean, nullable=False),
    Index(None, "patient_id", "at"),
)

#: One row for each; the one in force is ``reading.newest_preference``.
PREFERENCES: Final = Table(
    "preferences",
    METADATA,
    _record(),
    _clinic(),
    _kit(),
    _patient(),
    Column("at", UtcDateTime, nullable=False),
    Column("clock", String(16), nullable=False),
    Index(None, "patient_id", "at"),
)

#: What the patient's side strikes out; ``target`` may come later than the void, or never.
VOIDS: Final = Table(
    "voids",
    METADATA,
    _record(),
    _clinic(),
    _kit(),
    Column("target", Uuid, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("clock", String(16), nullable=False),
    Column("said_by", String(16), nullable=False),
    Column("author", String(16), nullable=False),
    Column("reason", String(16), nullable=False),
    Index(None, "target"),
)

#: What the clinic's staff strike out.
STAFF_VOIDS: Final = Table(
    "staff_voids",
    METADATA,
    _record(),  # which is struck out
    _clinic(),
    Column("reason", String(500), nullable=False),
    Column("voided_by", String(128), nullable=False),  # as in the audit log
    Column("voided_at", UtcDateTime, nullable=False),
)

#: When a kit's clock was right in a boot, as its health reports say (they are not kept): the first such moment.
BOOT_CLOCKS: Final = Table(
    "boot_clocks",
    METADATA,
    Column("kit_id", String(64), ForeignKey("kits.kit_id"), primary_key=True),
    Column("boot_id", Uuid, primary_key=True),
    _clinic(),
    Column("monotonic_ns", BigInteger, nullable=False),
    Column("captured_utc", UtcDateTime, nullable=False),
    Column("record_id", Uuid, nullable=False),  # of the health report
)

#: What is known of the true moment of a record whose clock was not synchronised; see ``clock_repair``.
CLOCK_REPAIRS: Final = Table(
    "clock_repairs",
    METADATA,
    _record(),
    _clinic(),
    _kit(),
    Column("outcome", String(16), nullable=False),  # repaired; conflict: there is evidence, but it is not to be trusted
    Column("at", UtcDateTime, nullable=True),  # the true moment; null in a conflict
    Column("evidence_id", Uuid, nullable=False),  # the synchronised record that is nearest in monotonic time
    Column("apart_s", Double, nullable=False),  # from that record to this one, in monotonic time: negative is before
    Column("other_id", Uuid, nullable=True),  # the nearest on the other side, where there is one
    Column("disagree_s", Double, nullable=True),  # by how much the two disagree
)

#: Derived tables, in an order in which they may be emptied.
DERIVED: Final = (
    DAY_ENTRIES,
    SESSIONS,
    CHECK_INS,
    PATIENT_MESSAGES,
    PREFERENCES,
    VOIDS,
    DOWN_RECEIPTS,
    CLOCK_REPAIRS,
)
