"""How real cameras describe and set up their streams.

The forms follow recordings that the Retina project publishes (github.com/scottlamb/retina). The
addresses, names and parameter sets here are invented.
"""

import base64
from typing import NamedTuple

import pytest

from edge_bridge.rtsp.message import RtspParser
from edge_bridge.rtsp.nal import NAL_TYPES, parameter_sets, split_units
from edge_bridge.rtsp.sdp import base_of, media_of, session_url_of
from edge_bridge.rtsp.session import open_stream
from tests.rtsp_camera import RtspCamera, Track
from tests.unit.edge_bridge.rtsp_sessions import VIDEO, Odd, ok, playing

URL = "rtsp://192.0.2.9/live"


def coded(*units: bytes) -> str:
    return ",".join(base64.b64encode(unit).decode() for unit in units)


SPS, PPS = b"\x67\x4d\x00\x2a\x95\xa8", b"\x68\xee\x3c\x80"
VPS5, SPS5, PPS5 = b"\x40\x01\x0c\x01", b"\x42\x01\x01\x01", b"\x44\x01\xc0\xf2"
SETS = coded(SPS, PPS)
M, A8 = "m=video 0 RTP/AVP 96\n", "m=audio 0 RTP/AVP 8\n"
ONVIF = "m=application 0 RTP/AVP 107\n"
MAP, MAP5 = "a=rtpmap:96 H264/90000\n", "a=rtpmap:96 H265/90000\n"
SETS5 = f"sprop-sps={coded(SPS5)};sprop-pps={coded(PPS5)};sprop-vps={coded(VPS5)}"
AAC = "streamtype=5;profile-level-id=1;mode=AAC-hbr;sizelength=13;indexlength=3;indexdeltalength=3"


class Described(NamedTuple):
    """An answer to DESCRIBE, and what is read of it."""

    base: str
    """Content-Base; empty: there is none."""
    sdp: str
    """Its media sections."""
    video: tuple[str, int, str]
    """Encoding, payload type, URL of SETUP."""
    sets: int
    """Parameter sets."""
    audio: tuple[str, int, int, str] | None = None
    """Encoding, clock rate, payload type, URL of SETUP."""
    problem: str = ""
    """Why offered audio is left out."""
    session: str = "*"
    """a=control of the session section."""
    play: str = ""
    """URL of PLAY; empty: that of the base."""


DAHUA = "rtsp://192.0.2.9:554/cam/realmonitor?channel=1&subtype=1&unicast=true&proto=Onvif/"
HIKVISION = "rtsp://192.0.2.9:554/Streaming/Channels/101/"
QUESTION = "?transportmode=unicast&profile=Profile_1"
CAMERAS = {
    "dahua": Described(
        DAHUA,
        f"{M}a=control:trackID=0\na=framerate:15\n{MAP}"
        f"a=fmtp:96 packetization-mode=1;profile-level-id=64001E;sprop-parameter-sets={SETS}\n"
        "m=audio 0 RTP/AVP 97\na=control:trackID=1\na=rtpmap:97 MPEG4-GENERIC/48000\n"
        f"a=fmtp:97 {AAC};config=1188\n{ONVIF}"
        "a=control:trackID=4\na=rtpmap:107 vnd.onvif.metadata/90000\n",
        ("H264", 96, f"{DAHUA}trackID=0"), 2,
        ("MPEG4-GENERIC", 48_000, 97, f"{DAHUA}trackID=1"),
    ),
    "dahua h265": Described(
        "rtsp://door/cam/realmonitor?channel=1&subtype=2/",
        "m=video 0 RTP/AVP 98\na=control:trackID=0\n"
        "a=rtpmap:98 H265/90000\na=fmtp:98 profile-id=1;"
        f"{SETS5}\n{A8}a=control:trackID=1\na=rtpmap:8 PCMA/8000\n",
        ("H265", 98, "rtsp://door/cam/realmonitor?channel=1&subtype=2/trackID=0"), 3,
        ("PCMA", 8_000, 8, "rtsp://door/cam/realmonitor?channel=1&subtype=2/trackID=1"),
    ),
    "hikvision": Described(
        HIKVISION,
        f"{M}b=AS:5000\na=control:{HIKVISION}trackID=1{QUESTION}\n"
        f"{MAP}a=fmtp:96 profile-level-id=420029; packetization-mode=1; "
        f"sprop-parameter-sets={SETS}\na=Media_header:MEDIAINFO=00;\na=appversion:1.0\n",
        ("H264", 96, f"{HIKVISION}trackID=1{QUESTION}"), 2,
        session=f"{HIKVISION}{QUESTION}", play=f"{HIKVISION}{QUESTION}",
    ),
    "hikvision's fmtp": Described(
        HIKVISION,
        f"{M}a=control:track1\n{MAP}"
        f"a=fmtp:96 sprop-parameter-sets={coded(SPS)},\n"
        "m=audio 0 RTP/AVP 104\na=control:track2\na=rtpmap:104 mpeg4-generic/16000/1\n"
        f"a=fmtp:97 {AAC};config=1408\n",
        ("H264", 96, f"{HIKVISION}track1"), 1,
        ("MPEG4-GENERIC", 16_000, 104, f"{HIKVISION}track2"),
    ),
    "reolink": Described(
        "rtsp://192.0.2.9/h264Preview_01_main/",
        f"{M}c=IN IP4 0.0.0.0\nb=AS:8192\n{MAP}a=range:npt=now-\n"
        f"a=fmtp:96 packetization-mode=1;profile-level-id=640033;sprop-parameter-sets={SETS}\n"
        "a=control:trackID=1\nm=audio 0 RTP/AVP 97\nb=AS:256\na=rtpmap:97 MPEG4-GENERIC/16000\n"
        f"a=fmtp:97 {AAC};config=1408; profile=1;\na=control:trackID=2\n",
        ("H264", 96, "rtsp://192.0.2.9/h264Preview_01_main/trackID=1"), 2,
        ("MPEG4-GENERIC", 16_000, 97, "rtsp://192.0.2.9/h264Preview_01_main/trackID=2"),
    ),
    "foscam": Described(
        "rtsp://192.0.2.9:65534/videoMain/",
        f"{M}{MAP}"
        f"a=fmtp:96 packetization-mode=1;profile-level-id=4D001F;sprop-parameter-sets={SETS}\n"
        "a=control:track1\nm=audio 0 RTP/AVP 0\na=control:track2\n",
        ("H264", 96, "rtsp://192.0.2.9:65534/videoMain/track1"), 2,
        ("PCMU", 8_000, 0, "rtsp://192.0.2.9:65534/videoMain/track2"),
    ),
    "wowza's bunny": Described(
        "rtsp://vod.example/vod/mp4:bunny.mov/",
        f"m=audio 0 RTP/AVP 96\na=rtpmap:96 mpeg4-generic/12000/2\na=fmtp:96 {AAC};config=1490\n"
        "a=control:trackID=1\nm=video 0 RTP/AVP 97\na=rtpmap:97 H264/90000\n"
        f"a=fmtp:97 packetization-mode=1;profile-level-id=42C01E;sprop-parameter-sets={SETS}\n"
        "a=cliprect:0,0,160,240\na=control:trackID=2\n",
        ("H264", 97, "rtsp://vod.example/vod/mp4:bunny.mov/trackID=2"), 2,
        ("MPEG4-GENERIC", 12_000, 96, "rtsp://vod.example/vod/mp4:bunny.mov/trackID=1"),
    ),
    "unifi": Described(
        "",
        "m=audio 0 RTP/AVP 96\na=recvonly\n"
        "a=rtpmap:96 mpeg4-generic/48000/1\na=control:trackID=0\n"
        "a=fmtp:96 streamtype=5; mode=AAC-hbr; config=1188; SizeLength=13; IndexLength=3; "
        "IndexDeltaLength=3;\nm=audio 0 RTP/AVP 96\na=recvonly\na=rtpmap:96 opus/48000/2\n"
        "a=control:trackID=1\na=fmtp:96 \nm=video 0 RTP/AVP 97\na=recvonly\na=control:trackID=2\n"
        f"a=rtpmap:97 H264/90000\na=fmtp:97 packetization-mode=1; sprop-parameter-sets={SETS}\n",
        ("H264", 97, f"{URL}/trackID=2"), 2,
        ("MPEG4-GENERIC", 48_000, 96, f"{URL}/trackID=0"),
    ),
    "sets with start codes at their end": Described(
        "rtsp://192.0.2.9:5050/H264?channel=1&subtype=0&proto=Onvif",
        f"{M}{MAP}a=control:video\na=fmtp:96 packetization-mode=1;"
        f"profile-level-id=5046314;sprop-parameter-sets={coded(SPS + bytes(3) + b'1', PPS)}\n"
        f"{A8}a=control:audio\na=rtpmap:8 PCMU/8000/1\na=fmtp:8 vad=no\n",
        ("H264", 96, "rtsp://192.0.2.9:5050/H264?channel=1&subtype=0&proto=Onvif/video"), 2,
        ("PCMU", 8_000, 8,
         "rtsp://192.0.2.9:5050/H264?channel=1&subtype=0&proto=Onvif/audio"),
    ),
    "a base without a scheme": Described(
        "192.0.2.9:554/stream0/",
        f"{M}{MAP5}a=control:trackID=1\n"
        f"a=fmtp:96 packetization-mode=0;profile-space=0;{SETS5};tier-flag=0\n",
        ("H265", 96, f"{URL}/trackID=1"), 3,
    ),
    "a vendor's own section": Described(
        "rtsp://192.0.2.9/stream1/",
        f"{M}b=AS:4096\na=range:npt=0-\na=control:track1\n{MAP5}"
        f"a=fmtp:96 profile-space=0;{SETS5}\n{A8}a=rtpmap:8 PCMA/8000\n"
        "a=control:track2\nm=application/VENDOR 0 RTP/AVP smart/1/90000\na=rtpmap:95 VENDOR/90000\n"
        "a=control:track3\n",
        ("H265", 96, "rtsp://192.0.2.9/stream1/track1"), 3,
        ("PCMA", 8_000, 8, "rtsp://192.0.2.9/stream1/track2"),
    ),
    "geovision": Described(
        "",
        "m=video 0 RTP/AVP 105\na=control:rtsp://192.0.2.9/media/video1/video\n"
        "a=rtpmap:105 H264/90000\n"
        f"a=fmtp:105 profile-level-id=4d4032; packetization-mode=1; sprop-parameter-sets={SETS}\n"
        f"{ONVIF}a=control:rtsp://192.0.2.9/media/video1/metadata\n"
        "a=rtpmap:107 vnd.onvif.metadata/90000\na=fmtp:107 DecoderTag=h3c-v3 RTCP=0\n",
        ("H264", 105, "rtsp://192.0.2.9/media/video1/video"), 2,
    ),
    "vstarcam": Described(
        "",
        f"{M}a=control:track0\na=rtpmap:96 H264/90000 \na=fmtp:96 packetization-mode=1;"
        f"profile-level-id=4d002a;sprop-parameter-sets={SETS},AA==\nm=audio 0 RTP/AVP 8\t \n"
        "a=control:track1\na=rtpmap:8 PCMA/8000/1\n",
        ("H264", 96, f"{URL}/track0"), 2,
        ("PCMA", 8_000, 8, f"{URL}/track1"),
    ),
    "h264dvr": Described(
        "rtsp://192.0.2.9:554/camera",
        f"{M}a=rtpmap:96 H264/90000 \na=fmtp:96 profile-level-id=420029; "
        f"packetization-mode=1; sprop-parameter-sets={SETS}\na=control:trackID=3\n"
        f"{A8}a=control:trackID=4\n",
        ("H264", 96, "rtsp://192.0.2.9:554/camera/trackID=3"), 2,
        ("PCMA", 8_000, 8, "rtsp://192.0.2.9:554/camera/trackID=4"),
    ),
    "no microphone": Described(
        "",
        f"{M}{MAP}a=fmtp:96 sprop-parameter-sets={SETS}\n"
        "a=control:streamid=0\nm=audio 0 RTP/AVP 97\n"
        "a=rtpmap:97 (null)/0/0\na=control:streamid=1\n",
        ("H264", 96, f"{URL}/streamid=0"), 2,
        problem="does not say how the audio is encoded",
    ),
}  # fmt: skip


@pytest.mark.parametrize("line_end", ["\r\n", "\n"])
@pytest.mark.parametrize("name", CAMERAS)
def test_descriptions_of_real_cameras(name: str, line_end: str) -> None:
    camera = CAMERAS[name]
    head = f"v=0\no=- 1 1 IN IP4 192.0.2.9\ns=RTSP Server\nt=0 0\na=control:{camera.session}\n"
    body = (head + camera.sdp).replace("\n", line_end)
    base = f"Content-Base: {camera.base}\r\n" if camera.base else ""
    parser = RtspParser()
    headers = f"CSeq: 2\r\n{base}Content-Type: application/sdp\r\nContent-Length: {len(body)}"
    parser.receive_data(f"RTSP/1.0 200 OK\r\n{headers}\r\n\r\n{body}".encode())
    described = parser.next_event()
    assert not isinstance(described, bytes) and described is not None
    sdp, url = described.body.decode(), base_of(described, URL)
    choice = media_of(sdp, url, audio=True)
    video = choice.media[0]
    assert (video.encoding, video.payload_type, video.control) == camera.video
    types = NAL_TYPES[video.encoding]
    sets = [types.type_of(unit[0]) for unit in split_units(parameter_sets(video.fmtp, types))]
    assert len(sets) == camera.sets and set(sets) <= types.parameter_sets
    audio = [
        (one.encoding, one.clock_hz, one.payload_type, one.control) for one in choice.media[1:]
    ]
    assert audio == ([] if camera.audio is None else [camera.audio])
    assert camera.problem in choice.audio_problem and bool(camera.problem) == bool(
        choice.audio_problem
    )
    assert session_url_of(sdp, url) == (camera.play or url)


@pytest.mark.parametrize(
    ("transport", "session", "channels", "session_id", "keep_alive_s"),
    [
        ("RTP/AVP/TCP;unicast;interleaved=0-1;ssrc=30A98EE7", "6;timeout=60", (0, 1), "6", 20),
        ('RTP/AVP/TCP;unicast;interleaved=0-1;ssrc=4cacc3d1;mode="play"', "       708;timeout=60",
         (0, 1), "708", 20),
        ("RTP/AVP/TCP;unicast;interleaved=0-1;ssrc= d6d6627", "708886412", (0, 1), "708886412", 20),
        ("RTP/AVP/TCP;ssrc=22345684;interleaved=0-1", "12345678", (0, 1), "12345678", 20),
        ("RTP/AVP/TCP;unicast;destination=192.0.2.1;source=192.0.2.9;interleaved=4-5",
         "9a90de54; timeout=9",
         (4, 5), "9a90de54", 3),
        ("RTP/AVP/TCP;unicast;interleaved=0-1;ssrc=0x1A", "A/b+c==", (0, 1), "A/b+c==", 20),
        ("RTP/AVP/TCP;unicast", "1", (0, 1), "1", 20),
    ],
)  # fmt: skip
def test_answers_of_real_cameras_to_setup(
    transport: str, session: str, channels: tuple[int, int], session_id: str, keep_alive_s: float
) -> None:
    with Odd("SETUP", ok(f"Transport: {transport}\r\nSession:{session}\r\n")) as camera:
        one = playing(camera, audio=False)
        one.teardown()
    assert (*one.rtp_channels, *one.rtcp_channels) == channels
    assert one.keep_alive_s == keep_alive_s
    assert f"\r\nSession: {session_id}\r\n".encode() in one.keep_alive()


@pytest.mark.parametrize(
    "headers",
    [
        "Range: npt=0.000000-\r\nRTP-Info: url=trackID=0;seq=47121,url=trackID=1\r\n",
        "RTP-Info: url=rtsp://192.0.2.9/0/trackID=0;seq=0;rtptime=0;\r\n",
        "RTP-Info: url=trackID=1;seq=16852;rtptime=107;ssrc=dcc4a0d8\r\nSession: F8F8E425\r\n",
        "RTP-Info:\r\nRange: npt=now-\r\n",
        "",
    ],
)
def test_answers_of_real_cameras_to_play(headers: str) -> None:
    with Odd("PLAY", ok(headers)) as camera:
        one = playing(camera, audio=False)
        one.teardown()
    assert [media.kind for media in one.media] == ["video"]


class Longse(RtspCamera):
    """Sends a challenge without algorithm and qop."""

    def challenge(self, verb: str, url: str, headers: object) -> str | None:
        del verb, url
        known = isinstance(headers, dict) and "authorization" in headers
        return None if known else 'WWW-Authenticate: Digest realm="Server", nonce="98481030"\r\n'


def test_a_short_challenge_is_answered() -> None:
    with Longse([Track(VIDEO.sdp, VIDEO.packets)]) as camera:
        one = open_stream(camera.url, "admin", "x", audio=False, within_s=20)
        one.teardown()
    assert [media.kind for media in one.media] == ["video"]
