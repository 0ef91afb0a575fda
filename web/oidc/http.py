"""Requests to a provider: bounded in size and time, https only, no redirects, no inner networks."""

import asyncio
import json
import logging
import ssl
from collections.abc import Mapping
from typing import Any

import aiohttp

from domain.errors import ConfigError, OidcError
from stores.addresses import guarded_sockets
from web.oidc.config import ProviderConfig

log = logging.getLogger(__name__)

MAX_BYTES = 256 << 10
TIMEOUT_S = 5.0
"""Of a whole request: name, connection, TLS, answer."""


class ProviderHttp:
    """Sends the requests to one provider."""

    def __init__(self, provider: ProviderConfig, *, timeout_s: float = TIMEOUT_S) -> None:
        """Raise ConfigError where the file of the certificate authority cannot be read."""
        self._provider = provider
        self._timeout_s = timeout_s
        self._tls = _tls_context(provider)
        self._session: aiohttp.ClientSession | None = None

    async def get_json(self, url: str, *, bearer: str | None = None) -> dict[str, Any]:
        """Return the JSON object at an address; raise OidcError."""
        headers = {} if bearer is None else {"Authorization": f"Bearer {bearer}"}
        status, body = await self._request("GET", url, headers=headers)
        if status in {401, 403} and bearer is not None:
            raise OidcError("refused", "The provider does not accept this sign-in any more.")
        if status != 200:
            raise _answered(url, status)
        return _object(body)

    async def post_form(
        self, url: str, form: Mapping[str, str], *, authorization: str | None = None
    ) -> tuple[int, dict[str, Any]]:
        """Send a form; return status and JSON object, also of a refusal (4xx). Raise OidcError."""
        headers = {} if authorization is None else {"Authorization": authorization}
        status, body = await self._request("POST", url, headers=headers, form=form)
        if status >= 500 or not (status == 200 or status >= 400):
            raise _answered(url, status)
        return status, _object(body)

    async def _request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        form: Mapping[str, str] | None = None,
    ) -> tuple[int, bytes]:
        # Not compressed: a small body must not become a large one.
        sent = {**headers, "Accept": "application/json", "Accept-Encoding": "identity"}
        try:
            async with (
                asyncio.timeout(self._timeout_s),
                self._open().request(
                    method, url, headers=sent, data=form, allow_redirects=False
                ) as answer,
            ):
                return answer.status, await _read(answer)
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
            log.warning("%s %s: %s", self._provider.id, url, _text(error))
            raise OidcError(
                "unreachable", "The provider does not answer. Try again in a minute."
            ) from None

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(
                limit=20,
                ssl=self._tls,
                use_dns_cache=False,
                socket_factory=guarded_sockets(
                    self._provider.networks, loopback=self._provider.loopback_http
                ),
            )
            self._session = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                trust_env=False,
                read_bufsize=1 << 16,
            )
        return self._session

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None


async def _read(answer: aiohttp.ClientResponse) -> bytes:
    if answer.headers.get("Content-Encoding", "identity") != "identity":
        raise OidcError("answer", "The provider's answer is compressed, which was not asked for.")
    body = bytearray()
    async for block in answer.content.iter_any():
        body += block
        if len(body) > MAX_BYTES:
            answer.close()  # do not read the rest
            raise OidcError("answer", "The provider's answer is too large.")
    return bytes(body)


def _answered(url: str, status: int) -> OidcError:
    log.warning("%s answered %d", url, status)
    if status >= 500 or status == 429:
        return OidcError("unreachable", "The provider does not work now. Try again in a minute.")
    if 300 <= status < 400:
        return OidcError("answer", "The provider sends this server to another address.")
    return OidcError("answer", f"The provider answered with status {status}.")


def _object(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise OidcError("answer", "The provider's answer cannot be read.")
    return found


def _text(error: BaseException) -> str:
    return str(error)[:300] or type(error).__name__


def _tls_context(provider: ProviderConfig) -> ssl.SSLContext | bool:
    if provider.ca_file is None:
        return True
    try:
        return ssl.create_default_context(cafile=str(provider.ca_file))
    except (OSError, ssl.SSLError):
        raise ConfigError(
            f"Provider {provider.id}: ca_file {provider.ca_file} cannot be read, or is not PEM."
        ) from None
