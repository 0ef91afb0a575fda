"""A small ONVIF device on the loopback: digests checked, and bad manners on demand."""

import asyncio
import base64
import hashlib
import re
import socket
import struct
import zlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal, cast

from aiohttp import web

Manner = Literal[
    "good", "rubbish", "hang", "drip", "endless", "headers", "bomb", "file", "redirect", "fault",
    "gzip", "deep", "attributes", "empty", "typed",
]  # fmt: skip
Auth = Literal["none", "message", "http"]
BOMB = (
    '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">'
    + "".join(
        f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefgh", "bcdefghi", strict=True)
    )
    + "]><x>&i;</x>"
)
FILE = '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><x>&a;</x>'
DEEP = "<a>" * 100_000 + "</a>" * 100_000
ATTRIBUTES = "<a " + " ".join(f'b{n}="{"c" * 90}"' for n in range(9_000)) + "/>"
_SOAP = (
    '<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Body>%s</s:Body></s:Envelope>'
)
_FAULT = _SOAP % (
    "<s:Fault><s:Code><s:Value>s:Sender</s:Value><s:Subcode><s:Value>ter:%s</s:Value></s:Subcode>"
    "</s:Code><s:Reason><s:Text>%s</s:Text></s:Reason></s:Fault>"
)


def unfolding() -> bytes:
    """Return 100 KB of gzip that unfold into 100 MB."""
    packing, block = zlib.compressobj(wbits=31), b" " * (1 << 20)
    return b"".join(packing.compress(block) for _ in range(100)) + packing.flush()


@dataclass
class OnvifDevice:
    """Answers as configured; `asked` lists the operations that were called."""

    name: str = "Front Gate"
    manner: Manner = "good"
    auth: Auth = "message"
    media2: bool = True
    username: str = "vigil"
    password: str = "s3cret & <more>"
    clock_ahead_s: int = 0
    profiles: list[tuple[str, str, str, int, int]] = field(
        default_factory=lambda: [
            ("sub", "source0", "H264", 640, 360),
            ("main", "source0", "H265", 3840, 2160),
        ]
    )
    uri: str = "rtsp://user:shown@203.0.113.9:8554/%s?x=1&y=2"
    xaddr_host: str = "203.0.113.9"
    asked: list[str] = field(default_factory=list)
    port: int = 0

    @asynccontextmanager
    async def running(self) -> AsyncIterator["OnvifDevice"]:
        app = web.Application()
        app.router.add_post("/onvif/{service}", self._answer)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.port = runner.addresses[0][1]
        try:
            yield self
        finally:
            await runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.text()
        question = re.search(r"<s:Body><(\w+)", body)
        assert question is not None
        self.asked.append(question[1])
        match self.manner:
            case "rubbish":
                return web.Response(text="<html><p>404 <br> not found", status=404)
            case "hang":
                await asyncio.sleep(3600)
            case "endless":
                response = web.StreamResponse()
                await response.prepare(request)
                while True:
                    await response.write(b"<x>" * 50_000)
            case "headers":
                assert request.transport is not None
                request.transport.write(b"HTTP/1.1 200 OK\r\n" + b"X-A: aaaaaaaaa\r\n" * 100_000)
                await asyncio.sleep(3600)
            case "bomb":
                return web.Response(text=BOMB)
            case "file":
                return web.Response(text=FILE)
            case "drip":
                response = web.StreamResponse()
                await response.prepare(request)
                while True:
                    await response.write(b" ")
                    await asyncio.sleep(0.1)
            case "fault":
                return web.Response(text=_FAULT % ("Action", "out of \u202e order"), status=500)
            case "gzip":
                return web.Response(body=unfolding(), headers={"Content-Encoding": "gzip"})
            case "deep":
                return web.Response(text=DEEP)
            case "attributes":
                return web.Response(text=ATTRIBUTES)
            case "empty":
                return web.Response()
            case "redirect":
                raise web.HTTPFound("http://127.0.0.1:9/onvif/device_service")
        if question[1] != "GetSystemDateAndTime":
            if self.auth == "http" and not self._http_digest(request):
                challenge = 'Digest realm="cam", nonce="abc", qop="auth", algorithm=MD5'
                return web.Response(status=401, headers={"WWW-Authenticate": challenge})
            if self.auth == "message" and not self._message_digest(body):
                return web.Response(text=_FAULT % ("NotAuthorized", "no"), status=400)
        return self._response(question[1], body)

    def _response(self, question: str, body: str) -> web.Response:
        here = f"http://{self.xaddr_host}:{self.port}/onvif"
        match question:
            case "GetSystemDateAndTime":
                at = datetime.fromtimestamp(datetime.now(UTC).timestamp() + self.clock_ahead_s, UTC)
                content = (
                    f"<UTCDateTime><Time><Hour>{at.hour}</Hour><Minute>{at.minute}</Minute>"
                    f"<Second>{at.second}</Second></Time><Date><Year>{at.year}</Year>"
                    f"<Month>{at.month}</Month><Day>{at.day}</Day></Date></UTCDateTime>"
                )
            case "GetDeviceInformation":
                content = "<Manufacturer>Acme</Manufacturer><Model>Dome [red]7[/]</Model>"
            case "GetServices" if self.media2:
                content = "".join(
                    f"<Service><Namespace>http://www.onvif.org/{space}/wsdl</Namespace>"
                    f"<XAddr>{here}/{path}</XAddr></Service>"
                    for space, path in (("ver10/media", "media"), ("ver20/media", "media2"))
                )
            case "GetCapabilities":
                content = f"<Capabilities><Media><XAddr>{here}/media</XAddr></Media></Capabilities>"
            case "GetProfiles":
                wrap = "{}" if self.media2 else "{}Configuration"
                content = "".join(
                    f'<Profiles token="{token}"><Name>{token}</Name>'
                    f"<{wrap.format('VideoSource')}><SourceToken>{source}</SourceToken>"
                    f"</{wrap.format('VideoSource')}><{wrap.format('VideoEncoder')}>"
                    f"<Encoding>{codec}</Encoding><Resolution><Width>{width}</Width>"
                    f"<Height>{height}</Height></Resolution></{wrap.format('VideoEncoder')}>"
                    "</Profiles>"
                    for token, source, codec, width, height in self.profiles
                )
            case "GetStreamUri":
                token = re.search(r"<ProfileToken>(\w+)<", body)
                assert token is not None
                content = f"<Uri>{(self.uri % token[1]).replace('&', '&amp;')}</Uri>"
            case _:
                return web.Response(text=_FAULT % ("ActionNotSupported", "unknown"), status=500)
        answer = _SOAP % f"<{question}Response>{content}</{question}Response>"
        kind = "image/jpeg" if self.manner == "typed" else "text/plain"
        return web.Response(text=answer, content_type=kind)

    def _message_digest(self, body: str) -> bool:
        parts = [
            re.search(rf"<\w:{name}(?: [^>]*)?>([^<]*)<", body)
            for name in ("Username", "Password", "Nonce", "Created")
        ]
        if any(part is None for part in parts):
            return False
        user, digest, nonce, created = (part[1] for part in parts if part is not None)
        there = datetime.fromisoformat(created).timestamp() - self.clock_ahead_s
        if abs(there - datetime.now(UTC).timestamp()) > 10:
            return False
        raw = base64.b64decode(nonce) + created.encode() + self.password.encode()
        wanted = base64.b64encode(hashlib.sha1(raw).digest()).decode()
        return user == self.username and digest == wanted

    def _http_digest(self, request: web.Request) -> bool:
        header = request.headers.get("Authorization", "")
        parts = dict(re.findall(r'(\w+)="?([^",]+)"?', header))
        if not header.startswith("Digest ") or parts.get("username") != self.username:
            return False

        def md5(text: str) -> str:
            return hashlib.md5(text.encode()).hexdigest()

        secret = md5(f"{self.username}:cam:{self.password}")
        what = md5(f"POST:{parts['uri']}")
        proof = ":".join((secret, "abc", parts["nc"], parts["cnonce"], parts["qop"], what))
        return bool(parts["response"] == md5(proof))


class Responder(asyncio.DatagramProtocol):
    """Answers WS-Discovery for devices, twice each; `rubbish` is sent first where given."""

    def __init__(self, devices: Sequence[OnvifDevice], rubbish: tuple[bytes, ...] = ()) -> None:
        self._devices = devices
        self._rubbish = rubbish
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        assert self._transport is not None
        assert b"NetworkVideoTransmitter" in data
        for rubbish in self._rubbish:
            self._transport.sendto(rubbish, addr)
        for device in [*self._devices, *self._devices]:
            self._transport.sendto(probe_match(device).encode(), addr)


def probe_match(device: OnvifDevice) -> str:
    """What the device answers to a probe."""
    name = device.name.replace(" ", "%20")
    return _SOAP % (
        "<ProbeMatches><ProbeMatch><Types>dn:NetworkVideoTransmitter</Types>"
        f"<Scopes>onvif://www.onvif.org/type/video_encoder onvif://www.onvif.org/name/{name}"
        f"</Scopes><XAddrs>http://{device.xaddr_host}:{device.port}/onvif/device_service "
        f"http://[fe80::1]:{device.port}/onvif/x</XAddrs></ProbeMatch></ProbeMatches>"
    )


@asynccontextmanager
async def answering(
    *devices: OnvifDevice, rubbish: tuple[bytes, ...] = ()
) -> AsyncIterator[tuple[str, int]]:
    """Answer probes to a multicast group on the loopback; yield the group and its port."""
    group = "239.255.255.250"
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setblocking(False)
    sock.bind(("", 0))
    member = struct.pack("4s4s", socket.inet_aton(group), socket.inet_aton("127.0.0.1"))
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: Responder(devices, rubbish), sock=sock
    )
    try:
        yield group, sock.getsockname()[1]
    finally:
        transport.close()
