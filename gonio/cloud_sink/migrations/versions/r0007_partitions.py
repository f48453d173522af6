"""The places of records get a table of their own, and PostgreSQL keeps records in a part for each month.

Revision 0007, after 0006. Nothing is lost: what is there is copied, in one transaction. A book in an SQLite file that
is older than this revision keeps the key on (outbox_id, sequence) that its ``records`` were made with, which costs it
some room and nothing else.
"""

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

from gonio.cloud_sink.partitions import make_parts

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Take the step."""
    op.create_table(
        "record_places",
        sa.Column("outbox_id", sa.Uuid(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("clinic_id", sa.Uuid(), nullable=False),
        sa.Column("kit_id", sa.String(64), nullable=False),
        sa.Column("record_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(["clinic_id"], ["clinics.clinic_id"], name="fk_record_places_clinic_id_clinics"),
        sa.PrimaryKeyConstraint("outbox_id", "sequence", name="pk_record_places"),
        sqlite_with_rowid=False,
    )
    connection = op.get_bind()
    connection.exec_driver_sql(
        "INSERT INTO record_places (outbox_id, sequence, clinic_id, kit_id, record_id) "
        "SELECT outbox_id, sequence, clinic_id, kit_id, record_id FROM records"
    )
    if connection.dialect.name == "postgresql":
        _cut(connection)


def _cut(connection: sa.Connection) -> None:
    """Put a partitioned table in the place of ``records``: what refers to it and what stands on it comes along."""
    references = connection.exec_driver_sql(
        "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint "
        "WHERE contype = 'f' AND confrelid = 'records'::regclass ORDER BY 1, 2"
    ).all()
    own = connection.exec_driver_sql(
        "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint "
        "WHERE contype IN ('f', 'p') AND conrelid = 'records'::regclass ORDER BY 1"
    ).all()
    indexes = connection.exec_driver_sql(
        "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'records' AND schemaname = current_schema() "
        "AND indexname NOT IN (SELECT conname FROM pg_constraint WHERE conrelid = 'records'::regclass) ORDER BY 1"
    ).all()
    (repetitions,) = connection.exec_driver_sql("SELECT pg_get_viewdef('repetitions'::regclass)").one()
    connection.exec_driver_sql("DROP VIEW repetitions")
    for table, name, _ in references:
        connection.exec_driver_sql(f'ALTER TABLE {table} DROP CONSTRAINT "{name}"')
    connection.exec_driver_sql("ALTER TABLE records RENAME TO records_uncut")
    connection.exec_driver_sql(
        "CREATE TABLE records (LIKE records_uncut INCLUDING DEFAULTS) PARTITION BY RANGE (record_id)"
    )
    connection.exec_driver_sql("CREATE TABLE records_other PARTITION OF records DEFAULT")
    make_parts(connection, datetime.now(UTC))
    connection.exec_driver_sql("INSERT INTO records SELECT * FROM records_uncut")
    connection.exec_driver_sql("DROP TABLE records_uncut")
    for name, definition in own:
        connection.exec_driver_sql(f'ALTER TABLE records ADD CONSTRAINT "{name}" {definition}')
    for _, definition in indexes:
        connection.exec_driver_sql(definition)
    for table, name, definition in references:
        connection.exec_driver_sql(f'ALTER TABLE {table} ADD CONSTRAINT "{name}" {definition}')
    connection.exec_driver_sql(f"CREATE VIEW repetitions AS {repetitions}")
