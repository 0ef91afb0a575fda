"""RTSP's requests, answers and interleaved frames (RFC 2326), as bytes: no socket, no clock.

Whatever comes is a stranger's: a head has at most 64 KiB, a body 1 MiB (an SDP has some 500 bytes).
"""

import re
from dataclasses import dataclass, replace

from edge_bridge.rtsp.errors import TOO_LONG, CameraError, UnsupportedStreamError

MOST_HEAD = 64 << 10
MOST_BODY = 1 << 20
_VERSION = b"RTSP/1.0 "
_STATUS = re.compile(r"RTSP/1\.0 +(\d{3})(?: +(.*))?$")
_ASKED = re.compile(r"[A-Z][A-Z_]* \S+ RTSP/1\.0$")
_VERB = re.compile(rb"[A-Z][A-Z_]*(?: .*)?", re.S)
_HEAD_ENDS = re.compile(rb"\r?\n\r?\n")
_LONGEST_VERB = 20


@dataclass(frozen=True, slots=True)
class Message:
    """An answer, or something that the camera asks."""

    code: int | None
    """The answer's status; None where it is no answer."""
    reason: str
    """The words beside the status."""
    headers: tuple[tuple[str, str], ...]
    """Names in lower case, in their order; a name may stand there several times."""
    body: bytes = b""

    def first(self, name: str) -> str | None:
        """Return a header's value; `name` in lower case."""
        return next((value for key, value in self.headers if key == name), None)

    def all(self, name: str) -> list[str]:
        """Return the values of all headers of that name."""
        return [value for key, value in self.headers if key == name]


class RtspParser:
    """Takes bytes in whatever pieces they come, gives messages and frames."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._looked = 0
        self._headed: tuple[Message, int] | None = None
        """A message whose body is still to come, and the body's length."""

    def add(self, data: bytes) -> None:
        """Take what came."""
        self._held += data

    def next(self) -> Message | bytes | None:
        """Return what comes next, None where it is not whole: a message, or a frame as bytes.

        A frame (RFC 2326, 10.12) is returned with its "$", channel and length. Raises
        UnsupportedStreamError where it is no RTSP, CameraError where it is too long.
        """
        held = self._held
        if self._headed is None:
            if held[:1] == b"\r" or held[:1] == b"\n":
                del held[: len(held) - len(held.lstrip(b"\r\n"))]
            if held[:1] == b"$":
                return self._frame()
            self._headed = self._head()
            if self._headed is None:
                return None
        message, length = self._headed
        if len(held) < length:
            return None
        self._headed = None
        return replace(message, body=self._taken(length))

    @property
    def rest(self) -> bytes:
        """What is held and was not returned."""
        return bytes(self._held)

    @property
    def midway(self) -> bool:
        """Whether something has begun to come and is not whole."""
        return bool(self._held) or self._headed is not None

    def _taken(self, length: int) -> bytes:
        data = bytes(self._held[:length])
        del self._held[:length]
        return data

    def _frame(self) -> bytes | None:
        length = 4 + int.from_bytes(self._held[2:4], "big")
        return self._taken(length) if len(self._held) >= max(length, 4) else None

    def _head(self) -> tuple[Message, int] | None:
        if not _may_be_a_message(bytes(self._held[:_LONGEST_VERB])):
            raise UnsupportedStreamError("what it sends is no RTSP")
        end = _HEAD_ENDS.search(self._held, self._looked)
        if (end.end() if end else len(self._held)) > MOST_HEAD:
            raise CameraError(TOO_LONG)
        if end is None:
            self._looked = max(0, len(self._held) - 3)
            return None
        self._looked = 0
        message = parsed(self._taken(end.end()))
        return message, _length(message)


def parsed(head: bytes) -> Message:
    """Return a message's head, without its body; raises UnsupportedStreamError where it is none."""
    first, *lines = head.decode("utf-8", "replace").split("\n")
    status = _STATUS.match(_clean(first))
    if status is None and _ASKED.match(_clean(first)) is None:
        raise UnsupportedStreamError("what it sends is no RTSP")
    headers: list[tuple[str, str]] = []
    for line in lines:
        name, colon, value = line.partition(":")
        if line[:1] in (" ", "\t") and headers:
            headers[-1] = (headers[-1][0], f"{headers[-1][1]} {_clean(line)}")
        elif colon:
            headers.append((_clean(name).lower(), _clean(value)))
    if status is None:
        return Message(None, "", tuple(headers))
    return Message(int(status[1]), status[2] or "", tuple(headers))


def request(verb: str, url: str, cseq: int, headers: tuple[tuple[str, str], ...]) -> bytes:
    """Return a request in bytes; `url` as `encode_url` gives it."""
    lines = [f"{verb} {url} RTSP/1.0", f"CSeq: {cseq}", "User-Agent: Vigil"]
    lines += [f"{name}: {value}" for name, value in headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def encode_url(url: str) -> str:
    """Return an address without what would break a request's line: spaces, controls, umlauts."""
    return re.sub(r"[^\x21-\x7e]", lambda odd: "".join(f"%{b:02X}" for b in _bytes(odd[0])), url)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "replace")


def _may_be_a_message(begin: bytes) -> bool:
    version = begin[: len(_VERSION)]
    return _VERSION.startswith(version) or _VERB.fullmatch(begin) is not None


def _length(message: Message) -> int:
    said = message.first("content-length") or "0"
    if not (said.isascii() and said.isdigit()):
        raise UnsupportedStreamError("it gives an answer's length in no number")
    if len(said) > 19 or int(said) > MOST_BODY:
        raise CameraError(TOO_LONG)
    return int(said)


def _clean(text: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in text).strip()
