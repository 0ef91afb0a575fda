"""A camera over RTSP, by FFmpeg; its faults in words fit for an operator and the timeline."""

import contextlib
import socket
from collections import deque
from collections.abc import Callable, Iterator
from urllib.parse import quote, urlsplit, urlunsplit

import av
from av import error as av_error
from av.container import InputContainer

from edge_bridge.capture.bounds import bound_allocations
from edge_bridge.capture.source import SourceError
from edge_bridge.config import CameraConfig
from media.fragmenter_packet import AnyPacket

_OPEN_S = 15
_GENPTS = 0x0001
_STATUS_LINE_BYTES = 4_096
_MOST_HELD = 20

_WORDS: tuple[tuple[type[Exception], str], ...] = (
    (av_error.HTTPUnauthorizedError, "the camera refuses user name or password (401)"),
    (av_error.HTTPForbiddenError, "the camera forbids this user the stream (403)"),
    (av_error.HTTPNotFoundError, "the camera knows no stream at this address (404)"),
    (av_error.ConnectionRefusedError, "the camera refuses the connection: is RTSP on at this port"),
    (av_error.ConnectionResetError, "the camera cut the connection"),
    (av_error.BrokenPipeError, "the camera cut the connection"),
    (av_error.EOFError, "the camera closed the stream"),
)


class RtspSource:
    """One connection to a camera."""

    def __init__(self, camera: CameraConfig, no_data_s: float, now_ms: Callable[[], int]) -> None:
        """Connect and find the streams; raises SourceError."""
        bound_allocations()
        self._camera = camera
        self._now_ms = now_ms
        self._no_data_s = no_data_s
        options = {
            "rtsp_transport": camera.transport,
            "timeout": str(int(max(no_data_s, _OPEN_S) * 1_000_000)),
            "allowed_media_types": "video+audio" if camera.audio else "video",
            "analyzeduration": "3000000",
            "reorder_queue_size": "500",
            "buffer_size": str(4 << 20),
        }
        try:
            self._container: InputContainer = av.open(
                _with_password(camera), "r", options=options, timeout=(_OPEN_S, no_data_s)
            )
        except (av.FFmpegError, OSError, ValueError) as error:
            raise SourceError(self._open_words(error)) from None
        self._container.flags &= ~_GENPTS  # it would hold packets back; media/ gives times itself
        try:
            self.video = self._container.streams.video[0]
        except IndexError:
            self.close()
            raise SourceError("the camera's stream has no pictures: choose another one") from None
        audio = self._container.streams.audio
        self.audio = audio[0] if camera.audio and audio and audio[0].codec_context else None

    def packets(self) -> Iterator[tuple[AnyPacket, int]]:
        """Yield packets; raises SourceError when the camera ends, cuts or says nothing."""
        streams = [self.video] if self.audio is None else [self.video, self.audio]
        held = HeldBack()
        reason = "the camera closed the stream"
        try:
            for packet in self._container.demux(*streams):
                if not packet.size:
                    continue
                arrived = (packet, self._now_ms())
                if packet.stream is self.video:
                    yield from held.released_by(arrived)
                else:
                    yield arrived
        except (av.FFmpegError, OSError) as error:
            reason = self._read_words(error)
        yield from held.at_the_end()
        raise SourceError(reason)

    def close(self) -> None:
        """Hang up."""
        with contextlib.suppress(av.FFmpegError, OSError):
            self._container.close()

    def _read_words(self, error: Exception) -> str:
        if isinstance(error, av_error.ExitError | av_error.TimeoutError | TimeoutError):
            return f"no data for {self._no_data_s:g} s"
        return words(error)

    def _open_words(self, error: Exception) -> str:
        if isinstance(error, av_error.ExitError | av_error.TimeoutError | TimeoutError):
            return f"no answer within {_OPEN_S} s: is the camera on, and the address right?"
        vague = not any(isinstance(error, kind) for kind, _ in _WORDS)
        if vague and (answer := ask(self._camera.url)) is not None:
            return answer
        return words(error)


class HeldBack:
    """Holds the newest pictures back until others follow.

    When a connection breaks, FFmpeg hands out what it has of a picture that was cut off. That one
    must not be recorded, nor any that is shown after it, or there would be a hole.

        decode order   I0 P3 B1 B2 P6 B4|      B4 was cut off: P6 is shown after it
        recorded       I0 P3 B1 B2
    """

    def __init__(self) -> None:
        self._held: deque[tuple[AnyPacket, int]] = deque()

    def released_by(self, newest: tuple[AnyPacket, int]) -> Iterator[tuple[AnyPacket, int]]:
        """Yield the pictures that can go now: all that is shown before them has come."""
        dts = newest[0].dts
        while self._held:
            pts = self._held[0][0].pts
            if pts is not None and dts is not None and pts > dts and len(self._held) < _MOST_HELD:
                break
            yield self._held.popleft()
        self._held.append(newest)

    def at_the_end(self) -> Iterator[tuple[AnyPacket, int]]:
        """Yield what is whole when a connection has broken."""
        if not self._held:
            return
        cut_off, _ = self._held.pop()
        for picture in self._held:
            pts = picture[0].pts
            if pts is not None and cut_off.pts is not None and pts > cut_off.pts:
                return
            yield picture


def words(error: Exception) -> str:
    """Return an FFmpeg error in words, without the address it names."""
    for kind, text in _WORDS:
        if isinstance(error, kind):
            return text
    said = getattr(error, "strerror", None) or type(error).__name__
    return f"the camera's stream cannot be read ({said})"


def ask(url: str, within_s: float = 3) -> str | None:
    """Ask a camera for its stream in plain RTSP; return what is wrong, or None where it answers.

    FFmpeg says "invalid data" for much; the status line says more.
    """
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or (322 if parts.scheme == "rtsps" else 554)
    request = f"DESCRIBE {url} RTSP/1.0\r\nCSeq: 1\r\nAccept: application/sdp\r\n\r\n"
    try:
        with socket.create_connection((host, port), within_s) as connection:
            if parts.scheme == "rtsps":
                return None
            connection.settimeout(within_s)
            connection.sendall(request.encode())
            line = connection.recv(_STATUS_LINE_BYTES).split(b"\r\n", 1)[0]
    except socket.gaierror:
        return f"the name {host} is not known: mend the address or the site's DNS"
    except ConnectionRefusedError:
        return f"{host}:{port} refuses the connection: is RTSP on at this port?"
    except OSError:
        return f"{host}:{port} does not answer: is the camera on, and in this network?"
    status = line.decode("ascii", "replace")
    if not status.startswith("RTSP/1.0 "):
        return f"{host}:{port} does not speak RTSP: mend the port"
    code = status[9:12]
    known = {
        "200": None,
        "401": None,  # asked without a password on purpose
        "404": "the camera knows no stream at this address (404)",
        "453": "the camera has not enough bandwidth for one more client (453)",
        "461": "the camera does not offer this transport (461): choose the other one",
        "503": "the camera's stream is not available (503)",
    }
    return known.get(code, f"the camera answers {status[9:80]}")


def _with_password(camera: CameraConfig) -> str:
    if camera.username is None:
        return camera.url
    secret = camera.password()
    user = quote(camera.username, safe="")
    if secret is not None:
        user += ":" + quote(secret.get_secret_value(), safe="")
    parts = urlsplit(camera.url)
    return urlunsplit(parts._replace(netloc=f"{user}@{parts.netloc}"))
