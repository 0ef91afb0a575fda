"""A missing bucket is never taken for a missing object, by no client and in no operation.

HEAD has no body: its 404 does not say which one is missing.
"""

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web

from domain.errors import ObjectMissingError, StoreError
from local.ports import HOST
from stores.aws_endpoint import AwsEndpoint
from stores.bucket_check import KNOWN_S, BucketCheck
from stores.bulk_transfer import BulkTransfer
from stores.objects import ObjectStore
from stores.signed_objects import SignedObjectStore

KEY = "fragments/a/b/c/0.ts"
SHA256 = hashlib.sha256(b"data").hexdigest()


@dataclass
class Server:
    """S3 without any object. It may have no bucket either."""

    url: str = ""
    has_bucket: bool = False
    requests: list[tuple[str, str]] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.Response:
        await request.read()
        self.requests.append((request.method, request.path))
        is_bucket = request.path.rstrip("/") == "/bucket"
        if request.method == "HEAD":
            return web.Response(status=200 if is_bucket and self.has_bucket else 404)
        code = "NoSuchKey" if self.has_bucket else "NoSuchBucket"
        return web.Response(
            status=404, content_type="application/xml", text=f"<Error><Code>{code}</Code></Error>"
        )


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Server]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    found = Server()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", found.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, HOST, 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    found.url = f"http://{host}:{port}"
    yield found
    await runner.cleanup()


async def write(store: Any) -> None:
    await store.put_once(KEY, b"data", sha256=SHA256, metadata={})


async def write_stream(store: ObjectStore) -> None:
    async def blocks() -> AsyncIterator[bytes]:
        yield b"data"

    await store.put_stream(KEY, blocks(), size_bytes=4)


async def list_all(store: ObjectStore) -> None:
    [_ async for _ in store.list("")]


Work = Callable[[Any], Awaitable[Any]]
CLOUD: dict[str, Work] = {
    "head": lambda store: store.head(KEY),
    "get": lambda store: store.get(KEY),
    "get verified": lambda store: store.get_verified(KEY, size_bytes=4, sha256=SHA256),
    "read": lambda store: store.read(KEY, size_bytes=4),
    "read a range": lambda store: store.read(KEY, size_bytes=4, first=1),
    "read with metadata": lambda store: store.read_with_metadata(KEY, size_bytes=4),
    "put_once": write,
    "put_stream": write_stream,
    "list": list_all,
    "delete": lambda store: store.delete([KEY]),
    "lifecycle": lambda store: store.lifecycle_rules(),
    "object lock": lambda store: store.has_object_lock(),
}
EDGE: dict[str, Work] = {
    "head": lambda store: store.head(KEY),
    "get": lambda store: store.get(KEY),
    "put_once": write,
    "delete": lambda store: store.delete(KEY),
}
READS = {"head", "get", "get verified", "read", "read a range", "read with metadata"}


@pytest.mark.parametrize(
    ("kind", "name"),
    [*((ObjectStore, name) for name in CLOUD), *((SignedObjectStore, name) for name in EDGE)],
)
async def test_it_is_a_fault_of_the_configuration(server: Server, kind: Any, name: str) -> None:
    work = (CLOUD if kind is ObjectStore else EDGE)[name]
    async with AsyncExitStack() as stack:
        endpoint = AwsEndpoint("us-east-1", server.url, max_attempts=1)
        store = await stack.enter_async_context(kind(endpoint, "bucket"))
        with pytest.raises(
            StoreError, match="the bucket does not exist; correct its name"
        ) as error:
            await work(store)
        assert type(error.value) is StoreError
        if name in READS:
            server.has_bucket = True
            with pytest.raises(ObjectMissingError, match="no such object"):
                await work(store)


async def test_an_existing_bucket_is_checked_once_in_a_while(server: Server) -> None:
    server.has_bucket = True
    async with SignedObjectStore(AwsEndpoint("us-east-1", server.url), "bucket") as store:
        for _ in range(3):
            with pytest.raises(ObjectMissingError):
                await store.head(KEY)
    assert [path.rstrip("/") for _, path in server.requests].count("/bucket") == 1

    now_s, asked = 100.0, []

    async def exists() -> bool:
        asked.append(now_s)
        return now_s < 100.0 + KNOWN_S

    check = BucketCheck(exists, lambda: now_s)
    await check.require("reading")
    await check.require("reading")
    assert asked == [100.0]
    now_s += KNOWN_S
    with pytest.raises(StoreError, match="does not exist"):
        await check.require("reading")


def test_all_clients_are_here() -> None:
    """BulkTransfer is reached through ObjectStore."""
    assert {name for name in vars(BulkTransfer) if not name.startswith("_")} == {
        "read",
        "read_with_metadata",
        "write",
    }
