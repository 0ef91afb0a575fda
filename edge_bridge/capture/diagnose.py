"""Asks a camera over RTSP what is wrong with it, and returns the answer as text.

FFmpeg often says only "invalid data". The camera's status line and headers say more.
"""

from contextlib import closing

from edge_bridge.rtsp import errors
from edge_bridge.rtsp.auth import SUPPORTED_ALGORITHMS, challenges
from edge_bridge.rtsp.connection import RtspConnection
from edge_bridge.rtsp.errors import CameraError, EncryptionError, UnsupportedStreamError
from edge_bridge.rtsp.message import Message, encode_url

_FFMPEG_ALGORITHMS = ("MD5", "MD5-SESS")


def diagnose(url: str, within_s: float = 3) -> str | None:
    """Ask a camera for its stream, without a password; return what is wrong, None if unknown.

    Takes at most `within_s` seconds.
    """
    try:
        with closing(RtspConnection(url, within_s)) as connection:
            response = connection.request(
                "DESCRIBE", encode_url(url), ("Accept", "application/sdp")
            )
    except (CameraError, EncryptionError) as error:
        return str(error)
    except UnsupportedStreamError:
        return None
    return _problem(response)


def _problem(response: Message) -> str | None:
    if response.status == 200:
        return None
    if response.status == 401:
        return _unsupported_algorithm(response)
    known = errors.status_text(response.status or 0, response.first("location"))
    reason = errors.printable(response.reason)[:70]
    return known or f"the camera answers {response.status} {reason}"


def _unsupported_algorithm(response: Message) -> str | None:
    """Return what to do if FFmpeg does not know the hash algorithm that the camera requires.

    FFmpeg takes the last Digest challenge.
    """
    offered = [one for value in response.all("www-authenticate") for one in challenges(value)]
    digests = [one.algorithm for one in offered if one.scheme == "digest"]
    if not digests or digests[-1] in _FFMPEG_ALGORITHMS:
        return None
    own = ", or choose transport tcp and reader auto" if digests[-1] in SUPPORTED_ALGORITHMS else ""
    remedy = f"which is not supported: allow MD5 alone in its settings{own}"
    return errors.unsupported_algorithm(digests[-1], remedy)
