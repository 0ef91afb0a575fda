"""WS-Discovery: a Probe to all devices of a network, and the ProbeMatches of a few seconds.

Path and port are taken from the device's answer, the host never: it is the address that answered.
"""

import asyncio
import socket
import uuid
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit, urlunsplit
from xml.etree.ElementTree import Element

from domain.errors import ConfigError
from domain.printable import printable
from edge_bridge.discovery.xml import (
    DeviceError,
    find,
    find_all,
    local_name,
    parse,
    text_of,
)

GROUP = ("239.255.255.250", 3702)
"""Multicast address and port of WS-Discovery 1.0 (section 2.4)."""
MAX_DEVICES = 256
_MAX_ANSWERS = 2_000
_REPEAT_AFTER_S = 0.5
_SCOPE_NAME = "onvif://www.onvif.org/name/"
_PROBE = "".join(
    (
        '<?xml version="1.0" encoding="utf-8"?>',
        '<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" ',
        'xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing" ',
        'xmlns:d="http://schemas.xmlsoap.org/ws/2005/04/discovery" ',
        'xmlns:n="http://www.onvif.org/ver10/network/wsdl"><s:Header>',
        '<a:Action s:mustUnderstand="1">http://schemas.xmlsoap.org/ws/2005/04/discovery/Probe',
        "</a:Action><a:MessageID>urn:uuid:{id}</a:MessageID>",
        '<a:To s:mustUnderstand="1">urn:schemas-xmlsoap-org:ws:2005:04:discovery</a:To>',
        "</s:Header><s:Body><d:Probe><d:Types>n:NetworkVideoTransmitter</d:Types></d:Probe></s:Body>",
        "</s:Envelope>",
    )
)


@dataclass(frozen=True, slots=True)
class DiscoveredDevice:
    """A device that answered, or whose address the operator gave."""

    host: str
    service: str
    """URL of its device service, on `host`."""
    name: str = ""
    """Its name from the ONVIF scopes, or empty."""
    fault: str = ""
    """Why its answer cannot be used, or empty."""


async def search(
    interface: str | None, within_s: float, group: tuple[str, int] = GROUP
) -> list[DiscoveredDevice]:
    """Search the network of the local address `interface` (None: the system's choice).

    Returns after `within_s`; devices are sorted by address. Raises ConfigError where the network
    cannot be searched.
    """
    collector = _Collector()
    loop = asyncio.get_running_loop()
    try:
        sock = _socket(interface)
    except OSError as error:
        raise ConfigError(
            f"{interface} is not an IPv4 address of this device ({error.strerror}): use its "
            "address on the camera network."
        ) from error
    transport, _ = await loop.create_datagram_endpoint(lambda: collector, sock=sock)
    try:
        probe = _PROBE.format(id=uuid.uuid4()).encode()
        # UDP may be lost, so the Probe is sent twice; the same MessageID marks the second one.
        for wait_s in (
            min(_REPEAT_AFTER_S, within_s / 2),
            max(within_s - _REPEAT_AFTER_S, within_s / 2),
        ):
            try:
                sock.sendto(probe, group)
            except OSError as error:
                raise ConfigError(
                    f"the camera network cannot be searched ({error.strerror}): set --interface to "
                    "this device's address on it."
                ) from error
            await asyncio.sleep(wait_s)
    finally:
        transport.close()
    return sorted(collector.found.values(), key=lambda one: (one.host, one.service))


def device_at(address: str) -> DiscoveredDevice:
    """Return the device at host, host:port or the URL of its device service; raises ConfigError."""
    url = address if "://" in address else f"http://{address}"
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        host = ""
    if not host or parts.scheme not in ("http", "https") or "@" in parts.netloc:
        raise ConfigError(
            f"--device {address.rsplit('@', 1)[-1]} is not an address: use host, host:port or the "
            "http:// address of its device service, without a password."
        )
    path = parts.path if parts.path not in ("", "/") else "/onvif/device_service"
    return DiscoveredDevice(host, urlunsplit((parts.scheme, parts.netloc, path, "", "")))


class _Collector(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.found: dict[tuple[str, str], DiscoveredDevice] = {}
        self._answers = 0

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._answers += 1
        if self._answers > _MAX_ANSWERS or len(self.found) >= MAX_DEVICES:
            return
        host = addr[0]
        try:
            answers = read_answer(data, host)
        except DeviceError as error:
            answers = [DiscoveredDevice(host, "", fault=str(error))]
        for one in answers:
            self.found.setdefault((one.host, one.service), one)

    def error_received(self, exc: Exception) -> None:
        """Ignore an error of one datagram: the search continues."""


def read_answer(data: bytes, host: str) -> list[DiscoveredDevice]:
    """Return the devices in a datagram from `host`; raises DeviceError where it is invalid."""
    matches = [one for one in parse(data).iter() if local_name(one) == "ProbeMatch"]
    out = []
    for match in matches[:16]:
        addresses = (text_of(find(match, "XAddrs")) or "").split()
        services = [url for url in (_url_at(host, one) for one in addresses) if url]
        if not services:
            raise DeviceError("reports no address of its ONVIF service")
        out.append(DiscoveredDevice(host, services[0], _name(match)))
    return out


def _url_at(host: str, xaddr: str) -> str | None:
    """Return a service's URL with the host that answered, or None where it is not a URL."""
    try:
        parts = urlsplit(xaddr)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return None
    netloc = host if port is None else f"{host}:{port}"
    return urlunsplit((parts.scheme, netloc, parts.path or "/", parts.query, ""))


def _name(match: Element) -> str:
    for scopes in find_all(match, "Scopes"):
        for scope in (scopes.text or "").split():
            if scope.startswith(_SCOPE_NAME):
                return printable(unquote(scope.removeprefix(_SCOPE_NAME)))[:100]
    return ""


def _socket(interface: str | None) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 1)
        if interface:
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(interface))
        sock.bind((interface or "", 0))
    except OSError:
        sock.close()
        raise
    return sock
