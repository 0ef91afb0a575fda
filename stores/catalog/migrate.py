"""Asking for the version of the database's schema, and bringing it to the one that is needed."""

from dataclasses import dataclass

# Alembic and SQLAlchemy take longer to import than all else of a worker, and no worker migrates:
# they are imported when they are needed (stores/catalog/alembic_runner.py).


@dataclass(frozen=True, slots=True)
class SchemaStatus:
    """Which version the database has (None: none yet) and which one the program needs."""

    current: str | None
    needed: str

    @property
    def up_to_date(self) -> bool:
        """Whether nothing is left to do."""
        return self.current == self.needed


async def schema_status(dsn: str) -> SchemaStatus:
    """Return the schema's version; StoreError where the database cannot be asked."""
    from stores.catalog import alembic_runner  # noqa: PLC0415

    return await alembic_runner.schema_status(dsn)


async def migrate(dsn: str, schema: str | None = None) -> SchemaStatus:
    """Bring the schema up to date, in one transaction, and return its version.

    Without a `schema`, that of the address; one that is named is made where it is absent.
    StoreError where the database cannot be reached, or has a version this program does not know.
    """
    from stores.catalog import alembic_runner  # noqa: PLC0415

    return await alembic_runner.migrate(dsn, schema)
