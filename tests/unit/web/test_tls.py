"""HTTPS of the web itself: real clients, and a certificate that changes while they read."""

import asyncio
import os
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import ClientSession, TCPConnector, web
from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

import stores.tls_site
from domain.errors import ConfigError
from local.certificates import make_pair
from stores.http_server import BoundedRunner, ConnectionLimits
from streams import server_certificate
from streams.server_certificate import ServerCertificate, tls_site
from streams.settings import Settings
from tests.waiting import wait_for

BLOCK = 64 << 10


class Files:
    """Certificate and key, each in a file of its own, and the authorities that clients trust."""

    def __init__(self, folder: Path) -> None:
        self.certificate = folder / "certificate.pem"
        self.key = folder / "key.pem"
        self.authorities = ""
        self.renew()

    def renew(self) -> bytes:
        """Write a new pair; return its PEM."""
        authority, pair = make_pair("127.0.0.1")
        self.authorities += authority.decode()
        key, _, certificate = pair.partition(b"-----END PRIVATE KEY-----\n")
        self.write(certificate, key + b"-----END PRIVATE KEY-----\n")
        return pair

    def write(self, certificate: bytes | None, key: bytes | None) -> None:
        """Replace files as certificate managers do: by a rename."""
        for file, data in ((self.certificate, certificate), (self.key, key)):
            if data is not None:
                new = file.with_suffix(".new")
                new.write_bytes(data)
                new.replace(file)

    def client(self, **more: int) -> ssl.SSLContext:
        context = ssl.create_default_context(cadata=self.authorities)
        if "maximum" in more:
            context.maximum_version = ssl.TLSVersion(more["maximum"])
            context.minimum_version = ssl.TLSVersion.TLSv1
            context.set_ciphers("ALL:@SECLEVEL=0")
        return context

    @property
    def serial(self) -> int:
        return x509.load_pem_x509_certificate(self.certificate.read_bytes()).serial_number


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


@pytest.fixture
async def served(files: Files, free_port: int) -> AsyncIterator[ServerCertificate]:
    go_on = asyncio.Event()

    async def slow(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": str(2 * BLOCK)})
        await response.prepare(request)
        await response.write(b"a" * BLOCK)
        await go_on.wait()
        await response.write(b"b" * BLOCK)
        return response

    async def scheme(request: web.Request) -> web.Response:
        go_on.set()
        return web.Response(text=request.scheme)

    app = web.Application()
    app.router.add_get("/slow", slow)
    app.router.add_get("/scheme", scheme)
    runner = BoundedRunner(app, ConnectionLimits(), "vigil")
    certificate = ServerCertificate(files.certificate, files.key)
    await runner.setup()
    await tls_site(runner, "127.0.0.1", free_port, certificate).start()
    yield certificate
    await runner.cleanup()


async def serial_of(port: int, context: ssl.SSLContext) -> int:
    """Return the serial number of the certificate that a new client gets."""
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    connection = writer.get_extra_info("ssl_object")
    der = connection.getpeercert(binary_form=True)
    writer.close()
    return x509.load_der_x509_certificate(der).serial_number


async def test_a_new_certificate_ends_no_download(
    served: ServerCertificate, files: Files, free_port: int
) -> None:
    assert not served.reload(), "nothing has changed"
    old = files.serial
    async with ClientSession(connector=TCPConnector(ssl=files.client())) as client:
        download = await client.get(f"https://127.0.0.1:{free_port}/slow")
        assert await download.content.readexactly(BLOCK) == b"a" * BLOCK
        files.renew()
        assert served.reload()
        assert files.serial != old
        assert await serial_of(free_port, files.client()) == files.serial
        async with ClientSession(connector=TCPConnector(ssl=files.client())) as other:
            answer = await other.get(f"https://127.0.0.1:{free_port}/scheme")
            assert await answer.text() == "https"
        assert await download.read() == b"b" * BLOCK
    # A client that trusts only the old authority is refused, as it should be.
    assert served.problem is None


@pytest.mark.parametrize("what", ["key of another", "no certificate", "gone", "half"])
async def test_a_bad_file_keeps_the_old_certificate(
    served: ServerCertificate, files: Files, free_port: int, what: str, caplog
) -> None:
    old, key = files.serial, files.key.read_bytes()
    good = files.certificate.read_bytes()
    if what == "key of another":
        files.write(None, make_pair("127.0.0.1")[1].partition(b"-----BEGIN CERT")[0])
    elif what == "no certificate":
        files.write(b"nothing\n", None)
    elif what == "gone":
        files.key.unlink()
    else:
        files.write(good[: len(good) // 2], None)
    assert not served.reload()
    assert served.problem is not None
    assert "VIGIL_WEB_TLS_" in served.problem
    assert server_certificate.REJECTED._value.get() == 1
    assert await serial_of(free_port, files.client()) == old
    assert "the certificate in use is kept" in caplog.text
    caplog.clear()
    assert not served.reload()
    assert caplog.text == "", "one line for each bad file"
    files.write(good, key)
    assert served.reload()
    assert (served.problem, server_certificate.REJECTED._value.get()) == (None, 0)
    assert await serial_of(free_port, files.client()) == old


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
async def test_old_protocols_are_refused(
    served: ServerCertificate, files: Files, free_port: int
) -> None:
    for version in (ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_2):
        context = files.client(maximum=version)
        connect = asyncio.open_connection("127.0.0.1", free_port, ssl=context)
        if version < ssl.TLSVersion.TLSv1_2:
            with pytest.raises((ssl.SSLError, ConnectionError)):
                await connect
            continue
        _, writer = await connect
        cipher, protocol, _ = writer.get_extra_info("ssl_object").cipher()
        assert (protocol, cipher.startswith("ECDHE-")) == ("TLSv1.2", True)
        writer.close()


async def test_a_client_without_a_handshake_is_closed(
    files: Files, free_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stores.tls_site, "HANDSHAKE_S", 0.1)
    runner = BoundedRunner(web.Application(), ConnectionLimits(), "vigil")
    await runner.setup()
    certificate = ServerCertificate(files.certificate, files.key)
    await tls_site(runner, "127.0.0.1", free_port, certificate).start()
    reader, writer = await asyncio.open_connection("127.0.0.1", free_port)
    async with asyncio.timeout(30):
        assert await reader.read() == b""
    writer.close()
    await runner.cleanup()


async def test_changes_are_noticed(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_certificate, "CHECK_S", 0.01)
    certificate = ServerCertificate(files.certificate, files.key)
    watch = asyncio.create_task(certificate.watch())
    before = certificate._newest
    files.renew()
    await wait_for(lambda: certificate._newest is not before, within_s=10, what="it is loaded")
    watch.cancel()


def test_files_that_cannot_be_used_are_clear_errors(files: Files, tmp_path: Path) -> None:
    for certificate, key, message in (
        (tmp_path / "none.pem", files.key, "CERTIFICATE_FILE .*none.pem.* cannot be read"),
        (files.key, files.key, "CERTIFICATE_FILE .* cannot be read"),
        (files.certificate, tmp_path / "none.pem", "KEY_FILE .*none.pem.* cannot be used"),
        (files.certificate, files.certificate, "KEY_FILE .* cannot be used"),
    ):
        with pytest.raises(ConfigError, match=message):
            ServerCertificate(certificate, key)
    key = load_pem_private_key(files.key.read_bytes(), None)
    secret = key.private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"password")
    )
    files.write(None, secret)
    with pytest.raises(ConfigError, match="unencrypted PEM key"):
        ServerCertificate(files.certificate, files.key)
    files.write(None, make_pair("127.0.0.1")[1].partition(b"-----BEGIN CERT")[0])
    with pytest.raises(ConfigError, match="not the key of this certificate"):
        ServerCertificate(files.certificate, files.key)


def test_one_file_alone_is_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "VIGIL_WEB_TLS_KEY_FILE", "/key.pem")
    with pytest.raises(ConfigError, match="Set both VIGIL_WEB_TLS_CERTIFICATE_FILE"):
        Settings()
