"""Asking a camera what is wrong, after FFmpeg could not say it."""

import socket
from collections.abc import Mapping

import pytest

from edge_bridge.capture.diagnose import diagnose
from tests.locked_rtsp import Locked
from tests.rtsp_camera import H264, RtspCamera, Track

TRACK = Track(H264, list)
DIGEST = 'Digest realm="a", nonce="{nonce}", algorithm='
WITHIN_S = 20


class Answering(RtspCamera):
    """Answers DESCRIBE with a given response."""

    def __init__(self, response: str) -> None:
        super().__init__([TRACK])
        self._response = response

    def rude(self, connection: socket.socket, verb: str, headers: Mapping[str, str]) -> bool:
        connection.sendall(self._response.encode())
        self.over.wait(WITHIN_S)
        return True


@pytest.mark.parametrize(
    ("response", "words"),
    [
        ("RTSP/1.0 404 No\r\n\r\n", r"the camera has no stream at this address (404)"),
        ("RTSP/1.0 461 No\r\n\r\n", "does not offer this transport (461): choose the other one"),
        ("RTSP/1.0 418 I am a\x1b[2Jteapot\r\n\r\n", "the camera answers 418 I am a [2Jteapot"),
        (
            "RTSP/1.0 301 Moved\r\nlocation: rtsp://u:s3cret@elsewhere:9/x\r\n\r\n",
            "redirects to another address at elsewhere:9 (301)",
        ),
        ("RTSP/1.0 200 OK\r\nContent-Length: 2000000000\r\n\r\n", "too long or never ends"),
        ("SSH-2.0-x\r\n", "does not speak RTSP: correct the port"),
    ],
)
def test_a_response_is_explained(response: str, words: str) -> None:
    with Answering(response) as camera:
        problem = diagnose(camera.url, WITHIN_S)
    assert problem is not None and words in problem and "s3cret" not in problem


def test_nothing_is_wrong_with_a_camera_that_answers() -> None:
    with RtspCamera([TRACK]) as camera:
        assert diagnose(camera.url, WITHIN_S) is None


@pytest.mark.parametrize(
    ("offers", "words"),
    [
        (["MD5"], None),
        (["SHA-256", "MD5-sess"], None),
        (["MD5", "SHA-256"], "SHA-256, which is not supported: allow MD5 alone in its settings, "
         "or choose transport tcp"),
        (["SHA-512-256"], "SHA-512-256, which is not supported: allow MD5 alone in its settings"),
    ],
)  # fmt: skip
def test_a_hash_that_ffmpeg_does_not_know_is_named(offers: list[str], words: str | None) -> None:
    with Locked([TRACK], [DIGEST + one for one in offers]) as camera:
        problem = diagnose(camera.url, WITHIN_S)
    assert problem is None if words is None else words in str(problem)
    assert camera.shown == [], "no password was sent"
