"""The catalog's connections: transactions, days of partitions, errors in Vigil's words."""

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from functools import lru_cache
from importlib.resources import files
from types import TracebackType
from typing import Any, Self, TypeVar

import asyncpg

from domain.errors import InvalidEventError, StoreError
from stores.catalog.errors import CONNECTION_ERRORS, error_text
from stores.timing import record_call

DAY_MS = 86_400_000
CLOSE_TIMEOUT_S = 5.0
"""How long connections may take to end: a server that is not heard does not keep us."""

Connection = asyncpg.pool.PoolConnectionProxy
Row = asyncpg.Record
T = TypeVar("T")


_PART = re.compile(r"^-- part: (part_\w+)$", re.MULTILINE)


@lru_cache
def sql(name: str) -> str:
    """Return the statement that stands in sql/<name>.sql.

    A line `-- part: part_x` stands for what sql/part_x.sql says, which several statements share.
    """
    text = _PART.sub(lambda found: _text(found[1]), _text(name))
    _names[text] = name
    return text


def _text(name: str) -> str:
    return files("stores.catalog.sql").joinpath(f"{name}.sql").read_text(encoding="utf-8").rstrip()


_names: dict[str, str] = {}
"""Statement -> name of its file, for the timing."""


def _timed(query: Any) -> None:
    """Tell how long a statement took, under its file's name or its first word."""
    name = _names.get(query.query) or query.query.split(None, 1)[0].strip(";").lower()[:20]
    outcome = "ok" if query.exception is None else "failed"
    record_call("postgresql", name, outcome, query.elapsed)


_NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")


def _json(value: object) -> str:
    """Return JSON without NUL characters, which PostgreSQL does not store."""
    return _NUL.sub(r"\1", json.dumps(value))


async def _prepare(connection: asyncpg.Connection) -> None:
    connection.add_query_logger(_timed)
    for kind in ("json", "jsonb"):
        await connection.set_type_codec(
            kind, schema="pg_catalog", encoder=_json, decoder=json.loads
        )


def search_path(schema: str | None) -> dict[str, str]:
    """Return what a connection is told so that it finds the tables of a schema."""
    return {} if schema is None else {"search_path": schema}


class Catalog:
    """A pool of at most `size` connections to the catalog. Use as an async context manager.

    With a `schema`, the catalog is the one that stands in it, else that of the address.
    """

    def __init__(self, dsn: str, *, size: int = 4, schema: str | None = None) -> None:
        self._dsn, self._size, self._schema = dsn, size, schema
        self._pool: asyncpg.Pool | None = None
        self._days: set[tuple[str, int]] = set()

    async def __aenter__(self) -> Self:
        """Connect; StoreError where that fails."""
        try:
            self._pool = await asyncpg.create_pool(
                self._dsn,
                min_size=1,
                max_size=self._size,
                init=_prepare,
                timeout=10,
                command_timeout=60,
                server_settings=search_path(self._schema),
            )
        except (ValueError, *CONNECTION_ERRORS) as error:
            raise StoreError(f"The catalog cannot be reached. {error_text(error)}") from error
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        if self._pool is None:
            return
        with contextlib.suppress(*CONNECTION_ERRORS):  # whom it cannot bid farewell to it leaves
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await self._pool.close()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """Yield a connection inside a transaction.

        Raises StoreError where PostgreSQL does not answer (try again), InvalidEventError where it
        refuses what is written: that would fail again.
        """
        if self._pool is None:
            raise StoreError("The catalog is not open.")
        try:
            async with self._pool.acquire(timeout=30) as connection, connection.transaction():
                yield connection
        except (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError) as error:
            if isinstance(error, asyncpg.CheckViolationError):  # a day without its partition
                raise StoreError(
                    f"The catalog has no place for a row. {error_text(error)}"
                ) from error
            raise InvalidEventError(f"catalog: a row is refused: {str(error)[:400]}") from error
        except CONNECTION_ERRORS as error:
            raise StoreError(f"The catalog did not answer. {error_text(error)}") from error

    @asynccontextmanager
    async def try_advisory_lock(self, what: str) -> AsyncIterator[bool]:
        """Hold `what` of this catalog for as long as it takes; yields False where another does."""
        if self._pool is None:
            raise StoreError("The catalog is not open.")
        try:
            async with self._pool.acquire(timeout=30) as connection:  # what it holds goes with it
                yield bool(await connection.fetchval(sql("alone"), what))
        except CONNECTION_ERRORS as error:
            raise StoreError(f"The catalog did not answer. {error_text(error)}") from error

    async def rows(self, name: str, *values: object) -> list[Row]:
        """Return all rows of the statement in sql/<name>.sql."""
        async with self.transaction() as connection:
            found: list[Row] = await connection.fetch(sql(name), *values)
            return found

    async def row(self, name: str, *values: object) -> Row | None:
        """Return the first row of the statement in sql/<name>.sql, or None."""
        async with self.transaction() as connection:
            return await connection.fetchrow(sql(name), *values)

    async def write_days(
        self,
        days: dict[str, Iterable[int]],
        work: Callable[[Connection], Awaitable[T]],
    ) -> T:
        """Run `work` in one transaction once the partitions for `days` exist.

        `days` names, by table, any times (UTC ms) that fall in the days needed. A day that was
        dropped after it was made here is made again.
        """
        wanted = {(table, ms - ms % DAY_MS) for table, times in days.items() for ms in times}
        await self._ensure(wanted - self._days)
        try:
            async with self.transaction() as connection:
                return await work(connection)
        except StoreError as error:
            if not isinstance(error.__cause__, asyncpg.CheckViolationError):
                raise
        await self._ensure(wanted)
        async with self.transaction() as connection:
            return await work(connection)

    async def _ensure(self, wanted: set[tuple[str, int]]) -> None:
        for table, day in sorted(wanted):
            async with self.transaction() as connection:
                await connection.execute("SELECT ensure_day($1, $2)", table, day)
            self._days.add((table, day))


async def lock_cameras(connection: Connection, what: str, cameras: Iterable[str]) -> None:
    """Hold `what` of the cameras for this transaction, in one order, so that nobody deadlocks."""
    await connection.execute(sql("lock_cameras"), what, sorted(set(cameras)))


def to_json(models: Sequence[Any]) -> list[dict[str, Any]]:
    """Return events as the JSON that the statements read."""
    return [model.model_dump(mode="json") for model in models]
