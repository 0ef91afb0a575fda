"""Asks the catalog's web workers for the site's newest configuration."""

import json
import os
import ssl
from http import HTTPStatus
from types import TracebackType
from typing import Self

import aiohttp

from domain.errors import ConfigError, CredentialsError, StoreError
from domain.site_config import MAX_BYTES, SiteVersion
from edge_bridge.config.remote import CentralConfig

_ANSWER_S = 30.0
_MOST_BYTES = 2 * MAX_BYTES + 4_096
"""The document travels as a string in JSON: quotes and backslashes take twice their room."""


class ConfigClient:
    """One address. Use as an async context manager."""

    def __init__(self, config: CentralConfig, site: str) -> None:
        self._config = config
        self._url = f"{config.url}/api/v1/sites/{site}/config"
        self._tag: str | None = None
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        """Nothing is asked yet."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=1, force_close=True),
            timeout=aiohttp.ClientTimeout(total=_ANSWER_S),
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        if self._session is not None:
            await self._session.close()

    def forget(self) -> None:
        """Ask for all of it next time."""
        self._tag = None

    async def newest(self) -> SiteVersion | None:
        """Return the newest version; None: it is still the one that was returned last.

        Raises ConfigNotSetError (none was set), CredentialsError (the key is rejected), ConfigError
        (the key or the CA file cannot be read), StoreError (no response, or an invalid one). The
        error texts never contain the key.
        """
        assert self._session is not None
        headers = {"Authorization": f"Bearer {self._config.key().get_secret_value().strip()}"}
        if self._tag is not None:
            headers["If-None-Match"] = self._tag
        try:
            async with self._session.get(
                self._url, headers=headers, allow_redirects=False, ssl=self._tls()
            ) as answer:
                status = answer.status
                body = await _bounded(answer) if status == HTTPStatus.OK else b""
                tag = answer.headers.get("ETag")
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            said = _why(error)
            raise StoreError(f"{self._config.url} cannot be asked: {said}.") from error
        match status:
            case HTTPStatus.NOT_MODIFIED:
                return None
            case HTTPStatus.NOT_FOUND:
                raise ConfigNotSetError(
                    "no configuration was set for this site; `vigil site config set` does."
                )
            case HTTPStatus.UNAUTHORIZED:
                raise CredentialsError("the catalog refuses the key: it is unknown or was revoked.")
            case HTTPStatus.FORBIDDEN:
                raise CredentialsError("the catalog refuses the key: it is not this site's.")
            case HTTPStatus.OK:
                version = _version(body)
                self._tag = tag
                return version
        raise StoreError(f"{self._config.url} answers {status}.")

    def _tls(self) -> ssl.SSLContext | bool:
        file = self._config.ca_file
        if file is None:
            return True
        try:
            return ssl.create_default_context(cafile=file)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(f"central.ca_file {file} cannot be used: {error}.") from error


def _why(error: Exception) -> str:
    """Return the system's own words where there are: aiohttp's name its inner workings."""
    if isinstance(error, aiohttp.ClientConnectorError) and not isinstance(
        error, aiohttp.ClientSSLError
    ):
        errno = error.os_error.errno or 0
        if errno > 0:
            return os.strerror(errno)
    return str(error)[:200] or "no answer in time"


class ConfigNotSetError(StoreError):
    """The catalog has no configuration for the site."""


async def _bounded(answer: aiohttp.ClientResponse) -> bytes:
    data = bytearray()
    async for piece in answer.content.iter_any():
        data += piece
        if len(data) > _MOST_BYTES:
            raise StoreError("the site's configuration is larger than any may be.")
    return bytes(data)


def _version(body: bytes) -> SiteVersion:
    try:
        said = json.loads(body)
        found = SiteVersion(int(said["version"]), str(said["digest"]), str(said["document"]))
        if not 0 < found.version < 1 << 31:
            raise ValueError
        found.document()
    except (ValueError, KeyError, TypeError, RecursionError, ConfigError) as error:
        raise StoreError("what answers at central.url sends no configuration.") from error
    return found
