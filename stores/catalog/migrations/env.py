"""Alembic's entry: upgrades over the connection that stores.catalog.alembic_runner hands in."""

from alembic import context
from sqlalchemy import Connection, text

connection: Connection = context.config.attributes["connection"]
# Two starting at once wait for each other; the second finds nothing left to do. Executing also
# begins the transaction that the steps' scripts then run in.
connection.execute(text("SELECT pg_advisory_xact_lock(hashtextextended('vigil-migrate', 0))"))
context.configure(connection=connection, transaction_per_migration=False)
with context.begin_transaction():
    context.run_migrations()
