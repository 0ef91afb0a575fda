"""The connection to a camera: one request and its response at a time.

The whole session setup is limited in time and in bytes, whatever the camera sends.
"""

import contextlib
import hashlib
import socket
import ssl
import time
import warnings
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from edge_bridge.rtsp import errors
from edge_bridge.rtsp.errors import CameraError, EncryptionError, UnsupportedStreamError
from edge_bridge.rtsp.message import Message, RtspParser, encode_answer, encode_request

_DEFAULT_PORTS = {"rtsp": 554, "rtsps": 322}
_READ_BYTES = 64 << 10
_MAX_RECEIVED = 8 << 20
"""Bytes that a camera may send until PLAY is answered, early RTP packets included."""
_MAX_SKIPPED_MESSAGES = 100
"""Messages before a response: the camera's own requests, and interim responses (1xx)."""
_OLD_CIPHERS = "ALL:!aNULL:!eNULL:@SECLEVEL=0"
_LEGACY_SERVER_CONNECT = 0x4
"""OpenSSL's option for servers without secure renegotiation (RFC 5746)."""
_NO_TLS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNKNOWN_PROTOCOL")
"""OpenSSL's reasons if the other side does not use TLS."""


@dataclass(frozen=True, slots=True)
class CameraTrust:
    """What a camera must prove, and what it may ask."""

    fingerprint: str | None = None
    """SHA-256 of its certificate, hex; None: any certificate."""
    allow_basic: bool = True
    """Whether it may ask for the password in readable form without such a certificate."""


ANY_CAMERA = CameraTrust()


class RtspConnection:
    """A TCP connection, with TLS for rtsps.

    No authority is asked about the camera's certificate, as in FFmpeg's reader: cameras sign their
    own. Without a fingerprint, TLS keeps others from listening, but not from posing as the camera.
    For the same reason old versions and ciphers are accepted from cameras that have no better ones.
    """

    def __init__(self, url: str, within_s: float, trust: CameraTrust = ANY_CAMERA) -> None:
        """Connect. All requests together have `within_s` seconds from now on.

        Only the name lookup may take longer: the resolver has its own timeout. Raises CameraError.
        """
        parts = urlsplit(url)
        self.encrypted = parts.scheme == "rtsps"
        self._fingerprint = trust.fingerprint
        self._within_s = within_s
        self._deadline_s = time.monotonic() + within_s
        self._host = parts.hostname or ""
        self._port = parts.port or _DEFAULT_PORTS[parts.scheme]
        self.address = f"{self._host}:{self._port}"
        self._parser = RtspParser()
        self._received = 0
        self._cseq = 0
        self._has_response = False
        self.early_packets = bytearray()
        """Interleaved packets that came between responses."""
        self.packets_allowed = False
        """Whether interleaved packets may come: a stream is set up."""
        self.socket: socket.socket = self._connect()

    def request(self, method: str, url: str, *headers: tuple[str, str]) -> Message:
        """Send a request and return the response; raises CameraError, UnsupportedStreamError."""
        try:
            self.socket.settimeout(self._left_s())
            self.socket.sendall(self.next_request(method, url, *headers))
            for _ in range(_MAX_SKIPPED_MESSAGES):
                message = self._receive_message()
                if message.status is None:
                    self.socket.sendall(encode_answer(message))
                elif message.status >= 200:
                    self._has_response = True
                    return message
            raise CameraError(errors.TOO_LONG)
        except TimeoutError:
            raise CameraError(self._timeout_text(method)) from None
        except OSError:
            raise CameraError(errors.CONNECTION_RESET) from None
        except UnsupportedStreamError:
            if self._has_response:
                raise
            raise CameraError(errors.not_rtsp(self.address)) from None

    def next_request(self, method: str, url: str, *headers: tuple[str, str]) -> bytes:
        """Return a request as bytes, with the next CSeq."""
        self._cseq += 1
        return encode_request(method, url, self._cseq, headers)

    @property
    def cseq(self) -> int:
        """The number of the last request."""
        return self._cseq

    @property
    def leftover(self) -> bytes:
        """The received bytes that are not a response: the beginning of the stream."""
        return bytes(self.early_packets) + self._parser.leftover

    def close(self) -> None:
        """Close the connection."""
        with contextlib.suppress(OSError):
            self.socket.close()

    def _receive_message(self) -> Message:
        """Return the next message; keep the interleaved packets before it."""
        while True:
            while (event := self._parser.next_event()) is not None:
                if isinstance(event, Message):
                    return event
                if not self.packets_allowed:
                    raise UnsupportedStreamError("it sends packets before SETUP")
                self.early_packets += event
            self._receive()

    def _receive(self) -> None:
        self.socket.settimeout(self._left_s())
        data = self.socket.recv(_READ_BYTES)
        self._received += len(data)
        if self._received > _MAX_RECEIVED:
            raise CameraError(errors.TOO_LONG)
        if not data:
            if not self._received:
                raise CameraError(errors.no_response(self.address))
            raise CameraError(errors.END_OF_STREAM)
        self._parser.receive_data(data)

    def _left_s(self) -> float:
        left_s = self._deadline_s - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        return left_s

    def _timeout_text(self, method: str) -> str:
        if self._parser.has_partial:
            return errors.TOO_LONG
        if method in ("OPTIONS", "DESCRIBE"):
            return errors.no_response(self.address)
        return errors.timeout(self._within_s)

    def _connect(self) -> socket.socket:
        if not self.encrypted:
            return self._connect_tcp()
        try:
            return self._start_tls(self._connect_tcp(), _tls_context())
        except EncryptionError:
            return self._start_tls(self._connect_tcp(), _old_tls_context())

    def _connect_tcp(self) -> socket.socket:
        try:
            addresses = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        except (socket.gaierror, UnicodeError):
            raise CameraError(errors.unknown_host(self._host)) from None
        refused = False
        for family, kind, protocol, _, address in addresses:
            try:
                return self._connect_to(socket.socket(family, kind, protocol), address)
            except OSError as error:
                refused = refused or isinstance(error, ConnectionRefusedError)
        raise CameraError(errors.NOT_LISTENING if refused else errors.unreachable(self.address))

    def _connect_to(self, connection: socket.socket, address: Any) -> socket.socket:
        try:
            connection.settimeout(self._left_s())
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.connect(address)
        except OSError:
            connection.close()
            raise
        return connection

    def _start_tls(self, connection: socket.socket, context: ssl.SSLContext) -> ssl.SSLSocket:
        try:
            encrypted = context.wrap_socket(connection, server_hostname=self._host)
        except (OSError, ValueError) as error:
            connection.close()
            if isinstance(error, TimeoutError):
                raise CameraError(errors.no_response(self.address)) from None
            reason = getattr(error, "reason", None) or ""
            if reason in _NO_TLS:
                raise EncryptionError(errors.NO_TLS) from None
            text = errors.no_common_encryption(reason.lower().replace("_", " "))
            raise EncryptionError(text) from None
        shown = hashlib.sha256(encrypted.getpeercert(binary_form=True) or b"").hexdigest()
        if self._fingerprint not in {None, shown}:
            encrypted.close()
            raise CameraError(errors.other_certificate(shown))
        return encrypted


def _tls_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _old_tls_context() -> ssl.SSLContext:
    """Return a context for old cameras: TLS 1.0, RSA key exchange, CBC, small keys."""
    context = _tls_context()
    context.options |= _LEGACY_SERVER_CONNECT
    with warnings.catch_warnings(), contextlib.suppress(ValueError, ssl.SSLError):
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.set_ciphers(_OLD_CIPHERS)
    return context
