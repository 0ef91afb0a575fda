"""Fetches the site's newest configuration from the catalog's web workers."""

import base64
import json
import os
import ssl
from collections.abc import Callable
from http import HTTPStatus
from types import TracebackType
from typing import Any, Protocol, Self

import aiohttp

from domain.errors import ConfigError, CredentialsError, StoreError
from domain.site_config import (
    MAX_BYTES,
    ConfigSignature,
    OfferedConfig,
    SiteVersion,
    Successor,
)
from edge_bridge.config.remote import CentralConfig
from edge_bridge.identity.identity import DeviceIdentity

_TIMEOUT_S = 30.0
_MAX_BODY_BYTES = 2 * MAX_BYTES + 65_536
"""The document is a string in JSON: quotes and backslashes take two bytes each."""
_MAX_NAMES = 1_000
_MAX_SUCCESSORS = 100


class ConfigNotSetError(StoreError):
    """The catalog has no configuration for the site."""


class ConfigSource(Protocol):
    """Where a device fetches its site's configuration, and how it says who it is."""

    @property
    def url(self) -> str:
        """The whole address."""
        ...

    @property
    def host(self) -> str:
        """The beginning of the address, for texts."""
        ...

    def headers(self) -> dict[str, str]:
        """Return the headers that prove who asks. ConfigError where a file cannot be read."""
        ...

    def tls(self) -> ssl.SSLContext | bool:
        """Return how the server's certificate is checked. ConfigError, StoreError."""
        ...

    @property
    def remedy(self) -> str:
        """What to do where the cloud refuses this device: a sentence."""
        ...

    @property
    def forbidden(self) -> str:
        """What a 403 means: a clause."""
        ...


class KeySource:
    """At the web workers' address, with the device's API key."""

    remedy = "Create a new key with `vigil key create --edge-of`."
    forbidden = "the catalog rejects the key: it is not this site's"

    def __init__(self, config: CentralConfig, site: str) -> None:
        self._config = config
        self.host = config.url or ""
        # A device that pins a configuration key needs the signature.
        name = "config" if config.config_key_file is None else "signed-config"
        self.url = f"{self.host}/api/v1/sites/{site}/{name}"

    def headers(self) -> dict[str, str]:
        """Return the header with the key, which is read now."""
        if not self.host:
            raise ConfigError(
                "central: this device is not enrolled. Enrol it with `vigil edge enrol`, or set "
                "url and key_file."
            )
        return {"Authorization": f"Bearer {self._config.key().get_secret_value().strip()}"}

    def tls(self) -> ssl.SSLContext | bool:
        """Return the context with the CA file, if there is one."""
        file = self._config.ca_file
        if file is None:
            return True
        try:
            return ssl.create_default_context(cafile=file)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(f"central.ca_file {file} cannot be used: {error}.") from error


class CertificateSource:
    """At the devices' address, with this device's certificate."""

    remedy = "See `vigil device show`."
    forbidden = "the cloud refuses this device: it is locked or revoked"

    def __init__(self, identity: DeviceIdentity) -> None:
        """`identity`: of an enrolled device."""
        self._identity = identity

    @property
    def host(self) -> str:
        """The devices' address."""
        return self._identity.url or ""

    @property
    def url(self) -> str:
        """The address of the configuration of the device's site."""
        return f"{self.host}/device/v1/config"

    def headers(self) -> dict[str, str]:
        """Return none: the certificate says who asks."""
        return {}

    def tls(self) -> ssl.SSLContext:
        """Return the context with the device's certificate. StoreError while it has none."""
        context = self._identity.ssl_context()
        if context is None:
            raise StoreError("the certificate of this device has expired; it is being renewed.")
        return context


class ConfigClient:
    """Reads the configuration. Use as an async context manager."""

    def __init__(self, source: Callable[[], ConfigSource]) -> None:
        """`source`: is asked before each request, since a device can be enrolled later."""
        self._choose_source = source
        self._asked = ""
        """Address of the last request."""
        self._etag: str | None = None
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        """Open the session; this sends nothing."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=1, force_close=True),
            timeout=aiohttp.ClientTimeout(total=_TIMEOUT_S),
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
        """Forget the ETag: the next call to `newest` returns the whole version again."""
        self._etag = None

    async def newest(self) -> OfferedConfig | None:
        """Return the newest version; None: it is still the one that was returned last.

        Raises, never with the key in the text:
        - ConfigNotSetError: none was set;
        - CredentialsError: the key is rejected;
        - ConfigError: the key or the CA file cannot be read;
        - StoreError: no response, or an invalid one.
        """
        assert self._session is not None
        source = self._choose_source()
        if source.url != self._asked:
            self._etag = None
            self._asked = source.url
        headers = source.headers()
        if self._etag is not None:
            headers["If-None-Match"] = self._etag
        try:
            async with self._session.get(
                source.url, headers=headers, allow_redirects=False, ssl=source.tls()
            ) as response:
                status = response.status
                body = await _read_body(response) if status == HTTPStatus.OK else b""
                etag = response.headers.get("ETag")
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise StoreError(f"{source.host} cannot be reached: {_cause(error)}.") from error
        match status:
            case HTTPStatus.NOT_MODIFIED:
                return None
            case HTTPStatus.NOT_FOUND:
                raise ConfigNotSetError(
                    "this site has no configuration yet; set one with `vigil site config set`."
                )
            case HTTPStatus.UNAUTHORIZED:
                raise CredentialsError(
                    f"the catalog rejects the key: it is unknown or was revoked. {source.remedy}"
                )
            case HTTPStatus.FORBIDDEN:
                raise CredentialsError(f"{source.forbidden}. {source.remedy}")
            case HTTPStatus.OK:
                offer = parse_offer(body)
                self._etag = etag
                return offer
        raise StoreError(f"{source.host} answers {status}.")


def _cause(error: Exception) -> str:
    """Return the system's error text if there is one: aiohttp's names its internals."""
    if isinstance(error, aiohttp.ClientConnectorError) and not isinstance(
        error, aiohttp.ClientSSLError
    ):
        errno = error.os_error.errno or 0
        if errno > 0:
            return os.strerror(errno)
    return str(error)[:200] or "no response in time"


async def _read_body(response: aiohttp.ClientResponse) -> bytes:
    data = bytearray()
    async for part in response.content.iter_any():
        data += part
        if len(data) > _MAX_BODY_BYTES:
            raise StoreError("the site's configuration is larger than allowed.")
    return bytes(data)


def parse_offer(body: bytes) -> OfferedConfig:
    """Return the configuration in an answer; StoreError if there is none."""
    try:
        fields = json.loads(body)
        version = SiteVersion(
            int(fields["version"]), str(fields["digest"]), str(fields["document"])
        )
        if not 0 < version.version < 1 << 31:
            raise ValueError
        version.document()  # compares the text with its digest
        signature = fields.get("signature")
        return OfferedConfig(
            version,
            None if signature is None else _signature(signature),
            frozenset(str(name) for name in fields.get("disabled", ())[:_MAX_NAMES]),
            tuple(_successor(one) for one in fields.get("successors", ())[:_MAX_SUCCESSORS]),
        )
    except (
        ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError, ConfigError
    ) as error:  # fmt: skip
        raise StoreError(
            "the server at central.url sends no configuration: check the address."
        ) from error


def _signature(fields: dict[str, Any]) -> ConfigSignature:
    not_before_ms = int(fields["not_before_ms"])
    if not 0 <= not_before_ms < 1 << 47:
        raise ValueError
    return ConfigSignature(str(fields["key"]), not_before_ms, _bytes(fields["value"]))


def _successor(fields: dict[str, Any]) -> Successor:
    return Successor(
        _bytes(fields["public_key"]), str(fields["signed_by"]), _bytes(fields["value"])
    )


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)
