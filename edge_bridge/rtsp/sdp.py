"""The SDP of a camera (RFC 8866; RFC 2326, appendix C), as far as this client supports it."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, NoReturn

from edge_bridge.rtsp.errors import UnsupportedStreamError, printable
from edge_bridge.rtsp.message import Message, encode_url

_STATIC_PAYLOAD_TYPES = {0: ("PCMU", 8_000, 1), 8: ("PCMA", 8_000, 1)}
"""Payload types that need no a=rtpmap (RFC 3551, table 4): encoding, clock rate, channels."""
_AUDIO_ENCODINGS = frozenset(
    {
        *("AC3", "EAC3", "AMR", "AMR-WB", "G722", "GSM", "ILBC", "L16", "L8", "MP4A-LATM"),
        *("MPA", "MPEG4-GENERIC", "OPUS", "PCMA", "PCMU", "QCELP", "SPEEX", "VORBIS"),
        *(f"{name}-{kbits}" for name in ("G726", "AAL2-G726") for kbits in (16, 24, 32, 40)),
    }
)
"""What this client or FFmpeg can read."""
_VIDEO_ENCODINGS = (("H264", 90_000), ("H265", 90_000))
_ALIASES = {"HEVC": "H265", "H.265": "H265", "H.264": "H264"}
_PROTOCOLS = frozenset(
    {
        *("RTP/AVP", "RTP/AVPF", "RTP/AVP/TCP", "RTP/AVP/UDP"),
        *("TCP/RTP/AVP", "TCP/RTP/AVPF", "UDP/RTP/AVP", "UDP/RTP/AVPF"),
    }
)
_ONE_FORMAT = 4
"""Words of an m= line with one payload type."""
_RTPMAP = re.compile(r"(\d{1,3})\s+([^\s/]{1,40})/(\d{1,9})(?:/(\d{1,3}))?")


@dataclass(frozen=True, slots=True)
class MediaDescription:
    """One media description ("m=") of an SDP that is supported."""

    kind: Literal["video", "audio"]
    payload_type: int
    encoding: str
    """The encoding name in upper case: H264, H265, MPEG4-GENERIC, PCMU, PCMA."""
    clock_hz: int
    channels: int
    fmtp: Mapping[str, str]
    """Parameters of a=fmtp; names in lower case, values unchanged."""
    control: str
    """The URL for SETUP."""


@dataclass(frozen=True, slots=True)
class _Section:
    """The session section of an SDP, or one of its media sections."""

    media_line: list[str]
    """The words of its m= line; empty in the session section."""
    attributes: list[tuple[str, str]]

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.attributes if key == name]

    def control(self, base: str) -> str:
        return resolve_control(next(iter(self.all("control")), "*"), base)


@dataclass(frozen=True, slots=True)
class MediaChoice:
    """What is set up of an SDP."""

    media: tuple[MediaDescription, ...]
    """The video, then the audio if there is one."""
    audio_problem: str
    """Why offered audio is left out; empty if it is not."""


def media_of(sdp: str, base: str, audio: bool) -> MediaChoice:
    """Choose the first video description and, if `audio` is wanted, the first audio description.

    a=control is relative to `base`. Raises UnsupportedStreamError if there is no video or it is
    neither H.264 nor H.265 at 90 kHz. Audio that cannot be understood is left out.
    """
    video_media = audio_media = None
    problem = ""
    for section in _sections(sdp):
        kind = section.media_line[0].lower() if section.media_line else ""
        if kind == "video" and video_media is None:
            video_media = _media("video", section, base)
        elif kind == "audio" and audio and audio_media is None and not section.all("sendonly"):
            # sendonly is the way to the camera's loudspeaker
            try:
                audio_media = _audio_media(section, base)
            except UnsupportedStreamError as error:
                problem = problem or str(error)
    if video_media is None:
        raise UnsupportedStreamError("it offers no video")
    if (video_media.encoding, video_media.clock_hz) not in _VIDEO_ENCODINGS:
        raise UnsupportedStreamError(
            f"its video is {printable(video_media.encoding)}, not H.264 or H.265"
        )
    if audio_media is None:
        return MediaChoice((video_media,), problem)
    return MediaChoice((video_media, audio_media), "")


def session_url_of(sdp: str, base: str) -> str:
    """Return the URL for PLAY and later requests: the aggregate control URL (RFC 2326, C.1.1)."""
    return next(_sections(sdp)).control(base)


def base_of(described: Message, url: str) -> str:
    """Return the base of a=control (RFC 2326, C.1.1); `url` is the one that was described."""
    for name in ("content-base", "content-location"):
        value = described.first(name) or ""
        if re.match(r"rtsps?://[^/]", value, re.I):
            return encode_url(value)
    return url


def resolve_control(control: str, base: str) -> str:
    """Return a=control as a URL.

    It is appended to the base, even without a slash at the base's end or after a question mark.
    Cameras mean it like this, although RFC 1808 differs.
    """
    control = control.strip()
    if control in ("", "*"):
        return base
    if re.match(r"\w+://", control):
        return encode_url(control)
    return encode_url(f"{base.rstrip('/')}/{control.lstrip('/')}")


def _sections(sdp: str) -> Iterator[_Section]:
    """Yield the session section, then the media sections."""
    section = _Section([], [])
    for line in sdp.replace("\r", "\n").split("\n"):
        kind, _, value = line.partition("=")
        if kind.strip() == "m":
            yield section
            section = _Section(value.split(), [])
        elif kind.strip() == "a":
            name, _, attribute = value.partition(":")
            section.attributes.append((name.strip().lower(), attribute.strip()))
    yield section


def _media(kind: Literal["video", "audio"], section: _Section, base: str) -> MediaDescription:
    match section.media_line:
        case [_, _, protocol, _, *_]:
            numbers = section.media_line[3:]
        case _:
            _unknown_encoding(kind)
    if protocol.upper() not in _PROTOCOLS:
        raise UnsupportedStreamError(f"its {kind} uses {printable(protocol)[:40]}")
    payload_type = _payload_type(numbers[0], kind)
    for number in numbers[1:] if kind == "video" else ():
        # The camera may offer several encodings; the first one that is supported counts.
        if _encoding_of(payload_type, section)[:2] in _VIDEO_ENCODINGS:
            break
        other = _payload_type(number, kind)
        if _encoding_of(other, section)[:2] in _VIDEO_ENCODINGS:
            payload_type = other
    encoding, clock_hz, channels = _encoding_of(payload_type, section)
    if not encoding:
        _unknown_encoding(kind)
    return MediaDescription(
        kind=kind,
        payload_type=payload_type,
        encoding=encoding,
        clock_hz=clock_hz,
        channels=channels,
        fmtp=_fmtp(payload_type, section),
        control=section.control(base),
    )


def _audio_media(section: _Section, base: str) -> MediaDescription:
    media = _media("audio", section, base)
    if media.encoding not in _AUDIO_ENCODINGS:
        raise UnsupportedStreamError(f"its audio is {printable(media.encoding)}")
    return media


def _encoding_of(payload_type: int, section: _Section) -> tuple[str, int, int]:
    """Return the encoding name, clock rate and channels of a payload type; "" if unknown."""
    for value in section.all("rtpmap"):
        found = _RTPMAP.match(value)
        if found and int(found[1]) == payload_type and int(found[3]):
            encoding = found[2].upper()
            return _ALIASES.get(encoding, encoding), int(found[3]), int(found[4] or 1)
    if payload_type in _STATIC_PAYLOAD_TYPES:
        return _STATIC_PAYLOAD_TYPES[payload_type]
    # Without a=rtpmap the parameters may say it.
    fmtp = _fmtp(payload_type, section)
    if "sprop-sps" in fmtp:
        return ("H265", 90_000, 1)
    is_h264 = "sprop-parameter-sets" in fmtp or "packetization-mode" in fmtp
    return ("H264", 90_000, 1) if is_h264 else ("", 0, 0)


def _fmtp(payload_type: int, section: _Section) -> dict[str, str]:
    """Return the parameters of a payload type; some cameras number them wrongly."""
    given = [[*value.split(None, 1), "", ""][:2] for value in section.all("fmtp")]
    own = [parameters for number, parameters in given if number == str(payload_type)]
    if not own and len(given) == 1 and len(section.media_line) == _ONE_FORMAT:
        own = [given[0][1]]
    fmtp: dict[str, str] = {}
    for parameter in ";".join(own).split(";"):
        name, _, value = parameter.partition("=")
        if name.strip():
            fmtp[name.strip().lower()] = value.strip()
    return fmtp


def _payload_type(text: str, kind: str) -> int:
    if re.fullmatch("[0-9]{1,3}", text) is None or int(text) > 127:
        _unknown_encoding(kind)
    return int(text)


def _unknown_encoding(kind: str) -> NoReturn:
    raise UnsupportedStreamError(f"its SDP does not say how the {kind} is encoded")
