"""What a camera answers when it is asked for its stream in plain RTSP, in words.

FFmpeg says "invalid data" or nothing for much; status line and headers say more.
"""

from contextlib import closing

from edge_bridge.rtsp import errors
from edge_bridge.rtsp.auth import SPOKEN, challenges
from edge_bridge.rtsp.connection import RtspConnection
from edge_bridge.rtsp.errors import CameraError, UnsupportedStreamError
from edge_bridge.rtsp.message import Message, encode_url

_FFMPEG_SPEAKS = ("MD5", "MD5-SESS")


def ask(url: str, within_s: float = 3) -> str | None:
    """Ask a camera for its stream, unsigned; return what is wrong, None where nothing can be seen.

    Takes at most `within_s`.
    """
    try:
        with closing(RtspConnection(url, within_s)) as line:
            answer = line.ask("DESCRIBE", encode_url(url), ("Accept", "application/sdp"))
    except CameraError as error:
        return str(error)
    except UnsupportedStreamError:
        return None
    return _meaning(answer)


def _meaning(answer: Message) -> str | None:
    if answer.code == 200:
        return None
    if answer.code == 401:
        return _unspoken(answer)
    known = errors.status_text(answer.code or 0, answer.first("location"))
    return known or f"the camera answers {answer.code} {errors.printable(answer.reason)[:70]}"


def _unspoken(answer: Message) -> str | None:
    """Return what to do where the password is wanted hashed in a way that FFmpeg does not know.

    It takes the last digest that is offered.
    """
    offered = [one for value in answer.all("www-authenticate") for one in challenges(value)]
    digests = [one.algorithm for one in offered if one.scheme == "digest"]
    if not digests or digests[-1] in _FFMPEG_SPEAKS:
        return None
    own = ", or choose transport tcp and reader auto" if digests[-1] in SPOKEN else ""
    remedy = f"which is not spoken here: allow MD5 alone in its settings{own}"
    return errors.unspoken(digests[-1], remedy)
