"""An RTSP session: OPTIONS, DESCRIBE, SETUP, PLAY (RFC 2326), then keep-alive and TEARDOWN."""

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
from edge_bridge.rtsp.message import Message, encode_url, parse_header
from edge_bridge.rtsp.sdp import MediaDescription, base_of, media_of, session_url_of

_DEFAULT_TIMEOUT_S = 60
"""The session timeout of a camera that does not say it (RFC 2326, 12.37)."""
_MIN_KEEP_ALIVE_S, _MAX_KEEP_ALIVE_S = 5.0, 30.0
TEARDOWN_TIMEOUT_S = 0.25

_NOT_INTERLEAVED = "it does not send packets interleaved in the RTSP connection"


class RtspSession:
    """The state between requests: session id, session timeout and authentication."""

    def __init__(self, connection: RtspConnection, authenticator: Authenticator) -> None:
        self.connection = connection
        self.authenticator = authenticator
        self.session_id: str | None = None
        self.keep_alive_s = _MAX_KEEP_ALIVE_S

    def request(self, method: str, url: str, *headers: tuple[str, str]) -> Message:
        """Return the camera's response, with any status but 401."""
        while True:
            response = self.connection.request(
                method, url, *headers, *self.common_headers(method, url)
            )
            if response.status != 401:
                self.authenticator.accepted()
                return response
            self.authenticator.challenged(response.all("www-authenticate"))

    def request_ok(self, method: str, url: str, *headers: tuple[str, str]) -> Message:
        """Return the camera's response with status 200.

        Raises CameraError, CameraRefusedError, UnsupportedStreamError on any other status.
        """
        response = self.request(method, url, *headers)
        if response.status == 200:
            return response
        status = response.status or 0
        if status == 461:
            raise UnsupportedStreamError(_NOT_INTERLEAVED)
        if 300 <= status < 400:
            raise UnsupportedStreamError(f"it redirects to another address ({status})")
        if (text := errors.status_text(status, response.first("location"))) is not None:
            raise (CameraRefusedError if status == 403 else CameraError)(text)
        raise UnsupportedStreamError(f"it answers {method} with {status}")

    def common_headers(self, method: str, url: str) -> list[tuple[str, str]]:
        """Return the headers of every request: Session and Authorization."""
        headers = [] if self.session_id is None else [("Session", self.session_id)]
        authorization = self.authenticator.authorization(method, url)
        if authorization is not None:
            headers.append(("Authorization", authorization))
        return headers

    def set_up(self, media: MediaDescription, channel: int) -> tuple[int, int]:
        """Set up one stream; return the channels of its RTP and its RTCP packets."""
        transport = f"RTP/AVP/TCP;unicast;interleaved={channel}-{channel + 1}"
        response = self.request_ok("SETUP", media.control, ("Transport", transport))
        if session := response.first("session"):
            self._set_session(session)
        self.connection.packets_allowed = True
        return _channels(response.first("transport") or "")

    def _set_session(self, session: str) -> None:
        session_id, _, parameters = session.partition(";")
        self.session_id = session_id.strip() or None
        found = re.search(r"timeout\s*=\s*([0-9]{1,6})", parameters, re.I)
        half_s = (int(found[1]) if found else _DEFAULT_TIMEOUT_S) / 2
        self.keep_alive_s = min(max(half_s, _MIN_KEEP_ALIVE_S), _MAX_KEEP_ALIVE_S)


class RtspStream:
    """A camera that sends its streams; made by `open_stream`."""

    def __init__(
        self,
        session: RtspSession,
        url: str,
        media: Sequence[tuple[MediaDescription, tuple[int, int]]],
        has_get_parameter: bool,
    ) -> None:
        self._session = session
        self._url = url
        self._keep_alive_method = "GET_PARAMETER" if has_get_parameter else "OPTIONS"
        self.socket: socket.socket = session.connection.socket
        """Blocking; an `ssl.SSLSocket` for rtsps."""
        self.media = tuple(one for one, _ in media)
        self.rtp_channels: Mapping[int, MediaDescription] = {rtp: one for one, (rtp, _) in media}
        """The stream whose RTP packets have this channel, as the camera says."""
        self.rtcp_channels: Mapping[int, MediaDescription] = {rtcp: one for one, (_, rtcp) in media}
        """The stream whose RTCP packets have this channel."""
        self.leftover = session.connection.leftover
        """Bytes that were received already: the beginning of the stream."""
        self.keep_alive_s = session.keep_alive_s
        """How often to send `keep_alive`."""

    def keep_alive(self) -> bytes:
        """Return the next keep-alive request as bytes."""
        return self._request(self._keep_alive_method)

    def handle_response(self, header: bytes) -> None:
        """Handle the header of a response within the stream: a new nonce may be in it."""
        with contextlib.suppress(MediaError):
            response = parse_header(header)
            if response.status == 401:
                self._session.authenticator.challenged(response.all("www-authenticate"))
            elif response.status is not None:
                self._session.authenticator.accepted()

    def teardown(self) -> None:
        """Send TEARDOWN, wait a moment until it arrives, and close. Raises nothing."""
        deadline_s = time.monotonic() + TEARDOWN_TIMEOUT_S
        with contextlib.suppress(OSError, ValueError):
            request = self._request("TEARDOWN")
            self.socket.settimeout(TEARDOWN_TIMEOUT_S)
            self.socket.sendall(request)
            self.socket.shutdown(socket.SHUT_WR)
            while (left_s := deadline_s - time.monotonic()) > 0:
                self.socket.settimeout(left_s)
                if not self.socket.recv(1 << 20):
                    break
        self._session.connection.close()

    def _request(self, method: str) -> bytes:
        headers = self._session.common_headers(method, self._url)
        return self._session.connection.next_request(method, self._url, *headers)


def open_stream(
    url: str, username: str | None, password: str | None, *, audio: bool, within_s: float
) -> RtspStream:
    """Connect to a camera and start its streams, interleaved in the RTSP connection.

    `url` begins with rtsp:// or rtsps:// and holds no password. Raises CameraError if the camera
    cannot be read. Raises CameraRefusedError if it rejects the user name or password. Raises
    UnsupportedStreamError if FFmpeg may be able to read it.
    """
    connection = RtspConnection(url, within_s)
    try:
        parts = urlsplit(url)
        url = encode_url(urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])))
        authenticator = Authenticator(username, password, encrypted=connection.encrypted)
        return _start_streams(RtspSession(connection, authenticator), url, audio)
    except BaseException:
        connection.close()
        raise


def _start_streams(session: RtspSession, url: str, audio: bool) -> RtspStream:
    methods = session.request("OPTIONS", url).first("public") or ""
    described = session.request_ok("DESCRIBE", url, ("Accept", "application/sdp"))
    sdp = described.body.decode("utf-8", "replace")
    base = base_of(described, url)
    offered = enumerate(media_of(sdp, base, audio))
    media = [(one, session.set_up(one, 2 * number)) for number, one in offered]
    channels = [channel for _, pair in media for channel in pair]
    if len(set(channels)) < len(channels):
        raise UnsupportedStreamError("it sends video and audio in the same channel")
    session_url = session_url_of(sdp, base)
    session.request_ok("PLAY", session_url, ("Range", "npt=0.000-"))
    session.connection.socket.settimeout(None)
    return RtspStream(session, session_url, media, "GET_PARAMETER" in methods.upper())


def _channels(transport: str) -> tuple[int, int]:
    """Return the channels in SETUP's response (RFC 2326, 12.39); UnsupportedStreamError if none."""
    parameters = [each.strip().lower() for each in transport.partition(",")[0].split(";")]
    for parameter in parameters[1:]:
        found = re.fullmatch(r"interleaved\s*=\s*([0-9]{1,3})(?:\s*-\s*([0-9]{1,3}))?", parameter)
        if found and parameters[0] == "rtp/avp/tcp":
            rtp = int(found[1])
            rtcp = int(found[2]) if found[2] else rtp + 1
            if rtp <= 255 and rtcp <= 255 and rtp != rtcp:
                return rtp, rtcp
    raise UnsupportedStreamError(_NOT_INTERLEAVED)
