"""RTSP cameras that behave as badly as cheap and hostile ones do, each on a port of its own."""

import contextlib
import random
import socket
import struct
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import av

_FLOOD = b"\x00" * 65_536
_SDP = (
    "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\n"
    "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1\r\n"
    "a=control:track0\r\n"
)

BEHAVIOURS = (
    "garbage",  # bytes of chance instead of RTSP
    "hang",  # accepts, and never says a word
    "headers",  # an answer whose headers never end
    "line",  # a header line that never ends
    "length",  # an answer of 2 GB
    "sdp",  # an SDP that is none
    "blind",  # pictures without parameter sets
    "packets",  # interleaved packets of the greatest size, and of channels that nobody asked for
    "still",  # pictures whose time stands still
    "jumps",  # pictures whose time jumps to and fro
    "zero",  # 0 fps: all is promised and nothing comes
)


class Hostile:
    """One such camera. Use as a context manager."""

    def __init__(self, behaviour: str, clip: Path) -> None:
        """`clip` (H.264) is what it would send if it behaved."""
        self._behaviour = behaviour
        self._pictures = list(access_units(clip))
        self._over = threading.Event()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"rtsp://127.0.0.1:{self._listening.getsockname()[1]}/{behaviour}"
        self.connections = 0

    def __enter__(self) -> "Hostile":
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _accept(self) -> None:
        while not self._over.is_set():
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError, ValueError):
            connection.settimeout(20)
            self._talk(connection)

    def _talk(self, connection: socket.socket) -> None:
        chance = random.Random(5)
        if self._behaviour == "garbage":
            self._flood(connection, chance.randbytes(65_536))
            return
        asked = connection.makefile("rb")
        while not self._over.is_set():
            request = asked.readline().split()
            headers = {}
            while line := asked.readline().strip():
                name, _, value = line.decode().partition(":")
                headers[name.lower()] = value.strip()
            if not request:
                return
            verb, cseq = request[0].decode(), headers.get("cseq", "1")
            if verb in ("DESCRIBE", "OPTIONS") and self._rude(connection, cseq, verb):
                return
            answer, body = f"RTSP/1.0 200 OK\r\nCSeq: {cseq}\r\nSession: 1\r\n", ""
            if verb == "DESCRIBE":
                body = "rubbish\r\nm=\r\na=a\r\n" * 50 if self._behaviour == "sdp" else _SDP
                answer += f"Content-Type: application/sdp\r\nContent-Length: {len(body)}\r\n"
            elif verb == "SETUP":
                answer += "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n"
            elif verb == "OPTIONS":
                answer += "Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN\r\n"
            connection.sendall(f"{answer}\r\n{body}".encode())
            if verb == "PLAY":
                self._play(connection, chance)
                return

    def _rude(self, connection: socket.socket, cseq: str, verb: str) -> bool:
        start = f"RTSP/1.0 200 OK\r\nCSeq: {cseq}\r\n".encode()
        match self._behaviour:
            case "hang":
                self._over.wait(20)
            case "headers":
                connection.sendall(start)
                self._flood(connection, b"X-Header: " + b"a" * 1_000 + b"\r\n")
            case "line":
                connection.sendall(start + b"X-Header: ")
                self._flood(connection, b"a" * 4_096)
            case "length" if verb == "DESCRIBE":
                connection.sendall(start + b"Content-Length: 2000000000\r\n\r\n")
                self._flood(connection, _FLOOD * 8)
            case _:
                return False
        return True

    def _flood(self, connection: socket.socket, data: bytes) -> None:
        while not self._over.wait(0.002):
            connection.sendall(data)

    def _play(self, connection: socket.socket, chance: random.Random) -> None:
        if self._behaviour == "zero":
            self._over.wait(20)
            return
        if self._behaviour == "packets":
            while not self._over.wait(0.1):
                for channel in (0, 1, 7, 255):
                    connection.sendall(struct.pack(">cBH", b"$", channel, 65_535))
                    connection.sendall(chance.randbytes(65_535))
        sequence = 0
        for number in range(1_000_000):
            if self._over.wait(0.04):
                return
            nals = self._pictures[number % len(self._pictures)]
            if self._behaviour == "blind":
                nals = [nal for nal in nals if nal[0] & 31 in (1, 2, 3)] or [b"\x41\x00"]
            ticks = number * 3_600
            if self._behaviour == "still":
                ticks = 3_600
            elif self._behaviour == "jumps" and number % 50 > 25:
                ticks = chance.randrange(1 << 32)
            for at, nal in enumerate(nals):
                last = at == len(nals) - 1
                head = struct.pack(
                    ">BBHII", 0x80, 96 | last << 7, sequence & 0xFFFF, ticks & 0xFFFFFFFF, 7
                )
                sequence += 1
                packet = head + nal
                connection.sendall(struct.pack(">cBH", b"$", 0, len(packet)) + packet)


def access_units(clip: Path) -> Iterator[list[bytes]]:
    """Yield each picture's NAL units, parameter sets before keyframes."""
    with av.open(str(clip)) as source:
        stream = source.streams.video[0]
        parameters = _parameter_sets(bytes(stream.codec_context.extradata or b""))
        for packet in source.demux(stream):
            data, nals = bytes(packet), []
            while len(data) > 4:
                size = int.from_bytes(data[:4], "big")
                nals.append(data[4 : 4 + size])
                data = data[4 + size :]
            if nals:
                yield [*parameters, *nals] if packet.is_keyframe else nals


def _parameter_sets(avcc: bytes) -> Sequence[bytes]:
    sets, at = [], 5
    for mask in (31, 255):
        count, at = avcc[at] & mask, at + 1
        for _ in range(count):
            size = int.from_bytes(avcc[at : at + 2], "big")
            sets.append(avcc[at + 2 : at + 2 + size])
            at += 2 + size
    return sets
