"""Tables of the time-series projection: who is registered, what waits, where each record's points stand.

Revision 0005, after 0004.
"""

import sqlalchemy as sa
from alembic import op

from gonio.cloud_sink.schema import UtcDateTime

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Take the step."""
    op.create_table(
        "projections",
        sa.Column("projection", sa.String(64), nullable=False),
        sa.Column("clinic_id", sa.Uuid(), nullable=False),
        sa.Column("target", sa.String(500), nullable=False),
        sa.Column("stage", sa.String(16), nullable=False),
        sa.Column("filled_to", sa.Uuid(), nullable=True),
        sa.Column("registered_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("projection"),
        sa.ForeignKeyConstraint(["clinic_id"], ["clinics.clinic_id"]),
    )
    op.create_table(
        "projection_queue",
        sa.Column("projection", sa.String(64), nullable=False),
        sa.Column("record_id", sa.Uuid(), nullable=False),
        sa.Column("clinic_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("ticket", sa.Uuid(), nullable=False),
        sa.Column("due_at", UtcDateTime(), nullable=True),
        sa.Column("reason", sa.String(500), nullable=True),
        sa.Column("content", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("projection", "record_id"),
    )
    op.create_index(None, "projection_queue", ["projection", "due_at"])
    op.create_table(
        "projection_places",
        sa.Column("projection", sa.String(64), nullable=False),
        sa.Column("record_id", sa.Uuid(), nullable=False),
        sa.Column("clinic_id", sa.Uuid(), nullable=False),
        sa.Column("kit_id", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("place", sa.LargeBinary(16), nullable=False),
        sa.Column("first_ns", sa.BigInteger(), nullable=False),
        sa.Column("last_ns", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("projection", "record_id"),
    )
    op.create_index(None, "projection_places", ["projection", "kit_id", "first_ns"])
