"""The connection to a camera, on which one request at a time is asked and answered.

All of it has to come to its end in a given time and in few bytes, whatever the camera sends.
"""

import contextlib
import socket
import ssl
import time
from typing import Any
from urllib.parse import urlsplit

from edge_bridge.rtsp import errors
from edge_bridge.rtsp.errors import CameraError, UnsupportedStreamError
from edge_bridge.rtsp.message import Message, RtspParser, request

_PORT = {"rtsp": 554, "rtsps": 322}
_READ = 64 << 10
_MOST = 8 << 20
"""Bytes of a camera's whole part in the dialog, early pictures included."""
_MOST_SKIPPED = 100
"""Messages before an answer: what the camera asks itself, and that it goes on (1xx)."""


class RtspConnection:
    """A connection, with TLS for rtsps.

    Whose certificate the camera shows is not looked at, as FFmpeg's reader does not: cameras sign
    their own. Nobody can listen then, but one who stands between can be taken for the camera.
    """

    def __init__(self, url: str, within_s: float) -> None:
        """Connect; all that is ever asked has `within_s` from now on.

        Only looking up a name takes as long as the resolver does. Raises CameraError.
        """
        parts = urlsplit(url)
        self.encrypted = parts.scheme == "rtsps"
        self._within_s = within_s
        self._until_s = time.monotonic() + within_s
        self._host, self._port = parts.hostname or "", parts.port or _PORT[parts.scheme]
        self.where = f"{self._host}:{self._port}"
        self._incoming = RtspParser()
        self._received = self._cseq = 0
        self._has_answered = False
        self.frames = bytearray()
        """Frames that came between answers."""
        self.may_send = False
        """Whether frames may come: something is set up."""
        self.connection: socket.socket = self._connected()

    def ask(self, verb: str, url: str, *headers: tuple[str, str]) -> Message:
        """Return the camera's answer; raises CameraError, UnsupportedStreamError."""
        try:
            self.connection.settimeout(self._left_s())
            self.connection.sendall(self.request(verb, url, *headers))
            for _ in range(_MOST_SKIPPED):
                message = self._next()
                if message.code is not None and message.code >= 200:
                    self._has_answered = True
                    return message
            raise CameraError(errors.TOO_LONG)
        except TimeoutError:
            raise CameraError(self._late(verb)) from None
        except OSError:
            raise CameraError(errors.CUT) from None
        except UnsupportedStreamError:
            if self._has_answered:
                raise
            raise CameraError(errors.other_language(self.where)) from None

    def request(self, verb: str, url: str, *headers: tuple[str, str]) -> bytes:
        """Return the next request in bytes."""
        self._cseq += 1
        return request(verb, url, self._cseq, headers)

    @property
    def rest(self) -> bytes:
        """What came and is no answer: frames, and what may become some."""
        return bytes(self.frames) + self._incoming.rest

    def close(self) -> None:
        """Hang up."""
        with contextlib.suppress(OSError):
            self.connection.close()

    def _next(self) -> Message:
        """Return the next message; keeps the frames before it."""
        while True:
            while (item := self._incoming.next()) is not None:
                if isinstance(item, Message):
                    return item
                if not self.may_send:
                    raise UnsupportedStreamError("it sends before it is asked to")
                self.frames += item
            self._read()

    def _read(self) -> None:
        self.connection.settimeout(self._left_s())
        data = self.connection.recv(_READ)
        self._received += len(data)
        if self._received > _MOST:
            raise CameraError(errors.TOO_LONG)
        if not data:
            silent = not self._received
            raise CameraError(errors.silent(self.where) if silent else errors.CLOSED)
        self._incoming.add(data)

    def _left_s(self) -> float:
        left_s = self._until_s - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        return left_s

    def _late(self, verb: str) -> str:
        if self._incoming.midway:
            return errors.TOO_LONG
        if verb in ("OPTIONS", "DESCRIBE"):
            return errors.silent(self.where)
        return errors.late(self._within_s)

    def _connected(self) -> socket.socket:
        try:
            places = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        except (socket.gaierror, UnicodeError):
            raise CameraError(errors.unknown_name(self._host)) from None
        refused = False
        for family, kind, protocol, _, address in places:
            try:
                connection = self._connected_to(socket.socket(family, kind, protocol), address)
            except OSError as error:
                refused = refused or isinstance(error, ConnectionRefusedError)
                continue
            return self._encrypted(connection) if self.encrypted else connection
        raise CameraError(errors.NOT_LISTENING if refused else errors.unreachable(self.where))

    def _connected_to(self, connection: socket.socket, address: Any) -> socket.socket:
        try:
            connection.settimeout(self._left_s())
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.connect(address)
        except OSError:
            connection.close()
            raise
        return connection

    def _encrypted(self, connection: socket.socket) -> ssl.SSLSocket:
        try:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            return context.wrap_socket(connection, server_hostname=self._host)
        except (OSError, ValueError) as error:
            connection.close()
            if isinstance(error, TimeoutError):
                raise CameraError(errors.silent(self.where)) from None
            raise UnsupportedStreamError("it does not agree on an encryption") from None
