import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_bridge.rtsp.errors import UnsupportedStreamError
from edge_bridge.rtsp.message import Message
from edge_bridge.rtsp.sdp import (
    MediaDescription,
    base_of,
    media_of,
    resolve_control,
    session_url_of,
)

BEGIN = "v=0\r\no=- 1 1 IN IP4 192.0.2.7\r\ns=x\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\n"
BASE = "rtsp://192.0.2.7/live"

# All addresses absolute, with questions; G.711 that needs no rtpmap.
ABSOLUTE = (
    BEGIN + "a=control:rtsp://192.0.2.7:554/Streaming/Channels/101/\r\n"
    "m=video 0 RTP/AVP 96\r\nb=AS:5000\r\na=recvonly\r\na=x-dimensions:1920,1080\r\n"
    "a=control:rtsp://192.0.2.7:554/Streaming/Channels/101/trackID=1?transportmode=unicast\r\n"
    "a=rtpmap:96 H264/90000\r\n"
    "a=fmtp:96 profile-level-id=420029; packetization-mode=1; "
    "sprop-parameter-sets=Z00AKY2NQDwBE/LgKAAA==,aO44gA==\r\n"
    "m=audio 0 RTP/AVP 8\r\na=recvonly\r\n"
    "a=control:rtsp://192.0.2.7:554/Streaming/Channels/101/trackID=2?transportmode=unicast\r\n"
    "a=Media_header:MEDIAINFO=494D4B48010100000400010010710110401F000000FA0000;\r\n"
)
# Names behind a base that has a question in it; H.265, AAC and a third stream of ONVIF's.
RELATIVE = (
    BEGIN + "a=control:*\r\na=packetization-supported:DH\r\n"
    "m=video 0 RTP/AVP 98\r\na=control:trackID=0\r\n" + "a=framerate:25.000000\r\n"
    "a=rtpmap:98 H265/90000\r\na=fmtp:98 profile-space=0;profile-id=1;sprop-sps=QgEB;sprop-vps\r\n"
    "a=recvonly\r\n"
    + "m=audio 0 RTP/AVP 97\r\na=control:trackID=1\r\na=rtpmap:97 mpeg4-generic/48000/2\r\n"
    "a=fmtp:97 streamtype=5;profile-level-id=1;mode=AAC-hbr;Config=1190\r\n"
    "m=application 0 RTP/AVP 107\r\na=control:trackID=4\r\n"
    "a=rtpmap:107 vnd.onvif.metadata/90000\r\n"
)
# The loudspeaker before the microphone, unix line ends, attributes of another payload type.
TALKING = (
    BEGIN
    + "m=audio 0 RTP/AVP 0\r\na=sendonly\r\na=control:back\r\n"
    + "m=video 49170 RTP/AVP 97 98\r\na=rtpmap:98 VP8/90000\r\na=rtpmap:97 h264/90000\r\n"
    "a=fmtp:98 a=b\r\na=fmtp:97\r\n"
    "m=video 0 RTP/AVP 26\r\na=control:second\r\n"
    "m=audio 0 RTP/AVP 0\r\na=control:/ear\r\n"
).replace("\r\n", "\n")


def test_absolute_addresses() -> None:
    video, audio = media_of(ABSOLUTE, BASE, audio=True).media
    place = "rtsp://192.0.2.7:554/Streaming/Channels/101/"
    assert video == MediaDescription(
        "video", 96, "H264", 90_000, 1,
        {
            "profile-level-id": "420029", "packetization-mode": "1",
            "sprop-parameter-sets": "Z00AKY2NQDwBE/LgKAAA==,aO44gA==",
        },
        place + "trackID=1?transportmode=unicast",
    )  # fmt: skip
    assert audio == MediaDescription(
        "audio", 8, "PCMA", 8_000, 1, {}, place + "trackID=2?transportmode=unicast"
    )
    assert session_url_of(ABSOLUTE, BASE) == place


def test_names_behind_a_base() -> None:
    base = "rtsp://192.0.2.7:554/cam/realmonitor?channel=1&subtype=0/"
    video, audio = media_of(RELATIVE, base, audio=True).media
    assert (video.encoding, video.payload_type, video.control) == ("H265", 98, base + "trackID=0")
    assert video.fmtp["sprop-sps"] == "QgEB" and video.fmtp["sprop-vps"] == ""
    assert (audio.encoding, audio.clock_hz, audio.channels) == ("MPEG4-GENERIC", 48_000, 2)
    assert audio.fmtp["config"] == "1190" and audio.fmtp["mode"] == "AAC-hbr"
    assert session_url_of(RELATIVE, base) == base
    assert media_of(RELATIVE, base, audio=False).media == (video,)


def test_a_loudspeaker_and_other_payload_types() -> None:
    video, audio = media_of(TALKING, BASE, audio=True).media
    assert (video.encoding, video.payload_type, video.fmtp) == ("H264", 97, {})
    assert video.control == BASE, "the only one: the camera gave it no name"
    assert (audio.encoding, audio.control) == ("PCMU", BASE + "/ear")


@pytest.mark.parametrize(
    ("control", "base", "address"),
    [
        ("track1", "rtsp://h/a", "rtsp://h/a/track1"),
        ("track1", "rtsp://h/a/", "rtsp://h/a/track1"),
        ("/track1", "rtsp://h/a/", "rtsp://h/a/track1"),
        ("track1", "rtsp://h/a?x=1", "rtsp://h/a?x=1/track1"),
        ("*", "rtsp://h/a", "rtsp://h/a"),
        ("", "rtsp://h/a", "rtsp://h/a"),
        ("RTSP://g/b", "rtsp://h/a", "RTSP://g/b"),
        ("a b\x1b", "rtsp://h", "rtsp://h/a%20b%1B"),
    ],
)
def test_addresses(control: str, base: str, address: str) -> None:
    assert resolve_control(control, base) == address


@pytest.mark.parametrize(
    ("headers", "base"),
    [
        ((("content-base", "rtsp://h/b/"), ("content-location", "rtsp://h/l")), "rtsp://h/b/"),
        ((("content-location", "rtsp://h/l"),), "rtsp://h/l"),
        ((("content-base", "/b/"), ("content-location", "")), BASE),
        ((), BASE),
    ],
)
def test_what_names_are_relative_to(headers: tuple[tuple[str, str], ...], base: str) -> None:
    assert base_of(Message(200, "OK", headers), BASE) == base


@pytest.mark.parametrize(
    ("sdp", "why"),
    [
        ("", "no video"),
        ("rubbish\r\nm=\r\na=a\r\n" * 50, "no video"),
        (BEGIN + "m=audio 0 RTP/AVP 8\r\n", "no video"),
        (BEGIN + "m=video 0 RTP/AVP 26\r\n", "does not say how the video is encoded"),
        (BEGIN + "m=video 0 RTP/AVP 26\r\na=rtpmap:26 JPEG/90000\r\n", "JPEG"),
        (BEGIN + "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/45000\r\n", "not H.264"),
        (BEGIN + "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/0\r\n", "does not say"),
        (BEGIN + "m=video 0 RTP/AVP 0\r\n", "PCMU"),
        (BEGIN + "m=video 0 RTP/SAVP 96\r\na=rtpmap:96 H264/90000\r\n", "RTP/SAVP"),
        (BEGIN + "m=video 0 RTP/AVP x\r\n", "does not say"),
        (BEGIN + "m=video 0 RTP/AVP 128\r\n", "does not say"),
        (BEGIN + "m=video 0 RTP/AVP\r\n", "does not say"),
    ],
)
def test_unsupported_descriptions(sdp: str, why: str) -> None:
    with pytest.raises(UnsupportedStreamError, match=why):
        media_of(sdp, BASE, audio=True)


VIDEO_ONLY = BEGIN + "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"


@pytest.mark.parametrize(
    ("audio", "why"),
    [
        ("m=audio 0 RTP/AVP 97\r\n", "does not say how the audio"),
        ("m=audio 0 RTP/AVP (null)\r\na=rtpmap\r\n", "does not say how the audio"),
        ("m=audio\r\n", "does not say how the audio"),
        ("m=audio 0 RTP/SAVP 8\r\n", "RTP/SAVP"),
        ("m=audio 0 RTP/AVP 99\r\na=rtpmap:99 VENDOR/8000\r\n", "VENDOR"),
    ],
)
def test_odd_audio_never_costs_video(audio: str, why: str) -> None:
    for sdp in (VIDEO_ONLY + audio, BEGIN + audio + VIDEO_ONLY.removeprefix(BEGIN)):
        choice = media_of(sdp, BASE, audio=True)
        assert [one.kind for one in choice.media] == ["video"]
        assert why in choice.audio_problem
        assert media_of(sdp, BASE, audio=False).audio_problem == ""
    second = media_of(VIDEO_ONLY + audio + "m=audio 0 RTP/AVP 8\r\n", BASE, audio=True)
    assert [one.encoding for one in second.media] == ["H264", "PCMA"]
    assert second.audio_problem == ""


@given(st.lists(st.sampled_from((ABSOLUTE + RELATIVE + TALKING).split("\n")), max_size=30),
       st.integers(0, 60))  # fmt: skip
def test_lines_in_any_order_raise_nothing_else(lines: list[str], cut: int) -> None:
    sdp = "\n".join(lines)
    try:
        media = media_of(sdp[: len(sdp) - cut], BASE, audio=True).media
    except UnsupportedStreamError:
        return
    assert media[0].encoding in ("H264", "H265")
    assert all("\r" not in one.control and " " not in one.control for one in media)
