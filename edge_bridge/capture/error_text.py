"""A camera's faults as text for the operator and the timeline; never an address or password."""

from av import error as av_error

from edge_bridge.rtsp import errors

OPEN_TIMEOUT_S = 15
"""Within this time a camera must be open."""

NO_VIDEO = (
    "the camera offers video but sends none that can be read within {} s: restart the camera; with "
    "transport udp, check that no firewall drops the packets"
)
_UNREADABLE = "the camera's stream cannot be read"
_TEXTS: tuple[tuple[tuple[type[Exception], ...], str], ...] = (
    ((av_error.HTTPUnauthorizedError,), errors.REJECTED),
    ((av_error.HTTPForbiddenError,), errors.FORBIDDEN),
    ((av_error.HTTPNotFoundError,), errors.NO_STREAM),
    ((av_error.ConnectionRefusedError, ConnectionRefusedError), errors.NOT_LISTENING),
    (
        (av_error.ConnectionResetError, av_error.BrokenPipeError, ConnectionError),
        errors.CONNECTION_RESET,
    ),
    ((av_error.EOFError,), errors.END_OF_STREAM),
)


def has_own_text(error: Exception) -> bool:
    """Return whether the type of an error says what is wrong."""
    return any(isinstance(error, types) for types, _ in _TEXTS)


def error_text(error: Exception) -> str:
    """Return an error of FFmpeg or of a socket as text, without the address in it."""
    for types, text in _TEXTS:
        if isinstance(error, types):
            return text
    reason = getattr(error, "strerror", None) or type(error).__name__
    return unreadable(str(reason))


def unreadable(reason: str) -> str:
    """Return the text for a stream that no reader can read."""
    return (
        f"{_UNREADABLE} ({reason}): restart the camera, update its firmware, or choose another "
        "stream or transport"
    )


def only_ffmpeg_reads(reason: str) -> str:
    """Return the text for a stream that FFmpeg may read, but must not."""
    return (
        f"only FFmpeg may be able to read the camera ({reason}), and FFmpeg checks no certificate: "
        "choose another stream, or remove tls_fingerprint and allow_basic"
    )


def says_little(text: str) -> bool:
    """Return whether a text has only FFmpeg's words for what is wrong."""
    return text.startswith(_UNREADABLE)
