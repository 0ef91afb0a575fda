"""What is wrong with a camera that is spoken to in RTSP, in words fit for an operator."""

import re

from domain.errors import MediaError


class CameraError(MediaError):
    """A camera cannot be read (any more); the text says why and what to do, never a password."""


class CameraRefusedError(CameraError):
    """The camera takes neither user nor password. Many lock a user out who is wrong too often."""


class UnsupportedStreamError(MediaError):
    """This camera wants FFmpeg's reader; the text is why, one short clause."""


REFUSED = "the camera refuses user name or password (401): mend them"
WANTS_USER = (
    "the camera asks for a user and a password (401): give username, and password_file or "
    "password_env"
)
FORBIDDEN = "the camera forbids this user the stream (403): give it viewing rights"
NO_STREAM = "the camera knows no stream at this address (404): mend the url's path"
NOT_LISTENING = "the camera refuses the connection: is RTSP on at this port?"
CUT = "the camera cut the connection"
CLOSED = "the camera closed the stream"
SENT_AWAY = "the camera sends us to another address"
TOO_LONG = (
    "the camera's answer never ends or is far too long: it is faulty or no camera; restart it, "
    "and see what stands at this address"
)
_MOVED = (301, 302, 303, 305, 307)
_CODES = {
    403: FORBIDDEN,
    404: NO_STREAM,
    453: "the camera has not enough bandwidth for one more client (453): close others",
    461: "the camera does not offer this transport (461): choose the other one",
    503: "the camera's stream is not available (503): restart it",
}


def status_text(code: int, location: str | None) -> str | None:
    """Return what a status code means; None where it is no known fault.

    `location` is the header of that name. Only its host is told: the rest may hold a password.
    """
    if code in _MOVED:
        to = re.match(r"\w+://(?:[^/@\s]*@)?([^/?\s]{1,100})", location or "")
        host = f" at {printable(to[1])}" if to else ""
        return f"{SENT_AWAY}{host} ({code}), which leads nowhere: mend the url or its settings"
    return _CODES.get(code)


def unknown_name(host: str) -> str:
    """Say that a name has no address."""
    return f"the name {host} is not known: mend the address or the site's DNS"


def unreachable(where: str) -> str:
    """Say that nothing answers at host and port."""
    return f"{where} does not answer: is the camera on, and in this network?"


def silent(where: str) -> str:
    """Say that there is a connection, and not a word on it."""
    return f"{where} takes the connection and says nothing: restart the camera, or mend the port"


def other_language(where: str) -> str:
    """Say that something else than RTSP comes."""
    return f"{where} does not speak RTSP: mend the port"


def late(within_s: float) -> str:
    """Say that the camera did not come to the point."""
    return f"no answer within {within_s:g} s: is the camera on, and the address right?"


def unspoken(algorithm: str, remedy: str) -> str:
    """Say that the password is wanted hashed in a way that is not known."""
    return f"the camera wants its password as Digest with {printable(algorithm)[:20]}, {remedy}"


def printable(text: str) -> str:
    """Return a stranger's text without what a terminal would obey."""
    return "".join(letter for letter in text if letter.isprintable())
