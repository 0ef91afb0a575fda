"""A site's network that answers in the cloud's place: a login page without TLS, or one with it."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from domain.errors import StoreError
from edge_bridge.check.cloud import check_queue, check_store
from edge_bridge.config import EdgeConfig
from edge_bridge.identity.server import DeviceServer
from local.certificates import make_pair
from stores.tls import client_context

LOGIN = (
    b"HTTP/1.1 302 Found\r\nLocation: http://login.guest.example/\r\nContent-Length: 0\r\n"
    b"Connection: close\r\n\r\n"
)
WITHOUT_TLS = "it answers without TLS, as a login page of the site's network or a proxy does"


@asynccontextmanager
async def login_page(tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """Answer everything by a redirection to a login page; yield the port."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(LOGIN)
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=tls)
    async with server:
        yield server.sockets[0].getsockname()[1]


def edge(folder: Path, endpoint: str) -> EdgeConfig:
    return EdgeConfig.model_validate(
        {
            "site": "acme/berlin",
            "edge": "edge-1",
            "cloud": {
                "bucket": "acme-vigil", "queue_url": f"{endpoint}/123456789012/vigil-events",
                "s3_endpoint": endpoint, "sqs_endpoint": endpoint,
            },
            "spool": {"dir": str(folder)},
            "central": {},
        }
    )  # fmt: skip


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "any")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "any")


async def test_enrolling_says_that_a_login_page_answers() -> None:
    async with login_page() as port:
        with pytest.raises(StoreError) as caught:
            await DeviceServer(f"https://127.0.0.1:{port}").get("/any", client_context(None))
    assert WITHOUT_TLS in str(caught.value)
    assert "Let this device through without it" in str(caught.value)


async def test_enrolling_says_that_a_proxy_opens_tls(tmp_path: Path) -> None:
    pair = tmp_path / "pair.pem"
    pair.write_bytes(make_pair("127.0.0.1")[1])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair)
    async with login_page(context) as port:
        with pytest.raises(StoreError, match="not signed by an authority that we trust"):
            await DeviceServer(f"https://127.0.0.1:{port}").get("/any", client_context(None))


async def test_the_check_of_the_device_says_so_for_s3_and_sqs(tmp_path: Path) -> None:
    async with login_page() as port:
        config = edge(tmp_path, f"https://127.0.0.1:{port}")
        results = [await check_store(config), await check_queue(config)]
    for result in results:
        assert result.state == "bad"
        assert WITHOUT_TLS in result.detail, result
        assert "let this device through without it" in result.remedy


async def test_a_redirection_to_a_login_page_is_named(tmp_path: Path) -> None:
    async with login_page() as port:
        config = edge(tmp_path, f"http://127.0.0.1:{port}")
        results = [await check_store(config), await check_queue(config)]
    for result in results:
        assert result.state == "bad"
        assert "302" in result.detail, result
        assert "let this device through without it" in result.remedy
