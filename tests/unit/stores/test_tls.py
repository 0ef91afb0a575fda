"""Certificates judged: by a real server with a real certificate, on loopback."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from domain.errors import ConfigError, StoreError
from local.certificates import Certificates, make_pair
from local.ports import HOST
from stores import timing, tls
from stores.aws import open_client
from stores.aws_endpoint import AwsEndpoint
from stores.catalog import Catalog, migrate
from stores.objects import ObjectStore
from stores.queue import Queue
from stores.signed_objects import SignedObjectStore
from stores.signed_queue import SignedQueue


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    made = Certificates(tmp_path / "tls")
    made.make()
    return made


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\nConnection: close\r\n"
    b"Last-Modified: Sun, 22 Nov 2026 10:00:00 GMT\r\n\r\n"
)


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(ANSWER)
    await writer.drain()
    writer.close()


@asynccontextmanager
async def https(certificates: Certificates) -> AsyncIterator[int]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificates.server_file)
    server = await asyncio.start_server(_answer, HOST, 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]


Store = type[ObjectStore] | type[SignedObjectStore]


@pytest.fixture(params=[ObjectStore, SignedObjectStore])
def kind(request: pytest.FixtureRequest) -> Store:
    made: Store = request.param
    return made


async def head(kind: Store, port: int, ca_file: Path | None, host: str = HOST) -> int:
    endpoint = AwsEndpoint("eu-central-1", f"https://{host}:{port}", ca_file and str(ca_file))
    async with kind(endpoint, "bucket") as store:
        return (await store.head("key")).size_bytes


async def test_a_store_with_a_certificate_of_our_authority_is_believed(
    kind: Store, certificates: Certificates
) -> None:
    calls: list[tuple[str, str, str]] = []
    timing.set_listener(lambda *call: calls.append(call[:3]))
    try:
        async with https(certificates) as port:
            assert await head(kind, port, certificates.ca_file) == 7
    finally:
        timing.set_listener(timing._no_listener)
    assert calls == [("s3", "HeadObject", "ok")]


async def test_a_store_that_is_called_by_another_name_is_not(
    kind: Store, certificates: Certificates
) -> None:
    async with https(certificates) as port:
        with pytest.raises(StoreError, match=r"key in the object store: .* for another host .*;"):
            await head(kind, port, certificates.ca_file, host="localhost")


@pytest.mark.parametrize("ours", [True, False])
async def test_a_store_with_a_certificate_of_a_stranger_is_not(
    kind: Store, certificates: Certificates, tmp_path: Path, ours: bool
) -> None:
    other = tmp_path / "other.pem"
    other.write_bytes(make_pair(HOST)[0])
    async with https(certificates) as port:
        with pytest.raises(StoreError, match="not signed by an authority that we trust"):
            await head(kind, port, other if ours else None)


async def test_a_queue_is_judged_alike(certificates: Certificates) -> None:
    async with https(certificates) as port:
        url = f"https://localhost:{port}"
        endpoint = AwsEndpoint("eu-central-1", url, str(certificates.ca_file))
        async with Queue(endpoint, f"{url}/0/queue") as queue:
            with pytest.raises(StoreError, match="for another host"):
                await queue.receive(wait_s=0)
        async with SignedQueue(endpoint, f"{url}/0/queue") as sender:
            with pytest.raises(StoreError, match="for another host"):
                await sender.send([b"message"])


async def test_a_database_that_speaks_no_tls_is_refused() -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.readexactly(8) == bytes.fromhex("0000000804d2162f")
        writer.write(b"N")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(refuse, HOST, 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        ca = ssl.get_default_verify_paths().cafile
        dsn = f"postgresql://v:secret@{HOST}:{port}/v?sslmode=verify-full&sslrootcert={ca}"
        with pytest.raises(StoreError, match="rejected SSL") as raised:
            async with Catalog(dsn):
                pass
        assert "secret" not in str(raised.value)
        with pytest.raises(StoreError, match="rejected SSL"):
            await migrate(dsn)


def test_a_ca_file_that_is_none_is_named(tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("no certificate")
    with pytest.raises(ConfigError, match=r"notes\.txt contains no certificate"):
        tls.client_context(text)
    with pytest.raises(ConfigError, match=r"gone\.pem cannot be read: No such file"):
        tls.client_context(tmp_path / "gone.pem")
    with pytest.raises(ConfigError, match=r"gone\.pem cannot be read"):
        open_client(
            "s3", AwsEndpoint("eu-central-1", None, str(tmp_path / "gone.pem")), connections=1
        )
    with pytest.raises(ConfigError, match=r"gone\.pem cannot be read"):
        SignedObjectStore(AwsEndpoint("eu-central-1", None, str(tmp_path / "gone.pem")), "bucket")


def test_the_context_asks_for_certificate_host_and_tls_1_2() -> None:
    context = tls.client_context(None)
    assert context.verify_mode is ssl.CERT_REQUIRED and context.check_hostname
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2


def test_other_errors_are_no_fault_of_a_certificate() -> None:
    assert tls.certificate_error_text(OSError("refused")) is None
    assert tls.certificate_error_text(None) is None
