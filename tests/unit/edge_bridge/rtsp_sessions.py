"""Small RTSP cameras, and sessions with them."""

import socket
import threading
from collections.abc import Mapping

from edge_bridge.rtsp.session import RtspStream, open_stream
from tests.locked_rtsp import PASSWORD, USER, Locked
from tests.rtsp_camera import H264, Packet, RtspCamera, Track

WITHIN_S = 20
"""Enough for a slow machine; only tests that wait to the end have less."""
VIDEO = Track(H264, lambda: [Packet(0, 0, True, b"\x65abc")])
AUDIO = Track("m=audio 0 RTP/AVP {pt}", lambda: [Packet(0, 0, True, b"\xd5" * 8)], pt=8)


class Odd(RtspCamera):
    """Sends `response` instead of the right one to `verb`; `{cseq}` is the request's number."""

    def __init__(self, verb: str, response: bytes | str, *, then: bool = False) -> None:
        """`then`: the right response follows."""
        super().__init__([VIDEO, AUDIO])
        self._verb, self._then = verb, then
        self._response = response.encode() if isinstance(response, str) else response
        self.left = threading.Event()
        self.asked: list[tuple[str, Mapping[str, str]]] = []

    def rude(self, connection: socket.socket, verb: str, headers: Mapping[str, str]) -> bool:
        self.asked.append((verb, headers))
        if verb == "TEARDOWN":
            self.left.set()
        if verb == self._verb:
            connection.sendall(self._response.replace(b"{cseq}", headers["cseq"].encode()))
            if not self._then:
                self.talk(connection)
                return True
        return False

    def play(self, connection: socket.socket) -> None:
        self.send(connection)
        self.talk(connection)


def ok(headers: str = "", body: str = "") -> str:
    length = f"Content-Length: {len(body)}\r\n" if body else ""
    return f"RTSP/1.0 200 OK\r\nCSeq: {{cseq}}\r\n{headers}{length}\r\n{body}"


def playing(
    camera: RtspCamera, *, within_s: float = WITHIN_S, audio: bool = True, url: str | None = None
) -> RtspStream:
    user = (USER, PASSWORD) if isinstance(camera, Locked) else (None, None)
    return open_stream(url or camera.url, *user, audio=audio, within_s=within_s)


def received(one: RtspStream, length: int) -> bytes:
    data = one.leftover
    one.socket.settimeout(WITHIN_S)
    while len(data) < length and (more := one.socket.recv(4_096)):
        data += more
    return data
