"""The catalog as the web sees it: PostgreSQL shows only the rows of some tenants.

request ──► visible_tenants(…) ──► transaction: BEGIN; become vigil_web; set vigil.tenants

The three are one round trip. Without `visible_tenants`, a transaction sees no row of any tenant.
"""

import contextlib
import logging
import re
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from types import TracebackType
from typing import Any

import asyncpg

from domain.errors import InvalidIdError, StoreError
from domain.identity import SLUG
from stores.catalog.errors import CONNECTION_ERRORS
from stores.catalog.pool import Catalog, Connection, mapped_error, sql
from stores.catalog.row_security import SETTING, WEB
from stores.fair_queue import FairQueue

log = logging.getLogger(__name__)

ALL_TENANTS = "*"
_TENANTS = re.compile(rf"\*|{SLUG}")
_visible: ContextVar[str] = ContextVar("vigil_tenants", default="")
CHECK_EVERY_S = 5.0
WAIT_S = 30.0
"""How long a transaction waits for a connection."""


@contextmanager
def visible_tenants(tenants: Iterable[str]) -> Iterator[None]:
    """Show the rows of these tenants to the transactions that begin inside. None: no rows.

    `*` shows all tenants: for the installation's own principals, and for reads of no principal.
    Raises InvalidIdError where one is not a tenant's id.
    """
    given = sorted(set(tenants))
    for tenant in given:
        if not _TENANTS.fullmatch(tenant):
            raise InvalidIdError(f"{tenant!r} is not a tenant.")
    token = _visible.set(ALL_TENANTS if ALL_TENANTS in given else ",".join(given))
    try:
        yield
    finally:
        _visible.reset(token)


def all_tenants() -> contextlib.AbstractContextManager[None]:
    """Show all rows: for authentication, and for what the process itself reads."""
    return visible_tenants((ALL_TENANTS,))


def visible_now() -> str:
    """Return the tenants whose rows are visible now, as the setting has them."""
    return _visible.get()


class WebCatalog(Catalog):
    """A pool whose transactions run as vigil_web, for the tenants of `visible_tenants`.

    Where the roles or the policies are missing, it works as the owner until they exist, and logs
    that. With `required`, it raises StoreError instead.
    """

    def __init__(self, dsn: str, *, size: int = 4, required: bool = False) -> None:
        super().__init__(dsn, size=size)
        self._required = required
        self._queue = FairQueue(size)
        self._is_checked: bool | None = None
        self._asked_s = 0.0

    def _pool_options(self) -> dict[str, Any]:
        # A transaction's role and setting end with it: nothing has to be reset afterwards.
        return {"reset": _reset_nothing}

    def transaction(self) -> AbstractAsyncContextManager[Connection]:
        """Yield a connection inside a transaction. Tenants that wait for one take turns."""
        if (shared := self._shared_connection()) is not None:
            return nullcontext(shared)
        if self._pool is None:
            raise StoreError("The catalog is not open.")
        return _WebTransaction(self, self._pool, self._queue)

    async def begin(self, connection: Connection, tenants: str) -> None:
        """Begin a transaction for these tenants: slugs and commas, or `*`."""
        if await self._rows_are_checked(connection):
            await connection.execute(
                f"BEGIN; SET LOCAL ROLE {WEB}; SET LOCAL {SETTING} = '{tenants}'"
            )
        else:
            await connection.execute("BEGIN")

    async def _rows_are_checked(self, connection: Connection) -> bool:
        """Return whether PostgreSQL checks tenants; asks again from time to time until it does."""
        if self._is_checked:
            return True
        if self._is_checked is None or time.monotonic() - self._asked_s >= CHECK_EVERY_S:
            self._asked_s = time.monotonic()
            is_first = self._is_checked is None
            self._is_checked = bool(await connection.fetchval(sql("rows_are_checked")))
            if is_first and not self._is_checked and not self._required:
                log.warning(
                    "PostgreSQL does not check tenants: its roles or policies are missing. "
                    "Run `vigil catalog migrate`; `vigil catalog status` says what it needs."
                )
        if not self._is_checked and self._required:
            raise StoreError(
                "PostgreSQL does not check tenants, but VIGIL_ROW_SECURITY=require. "
                "`vigil catalog status` says what is missing."
            )
        return self._is_checked


class _WebTransaction(AbstractAsyncContextManager[Connection]):
    """One transaction. A class: generators would be a tenth of a short request's time."""

    __slots__ = ("_catalog", "_connection", "_pool", "_queue", "_tenants")

    def __init__(self, catalog: WebCatalog, pool: asyncpg.Pool, queue: FairQueue) -> None:
        self._catalog = catalog
        self._pool = pool
        self._queue = queue
        self._tenants = visible_now()
        self._connection: Connection | None = None

    async def __aenter__(self) -> Connection:
        try:
            await self._queue.acquire(self._tenants, WAIT_S)
        except TimeoutError as error:
            raise StoreError("The catalog's connections are all in use.") from error
        try:
            # The queue has as many slots as there are connections, so one is free.
            self._connection = await self._pool.acquire()
            await self._catalog.begin(self._connection, self._tenants)
        except BaseException as error:
            await self._release()
            if (mapped := mapped_error(error)) is None:
                raise
            raise mapped from error
        return self._connection

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        assert self._connection is not None
        try:
            if error is None:
                await self._connection.execute("COMMIT")
            else:
                with contextlib.suppress(*CONNECTION_ERRORS):
                    await self._connection.execute("ROLLBACK")
        except Exception as failed:
            error = failed
        finally:
            await self._release()
        if error is None:
            return
        if (mapped := mapped_error(error)) is not None:
            raise mapped from error
        if kind is None:
            raise error

    async def _release(self) -> None:
        try:
            if self._connection is not None:
                await self._pool.release(self._connection)
        finally:
            self._queue.release(self._tenants)


async def _reset_nothing(_connection: asyncpg.Connection) -> None:
    """Save the round trip of asyncpg's own reset."""
