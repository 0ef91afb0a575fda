"""The proxy passes bytes on, and fails on command, for as long as it is asked to."""

import asyncio
import random
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web

from harness.fault_proxy import EXPIRED_KEY, FAULTS, SLOW_BYTES_S, Fault, FaultProxy
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
    session: aiohttp.ClientSession,
    proxy: FaultProxy,
    body: bytes = b"x" * 300_000,
    within_s: float = 60,
) -> str:
    try:
        async with asyncio.timeout(within_s), session.put(f"{proxy.url}/key", data=body) as answer:
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
        within_s = 1 if fault == "hang" else 60
        assert await ask(session, proxy, within_s=within_s) in WANTED[fault]
        assert await ask(session, proxy, b"small", within_s) in WANTED[fault]
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


async def test_a_cut_ends_open_connections_at_once_and_refuses_new_ones(proxy: FaultProxy) -> None:
    async with aiohttp.ClientSession() as session:
        assert await ask(session, proxy, b"small") == "whole"  # its connection stays open
        proxy.begin("cut", 1.0)
        for _ in range(3):
            assert await ask(session, proxy, b"small") == "reset"
        proxy.end()
        assert await ask(session, proxy, b"small") == "whole"


async def test_busy_is_answered_503(proxy: FaultProxy) -> None:
    proxy.begin("busy", 1.0)
    async with aiohttp.ClientSession() as session:
        assert await ask(session, proxy, b"small") == "503"
    assert proxy.done == {"busy": 1}


async def test_flaky_resets_some_of_the_pieces_of_all_connections(proxy: FaultProxy) -> None:
    proxy.begin("flaky", 0.3)
    async with aiohttp.ClientSession() as session:
        outcomes = [await ask(session, proxy, b"small") for _ in range(60)]
    assert set(outcomes) == {"whole", "reset"}
    assert proxy.done["flaky"] >= outcomes.count("reset")


async def test_a_slow_line_is_shared(proxy: FaultProxy) -> None:
    # two bodies there and two back: each way takes what both together take
    size = SLOW_BYTES_S // 8
    proxy.begin("slow", 1.0)
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    async with aiohttp.ClientSession() as session:
        outcomes = await asyncio.gather(*(ask(session, proxy, bytes(size)) for _ in range(2)))
    assert outcomes == ["whole", "whole"]
    assert loop.time() - began_s >= 2 * size / SLOW_BYTES_S  # never faster than the line


async def test_only_the_key_that_expired_is_refused(proxy: FaultProxy) -> None:
    proxy.begin("expired", 1.0)
    async with aiohttp.ClientSession() as session:
        for key, status in ((EXPIRED_KEY, 403), ("another", 200)):
            headers = {"Authorization": f"AWS4-HMAC-SHA256 Credential={key}/20261122/x/s3"}
            async with session.put(f"{proxy.url}/key", data=b"x", headers=headers) as answer:
                assert answer.status == status
                assert (b"ExpiredToken" in await answer.read()) == (status == 403)
    assert proxy.done == {"expired": 1}  # not what came with another key
