"""Sessions with small cameras on the loopback, correct and odd ones."""

import re
import socket
import ssl
from pathlib import Path

import pytest

from edge_bridge.rtsp.errors import UnsupportedStreamError
from tests.rtsp_camera import EncryptedCamera, Packet, RtspCamera, interleaved, rtp
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
            assert one.keep_alive_s == 30
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
            with pytest.raises(UnsupportedStreamError, match="interleaved in the RTSP connection"):
                playing(camera, audio=False)
            return
        one = playing(camera, audio=False)
        one.teardown()
        assert list(one.rtp_channels) == channels and list(one.rtcp_channels) == reports


def test_two_streams_in_one_channel_are_unsupported() -> None:
    response = ok("Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\nSession: 5\r\n")
    with (
        Odd("SETUP", response) as camera,
        pytest.raises(UnsupportedStreamError, match="in the same channel"),
    ):
        playing(camera)


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
        ("7", 30), ("7;timeout=60", 30), ("7 ; Timeout = 30", 15), ("7;timeout=1", 5),
        ("7;timeout=86400", 30), ("7;timeout=soon", 30),
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
    ("response", "verb"),
    [
        (ok("Public: OPTIONS, DESCRIBE, GET_PARAMETER\r\n"), b"GET_PARAMETER"),
        (ok("Public: OPTIONS, DESCRIBE\r\n"), b"OPTIONS"),
        ("RTSP/1.0 501 Not Implemented\r\nCSeq: {cseq}\r\n\r\n", b"OPTIONS"),
    ],
)
def test_the_keep_alive_method_is_one_that_the_camera_supports(response: str, verb: bytes) -> None:
    with Odd("OPTIONS", response) as camera:
        one = playing(camera, audio=False)
        first, second = one.keep_alive(), one.keep_alive()
        one.teardown()
    assert first.startswith(verb + b" rtsp://")
    numbers = [int(re.search(rb"CSeq: (\d+)", each)[1]) for each in (first, second)]  # type: ignore[index]
    assert numbers == [5, 6], "after OPTIONS, DESCRIBE, SETUP and PLAY"


def test_teardown_is_sent() -> None:
    with Odd("", "") as camera:
        one = playing(camera)
        one.teardown()
        one.teardown()
        assert camera.left.wait(WITHIN_S)
        assert camera.asked[-1][0] == "TEARDOWN" and camera.asked[-1][1]["session"] == "1"
        assert one.socket.fileno() == -1


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
        pytest.raises(UnsupportedStreamError, match="the TLS handshake failed"),
    ):
        playing(blunt, url=blunt.url.replace("rtsp:", "rtsps:"))
