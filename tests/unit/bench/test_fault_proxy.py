"""The proxy passes bytes on, and fails as it is told, for as long as it is told."""

import asyncio
import random
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web

from bench.fault_proxy import FAULTS, Fault, FaultProxy
from tests.waiting import wait_for


@pytest.fixture
async def proxy() -> AsyncIterator[FaultProxy]:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(body=await request.read())

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    async with FaultProxy("127.0.0.1", port, random.Random(1)) as proxy:
        yield proxy
    await runner.cleanup()


async def ask(
    session: aiohttp.ClientSession, proxy: FaultProxy, body: bytes = b"x" * 300_000
) -> str:
    try:
        async with asyncio.timeout(1), session.put(f"{proxy.url}/key", data=body) as answer:
            return "whole" if await answer.read() == body else str(answer.status)
    except TimeoutError:
        return "hangs"
    except aiohttp.ClientError:
        return "reset"


WANTED = {"error": {"500", "reset"}, "reset": {"reset"}, "hang": {"hangs"}}


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_fault_hits_open_connections_and_new_ones_and_ends(
    proxy: FaultProxy, fault: Fault
) -> None:
    async with aiohttp.ClientSession() as session:
        assert await ask(session, proxy) == "whole"
        proxy.begin(fault, 1.0)
        assert await ask(session, proxy) in WANTED[fault]
        assert await ask(session, proxy, b"small") in WANTED[fault]
        # the old and the new one; aiohttp itself tries an old connection that was reset once more.
        # A client that gives up on a busy machine may be gone before its connection is taken.
        await wait_for(lambda: proxy.hit >= 2, within_s=10, what="both connections are hit")
        proxy.end()
        assert await ask(session, proxy) == "whole"


async def test_a_small_request_is_answered_500(proxy: FaultProxy) -> None:
    proxy.begin("error", 1.0)
    async with aiohttp.ClientSession() as session:
        assert await ask(session, proxy, b"small") == "500"


async def test_a_share_of_the_connections_is_hit(proxy: FaultProxy) -> None:
    proxy.begin("reset", 0.5)
    outcomes = []
    for _ in range(40):
        async with aiohttp.ClientSession() as session:
            outcomes.append(await ask(session, proxy, b"small"))
    assert 8 < outcomes.count("reset") < 32
    assert outcomes.count("reset") + outcomes.count("whole") == 40
