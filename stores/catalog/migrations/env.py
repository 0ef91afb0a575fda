"""Alembic's entry: upgrades over the connection that stores.catalog.alembic_runner hands in."""

from alembic import context
from alembic.runtime.migration import MigrationInfo
from sqlalchemy import Connection, text

connection: Connection = context.config.attributes["connection"]
# Two starting at once wait for each other; the second finds nothing left to do. Executing also
# begins the transaction that the steps' scripts then run in.
connection.execute(text("SELECT pg_advisory_xact_lock(hashtextextended('vigil-migrate', 0))"))


def note_step(ctx: object, step: MigrationInfo, heads: object, run_args: object) -> None:
    """Remember a step that succeeded, to name the one that fails."""
    context.config.attributes["done"].append(step.up_revision_id)


context.configure(
    connection=connection, transaction_per_migration=False, on_version_apply=note_step
)
with context.begin_transaction():
    context.run_migrations()
