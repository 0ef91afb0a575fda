"""RTSP cameras that behave as badly as cheap and hostile ones do, each on a port of its own."""

import random
import socket
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.rtsp_camera import H264, Packet, RtspCamera, Track, access_units, interleaved

_FLOOD = b"\x00" * 65_536

BEHAVIOURS = (
    "garbage",  # random bytes instead of RTSP
    "hang",  # accepts, and never sends a byte
    "drip",  # an answer of which a byte comes every tenth of a second, without end
    "headers",  # an answer whose headers never end
    "line",  # a header line that never ends
    "length",  # an answer of 2 GB
    "sdp",  # an SDP that is none
    "long",  # an SDP of 40 MB, all its lines in order
    "tracks",  # an SDP of 200,000 streams
    "redirect",  # redirects to itself without end
    "elsewhere",  # sends its video to another host
    "refuses",  # wants a password, and takes none
    "sha",  # wants a password hashed in a way that is not supported
    "blind",  # pictures without parameter sets
    "packets",  # interleaved packets of the greatest size, and of channels that were not set up
    "lies",  # interleaved packets that are shorter than they say
    "extension",  # RTP packets whose own fields say more than they hold
    "jpeg",  # pictures that are not recorded
    "unknown",  # video of an unknown codec
    "deaf",  # audio only
    "still",  # video whose time does not advance
    "jumps",  # video whose time jumps back and forth
    "zero",  # 0 fps: offers video and sends none
)

_CHALLENGES = {
    "refuses": 'Digest realm="cam", nonce="abc", qop="auth", algorithm=MD5-sess',
    "sha": 'Digest realm="cam", nonce="abc", qop="auth", algorithm=SHA-512-256',
}


class Hostile(RtspCamera):
    """One of these cameras."""

    def __init__(self, behaviour: str, clip: Path) -> None:
        """`clip` (H.264) is what it would send if it behaved."""
        self._behaviour = behaviour
        self._chance = random.Random(5)
        self._pictures = list(access_units(clip))
        video = Track(H264, self._bad_pictures)
        if behaviour == "jpeg":
            video = Track("m=video 0 RTP/AVP {pt}", self._jpeg, pt=26)
        elif behaviour == "unknown":
            video = Track("m=video 0 RTP/AVP {pt}\na=rtpmap:{pt} FOO/90000", self._bad_pictures)
        elif behaviour == "deaf":
            video = Track("m=audio 0 RTP/AVP {pt}", self._audio, pt=8)
        super().__init__([video])

    def talk(self, connection: socket.socket) -> None:
        if self._behaviour == "garbage":
            self._flood(connection, self._chance.randbytes(65_536))
        else:
            super().talk(connection)

    def sdp(self) -> str:
        match self._behaviour:
            case "sdp":
                return "rubbish\r\nm=\r\na=a\r\n" * 50
            case "long":
                return super().sdp() + "a=x-note:" * 4 + ("a" * 38 + "\r\na=") * 1_000_000
            case "tracks":
                return super().sdp() * 1 + "m=video 0 RTP/AVP 96\r\n" * 200_000
        return super().sdp()

    def rude(self, connection: socket.socket, verb: str, headers: Mapping[str, str]) -> bool:
        if verb not in ("DESCRIBE", "OPTIONS"):
            return False
        cseq = f"CSeq: {headers.get('cseq', 1)}\r\n"
        start = f"RTSP/1.0 200 OK\r\n{cseq}".encode()
        match self._behaviour:
            case "hang":
                self.over.wait(20)
            case "drip":
                for byte in start + b"X-Header: " + b"a" * 10_000:
                    connection.sendall(bytes([byte]))
                    if self.over.wait(0.1):
                        break
            case "headers":
                connection.sendall(start)
                self._flood(connection, b"X-Header: " + b"a" * 1_000 + b"\r\n")
            case "line":
                connection.sendall(start + b"X-Header: ")
                self._flood(connection, b"a" * 4_096)
            case "length" if verb == "DESCRIBE":
                connection.sendall(start + b"Content-Length: 2000000000\r\n\r\n")
                self._flood(connection, _FLOOD * 8)
            case "redirect" if verb == "DESCRIBE":
                to = f"Location: {self.url}/{self.connections}\r\n"
                connection.sendall(f"RTSP/1.0 302 Moved\r\n{cseq}{to}\r\n".encode())
            case "refuses" | "sha" if verb == "DESCRIBE":
                why = f"WWW-Authenticate: {_CHALLENGES[self._behaviour]}\r\n"
                connection.sendall(f"RTSP/1.0 401 Unauthorized\r\n{cseq}{why}\r\n".encode())
                return False if self.over.is_set() else self._again(connection)
            case _:
                return False
        return True

    def _again(self, connection: socket.socket) -> bool:
        self.talk(connection)
        return True

    def transport(self, number: int, asked: str) -> str:
        if self._behaviour == "elsewhere":
            return "RTP/AVP;unicast;destination=203.0.113.9;client_port=9-10;server_port=9-10"
        return super().transport(number, asked)

    def play(self, connection: socket.socket) -> None:
        if self._behaviour == "zero":
            self.over.wait(20)
            return
        rubbish = {"packets": self._large, "lies": self._short, "extension": self._crooked}
        if self._behaviour in rubbish:
            for data in rubbish[self._behaviour]():
                connection.sendall(data)
                if self.over.wait(0.02):
                    return
        super().play(connection)

    def _flood(self, connection: socket.socket, data: bytes) -> None:
        while not self.over.wait(0.002):
            connection.sendall(data)

    def _large(self) -> Iterator[bytes]:
        while True:
            for channel in (0, 1, 7, 255):
                yield interleaved(channel, self._chance.randbytes(65_535))

    def _short(self) -> Iterator[bytes]:
        while True:
            length = self._chance.randrange(65_536)
            yield struct.pack(">cBH", b"$", 0, length) + self._chance.randbytes(length // 7)

    def _crooked(self) -> Iterator[bytes]:
        """Yield packets with extensions, sources and padding beyond their end, and NAL units so."""
        kinds = (24, 25, 26, 27, 28, 29, 30, 5, 7, 8)
        for number in range(1 << 30):
            first = (0x90, 0x8F, 0xA0, 0xBF, 0x80)[number % 5]
            head = struct.pack(">BBHII", first, 96, number & 0xFFFF, number * 3_600 & 0xFFFFFFFF, 7)
            more = struct.pack(">HH", 0xBEDE, 65_535) if first & 0x10 else b""
            nal = bytes([self._chance.choice(kinds) | 0x60]) + self._chance.randbytes(40)
            yield interleaved(0, (head + more + nal)[: self._chance.randrange(70)])

    def _jpeg(self) -> Iterator[Packet]:
        for number in range(1 << 30):
            head = struct.pack(">IBBBB", 0, 1, 255, 24, 16) + struct.pack(">BBH", 0, 0, 128)
            yield Packet(number * 0.04, number * 3_600, True, head + bytes(128 + 300))

    def _audio(self) -> Iterator[Packet]:
        for number in range(1 << 30):
            yield Packet(number * 0.04, number * 320, False, bytes([0xD5]) * 320)

    def _bad_pictures(self) -> Iterator[Packet]:
        for number in range(1 << 30):
            nals = self._pictures[number % len(self._pictures)]
            if self._behaviour == "blind":
                nals = [nal for nal in nals if nal[0] & 31 in (1, 2, 3)] or [b"\x41\x00"]
            ticks = number * 3_600
            if self._behaviour == "still":
                ticks = 3_600
            elif self._behaviour == "jumps" and number % 50 > 25:
                ticks = self._chance.randrange(1 << 32)
            for at, nal in enumerate(nals):
                yield Packet(number * 0.04, ticks, at == len(nals) - 1, nal)
