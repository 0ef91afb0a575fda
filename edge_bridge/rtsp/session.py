"""From a camera's address to a camera that sends: OPTIONS, DESCRIBE, SETUP, PLAY (RFC 2326)."""

import contextlib
import re
import socket
import time
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit, urlunsplit

from domain.errors import MediaError
from edge_bridge.rtsp import errors
from edge_bridge.rtsp.auth import Authenticator
from edge_bridge.rtsp.connection import RtspConnection
from edge_bridge.rtsp.errors import CameraError, CameraRefusedError, UnsupportedStreamError
from edge_bridge.rtsp.message import Message, encode_url, parsed
from edge_bridge.rtsp.sdp import MediaDescription, aggregate_of, base_of, media_of

_SESSION_S = 60
"""How long a camera waits for a sign of life where it does not say (RFC 2326, 12.37)."""
_LEAST_ALIVE_S, _MOST_ALIVE_S = 5.0, 30.0
_FAREWELL_S = 0.25


class RtspSession:
    """What is remembered between requests: the session and how to sign."""

    def __init__(self, line: RtspConnection, signing: Authenticator) -> None:
        self.line = line
        self.signing = signing
        self.session: str | None = None
        self.alive_s = _MOST_ALIVE_S

    def ask(self, verb: str, url: str, *headers: tuple[str, str]) -> Message:
        """Return the camera's answer, whatever it is but 401."""
        while True:
            answer = self.line.ask(verb, url, *headers, *self.marks(verb, url))
            if answer.code != 401:
                self.signing.accepted()
                return answer
            self.signing.challenged(answer.all("www-authenticate"))

    def done(self, verb: str, url: str, *headers: tuple[str, str]) -> Message:
        """Return the camera's answer where it does what it is asked to."""
        answer = self.ask(verb, url, *headers)
        if answer.code == 200:
            return answer
        code = answer.code or 0
        if code == 461:
            raise UnsupportedStreamError("it does not send over RTSP's own connection")
        if 300 <= code < 400:
            raise UnsupportedStreamError(f"it sends us to another address ({code})")
        if (words := errors.status_text(code, answer.first("location"))) is not None:
            raise (CameraRefusedError if code == 403 else CameraError)(words)
        raise UnsupportedStreamError(f"it answers {verb} with {code}")

    def marks(self, verb: str, url: str) -> list[tuple[str, str]]:
        """Return the headers of every request."""
        marks = [] if self.session is None else [("Session", self.session)]
        signed = self.signing.header(verb, url)
        return marks if signed is None else [*marks, ("Authorization", signed)]

    def set_up(self, media: MediaDescription, channel: int) -> tuple[int, int]:
        """Ask for pictures or sound; return the channels of its packets and of their reports."""
        wanted = f"RTP/AVP/TCP;unicast;interleaved={channel}-{channel + 1}"
        answer = self.done("SETUP", media.control, ("Transport", wanted))
        if session := answer.first("session"):
            self._remember(session)
        self.line.may_send = True
        return _channels(answer.first("transport") or "")

    def _remember(self, session: str) -> None:
        name, _, parameters = session.partition(";")
        self.session = name.strip() or None
        found = re.search(r"timeout\s*=\s*([0-9]{1,6})", parameters, re.I)
        half_s = (int(found[1]) if found else _SESSION_S) / 2
        self.alive_s = min(max(half_s, _LEAST_ALIVE_S), _MOST_ALIVE_S)


class RtspStream:
    """A camera that sends; `play` makes it."""

    def __init__(
        self,
        dialog: RtspSession,
        url: str,
        media: Sequence[tuple[MediaDescription, tuple[int, int]]],
        listens: bool,
    ) -> None:
        self._dialog = dialog
        self._url = url
        self._sign_of_life = "GET_PARAMETER" if listens else "OPTIONS"
        self.connection: socket.socket = dialog.line.connection
        """Blocking; an `ssl.SSLSocket` for rtsps."""
        self.media = tuple(one for one, _ in media)
        self.channels: Mapping[int, MediaDescription] = {own: one for one, (own, _) in media}
        """Whose packets are in a channel's frames, by the camera's word."""
        self.reports: Mapping[int, MediaDescription] = {own: one for one, (_, own) in media}
        """Whose RTCP is in a channel's frames."""
        self.rest = dialog.line.rest
        """What has come already: the beginning of the stream."""
        self.keep_alive_s = dialog.alive_s
        """How often `keep_alive` is to be sent."""

    def keep_alive(self) -> bytes:
        """Return the next sign of life, in bytes and signed."""
        marks = self._dialog.marks(self._sign_of_life, self._url)
        return self._dialog.line.request(self._sign_of_life, self._url, *marks)

    def answered(self, head: bytes) -> None:
        """Take the head of an answer that was met within the stream: it may renew the signing."""
        with contextlib.suppress(MediaError):
            answer = parsed(head)
            if answer.code == 401:
                self._dialog.signing.challenged(answer.all("www-authenticate"))
            elif answer.code is not None:
                self._dialog.signing.accepted()

    def teardown(self) -> None:
        """Say good-bye, give it a moment to arrive, and close. Raises nothing."""
        until_s = time.monotonic() + _FAREWELL_S
        with contextlib.suppress(OSError, ValueError):
            marks = self._dialog.marks("TEARDOWN", self._url)
            self.connection.settimeout(_FAREWELL_S)
            self.connection.sendall(self._dialog.line.request("TEARDOWN", self._url, *marks))
            self.connection.shutdown(socket.SHUT_WR)
            while (left_s := until_s - time.monotonic()) > 0:
                self.connection.settimeout(left_s)
                if not self.connection.recv(1 << 20):
                    break
        self._dialog.line.close()


def open_stream(
    url: str, username: str | None, password: str | None, *, audio: bool, within_s: float
) -> RtspStream:
    """Make a camera send over RTSP's own connection; the first bytes stand in `rest`.

    `url` begins with rtsp:// or rtsps:// and holds no password. Raises CameraError where the
    camera cannot be read, CameraRefusedError where it takes neither user nor password, and
    UnsupportedStreamError where FFmpeg may be able to read it.
    """
    line = RtspConnection(url, within_s)
    try:
        parts = urlsplit(url)
        url = encode_url(urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])))
        signing = Authenticator(username, password, encrypted=line.encrypted)
        return _played(RtspSession(line, signing), url, audio)
    except BaseException:
        line.close()
        raise


def _played(dialog: RtspSession, url: str, audio: bool) -> RtspStream:
    spoken = dialog.ask("OPTIONS", url).first("public") or ""
    described = dialog.done("DESCRIBE", url, ("Accept", "application/sdp"))
    sdp, base = described.body.decode("utf-8", "replace"), base_of(described, url)
    offered = enumerate(media_of(sdp, base, audio))
    media = [(one, dialog.set_up(one, 2 * number)) for number, one in offered]
    taken = [channel for _, pair in media for channel in pair]
    if len(set(taken)) < len(taken):
        raise UnsupportedStreamError("it sends pictures and sound in one channel")
    whole = aggregate_of(sdp, base)
    dialog.done("PLAY", whole, ("Range", "npt=0.000-"))
    dialog.line.connection.settimeout(None)
    return RtspStream(dialog, whole, media, "GET_PARAMETER" in spoken.upper())


def _channels(transport: str) -> tuple[int, int]:
    """Return what SETUP's answer says (RFC 2326, 12.39); raises UnsupportedStreamError."""
    words = [word.strip().lower() for word in transport.partition(",")[0].split(";")]
    for word in words[1:]:
        found = re.fullmatch(r"interleaved\s*=\s*([0-9]{1,3})(?:\s*-\s*([0-9]{1,3}))?", word)
        if found and words[0] == "rtp/avp/tcp":
            channel = int(found[1])
            reports = int(found[2]) if found[2] else channel + 1
            if channel <= 255 and reports <= 255 and channel != reports:
                return channel, reports
    raise UnsupportedStreamError("it does not send over RTSP's own connection")
