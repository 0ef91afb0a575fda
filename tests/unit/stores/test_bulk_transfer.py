"""The client for large objects, against a small S3 that fails on command.

It may never leave half an object: an upload that fails anywhere is aborted.
"""

import asyncio
import hashlib
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from domain.errors import (
    ConfigError,
    CredentialsError,
    IntegrityError,
    ObjectMissingError,
    StoreError,
)
from local.certificates import Certificates, make_pair
from local.ports import HOST
from stores import bulk_transfer, timing
from stores.aws_endpoint import AwsEndpoint
from stores.bulk_transfer import PART_SIZE, BulkTransfer, is_loopback
from stores.objects import ObjectStore

KEY = "chunks/a/b.ts"
DATA = bytes(range(251)) * (3 * PART_SIZE // 251 + 1)
PARTS = -(-len(DATA) // PART_SIZE)

REGION = {"x-amz-bucket-region": "ap-south-2"}
Refusal = tuple[int, str] | None
Rule = Callable[[web.Request], Refusal]


class SmallS3:
    """Objects and multipart uploads in memory. `rule` says which requests are refused."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.uploads: dict[str, dict[int, bytes]] = {}
        self.aborted = 0
        self.requests: list[tuple[str, str]] = []
        """Method and query of each."""
        self.headers: list[Any] = []
        self.url = ""
        self.rule: Rule = lambda _: None
        self.held: asyncio.Event | None = None
        """While it is not set, parts get no answer."""
        self.cut_after: int | None = None
        """A response ends after so many bytes of its body, and so does the connection."""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self.requests.append((request.method, request.query_string))
        self.headers.append(request.headers)
        if (refusal := self.rule(request)) is not None:
            status, code = refusal
            text = f"<Error><Code>{code}</Code><Message>no</Message></Error>"
            if request.method == "HEAD":
                text = ""
            return web.Response(status=status, text=text, headers=REGION)
        key = request.path.removeprefix("/bucket/")
        return await getattr(self, f"_{request.method.lower()}")(request, key, body)

    async def _head(self, *_: Any) -> web.Response:
        return web.Response(headers=REGION)

    async def _get(self, request: web.Request, key: str, _: bytes) -> web.StreamResponse:
        if key not in self.objects:
            return web.Response(status=404, text="<Error><Code>NoSuchKey</Code></Error>")
        data = self.objects[key]
        if self.cut_after is None:
            span = request.http_range
            part = data[span]
            headers = {"ETag": '"x"', "Last-Modified": "Sun, 22 Nov 2026 10:00:00 GMT"}
            if len(part) == len(data):
                return web.Response(body=part, headers=headers)
            headers["Content-Range"] = (
                f"bytes {span.start}-{span.start + len(part) - 1}/{len(data)}"
            )
            return web.Response(status=206, body=part, headers=headers)
        response = web.StreamResponse(headers={"Content-Length": str(len(data)), "ETag": '"x"'})
        await response.prepare(request)
        await response.write(data[: self.cut_after])
        assert request.transport is not None
        request.transport.close()
        return response

    async def _put(self, request: web.Request, key: str, body: bytes) -> web.Response:
        if "uploadId" not in request.query:
            self.objects[key] = body
        else:
            if self.held is not None:
                await self.held.wait()
            number = int(request.query["partNumber"])
            self.uploads[request.query["uploadId"]][number] = body
        return web.Response(headers={"ETag": f'"{hashlib.md5(body).hexdigest()}"'})

    async def _post(self, request: web.Request, key: str, body: bytes) -> web.Response:
        if "uploads" in request.query:
            self.uploads["one"] = {}
            text = "<InitiateMultipartUploadResult><UploadId>one</UploadId>"
            return web.Response(text=f"{text}</InitiateMultipartUploadResult>")
        parts = self.uploads.pop(request.query["uploadId"])
        self.objects[key] = b"".join(parts[number] for number in sorted(parts))
        text = '<CompleteMultipartUploadResult><ETag>"x"</ETag></CompleteMultipartUploadResult>'
        return web.Response(text=text)

    async def _delete(self, request: web.Request, _key: str, _body: bytes) -> web.Response:
        del self.uploads[request.query["uploadId"]]
        self.aborted += 1
        return web.Response(status=204)


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.delenv("AWS_SESSION_TOKEN", raising=False)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://192.0.2.1:1")
    """Our own settings come first."""


@pytest.fixture
async def s3() -> AsyncIterator[SmallS3]:
    served = SmallS3()
    app = web.Application(client_max_size=1 << 30)
    app.router.add_route("*", "/{path:.*}", served.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, HOST, 0).start()
    served.url = f"http://{HOST}:{runner.addresses[0][1]}"
    yield served
    if served.held is not None:
        served.held.set()
    await runner.cleanup()


def transfer(s3: SmallS3, *, attempts: int = 1, read_timeout_s: int = 30) -> BulkTransfer:
    return BulkTransfer(
        AwsEndpoint("eu-central-1", s3.url, max_attempts=attempts, read_timeout_s=read_timeout_s),
        "bucket",
    )


async def blocks(size: int = 1_000_003) -> AsyncIterator[memoryview]:
    for at in range(0, len(DATA), size):
        yield memoryview(DATA)[at : at + size]


async def write(
    bulk: BulkTransfer, source: AsyncIterator[Any], size_bytes: int | None = None
) -> int:
    return await bulk.write(
        KEY, source, size_bytes=size_bytes, metadata={"x": "y"}, content_type="video/mp2t"
    )


@pytest.mark.parametrize("size", [700_001, PART_SIZE, 2 * PART_SIZE + 1, len(DATA)])
async def test_parts_are_cut_alike_whatever_the_blocks_are(s3: SmallS3, size: int) -> None:
    assert await write(transfer(s3), blocks(size)) == len(DATA)
    assert s3.objects == {KEY: DATA}
    assert [method for method, _ in s3.requests] == ["POST", *["PUT"] * PARTS, "POST"]
    assert s3.headers[0]["x-amz-meta-x"] == "y"
    assert s3.headers[0]["Content-Type"] == "video/mp2t"


async def test_an_object_of_known_size_is_one_request(s3: SmallS3) -> None:
    assert await write(transfer(s3), blocks(), len(DATA)) == len(DATA)
    assert s3.objects == {KEY: DATA}
    assert [method for method, _ in s3.requests] == ["PUT"]
    assert s3.headers[0]["x-amz-meta-x"] == "y"


REFUSALS: list[tuple[Refusal, type[StoreError], str]] = [
    (
        (404, "NoSuchBucket"),
        StoreError,
        "NoSuchBucket: the bucket does not exist",
    ),
    ((404, "NoSuchKey"), ObjectMissingError, "no such object"),
    ((403, "AccessDenied"), StoreError, "answered 403 AccessDenied: these credentials need access"),
    ((403, "ExpiredToken"), CredentialsError, r"rejected \(ExpiredToken\): renew them"),
    ((400, "ExpiredToken"), CredentialsError, r"rejected \(ExpiredToken\): renew them"),
    ((403, "RequestTimeTooSkewed"), StoreError, "clock is wrong"),
    ((301, "PermanentRedirect"), StoreError, "bucket is in another region"),
    ((409, "ConditionalRequestConflict"), StoreError, "answered 409"),
    ((412, "PreconditionFailed"), StoreError, "answered 412 PreconditionFailed"),
    ((400, "BadDigest"), StoreError, "answered 400 BadDigest"),
    ((500, "InternalError"), StoreError, "answered 500 InternalError"),
    ((503, "SlowDown"), StoreError, "answered 503 SlowDown"),
]


@pytest.mark.parametrize(
    ("refusal", "kind", "text"), REFUSALS, ids=[f"{r[0][0]}-{r[0][1]}" for r in REFUSALS if r[0]]
)
async def test_each_refusal_is_an_error_of_its_kind(
    s3: SmallS3, refusal: Refusal, kind: type[StoreError], text: str
) -> None:
    s3.rule = lambda _: refusal
    bulk = transfer(s3)
    works: list[tuple[str, Any]] = [
        (f"reading {KEY}: ", lambda: bulk.read(KEY, 5)),
        (f"writing {KEY}: ", lambda: write(bulk, blocks(), len(DATA))),
        (f"writing {KEY}: ", lambda: write(bulk, blocks())),
    ]
    for action, work in works:
        with pytest.raises(StoreError, match=text) as raised:
            await work()
        assert type(raised.value) is kind
        assert str(raised.value).startswith(action)
        assert "Debug source" not in str(raised.value)


async def test_a_busy_store_is_asked_again(s3: SmallS3) -> None:
    s3.objects[KEY] = DATA
    s3.rule = lambda _: (503, "SlowDown") if len(s3.requests) == 1 else None
    assert await transfer(s3, attempts=2).read(KEY, len(DATA)) == DATA
    s3.rule = lambda _: (503, "SlowDown")
    s3.requests.clear()
    with pytest.raises(StoreError, match="503"):
        await transfer(s3, attempts=3).read(KEY, len(DATA))
    assert len(s3.requests) == 3


async def test_calls_are_counted(s3: SmallS3, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[str, str, str]] = []
    monkeypatch.setattr(timing, "_listener", lambda *call: calls.append(call[:3]))
    bulk = transfer(s3)
    await write(bulk, blocks(), len(DATA))
    await write(bulk, blocks())
    await bulk.read(KEY, len(DATA))
    for refusal in ((404, "NoSuchKey"), (500, "InternalError")):
        s3.rule = lambda _, refusal=refusal: refusal  # type: ignore[misc]
        with pytest.raises(StoreError):
            await bulk.read(KEY, len(DATA))
    assert calls == [
        ("s3", "PutObject", "ok"),
        ("s3", "MultipartUpload", "ok"),
        ("s3", "GetObject", "ok"),
        ("s3", "GetObject", "ok"),
        ("s3", "GetObject", "failed"),
    ]


async def test_only_objects_of_the_expected_size_are_returned(s3: SmallS3) -> None:
    s3.objects[KEY] = DATA
    bulk = transfer(s3)
    assert await bulk.read(KEY, 40, 60) == DATA[60:100]
    with pytest.raises(IntegrityError, match="has more than the expected 10 bytes"):
        await bulk.read(KEY, 10)
    with pytest.raises(IntegrityError, match=f"has {len(DATA)} bytes instead of"):
        await bulk.read(KEY, len(DATA) + 1)
    with pytest.raises(IntegrityError, match="has 5 bytes instead of 9"):
        await bulk.read(KEY, 9, len(DATA) - 5)


async def test_a_response_that_is_cut_off_fails(s3: SmallS3) -> None:
    s3.objects[KEY] = DATA
    s3.cut_after = 100_000
    with pytest.raises(StoreError, match=f"reading {KEY}"):
        await transfer(s3).read(KEY, len(DATA))


async def test_a_server_that_does_not_answer_is_given_up(s3: SmallS3) -> None:
    s3.held = asyncio.Event()
    with pytest.raises(StoreError, match="no answer in time"):
        await transfer(s3, read_timeout_s=1).write(
            KEY, blocks(), size_bytes=None, metadata={}, content_type="video/mp2t"
        )
    assert s3.aborted == 1
    assert s3.objects == {}


async def test_no_server_at_all() -> None:
    bulk = BulkTransfer(AwsEndpoint("eu-central-1", "http://127.0.0.1:9", max_attempts=1), "bucket")
    with pytest.raises(StoreError, match=r"cannot be reached \(Connection refused\)"):
        await bulk.read(KEY, 5)


def _part(number: int) -> Rule:
    return lambda request: (
        (403, "AccessDenied") if request.query.get("partNumber") == str(number) else None
    )


def _complete(request: web.Request) -> Refusal:
    return (
        (500, "InternalError") if request.method == "POST" and "uploadId" in request.query else None
    )


@pytest.mark.parametrize("rule", [_part(1), _part(2), _part(PARTS), _complete])
async def test_an_upload_that_is_refused_anywhere_is_aborted(s3: SmallS3, rule: Rule) -> None:
    s3.rule = rule
    with pytest.raises(StoreError, match=r"answered (403 AccessDenied|500 InternalError)"):
        await write(transfer(s3), blocks())
    assert (s3.objects, s3.uploads, s3.aborted) == ({}, {}, 1)


async def test_an_error_of_the_source_aborts_the_upload(s3: SmallS3) -> None:
    async def tampered() -> AsyncIterator[memoryview]:
        async for block in blocks():
            yield block
        raise IntegrityError("tampered")

    with pytest.raises(IntegrityError, match="tampered"):
        await write(transfer(s3), tampered())
    assert (s3.objects, s3.uploads, s3.aborted) == ({}, {}, 1)
    s3.requests.clear()
    with pytest.raises(IntegrityError, match="tampered"):
        await write(transfer(s3), tampered(), len(DATA))
    assert s3.requests == [], "one PUT begins when all is there"


@pytest.mark.parametrize("part_in_flight", [False, True])
async def test_a_cancelled_upload_is_aborted(s3: SmallS3, part_in_flight: bool) -> None:
    waiting = asyncio.Event()

    async def endless() -> AsyncIterator[memoryview]:
        async for block in blocks(PART_SIZE + 1):
            yield block
            break
        waiting.set()
        await asyncio.Event().wait()

    if part_in_flight:
        s3.held = asyncio.Event()
    task = asyncio.create_task(write(transfer(s3), endless()))
    await waiting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (s3.objects, s3.uploads, s3.aborted) == ({}, {}, 1)


async def test_a_store_that_refuses_to_abort_hides_no_error(
    s3: SmallS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bucket's lifecycle rule deletes the parts."""

    async def tampered() -> AsyncIterator[memoryview]:
        async for block in blocks():
            yield block
        raise IntegrityError("tampered")

    s3.rule = lambda request: (500, "InternalError") if request.method == "DELETE" else None
    with pytest.raises(IntegrityError, match="tampered"):
        await write(transfer(s3), tampered())
    assert s3.objects == {}


async def test_expired_credentials_are_read_again(
    s3: SmallS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3.objects[KEY] = DATA
    s3.rule = lambda request: (
        None if "Credential=new/" in request.headers["Authorization"] else (403, "ExpiredToken")
    )
    async with ObjectStore(AwsEndpoint("eu-central-1", s3.url, max_attempts=1), "bucket") as store:
        with pytest.raises(CredentialsError):
            await store.read(KEY, size_bytes=len(DATA))
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "new")
        await store.reload_credentials()
        assert await store.read(KEY, size_bytes=len(DATA)) == DATA


@pytest.mark.parametrize("refusal", [None, (403, ""), (301, "")])
async def test_the_region_is_the_buckets(
    s3: SmallS3, monkeypatch: pytest.MonkeyPatch, refusal: Refusal
) -> None:
    """AWS names it in the response, also where it refuses to answer."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", s3.url)
    s3.objects[KEY] = DATA
    s3.rule = lambda request: refusal if request.method == "HEAD" else None
    async with ObjectStore(AwsEndpoint("eu-central-1", max_attempts=1), "bucket") as store:
        assert await store.read(KEY, size_bytes=len(DATA)) == DATA
    assert "/ap-south-2/s3/" in s3.headers[-1]["Authorization"]


async def test_the_payload_is_not_hashed_on_this_machine(s3: SmallS3) -> None:
    await write(transfer(s3), blocks())
    await write(transfer(s3), blocks(), len(DATA))
    hashes = [
        headers["x-amz-content-sha256"]
        for (method, _), headers in zip(s3.requests, s3.headers, strict=True)
        if method == "PUT"
    ]
    assert hashes == ["UNSIGNED-PAYLOAD"] * (PARTS + 1)


@pytest.mark.parametrize(
    ("url", "unsigned", "checksum"),
    [
        (None, True, "CRC64NVME"),  # AWS, by TLS
        ("https://s3.example.org", True, None),
        ("http://s3.example.org", False, None),
        ("http://10.0.0.5:9000", False, None),
        ("http://127.0.0.1:9000", True, None),
        ("http://[::1]:9000", True, None),
        ("http://localhost:9000", True, None),
        ("http://localhost.example.org", False, None),
        ("http://127.0.0.1.example.org", False, None),
    ],
)
def test_what_is_hashed_depends_on_the_way(
    url: str | None, unsigned: bool, checksum: str | None
) -> None:
    """Over plain HTTP to another machine the signature covers the payload."""
    config = bulk_transfer._config(AwsEndpoint("eu-central-1", url), "bucket")
    assert config["unsigned_payload"] is unsigned
    assert config.get("checksum_algorithm") == checksum
    assert is_loopback(config["aws_endpoint_url_s3"]) == (
        unsigned and checksum is None and "https" not in (url or "")
    )


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    made = Certificates(tmp_path / "tls")
    made.make()
    return made


@pytest.mark.parametrize("trusted", ["ours", "another", "system"])
async def test_only_a_trusted_certificate_is_accepted(
    certificates: Certificates, tmp_path: Path, trusted: str
) -> None:
    served = SmallS3()
    served.objects[KEY] = b"12345"
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", served.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificates.server_file)
    await web.TCPSite(runner, HOST, 0, ssl_context=context).start()
    another = tmp_path / "another.pem"
    another.write_bytes(make_pair(HOST)[0])
    ca_file = {"ours": str(certificates.ca_file), "another": str(another), "system": None}[trusted]

    def bulk(host: str) -> BulkTransfer:
        url = f"https://{host}:{runner.addresses[0][1]}"
        return BulkTransfer(AwsEndpoint("eu-central-1", url, ca_file, max_attempts=1), "bucket")

    try:
        if trusted == "ours":
            assert await bulk(HOST).read(KEY, 5) == b"12345"
        host, fault = {"ours": ("localhost", "for another host")}.get(
            trusted, (HOST, "not signed by an authority that we trust")
        )
        with pytest.raises(StoreError, match=f"certificate is not trusted: its .* {fault};"):
            await bulk(host).read(KEY, 5)
    finally:
        await runner.cleanup()


def test_a_ca_file_that_cannot_be_used_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL_S3")
    with pytest.raises(ConfigError, match=r"gone\.pem cannot be read"):
        BulkTransfer(AwsEndpoint("eu-central-1", None, str(tmp_path / "gone.pem")), "bucket")
