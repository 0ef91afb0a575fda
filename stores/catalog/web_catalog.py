"""The catalog as the web sees it: PostgreSQL shows only the rows of some tenants.

reading      a connection whose session shows these tenants, else SET ──► statement
transaction  BEGIN; SET LOCAL the role and vigil.tenants ──► statements ──► COMMIT

The tenants are those of `visible_tenants`; without it, no row of any tenant is visible. What a
session shows: stores/catalog/tenant_pool.py. The role is vigil_web; at the devices' address it is
vigil_link, which sees all tenants.
"""

import contextlib
import logging
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from types import TracebackType
from typing import Any, Self

import asyncpg

from domain.errors import InvalidIdError, StoreError
from domain.identity import SLUG
from stores.catalog.pool import NO_TRANSACTION, Catalog, Connection, mapped_error, sql
from stores.catalog.row_security import SETTING, WEB
from stores.catalog.tenant_pool import TenantConnection, TenantPool
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
    """A pool whose transactions run as one role, for the tenants of `visible_tenants`.

    Where the roles or the policies are missing, it works as the owner until they exist, and logs
    that. With `required`, it raises StoreError instead.
    """

    plan_cache_mode = "auto"
    """Planning is most of a short statement's time. Where there are many days, PostgreSQL finds a
    generic plan of their tables too expensive; `test_plans_of_the_web` watches that."""

    def __init__(
        self, dsn: str, *, size: int = 4, required: bool = False, roles: Sequence[str] = (WEB,)
    ) -> None:
        """`roles`: the first one that the DSN's user may become, and that has rights here."""
        super().__init__(dsn, size=size)
        self._required = required
        self._roles = list(roles)
        self._queue = FairQueue(size)
        self._tenant_pool: TenantPool | None = None
        self._checked_role: str | None = None
        """None: PostgreSQL does not check tenants, or was not asked yet."""
        self._asked_s: float | None = None

    async def __aenter__(self) -> Self:
        """Connect. Raises StoreError where that fails."""
        await super().__aenter__()
        assert self._pool is not None
        self._tenant_pool = TenantPool(self._pool)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        if self._tenant_pool is not None:
            await self._tenant_pool.close()
        await super().__aexit__(kind, error, tb)

    def _pool_options(self) -> dict[str, Any]:
        # The tenants of a session are known or set again: asyncpg's own reset is not needed.
        return {"reset": _reset_nothing}

    def transaction(self) -> AbstractAsyncContextManager[Connection]:
        """Yield a connection inside a transaction. Tenants that wait for one take turns."""
        if self._shared_connection() is not None:
            raise RuntimeError(NO_TRANSACTION)
        return self._use(in_transaction=True)

    def reading(self) -> AbstractAsyncContextManager[Connection]:
        """Yield a connection on which each statement is a transaction of its own."""
        if (shared := self._shared_connection()) is not None:
            return nullcontext(shared)
        return self._use(in_transaction=False)

    def _visible_tenants(self) -> str:
        return visible_now()

    def _use(self, *, in_transaction: bool) -> "_WebUse":
        if self._tenant_pool is None:
            raise StoreError("The catalog is not open.")
        return _WebUse(self, self._tenant_pool, self._queue, in_transaction=in_transaction)

    async def prepare(self, used: TenantConnection, tenants: str, *, in_transaction: bool) -> None:
        """Show these tenants, and begin a transaction if there is to be one."""
        role = await self._role_with_checks(used.connection)
        if in_transaction:
            local = f"; SET LOCAL ROLE {role}; SET LOCAL {SETTING} = '{tenants}'"
            await used.connection.execute(f"BEGIN{local if role is not None else ''}")
        elif role is not None:
            await used.show(role, tenants)

    async def _role_with_checks(self, connection: Connection) -> str | None:
        """Return the role in which PostgreSQL checks rights; asks again until there is one."""
        if self._checked_role is not None:
            return self._checked_role
        if self._asked_s is None or time.monotonic() - self._asked_s >= CHECK_EVERY_S:
            is_first = self._asked_s is None
            self._asked_s = time.monotonic()
            self._checked_role = await connection.fetchval(sql("role_with_checks"), self._roles)
            if is_first and self._checked_role is None and not self._required:
                log.warning(
                    "PostgreSQL does not check tenants: its roles or policies are missing. "
                    "Run `vigil catalog migrate`; `vigil catalog status` says what it needs."
                )
            elif self._checked_role not in (None, self._roles[0]):
                log.warning(
                    "PostgreSQL does not let this process become %s: it works as %s. "
                    "`vigil catalog status` says what it needs.",
                    self._roles[0],
                    self._checked_role,
                )
        if self._checked_role is None and self._required:
            raise StoreError(
                "PostgreSQL does not check tenants, but VIGIL_ROW_SECURITY=require. "
                "`vigil catalog status` says what is missing."
            )
        return self._checked_role


class _WebUse(AbstractAsyncContextManager[Connection]):
    """A connection for one caller. A class: generators would be a tenth of a short request."""

    __slots__ = ("_catalog", "_in_transaction", "_pool", "_queue", "_tenants", "_used")

    def __init__(
        self, catalog: WebCatalog, pool: TenantPool, queue: FairQueue, *, in_transaction: bool
    ) -> None:
        self._catalog = catalog
        self._pool = pool
        self._queue = queue
        self._in_transaction = in_transaction
        self._tenants = visible_now()
        self._used: TenantConnection | None = None

    async def __aenter__(self) -> Connection:
        try:
            await self._queue.acquire(self._tenants, WAIT_S)
        except TimeoutError as error:
            raise StoreError("The catalog's connections are all in use.") from error
        try:
            # The queue has as many slots as there are connections, so one is free.
            self._used = used = await self._pool.acquire(self._tenants)
            if not used.is_direct:
                self._in_transaction = True
            await self._catalog.prepare(used, self._tenants, in_transaction=self._in_transaction)
        except BaseException as error:
            await self._discard()
            if (mapped := mapped_error(error)) is None:
                raise
            raise mapped from error
        return used.connection

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        assert self._used is not None
        if error is None:
            try:
                if self._in_transaction:
                    await self._used.connection.execute("COMMIT")
            except BaseException as failed:
                await self._discard()
                if (mapped := mapped_error(failed)) is None:
                    raise
                raise mapped from failed
            self._pool.release(self._used)
            self._queue.release(self._tenants)
            return
        await self._discard()
        if (mapped := mapped_error(error)) is not None:
            raise mapped from error

    async def _discard(self) -> None:
        try:
            if self._used is not None:
                await self._pool.discard(self._used, in_transaction=self._in_transaction)
        finally:
            self._queue.release(self._tenants)


async def _reset_nothing(_connection: asyncpg.Connection) -> None:
    """Save the round trip of asyncpg's own reset."""
