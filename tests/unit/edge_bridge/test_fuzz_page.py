"""Whatever the edge's own server is asked, no answer is a fault of the server."""

import os
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from domain.live_stream import Feed
from edge_bridge.config import HttpConfig
from edge_bridge.health import HealthServer
from edge_bridge.live.manager import LiveViewer
from edge_bridge.page.access import PageAccess
from edge_bridge.page.footage import SpoolFootage
from edge_bridge.page.views import Page
from tests.raw_requests import Grammar, raw_request, routes_of, send

EXAMPLES = int(os.environ.get("VIGIL_TEST_EXAMPLES", "400"))
SEED = int(os.environ.get("VIGIL_TEST_SEED", "0")) or random.randrange(1 << 32)
PASSWORD = "correct horse"
CAMERA = "acme/berlin/gate"


def report() -> dict[str, Any]:
    return {"cameras": []}


@asynccontextmanager
async def watch(camera: str, feed: Feed) -> AsyncIterator[LiveViewer]:
    yield LiveViewer()


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[HealthServer]:
    footage = SpoolFootage(tmp_path, lambda _: ())
    access = PageAccess(PASSWORD, lambda: 1_000.0)
    page = Page(access, footage, lambda: [CAMERA], report, watch, secure=False)
    config = HttpConfig(host="127.0.0.1", port=0)
    async with HealthServer(config, report, page) as server:
        yield server


@pytest.fixture
def port(server: HealthServer) -> int:
    return server.port


async def signed_in(port: int) -> bytes:
    body = b'{"password": "%s"}' % PASSWORD.encode()
    status, head, _ = await send(port, raw_request("POST", "/session", [], body))
    assert status == 204
    cookie = next(
        line for line in head.split(b"\r\n") if line.startswith(b"Set-Cookie: vigil_edge=")
    )
    return cookie.partition(b": ")[2].partition(b";")[0]


async def test_no_request_is_a_fault_of_the_server(server: HealthServer) -> None:
    print(f"seed {SEED}")
    port = server.port
    camera = f"/api/cameras/{CAMERA}"
    tenant, site, name = CAMERA.split("/")
    every = routes_of(server._runner.app, {"tenant": tenant, "site": site, "camera": name})
    assert len(every) >= 12
    grammar = Grammar(
        {
            **every,
            f"{camera}/spans": ["from", "to"],
            f"{camera}/stretch": ["at", "for_s"],
            f"{camera}/play.mp4": ["at", "for_s"],
            f"{camera}/live": ["feed"],
            "/{part}": [],
        },
        [b"Cookie: " + await signed_in(port)],
    )
    dice = random.Random(SEED)
    faults = []
    for request in grammar.requests(dice, EXAMPLES):
        status, head, body = await send(port, request)
        problem = b"problem+json" in head or request.startswith(b"HEAD")
        no_spool = status == 503 and (b"spool" in body or request.startswith(b"HEAD"))
        if status == 0 or (status >= 500 and not no_spool) or (status >= 400 and not problem):
            faults.append((status, request[:300], body[:100]))
    assert faults == []


async def test_signing_out_ends_the_session(port: int) -> None:
    cookie = [b"Cookie: " + await signed_in(port)]
    assert (await send(port, raw_request("GET", "/api/state", cookie)))[0] == 200
    assert (await send(port, raw_request("DELETE", "/session", cookie)))[0] == 204
    status, head, _ = await send(port, raw_request("GET", "/api/state", cookie))
    assert status == 401
    assert b"problem+json" in head
    assert b"aiohttp" not in head


async def test_another_site_cannot_sign_a_browser_in(port: int) -> None:
    body = b'{"password": "%s"}' % PASSWORD.encode()
    request = raw_request("POST", "/session", [b"Sec-Fetch-Site: cross-site"], body)
    assert (await send(port, request))[0] == 403


async def test_over_https_no_other_host_can_set_the_cookies(tmp_path: Path) -> None:
    footage = SpoolFootage(tmp_path, lambda _: ())
    page = Page(PageAccess(PASSWORD, lambda: 1.0), footage, lambda: [], report, watch, secure=True)
    async with HealthServer(HttpConfig(host="127.0.0.1", port=0), report, page) as server:
        body = b'{"password": "%s"}' % PASSWORD.encode()
        _, head, _ = await send(server.port, raw_request("POST", "/session", [], body))
        cookies = [line for line in head.split(b"\r\n") if line.startswith(b"Set-Cookie: ")]
        assert sorted(line.split(b"=")[0] for line in cookies) == [
            b"Set-Cookie: __Host-vigil_edge",
            b"Set-Cookie: __Secure-vigil_edge_device",
        ]
        assert all(b"; Secure" in line for line in cookies)
        cookie = b"Cookie: " + cookies[-1].partition(b": ")[2].partition(b";")[0]
        for sent in (cookie, cookie.replace(b"__Secure-vigil_edge_device", b"__Host-vigil_edge")):
            is_session = b"__Host-" in sent
            status, _, _ = await send(server.port, raw_request("GET", "/api/state", [sent]))
            assert status == (200 if is_session else 401)
