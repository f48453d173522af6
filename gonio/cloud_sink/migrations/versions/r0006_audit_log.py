"""The audit log: rows that are only ever added, and each clinic's last one.

Revision 0006, after 0005.
"""

import sqlalchemy as sa
from alembic import op

from gonio.cloud_sink.schema import UtcDateTime

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

SQLITE = (
    """CREATE TRIGGER audit_log_keeps_rows BEFORE UPDATE ON audit_log
BEGIN SELECT RAISE(ABORT, 'the audit log is only ever added to'); END""",
    """CREATE TRIGGER audit_log_keeps_all_rows BEFORE DELETE ON audit_log
BEGIN SELECT RAISE(ABORT, 'the audit log is only ever added to'); END""",
    """CREATE TRIGGER audit_heads_stay BEFORE DELETE ON audit_heads
BEGIN SELECT RAISE(ABORT, 'the head of an audit log only moves forward'); END""",
    """CREATE TRIGGER audit_heads_move_forward BEFORE UPDATE ON audit_heads
WHEN NEW.number <= OLD.number OR NEW.clinic_id <> OLD.clinic_id
BEGIN SELECT RAISE(ABORT, 'the head of an audit log only moves forward'); END""",
)

POSTGRESQL = (
    """CREATE FUNCTION refuse_audit_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'the audit log is only ever added to, and its head only moves forward'; END $$""",
    """CREATE TRIGGER audit_log_keeps_rows BEFORE UPDATE OR DELETE ON audit_log
FOR EACH ROW EXECUTE FUNCTION refuse_audit_change()""",
    """CREATE TRIGGER audit_log_keeps_all_rows BEFORE TRUNCATE ON audit_log
FOR EACH STATEMENT EXECUTE FUNCTION refuse_audit_change()""",
    """CREATE TRIGGER audit_heads_stay BEFORE DELETE ON audit_heads
FOR EACH ROW EXECUTE FUNCTION refuse_audit_change()""",
    """CREATE TRIGGER audit_heads_all_stay BEFORE TRUNCATE ON audit_heads
FOR EACH STATEMENT EXECUTE FUNCTION refuse_audit_change()""",
    """CREATE TRIGGER audit_heads_move_forward BEFORE UPDATE ON audit_heads
FOR EACH ROW WHEN (NEW.number <= OLD.number OR NEW.clinic_id <> OLD.clinic_id)
EXECUTE FUNCTION refuse_audit_change()""",
)


def upgrade() -> None:
    """Take the step."""
    op.create_table(
        "audit_log",
        sa.Column("clinic_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("actor", sa.String(128), nullable=False),
        sa.Column("action", sa.String(64), nullable=False),
        sa.Column("subject_kind", sa.String(32), nullable=False),
        sa.Column("subject_id", sa.String(128), nullable=False),
        sa.Column("reason", sa.String(500), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("previous_hash", sa.LargeBinary(32), nullable=False),
        sa.Column("row_hash", sa.LargeBinary(32), nullable=False),
        sa.ForeignKeyConstraint(["clinic_id"], ["clinics.clinic_id"]),
        sa.PrimaryKeyConstraint("clinic_id", "number"),
    )
    op.create_table(
        "audit_heads",
        sa.Column("clinic_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("row_hash", sa.LargeBinary(32), nullable=False),
        sa.ForeignKeyConstraint(["clinic_id"], ["clinics.clinic_id"]),
        sa.PrimaryKeyConstraint("clinic_id"),
    )
    for statement in SQLITE if op.get_context().dialect.name == "sqlite" else POSTGRESQL:
        op.get_bind().exec_driver_sql(statement)
