"""A connection that is lost in the middle of something is the server's fault, not the event's.

catalog ──► relay ──► PostgreSQL    the relay cuts, or holds the end of a connection back, as a
                                    network does that loses the last packets
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

import asyncpg
import pytest

from domain.errors import StoreError
from local.ports import HOST
from stores.catalog import Catalog, index_fragments, pool
from tests.conftest import Services
from tests.integration.catalog_support import T0, fragment, fresh_catalog, run_id
from tests.waiting import wait_for

KIB = 1 << 10


class Relay:
    """Passes bytes on between the catalog's connections and PostgreSQL's port."""

    def __init__(self, dsn: str) -> None:
        self._target = urlsplit(dsn)
        self._clients: set[asyncio.StreamWriter] = set()
        self.asked = 0
        """Bytes that the clients have sent."""
        self.ended = 0
        """Connections that the server has ended; the client sees that only when it is cut."""
        self.cut_at: int | None = None
        """Reset the connection by which so many bytes were asked."""

    @asynccontextmanager
    async def open(self) -> AsyncIterator[str]:
        """Listen; yield the catalog's address by way of here."""
        async with await asyncio.start_server(self._link, HOST, 0) as server:
            port = server.sockets[0].getsockname()[1]
            user = self._target.netloc.rpartition("@")[0]
            yield self._target._replace(netloc=f"{user}@{HOST}:{port}").geturl()
            self.cut()

    def cut(self) -> None:
        """Reset every connection."""
        for client in self._clients:
            client.transport.abort()

    async def _link(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._clients.add(writer)
        answers, server = await asyncio.open_connection(self._target.hostname, self._target.port)
        answering = asyncio.create_task(self._answer(answers, writer))
        with suppress(OSError):
            while data := await reader.read(4 * KIB):
                self.asked += len(data)
                if self.cut_at is not None and self.asked > self.cut_at:
                    self.cut_at = None
                    break
                server.write(data)
                await server.drain()
        answering.cancel()
        await asyncio.gather(answering, return_exceptions=True)
        server.transport.abort()
        writer.transport.abort()
        self._clients.discard(writer)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(4 * KIB):
                writer.write(data)
                await writer.drain()
        self.ended += 1


@pytest.fixture
async def relayed(services: Services) -> AsyncIterator[tuple[Relay, Catalog, Catalog]]:
    """A relay, the catalog by way of it, and the catalog itself."""
    async with fresh_catalog(services.settings.database_url.get_secret_value()) as direct:
        relay = Relay(direct._dsn)
        async with relay.open() as dsn, Catalog(dsn, size=1) as catalog:
            yield relay, catalog, direct
            relay.cut()


async def test_a_connection_whose_server_died_unheard_is_tried_again(
    relayed: tuple[Relay, Catalog, Catalog],
) -> None:
    relay, catalog, direct = relayed
    async with catalog.transaction() as connection:
        pid = await connection.fetchval("SELECT pg_backend_pid()")
    async with direct.transaction() as other:
        assert await other.fetchval("SELECT pg_terminate_backend($1, 10000)", pid)
    await wait_for(lambda: relay.ended, within_s=10, what="the server's last word")
    with pytest.raises(StoreError, match="did not answer") as caught:
        async with catalog.transaction():
            pass
    assert isinstance(caught.value.__cause__, asyncpg.InternalClientError), "not what is meant"
    async with catalog.transaction() as connection:
        assert await connection.fetchval("SELECT 3") == 3


async def test_a_catalog_whose_server_is_not_heard_closes_nevertheless(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "CLOSE_TIMEOUT_S", 0.2)
    relay = Relay(services.settings.database_url.get_secret_value())
    async with relay.open() as dsn:
        async with Catalog(dsn, size=1) as catalog, catalog.transaction() as connection:
            assert await connection.fetchval("SELECT 1") == 1
        await wait_for(lambda: relay.ended, within_s=10, what="it closed, and got no answer")


async def rows(catalog: Catalog) -> int:
    async with catalog.transaction() as connection:
        return int(await connection.fetchval("SELECT count(*) FROM fragments"))


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
async def test_a_batch_that_is_cut_in_the_middle_is_written_whole_by_the_next_try(
    relayed: tuple[Relay, Catalog, Catalog], share: float
) -> None:
    relay, catalog, direct = relayed
    run = run_id()
    await index_fragments(catalog, [fragment(run, 0)], T0)  # statements are prepared, days made
    before = relay.asked
    await index_fragments(catalog, [fragment(run, seq) for seq in range(1, 401)], T0)
    size = relay.asked - before
    assert size > 64 * KIB, "many pieces"
    batch = [fragment(run, seq) for seq in range(401, 801)]
    relay.cut_at = relay.asked + int(size * share)
    with pytest.raises(StoreError, match="did not answer"):
        await index_fragments(catalog, batch, T0)
    assert relay.cut_at is None
    assert await rows(direct) == 401
    await index_fragments(catalog, batch, T0)
    assert await rows(direct) == 801


async def test_a_transaction_that_is_cut_between_two_statements_leaves_nothing(
    relayed: tuple[Relay, Catalog, Catalog],
) -> None:
    relay, catalog, direct = relayed
    with pytest.raises(StoreError, match="did not answer"):
        async with catalog.transaction() as connection:
            await connection.execute("CREATE TABLE half ()")
            relay.cut()
            await connection.execute("CREATE TABLE other_half ()")
    async with direct.transaction() as connection:
        assert await connection.fetchval("SELECT to_regclass('half')") is None
