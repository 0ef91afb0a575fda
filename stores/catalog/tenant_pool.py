"""Connections of the web that keep their role and their tenants between requests.

acquire ──► one that shows these tenants, else another one ──► use ──► release: kept as it is
                                                                └──► discard: the driver cleans it

What a kept connection shows is known: only `show` changes it. After an error or a cancelled request
it is not known any more: the next user sets role and tenants again.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable

import asyncpg

from stores.catalog.errors import CONNECTION_ERRORS
from stores.catalog.pool import Connection
from stores.catalog.row_security import SETTING

IDLE_S = 240.0
"""A connection that waited longer is opened again: firewalls forget it without a word."""


class TenantConnection:
    """A connection, and the tenants that its session shows."""

    __slots__ = ("connection", "is_direct", "released_s", "tenants")

    def __init__(self, connection: Connection, *, is_direct: bool) -> None:
        """`is_direct`: it has a session of its own; see `opened`."""
        self.connection = connection
        self.is_direct = is_direct
        self.tenants: str | None = None
        """None: it was not set, or that failed."""
        self.released_s = 0.0

    @classmethod
    async def opened(cls, connection: Connection) -> "TenantConnection":
        """Return it for a connection of the driver's pool.

        A pooler such as PgBouncer may give each transaction to another session: nothing may be set
        in one. It invents the process ID that it reports.
        """
        process_id = await connection.fetchval("SELECT pg_backend_pid()")
        return cls(connection, is_direct=process_id == connection.get_server_pid())

    def is_closed(self) -> bool:
        """Return whether the server or the network has ended it."""
        try:
            return bool(self.connection.is_closed())
        except asyncpg.InterfaceError:  # then the driver takes it back
            return True

    async def show(self, role: str, tenants: str) -> None:
        """Make its session the role's, with these tenants: slugs and commas, or `*`.

        A pool has one role.
        """
        if self.tenants != tenants:
            self.tenants = None  # until both are set: this may fail, or be cancelled
            await self.connection.execute(f"SET ROLE {role}; SET {SETTING} = '{tenants}'")
            self.tenants = tenants


class TenantPool:
    """Keeps the driver's connections that are in order, by what they show.

    Its user never holds more connections than the driver's pool has.
    """

    def __init__(self, pool: asyncpg.Pool, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._pool = pool
        self._clock_s = clock_s
        self._kept: list[TenantConnection] = []
        """The one that waits longest first."""

    async def acquire(self, tenants: str) -> TenantConnection:
        """Return a connection, if possible one that shows these tenants."""
        while self._kept:
            at = next((i for i, each in enumerate(self._kept) if each.tenants == tenants), 0)
            found = self._kept.pop(at)
            if self._clock_s() - found.released_s > IDLE_S:
                found.connection.terminate()
            elif not found.is_closed():
                return found
            await self._pool.release(found.connection)
        connection = await self._pool.acquire()
        try:
            return await TenantConnection.opened(connection)
        except BaseException:
            await self._pool.release(connection)
            raise

    def release(self, used: TenantConnection) -> None:
        """Keep a connection whose use ended well."""
        used.released_s = self._clock_s()
        self._kept.append(used)

    async def discard(self, used: TenantConnection, *, in_transaction: bool) -> None:
        """End the transaction of a failed use. The driver keeps the connection if that works."""
        used.tenants = None
        try:
            if in_transaction:
                with contextlib.suppress(*CONNECTION_ERRORS):
                    await used.connection.execute("ROLLBACK")
        finally:
            await self._pool.release(used.connection)

    async def close(self) -> None:
        """Give all kept connections back to the driver."""
        kept, self._kept = self._kept, []
        await asyncio.gather(*(self._pool.release(each.connection) for each in kept))
