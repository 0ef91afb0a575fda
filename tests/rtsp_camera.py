"""A small RTSP camera in a thread, of which a test decides every message and packet."""

import contextlib
import heapq
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Self

import av

from local.certificates import make_pair

H264 = "m=video 0 RTP/AVP {pt}\na=rtpmap:{pt} H264/90000\na=fmtp:{pt} packetization-mode=1"


class Packet(NamedTuple):
    """One RTP packet to be sent."""

    at_s: float
    """Since PLAY."""
    ticks: int
    """RTP's time stamp."""
    last: bool
    """Whether a picture ends with it (RTP's marker)."""
    payload: bytes


@dataclass(frozen=True)
class Track:
    """One m= section of the SDP and what is sent for it."""

    sdp: str
    """Its lines without a=control; `{pt}` is its payload type."""
    packets: Callable[[], Iterable[Packet]]
    pt: int = 96


class RtspCamera:
    """Speaks RTSP over TCP, correctly unless a subclass changes that. Use as a context manager."""

    def __init__(self, tracks: Sequence[Track]) -> None:
        self.tracks = list(tracks)
        self.over = threading.Event()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self.url = f"rtsp://127.0.0.1:{self.port}/camera"
        self.connections = 0

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def sdp(self) -> str:
        """What DESCRIBE answers."""
        lines = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\n"
        for number, track in enumerate(self.tracks):
            lines += track.sdp.format(pt=track.pt).replace("\n", "\r\n")
            lines += f"\r\na=control:track{number}\r\n"
        return lines

    def rude(self, connection: socket.socket, verb: str, headers: Mapping[str, str]) -> bool:
        """Answer a request wrongly; return True if the session is over."""
        del connection, verb, headers
        return False

    def challenge(self, verb: str, url: str, headers: Mapping[str, str]) -> str | None:
        """What a 401 asks for (its WWW-Authenticate lines); None where the request may pass."""
        del verb, url, headers
        return None

    def transport(self, number: int, asked: str) -> str:
        """What SETUP answers for a track."""
        del asked
        return f"RTP/AVP/TCP;unicast;interleaved={2 * number}-{2 * number + 1}"

    def play(self, connection: socket.socket) -> None:
        """Do what PLAY asked for, and keep the connection for a while."""
        self.send(connection)
        self.over.wait(20)

    def send(self, connection: socket.socket) -> None:
        """Send the tracks' packets, each at its time."""
        timed = [_numbered(number, track) for number, track in enumerate(self.tracks)]
        passed_s = 0.0
        for at_s, _, _, packet in heapq.merge(*timed):
            if at_s > passed_s and self.over.wait(at_s - passed_s):
                return
            passed_s = max(at_s, passed_s)
            connection.sendall(packet)

    def _accept(self) -> None:
        while not self.over.is_set():
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError, ValueError):
            connection.settimeout(20)
            self.talk(connection)

    def talk(self, connection: socket.socket) -> None:
        """Answer requests until the other side closes or PLAY is over."""
        asked = connection.makefile("rb")
        while not self.over.is_set():
            request = asked.readline().split()
            headers = {}
            while line := asked.readline().strip():
                name, _, value = line.decode().partition(":")
                headers[name.lower()] = value.strip()
            if len(request) < 2:
                return
            verb = request[0].decode()
            if self.rude(connection, verb, headers):
                return
            if why := self.challenge(verb, request[1].decode(), headers):
                cseq = f"CSeq: {headers.get('cseq', 1)}"
                connection.sendall(f"RTSP/1.0 401 Unauthorized\r\n{cseq}\r\n{why}\r\n".encode())
                continue
            answer, body = (
                f"RTSP/1.0 200 OK\r\nCSeq: {headers.get('cseq', 1)}\r\nSession: 1\r\n",
                "",
            )
            if verb == "DESCRIBE":
                body = self.sdp()
                answer += f"Content-Type: application/sdp\r\nContent-Length: {len(body)}\r\n"
            elif verb == "SETUP":
                number = int(request[1].rsplit(b"track", 1)[-1])
                transport = self.transport(number, headers.get("transport", ""))
                answer += f"Transport: {transport}\r\n"
            elif verb == "OPTIONS":
                answer += "Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN\r\n"
            connection.sendall(f"{answer}\r\n{body}".encode())
            if verb == "PLAY":
                self.play(connection)
                return


class EncryptedCamera(RtspCamera):
    """Speaks TLS, with a certificate that is not trusted."""

    def __init__(self, tracks: Sequence[Track], folder: Path) -> None:
        super().__init__(tracks)
        _, pair = make_pair("203.0.113.1")
        (folder / "pair.pem").write_bytes(pair)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(folder / "pair.pem")
        self.url = self.url.replace("rtsp:", "rtsps:")

    def talk(self, connection: socket.socket) -> None:
        with self._context.wrap_socket(connection, server_side=True) as encrypted:
            super().talk(encrypted)


def interleaved(channel: int, data: bytes) -> bytes:
    """Return a packet as it travels in RTSP's own connection (RFC 2326, 10.12)."""
    return struct.pack(">cBH", b"$", channel, len(data)) + data


def rtp(pt: int, sequence: int, packet: Packet) -> bytes:
    """Return an RTP packet (RFC 3550, 5.1)."""
    last, ticks = int(packet.last) << 7, packet.ticks & 0xFFFFFFFF
    return struct.pack(">BBHII", 0x80, pt | last, sequence & 0xFFFF, ticks, 7) + packet.payload


def _numbered(number: int, track: Track) -> Iterator[tuple[float, int, int, bytes]]:
    for sequence, packet in enumerate(track.packets()):
        data = rtp(track.pt, sequence, packet)
        yield packet.at_s, number, sequence, interleaved(2 * number, data)


def pictures(
    clip: Path,
    *,
    fps: int = 25,
    sets: bool = True,
    ticks: Callable[[int], int] | None = None,
    begin_s: float = 0,
    most: int | None = None,
) -> Iterator[Packet]:
    """Yield a clip's pictures; `ticks` returns the n-th one's time, `sets` sends parameter sets."""
    for number, nals in enumerate(access_units(clip, sets=sets)):
        if number == most:
            return
        at = number * 90_000 // fps if ticks is None else ticks(number)
        for place, nal in enumerate(nals):
            last = place == len(nals) - 1
            for piece, ends in _fragments(nal):
                yield Packet(begin_s + number / fps, at, last and ends, piece)


_MOST_PAYLOAD = 60_000


def _fragments(nal: bytes) -> Iterator[tuple[bytes, bool]]:
    """Yield a NAL unit as it is, or in FU-A units (RFC 6184, 5.8) where it is large."""
    if len(nal) <= _MOST_PAYLOAD:
        yield nal, True
        return
    body = nal[1:]
    for at in range(0, len(body), _MOST_PAYLOAD):
        ends = at + _MOST_PAYLOAD >= len(body)
        head = bytes([nal[0] & 0xE0 | 28, nal[0] & 31 | (at == 0) << 7 | ends << 6])
        yield head + body[at : at + _MOST_PAYLOAD], ends


def access_units(clip: Path, *, sets: bool = True) -> Iterator[list[bytes]]:
    """Yield each picture's NAL units, parameter sets before keyframes where `sets` are wanted."""
    with av.open(str(clip)) as source:
        stream = source.streams.video[0]
        parameters = parameter_sets(clip) if sets else []
        for packet in source.demux(stream):
            data, nals = bytes(packet), []
            while len(data) > 4:
                size = int.from_bytes(data[:4], "big")
                nals.append(data[4 : 4 + size])
                data = data[4 + size :]
            if nals:
                yield [*parameters, *nals] if packet.is_keyframe else nals


def parameter_sets(clip: Path) -> list[bytes]:
    """Return SPS and PPS of a clip, and the VPS of H.265 before them."""
    with av.open(str(clip)) as source:
        context = source.streams.video[0].codec_context
        extra, hevc = bytes(context.extradata or b""), context.name == "hevc"
    sets = []

    def take(at: int, count: int) -> int:
        for _ in range(count):
            size = int.from_bytes(extra[at : at + 2], "big")
            sets.append(extra[at + 2 : at + 2 + size])
            at += 2 + size
        return at

    if hevc:  # ISO 14496-15, 8.3.3.1: arrays of units, by kind
        at = 23
        for _ in range(extra[22]):
            at = take(at + 3, int.from_bytes(extra[at + 1 : at + 3], "big"))
        return sets
    at = take(6, extra[5] & 31)
    take(at + 1, extra[at])
    return sets
