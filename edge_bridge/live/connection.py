"""Opens the socket of a live picture at the devices' address, with this device's certificate."""

import ssl
from typing import Protocol
from urllib.parse import urlencode

import aiohttp

from domain.live_stream import Feed

LIVE_PATH = "/device/v1/live"
CONNECT_S = 10.0


class LiveIdentity(Protocol):
    """What live pictures need of the device's identity."""

    @property
    def url(self) -> str | None:
        """Address at which devices are answered; None: not enrolled."""

    def ssl_context(self) -> ssl.SSLContext | None:
        """Return the TLS context with the device's certificate; None: none is valid."""


class LiveConnector:
    """Opens sockets, by one HTTP session."""

    def __init__(self, identity: LiveIdentity) -> None:
        self._identity = identity
        self._session: aiohttp.ClientSession | None = None

    async def open(self, camera: str, feed: Feed, relay: str) -> aiohttp.ClientWebSocketResponse:
        """Open a socket, to be read by KeepAlive.

        Raises aiohttp.ClientError, OSError, TimeoutError, ConfigError.
        """
        url, context = self._identity.url, self._identity.ssl_context()
        if url is None or context is None:
            raise ConnectionError("this device has no valid certificate")
        if self._session is None:
            timeout = aiohttp.ClientTimeout(total=None, connect=CONNECT_S)
            self._session = aiohttp.ClientSession(timeout=timeout)
        query = urlencode({"camera": camera, "feed": feed, "relay": relay})
        return await self._session.ws_connect(
            f"{url}{LIVE_PATH}?{query}", ssl=context, autoping=False, max_msg_size=1_024
        )

    async def close(self) -> None:
        """Close all sockets."""
        if self._session is not None:
            await self._session.close()
            self._session = None
