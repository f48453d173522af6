"""Where each box is, what became of it, and the codes by which kits are claimed.

Revision 0009, after 0008.
"""

import sqlalchemy as sa
from alembic import op

from gonio.cloud_sink.schema import UtcDateTime

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "stock",
        sa.Column("item_id", sa.Uuid(), nullable=False),
        sa.Column("clinic_id", sa.Uuid(), nullable=False),
        sa.Column("label", sa.String(200), nullable=False),
        sa.Column("serial", sa.String(100), nullable=False),
        sa.Column("kit_id", sa.String(64), nullable=True),
        sa.Column("state", sa.String(24), nullable=False),
        sa.Column("thigh_sensor", sa.String(64), nullable=True),
        sa.Column("shank_sensor", sa.String(64), nullable=True),
        sa.Column("changed_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("item_id"),
        sa.ForeignKeyConstraint(["clinic_id"], ["clinics.clinic_id"]),
        sa.ForeignKeyConstraint(["kit_id"], ["kits.kit_id"]),
        sa.UniqueConstraint("kit_id"),
    )
    op.create_index(None, "stock", ["clinic_id", "state"])
    op.create_table(
        "kit_life",
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("clinic_id", sa.Uuid(), nullable=False),
        sa.Column("item_id", sa.Uuid(), nullable=False),
        sa.Column("state", sa.String(24), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("by", sa.String(128), nullable=False),
        sa.Column("reason", sa.String(500), nullable=False),
        sa.Column("patient_id", sa.Uuid(), nullable=True),
        sa.PrimaryKeyConstraint("event_id"),
        sa.ForeignKeyConstraint(["clinic_id"], ["clinics.clinic_id"]),
        sa.ForeignKeyConstraint(["item_id"], ["stock.item_id"]),
        sa.ForeignKeyConstraint(["patient_id"], ["patients.patient_id"]),
    )
    op.create_index(None, "kit_life", ["item_id", "at"])
    op.create_table(
        "kit_claims",
        sa.Column("claim_id", sa.Uuid(), nullable=False),
        sa.Column("clinic_id", sa.Uuid(), nullable=False),
        sa.Column("item_id", sa.Uuid(), nullable=False),
        sa.Column("code_hash", sa.LargeBinary(32), nullable=False),
        sa.Column("made_at", UtcDateTime(), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
        sa.Column("made_by", sa.String(128), nullable=False),
        sa.Column("used_at", UtcDateTime(), nullable=True),
        sa.Column("kit_id", sa.String(64), nullable=True),
        sa.Column("key_id", sa.String(64), nullable=True),
        sa.PrimaryKeyConstraint("claim_id"),
        sa.ForeignKeyConstraint(["clinic_id"], ["clinics.clinic_id"]),
        sa.ForeignKeyConstraint(["item_id"], ["stock.item_id"]),
        sa.UniqueConstraint("code_hash"),
    )
    op.create_index(None, "kit_claims", ["item_id"])
