"""An RTSP session: OPTIONS, DESCRIBE, SETUP, PLAY (RFC 2326), then keep-alive and TEARDOWN."""

import contextlib
import re
import secrets
import socket
import struct
import time
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit, urlunsplit

from domain.errors import MediaError
from edge_bridge.rtsp import errors
from edge_bridge.rtsp.auth import Authenticator
from edge_bridge.rtsp.connection import ANY_CAMERA, CameraTrust, RtspConnection
from edge_bridge.rtsp.errors import (
    CameraError,
    CameraRefusedError,
    SetupRefusedError,
    UnsupportedStreamError,
)
from edge_bridge.rtsp.message import Message, encode_answer, encode_url, parse_header
from edge_bridge.rtsp.sdp import MediaDescription, base_of, media_of, session_url_of

_DEFAULT_TIMEOUT_S = 60
"""The session timeout of a camera that does not say it (RFC 2326, 12.37)."""
_MIN_KEEP_ALIVE_S, _MAX_KEEP_ALIVE_S = 0.5, 30.0
_KEEP_ALIVE_METHODS = ("GET_PARAMETER", "OPTIONS", "SET_PARAMETER")
TEARDOWN_TIMEOUT_S = 0.25
_METHOD_REFUSED = (400, 404, 405, 451, 454, 455, 500, 501, 551)
_MAX_PENDING = 16
_RECEIVER_REPORT = 201

_MAX_TEARDOWN_BYTES = 256 << 10
_RESPONSE = re.compile(rb"RTSP/1\.0 \d{3}(?:[^\n]*\n){1,40}?\r?\n")
"""A response's header, which may be anywhere among packets."""
_NOT_INTERLEAVED = "it does not send packets interleaved in the RTSP connection"


class RtspSession:
    """The state between requests: session id, session timeout and authentication."""

    def __init__(self, connection: RtspConnection, authenticator: Authenticator) -> None:
        self.connection = connection
        self.authenticator = authenticator
        self.session_id: str | None = None
        self._timeout_s: int | None = None

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
        raise self.status_error(method, response)

    def status_error(self, method: str, response: Message) -> MediaError:
        """Return the exception for a status that is not 200."""
        status = response.status or 0
        if status == 461:
            return UnsupportedStreamError(_NOT_INTERLEAVED)
        if 300 <= status < 400:
            return UnsupportedStreamError(f"it redirects to another address ({status})")
        if (text := errors.status_text(status, response.first("location"))) is not None:
            return (CameraRefusedError if status == 403 else CameraError)(text)
        return UnsupportedStreamError(f"it answers {method} with {status}")

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
        response = self.request("SETUP", media.control, ("Transport", transport))
        if response.status != 200:
            if media.kind == "audio":
                raise SetupRefusedError(f"the camera refuses it ({response.status})")
            raise self.status_error("SETUP", response)
        session = response.first("session") or ""
        self.session_id = session.partition(";")[0].strip() or self.session_id
        self.learn_timeout(response)
        self.connection.packets_allowed = True
        return _channels(response.first("transport") or "", channel)

    def learn_timeout(self, response: Message) -> None:
        """Learn the session timeout from a response to SETUP or PLAY."""
        _, _, parameters = (response.first("session") or "").partition(";")
        found = re.search(r"timeout\s*=\s*\W?([0-9]{1,6})", parameters, re.I)
        if found:
            # Some cameras name two: the shorter one is safe.
            self._timeout_s = min(int(found[1]), self._timeout_s or int(found[1]))

    def keep_alive_s(self, methods: int) -> float:
        """Return how often to send a keep-alive, so that each method alone is often enough."""
        timeout_s = _DEFAULT_TIMEOUT_S if self._timeout_s is None else self._timeout_s
        return min(max(timeout_s / (methods + 1), _MIN_KEEP_ALIVE_S), _MAX_KEEP_ALIVE_S)


class RtspStream:
    """A camera that sends its streams; made by `open_stream`."""

    def __init__(
        self,
        session: RtspSession,
        url: str,
        media: Sequence[tuple[MediaDescription, tuple[int, int]]],
        methods: str,
        audio_problem: str,
    ) -> None:
        """`methods`: those that the camera names as its own (Public)."""
        self._session = session
        self._url = url
        self._named = [each for each in _KEEP_ALIVE_METHODS if each in methods.upper()]
        if _KEEP_ALIVE_METHODS[0] in self._named and _KEEP_ALIVE_METHODS[2] in self._named:
            del self._named[-1]  # two parameter methods are one too many
        others = [each for each in _KEEP_ALIVE_METHODS[:2] if each not in self._named]
        self._methods = [*self._named, *others]
        """The methods of `keep_alive`, the next one first; refused ones are left out."""
        self._pending: dict[int, str] = {}
        """The method of each request that was not answered, by its CSeq."""
        self._report_ssrc = secrets.randbits(32)
        self.audio_problem = audio_problem
        """Why offered audio is not set up; empty if it is."""
        self.socket: socket.socket = session.connection.socket
        """Blocking; an `ssl.SSLSocket` for rtsps."""
        self.media = tuple(one for one, _ in media)
        self.rtp_channels: Mapping[int, MediaDescription] = {rtp: one for one, (rtp, _) in media}
        """The stream whose RTP packets have this channel, as the camera says."""
        self.rtcp_channels: Mapping[int, MediaDescription] = {rtcp: one for one, (_, rtcp) in media}
        """The stream whose RTCP packets have this channel."""
        self.leftover = session.connection.leftover
        """Bytes that were received already: the beginning of the stream."""
        self.keep_alive_s = session.keep_alive_s(len(self._methods))
        """How often to send `keep_alive`."""

    @property
    def unnamed_pending(self) -> bool:
        """Whether a keep-alive request is unanswered whose method the camera does not name."""
        return any(method not in self._named for method in self._pending.values())

    def use_named_methods(self) -> None:
        """Use only keep-alive methods that the camera names: at others it closes."""
        self._methods = list(self._named) or ["OPTIONS"]

    def keep_alive(self) -> bytes:
        """Return the next keep-alive messages as bytes: a request, and RTCP receiver reports.

        Cameras differ in what keeps a session alive. So the methods take turns.
        """
        method = self._methods[0]
        self._methods = [*self._methods[1:], method]
        return self._pending_request(method) + self._receiver_reports()

    def handle_message(self, header: bytes) -> None:
        """Handle the header of a message within the stream: a response or a camera's request.

        Raises OSError if the answer cannot be sent.
        """
        with contextlib.suppress(MediaError):
            message = parse_header(header)
            if message.status is None:
                self._send(encode_answer(message))
                return
            cseq = message.first("cseq") or ""
            number = int(cseq) if cseq.isascii() and cseq.isdigit() else 0
            method = self._pending.pop(number, None)
            if message.status == 401:
                self._session.authenticator.challenged(message.all("www-authenticate"))
                if method is not None:  # the camera does not count what it refused
                    self._send(self._pending_request(method))
                return
            self._session.authenticator.accepted()
            if message.status >= 400 and method is not None:
                self._refused(method, message.status)

    def _refused(self, method: str, status: int) -> None:
        """Use another method from now on, and at once."""
        if status not in _METHOD_REFUSED or method not in self._methods:
            return
        self._methods.remove(method)
        if not self._methods:
            unused = _KEEP_ALIVE_METHODS[2]
            self._methods.append(unused if method != unused else _KEEP_ALIVE_METHODS[1])
            if method == unused:
                return
        self._send(self._pending_request(self._methods[0]))

    def _pending_request(self, method: str) -> bytes:
        request = self._request(method)
        while len(self._pending) >= _MAX_PENDING:
            del self._pending[next(iter(self._pending))]
        self._pending[self._session.connection.cseq] = method
        return request

    def _receiver_reports(self) -> bytes:
        """Return an empty RTCP receiver report (RFC 3550, 6.4.2) for each stream."""
        report = struct.pack(">BBHI", 0x80, _RECEIVER_REPORT, 1, self._report_ssrc)
        return b"".join(
            struct.pack(">BBH", 0x24, channel, len(report)) + report
            for channel in self.rtcp_channels
        )

    def _send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def teardown(self) -> None:
        """Send TEARDOWN, wait a moment until it arrives, and close. Raises nothing."""
        deadline_s = time.monotonic() + TEARDOWN_TIMEOUT_S
        with contextlib.suppress(OSError, ValueError, MediaError):
            self.socket.settimeout(TEARDOWN_TIMEOUT_S)
            self.socket.sendall(self._request("TEARDOWN"))
            # A nonce may have expired. Then the session would stay open in the camera.
            may_retry = self._session.authenticator.has_nonce
            if not may_retry:
                self.socket.shutdown(socket.SHUT_WR)
            received = b""
            while (left_s := deadline_s - time.monotonic()) > 0:
                self.socket.settimeout(left_s)
                data = self.socket.recv(1 << 20)
                if not data:
                    break
                received = (received + data)[-_MAX_TEARDOWN_BYTES:]
                if may_retry and (header := self._response_in(received)) is not None:
                    if header.status == 401:
                        self._session.authenticator.challenged(header.all("www-authenticate"))
                        self.socket.sendall(self._request("TEARDOWN"))
                    may_retry = False
                    self.socket.shutdown(socket.SHUT_WR)
        self._session.connection.close()

    def _response_in(self, data: bytes) -> Message | None:
        """Return the header of the last request's response, which is among packets."""
        for found in _RESPONSE.finditer(data):
            message = parse_header(found[0])
            if message.first("cseq") == str(self._session.connection.cseq):
                return message
        return None

    def _request(self, method: str) -> bytes:
        headers = self._session.common_headers(method, self._url)
        return self._session.connection.next_request(method, self._url, *headers)


def open_stream(
    url: str,
    username: str | None,
    password: str | None,
    *,
    audio: bool,
    within_s: float,
    trust: CameraTrust = ANY_CAMERA,
) -> RtspStream:
    """Connect to a camera and start its streams, interleaved in the RTSP connection.

    `url` begins with rtsp:// or rtsps:// and holds no password. Raises CameraError if the camera
    cannot be read. Raises CameraRefusedError if it rejects the user name or password. Raises
    UnsupportedStreamError if FFmpeg may be able to read it. Audio that cannot be set up is left
    out: then the camera may be connected twice.
    """
    setup = _Setup(url, username, password, within_s, trust)
    try:
        return setup.start(audio)
    except (CameraError, UnsupportedStreamError) as error:
        if not setup.asked_for_audio:
            raise
        return _Setup(url, username, password, within_s, trust).start(False, str(error))


class _Setup:
    """Sets up one connection."""

    def __init__(
        self,
        url: str,
        username: str | None,
        password: str | None,
        within_s: float,
        trust: CameraTrust,
    ) -> None:
        self._connection = RtspConnection(url, within_s, trust)
        parts = urlsplit(url)
        self._url = encode_url(urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])))
        authenticator = Authenticator(
            username,
            password,
            encrypted=self._connection.encrypted,
            allow_basic=trust.allow_basic or trust.fingerprint is not None,
        )
        self._session = RtspSession(self._connection, authenticator)
        self.asked_for_audio = False
        """Whether a request about audio was sent: the fault may be the audio's."""

    def start(self, audio: bool, audio_problem: str = "") -> RtspStream:
        """Start the streams; raises as `open_stream`, and closes the connection then."""
        try:
            return self._start(audio, audio_problem)
        except BaseException:
            self._connection.close()
            raise

    def _start(self, audio: bool, audio_problem: str) -> RtspStream:
        session, url = self._session, self._url
        methods = session.request("OPTIONS", url).first("public") or ""
        described = session.request_ok("DESCRIBE", url, ("Accept", "application/sdp"))
        sdp = described.body.decode("utf-8", "replace")
        base = base_of(described, url)
        choice = media_of(sdp, base, audio)
        audio_problem = audio_problem or choice.audio_problem
        media = [(choice.media[0], session.set_up(choice.media[0], 0))]
        for one in choice.media[1:]:
            self.asked_for_audio = True
            try:
                media.append((one, session.set_up(one, 2)))
            except SetupRefusedError as error:
                audio_problem = str(error)  # the session goes on without it
        channels = [channel for _, pair in media for channel in pair]
        if len(set(channels)) < len(channels):
            raise UnsupportedStreamError("it sends video and audio in the same channel")
        session_url = session_url_of(sdp, base)
        session.learn_timeout(session.request_ok("PLAY", session_url, ("Range", "npt=0.000-")))
        session.connection.socket.settimeout(None)
        return RtspStream(session, session_url, media, methods, audio_problem)


def _channels(transport: str, asked: int) -> tuple[int, int]:
    """Return the channels in SETUP's response (RFC 2326, 12.39).

    They are those that were asked for if the camera names none. Raises UnsupportedStreamError if it
    answers with another transport than TCP.
    """
    parameters = [each.strip().lower() for each in transport.partition(",")[0].split(";")]
    for parameter in parameters:
        found = re.fullmatch(r"interleaved\s*=\s*([0-9]{1,3})(?:\s*-\s*([0-9]{1,3}))?", parameter)
        if found:
            rtp = int(found[1])
            rtcp = int(found[2]) if found[2] else rtp + 1
            if rtp <= 255 and rtcp <= 255 and rtp != rtcp:
                return rtp, rtcp
    if parameters[0] in ("", "rtp/avp/tcp") or "interleaved" in transport.lower():
        return asked, asked + 1
    raise UnsupportedStreamError(_NOT_INTERLEAVED)
