"""A small client for requests to S3 and SQS that are signed here: what an edge needs.

aioboto3, which the cloud uses, costs 40 MiB for the two services (docs/design/edge-memory.md).
"""

import asyncio
import hashlib
import re
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Self
from urllib.request import getproxies, proxy_bypass

import aiohttp
from aiohttp.abc import AbstractStreamWriter
from aiohttp.payload import Payload
from yarl import URL

from domain.times import utc_ms
from stores import tls
from stores.aws_credentials import CredentialCache
from stores.aws_endpoint import AwsEndpoint
from stores.sigv4 import sign
from stores.timing import record_call
from stores.upload_file import UploadFile

_CONNECT_S = 5.0
_KEEP_ALIVE_S = 12.0
"""How long an idle connection is used again; AWS closes it after 20 s."""
MAX_RESPONSE_BYTES = 16 << 20
EMPTY_SHA256 = hashlib.sha256().hexdigest()
_HEADERS_THAT_AIOHTTP_ADDS = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")


class HttpResponse:
    """A whole response; `headers` are case-insensitive."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body


class SignedHttpClient:
    """Sends signed requests to one service, each once: the caller retries.

    Use as an async context manager; safe for many tasks at once. Raises ConfigError where the CA
    file cannot be used.
    """

    def __init__(
        self,
        service: str,
        endpoint: AwsEndpoint,
        *,
        connections: int,
        credentials: CredentialCache | None = None,
    ) -> None:
        self._service = service
        self._endpoint = endpoint
        self._connections = connections
        self._credentials = credentials or CredentialCache()
        self._session: aiohttp.ClientSession | None = None
        needs_tls = endpoint.ca_file or endpoint.service_url(service).startswith("https:")
        self._tls = tls.client_context(endpoint.ca_file) if needs_tls else None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=self._connections, keepalive_timeout=_KEEP_ALIVE_S, ssl=self._tls or True
            ),
            timeout=aiohttp.ClientTimeout(
                total=None, sock_connect=_CONNECT_S, sock_read=self._endpoint.read_timeout_s
            ),
            skip_auto_headers=_HEADERS_THAT_AIOHTTP_ADDS,
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        assert self._session is not None
        await self._session.close()

    async def reload_credentials(self) -> None:
        """Read credentials again from their files or provider, at most every few seconds."""
        await self._credentials.reload()

    async def request(
        self,
        operation: str,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | UploadFile = b"",
        *,
        payload_sha256: str,
        region: str | None = None,
    ) -> HttpResponse:
        """Send a request and return the response, whatever its status. `operation` is AWS's name.

        `url` is encoded as `encode_path` does, without a query. Raises CredentialsError,
        StoreError, aiohttp.ClientError, OSError, TimeoutError, ValueError for an impossible URL.
        """
        target, signed = await self._signed(method, url, headers, payload_sha256, region)
        started_s = time.monotonic()
        failed = True
        try:
            response = await self._exchange(method, target, signed, body)
            status = response.status
            # 404 and 412 are expected: we ask whether an object exists.
            failed = status >= 500 or status in (400, 403, 429)
            return response
        finally:
            outcome = "failed" if failed else "ok"
            record_call(self._service, operation, outcome, time.monotonic() - started_s)

    @asynccontextmanager
    async def stream(
        self, url: str, headers: Mapping[str, str], *, region: str | None = None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """GET a large object: the response is yielded as soon as its headers are there.

        Whatever its status. Raises as `request` does. Nothing limits how long the body takes.
        """
        assert self._session is not None
        target, signed = await self._signed("GET", url, headers, EMPTY_SHA256, region)
        async with self._session.get(
            target, headers=signed, allow_redirects=False, proxy=_proxy(target)
        ) as response:
            yield response

    async def _signed(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        payload_sha256: str,
        region: str | None,
    ) -> tuple[URL, dict[str, str]]:
        """Return the address, and the headers with the signature."""
        credentials = await self._credentials.get()
        target = URL(url, encoded=True)
        if target.host is None:
            raise ValueError(f"{url!r} is not an address")
        signed = sign(
            method,
            target.raw_path,
            {**headers, "Host": _host(target)},
            payload_sha256=payload_sha256,
            credentials=credentials,
            region=region or self._endpoint.region,
            service=self._service,
            now_ms=utc_ms(),
        )
        return target, signed

    async def _exchange(
        self, method: str, url: URL, headers: Mapping[str, str], body: bytes | UploadFile
    ) -> HttpResponse:
        assert self._session is not None
        data: Any = _FilePayload(body) if isinstance(body, UploadFile) else body or None
        async with self._session.request(
            method, url, headers=headers, data=data, allow_redirects=False, proxy=_proxy(url)
        ) as response:
            content = bytearray()
            async for block in response.content.iter_any():
                content += block
                if len(content) > MAX_RESPONSE_BYTES:
                    raise aiohttp.ClientPayloadError("the response is too large")
            return HttpResponse(response.status, response.headers, bytes(content))


class _FilePayload(Payload):
    """Sends a file in blocks, each read in a thread. It can be sent again."""

    _autoclose = True
    """The file's owner closes it."""

    def __init__(self, file: UploadFile) -> None:
        super().__init__(file)
        self._file = file
        self._size = file.size

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        raise TypeError("a file is sent in blocks")

    async def write(self, writer: AbstractStreamWriter) -> None:
        offset = 0
        while offset < self._file.size:
            block = await asyncio.to_thread(self._file.read_at, offset)
            offset += len(block)
            await writer.write(block)


def error_code(body: bytes) -> tuple[str, str]:
    """Return code and message of an error of S3; empty where there is none."""
    code = re.search(rb"<Code>\s*([^<]{1,100}?)\s*</Code>", body)
    message = re.search(rb"<Message>([^<]{1,500})</Message>", body)
    return (
        code[1].decode(errors="replace") if code else "",
        message[1].decode(errors="replace") if message else "",
    )


def _host(url: URL) -> str:
    """Return the Host header: without the port where that is the scheme's own."""
    host = url.host_subcomponent or ""
    return host if url.is_default_port() else f"{host}:{url.port}"


def _proxy(url: URL) -> URL | None:
    """Return the proxy of the environment (HTTPS_PROXY, NO_PROXY …) for an address.

    aiohttp's own way also reads passwords from ~/.netrc, which are in the way of a signature.
    """
    found = getproxies().get(url.scheme)
    if not found or proxy_bypass(f"{url.host}:{url.port}"):
        return None
    return URL(found)
