"""The catalog's connection pool: transactions, advisory locks, daily partitions, and its SQL.

The statements are in sql/, one file for each noun. `-- name: x` starts statement x. A line
`-- include: y` is replaced by statement y, which several others share.
"""

import asyncio
import contextlib
import json
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from contextvars import ContextVar, Token
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import TracebackType
from typing import Any, Self, TypeVar

import asyncpg

from domain.errors import InvalidEventError, StoreError, VigilError
from stores.catalog.errors import CONNECTION_ERRORS, error_text
from stores.timing import record_call

log = logging.getLogger(__name__)

DAY_MS = 86_400_000
CLOSE_TIMEOUT_S = 5.0
"""How long to wait for connections to close. A server that does not answer must not block us."""
NO_TRANSACTION = "`together` only reads: end it before a transaction begins."

Connection = asyncpg.pool.PoolConnectionProxy
Row = asyncpg.Record
T = TypeVar("T")

_NAME = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)
_INCLUDE = re.compile(r"^-- include: (\w+)$", re.MULTILINE)


@cache
def statements() -> dict[str, str]:
    """Return all statements by name, as they are written: includes are not replaced."""
    found: dict[str, str] = {}
    for file in files("stores.catalog.sql").iterdir():
        if file.name.endswith(".sql"):
            _, *parts = _NAME.split(file.read_text(encoding="utf-8"))
            for name, text in zip(parts[::2], parts[1::2], strict=True):
                assert name not in found, f"sql/{file.name}: {name} is defined twice"
                found[name] = text.rstrip()
    return found


@cache
def sql(name: str) -> str:
    """Return the statement with this name; KeyError where there is none."""
    text = statements()[name]
    while _INCLUDE.search(text):  # an included statement may include others
        text = _INCLUDE.sub(lambda include: statements()[include[1]], text)
    _names[text] = name
    return text


_names: dict[str, str] = {}
"""Text of a statement -> its name, for the call metrics."""


def _record_query(query: Any) -> None:
    """Record how long a statement took, under its name or, without one, its first word."""
    name = _names.get(query.query) or query.query.split(None, 1)[0].strip(";").lower()[:20]
    outcome = "ok" if query.exception is None else "failed"
    record_call("postgresql", name, outcome, query.elapsed)


_NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")


def _json(value: object) -> str:
    """Return JSON without NUL characters: PostgreSQL cannot store them."""
    return _NUL.sub(r"\1", json.dumps(value))


async def _init_connection(connection: asyncpg.Connection) -> None:
    connection.add_query_logger(_record_query)
    for kind in ("json", "jsonb"):
        await connection.set_type_codec(
            kind, schema="pg_catalog", encoder=_json, decoder=json.loads
        )


@cache
def _warn_of_missing_role(role: str) -> None:
    """Log it once a process."""
    log.warning(
        "PostgreSQL does not let this process become %s: it has the rights of its own user. "
        "Run `vigil catalog migrate`; `vigil catalog roles` says what it needs.",
        role,
    )


def search_path(schema: str | None) -> dict[str, str]:
    """Return the server settings that make a connection use a schema's tables."""
    return {} if schema is None else {"search_path": schema}


@dataclass(frozen=True, slots=True)
class _Shared:
    """The connection of `together`. A task that was started inside has its own ones."""

    catalog: "Catalog"
    connection: Connection
    task: asyncio.Task[Any] | None
    tenants: str
    """Whose rows it shows; see WebCatalog."""


_shared: ContextVar[_Shared | None] = ContextVar("shared", default=None)


def mapped_error(error: BaseException) -> VigilError | None:
    """Return what the catalog raises for an error of the driver; None: the error itself."""
    if isinstance(error, asyncpg.CheckViolationError):  # a day without its partition
        return StoreError(f"The catalog has no partition for a row. {error_text(error)}")
    if isinstance(error, asyncpg.DataError | asyncpg.IntegrityConstraintViolationError):
        return InvalidEventError(f"catalog: a row was rejected: {str(error)[:400]}")
    if isinstance(error, CONNECTION_ERRORS):
        return StoreError(f"The catalog did not answer. {error_text(error)}")
    return None


class Catalog:
    """A pool of at most `size` connections to the catalog. Use it as an async context manager.

    With `schema`, it uses the catalog in that schema. Without it, the DSN decides.
    """

    plan_cache_mode = "force_custom_plan"
    """A generic plan locks each day that exists, a custom plan only those it reads."""

    def __init__(
        self, dsn: str, *, size: int = 4, schema: str | None = None, role: str | None = None
    ) -> None:
        """`role`: of stores/catalog/row_security.py; see there what it may do.

        Where the DSN's user may not become it, the user's own rights count, and the log says that.
        """
        self._dsn = dsn
        self._size = size
        self._schema = schema
        self._role = role
        self._pool: asyncpg.Pool | None = None
        self._days: set[tuple[str, int]] = set()

    async def __aenter__(self) -> Self:
        """Connect. Raises StoreError where that fails."""
        try:
            self._pool = await asyncpg.create_pool(
                self._dsn,
                min_size=1,
                max_size=self._size,
                init=self._init_connection,
                timeout=10,
                command_timeout=60,
                server_settings={
                    "plan_cache_mode": self.plan_cache_mode,
                    **search_path(self._schema),
                },
                **self._pool_options(),
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
        # A server that is gone cannot confirm: the connections are dropped then.
        with contextlib.suppress(*CONNECTION_ERRORS):
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await self._pool.close()

    async def _init_connection(self, connection: asyncpg.Connection) -> None:
        await _init_connection(connection)
        if self._role is None:
            return
        process_id = connection.get_server_pid()
        if await connection.fetchval(sql("take_role"), self._role, process_id) is None:
            _warn_of_missing_role(self._role)

    def _pool_options(self) -> dict[str, Any]:
        """Return more options of the pool."""
        return {}

    def transaction(self) -> AbstractAsyncContextManager[Connection]:
        """Yield a connection inside a transaction; an exception rolls it back.

        Raises StoreError where PostgreSQL does not answer: try again. Raises InvalidEventError
        where PostgreSQL rejects a row: another try would fail too.
        """
        if self._shared_connection() is not None:
            raise RuntimeError(NO_TRANSACTION)
        return self._transaction()

    def reading(self) -> AbstractAsyncContextManager[Connection]:
        """Yield a connection on which each statement is a transaction of its own.

        For single statements: it saves two round trips. Raises what `transaction` raises.
        """
        if (shared := self._shared_connection()) is not None:
            return nullcontext(shared)
        return self._acquired()

    def share(self, connection: Connection) -> Token[_Shared | None]:
        """Let this task read with a connection; returns what undoes it."""
        task = asyncio.current_task()
        return _shared.set(_Shared(self, connection, task, self._visible_tenants()))

    def _shared_connection(self) -> Connection | None:
        """Return the connection of the `together` that this code runs in."""
        shared = _shared.get()
        if shared is None or shared.catalog is not self:
            return None
        if shared.task is not asyncio.current_task():
            return None
        if shared.tenants != self._visible_tenants():
            raise RuntimeError("`together` reads for the same tenants throughout.")
        return shared.connection

    def _visible_tenants(self) -> str:
        """Return whose rows a connection shows. Here: everyone's."""
        return ""

    @asynccontextmanager
    async def _acquired(self) -> AsyncIterator[Connection]:
        if self._pool is None:
            raise StoreError("The catalog is not open.")
        try:
            async with self._pool.acquire(timeout=30) as connection:
                yield connection
        except Exception as error:
            if (mapped := mapped_error(error)) is None:
                raise
            raise mapped from error

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[Connection]:
        async with self._acquired() as connection, connection.transaction():
            yield connection

    def together(self) -> AbstractAsyncContextManager[None]:
        """Read with one connection inside: no statement waits for another one.

        Each reads the newest state, as without it. Nothing inside may begin a transaction.
        """
        return _Together(self)

    @asynccontextmanager
    async def try_advisory_lock(self, name: str) -> AsyncIterator[bool]:
        """Take the session-level advisory lock `name` of this catalog; yield whether we have it.

        Does not wait: yields False where another session has it.
        """
        if self._pool is None:
            raise StoreError("The catalog is not open.")
        try:
            # The lock belongs to the session. asyncpg releases it with the connection.
            async with self._pool.acquire(timeout=30) as connection:
                yield bool(await connection.fetchval(sql("advisory_lock"), name))
        except CONNECTION_ERRORS as error:
            raise StoreError(f"The catalog did not answer. {error_text(error)}") from error

    async def rows(self, name: str, *values: object) -> list[Row]:
        """Return all rows of the statement `name`."""
        async with self.reading() as connection:
            found: list[Row] = await connection.fetch(sql(name), *values)
            return found

    async def row(self, name: str, *values: object) -> Row | None:
        """Return the first row of the statement `name`, or None."""
        async with self.reading() as connection:
            return await connection.fetchrow(sql(name), *values)

    async def schema_exists(self) -> bool:
        """Return whether the catalog's tables exist. Raises StoreError where it does not answer."""
        return await self.row("schema_exists") is not None

    async def write_days(
        self,
        days: dict[str, Iterable[int]],
        work: Callable[[Connection], Awaitable[T]],
    ) -> T:
        """Run `work` in one transaction, once the partitions for `days` exist.

        `days` lists, by table, times (UTC ms) that are in the days needed. Where a partition was
        dropped since, it is created again and `work` runs a second time.
        """
        wanted = {(table, ms - ms % DAY_MS) for table, times in days.items() for ms in times}
        await self._ensure_partitions(wanted - self._days)
        try:
            async with self.transaction() as connection:
                return await work(connection)
        except StoreError as error:
            if not isinstance(error.__cause__, asyncpg.CheckViolationError):
                raise
        await self._ensure_partitions(wanted)
        async with self.transaction() as connection:
            return await work(connection)

    async def _ensure_partitions(self, wanted: set[tuple[str, int]]) -> None:
        for table, day in sorted(wanted):
            async with self.transaction() as connection:
                await connection.execute("SELECT ensure_day($1, $2)", table, day)
            self._days.add((table, day))


class _Together(AbstractAsyncContextManager[None]):
    """A class: generators would be a tenth of a short request."""

    __slots__ = ("_catalog", "_reading", "_token")

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._reading = catalog.reading()

    async def __aenter__(self) -> None:
        connection = await self._reading.__aenter__()
        self._token = self._catalog.share(connection)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> bool | None:
        _shared.reset(self._token)
        return await self._reading.__aexit__(kind, error, tb)


async def lock_cameras(connection: Connection, what: str, cameras: Iterable[str]) -> None:
    """Take the advisory locks for `what` ("footage", "detections") of cameras.

    The transaction's end releases them. They are taken in one order, so there is no deadlock.
    """
    await connection.execute(sql("lock_cameras"), what, sorted(set(cameras)))


def to_json(models: Sequence[Any]) -> list[dict[str, Any]]:
    """Return events as the JSON that the statements read."""
    return [model.model_dump(mode="json") for model in models]
