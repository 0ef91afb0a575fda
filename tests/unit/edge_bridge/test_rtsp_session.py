"""Sessions with small cameras on the loopback, correct and odd ones."""

import datetime
import hashlib
import re
import socket
import ssl
import threading
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from edge_bridge.capture.diagnose import diagnose
from edge_bridge.rtsp.connection import CameraTrust
from edge_bridge.rtsp.errors import CameraError, EncryptionError, UnsupportedStreamError
from edge_bridge.rtsp.session import RtspStream, open_stream
from tests.locked_rtsp import Locked
from tests.rtsp_camera import EncryptedCamera, Packet, RtspCamera, Track, interleaved, rtp
from tests.unit.edge_bridge.rtsp_sessions import (
    AUDIO,
    VIDEO,
    WITHIN_S,
    Odd,
    ok,
    playing,
    received,
)


def test_a_camera_is_played() -> None:
    with RtspCamera([VIDEO, AUDIO]) as camera:
        one = playing(camera)
        try:
            video, audio = one.media
            assert (video.encoding, audio.encoding) == ("H264", "PCMA")
            assert one.rtp_channels == {0: video, 2: audio}
            assert one.rtcp_channels == {1: video, 3: audio}
            assert one.keep_alive_s == 20
            assert one.socket.gettimeout() is None
            assert one.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            sent = {
                interleaved(0, rtp(96, 0, Packet(0, 0, True, b"\x65abc"))),
                interleaved(2, rtp(8, 0, Packet(0, 0, True, b"\xd5" * 8))),
            }
            data = received(one, sum(len(each) for each in sent))
            cut = 4 + int.from_bytes(data[2:4], "big")
            assert {data[:cut], data[cut:]} == sent
        finally:
            one.teardown()


def test_unwanted_audio_is_not_set_up() -> None:
    with Odd("", "") as camera:
        one = playing(camera, audio=False)
        one.teardown()
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
        # The channels that were asked for are meant.
        ("RTP/AVP/TCP;unicast", [0], [1]),
        ("RTP/AVP/TCP;unicast;interleaved=300-301", [0], [1]),
        ("", [0], [1]),
        ("RTP/AVP;unicast;interleaved=4-5", [4], [5]),
    ],
)
def test_the_channels_are_those_that_the_camera_names(
    transport: str, channels: list[int] | None, reports: list[int] | None
) -> None:
    with Odd("SETUP", ok(f"Transport: {transport}\r\nSession: 5\r\n")) as camera:
        if channels is None or reports is None:
            with pytest.raises(UnsupportedStreamError, match="interleaved in the RTSP connection"):
                playing(camera, audio=False)
            return
        one = playing(camera, audio=False)
        one.teardown()
        assert list(one.rtp_channels) == channels and list(one.rtcp_channels) == reports


def test_of_two_streams_in_one_channel_the_video_is_played() -> None:
    response = ok("Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\nSession: 5\r\n")
    with Odd("SETUP", response) as camera:
        one = playing(camera)
        one.teardown()
        assert [media.kind for media in one.media] == ["video"]
        assert "in the same channel" in one.audio_problem


class WithoutAudio(RtspCamera):
    """Answers the second SETUP, that of the audio, with `response`; empty: it closes."""

    def __init__(self, response: str) -> None:
        super().__init__([VIDEO, AUDIO])
        self._response = response
        self._setups = 0

    def rude(self, connection: socket.socket, verb: str, headers: Mapping[str, str]) -> bool:
        if verb != "SETUP" or "2-3" not in headers["transport"]:
            return False
        connection.sendall(self._response.format(cseq=headers["cseq"]).encode())
        connection.shutdown(socket.SHUT_WR if not self._response else socket.SHUT_RD)
        return True

    def talk(self, connection: socket.socket) -> None:
        if not self._response:
            super().talk(connection)
            return
        # The session continues after the refusal.
        asked = connection.makefile("rb")
        while request := asked.readline().split():
            headers = {}
            while line := asked.readline().strip():
                name, _, value = line.decode().partition(":")
                headers[name.lower()] = value.strip()
            verb, answer, body = request[0].decode(), "RTSP/1.0 200 OK\r\nCSeq: {cseq}\r\n", ""
            if verb == "SETUP" and "2-3" in headers["transport"]:
                answer = self._response
            elif verb == "DESCRIBE":
                body = self.sdp()
                answer += f"Content-Length: {len(body)}\r\n"
            connection.sendall((answer.format(cseq=headers["cseq"]) + "\r\n" + body).encode())
            if verb == "PLAY":
                self.play(connection)
                return


@pytest.mark.parametrize(
    ("response", "why", "connections"),
    [
        ("RTSP/1.0 404 Not Found\r\nCSeq: {cseq}\r\n", "refuses it (404)", 1),
        ("RTSP/1.0 461 No\r\nCSeq: {cseq}\r\n", "refuses it (461)", 1),
        ("RTSP/1.0 500 Oh\r\nCSeq: {cseq}\r\n", "refuses it (500)", 1),
        ("RTSP/1.0 401 No\r\nCSeq: {cseq}\r\nWWW-Authenticate: x\r\n", "requires a user", 2),
        ("", "closed the stream", 2),
    ],
)
def test_audio_that_cannot_be_set_up_never_costs_video(
    response: str, why: str, connections: int
) -> None:
    with WithoutAudio(response) as camera:
        one = playing(camera)
        one.teardown()
        assert [media.kind for media in one.media] == ["video"]
        assert why in one.audio_problem
        assert camera.connections == connections


def test_what_comes_before_the_answer_to_play_is_kept_in_order() -> None:
    early = [interleaved(0, b"a" * 30), interleaved(2, b"$RTSP/1.0"), interleaved(1, b"")]
    asked = b"OPTIONS rtsp://x RTSP/1.0\r\nCSeq: 1\r\n\r\n"
    response = early[0] + asked + early[1] + b"\r\n" + early[2]
    with Odd("PLAY", response, then=True) as camera:
        one = playing(camera)
        data = received(one, len(b"".join(early)) + 1)
        one.teardown()
    assert data.startswith(b"".join(early) + b"$")


@pytest.mark.parametrize(
    ("session", "keep_alive_s"),
    [
        ("7", 20), ("7;timeout=60", 20), ("7 ; Timeout = 30", 10), ("7;timeout=1", 0.5),
        ("7;timeout=2", pytest.approx(0.67, abs=0.01)),
        ("7;timeout=86400", 30), ("7;timeout=soon", 20), ('7;foo;timeout="2";bar', 0.5 + 1 / 6),
    ],
)  # fmt: skip
def test_keep_alive_follows_the_session_timeout(session: str, keep_alive_s: float) -> None:
    response = ok(f"Session: {session}\r\nTransport: RTP/AVP/TCP;interleaved=0-1\r\n")
    with Odd("SETUP", response) as camera:
        one = playing(camera, audio=False)
        one.teardown()
    assert one.keep_alive_s == keep_alive_s
    assert b"\r\nSession: 7\r\n" in one.keep_alive()


@pytest.mark.parametrize(
    ("response", "first", "second"),
    [
        (ok("Public: OPTIONS, DESCRIBE, GET_PARAMETER\r\n"), "GET_PARAMETER", "OPTIONS"),
        (ok("Public: OPTIONS, DESCRIBE\r\n"), "OPTIONS", "GET_PARAMETER"),
        (ok("Public: SET_PARAMETER\r\n"), "SET_PARAMETER", "GET_PARAMETER"),
        (ok("Public: SET_PARAMETER, GET_PARAMETER\r\n"), "GET_PARAMETER", "OPTIONS"),
        ("RTSP/1.0 501 Not Implemented\r\nCSeq: {cseq}\r\n\r\n", "GET_PARAMETER", "OPTIONS"),
    ],
)
def test_keep_alive_methods_take_turns(response: str, first: str, second: str) -> None:
    with Odd("OPTIONS", response) as camera:
        one = playing(camera, audio=False)
        sent = [one.keep_alive() for _ in range(3)]
        one.teardown()
    # Each method alone is often enough for the 60 s of a camera that names no timeout.
    turns = 3 if first == "SET_PARAMETER" else 2
    assert one.keep_alive_s == 60 / (turns + 1)
    methods = [each.split(b" ")[0].decode() for each in sent]
    assert methods[:2] == [first, second] and (methods[2] == first) == (turns == 2)
    numbers = [int(re.search(rb"CSeq: (\d+)", each)[1]) for each in sent]  # type: ignore[index]
    assert numbers == [5, 6, 7], "after OPTIONS, DESCRIBE, SETUP and PLAY"
    # Each is followed by an empty RTCP receiver report in the channel of the reports.
    assert sent[0].partition(b"\r\n\r\n")[2][:8] == b"$\x01\x00\x08\x80\xc9\x00\x01"


class Sent:
    """A socket that keeps what is sent."""

    def __init__(self) -> None:
        self.methods: list[bytes] = []

    def sendall(self, data: bytes) -> None:
        self.methods.append(data.split(b" ")[0])
        self.last = data


@pytest.mark.parametrize(
    ("refuses", "methods"),
    [
        ((), [b"OPTIONS", b"GET_PARAMETER", b"OPTIONS", b"GET_PARAMETER"]),
        ((b"GET_PARAMETER",), [b"OPTIONS", b"GET_PARAMETER", b"OPTIONS", b"OPTIONS", b"OPTIONS"]),
        ((b"OPTIONS",), [b"OPTIONS", b"GET_PARAMETER", b"GET_PARAMETER", b"GET_PARAMETER"]),
        (
            (b"OPTIONS", b"GET_PARAMETER"),
            [b"OPTIONS", b"GET_PARAMETER", b"SET_PARAMETER", *[b"SET_PARAMETER"] * 3],
        ),
    ],
)
def test_a_refused_keep_alive_is_sent_by_another_method_at_once(
    refuses: tuple[bytes, ...], methods: list[bytes]
) -> None:
    with Odd("", "") as camera:
        one = playing(camera, audio=False)
        one.teardown()
    sent = Sent()
    one.socket = sent  # type: ignore[assignment]
    for _ in range(4):
        one.socket.sendall(one.keep_alive())
        answered = 0
        while answered < len(sent.methods):
            answered = len(sent.methods)
            cseq = re.search(rb"CSeq: (\d+)", sent.last)[1].decode()  # type: ignore[index]
            status = "405 No" if sent.methods[-1] in refuses else "200 OK"
            one.handle_message(f"RTSP/1.0 {status}\r\nCSeq: {cseq}".encode())
    assert sent.methods[: len(methods)] == methods


def test_a_camera_that_closes_at_an_unnamed_method_gets_named_ones_only() -> None:
    with Odd("OPTIONS", ok("Public: OPTIONS, DESCRIBE\r\n")) as camera:
        one = playing(camera, audio=False)
        one.teardown()
    one.keep_alive()
    assert not one.unnamed_pending
    one.keep_alive()
    assert one.unnamed_pending, "GET_PARAMETER"
    one.use_named_methods()
    assert [one.keep_alive().split(b" ")[0] for _ in range(3)] == [b"OPTIONS"] * 3


@pytest.mark.parametrize(
    ("request_line", "answer"),
    [
        ("OPTIONS * RTSP/1.0", "RTSP/1.0 200 OK"),
        ("GET_PARAMETER rtsp://x RTSP/1.0", "RTSP/1.0 200 OK"),
        ("REDIRECT rtsp://x RTSP/1.0", "RTSP/1.0 501 Not Implemented"),
    ],
)
def test_requests_of_the_camera_are_answered(request_line: str, answer: str) -> None:
    asked = f"{request_line}\r\nCSeq: 31\r\nSession: 4\r\n\r\n"
    with Odd("", "") as camera:
        one = playing(camera, audio=False)
        one.teardown()
    sent = Sent()
    one.socket = sent  # type: ignore[assignment]
    one.handle_message(asked.encode().rstrip())
    assert sent.last.startswith(f"{answer}\r\nCSeq: 31\r\nSession: 4\r\n".encode())


def test_teardown_is_sent() -> None:
    with Odd("", "") as camera:
        one = playing(camera)
        one.teardown()
        one.teardown()
        assert camera.left.wait(WITHIN_S)
        assert camera.asked[-1][0] == "TEARDOWN" and camera.asked[-1][1]["session"] == "1"
        assert one.socket.fileno() == -1


class Torn(Locked):
    """Notes a TEARDOWN that it accepts, and goes on answering while it plays."""

    def __init__(self, tracks: Sequence[Track], offers: Sequence[str], *, uses: int) -> None:
        super().__init__(tracks, offers, uses=uses)
        self.torn = threading.Event()

    def rude(self, connection: socket.socket, verb: str, headers: Mapping[str, str]) -> bool:
        del connection
        if verb == "TEARDOWN" and f'nonce="n{self._nonce}"' in headers.get("authorization", ""):
            self.torn.set()
        return False

    def play(self, connection: socket.socket) -> None:
        self.send(connection)
        self.talk(connection)


def test_the_session_timeout_may_come_with_the_response_to_play() -> None:
    with Odd("PLAY", ok("Session: other;timeout=6\r\nRTP-Info: url=;seq=x\r\n")) as camera:
        one = playing(camera, audio=False)
        one.teardown()
    assert one.keep_alive_s == 2
    assert b"\r\nSession: 1\r\n" in one.keep_alive()


def test_teardown_is_sent_again_with_a_new_nonce() -> None:
    # Each nonce is good for one request: the session would stay open in the camera.
    with Torn([VIDEO], ['Digest realm="x", nonce="{nonce}"'], uses=1) as camera:
        one = playing(camera)
        one.teardown()
        assert camera.torn.wait(WITHIN_S)


def test_an_address_with_a_password_is_asked_without_it() -> None:
    with Odd("", "") as camera:
        one = playing(camera, url=camera.url.replace("//", "//u:s3cret@"))
        assert b"s3cret" not in one.keep_alive() and "s3cret" not in repr(one.media)
        one.teardown()


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6 here")
def test_ipv6() -> None:
    camera = RtspCamera([VIDEO])
    camera._listening.close()
    try:
        camera._listening = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("no IPv6 here")
    camera.url = f"rtsp://[::1]:{camera._listening.getsockname()[1]}/x"
    with camera:
        one = playing(camera)
        assert received(one, 1).startswith(b"$")
        one.teardown()


_SMALL_GROUP = """\
-----BEGIN DH PARAMETERS-----
MIGHAoGBAP//////////yQ/aoiFowjTExmKLgNwc0SkCTgiKZ8x0Agu+pjsTmyJR
Sgh5jjQE3e+VGbPNOkMbMCsKbfJfFDdP4TVtbVHCReSFtXZiXn7G9ExC6aY37WsL
/1y29Aa37e44a/taiZ+lrp8kEXxLH+ZJKGZR7OZTgf//////////AgEC
-----END DH PARAMETERS-----
"""
"""The parameters of RFC 2409, 6.2: 1,024 bits, as old cameras have them."""


def rsa_pair() -> bytes:
    """Return the PEM of an RSA key and its certificate: old ciphers need such."""
    key = rsa.generate_private_key(65_537, 2_048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "camera")])
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name)
    builder = builder.public_key(key.public_key()).serial_number(1)
    builder = builder.not_valid_before(now).not_valid_after(now + datetime.timedelta(days=9))
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    certificate = builder.sign(key, hashes.SHA256())
    return private + certificate.public_bytes(serialization.Encoding.PEM)


class OldTls(EncryptedCamera):
    """Has TLS of one version, and some ciphers."""

    def __init__(self, folder: Path, version: ssl.TLSVersion, ciphers: str) -> None:
        super().__init__([VIDEO], folder)
        (folder / "rsa.pem").write_bytes(rsa_pair())
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            self._context.minimum_version = self._context.maximum_version = version
        self._context.set_ciphers(f"{ciphers}:@SECLEVEL=0")
        self._context.load_cert_chain(folder / "rsa.pem")
        (folder / "dh.pem").write_text(_SMALL_GROUP)
        self._context.load_dh_params(folder / "dh.pem")


@pytest.mark.parametrize(
    ("version", "ciphers"),
    [
        (ssl.TLSVersion.TLSv1_2, "AES128-SHA"),
        (ssl.TLSVersion.TLSv1_2, "DHE-RSA-AES256-SHA"),
        (ssl.TLSVersion.TLSv1, "ALL"),
    ],
    ids=["rsa", "dhe", "tls 1.0"],
)
def test_old_encryption_is_accepted(tmp_path: Path, version: ssl.TLSVersion, ciphers: str) -> None:
    with OldTls(tmp_path, version, ciphers) as camera:
        one = playing(camera)
        assert received(one, 1).startswith(b"$")
        one.teardown()


def test_encryption_that_does_not_fit_is_named(tmp_path: Path) -> None:
    with OldTls(tmp_path, ssl.TLSVersion.TLSv1_2, "PSK-AES128-CBC-SHA") as camera:
        with pytest.raises(EncryptionError, match=r"encryption \(TLS\) is too old or not supp"):
            playing(camera)
        assert "allow TLS 1.2 with ECDHE" in str(diagnose(camera.url))


class Blunt(RtspCamera):
    """Speaks first, and no TLS."""

    def talk(self, connection: socket.socket) -> None:
        connection.sendall(b"RTSP/1.0 400 Bad Request\r\n\r\n")
        super().talk(connection)


def test_rtsps_with_a_certificate_of_its_own(tmp_path: Path) -> None:
    with EncryptedCamera([VIDEO], tmp_path) as camera:
        one = playing(camera)
        assert isinstance(one.socket, ssl.SSLSocket)
        assert received(one, 1).startswith(b"$")
        one.teardown()
    with (
        Blunt([VIDEO]) as blunt,
        pytest.raises(UnsupportedStreamError, match="does not use TLS at this port"),
    ):
        playing(blunt, url=blunt.url.replace("rtsp:", "rtsps:"))


def test_rtsps_with_one_certificate_only(tmp_path: Path) -> None:
    with EncryptedCamera([VIDEO], tmp_path) as camera:
        pem = (tmp_path / "pair.pem").read_text()
        der = ssl.PEM_cert_to_DER_cert(pem[pem.index("-----BEGIN CERTIFICATE") :])
        shown = hashlib.sha256(der).hexdigest()

        def connect(fingerprint: str) -> RtspStream:
            trust = CameraTrust(fingerprint)
            return open_stream(camera.url, None, None, audio=True, within_s=WITHIN_S, trust=trust)

        with pytest.raises(CameraError, match=f"is not that of tls_fingerprint.*{shown}"):
            connect("0" * 64)
        connect(shown).teardown()
