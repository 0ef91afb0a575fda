"""Which addresses an outgoing request may connect to: a guard against server-side requests."""

import socket
from collections.abc import Callable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any

HostNetwork = IPv4Network | IPv6Network
HostAddress = IPv4Address | IPv6Address


_NAT64 = IPv6Network("64:ff9b::/96")
"""A gateway turns such an address into the IPv4 one in its last 32 bits (RFC 6052)."""
_LOCAL_NAT64 = IPv6Network("64:ff9b:1::/48")


class ForbiddenAddressError(OSError):
    """A name led to an address that the program must not connect to."""


def parse_address(text: str) -> HostAddress | None:
    """Return an address; None for a name. An IPv4 address within an IPv6 one is the IPv4 one."""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if not isinstance(address, IPv6Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine: an address, or the name localhost."""
    address = parse_address(host)
    return host == "localhost" if address is None else address.is_loopback


def may_connect(address: HostAddress, allowed: Sequence[HostNetwork], *, loopback: bool) -> bool:
    """Return whether an address is of the internet, or explicitly allowed."""
    if address.is_loopback:
        return loopback
    if address.is_link_local or address.is_multicast or address.is_unspecified:
        return False
    if any(address in each for each in allowed if each.version == address.version):
        return True
    if isinstance(address, IPv6Address) and (
        address.sixtofour or address.teredo or address in _LOCAL_NAT64
    ):
        return False  # an IPv4 address is hidden in it
    return address.is_global


def guarded_sockets(
    allowed: Sequence[HostNetwork], *, loopback: bool
) -> Callable[[Any], socket.socket]:
    """Return a socket factory for aiohttp's connector that refuses forbidden addresses.

    It sees the address that is connected to: after the name was resolved, also for a literal one.
    """

    def make(info: Any) -> socket.socket:
        family, kind, protocol, _, where = info
        address = parse_address(str(where[0]))
        if address is None or not may_connect(address, allowed, loopback=loopback):
            raise ForbiddenAddressError(f"The address {where[0]} is not allowed.")
        return socket.socket(family, kind, protocol)

    return make
