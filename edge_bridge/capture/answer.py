"""What a camera answers when it is asked for its stream in plain RTSP, in words.

FFmpeg says "invalid data" or nothing for much; status line and headers say more. Whatever comes is
a stranger's: little of it is read, and not for long.
"""

import re
import socket
import time
from urllib.parse import urlsplit

_MOST_HEAD = 64 << 10
_MOST_BODY = 1 << 20
"""An SDP has some 500 bytes."""
_SPEAKS = b"RTSP/1.0 "
SENT_AWAY = "the camera sends us to another address"
_MOVED = ("301", "302", "303", "305", "307")
_SPOKEN = ("MD5", "MD5-SESS")
"""Digests that FFmpeg can answer."""

_TOO_LONG = (
    "the camera's answer never ends or is far too long: it is faulty or no camera; restart it, "
    "and see what stands at this address"
)
_CODES = {
    "200": None,
    "404": "the camera knows no stream at this address (404): mend the url's path",
    "453": "the camera has not enough bandwidth for one more client (453): close others",
    "461": "the camera does not offer this transport (461): choose the other one",
    "503": "the camera's stream is not available (503): restart it",
}


def ask(url: str, within_s: float = 3) -> str | None:
    """Ask a camera for its stream, unsigned; return what is wrong, None where nothing can be seen.

    Takes at most `within_s` for connecting and as much for the answer.
    """
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or (322 if parts.scheme == "rtsps" else 554)
    where = f"{host}:{port}"
    request = f"DESCRIBE {url} RTSP/1.0\r\nCSeq: 1\r\nAccept: application/sdp\r\n\r\n"
    try:
        with socket.create_connection((host, port), within_s) as connection:
            if parts.scheme == "rtsps":
                return None
            connection.sendall(request.encode())
            head, whole = _head(connection, within_s)
    except socket.gaierror:
        return f"the name {host} is not known: mend the address or the site's DNS"
    except ConnectionRefusedError:
        return f"{where} refuses the connection: is RTSP on at this port?"
    except OSError:
        return f"{where} does not answer: is the camera on, and in this network?"
    if not head:
        return (
            f"{where} takes the connection and says nothing: restart the camera, or mend the port"
        )
    if not head.startswith(_SPEAKS[: len(head)]):
        return f"{where} does not speak RTSP: mend the port"
    return _meaning(head.decode("ascii", "replace"), whole)


def _head(connection: socket.socket, within_s: float) -> tuple[bytes, bool]:
    """Return what came of the answer's head, and whether it came to its end."""
    head = b""
    until_s = time.monotonic() + within_s
    while b"\r\n\r\n" not in head:
        left_s = until_s - time.monotonic()
        if left_s <= 0 or len(head) > _MOST_HEAD:
            return head, False
        connection.settimeout(left_s)
        try:
            data = connection.recv(4_096)
        except TimeoutError:
            return head, False
        if not data:
            return head, True
        head += data
    return head.split(b"\r\n\r\n", 1)[0], True


def _meaning(head: str, whole: bool) -> str | None:
    if not whole:
        return _TOO_LONG
    code = head[9:12]
    if code == "401":
        return _unspoken(head)
    if code in _MOVED:
        to = re.search(r"^location:\s*\w+://(?:[^/@\s]*@)?([^/?\s]{1,100})", head, re.I | re.M)
        host = f" at {_printable(to[1])}" if to else ""
        return f"{SENT_AWAY}{host} ({code}), which leads nowhere: mend the url or its settings"
    length = re.search(r"^content-length:\s*(\d{1,20})", head, re.I | re.M)
    if length and int(length[1]) > _MOST_BODY:
        return _TOO_LONG
    return _CODES.get(code, f"the camera answers {_printable(head[9:80].partition(chr(13))[0])}")


def _unspoken(head: str) -> str | None:
    """Return what to do where the password is wanted hashed in a way that FFmpeg does not know.

    It takes the last digest that is offered.
    """
    offered = re.findall(r"^www-authenticate:\s*digest\s(.*)", head, re.I | re.M)
    named = re.search(r'algorithm\s*=\s*"?([\w-]{1,20})', offered[-1], re.I) if offered else None
    if named is None or named[1].upper() in _SPOKEN:
        return None
    return (
        f"the camera wants its password as Digest with {named[1]}, which is not spoken here: allow "
        "MD5 alone in its settings"
    )


def _printable(text: str) -> str:
    return "".join(letter for letter in text if letter.isprintable())
