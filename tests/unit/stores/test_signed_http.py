"""The client that signs its requests itself, against servers on loopback that behave oddly."""

import asyncio
import base64
import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from yarl import URL

from domain.errors import ObjectExistsError, StoreError
from stores import signed_http
from stores.aws_endpoint import AwsEndpoint
from stores.signed_objects import SignedObjectStore
from stores.signed_queue import SignedQueue
from stores.upload_file import UploadFile

DATA = b"fragment" * 100_000
SHA256 = hashlib.sha256(DATA).hexdigest()


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    for name in ("HTTP_PROXY", "http_proxy", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)


@asynccontextmanager
async def server(
    answer: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
) -> AsyncIterator[str]:
    runner = web.ServerRunner(web.Server(answer), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@pytest.fixture
def file(tmp_path: Path) -> UploadFile:
    (tmp_path / "file").write_bytes(DATA)
    return UploadFile((tmp_path / "file").open("rb", buffering=0), len(DATA))


async def test_a_put_says_everything_in_its_headers(file: UploadFile) -> None:
    seen: list[tuple[web.BaseRequest, bytes]] = []

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        seen.append((request, await request.read()))
        return web.Response()

    async with (
        server(answer) as url,
        SignedObjectStore(AwsEndpoint("eu-central-1", url), "bucket") as store,
    ):
        assert await store.put_once("a/b c", file, sha256=SHA256, metadata={"camera": "gate"})
    ((request, body),) = seen
    assert body == DATA
    assert request.raw_path == "/bucket/a/b%20c"
    headers = dict(request.headers)
    assert headers.pop("Authorization").startswith("AWS4-HMAC-SHA256 Credential=key/")
    assert headers.pop("X-Amz-Date")
    assert headers == {
        "Host": URL(url).raw_authority,
        "Content-Length": str(len(DATA)),
        "Content-Type": "video/mp2t",
        "If-None-Match": "*",
        "X-Amz-Checksum-SHA256": base64.b64encode(bytes.fromhex(SHA256)).decode(),
        "X-Amz-Content-SHA256": SHA256,
        "x-amz-meta-camera": "gate",
        "x-amz-meta-sha256": SHA256,
    }
    file.close()


async def test_a_connection_that_was_closed_in_idleness_costs_no_upload(file: UploadFile) -> None:
    connections = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        # Answers one request. On the second of its first connection it hangs up during the body.
        for number in range(2):
            head = await reader.readuntil(b"\r\n\r\n")
            if connections == 1 and number == 1:
                break
            size = int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0])
            assert await reader.readexactly(size) == DATA
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with listening:
        url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        async with SignedObjectStore(AwsEndpoint("eu-central-1", url), "bucket") as store:
            for key in ("first", "second"):
                assert await store.put_once(key, file, sha256=SHA256, metadata={})
    assert connections == 2
    file.close()


async def test_the_bucket_s_own_region_is_learned_from_aws(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scopes: list[str] = []

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        await request.read()
        scopes.append(request.headers["Authorization"].split("/")[2])
        if scopes[-1] == "eu-west-1":
            return web.Response()
        return web.Response(status=301, headers={"x-amz-bucket-region": "eu-west-1"})

    async with server(answer) as url:
        monkeypatch.setattr(AwsEndpoint, "bucket_url", lambda self, bucket: f"{url}/{bucket}")
        async with SignedObjectStore(AwsEndpoint("eu-central-1"), "bucket") as store:
            for key in ("first", "second"):
                assert await store.put_once(key, DATA, sha256=SHA256, metadata={})
    assert scopes == ["eu-central-1", "eu-west-1", "eu-west-1"]


@pytest.mark.parametrize("existing", [SHA256, "0" * 64, None])
async def test_an_existing_object_counts_only_with_the_same_bytes(existing: str | None) -> None:
    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        await request.read()
        if request.method == "PUT":
            return web.Response(status=412)
        headers = {"Last-Modified": "Sun, 22 Nov 2026 10:00:00 GMT", "Content-Length": "800000"}
        if existing is not None:
            headers["X-Amz-Meta-SHA256"] = existing
        return web.Response(headers=headers)

    async with (
        server(answer) as url,
        SignedObjectStore(AwsEndpoint("eu-central-1", url), "bucket") as store,
    ):
        if existing == SHA256:
            assert not await store.put_once("key", DATA, sha256=SHA256, metadata={})
            return
        with pytest.raises(ObjectExistsError, match="already exists with different content"):
            await store.put_once("key", DATA, sha256=SHA256, metadata={})


async def test_a_cancelled_upload_closes_its_connection(file: UploadFile) -> None:
    arrived, closed = asyncio.Event(), asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        arrived.set()
        while await reader.read(1 << 20):
            pass
        closed.set()
        writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with listening:
        url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        async with SignedObjectStore(AwsEndpoint("eu-central-1", url), "bucket") as store:
            upload = asyncio.create_task(store.put_once("key", file, sha256=SHA256, metadata={}))
            await asyncio.wait_for(arrived.wait(), 20)
            upload.cancel()
            await asyncio.wait([upload], timeout=20)
            assert upload.cancelled()
            await asyncio.wait_for(closed.wait(), 20)
    file.close()


@pytest.mark.parametrize("url", ["http://127.0.0.1:99999", "nonsense", "http://[::1", "ftp://a/b"])
async def test_an_impossible_address_is_an_error_of_the_store(url: str) -> None:
    endpoint = AwsEndpoint("eu-central-1", url)
    async with (
        SignedObjectStore(endpoint, "bucket") as store,
        SignedQueue(endpoint, "http://x/0/q") as queue,
    ):
        with pytest.raises(StoreError):
            await store.get("key")
        assert not await store.is_reachable()
        with pytest.raises(StoreError):
            await queue.send([b"x"])


async def test_the_environment_s_proxy_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    async def proxy(request: web.BaseRequest) -> web.StreamResponse:
        asked.append(request.raw_path)
        return web.json_response({"Successful": []})

    async with server(proxy) as url:
        monkeypatch.setenv("http_proxy", url)
        endpoint = AwsEndpoint("eu-central-1", "http://sqs.invalid")
        async with SignedQueue(endpoint, "http://sqs.invalid/0/q") as queue:
            assert await queue.send([b"x"]) == []
            monkeypatch.setenv("no_proxy", "sqs.invalid")
            with pytest.raises(StoreError, match="cannot be reached"):
                await queue.send([b"x"])
    assert asked == ["http://sqs.invalid/"]


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"<html>", json.dumps({"Failed": [{}]}).encode(), b'{"Failed": 5}']
)
async def test_another_server_than_sqs_is_an_error(body: bytes) -> None:
    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(body=body)

    async with (
        server(answer) as url,
        SignedQueue(AwsEndpoint("eu-central-1", url), f"{url}/0/q") as queue,
    ):
        with pytest.raises(StoreError, match="not an SQS service"):
            await queue.send([b"x"])


async def test_an_endless_response_is_cut_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signed_http, "MAX_RESPONSE_BYTES", 1_000)

    async def endless(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(bytes(1_000))

    async with (
        server(endless) as url,
        SignedObjectStore(AwsEndpoint("eu-central-1", url), "bucket") as store,
    ):
        with pytest.raises(StoreError, match="too large"):
            await store.get("key")
