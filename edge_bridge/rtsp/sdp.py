"""What a camera offers (SDP, RFC 8866; RFC 2326, appendix C), as far as it is plain."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, NoReturn

from edge_bridge.rtsp.errors import UnsupportedStreamError, printable
from edge_bridge.rtsp.message import Message, encode_url

_STATIC = {0: ("PCMU", 8_000, 1), 8: ("PCMA", 8_000, 1)}
"""Payload types that need no a=rtpmap (RFC 3551, table 4)."""
_VIDEO = (("H264", 90_000), ("H265", 90_000))
_RTPMAP = re.compile(r"(\d{1,3})\s+([^\s/]{1,40})/(\d{1,9})(?:/(\d{1,3}))?")


@dataclass(frozen=True, slots=True)
class MediaDescription:
    """One "m=" of an SDP that can be taken."""

    kind: Literal["video", "audio"]
    payload_type: int
    coding: str
    """The encoding's name in upper case: H264, H265, MPEG4-GENERIC, PCMU, PCMA."""
    clock_hz: int
    channels: int
    format: Mapping[str, str]
    """Parameters of a=fmtp; names in lower case, values as they stand."""
    control: str
    """The address for SETUP."""


@dataclass(frozen=True, slots=True)
class _Section:
    words: list[str]
    """Of its m= line; none before the first."""
    attributes: list[tuple[str, str]]

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.attributes if key == name]

    def control(self, base: str) -> str:
        return resolved(next(iter(self.all("control")), "*"), base)


def media_of(sdp: str, base: str, audio: bool) -> tuple[MediaDescription, ...]:
    """Return the first pictures and, where `audio` is wanted, the first sound that is offered.

    a=control is relative to `base`. Raises UnsupportedStreamError if there is no video, if it is
    neither H.264 nor H.265 at 90 kHz, or if the encoding of video or audio is not stated.
    """
    video = sound = None
    for section in _sections(sdp):
        kind = section.words[0].lower() if section.words else ""
        if kind == "video" and video is None:
            video = _media("video", section, base)
        elif kind == "audio" and audio and sound is None and not section.all("sendonly"):
            sound = _media("audio", section, base)  # sendonly: to the camera's loudspeaker
    if video is None:
        raise UnsupportedStreamError("it offers no pictures")
    if (video.coding, video.clock_hz) not in _VIDEO:
        raise UnsupportedStreamError(
            f"its pictures are {printable(video.coding)}, not H.264 or H.265"
        )
    return (video,) if sound is None else (video, sound)


def aggregate_of(sdp: str, base: str) -> str:
    """Return the address for PLAY and what follows it: that of the whole (RFC 2326, C.1.1)."""
    return next(_sections(sdp)).control(base)


def base_of(described: Message, url: str) -> str:
    """Return what a=control is relative to (RFC 2326, C.1.1); `url` is what was described."""
    for name in ("content-base", "content-location"):
        said = described.first(name) or ""
        if re.match(r"rtsps?://[^/]", said, re.I):
            return encode_url(said)
    return url


def resolved(control: str, base: str) -> str:
    """Return a=control as an address.

    It is put behind the base as it is, even where that has no slash at its end or a question mark
    in it: cameras mean it so, whatever RFC 1808 says.
    """
    control = control.strip()
    if control in ("", "*"):
        return base
    if re.match(r"\w+://", control):
        return encode_url(control)
    return encode_url(f"{base.rstrip('/')}/{control.lstrip('/')}")


def _sections(sdp: str) -> Iterator[_Section]:
    section = _Section([], [])
    for line in sdp.replace("\r", "\n").split("\n"):
        kind, _, value = line.partition("=")
        if kind.strip() == "m":
            yield section
            section = _Section(value.split(), [])
        elif kind.strip() == "a":
            name, _, said = value.partition(":")
            section.attributes.append((name.strip().lower(), said.strip()))
    yield section


def _media(kind: Literal["video", "audio"], section: _Section, base: str) -> MediaDescription:
    match section.words:
        case [_, _, protocol, number, *_]:
            pass
        case _:
            _odd(kind)
    if protocol.upper() not in ("RTP/AVP", "RTP/AVP/TCP", "RTP/AVPF"):
        raise UnsupportedStreamError(f"its {kind} comes over {printable(protocol)[:40]}")
    payload_type = _payload_type(number, kind)
    coding, clock_hz, channels = _coding(kind, payload_type, section)
    return MediaDescription(
        kind, payload_type, coding, clock_hz, channels,
        _format(payload_type, section), section.control(base),
    )  # fmt: skip


def _coding(kind: str, payload_type: int, section: _Section) -> tuple[str, int, int]:
    for said in section.all("rtpmap"):
        found = _RTPMAP.match(said)
        if found and int(found[1]) == payload_type and int(found[3]):
            return found[2].upper(), int(found[3]), int(found[4] or 1)
    if payload_type not in _STATIC:
        _odd(kind)
    return _STATIC[payload_type]


def _format(payload_type: int, section: _Section) -> dict[str, str]:
    given: dict[str, str] = {}
    for said in section.all("fmtp"):
        number, _, parameters = said.partition(" ")
        if number != str(payload_type):
            continue
        for parameter in parameters.split(";"):
            name, _, value = parameter.partition("=")
            if name.strip():
                given[name.strip().lower()] = value.strip()
    return given


def _payload_type(text: str, kind: str) -> int:
    if re.fullmatch("[0-9]{1,3}", text) is None or int(text) > 127:
        _odd(kind)
    return int(text)


def _odd(kind: str) -> NoReturn:
    raise UnsupportedStreamError(f"its {kind} does not say how it is coded")
