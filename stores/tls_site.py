"""A listening socket for HTTPS whose handshakes have a deadline; aiohttp's site has none."""

import asyncio

from aiohttp.web_runner import TCPSite

HANDSHAKE_S = 10.0
"""A stranger without a handshake holds a descriptor for this long."""
SHUTDOWN_S = 5.0


class TlsSite(TCPSite):
    """aiohttp's site with a deadline for the handshake. It serves HTTP without an `ssl_context`."""

    __slots__ = ()

    async def start(self) -> None:
        """Listen."""
        if self._ssl_context is None:
            await super().start()
            return
        self._runner._reg_site(self)
        server = self._runner.server
        assert server is not None
        self._server = await asyncio.get_running_loop().create_server(
            server,
            self._host,
            self._port,
            ssl=self._ssl_context,
            backlog=self._backlog,
            ssl_handshake_timeout=HANDSHAKE_S,
            ssl_shutdown_timeout=SHUTDOWN_S,
        )
        self._bound_port = self._server.sockets[0].getsockname()[1]
