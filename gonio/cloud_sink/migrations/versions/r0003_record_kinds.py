"""Tables for every kind of record, voids and repaired clocks.

Revision 0003, after 0002. Check-ins and the other kinds that a book of before has are derived when their kit's records
next are (``Store.rederive``): until this revision no kit sent any.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.schema import SchemaItem

from gonio.cloud_sink.schema import UtcDateTime

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Take the step."""
    _kits_and_records()
    _check_ins()
    _said()
    _voids()
    _clocks()


def _owner() -> list[SchemaItem]:
    return [
        sa.Column("clinic_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(["clinic_id"], ["clinics.clinic_id"]),
    ]


def _kit() -> list[SchemaItem]:
    return [
        sa.Column("kit_id", sa.String(64), nullable=False),
        sa.ForeignKeyConstraint(["kit_id"], ["kits.kit_id"]),
    ]


def _of_record() -> list[SchemaItem]:
    return [
        sa.Column("record_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(["record_id"], ["records.record_id"]),
        sa.PrimaryKeyConstraint("record_id"),
        *_owner(),
    ]


def _patient() -> list[SchemaItem]:
    return [
        sa.Column("patient_id", sa.Uuid(), nullable=True),
        sa.ForeignKeyConstraint(["patient_id"], ["patients.patient_id"]),
    ]


def _when() -> list[SchemaItem]:
    return [
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("clock", sa.String(16), nullable=False),
    ]


def _who() -> list[SchemaItem]:
    return [
        sa.Column("said_by", sa.String(16), nullable=False),
        sa.Column("author", sa.String(16), nullable=False),
    ]


def _kits_and_records() -> None:
    for name in ("has_voids", "has_unsynchronised"):
        op.add_column("kits", sa.Column(name, sa.Boolean(), nullable=False, server_default=sa.false()))
    op.execute(
        "UPDATE kits SET has_unsynchronised = true "
        "WHERE kit_id IN (SELECT kit_id FROM records WHERE clock = 'unsynchronised')"
    )
    op.drop_index("ix_records_kit_id_captured_utc", "records")
    op.create_index(None, "records", ["kit_id", "boot_id", "monotonic_ns"])
    unsynchronised = sa.text("clock = 'unsynchronised'")
    op.create_index(
        "ix_records_unsynchronised",
        "records",
        ["kit_id", "boot_id", "monotonic_ns"],
        sqlite_where=unsynchronised,
        postgresql_where=unsynchronised,
    )
    op.add_column("sessions", sa.Column("clock", sa.String(16), nullable=False, server_default="synchronised"))
    op.add_column("sessions", sa.Column("voided", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.execute(
        "UPDATE sessions SET clock = 'unsynchronised' "
        "WHERE record_id IN (SELECT record_id FROM records WHERE clock = 'unsynchronised')"
    )
    op.drop_index("ix_sessions_patient_id_started_at", "sessions")
    op.create_index(None, "sessions", ["patient_id", "started_at", "voided"])
    op.add_column("day_entries", sa.Column("counts", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.execute(
        "UPDATE day_entries SET counts = true WHERE kind = 'session' AND source = 'sensor' AND clock = 'synchronised'"
    )
    op.drop_index("ix_day_entries_patient_id_local_date", "day_entries")
    op.create_index(None, "day_entries", ["patient_id", "local_date", "counts"])


def _check_ins() -> None:
    op.create_table(
        "check_ins",
        *_of_record(),
        *_kit(),
        *_patient(),
        *_when(),
        sa.Column("voided", sa.Boolean(), nullable=False),
        *_who(),
        sa.Column("about", sa.Date(), nullable=True),
        sa.Column("follows", sa.Uuid(), nullable=True),
        sa.Column("sitting_id", sa.Uuid(), nullable=True),
        sa.Column("pain_before", sa.Integer(), nullable=True),
        sa.Column("pain_during", sa.Integer(), nullable=True),
        sa.Column("pain_after", sa.Integer(), nullable=True),
        sa.Column("effort", sa.Integer(), nullable=True),
        sa.Column("stop_reason", sa.String(16), nullable=True),
        sa.Column("urgent", sa.Boolean(), nullable=False),
    )
    op.create_index(None, "check_ins", ["patient_id", "at"])


def _said() -> None:
    op.create_table(
        "patient_messages",
        *_of_record(),
        *_kit(),
        *_patient(),
        *_when(),
        *_who(),
        sa.Column("answers", sa.Uuid(), nullable=True),
        sa.Column("about", sa.Uuid(), nullable=True),
        sa.Column("ask", sa.Boolean(), nullable=False),
    )
    op.create_index(None, "patient_messages", ["patient_id", "at"])
    op.create_table("preferences", *_of_record(), *_kit(), *_patient(), *_when())
    op.create_index(None, "preferences", ["patient_id", "at"])


def _voids() -> None:
    op.create_table(
        "voids",
        *_of_record(),
        *_kit(),
        sa.Column("target", sa.Uuid(), nullable=False),
        *_when(),
        *_who(),
        sa.Column("reason", sa.String(16), nullable=False),
    )
    op.create_index(None, "voids", ["target"])
    op.create_table(
        "staff_voids",
        *_of_record(),
        sa.Column("reason", sa.String(500), nullable=False),
        sa.Column("voided_by", sa.String(128), nullable=False),
        sa.Column("voided_at", UtcDateTime(), nullable=False),
    )


def _clocks() -> None:
    op.create_table(
        "boot_clocks",
        *_kit(),
        sa.Column("boot_id", sa.Uuid(), nullable=False),
        *_owner(),
        sa.Column("monotonic_ns", sa.BigInteger(), nullable=False),
        sa.Column("captured_utc", UtcDateTime(), nullable=False),
        sa.Column("record_id", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("kit_id", "boot_id"),
    )
    op.create_table(
        "clock_repairs",
        *_of_record(),
        *_kit(),
        sa.Column("outcome", sa.String(16), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=True),
        sa.Column("evidence_id", sa.Uuid(), nullable=False),
        sa.Column("apart_s", sa.Double(), nullable=False),
        sa.Column("other_id", sa.Uuid(), nullable=True),
        sa.Column("disagree_s", sa.Double(), nullable=True),
    )
