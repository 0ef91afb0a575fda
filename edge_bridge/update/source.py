"""Where an update comes from: an address of HTTP(S), or an object of S3."""

import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

import aiohttp

from stores.signed_objects import SignedObjectStore

_CONNECT_S = 10.0
_READ_AHEAD_BYTES = 16 << 10
"""What aiohttp has read ahead is lost at a cut."""


class RangeSource(Protocol):
    """One object, of which any end can be read."""

    def read_from(
        self, offset: int, etag: str | None
    ) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        """Ask for the bytes from `offset` on, of the object with that ETag.

        Raises StoreError, CredentialsError, aiohttp.ClientError, OSError, TimeoutError. Any status
        is returned.
        """
        ...

    async def refresh(self) -> None:
        """Read credentials again: the server refused these."""
        ...


class HttpSource:
    """An address. A server that redirects is not followed."""

    def __init__(
        self,
        url: str,
        *,
        headers: Callable[[], Mapping[str, str]] = dict,
        tls: Callable[[], ssl.SSLContext | bool] = lambda: True,
    ) -> None:
        """`headers` and `tls` are asked before each request. They may raise StoreError."""
        self._url = url
        self._headers = headers
        self._tls = tls

    @asynccontextmanager
    async def read_from(
        self, offset: int, etag: str | None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """See RangeSource. With If-Range a server sends a changed object whole (RFC 9110, 13)."""
        headers = {**self._headers(), "Accept-Encoding": "identity"}
        if offset:
            headers["Range"] = f"bytes={offset}-"
            if etag is not None:
                headers["If-Range"] = etag
        async with (
            aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=1, force_close=True),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_S),
                auto_decompress=False,
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=True,
            ) as session,
            session.get(
                self._url,
                headers=headers,
                allow_redirects=False,
                ssl=self._tls(),
                read_bufsize=_READ_AHEAD_BYTES,
            ) as response,
        ):
            yield response

    async def refresh(self) -> None:
        """Do nothing: the headers are asked each time."""


class ObjectSource:
    """An object, by requests that the device signs."""

    def __init__(self, store: SignedObjectStore, key: str) -> None:
        """`store` is open."""
        self._store = store
        self._key = key

    @asynccontextmanager
    async def read_from(
        self, offset: int, etag: str | None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """See RangeSource. S3 knows no If-Range: with If-Match it refuses a changed object."""
        headers = {}
        if offset:
            headers["Range"] = f"bytes={offset}-"
            if etag is not None:
                headers["If-Match"] = etag
        async with self._store.stream_object(self._key, headers) as response:
            yield response

    async def refresh(self) -> None:
        """Read the credentials again."""
        await self._store.reload_credentials()
