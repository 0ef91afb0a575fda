"""A camera over RTSP, by FFmpeg; its faults in words fit for an operator and the timeline."""

import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from urllib.parse import quote, urlsplit, urlunsplit

import av
from av import error as av_error
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.video.stream import VideoStream

from edge_bridge.capture import error_text
from edge_bridge.capture.coalescing import Arrived, Coalescer
from edge_bridge.capture.diagnose import ask
from edge_bridge.capture.memory_limits import limit_allocations
from edge_bridge.config import CameraConfig
from edge_bridge.rtsp import errors
from edge_bridge.rtsp.errors import CameraError, CameraRefusedError
from media.aac_encoder import codec_of
from media.fragmenter import VIDEO_CODECS
from media.packet import AnyPacket

log = logging.getLogger(__name__)

_LOOKS = ((3, 5 << 20), (12, 32 << 20))
"""Seconds and bytes in which parameter sets are waited for: at first, and once again with more.

A camera that tells them with keyframes only, and seldom sends those, needs the second; the first is
enough for others, and is all that promised sound which never comes can cost.
"""
_TRIES_REMEMBERED = 256
_sent_away: dict[str, None] = {}
"""Addresses that sent us elsewhere. FFmpeg follows without end, so they are asked before it."""
_GENPTS = 0x0001
_MOST_HELD = 20

_BLIND = (
    "the camera sends no parameter sets, so its pictures cannot be read: restart it, set its "
    "keyframe interval (GOP) to 2 to 4 s, or choose another stream"
)

_REFUSALS = (av_error.HTTPUnauthorizedError, av_error.HTTPForbiddenError)


class FfmpegSource:
    """One connection to a camera."""

    def __init__(self, camera: CameraConfig, no_data_s: float, now_ms: Callable[[], int]) -> None:
        """Connect and find the streams; raises CameraError."""
        limit_allocations()
        self._camera = camera
        self._now_ms = now_ms
        self._no_data_s = no_data_s
        self.low_latency = True
        if camera.url in _sent_away and (answer := ask(camera.url)) is not None:
            raise CameraError(answer)
        began_s = time.monotonic()
        for look_s, look_bytes in _LOOKS:
            self._open(look_s, look_bytes)
            if _can_be_judged(self.video):
                break
            self.close()
            if time.monotonic() - began_s >= error_text.OPEN_S:
                raise CameraError(error_text.NOTHING.format(error_text.OPEN_S))
        else:
            raise CameraError(_BLIND)
        audio = self._container.streams.audio
        self.audio = audio[0] if camera.audio and audio else None
        if self.audio is not None and not _can_be_recorded(self.audio):
            log.warning(
                "the camera's sound cannot be recorded, for it does not say how it is coded; its "
                "pictures are: set its sound to AAC or G.711, or audio to false",
                extra={"camera": camera.id},
            )
            self.audio = None

    def _open(self, look_s: int, look_bytes: int) -> None:
        options = {
            "rtsp_transport": self._camera.transport,
            "timeout": str(int(max(self._no_data_s, error_text.OPEN_S) * 1_000_000)),
            "allowed_media_types": "video+audio" if self._camera.audio else "video",
            "analyzeduration": str(look_s * 1_000_000),
            "probesize": str(look_bytes),
            "reorder_queue_size": "500",
            "buffer_size": str(4 << 20),
        }
        address, timeout = _with_password(self._camera), (error_text.OPEN_S, self._no_data_s)
        try:
            self._container: InputContainer = av.open(
                address, "r", options=options, timeout=timeout
            )
        except (av.FFmpegError, OSError, ValueError) as error:
            kind = CameraRefusedError if isinstance(error, _REFUSALS) else CameraError
            raise kind(self._open_words(error)) from None
        self._container.flags &= ~_GENPTS  # it would hold packets back; media/ gives times itself
        try:
            self.video = self._container.streams.video[0]
        except IndexError:
            self.close()
            raise CameraError("the camera's stream has no pictures: choose another one") from None
        if self.video.codec_context is None:
            self.close()
            raise CameraError(
                "the camera's pictures are of no known kind: set it to H.264 or H.265"
            )

    def packets(self) -> Iterator[tuple[AnyPacket, int]]:
        """Yield packets; raises CameraError when the camera ends, cuts or says nothing."""
        streams = [self.video] if self.audio is None else [self.video, self.audio]
        gathering, held = Coalescer(), HoldbackBuffer()
        reason = "the camera closed the stream"
        try:
            for packet in self._container.demux(*streams):
                if not packet.size:
                    continue
                now = gathering.add((packet, self._now_ms()), self.low_latency)
                if now:
                    yield from self._released(now, held)
        except (av.FFmpegError, OSError) as error:
            reason = self._read_words(error)
        yield from self._released(gathering.rest(), held)
        yield from held.at_the_end()
        raise CameraError(reason)

    def _released(self, now: Sequence[Arrived], held: "HoldbackBuffer") -> Iterator[Arrived]:
        for arrived in now:
            if arrived[0].stream is self.video:
                yield from held.released_by(arrived)
            else:
                yield arrived

    def close(self) -> None:
        """Hang up."""
        with contextlib.suppress(av.FFmpegError, OSError):
            self._container.close()

    def _read_words(self, error: Exception) -> str:
        if isinstance(error, av_error.ExitError | av_error.TimeoutError | TimeoutError):
            return f"no data for {self._no_data_s:g} s"
        return error_text.error_text(error)

    def _open_words(self, error: Exception) -> str:
        answer = None
        late = isinstance(error, av_error.ExitError | av_error.TimeoutError | TimeoutError)
        refused = isinstance(error, av_error.HTTPUnauthorizedError)
        if late or refused or not error_text.is_known(error):
            answer = ask(self._camera.url)
        if answer is not None and errors.SENT_AWAY in answer:
            _remember(self._camera.url)
        if answer is not None:
            return answer
        if refused and self._camera.username is None:
            return errors.WANTS_USER
        if late:
            return errors.late(error_text.OPEN_S)
        return error_text.error_text(error)


def _can_be_judged(video: VideoStream) -> bool:
    """Whether the size is known, or need not be: what is not recorded is told by its kind."""
    context = video.codec_context
    return bool(context.width) or context.codec.canonical_name not in VIDEO_CODECS


def _can_be_recorded(audio: AudioStream) -> bool:
    """Whether the SDP told enough of the sound for MPEG-TS; it would end the pictures' run too."""
    context = audio.codec_context
    if context is None or not (context.sample_rate and context.layout.nb_channels):
        return False
    return codec_of(audio) != "aac" or bool(context.extradata)


def _remember(url: str) -> None:
    _sent_away[url] = None
    while len(_sent_away) > _TRIES_REMEMBERED:
        _sent_away.pop(next(iter(_sent_away)), None)


class HoldbackBuffer:
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


def _with_password(camera: CameraConfig) -> str:
    if camera.username is None:
        return camera.url
    secret = camera.password()
    user = quote(camera.username, safe="")
    if secret is not None:
        user += ":" + quote(secret.get_secret_value(), safe="")
    parts = urlsplit(camera.url)
    return urlunsplit(parts._replace(netloc=f"{user}@{parts.netloc}"))
