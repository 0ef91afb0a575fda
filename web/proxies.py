"""The proxies that may say which browser is behind them: its address and scheme."""

from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from aiohttp import web

from domain.errors import ConfigError

MAX_REMEMBERED = 200
"""Characters of an X-Forwarded-For whose client is remembered."""


class TrustedProxies:
    """The networks of proxies. Headers of other senders are ignored."""

    def __init__(self, networks: str) -> None:
        """`networks`: comma-separated. Raises ConfigError for what is not a network."""
        # Clients come back, and each request asks several times.
        self._client = lru_cache(10_000)(self._find_client)
        self._networks: list[IPv4Network | IPv6Network] = []
        for text in filter(None, (each.strip() for each in networks.split(","))):
            try:
                self._networks.append(ip_network(text))
            except ValueError as error:
                raise ConfigError(f"VIGIL_TRUSTED_PROXIES: {text!r}: {error}.") from None

    def client_of(self, request: web.Request) -> str:
        """Return the address of the client: the last one that no proxy of ours has."""
        forwarded = request.headers.get("X-Forwarded-For", "")
        find = self._client if len(forwarded) <= MAX_REMEMBERED else self._find_client
        return find(request.remote or "", forwarded)

    def _find_client(self, sender: str, forwarded: str) -> str:
        client = sender
        for hop in reversed([each.strip() for each in forwarded.split(",")[-20:]]):
            if not self.trusts(client) or not _is_address(hop):
                break
            client = hop
        return client

    def is_https(self, request: web.Request) -> bool:
        """Return whether the browser uses HTTPS, to us or to a proxy of ours."""
        if request.secure:
            return True
        by_proxy = request.headers.get("X-Forwarded-Proto", "") == "https"
        return by_proxy and self.trusts(request.remote or "")

    def trusts(self, address: str) -> bool:
        """Return whether a proxy of ours has this address."""
        if not _is_address(address):
            return False
        parsed = ip_address(address)
        return any(parsed in each for each in self._networks if each.version == parsed.version)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
