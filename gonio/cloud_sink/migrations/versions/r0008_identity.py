"""Keys and certificates of kits.

Revision 0008, after 0007.
"""

import sqlalchemy as sa
from alembic import op

from gonio.cloud_sink.schema import UtcDateTime

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "kit_keys",
        sa.Column("key_id", sa.String(64), nullable=False),
        sa.Column("clinic_id", sa.Uuid(), nullable=False),
        sa.Column("kit_id", sa.String(64), nullable=False),
        sa.Column("public_key", sa.LargeBinary(), nullable=False),
        sa.Column("request", sa.Text(), nullable=True),
        sa.Column("certificate", sa.Text(), nullable=True),
        sa.Column("serial", sa.String(64), nullable=True),
        sa.Column("not_before", UtcDateTime(), nullable=True),
        sa.Column("not_after", UtcDateTime(), nullable=True),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("issued_at", UtcDateTime(), nullable=False),
        sa.Column("ended_at", UtcDateTime(), nullable=True),
        sa.Column("reason", sa.String(500), nullable=False),
        sa.PrimaryKeyConstraint("key_id"),
        sa.ForeignKeyConstraint(["clinic_id"], ["clinics.clinic_id"]),
        sa.ForeignKeyConstraint(["kit_id"], ["kits.kit_id"]),
    )
    op.create_index(None, "kit_keys", ["kit_id", "state"])
    op.create_index(None, "kit_keys", ["serial"])
