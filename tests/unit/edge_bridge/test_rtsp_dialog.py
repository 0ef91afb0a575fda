"""The dialog against small cameras on the loopback, polite, odd and locked ones."""

import re
import socket
import ssl
import threading
from collections.abc import Mapping
from pathlib import Path

import pytest

from edge_bridge.capture.source import SourceError, SourceRefusedError
from edge_bridge.rtsp.dialog import Playing, play
from edge_bridge.rtsp.fault import NotPlainError
from local.certificates import make_pair
from tests.locked_rtsp import PASSWORD, USER, Locked
from tests.rtsp_camera import H264, Packet, RtspCamera, Track, interleaved, rtp

WITHIN_S = 20
"""Much for a slow machine; only what must wait to the end has less."""
PICTURES = Track(H264, lambda: [Packet(0, 0, True, b"\x65abc")])
SOUND = Track("m=audio 0 RTP/AVP {pt}", lambda: [Packet(0, 0, True, b"\xd5" * 8)], pt=8)
DIGEST = 'Digest realm="a, b", nonce="{nonce}"'


class Odd(RtspCamera):
    """Sends `said` instead of an answer to `verb`; `{cseq}` is the request's number."""

    def __init__(self, verb: str, said: bytes | str, *, then: bool = False) -> None:
        """`then`: it answers as is right, too."""
        super().__init__([PICTURES, SOUND])
        self._verb, self._then = verb, then
        self._said = said.encode() if isinstance(said, str) else said
        self.left = threading.Event()
        self.asked: list[tuple[str, Mapping[str, str]]] = []

    def rude(self, connection: socket.socket, verb: str, headers: Mapping[str, str]) -> bool:
        self.asked.append((verb, headers))
        if verb == "TEARDOWN":
            self.left.set()
        if verb == self._verb:
            connection.sendall(self._said.replace(b"{cseq}", headers["cseq"].encode()))
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
) -> Playing:
    user = (USER, PASSWORD) if isinstance(camera, Locked) else (None, None)
    return play(url or camera.url, *user, audio=audio, within_s=within_s)


def received(one: Playing, length: int) -> bytes:
    data = one.rest
    one.connection.settimeout(WITHIN_S)
    while len(data) < length and (more := one.connection.recv(4_096)):
        data += more
    return data


def test_a_camera_is_played() -> None:
    with RtspCamera([PICTURES, SOUND]) as camera:
        one = playing(camera)
        try:
            video, audio = one.media
            assert (video.coding, audio.coding) == ("H264", "PCMA")
            assert one.channels == {0: video, 2: audio}
            assert one.reports == {1: video, 3: audio}
            assert one.keep_alive_s == 30
            assert one.connection.gettimeout() is None
            assert one.connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            sent = {
                interleaved(0, rtp(96, 0, Packet(0, 0, True, b"\x65abc"))),
                interleaved(2, rtp(8, 0, Packet(0, 0, True, b"\xd5" * 8))),
            }
            data = received(one, sum(len(each) for each in sent))
            cut = 4 + int.from_bytes(data[2:4], "big")
            assert {data[:cut], data[cut:]} == sent
        finally:
            one.hang_up()


def test_sound_that_nobody_wants_is_not_set_up() -> None:
    with Odd("", "") as camera:
        one = playing(camera, audio=False)
        one.hang_up()
        assert [media.kind for media in one.media] == ["video"]
        assert [verb for verb, _ in camera.asked][:4] == ["OPTIONS", "DESCRIBE", "SETUP", "PLAY"]
        headers = dict(camera.asked)
        assert headers["SETUP"]["transport"] == "RTP/AVP/TCP;unicast;interleaved=0-1"
        assert headers["PLAY"]["range"] == "npt=0.000-" and headers["PLAY"]["session"] == "1"


@pytest.mark.parametrize(
    ("transport", "channels", "reports"),
    [
        ("RTP/AVP/TCP;unicast;interleaved=4-5;ssrc=7", [4], [5]),
        ("rtp/avp/tcp; unicast; INTERLEAVED = 6", [6], [7]),
        ("RTP/AVP/TCP;interleaved=9-2,RTP/AVP;client_port=1-2", [9], [2]),
        ("RTP/AVP;unicast;client_port=1-2;server_port=3-4", None, None),
        ("RTP/AVP;unicast;destination=203.0.113.9", None, None),
        ("RTP/AVP/TCP;unicast", None, None),
        ("RTP/AVP/TCP;unicast;interleaved=300-301", None, None),
        ("", None, None),
    ],
)
def test_the_channels_are_those_that_the_camera_names(
    transport: str, channels: list[int] | None, reports: list[int] | None
) -> None:
    with Odd("SETUP", ok(f"Transport: {transport}\r\nSession: 5\r\n")) as camera:
        if channels is None or reports is None:
            with pytest.raises(NotPlainError, match="RTSP's own connection"):
                playing(camera, audio=False)
            return
        one = playing(camera, audio=False)
        one.hang_up()
        assert list(one.channels) == channels and list(one.reports) == reports


def test_two_streams_in_one_channel_are_not_plain() -> None:
    said = ok("Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\nSession: 5\r\n")
    with Odd("SETUP", said) as camera, pytest.raises(NotPlainError, match="in one channel"):
        playing(camera)


def test_what_comes_before_the_answer_to_play_is_kept_in_order() -> None:
    early = [interleaved(0, b"a" * 30), interleaved(2, b"$RTSP/1.0"), interleaved(1, b"")]
    asked = b"OPTIONS rtsp://x RTSP/1.0\r\nCSeq: 1\r\n\r\n"
    said = early[0] + asked + early[1] + b"\r\n" + early[2]
    with Odd("PLAY", said, then=True) as camera:
        one = playing(camera)
        data = received(one, len(b"".join(early)) + 1)
        one.hang_up()
    assert data.startswith(b"".join(early) + b"$")


@pytest.mark.parametrize(
    ("session", "keep_alive_s"),
    [
        ("7", 30), ("7;timeout=60", 30), ("7 ; Timeout = 30", 15), ("7;timeout=1", 5),
        ("7;timeout=86400", 30), ("7;timeout=soon", 30),
    ],
)  # fmt: skip
def test_signs_of_life_are_given_as_often_as_the_session_needs(
    session: str, keep_alive_s: float
) -> None:
    said = ok(f"Session: {session}\r\nTransport: RTP/AVP/TCP;interleaved=0-1\r\n")
    with Odd("SETUP", said) as camera:
        one = playing(camera, audio=False)
        one.hang_up()
    assert one.keep_alive_s == keep_alive_s
    assert b"\r\nSession: 7\r\n" in one.keep_alive()


@pytest.mark.parametrize(
    ("said", "verb"),
    [
        (ok("Public: OPTIONS, DESCRIBE, GET_PARAMETER\r\n"), b"GET_PARAMETER"),
        (ok("Public: OPTIONS, DESCRIBE\r\n"), b"OPTIONS"),
        ("RTSP/1.0 501 Not Implemented\r\nCSeq: {cseq}\r\n\r\n", b"OPTIONS"),
    ],
)
def test_the_sign_of_life_is_one_that_the_camera_knows(said: str, verb: bytes) -> None:
    with Odd("OPTIONS", said) as camera:
        one = playing(camera, audio=False)
        first, second = one.keep_alive(), one.keep_alive()
        one.hang_up()
    assert first.startswith(verb + b" rtsp://")
    numbers = [int(re.search(rb"CSeq: (\d+)", each)[1]) for each in (first, second)]  # type: ignore[index]
    assert numbers == [5, 6], "after OPTIONS, DESCRIBE, SETUP and PLAY"


def test_hanging_up_is_said() -> None:
    with Odd("", "") as camera:
        one = playing(camera)
        one.hang_up()
        one.hang_up()
        assert camera.left.wait(WITHIN_S)
        assert camera.asked[-1][0] == "TEARDOWN" and camera.asked[-1][1]["session"] == "1"
        assert one.connection.fileno() == -1


@pytest.mark.parametrize(
    ("verb", "said", "kind", "words"),
    [
        ("DESCRIBE", "403 No", SourceRefusedError, r"forbids this user the stream \(403\)"),
        ("DESCRIBE", "404 No", SourceError, r"no stream at this address \(404\): mend the url"),
        ("SETUP", "453 No", SourceError, r"not enough bandwidth .* \(453\): close others"),
        ("PLAY", "503 No", SourceError, r"not available \(503\): restart it"),
        ("DESCRIBE", "302 Moved\r\nLocation: rtsp://u:p@h/x", SourceError,
         r"sends us to another address at h \(302\)"),
        ("SETUP", "461 No", NotPlainError, "RTSP's own connection"),
        ("SETUP", "500 Oh", NotPlainError, "answers SETUP with 500"),
        ("DESCRIBE", "200 OK", NotPlainError, "no pictures"),
        ("DESCRIBE", "401 No", SourceRefusedError, "asks for a user and a password"),
        ("OPTIONS", "401 No", SourceRefusedError, "asks for a user and a password"),
    ],
)  # fmt: skip
def test_what_the_camera_answers_is_told(
    verb: str, said: str, kind: type[Exception], words: str
) -> None:
    with (
        Odd(verb, f"RTSP/1.0 {said}\r\nCSeq: {{cseq}}\r\n\r\n") as camera,
        pytest.raises(kind, match=words),
    ):
        playing(camera)


@pytest.mark.parametrize(
    ("verb", "said", "within_s", "kind", "words"),
    [
        ("OPTIONS", b"\0" * 99, WITHIN_S, SourceError, "does not speak RTSP: mend the port"),
        ("OPTIONS", b"HTTP/1.1 400 Bad\r\n\r\n", WITHIN_S, SourceError, "does not speak RTSP"),
        ("OPTIONS", interleaved(0, b"a"), WITHIN_S, SourceError, "does not speak RTSP"),
        ("DESCRIBE", b"\0" * 99, WITHIN_S, NotPlainError, "no RTSP"),
        ("PLAY", interleaved(0, b"a" * 60_000) * 150, WITHIN_S, SourceError, "never ends"),
        ("PLAY", b"A x RTSP/1.0\r\n\r\n" * 600_000, WITHIN_S, SourceError, "never ends"),
        ("OPTIONS", b"", 1, SourceError, "takes the connection and says nothing"),
        ("PLAY", b"", 2, SourceError, "no answer within 2 s"),
        ("PLAY", b"RTSP/1.0 200 OK\r\n", 2, SourceError, "never ends"),
    ],
)  # fmt: skip
def test_what_is_no_answer_is_told_in_time(
    verb: str, said: bytes, within_s: float, kind: type[Exception], words: str
) -> None:
    with Odd(verb, said) as camera, pytest.raises(kind, match=words):
        playing(camera, within_s=within_s)


class Going(RtspCamera):
    """Hangs up instead of answering `verb`."""

    def __init__(self, verb: str) -> None:
        super().__init__([PICTURES])
        self._verb = verb

    def rude(self, connection: socket.socket, verb: str, headers: Mapping[str, str]) -> bool:
        return verb == self._verb


@pytest.mark.parametrize(
    ("verb", "words"), [("OPTIONS", "says nothing"), ("SETUP", "the camera closed the stream")]
)
def test_a_camera_that_goes_away_is_told(verb: str, words: str) -> None:
    with Going(verb) as camera, pytest.raises(SourceError, match=words):
        playing(camera)


def test_who_does_not_listen_is_told() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"rtsp://127.0.0.1:{free.getsockname()[1]}/x"
        with pytest.raises(SourceError, match="refuses the connection: is RTSP on"):
            play(url, None, None, audio=True, within_s=WITHIN_S)
    with pytest.raises(SourceError, match="is not known: mend the address or the site's DNS"):
        play(f"rtsp://{'a' * 64}/x", None, None, audio=True, within_s=WITHIN_S)


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
def test_user_and_password_are_shown_as_the_camera_wants(name: str) -> None:
    offers, holds = OFFERS[name]
    with Locked([PICTURES, SOUND], offers) as camera:
        one = playing(camera)
        assert received(one, 1).startswith(b"$")
        one.hang_up()
    assert camera.wrong == 0 and holds in camera.shown[0]
    assert len(camera.shown) == 5, "OPTIONS, DESCRIBE, SETUP twice and PLAY"


@pytest.mark.parametrize("name", OFFERS)
def test_a_wrong_password_is_shown_once(name: str) -> None:
    with Locked([PICTURES], OFFERS[name][0]) as camera:
        with pytest.raises(SourceRefusedError, match=r"refuses user name or password \(401\)") as e:
            play(camera.url, USER, "wr0ng", audio=True, within_s=WITHIN_S)
        assert len(camera.shown) == camera.wrong == 1
        assert "wr0ng" not in str(e.value) and camera.connections == 1


def test_a_nonce_that_grows_stale_is_renewed() -> None:
    with Locked([PICTURES, SOUND], [DIGEST + ', qop="auth"'], uses=1) as camera:
        one = playing(camera)
        assert received(one, 1).startswith(b"$")
        one.hang_up()
    assert camera.wrong == 0


def test_a_new_nonce_within_the_stream_signs_the_next_sign_of_life() -> None:
    with Locked([PICTURES], [DIGEST + ', qop="auth"']) as camera:
        one = playing(camera)
        one.hang_up()
    assert b'nonce="n0"' in one.keep_alive()
    for head in (b"", b"rubbish", b"RTSP/1.0 200 OK", b"RTSP/1.0 500 Oh\r\nA: b"):
        one.answered(head)
    said = 'WWW-Authenticate: Digest realm="a", nonce="n9", qop="auth", stale=true'
    one.answered(f"RTSP/1.0 401 Unauthorized\r\nCSeq: 9\r\n{said}".encode())
    assert b'nonce="n9"' in one.keep_alive()
    assert b"nc=00000002" in one.keep_alive()


def test_an_address_with_a_password_is_asked_without_it() -> None:
    with Odd("", "") as camera:
        one = playing(camera, url=camera.url.replace("//", "//u:s3cret@"))
        assert b"s3cret" not in one.keep_alive() and "s3cret" not in repr(one.media)
        one.hang_up()


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6 here")
def test_ipv6() -> None:
    camera = RtspCamera([PICTURES])
    camera._listening.close()
    try:
        camera._listening = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("no IPv6 here")
    camera.url = f"rtsp://[::1]:{camera._listening.getsockname()[1]}/x"
    with camera:
        one = playing(camera)
        assert received(one, 1).startswith(b"$")
        one.hang_up()


class Encrypted(RtspCamera):
    """Speaks TLS with a certificate that nobody knows."""

    def __init__(self, context: ssl.SSLContext) -> None:
        super().__init__([PICTURES])
        self._context = context
        self.url = self.url.replace("rtsp:", "rtsps:")

    def talk(self, connection: socket.socket) -> None:
        with self._context.wrap_socket(connection, server_side=True) as encrypted:
            super().talk(encrypted)


class Blunt(RtspCamera):
    """Speaks first, and no TLS."""

    def talk(self, connection: socket.socket) -> None:
        connection.sendall(b"RTSP/1.0 400 Bad Request\r\n\r\n")
        super().talk(connection)


def test_rtsps_with_a_certificate_of_its_own(tmp_path: Path) -> None:
    _, pair = make_pair("203.0.113.1")
    (tmp_path / "pair.pem").write_bytes(pair)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "pair.pem")
    with Encrypted(context) as camera:
        one = playing(camera)
        assert isinstance(one.connection, ssl.SSLSocket)
        assert received(one, 1).startswith(b"$")
        one.hang_up()
    with (
        Blunt([PICTURES]) as blunt,
        pytest.raises(NotPlainError, match="does not agree on an encryption"),
    ):
        playing(blunt, url=blunt.url.replace("rtsp:", "rtsps:"))
