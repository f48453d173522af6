"""Tables for what the clinic sends to kits: its outboxes, the records, the kits' receipts, what is asked for again.

Revision 0004, after 0003.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.schema import SchemaItem

from gonio.cloud_sink.schema import UtcDateTime

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Take the step."""
    op.create_table(
        "down_outboxes",
        *_kit_and_clinic(),
        sa.Column("outbox_id", sa.Uuid(), nullable=False),
        sa.Column("last_sequence", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("kit_id"),
    )
    op.create_table(
        "down_records",
        sa.Column("record_id", sa.Uuid(), nullable=False),
        *_kit_and_clinic(),
        sa.Column("outbox_id", sa.Uuid(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("created_at", sa.String(40), nullable=False),
        sa.Column("schema_version", sa.Integer(), nullable=False),
        sa.Column("key_id", sa.String(64), nullable=True),
        sa.Column("signature", sa.String(256), nullable=True),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("times", sa.Integer(), nullable=False),
        sa.Column("sent_at", UtcDateTime(), nullable=True),
        sa.Column("next_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("record_id"),
        sa.UniqueConstraint("outbox_id", "sequence"),
    )
    op.create_index(None, "down_records", ["next_at"])
    op.create_index(None, "down_records", ["kit_id", "created_at"])
    op.create_table(
        "down_receipts",
        sa.Column("record_id", sa.Uuid(), nullable=False),
        *_kit_and_clinic(),
        sa.Column("of", sa.Uuid(), nullable=False),
        sa.Column("of_kind", sa.String(32), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("reason", sa.String(500), nullable=True),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("received_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("record_id"),
        sa.ForeignKeyConstraint(["record_id"], ["records.record_id"]),
    )
    op.create_index(None, "down_receipts", ["kit_id", "of"])
    op.create_table(
        "recalls",
        *_kit_and_clinic(),
        sa.Column("outbox_id", sa.Uuid(), nullable=False),
        sa.Column("ranges", sa.Text(), nullable=False),
        sa.Column("times", sa.Integer(), nullable=False),
        sa.Column("next_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("kit_id", "outbox_id"),
    )


def _kit_and_clinic() -> list[SchemaItem]:
    return [
        sa.Column("kit_id", sa.String(64), nullable=False),
        sa.Column("clinic_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(["kit_id"], ["kits.kit_id"]),
        sa.ForeignKeyConstraint(["clinic_id"], ["clinics.clinic_id"]),
    ]
