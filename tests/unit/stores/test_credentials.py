"""Expired credentials: the error says so, and they are read again without a restart."""

import hashlib
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from domain.errors import CredentialsError, StoreError
from stores import aws, aws_credentials
from stores.aws_endpoint import AwsEndpoint
from stores.objects import ObjectStore
from stores.queue import Queue
from stores.signed_objects import SignedObjectStore
from stores.signed_queue import SignedQueue

_XML = '<?xml version="1.0"?><Error><Code>ExpiredToken</Code></Error>'
_JSON = '{"__type":"com.amazonaws.sqs#ExpiredToken","message":"no"}'


@pytest.fixture
async def address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[AwsEndpoint, Path]]:
    """A store and queue that take the key `new` alone, and the file that holds the key."""

    async def answer(request: web.Request) -> web.Response:
        asked_of_s3 = request.method == "PUT"
        if "Credential=new/" not in request.headers.get("Authorization", ""):
            return web.Response(status=403, text=_XML if asked_of_s3 else _JSON)
        return web.Response(text="" if asked_of_s3 else '{"Successful": [], "Failed": []}')

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    file = tmp_path / "credentials"
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    port = runner.addresses[0][1]
    yield AwsEndpoint("eu-central-1", f"http://127.0.0.1:{port}", max_attempts=1), file
    await runner.cleanup()


def write(file: Path, key: str) -> None:
    file.write_text(f"[default]\naws_access_key_id = {key}\naws_secret_access_key = s\n")


Clients = tuple[type[ObjectStore], type[Queue]] | tuple[type[SignedObjectStore], type[SignedQueue]]


@pytest.fixture(params=["aioboto3", "signed"])
def clients(request: pytest.FixtureRequest) -> Clients:
    if request.param == "signed":
        return SignedObjectStore, SignedQueue
    return ObjectStore, Queue


async def put(store: ObjectStore | SignedObjectStore) -> bool:
    sha256 = hashlib.sha256(b"x").hexdigest()
    return await store.put_once("key", b"x", sha256=sha256, metadata={})


async def test_expired_credentials_are_read_again(
    address: tuple[AwsEndpoint, Path], clients: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aws, "RENEW_INTERVAL_S", 0.0)
    monkeypatch.setattr(aws_credentials, "RENEW_INTERVAL_S", 0.0)
    endpoint, file = address
    write(file, "old")
    make_store, make_queue = clients
    async with (
        make_store(endpoint, "bucket") as store,
        make_queue(endpoint, f"{endpoint.url}/0/queue") as queue,
    ):
        with pytest.raises(CredentialsError, match=r"rejected \(ExpiredToken\): renew them"):
            await put(store)
        with pytest.raises(CredentialsError, match=r"rejected \(.*ExpiredToken\): renew them"):
            await queue.send([b"message"])
        await store.reload_credentials()
        with pytest.raises(CredentialsError):  # the file says the same as before
            await put(store)
        write(file, "new")
        for _ in range(3):  # again and again is fine
            await store.reload_credentials()
            await queue.reload_credentials()
        assert await put(store)
        assert await queue.send([b"message"]) == []


async def test_missing_credentials_are_called_that(
    address: tuple[AwsEndpoint, Path], clients: Clients
) -> None:
    endpoint, file = address
    async with clients[0](endpoint, "bucket") as store:
        with pytest.raises(CredentialsError, match="there are no credentials"):
            await put(store)
    assert not file.exists()


def answer(**fields: Any) -> bytes:
    return json.dumps({"AccessKeyId": "key", "SecretAccessKey": "s", **fields}).encode()


@pytest.fixture
def chain(monkeypatch: pytest.MonkeyPatch) -> list[bytes | Exception]:
    """Return what botocore's chain answers, one after the other; no process is started."""
    answers: list[bytes | Exception] = []

    async def next_answer() -> aws_credentials.AwsCredentials:
        found = answers.pop(0)
        if isinstance(found, Exception):
            raise found
        return aws_credentials.parse_credentials(found)

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(aws_credentials, "_from_chain", next_answer)
    return answers


async def test_temporary_credentials_are_replaced_before_they_expire(
    chain: list[bytes | Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    now_ms = 1_790_000_000_000
    steady_s = 1_000.0
    monkeypatch.setattr(aws_credentials, "utc_ms", lambda: now_ms)
    monkeypatch.setattr(aws_credentials.time, "monotonic", lambda: steady_s)

    def at(seconds: int) -> str:
        return datetime.fromtimestamp(now_ms / 1_000 + seconds, UTC).isoformat()

    cache = aws_credentials.CredentialCache()
    chain += [answer(AccessKeyId="first", Expiration=at(3_600))]
    assert (await cache.get()).access_key_id == "first"
    now_ms, steady_s = now_ms + 3_599_000 - 600_000, steady_s + 2_999
    assert (await cache.get()).access_key_id == "first"
    now_ms, steady_s = now_ms + 2_000, steady_s + 2
    chain += [StoreError("no answer in 60 s."), answer(AccessKeyId="second", Expiration=at(3_600))]
    assert (await cache.get()).access_key_id == "first"  # still valid; tried again in a minute
    assert (await cache.get()).access_key_id == "first"
    steady_s += 61
    assert (await cache.get()).access_key_id == "second"
    assert chain == []
    now_ms, steady_s = now_ms + 3_700_000, steady_s + 3_700
    chain += [CredentialsError("there are none.")]
    with pytest.raises(CredentialsError):
        await cache.get()


def test_what_the_process_prints_is_read() -> None:
    found = aws_credentials.parse_credentials(
        answer(SessionToken="t", Expiration="2026-09-21T14:13:20+00:00")
    )
    assert found == aws_credentials.AwsCredentials("key", "s", "t", 1_790_000_000_000)
    assert aws_credentials.parse_credentials(answer(SessionToken=None)).expires_ms is None
    with pytest.raises(CredentialsError, match=r"no credentials \(Unable to locate.*renew them"):
        aws_credentials.parse_credentials(b'{"Error": "Unable to locate credentials"}')
    for damaged in (b"", b"[]", b"{}", b'{"AccessKeyId": "a"}', answer(Expiration="soon")):
        with pytest.raises(StoreError, match="process for it failed"):
            aws_credentials.parse_credentials(damaged)
