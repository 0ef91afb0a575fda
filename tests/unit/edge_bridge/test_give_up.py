"""When the native reader gives a stream up, so that FFmpeg can try: on a simulated clock."""

import base64
import socket
import threading
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import pytest

from edge_bridge.capture import native_source
from edge_bridge.capture.native_source import NativeRtspSource
from edge_bridge.capture.recent_urls import RecentUrls
from edge_bridge.config import CameraConfig
from edge_bridge.rtsp.errors import UnsupportedStreamError
from edge_bridge.rtsp.sdp import MediaDescription
from tests.footage import write_clip
from tests.rtsp_camera import Packet, access_units, interleaved, parameter_sets, rtp
from tests.unit.edge_bridge.rtp_packets import in_fragments, video

FRAME_S = 0.04
LIMIT_S = 1.5 + 3 * FRAME_S
T0_MS = 1_760_000_000_000


class SimulatedClock:
    """Replaces the module `time`: only reads of the stream let time pass."""

    def __init__(self) -> None:
        self.now_s = 1_000.0

    def monotonic(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        """Nothing: the reader sleeps while packets collect."""


class SimulatedSocket:
    """Returns a frame's packets for each read, 40 ms later."""

    def __init__(self, frames: Iterator[bytes], clock: SimulatedClock, real: socket.socket) -> None:
        self._frames = frames
        self._clock = clock
        self.fileno = real.fileno

    def recv_into(self, view: memoryview, size: int) -> int:
        self._clock.now_s += FRAME_S
        data = next(self._frames)
        assert len(data) <= size
        view[: len(data)] = data
        return len(data)

    def settimeout(self, seconds: float) -> None:
        """Nothing: a read never waits."""

    def sendall(self, data: bytes) -> None:
        """Nothing: no one listens."""


Frames = Iterator[list[bytes]]
"""The RTP payloads of each frame."""


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clip") / "clip.mp4", 25, gop=25)


def opened(
    monkeypatch: pytest.MonkeyPatch,
    frames: Frames,
    *,
    media: MediaDescription | None = None,
    channel: int = 0,
    ssrc: Callable[[int], int] = lambda _: 7,
    payload_type: int = 96,
) -> float:
    """Open a camera; return how long it took, by the simulated clock."""
    clock = SimulatedClock()
    numbers = count()

    def sent() -> Iterator[bytes]:
        for number, payloads in enumerate(frames):
            data = b""
            for place, payload in enumerate(payloads):
                packet = Packet(0, number * 3_600, place == len(payloads) - 1, payload)
                at = next(numbers)
                made = rtp(payload_type, at, packet)
                data += interleaved(channel, made[:8] + ssrc(at).to_bytes(4, "big") + made[12:])
            yield data

    ours, theirs = socket.socketpair()
    with ours, theirs:
        stream = SimpleNamespace(
            socket=SimulatedSocket(sent(), clock, ours),
            leftover=b"",
            rtp_channels={0: media or video()},
            rtcp_channels={},
            keep_alive_s=20,
            keep_alive=lambda: b"",
            audio_problem="",
            handle_message=lambda _: None,
            teardown=lambda: None,
        )
        monkeypatch.setattr(native_source, "open_stream", lambda *_, **__: stream)
        monkeypatch.setattr(native_source, "time", clock)
        began_s = clock.now_s
        try:
            NativeRtspSource(
                CameraConfig(id="one", url="rtsp://192.0.2.1/"),
                10,
                threading.Event(),
                lambda: T0_MS + int(clock.now_s * 1_000),
                on_wait=lambda _: None,
                on_unsupported=lambda _: None,
                closing=RecentUrls(),
            )
        finally:
            lasted_s = clock.now_s - began_s
            assert lasted_s <= LIMIT_S
    return lasted_s


def endless(payload: bytes) -> Frames:
    while True:
        yield [payload]


def bare(clip: Path) -> Frames:
    """Yield a clip again and again, without parameter sets."""
    while True:
        yield from access_units(clip, sets=False)


@pytest.mark.parametrize(
    ("payload", "channel", "payload_type", "why"),
    [
        (b"\x1eprivate", 0, 96, "become no video frame"),
        (b"\x1a\0\0multi-time", 0, 96, "become no video frame"),
        (b"\x06\x05\x01a\x80", 0, 96, "become no video frame"),
        (b"\x41\x9a", 5, 96, "not those of its SDP"),
    ],
    ids=["private", "MTAP", "no slices", "channel"],
)
def test_packets_that_become_no_frame_are_given_up_in_time(
    monkeypatch: pytest.MonkeyPatch, payload: bytes, channel: int, payload_type: int, why: str
) -> None:
    with pytest.raises(UnsupportedStreamError, match=why):
        opened(monkeypatch, endless(payload), channel=channel, payload_type=payload_type)


def test_missing_parameter_sets_are_given_up_in_time(
    monkeypatch: pytest.MonkeyPatch, clip: Path
) -> None:
    with pytest.raises(UnsupportedStreamError, match="without parameter sets"):
        opened(monkeypatch, bare(clip))


def test_b_frames_are_given_up_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "b.mp4", 10, b_frames=2)
    with pytest.raises(UnsupportedStreamError, match="may have B-frames"):
        opened(monkeypatch, access_units(clip))


def annex_b_in_one_unit(clip: Path) -> Frames:
    for units in access_units(clip):
        yield list(in_fragments(b"\0\0\0\1".join(units), "H264", 1_400))


def unpadded(clip: Path) -> str:
    sets = (base64.b64encode(one).decode().rstrip("=") for one in parameter_sets(clip))
    return ",".join(sets) + ",rubbish"


def test_odd_streams_are_not_given_up(monkeypatch: pytest.MonkeyPatch, clip: Path) -> None:
    opened(monkeypatch, annex_b_in_one_unit(clip))
    opened(monkeypatch, bare(clip), media=video(sprop_parameter_sets=unpadded(clip)))
    opened(monkeypatch, access_units(clip), ssrc=lambda number: number)
    # A payload type that is not the SDP's: the first keyframe is missed.
    again = (units for _ in range(9) for units in access_units(clip))
    opened(monkeypatch, again, payload_type=101)
