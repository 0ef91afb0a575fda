"""The version of the database's schema, and its migration to the version that is needed."""

from dataclasses import dataclass

from stores.catalog.partitions import fill_chunk_days, fill_footage_days
from stores.catalog.pool import Catalog

# Importing Alembic and SQLAlchemy takes longer than all other imports of a worker, and no worker
# migrates. So alembic_runner.py is imported only when it is needed.


@dataclass(frozen=True, slots=True)
class SchemaStatus:
    """The version that the database has (None: no schema yet) and the one the program needs."""

    current: str | None
    needed: str

    @property
    def up_to_date(self) -> bool:
        """Whether no migration is needed."""
        return self.current == self.needed

    @property
    def is_newer(self) -> bool:
        """Whether a newer program has migrated the database. Versions are numbers."""
        current = self.current or ""
        numbers = current.isdecimal() and self.needed.isdecimal()
        return numbers and int(current) > int(self.needed)


async def schema_status(dsn: str) -> SchemaStatus:
    """Return the schema's version; StoreError where the database does not answer."""
    from stores.catalog import alembic_runner  # noqa: PLC0415

    return await alembic_runner.schema_status(dsn)


async def migrate(dsn: str, schema: str | None = None) -> SchemaStatus:
    """Migrate the schema to the newest version in one transaction; return its version.

    Without `schema`, the DSN decides which one. A named schema is created where it is missing.
    A schema that is newer is left as it is: programs of one version before work with it, so that a
    return to them can run their migration too.
    Raises StoreError where the database does not answer, where it has an unknown version, or where
    a step fails; then nothing has changed.
    """
    from stores.catalog import alembic_runner  # noqa: PLC0415

    status = await alembic_runner.migrate(dsn, schema)
    if status.is_newer:
        return status
    async with Catalog(dsn, size=1, schema=schema) as catalog:
        await fill_chunk_days(catalog)
        await fill_footage_days(catalog)
    return status
