"""Bringing the database's schema to the version this program needs, by Alembic.

stores/catalog/migrate.py is how others come here: importing this takes as long as a worker.
"""

from pathlib import Path

import asyncpg
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.schema import CreateSchema

from domain.errors import StoreError
from stores.catalog.errors import error_text
from stores.catalog.migrate import SchemaStatus
from stores.catalog.pool import search_path

_REFUSED = (
    OSError,
    TimeoutError,
    SQLAlchemyError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
)


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    return config


def _engine(dsn: str, schema: str | None = None) -> AsyncEngine:
    # asyncpg reads the address itself, so that it means the same here as for the pool.
    return create_async_engine(
        "postgresql+asyncpg://",
        async_creator=lambda: asyncpg.connect(dsn, timeout=10, server_settings=search_path(schema)),
    )


def _current(connection: Connection) -> SchemaStatus:
    heads = ScriptDirectory.from_config(_config()).get_current_head()
    current = MigrationContext.configure(connection).get_current_revision()
    return SchemaStatus(current, heads or "")


def _upgrade(connection: Connection, revision: str) -> None:
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


async def schema_status(dsn: str) -> SchemaStatus:
    """Return the schema's version; StoreError where the database cannot be asked."""
    engine = _engine(dsn)
    try:
        async with engine.connect() as connection:
            return await connection.run_sync(_current)
    except _REFUSED as error:
        raise StoreError(_unreachable(error)) from error
    finally:
        await engine.dispose()


async def migrate(dsn: str, schema: str | None = None, revision: str = "head") -> SchemaStatus:
    """Bring the schema up to date, in one transaction, and return its version.

    Without a `schema`, that of the address; one that is named is made where it is absent.
    `revision` is an earlier version for a test of upgrades.
    StoreError where the database cannot be reached, or has a version this program does not know.
    """
    engine = _engine(dsn, schema)
    try:
        async with engine.begin() as connection:
            if schema is not None:
                await connection.execute(CreateSchema(schema, if_not_exists=True))
            await connection.run_sync(_upgrade, revision)
        async with engine.connect() as connection:
            return await connection.run_sync(_current)
    except CommandError as error:
        raise StoreError(
            f"The catalog cannot be migrated: {error}. Is a newer program in use?"
        ) from error
    except _REFUSED as error:
        raise StoreError(_unreachable(error)) from error
    finally:
        await engine.dispose()


def _unreachable(error: Exception) -> str:
    return f"The catalog cannot be reached. {error_text(error)}"
