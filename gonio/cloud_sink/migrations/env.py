"""What Alembic runs to take the steps: on the connection that ``open_store`` gives, within its one transaction."""

from alembic import context

from gonio.cloud_sink.schema_all import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    transactional_ddl=True,  # SQLite can, once the driver does not begin and commit by itself
)
with context.begin_transaction():
    context.run_migrations()
