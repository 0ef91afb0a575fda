"""Sessions with a server that others wrote: GStreamer's, open and with a password."""

from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from edge_bridge.rtsp.errors import CameraRefusedError
from edge_bridge.rtsp.session import RtspStream, open_stream
from local.cameras import CameraServer, ServedCamera
from tests.footage import write_clip

USER, PASSWORD = "guard", "p w"
WITHIN_S = 20


@pytest.fixture(scope="module")
def cameras(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CameraServer]:
    folder = tmp_path_factory.mktemp("cameras")
    clip = str(write_clip(folder / "clip.mp4", 30))
    served = [
        ServedCamera(name="open", file=clip),
        ServedCamera(name="locked", file=clip, user=USER, password=PASSWORD),
    ]
    with CameraServer.start(folder / "data", served) as started:
        yield started


def address(cameras: CameraServer, name: str) -> str:
    parts = urlsplit(cameras.urls[name])
    return f"rtsp://{parts.hostname}:{parts.port}{parts.path}"


def frames(playing: RtspStream) -> Iterator[bytes]:
    """Yield the stream: frames with their heads, and answers' heads."""
    data = playing.leftover
    playing.socket.settimeout(WITHIN_S)
    while True:
        length = 4 + int.from_bytes(data[2:4], "big") if data[:1] == b"$" else 0
        if not length and b"\r\n\r\n" in data:
            length = data.index(b"\r\n\r\n") + 4
        if length and len(data) >= max(length, 4):
            yield data[:length]
            data = data[length:]
        else:
            data += playing.socket.recv(65_536)


@pytest.mark.parametrize("name", ["open", "locked"])
def test_a_camera_sends_and_takes_keep_alives(cameras: CameraServer, name: str) -> None:
    playing = open_stream(address(cameras, name), USER, PASSWORD, audio=True, within_s=WITHIN_S)
    try:
        (video,) = playing.media
        assert (video.encoding, video.clock_hz) == ("H264", 90_000)
        assert playing.rtp_channels == {0: video} and playing.rtcp_channels == {1: video}
        stream = frames(playing)
        first = next(stream)
        assert first.startswith(b"$") and PASSWORD.encode() not in playing.keep_alive()
        for _ in range(2):
            request = playing.keep_alive()
            assert (b"Authorization: Digest " in request) == (name == "locked")
            playing.socket.sendall(request)
            answer = next(one for one in stream if not one.startswith(b"$"))
            assert answer.startswith(b"RTSP/1.0 200 ")
            playing.handle_message(answer)
        assert next(stream).startswith(b"$"), "the pictures go on"
    finally:
        playing.teardown()


def test_a_wrong_password_and_none(cameras: CameraServer) -> None:
    url = address(cameras, "locked")
    for user, password, words in (
        (USER, "wrong", "rejected the user name or password"),
        ("stranger", PASSWORD, "rejected the user name or password"),
        (None, None, "requires a user name and a password"),
    ):
        with pytest.raises(CameraRefusedError, match=words):
            open_stream(url, user, password, audio=True, within_s=WITHIN_S)
