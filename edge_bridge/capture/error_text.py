"""A camera's faults in words fit for an operator and the timeline; never an address or password."""

from av import error as av_error

from edge_bridge.rtsp import errors

OPEN_S = 15
"""Within this a camera must have been opened."""

NOTHING = (
    "the camera promises pictures and sends none that can be read within {} s: restart it; with "
    "transport udp, look whether a firewall drops them"
)
_WORDS: tuple[tuple[tuple[type[Exception], ...], str], ...] = (
    ((av_error.HTTPUnauthorizedError,), errors.REFUSED),
    ((av_error.HTTPForbiddenError,), errors.FORBIDDEN),
    ((av_error.HTTPNotFoundError,), errors.NO_STREAM),
    ((av_error.ConnectionRefusedError, ConnectionRefusedError), errors.NOT_LISTENING),
    ((av_error.ConnectionResetError, av_error.BrokenPipeError, ConnectionError), errors.CUT),
    ((av_error.EOFError,), errors.CLOSED),
)


def is_known(error: Exception) -> bool:
    """Whether an error tells by itself what is wrong."""
    return any(isinstance(error, kinds) for kinds, _ in _WORDS)


def error_text(error: Exception) -> str:
    """Return an error of FFmpeg or of a socket in words, without the address it names."""
    for kinds, text in _WORDS:
        if isinstance(error, kinds):
            return text
    said = getattr(error, "strerror", None) or type(error).__name__
    return (
        f"the camera's stream cannot be read ({said}): restart it, update its firmware, or choose "
        "another stream or transport"
    )
