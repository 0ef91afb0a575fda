"""A camera on a simulated clock: the native reader without a network and without waiting."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from itertools import count
from types import SimpleNamespace

import pytest

from edge_bridge.capture import native_source
from edge_bridge.capture.native_source import NativeRtspSource
from edge_bridge.capture.recent_urls import RecentUrls
from edge_bridge.config import CameraConfig
from edge_bridge.rtsp.sdp import MediaDescription
from tests.rtsp_camera import Packet, interleaved, rtp
from tests.unit.edge_bridge.rtp_packets import video

FRAME_S = 0.04
T0_MS = 1_760_000_000_000
Frames = Iterator[list[bytes]]
"""The RTP payloads of each frame."""
_PCMA = MediaDescription("audio", 8, "PCMA", 8_000, 1, {}, "rtsp://camera/audio")


class SimulatedClock:
    """Replaces the module `time`: only reads of the stream let time pass."""

    def __init__(self) -> None:
        self.now_s = 1_000.0

    def monotonic(self) -> float:
        return self.now_s

    def now_ms(self) -> int:
        return T0_MS + int(self.now_s * 1_000)

    def sleep(self, seconds: float) -> None:
        """Nothing: the reader sleeps while packets collect."""


class SimulatedSocket:
    """Returns a frame's packets for each read, `frame_s` later; at the end it is closed."""

    def __init__(self, frames: Iterator[bytes], clock: SimulatedClock, frame_s: float) -> None:
        self._frames = frames
        self._frame_s = frame_s
        self._clock = clock
        self._real, self._other = socket.socketpair()
        self._other.send(b"\0")  # so that the reader's poll finds it readable, always
        self.fileno = self._real.fileno

    def recv_into(self, view: memoryview, size: int) -> int:
        self._clock.now_s += self._frame_s
        data = next(self._frames, b"")
        assert len(data) <= size
        view[: len(data)] = data
        return len(data)

    def settimeout(self, seconds: float) -> None:
        """Nothing: a read never waits."""

    def gettimeout(self) -> float:
        """Return 0: a read never waits."""
        return 0.0

    def sendall(self, data: bytes) -> None:
        """Nothing: no one listens."""

    def close(self) -> None:
        self._real.close()
        self._other.close()


@contextlib.contextmanager
def simulated_camera(
    monkeypatch: pytest.MonkeyPatch,
    clock: SimulatedClock,
    frames: Frames,
    *,
    media: MediaDescription | None = None,
    channel: int = 0,
    ssrc: Callable[[int], int] = lambda _: 7,
    payload_type: int = 96,
    audio_from: int | None = None,
    frame_s: float = FRAME_S,
) -> Iterator[Callable[[], NativeRtspSource]]:
    """Yield what opens a camera that sends these frames, one each `frame_s`.

    `ssrc` returns the SSRC of the n-th packet. With `audio_from` audio is offered, and comes with
    that frame and all later ones.
    """
    numbers = count()

    def sent() -> Iterator[bytes]:
        for number, payloads in enumerate(frames):
            data = b""
            for place, payload in enumerate(payloads):
                packet = Packet(
                    0, round(number * frame_s * 90_000), place == len(payloads) - 1, payload
                )
                at = next(numbers)
                made = rtp(payload_type, at, packet)
                data += interleaved(channel, made[:8] + ssrc(at).to_bytes(4, "big") + made[12:])
            if audio_from is not None and number >= audio_from:
                tone = Packet(0, number * 320, True, b"\xd5\x55" * 160)
                data += interleaved(2, rtp(8, number, tone))
            yield data

    connection = SimulatedSocket(sent(), clock, frame_s)
    offered = {0: media or video(), **({} if audio_from is None else {2: _PCMA})}
    stream = SimpleNamespace(
        socket=connection,
        leftover=b"",
        rtp_channels=offered,
        rtcp_channels={},
        keep_alive_s=20,
        keep_alive=lambda: b"",
        audio_problem="",
        unnamed_pending=False,
        handle_message=lambda _: None,
        teardown=lambda: None,
    )
    monkeypatch.setattr(native_source, "open_stream", lambda *_, **__: stream)
    monkeypatch.setattr(native_source, "time", clock)

    def opened() -> NativeRtspSource:
        return NativeRtspSource(
            CameraConfig(id="one", url="rtsp://192.0.2.1/"),
            10,
            threading.Event(),
            clock.now_ms,
            on_wait=lambda _: None,
            on_unsupported=lambda _: None,
            closing=RecentUrls(),
        )

    try:
        yield opened
    finally:
        connection.close()
