"""A broker that dies with requests on their way: aiokafka as it is, then ours."""

import asyncio
import gc
import logging
from collections.abc import AsyncIterator, Iterator
from functools import partial

import pytest
import uvloop
from aiokafka.client import AIOKafkaClient, ConnectionGroup
from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.admin import ApiVersionRequest

from local.ports import HOST
from streams import aiokafka_fixes
from tests.waiting import wait_for

NODE = 1


@pytest.fixture
async def broker() -> AsyncIterator[int]:
    """A port that takes requests and never answers."""

    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(1_000):
            pass
        writer.close()

    server = await asyncio.start_server(swallow, HOST, 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


@pytest.fixture(params=[True, False], ids=["stock", "ours"])
def stock(request: pytest.FixtureRequest) -> Iterator[bool]:
    stock: bool = request.param
    if stock:
        aiokafka_fixes.uninstall()
    yield stock
    aiokafka_fixes.install()


class Connection(AIOKafkaConnection):  # type: ignore[misc]
    """A connection to a broker that need not say what it can do."""

    async def _do_version_lookup(self) -> None:
        """Take all for granted."""


async def test_a_request_on_a_connection_that_broke_ends_at_once(
    broker: int, stock: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL, "aiokafka")  # its records hold the connection
    client = AIOKafkaClient(bootstrap_servers=f"{HOST}:{broker}")
    connection = Connection(HOST, broker)
    await connection.connect()
    client._conns[NODE, ConnectionGroup.DEFAULT] = connection
    asking = asyncio.ensure_future(client.send(NODE, ApiVersionRequest()))
    await wait_for(partial(len, connection._requests), within_s=10, what="a request on its way")
    reading = connection._read_task
    connection._reader.feed_eof()  # the broker is gone, and the reader has not noticed yet
    del connection
    assert await client._get_conn(NODE) is None
    await asyncio.wait([reading])
    gc.collect()
    for _ in range(10):
        await asyncio.sleep(0)
    if stock:
        assert not asking.done()  # nothing ends it but its time-out
        asking.cancel()
    else:
        with pytest.raises(KafkaConnectionError):
            await asking
    await client.close()


def test_writing_to_a_closed_connection_is_an_error_that_clients_expect(stock: bool) -> None:
    async def write() -> None:
        server = await asyncio.start_server(lambda _reader, _writer: None, HOST, 0)
        async with server:
            connection = Connection(HOST, server.sockets[0].getsockname()[1])
            await connection.connect()
            connection._read_task.cancel()  # it will not notice what comes
            writer = connection._writer
            writer.transport.abort()
            await writer.wait_closed()
            expected = RuntimeError if stock else KafkaConnectionError
            with pytest.raises(expected, match="closed"):
                connection.send(ApiVersionRequest())
            assert (connection._writer is None) == (not stock)  # no one takes it for a good one
            connection.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(write())
