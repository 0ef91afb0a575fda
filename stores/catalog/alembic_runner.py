"""Migrate the database's schema with Alembic.

Importing this module is slow: other modules use stores/catalog/migrate.py.
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
from stores.catalog import row_security
from stores.catalog.errors import error_text, first_line
from stores.catalog.migrate import SchemaStatus
from stores.catalog.pool import search_path

_DATABASE_ERRORS = (
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
    # asyncpg parses the DSN here too, so it means the same as in the pool.
    return create_async_engine(
        "postgresql+asyncpg://",
        async_creator=lambda: asyncpg.connect(dsn, timeout=10, server_settings=search_path(schema)),
    )


def _current(connection: Connection) -> SchemaStatus:
    heads = ScriptDirectory.from_config(_config()).get_current_head()
    current = MigrationContext.configure(connection).get_current_revision()
    return SchemaStatus(current, heads or "")


def _upgrade(connection: Connection, revision: str, before: str | None) -> None:
    config = _config()
    done: list[str] = []
    config.attributes |= {"connection": connection, "done": done}
    try:
        command.upgrade(config, revision)
    except (SQLAlchemyError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise StoreError(_failed(error, done[-1] if done else before, before)) from error


async def schema_status(dsn: str) -> SchemaStatus:
    """Return the schema's version; StoreError where the database does not answer."""
    engine = _engine(dsn)
    try:
        async with engine.connect() as connection:
            return await connection.run_sync(_current)
    except _DATABASE_ERRORS as error:
        raise StoreError(_unreachable(error)) from error
    finally:
        await engine.dispose()


async def migrate(dsn: str, schema: str | None = None, revision: str = "head") -> SchemaStatus:
    """Migrate the schema to the newest version in one transaction; return its version.

    Without `schema`, the DSN decides which one. A named schema is created where it is missing.
    `revision` is an earlier version for a test of upgrades. A newer schema is left as it is.
    Raises StoreError where the database does not answer, where it has an unknown version, or where
    a step fails.
    """
    engine = _engine(dsn, schema)
    try:
        async with engine.begin() as connection:
            if schema is not None:
                await connection.execute(CreateSchema(schema, if_not_exists=True))
            before = await connection.run_sync(_current)
            if revision == "head" and before.is_newer:
                return before
            await connection.run_sync(_upgrade, revision, before.current)
            if revision == "head":
                driver = (await connection.get_raw_connection()).driver_connection
                assert driver is not None
                await row_security.apply(driver)
        async with engine.connect() as connection:
            return await connection.run_sync(_current)
    except CommandError as error:
        raise StoreError(
            f"The catalog cannot be migrated: {error}. Check whether a newer program is in use."
        ) from error
    except _DATABASE_ERRORS as error:
        raise StoreError(_unreachable(error)) from error
    finally:
        await engine.dispose()


def _failed(error: Exception, last: str | None, before: str | None) -> str:
    step = f"after version {last}" if last else "from an empty database"
    return (
        f"The catalog cannot be migrated: the step {step} failed ({first_line(error)}). Nothing "
        f"was changed: the schema is at version {before or 'none'}. Correct the cause, then run "
        "`vigil catalog migrate` again."
    )


def _unreachable(error: Exception) -> str:
    if isinstance(error, PermissionError | FileNotFoundError) and error.filename is not None:
        return (
            f"The migration {error.filename} cannot be read: {error.strerror}. The catalog is "
            "unchanged. Install this version of Vigil again, then migrate."
        )
    return f"The catalog cannot be reached. {error_text(error)}"
