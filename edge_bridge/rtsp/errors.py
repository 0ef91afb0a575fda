"""The exceptions of the RTSP client, and what is wrong with a camera as text for an operator.

A text has the form "problem: what to do". It never holds a password.
"""

import re

from domain.errors import MediaError


class CameraError(MediaError):
    """A camera cannot be read (any more). The text says why and what to do, never a password."""


class CameraRefusedError(CameraError):
    """The camera rejects the user name or password.

    Try again slowly: many cameras lock a user out after several wrong attempts.
    """


class UnsupportedStreamError(MediaError):
    """This client does not support the stream; FFmpeg may. The text is the reason, one clause."""


class EncryptionError(UnsupportedStreamError):
    """The TLS handshake failed; FFmpeg's TLS library may succeed. The text says what to do."""


class SetupRefusedError(MediaError):
    """The camera refuses to set up its audio; the session can go on without it."""


REJECTED = "the camera rejected the user name or password (401): correct them"
CREDENTIALS_REQUIRED = (
    "the camera requires a user name and a password (401): set username, and password_file or "
    "password_env"
)
FORBIDDEN = "this user is not allowed to view the stream (403): give the user viewing rights"
NO_STREAM = "the camera has no stream at this address (404): correct the path in the url"
NOT_LISTENING = "the camera refuses the connection: check that RTSP is on at this port"
CONNECTION_RESET = "the camera reset the connection"
END_OF_STREAM = "the camera closed the stream"
REDIRECTED = "the camera redirects to another address"
TOO_LONG = (
    "the camera's answer is too long or never ends: restart the camera; if that does not help, "
    "check which device has this address"
)
NO_TLS = "the camera does not use TLS at this port: correct the port, or use an rtsp:// url"
BASIC_NOT_ALLOWED = (
    "the camera requires its password in readable form (Basic), and allow_basic is false: turn on "
    "Digest in the camera, or use rtsps with tls_fingerprint"
)
_REDIRECTS = (301, 302, 303, 305, 307)
_STATUS_TEXTS = {
    403: FORBIDDEN,
    404: NO_STREAM,
    453: "the camera does not have enough bandwidth for one more client (453): close other clients",
    461: "the camera does not offer this transport (461): choose the other one",
    503: "the camera's stream is not available (503): restart the camera",
}


def other_certificate(fingerprint: str) -> str:
    """Return that a certificate is not the expected one. `fingerprint`: that of the camera's."""
    return (
        "the camera's certificate is not that of tls_fingerprint: check which device has this "
        f"address, or set {fingerprint}"
    )


def status_text(code: int, location: str | None) -> str | None:
    """Return what a status code means; None if it is not a known fault.

    `location` is the header of that name. Only its host is named: the rest may hold a password.
    """
    if code in _REDIRECTS:
        found = re.match(r"\w+://(?:[^/@\s]*@)?([^/?\s]{1,100})", location or "")
        host = f" at {printable(found[1])}" if found else ""
        return f"{REDIRECTED}{host} ({code}): correct the url or the camera's settings"
    return _STATUS_TEXTS.get(code)


def unknown_host(host: str) -> str:
    """Say that a host name has no address."""
    return f"the name {host} is not known: correct the address or the site's DNS"


def unreachable(address: str) -> str:
    """Say that nothing answers at `host:port`."""
    return f"{address} does not answer: check that the camera is on and in this network"


def no_response(address: str) -> str:
    """Say that `host:port` accepts connections but sends nothing."""
    problem = f"{address} accepts connections but does not answer"
    return f"{problem}: restart the camera, or correct the port"


def not_rtsp(address: str) -> str:
    """Say that another protocol than RTSP answers at `host:port`."""
    return f"{address} does not speak RTSP: correct the port"


def no_common_encryption(reason: str) -> str:
    """Say that the camera and this device have no version or cipher of TLS in common."""
    detail = f" ({printable(reason)[:60]})" if reason else ""
    return (
        f"the camera's encryption (TLS) is too old or not supported{detail}: update its firmware, "
        "allow TLS 1.2 with ECDHE in its settings, or use an rtsp:// url"
    )


def timeout(within_s: float) -> str:
    """Say that the camera did not complete its answer in time."""
    return f"no answer within {within_s:g} s: check the address, and that the camera is on"


def unsupported_algorithm(algorithm: str, remedy: str) -> str:
    """Say that the camera requires a hash algorithm that is not supported."""
    return f"the camera requires its password as Digest with {printable(algorithm)[:20]}, {remedy}"


def printable(text: str) -> str:
    """Return foreign text without control characters, which a terminal would obey."""
    return "".join(letter for letter in text if letter.isprintable())
