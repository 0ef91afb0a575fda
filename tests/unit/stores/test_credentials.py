"""Expired credentials: the error says so, and they are read again without a restart."""

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from domain.errors import CredentialsError
from stores import aws
from stores.aws_endpoint import AwsEndpoint
from stores.objects import ObjectStore
from stores.queue import Queue

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


async def put(store: ObjectStore) -> bool:
    sha256 = hashlib.sha256(b"x").hexdigest()
    return await store.put_once("key", b"x", sha256=sha256, metadata={})


async def test_expired_credentials_are_read_again(
    address: tuple[AwsEndpoint, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aws, "RENEW_INTERVAL_S", 0.0)
    endpoint, file = address
    write(file, "old")
    async with (
        ObjectStore(endpoint, "bucket") as store,
        Queue(endpoint, f"{endpoint.url}/0/queue") as queue,
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


async def test_missing_credentials_are_called_that(address: tuple[AwsEndpoint, Path]) -> None:
    endpoint, file = address
    async with ObjectStore(endpoint, "bucket") as store:
        with pytest.raises(CredentialsError, match="there are no credentials"):
            await put(store)
    assert not file.exists()
