"""Strangers hold few connections, and not for as long as they like."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from stores.http_server import (
    FIRST_REQUEST_S,
    NEXT_REQUEST_S,
    UNREAD_S,
    BoundedRunner,
    ConnectionLimits,
    ConnectionTable,
    network_of,
)
from tests.raw_requests import raw_request, send
from tests.waiting import wait_for

LATE_S = 1e9
"""Later than any deadline, on the loop's clock."""


class Connection:
    def __init__(self) -> None:
        self.is_busy = False
        self.unread_bytes = 0
        self.is_closed = False

    def force_close(self) -> None:
        self.is_closed = True


def test_a_half_request_is_closed_and_a_running_one_is_not() -> None:
    table = ConnectionTable(ConnectionLimits())
    half, running, kept_alive = Connection(), Connection(), Connection()
    connections = [half, running, kept_alive]
    running.is_busy = kept_alive.is_busy = True
    assert all(table.opened(each, "192.0.2.1", 0) for each in connections)
    assert table.check(0) == 0
    kept_alive.is_busy = False
    assert table.check(FIRST_REQUEST_S - 1) == 0
    assert table.check(FIRST_REQUEST_S) == 1
    assert table.check(NEXT_REQUEST_S) == 1
    assert [each.is_closed for each in connections] == [True, False, True]
    assert len(table) == 1


def test_a_client_that_takes_nothing_of_its_response_is_closed() -> None:
    table = ConnectionTable(ConnectionLimits())
    stalled, slow, waiting = Connection(), Connection(), Connection()
    for each in (stalled, slow, waiting):
        each.is_busy = True
        table.opened(each, "192.0.2.1", 0)
    for now_s in range(0, 3 * int(UNREAD_S), 5):
        stalled.unread_bytes = 65_536
        slow.unread_bytes = 65_536 - now_s
        table.check(now_s)
        assert stalled.is_closed == (now_s >= UNREAD_S)
    assert not slow.is_closed
    assert not waiting.is_closed


def test_over_the_limit_the_one_that_waits_longest_is_closed() -> None:
    table = ConnectionTable(ConnectionLimits(total=3))
    connections = [Connection() for _ in range(5)]
    connections[0].is_busy = True
    for number, each in enumerate(connections):
        assert table.opened(each, f"192.0.2.{number}", number)
    assert [each.is_closed for each in connections] == [False, True, True, False, False]
    assert len(table) == 3


def test_one_address_cannot_take_the_connections_of_others() -> None:
    limits = ConnectionLimits(per_address=2, is_exempt="10.0.0.1".__eq__)
    table = ConnectionTable(limits)
    mine = [Connection() for _ in range(3)]
    assert [table.opened(each, "2001:db8::1", 0) for each in mine] == [True, True, False]
    assert not table.opened(Connection(), "2001:db8::2", 0), "of the same network"
    assert table.opened(Connection(), "2001:db8:1::1", 0)
    proxied = [table.opened(Connection(), "10.0.0.1", 0) for _ in range(5)]
    assert proxied == [True] * 5
    table.closed(mine[0])
    table.closed(mine[0])
    assert table.opened(Connection(), "2001:db8::2", 0)


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8::1%eth0", "2001:db8::/64"),
        ("", ""),
        ("unix", "unix"),
    ],
)
def test_who_is_counted_as_one(address: str, network: str) -> None:
    assert network_of(address) == network


async def hello(_: web.Request) -> web.Response:
    return web.Response(text="hello")


async def endless(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(bytes(1 << 20))


@asynccontextmanager
async def running(limits: ConnectionLimits | None = None) -> AsyncIterator[BoundedRunner]:
    app = web.Application()
    app.router.add_get("/", hello)
    app.router.add_get("/endless", endless)
    runner = BoundedRunner(app, limits or ConnectionLimits(), "test")
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield runner
    finally:
        await runner.cleanup()


async def test_half_requests_to_a_real_server_are_closed() -> None:
    async with running() as runner:
        port = runner.addresses[0][1]
        half = [await asyncio.open_connection("127.0.0.1", port) for _ in range(10)]
        for _, writer in half:
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nX: ")
        await wait_for(lambda: len(runner.table) == 10, within_s=5, what="connections")
        assert runner.table.check(LATE_S) == 10
        for reader, writer in half:
            with contextlib.suppress(ConnectionResetError):  # it had not read everything
                assert await reader.read() == b""
            writer.close()
        assert (await send(port, raw_request("GET", "/")))[0] == 200


async def test_a_response_that_no_one_reads_is_given_up() -> None:
    async with running() as runner:
        reader, writer = await asyncio.open_connection("127.0.0.1", runner.addresses[0][1])
        writer.write(raw_request("GET", "/endless"))
        await wait_for(lambda: bool(runner.table._activities), within_s=5, what="connections")
        (connection,) = runner.table._activities
        await wait_for(lambda: connection.unread_bytes > 0, within_s=5, what="connections")
        # Until the kernel's buffers are full, the unread bytes change.
        now_s = asyncio.get_running_loop().time()
        steps = 0
        while not runner.table.check(now_s):
            await asyncio.sleep(0.01)
            now_s += UNREAD_S
            steps += 1
            assert steps < 1_000
        with contextlib.suppress(ConnectionError):
            while await reader.read(1 << 20):
                pass  # what the kernel still has
        writer.close()


async def test_too_many_connections_of_one_address_are_refused() -> None:
    async with running(ConnectionLimits(per_address=1)) as runner:
        port = runner.addresses[0][1]
        _, first = await asyncio.open_connection("127.0.0.1", port)
        await wait_for(lambda: len(runner.table) == 1, within_s=5, what="connections")
        reader, second = await asyncio.open_connection("127.0.0.1", port)
        assert (await reader.read()).startswith(b"HTTP/1.1 503 ")
        second.close()
        first.close()
        await wait_for(lambda: len(runner.table) == 0, within_s=5, what="connections")
        assert (await send(port, raw_request("GET", "/")))[0] == 200


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET / HTTP/9.9\r\n\r\n", 400),
        (b"\x16\x03\x01 not HTTP\r\n\r\n", 400),
        (b"GET /secret HTTP/1.1\r\nHost: x\r\nX: a\x00b\r\n\r\n", 400),
        (b"GET /secret HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 65_536 + b"\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nExpect: x\r\nConnection: close\r\n\r\n", 417),
        (b"GET http:///secret HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 400),
    ],
)
async def test_what_no_handler_sees_is_a_problem_too(request_bytes: bytes, status: int) -> None:
    async with running() as runner:
        got, head, body = await send(runner.addresses[0][1], request_bytes)
    assert got == status
    assert b"Content-Type: application/problem+json" in head
    assert b"aiohttp" not in head
    assert b"secret" not in body
