"""The first book: clinics, kits, patients, bindings; records, health, quarantine; sessions, repetitions, day entries.

Revision 0001, after nothing.
"""

import uuid

import sqlalchemy as sa
from alembic import op
from sqlalchemy.schema import SchemaItem

from gonio.cloud_sink.schema import UtcDateTime

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

#: The clinic that every store has; kits that nobody has registered are its kits.
HOME_CLINIC = uuid.UUID("00000000-0000-7000-8000-000000000001")


def upgrade() -> None:
    """Take the step."""
    _people_and_kits()
    _evidence()
    _derived()


def _clinic() -> list[SchemaItem]:
    return [
        sa.Column("clinic_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(["clinic_id"], ["clinics.clinic_id"]),
    ]


def _kit() -> list[SchemaItem]:
    return [
        sa.Column("kit_id", sa.String(64), nullable=False),
        sa.ForeignKeyConstraint(["kit_id"], ["kits.kit_id"]),
    ]


def _patient(*, nullable: bool = False) -> list[SchemaItem]:
    return [
        sa.Column("patient_id", sa.Uuid(), nullable=nullable),
        sa.ForeignKeyConstraint(["patient_id"], ["patients.patient_id"]),
    ]


def _record() -> list[SchemaItem]:
    return [
        sa.Column("record_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(["record_id"], ["records.record_id"]),
    ]


def _people_and_kits() -> None:
    clinics = op.create_table(
        "clinics",
        sa.Column("clinic_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("time_zone", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("clinic_id"),
    )
    op.bulk_insert(clinics, [{"clinic_id": HOME_CLINIC, "name": "Clinic", "time_zone": "UTC"}])
    op.create_table(
        "kits",
        sa.Column("kit_id", sa.String(64), nullable=False),
        *_clinic(),
        sa.Column("label", sa.String(200), nullable=False),
        sa.Column("first_seen_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("kit_id"),
    )
    op.create_table(
        "patients",
        sa.Column("patient_id", sa.Uuid(), nullable=False),
        *_clinic(),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("time_zone", sa.String(64), nullable=False),
        sa.Column("added_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("patient_id"),
    )
    op.create_table(
        "kit_bindings",
        sa.Column("binding_id", sa.Uuid(), nullable=False),
        *_clinic(),
        *_kit(),
        *_patient(),
        sa.Column("side", sa.String(8), nullable=True),
        sa.Column("bound_from", UtcDateTime(), nullable=False),
        sa.Column("bound_to", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("binding_id"),
    )
    op.create_index(None, "kit_bindings", ["kit_id", "bound_from"])


def _evidence() -> None:
    op.create_table(
        "records",
        sa.Column("record_id", sa.Uuid(), nullable=False),
        *_clinic(),
        *_kit(),
        sa.Column("outbox_id", sa.Uuid(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("captured_at", sa.String(40), nullable=False),
        sa.Column("captured_utc", UtcDateTime(), nullable=False),
        sa.Column("received_at", UtcDateTime(), nullable=False),
        sa.Column("boot_id", sa.Uuid(), nullable=False),
        sa.Column("monotonic_ns", sa.BigInteger(), nullable=False),
        sa.Column("clock", sa.String(16), nullable=False),
        sa.Column("schema_version", sa.Integer(), nullable=False),
        sa.Column("key_id", sa.String(64), nullable=True),
        sa.Column("signature", sa.String(256), nullable=True),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("content_hash", sa.LargeBinary(32), nullable=False),
        sa.PrimaryKeyConstraint("record_id"),
    )
    op.create_index(None, "records", ["kit_id", "captured_utc"])
    op.create_table(
        "kit_health",
        *_kit(),
        *_clinic(),
        sa.Column("record_id", sa.Uuid(), nullable=False),
        sa.Column("as_of", UtcDateTime(), nullable=False),
        sa.Column("received_at", UtcDateTime(), nullable=False),
        sa.Column("boot_id", sa.Uuid(), nullable=False),
        sa.Column("monotonic_ns", sa.BigInteger(), nullable=False),
        sa.Column("captured_at", sa.String(40), nullable=False),
        sa.Column("clock", sa.String(16), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("kit_id"),
    )
    op.create_table(
        "quarantine",
        sa.Column("quarantine_id", sa.Uuid(), nullable=False),
        *_clinic(),
        sa.Column("topic_kit", sa.String(64), nullable=False),
        sa.Column("record_id", sa.Uuid(), nullable=True),
        sa.Column("outbox_id", sa.Uuid(), nullable=True),
        sa.Column("sequence", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.String(500), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("content_bytes", sa.BigInteger(), nullable=False),
        sa.Column("content_hash", sa.LargeBinary(32), nullable=False),
        sa.Column("first_received_at", UtcDateTime(), nullable=False),
        sa.Column("last_received_at", UtcDateTime(), nullable=False),
        sa.Column("times", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("quarantine_id"),
        sa.UniqueConstraint("topic_kit", "content_hash"),
    )


def _derived() -> None:
    op.create_table(
        "sessions",
        *_record(),
        *_clinic(),
        *_kit(),
        *_patient(nullable=True),
        sa.Column("sitting_id", sa.Uuid(), nullable=False),
        sa.Column("exercise", sa.String(48), nullable=False),
        sa.Column("side", sa.String(8), nullable=False),
        sa.Column("source", sa.String(16), nullable=False),
        sa.Column("started_at", UtcDateTime(), nullable=False),
        sa.Column("duration_s", sa.Double(), nullable=False),
        sa.Column("interrupted", sa.Boolean(), nullable=False),
        sa.Column("rep_count", sa.Integer(), nullable=False),
        sa.Column("max_flexion_deg", sa.Double(), nullable=True),
        sa.Column("min_flexion_deg", sa.Double(), nullable=True),
        sa.Column("ok_fraction", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("record_id"),
    )
    op.create_index(None, "sessions", ["patient_id", "started_at"])
    op.create_index(None, "sessions", ["kit_id", "started_at"])
    op.create_table(
        "repetitions",
        *_record(),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        *_clinic(),
        sa.Column("start_s", sa.Double(), nullable=False),
        sa.Column("peak_s", sa.Double(), nullable=False),
        sa.Column("end_s", sa.Double(), nullable=False),
        sa.Column("signal", sa.String(8), nullable=False),
        sa.Column("peak_flexion_deg", sa.Double(), nullable=True),
        sa.Column("min_flexion_deg", sa.Double(), nullable=True),
        sa.Column("rom_deg", sa.Double(), nullable=False),
        sa.Column("measured", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("record_id", "number"),
    )
    op.create_table(
        "day_entries",
        *_record(),
        *_clinic(),
        *_patient(),
        *_kit(),
        sa.Column("local_date", sa.Date(), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("source", sa.String(16), nullable=False),
        sa.Column("clock", sa.String(16), nullable=False),
        sa.Column("received_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("record_id"),
    )
    op.create_index(None, "day_entries", ["patient_id", "local_date"])
