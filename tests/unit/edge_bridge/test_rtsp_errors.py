"""Sessions with cameras that refuse, fall silent, close, or require a password."""

import re
import socket
from collections.abc import Mapping
from types import SimpleNamespace

import pytest

from edge_bridge.rtsp.errors import CameraError, CameraRefusedError, UnsupportedStreamError
from edge_bridge.rtsp.session import open_stream
from tests.locked_rtsp import USER, Locked
from tests.rtsp_camera import RtspCamera, interleaved
from tests.unit.edge_bridge.rtsp_sessions import AUDIO, VIDEO, WITHIN_S, Odd, playing, received

DIGEST = 'Digest realm="a, b", nonce="{nonce}"'


@pytest.mark.parametrize(
    ("verb", "response", "kind", "words"),
    [
        ("DESCRIBE", "403 No", CameraRefusedError, r"not allowed to view the stream \(403\)"),
        ("DESCRIBE", "404 No", CameraError, r"no stream at this address \(404\): correct the path"),
        ("SETUP", "453 No", CameraError, r"does not have enough bandwidth .* \(453\): close other"),
        ("PLAY", "503 No", CameraError, r"not available \(503\): restart the"),
        ("DESCRIBE", "302 Moved\r\nLocation: rtsp://u:p@h/x", UnsupportedStreamError,
         r"^it redirects to another address \(302\)$"),
        ("SETUP", "461 No", UnsupportedStreamError, "interleaved in the RTSP connection"),
        ("SETUP", "500 Oh", UnsupportedStreamError, "answers SETUP with 500"),
        ("DESCRIBE", "200 OK", UnsupportedStreamError, "no video"),
        ("DESCRIBE", "401 No", CameraRefusedError, "requires a user name and a password"),
        ("OPTIONS", "401 No", CameraRefusedError, "requires a user name and a password"),
    ],
)  # fmt: skip
def test_a_status_is_reported(verb: str, response: str, kind: type[Exception], words: str) -> None:
    with (
        Odd(verb, f"RTSP/1.0 {response}\r\nCSeq: {{cseq}}\r\n\r\n") as camera,
        pytest.raises(kind, match=words),
    ):
        playing(camera)


@pytest.mark.parametrize(
    ("verb", "response", "within_s", "kind", "words"),
    [
        ("OPTIONS", b"\0" * 99, WITHIN_S, CameraError, "does not speak RTSP: correct the port"),
        ("OPTIONS", b"HTTP/1.1 400 Bad\r\n\r\n", WITHIN_S, CameraError, "does not speak RTSP"),
        ("OPTIONS", interleaved(0, b"a"), WITHIN_S, CameraError, "does not speak RTSP"),
        ("DESCRIBE", b"\0" * 99, WITHIN_S, UnsupportedStreamError, "not RTSP"),
        ("PLAY", interleaved(0, b"a" * 60_000) * 150, WITHIN_S, CameraError, "never ends"),
        ("PLAY", b"A x RTSP/1.0\r\n\r\n" * 600_000, WITHIN_S, CameraError, "never ends"),
        ("OPTIONS", b"", 1, CameraError, "accepts connections but does not answer"),
        ("PLAY", b"", 2, CameraError, "no answer within 2 s"),
        ("PLAY", b"RTSP/1.0 200 OK\r\n", 2, CameraError, "never ends"),
    ],
)  # fmt: skip
def test_a_bad_response_is_reported_in_time(
    verb: str, response: bytes, within_s: float, kind: type[Exception], words: str
) -> None:
    with Odd(verb, response) as camera, pytest.raises(kind, match=words):
        playing(camera, within_s=within_s)


class Going(RtspCamera):
    """Closes instead of answering `verb`."""

    def __init__(self, verb: str) -> None:
        super().__init__([VIDEO])
        self._verb = verb

    def rude(self, connection: socket.socket, verb: str, headers: Mapping[str, str]) -> bool:
        return verb == self._verb


@pytest.mark.parametrize(
    ("verb", "words"), [("OPTIONS", "does not answer"), ("SETUP", "the camera closed the stream")]
)
def test_a_camera_that_closes_is_reported(verb: str, words: str) -> None:
    with Going(verb) as camera, pytest.raises(CameraError, match=words):
        playing(camera)


def test_a_closed_port_is_reported() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"rtsp://127.0.0.1:{free.getsockname()[1]}/x"
        with pytest.raises(CameraError, match="refuses the connection: check that RTSP is on"):
            open_stream(url, None, None, audio=True, within_s=WITHIN_S)
    with pytest.raises(CameraError, match="is not known: correct the address or the site's DNS"):
        open_stream(f"rtsp://{'a' * 64}/x", None, None, audio=True, within_s=WITHIN_S)


OFFERS: Mapping[str, tuple[list[str], str]] = {
    "md5": ([DIGEST + ', qop="auth"'], "nc=00000001"),
    "md5 by name": ([DIGEST + ', qop="auth-int,auth", algorithm=MD5'], "algorithm=MD5"),
    "of old": ([DIGEST], "response="),
    "md5-sess": ([DIGEST + ', qop="auth", algorithm=MD5-sess'], "algorithm=MD5-sess"),
    "sha-256": ([DIGEST + ', qop="auth", algorithm=SHA-256'], "algorithm=SHA-256"),
    "sha-256-sess": ([DIGEST + ', qop="auth", algorithm=SHA-256-sess'], "algorithm=SHA-256-sess"),
    "both": ([DIGEST + ", algorithm=SHA-256", DIGEST, 'Basic realm="b"'], "algorithm=SHA-256"),
    "basic": (['Basic realm="b"'], "Basic "),
}  # fmt: skip


@pytest.mark.parametrize("name", OFFERS)
def test_user_and_password_are_sent_as_the_camera_requires(name: str) -> None:
    offers, holds = OFFERS[name]
    with Locked([VIDEO, AUDIO], offers) as camera:
        one = playing(camera)
        assert received(one, 1).startswith(b"$")
        one.teardown()
    assert camera.wrong == 0 and holds in camera.shown[0]
    assert len(camera.shown) == 5, "OPTIONS, DESCRIBE, SETUP twice and PLAY"


@pytest.mark.parametrize("name", OFFERS)
def test_a_wrong_password_is_sent_once(name: str) -> None:
    with Locked([VIDEO], OFFERS[name][0]) as camera:
        with pytest.raises(
            CameraRefusedError, match=r"rejected the user name or password \(401\)"
        ) as e:
            open_stream(camera.url, USER, "wr0ng", audio=True, within_s=WITHIN_S)
        assert len(camera.shown) == camera.wrong == 1
        assert "wr0ng" not in str(e.value) and camera.connections == 1


def test_a_stale_nonce_is_replaced() -> None:
    with Locked([VIDEO, AUDIO], [DIGEST + ', qop="auth"'], uses=1) as camera:
        one = playing(camera)
        assert received(one, 1).startswith(b"$")
        one.teardown()
    assert camera.wrong == 0


def test_a_new_nonce_within_the_stream_is_used_by_the_next_keep_alive() -> None:
    with Locked([VIDEO], [DIGEST + ', qop="auth"']) as camera:
        one = playing(camera)
        one.teardown()
    assert b'nonce="n0"' in one.keep_alive()
    for head in (b"", b"rubbish", b"RTSP/1.0 200 OK", b"RTSP/1.0 500 Oh\r\nA: b"):
        one.handle_message(head)
    response = 'WWW-Authenticate: Digest realm="a", nonce="n9", qop="auth", stale=true'
    one.handle_message(f"RTSP/1.0 401 Unauthorized\r\nCSeq: 9\r\n{response}".encode())
    assert b'nonce="n9"' in one.keep_alive()
    assert b"nc=00000002" in one.keep_alive()


def test_a_keep_alive_refused_for_its_nonce_is_sent_again_at_once() -> None:
    with Locked([VIDEO], [DIGEST + ', qop="auth"']) as camera:
        one = playing(camera)
        one.teardown()
    sent: list[bytes] = []
    one.socket = SimpleNamespace(sendall=sent.append)  # type: ignore[assignment]
    for number in range(3):
        cseq = re.search(rb"CSeq: (\d+)", one.keep_alive())[1].decode()  # type: ignore[index]
        nonce = f'WWW-Authenticate: Digest realm="a", nonce="new{number}", stale=true'
        one.handle_message(f"RTSP/1.0 401 No\r\nCSeq: {cseq}\r\n{nonce}".encode())
        assert len(sent) == number + 1 and f'nonce="new{number}"'.encode() in sent[-1]
        again = re.search(rb"CSeq: (\d+)", sent[-1])[1].decode()  # type: ignore[index]
        one.handle_message(f"RTSP/1.0 200 OK\r\nCSeq: {again}".encode())
