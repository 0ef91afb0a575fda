"""Any answer at central.url, and a disk that cannot be written."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from domain.errors import ConfigError, CredentialsError, StoreError
from domain.site_config import MAX_BYTES, OfferedConfig, SiteVersion
from edge_bridge.config import EdgeConfig, load
from edge_bridge.config.remote import CentralConfig
from edge_bridge.remote_config.client import ConfigClient, ConfigNotSetError, KeySource
from edge_bridge.remote_config.manager import RemoteConfigManager
from edge_bridge.upload.link import Link
from tests.unit.edge_bridge.test_config import changed
from tests.unit.edge_bridge.test_remote_config import CAMERA, version
from tests.waiting import wait_for

KEY = "vigil_the-key"
Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Catalog:
    """A server with prepared answers."""

    def __init__(self) -> None:
        self.status, self.body = 404, b""
        self.headers: dict[str, str] = {}
        self.asked: list[tuple[str, str | None]] = []

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append((request.path, request.headers.get("If-None-Match")))
        if request.headers.get("Authorization") != f"Bearer {KEY}":
            return web.Response(status=401)
        return web.Response(status=self.status, body=self.body, headers=self.headers)

    def give(self, offered: SiteVersion) -> None:
        body = {"version": offered.version, "digest": offered.digest, "document": offered.text}
        self.status, self.body = 200, json.dumps(body).encode()
        self.headers = {"ETag": f'"{offered.version}"'}


@pytest.fixture
async def catalog() -> Catalog:
    return Catalog()


@pytest.fixture
async def own(catalog: Catalog, tmp_path: Path) -> AsyncIterator[EdgeConfig]:
    app = web.Application()
    app.router.add_get("/{path:.*}", catalog.answer)
    async with TestServer(app) as server:
        (tmp_path / "central.key").write_text(f"{KEY}\n")
        central = {
            "url": str(server.make_url("/")), "key_file": "central.key", "every_s": 1, "trial_s": 5,
        }  # fmt: skip
        yield load(changed(tmp_path, central=central))


def client_of(central: CentralConfig, own: EdgeConfig) -> ConfigClient:
    return ConfigClient(lambda: KeySource(central, own.site))


async def test_a_version_and_its_tag(catalog: Catalog, own: EdgeConfig) -> None:
    assert own.central is not None
    async with client_of(own.central, own) as client:
        catalog.give(version(3))
        assert await client.newest() == OfferedConfig(version(3))
        catalog.status, catalog.body = 304, b""
        assert await client.newest() is None
        client.forget()
        assert await client.newest() is None
    path = "/api/v1/sites/acme/berlin/config"
    assert catalog.asked == [(path, None), (path, '"3"'), (path, None)]


GOOD = {"version": 1, "digest": version(1).digest, "document": version(1).text}


@pytest.mark.parametrize(
    ("status", "body", "kind", "sentence"),
    [
        (404, b"", ConfigNotSetError, "vigil site config set"),
        (401, b"", CredentialsError, "revoked"),
        (403, b"", CredentialsError, "vigil key create --edge-of"),
        (302, b"", StoreError, "answers 302"),
        (500, b"", StoreError, "answers 500"),
        (200, b"", StoreError, "sends no configuration"),
        (200, b"<html>", StoreError, "sends no configuration"),
        (200, b"[1]", StoreError, "sends no configuration"),
        (200, b"[" * 90_000, StoreError, "sends no configuration"),
        (200, b"null", StoreError, "sends no configuration"),
        (200, b"\xff\xfe", StoreError, "sends no configuration"),
        (200, json.dumps({**GOOD, "version": -1}).encode(), StoreError, "sends no"),
        (200, json.dumps({**GOOD, "version": 1 << 40}).encode(), StoreError, "sends no"),
        (200, json.dumps({**GOOD, "version": float("inf")}).encode(), StoreError, "sends no"),
        (200, b'{"version": 1e400, "digest": "", "document": ""}', StoreError, "sends no"),
        (200, json.dumps({**GOOD, "document": "\ud800"}).encode(), StoreError, "sends no"),
        (200, json.dumps({**GOOD, "digest": "0" * 64}).encode(), StoreError, "sends no"),
        (200, json.dumps({**GOOD, "document": "{}"}).encode(), StoreError, "sends no"),
        (200, json.dumps({**GOOD, "signature": "x"}).encode(), StoreError, "sends no"),
        (200, json.dumps({**GOOD, "signature": {"key": "k"}}).encode(), StoreError, "sends no"),
        (200, json.dumps({**GOOD, "disabled": 5}).encode(), StoreError, "sends no"),
        (200, json.dumps({**GOOD, "successors": [5]}).encode(), StoreError, "sends no"),
        (200, b" " * (2 * MAX_BYTES + 70_000), StoreError, "larger than allowed"),
    ],
)
async def test_strange_answers(
    status: int, body: bytes, kind: type[Exception], sentence: str,
    catalog: Catalog, own: EdgeConfig,
) -> None:  # fmt: skip
    assert own.central is not None
    catalog.status, catalog.body, catalog.headers = status, body, {"Location": "http://192.0.2.1/"}
    async with client_of(own.central, own) as client:
        with pytest.raises(kind, match=sentence) as caught:
            await client.newest()
    assert KEY not in str(caught.value)


async def test_an_unreadable_file_is_reported_in_a_sentence(
    own: EdgeConfig, tmp_path: Path
) -> None:
    assert own.central is not None
    nowhere = own.central.model_copy(update={"ca_file": tmp_path / "none.pem"})
    async with client_of(nowhere, own) as client:
        with pytest.raises(ConfigError, match=r"central.ca_file .* cannot be used"):
            await client.newest()
    for text in ("", "two\nlines", "ö"):
        (tmp_path / "central.key").write_text(text)
        async with client_of(own.central, own) as client:
            with pytest.raises(ConfigError, match="the key is not valid"):
                await client.newest()


class HealthyTarget:
    """Everything works at once."""

    settled = True

    def __init__(self) -> None:
        self.applied: list[list[str]] = []

    async def apply(self, config: EdgeConfig) -> None:
        self.applied.append([camera.url for camera in config.cameras])

    def healthy(self) -> frozenset[str]:
        return frozenset()

    def unhealthy(self, required: frozenset[str]) -> tuple[dict[str, str], str]:
        del required
        return {}, ""


async def test_a_disk_that_cannot_be_written_is_reported_and_nothing_is_tried(
    catalog: Catalog, own: EdgeConfig
) -> None:
    assert own.central is not None
    own.spool.dir.mkdir()
    (own.spool.dir / "central").write_text("in the way")
    catalog.give(version(1))
    manager = RemoteConfigManager(own, own.central, Link("central"))
    target = HealthyTarget()
    assert manager.boot() == own
    running = asyncio.create_task(manager.run(target))
    try:
        await wait_for(
            lambda: "cannot be written" in manager.status.detail, within_s=20, what="it is reported"
        )
        assert (manager.status.version, target.applied) == (None, [])
        (own.spool.dir / "central").unlink()
        await wait_for(lambda: manager.status.version == 1, within_s=30, what="then it is tried")
        assert target.applied == [[CAMERA["url"]]]
    finally:
        running.cancel()
        await asyncio.wait([running])
    again = RemoteConfigManager(own, own.central, Link("central"))
    assert [camera.url for camera in again.boot().cameras] == [CAMERA["url"]]
    assert again.status.version == 1
