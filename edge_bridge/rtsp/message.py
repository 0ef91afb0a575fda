"""RTSP requests, responses and interleaved packets (RFC 2326) as bytes: no socket, no clock.

The bytes come from a device that is not trusted: a header has at most 64 KiB, a body 1 MiB. An SDP
has some 500 bytes.
"""

import re
from dataclasses import dataclass, replace

from edge_bridge.rtsp.errors import TOO_LONG, CameraError, UnsupportedStreamError

MAX_HEADER = 64 << 10
MAX_BODY = 1 << 20
_VERSION = b"RTSP/1.0 "
_STATUS_LINE = re.compile(r"RTSP/1\.0 +(\d{3})(?: +(.*))?$")
_REQUEST_LINE = re.compile(r"[A-Z][A-Z_]* \S+ RTSP/1\.0$")
_METHOD = re.compile(rb"[A-Z][A-Z_]*(?: .*)?", re.S)
_END_OF_HEADERS = re.compile(rb"\r?\n\r?\n")
_MAX_METHOD = 20
_ANSWERED_METHODS = ("OPTIONS", "GET_PARAMETER", "SET_PARAMETER")
"""Requests of a camera that are answered with 200."""


@dataclass(frozen=True, slots=True)
class Message:
    """A response of the camera, or a request that it makes."""

    status: int | None
    """The response's status code; None: a request."""
    reason: str
    """The reason phrase after the status code."""
    headers: tuple[tuple[str, str], ...]
    """Names in lower case, in their order; a name may occur several times.

    A value holds the received bytes as Latin-1: cameras use any encoding, and Digest needs the same
    bytes again.
    """
    body: bytes = b""
    method: str = ""
    """Of a request."""

    def first(self, name: str) -> str | None:
        """Return a header's value; `name` in lower case."""
        return next((value for key, value in self.headers if key == name), None)

    def all(self, name: str) -> list[str]:
        """Return the values of all headers of that name."""
        return [value for key, value in self.headers if key == name]


class RtspParser:
    """Takes bytes as they arrive, in pieces of any size; returns messages and packets."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._searched = 0
        """Bytes that hold no end of headers."""
        self._pending: tuple[Message, int] | None = None
        """A message whose body is still to come, and the length of the body."""

    def receive_data(self, data: bytes) -> None:
        """Add received bytes."""
        self._buffer += data

    def next_event(self) -> Message | bytes | None:
        """Return the next message or interleaved packet; None: more bytes are needed.

        A packet (RFC 2326, 10.12) includes its "$", channel and size. Raises
        UnsupportedStreamError if the bytes are not RTSP, CameraError if a message is too long.
        """
        buffer = self._buffer
        if self._pending is None:
            if buffer[:1] == b"\r" or buffer[:1] == b"\n":
                del buffer[: len(buffer) - len(buffer.lstrip(b"\r\n"))]
            if buffer[:1] == b"$":
                return self._packet()
            self._pending = self._header()
            if self._pending is None:
                return None
        message, length = self._pending
        if len(buffer) < length:
            return None
        self._pending = None
        return replace(message, body=self._consume(length))

    @property
    def leftover(self) -> bytes:
        """The bytes that were received and not returned."""
        return bytes(self._buffer)

    @property
    def has_partial(self) -> bool:
        """Whether a message or packet has begun to arrive and is incomplete."""
        return bool(self._buffer) or self._pending is not None

    def _consume(self, length: int) -> bytes:
        data = bytes(self._buffer[:length])
        del self._buffer[:length]
        return data

    def _packet(self) -> bytes | None:
        length = 4 + int.from_bytes(self._buffer[2:4], "big")
        return self._consume(length) if len(self._buffer) >= max(length, 4) else None

    def _header(self) -> tuple[Message, int] | None:
        if not _may_be_message(bytes(self._buffer[:_MAX_METHOD])):
            raise UnsupportedStreamError("what it sends is not RTSP")
        end = _END_OF_HEADERS.search(self._buffer, self._searched)
        if (end.end() if end else len(self._buffer)) > MAX_HEADER:
            raise CameraError(TOO_LONG)
        if end is None:
            self._searched = max(0, len(self._buffer) - 3)
            return None
        self._searched = 0
        message = parse_header(self._consume(end.end()))
        return message, _content_length(message)


def parse_header(header: bytes) -> Message:
    """Return a message without its body; raises UnsupportedStreamError if it is not RTSP."""
    start_line, *lines = header.decode("latin-1").split("\n")
    status = _STATUS_LINE.match(_clean(start_line))
    if status is None and _REQUEST_LINE.match(_clean(start_line)) is None:
        raise UnsupportedStreamError("what it sends is not RTSP")
    headers: list[tuple[str, str]] = []
    for line in lines:
        name, colon, value = line.partition(":")
        if line[:1] in (" ", "\t") and headers:  # a folded header
            headers[-1] = (headers[-1][0], f"{headers[-1][1]} {_value(line)}")
        elif colon:
            headers.append((_clean(name).lower(), _value(value)))
    if status is None:
        return Message(None, "", tuple(headers), method=_clean(start_line).partition(" ")[0])
    return Message(int(status[1]), status[2] or "", tuple(headers))


def encode_request(method: str, url: str, cseq: int, headers: tuple[tuple[str, str], ...]) -> bytes:
    """Return a request as bytes; `url` as `encode_url` returns it."""
    lines = [f"{method} {url} RTSP/1.0", f"CSeq: {cseq}", "User-Agent: Vigil"]
    lines += [f"{name}: {value}" for name, value in headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")


def encode_answer(request: Message) -> bytes:
    """Return the response to a camera's own request: some cameras check so that we are there."""
    known = request.method in _ANSWERED_METHODS
    lines = ["RTSP/1.0 200 OK" if known else "RTSP/1.0 501 Not Implemented"]
    for name in ("cseq", "session"):
        if (value := request.first(name)) is not None:
            lines.append(f"{'CSeq' if name == 'cseq' else 'Session'}: {value}")
    if request.method == "OPTIONS":
        lines.append(f"Public: {', '.join(_ANSWERED_METHODS)}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def encode_url(url: str) -> str:
    """Percent-encode what would break a request line: spaces, controls, letters beyond ASCII."""
    return re.sub(r"[^\x21-\x7e]", lambda odd: "".join(f"%{b:02X}" for b in _utf8(odd[0])), url)


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "replace")


def _may_be_message(start: bytes) -> bool:
    version = start[: len(_VERSION)]
    return _VERSION.startswith(version) or _METHOD.fullmatch(start) is not None


def _content_length(message: Message) -> int:
    value = message.first("content-length") or "0"
    if not (value.isascii() and value.isdigit()):
        raise UnsupportedStreamError("its Content-Length is not a number")
    if len(value) > 19 or int(value) > MAX_BODY:
        raise CameraError(TOO_LONG)
    return int(value)


def _value(text: str) -> str:
    """Return a header's value with all its bytes, but for the white space around it."""
    return text.replace("\r", " ").strip(" \t")


def _clean(text: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in text).strip()
